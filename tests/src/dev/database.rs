//! A private PostgreSQL for unit tests: no port, no password, gone when the run is over.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use hms_tests::command::run;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// A running database server; dropping it stops it.
pub(crate) struct Database {
    server: Child,
    folder: TempDir,
}

impl Database {
    /// Makes a cluster in a temporary folder and starts it.
    pub(crate) fn start() -> Result<Self> {
        // Not below the cache: that is in root's home, which PostgreSQL's own user cannot enter.
        let folder = tempfile::Builder::new().prefix("hms-postgresql-").tempdir()?;
        let path = folder.path().to_str().context("the temporary folder is not valid UTF-8")?;
        run(&["chown", "postgres:", path])?;
        run(&["chmod", "711", path])?;
        let programs = programs()?;
        let data = format!("{path}/data");
        let initdb = programs.join("initdb");
        let options =
            ["--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"];
        let server = initdb.to_str().context("a path is not valid UTF-8")?;
        run(&[&["setpriv"], &AS_POSTGRES[..], &[server, "-D", &data], &options[..]].concat())?;
        let server = spawn(&programs, folder.path(), &data)?;
        let mut database = Self { server, folder };
        database.wait_until_up(&programs)?;
        Ok(database)
    }

    /// The address to hand to tests; its user may create databases.
    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres@localhost/postgres?host={}", self.folder.path().display())
    }

    fn wait_until_up(&mut self, programs: &Path) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let ready = Command::new(programs.join("pg_isready"))
                .args(["--quiet", "--username=postgres"])
                .arg(format!("--host={}", self.folder.path().display()))
                .status()?;
            if ready.success() {
                return Ok(());
            }
            if let Some(status) = self.server.try_wait()? {
                bail!("PostgreSQL ended at once ({status})");
            }
            if Instant::now() > deadline {
                bail!("PostgreSQL does not answer");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let pid = i32::try_from(self.server.id()).ok().and_then(Pid::from_raw);
        // "Fast shutdown"; nothing in it is worth waiting for.
        if let Some(pid) = pid
            && kill_process(pid, Signal::INT).is_ok()
        {
            self.server.wait().ok();
        }
    }
}

/// PostgreSQL refuses to run as root.
const AS_POSTGRES: [&str; 3] = ["--reuid=postgres", "--regid=postgres", "--init-groups"];

fn spawn(programs: &Path, folder: &Path, data: &str) -> Result<Child> {
    let mut command = Command::new("setpriv");
    command.args(AS_POSTGRES);
    // The server ends with us, also when we are killed.
    command.arg("--pdeathsig=INT");
    command.arg(programs.join("postgres")).args(["-D", data, "-k"]).arg(folder);
    for setting in ["listen_addresses=", "fsync=off", "synchronous_commit=off", "full_page_writes=off"] {
        command.args(["-c", setting]);
    }
    command.args(["-c", "max_connections=300", "-c", "log_min_messages=panic"]);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command.spawn().context("cannot start PostgreSQL")
}

/// The folder of the newest server that is installed.
fn programs() -> Result<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = Vec::new();
    for entry in std::fs::read_dir("/usr/lib/postgresql").context("PostgreSQL is not installed")? {
        let folder = entry?.path();
        let version = folder.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
        if let Some(version) = version
            && folder.join("bin/postgres").exists()
        {
            versions.push((version, folder.join("bin")));
        }
    }
    versions.sort();
    versions.pop().map(|(_, folder)| folder).context("PostgreSQL is not installed")
}
