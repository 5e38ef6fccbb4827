//! One host: a systemd container with its own network address, as good as a small server.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::timeout;

use super::Bed;
use super::disk::Disk;
use super::machine::Machine;
use super::net;
use crate::command::{last_lines, run};

pub use super::exec::Output;

/// A clean shutdown may have to wait for services that stop slowly.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(60);

/// How a host differs from the base image.
#[derive(Clone, Debug, Default)]
pub struct HostOptions {
    /// Files and folders of the machine that the host sees.
    pub binds: Vec<Bind>,
}

/// A file or folder of the machine inside a host.
#[derive(Clone, Debug)]
pub struct Bind {
    /// Path on the machine.
    pub source: PathBuf,
    /// Path in the host.
    pub target: PathBuf,
    /// Whether the host may write to it.
    pub writable: bool,
}

impl Bind {
    /// A bind that the host can only read.
    pub fn read_only(source: impl Into<PathBuf>, target: impl Into<PathBuf>) -> Self {
        Self { source: source.into(), target: target.into(), writable: false }
    }

    /// A bind that the host can write to.
    pub fn writable(source: impl Into<PathBuf>, target: impl Into<PathBuf>) -> Self {
        Self { source: source.into(), target: target.into(), writable: true }
    }
}

/// A managed host; dropping it stops it and throws its disk away (the demo keeps its disks).
pub struct Host {
    name: String,
    machine_name: String,
    address: Ipv4Addr,
    options: HostOptions,
    machine: Mutex<Option<Machine>>,
    disk: Disk,
    // Last, so that the network is there until the host is gone.
    bed: Arc<Bed>,
}

impl Host {
    pub(super) async fn boot(bed: Arc<Bed>, name: &str, options: HostOptions) -> Result<Self> {
        let (index, address, disk) = bed.admit(name)?;
        if disk.is_fresh() {
            disk.personalise(&bed.image, name, address)?;
        }
        bed.write_hosts_files()?;
        let machine_name = format!("{}{index}", machine_prefix(bed.slot.number()));
        let host = Self {
            name: name.to_owned(),
            machine_name,
            address,
            options,
            machine: Mutex::default(),
            disk,
            bed,
        };
        host.start().await?;
        Ok(host)
    }

    /// The host's name, which every host of its bed can resolve.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The host's address on the bed's network.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Whether this boot was the first of its disk.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.disk.is_fresh()
    }

    /// Where the machine sees the host's disk, also while the host is down.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.disk.root()
    }

    /// Switches the host on and waits until its system has started.
    pub async fn start(&self) -> Result<()> {
        ensure!(!self.is_up(), "{} is up already", self.name);
        let arguments = self.arguments()?;
        let folder = self.bed.slot.folder();
        let machine = Machine::boot(&self.machine_name, &folder, &arguments)
            .await
            .with_context(|| format!("{} does not boot", self.name))?;
        *self.machine.lock().expect("no holder of this lock panics") = Some(machine);
        Ok(())
    }

    /// Takes the power away: every process is gone at once, the disk stays as it is.
    pub async fn power_cut(&self) -> Result<()> {
        let mut machine = self.take()?;
        machine.kill()?;
        machine.ended(SHUTDOWN_LIMIT).await
    }

    /// Shuts the host down in order, keeping its disk.
    pub async fn shut_down(&self) -> Result<()> {
        let mut machine = self.take()?;
        machine.power_off()?;
        machine.ended(SHUTDOWN_LIMIT).await
    }

    /// Restarts the system from inside, as an administrator would.
    pub async fn reboot(&self) -> Result<()> {
        self.run(&["systemctl", "reboot", "--no-block"]).await?;
        self.take()?.ended(SHUTDOWN_LIMIT).await?;
        self.start().await
    }

    /// Pulls the network cable.
    pub fn partition(&self) -> Result<()> {
        run(&["ip", "link", "set", &net::cable(&self.machine_name), "down"])?;
        Ok(())
    }

    /// Plugs the network cable in again.
    pub fn heal(&self) -> Result<()> {
        run(&["ip", "link", "set", &net::cable(&self.machine_name), "up"])?;
        Ok(())
    }

    /// Whether the host was started and neither cut nor shut down since.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.machine.lock().expect("no holder of this lock panics").is_some()
    }

    /// Runs a program in the host as root and returns how it ended, well or not.
    pub async fn exec(&self, argv: &[&str]) -> Result<Output> {
        self.exec_with(argv, b"").await
    }

    /// Like [`exec`](Self::exec), with bytes for the program to read.
    pub async fn exec_with(&self, argv: &[&str], input: &[u8]) -> Result<Output> {
        super::exec::exec(self.leader()?, argv, input).await.with_context(|| format!("on {}", self.name))
    }

    /// Runs a program in the host, which must succeed, and returns what it printed.
    pub async fn run(&self, argv: &[&str]) -> Result<String> {
        self.run_with(argv, b"").await
    }

    /// Like [`run`](Self::run), with bytes for the program to read.
    pub async fn run_with(&self, argv: &[&str], input: &[u8]) -> Result<String> {
        let output = self.exec_with(argv, input).await?;
        if !output.success() {
            let said = format!("{}\n{}", output.stdout, output.stderr);
            bail!(
                "{}: `{}` ended with {}: {}",
                self.name,
                argv.join(" "),
                output.code,
                last_lines(&said, 20)
            );
        }
        Ok(output.stdout)
    }

    /// Starts a program in the host and hands it over running, with whatever the caller adds to it.
    pub fn command(&self, argv: &[&str]) -> Result<tokio::process::Command> {
        Ok(super::exec::command(self.leader()?, argv))
    }

    /// Runs a program for a destructor, which cannot wait otherwise; what it prints is returned if it can.
    pub(crate) fn run_blocking(&self, argv: &[&str]) -> Result<String> {
        let output = super::exec::command(self.leader()?, argv).as_std_mut().output()?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs a program until it succeeds; its last failure is the error when the limit is over.
    pub async fn run_until(&self, limit: Duration, argv: &[&str]) -> Result<String> {
        let mut last = anyhow::anyhow!("it did not end once");
        let attempts = async {
            loop {
                match self.run(argv).await {
                    Ok(output) => return output,
                    Err(error) => last = error,
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        match timeout(limit, attempts).await {
            Ok(output) => Ok(output),
            Err(_) => Err(last.context(format!("not within {limit:?}"))),
        }
    }

    /// Writes a file in the host, with its folders; anybody may read it.
    pub async fn write_file(&self, path: impl AsRef<Path>, contents: impl AsRef<[u8]>) -> Result<()> {
        self.write_file_mode(path, contents, 0o644).await
    }

    /// Writes a file in the host with these permissions.
    pub async fn write_file_mode(
        &self,
        path: impl AsRef<Path>,
        contents: impl AsRef<[u8]>,
        mode: u32,
    ) -> Result<()> {
        let path = super::disk::path(path.as_ref())?;
        let argv = ["install", "-D", "-m", &format!("{mode:o}"), "/dev/stdin", path];
        self.run_with(&argv, contents.as_ref()).await?;
        Ok(())
    }

    /// Reads a text file in the host.
    pub async fn read_file(&self, path: impl AsRef<Path>) -> Result<String> {
        self.run(&["cat", super::disk::path(path.as_ref())?]).await
    }

    /// The process that is PID 1 in the host, as the machine numbers it.
    pub fn leader(&self) -> Result<Pid> {
        let machine = self.machine.lock().expect("no holder of this lock panics");
        machine.as_ref().map(Machine::leader).with_context(|| format!("{} is down", self.name))
    }

    fn take(&self) -> Result<Machine> {
        let mut machine = self.machine.lock().expect("no holder of this lock panics");
        machine.take().with_context(|| format!("{} is down", self.name))
    }

    fn arguments(&self) -> Result<Vec<String>> {
        let mut arguments = vec![
            format!("--directory={}", self.disk.root().display()),
            format!("--hostname={}", self.name),
            format!("--network-bridge={}", net::bridge(self.bed.slot.number())),
        ];
        for bind in &self.options.binds {
            let source = bind
                .source
                .canonicalize()
                .with_context(|| format!("no {} to bind", bind.source.display()))?;
            let option = if bind.writable { "--bind" } else { "--bind-ro" };
            arguments.push(format!("{option}={}:{}", source.display(), bind.target.display()));
        }
        Ok(arguments)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let machine = self.machine.get_mut().expect("no holder of this lock panics").take();
        if let Some(mut machine) = machine
            && let Err(error) = machine.kill().and_then(|()| machine.ended_blocking())
        {
            eprintln!("{}: {error:#}", self.name);
        }
    }
}

/// What the machine names of all hosts in a slot begin with.
pub(super) fn machine_prefix(slot: u8) -> String {
    // A network link is `vb-` and this, at most 15 characters: the host's own name would not fit.
    format!("hms{slot}-")
}

/// The children of a process, in all its threads.
pub(super) fn children(pid: Pid) -> Vec<Pid> {
    let tasks = format!("/proc/{}/task", pid.as_raw_nonzero());
    let Ok(entries) = fs::read_dir(tasks) else { return Vec::new() };
    let lists = entries.flatten().filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|p| p.parse().ok()).collect::<Vec<i32>>())
        .filter_map(Pid::from_raw)
        .collect()
}

/// Kills a process that may be gone already.
pub(super) fn kill(pid: Pid, signal: Signal) -> Result<()> {
    match kill_process(pid, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error).context("cannot signal a host"),
    }
}
