//! The running container behind a host: one `systemd-nspawn` and the system inside it.

use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal};
use tokio::net::UnixDatagram;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::host::kill;
use crate::command::last_lines;

/// A host is up in a second; a busy machine with many of them takes longer.
const BOOT_LIMIT: Duration = Duration::from_secs(90);

/// A booted container.
pub(super) struct Machine {
    supervisor: Child,
    leader: Pid,
}

impl Machine {
    /// Starts a container and waits until the system in it reports that it has started.
    pub(super) async fn boot(name: &str, folder: &Path, arguments: &[String]) -> Result<Self> {
        // systemd tells over this socket who is PID 1 and when start-up is complete: no polling.
        let socket = folder.join(format!("{name}.notify"));
        if socket.exists() {
            fs::remove_file(&socket)?;
        }
        let notices = UnixDatagram::bind(&socket)?;
        let console = folder.join(format!("{name}.console"));
        let mut supervisor = spawn(name, &socket, &console, arguments)?;
        let started = tokio::select! {
            started = timeout(BOOT_LIMIT, wait_ready(&notices)) => started.context("not up in time").flatten(),
            status = supervisor.wait() => Err(anyhow::anyhow!("the container ended: {}", status?)),
        };
        match started {
            Ok(leader) => Ok(Self { supervisor, leader }),
            Err(error) => {
                supervisor.start_kill().ok();
                let said = fs::read_to_string(&console).unwrap_or_default();
                Err(error.context(last_lines(&said, 10)))
            }
        }
    }

    /// PID 1 of the container, as the machine numbers it.
    pub(super) fn leader(&self) -> Pid {
        self.leader
    }

    /// Kills all of it at once.
    pub(super) fn kill(&mut self) -> Result<()> {
        kill(self.leader, Signal::KILL)
    }

    /// Asks the system to shut down.
    pub(super) fn power_off(&mut self) -> Result<()> {
        let id = self.supervisor.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        kill(id.context("the container has ended")?, Signal::TERM)
    }

    /// Waits until nothing of the container is left.
    pub(super) async fn ended(&mut self, limit: Duration) -> Result<()> {
        timeout(limit, self.supervisor.wait()).await.context("the container does not end")??;
        Ok(())
    }

    /// Like [`ended`](Self::ended), for destructors.
    pub(super) fn ended_blocking(&mut self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.supervisor.try_wait()?.is_none() {
            if Instant::now() > deadline {
                bail!("the container does not end");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

fn spawn(name: &str, socket: &Path, console: &Path, arguments: &[String]) -> Result<Child> {
    let log = File::create(console)?;
    // A session of its own: Ctrl-C in a terminal must not reach the hosts before we stop them.
    Command::new("/usr/bin/setsid")
        .args([
            "/usr/bin/systemd-nspawn",
            "--quiet",
            "--boot",
            "--register=no",
            "--keep-unit",
            "--notify-ready=yes",
        ])
        .args(["--resolv-conf=off", "--timezone=off", "--link-journal=no"])
        .arg(format!("--machine={name}"))
        .args(arguments)
        .env("NOTIFY_SOCKET", socket)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("cannot start systemd-nspawn")
}

/// Reads notices until the system is up; one of them says who its PID 1 is.
async fn wait_ready(notices: &UnixDatagram) -> Result<Pid> {
    let mut leader = None;
    let mut buffer = [0; 4096];
    loop {
        let length = notices.recv(&mut buffer).await?;
        let notice = String::from_utf8_lossy(&buffer[..length]).into_owned();
        for line in notice.lines() {
            if let Some(pid) = line.strip_prefix("X_NSPAWN_LEADER_PID=") {
                leader = Pid::from_raw(pid.parse()?);
            }
            if line == "READY=1"
                && let Some(leader) = leader
            {
                return Ok(leader);
            }
        }
    }
}
