//! What an attack costs the process that is attacked.

use anyhow::{Context as _, Result, ensure};

use crate::counts;
use crate::testbed::Host;

/// How much a process may grow by, whatever is done to it.
pub const MOST: u64 = 64 * 1024;

/// A process of a service, and the memory that it had.
pub struct Meter<'a> {
    host: &'a Host,
    unit: &'static str,
    pid: String,
    before: u64,
}

impl<'a> Meter<'a> {
    /// Begins to watch the main process of a unit.
    pub async fn begin(host: &'a Host, unit: &'static str) -> Result<Self> {
        let pid = main_pid(host, unit).await?;
        // The kernel forgets the most that it was so far.
        host.run_with(&["tee", &format!("/proc/{pid}/clear_refs")], b"5").await?;
        let before = memory(host, &pid, "VmRSS:").await?;
        Ok(Self { host, unit, pid, before })
    }

    /// How much the process has grown by at most since, in KiB: it is still the same process, and the growth is bounded.
    pub async fn end(&self, what: &str) -> Result<u64> {
        let pid = main_pid(self.host, self.unit).await?;
        ensure!(pid == self.pid, "{}: {} was restarted", what, self.unit);
        let grown = memory(self.host, &self.pid, "VmHWM:").await?.saturating_sub(self.before);
        counts::rss(what, grown);
        ensure!(grown < MOST, "{what}: {} grew by {grown} KiB from {} KiB", self.unit, self.before);
        Ok(grown)
    }

    /// How many files and connections it has open.
    pub async fn open_files(&self) -> Result<usize> {
        let names = self.host.run(&["ls", &format!("/proc/{}/fd", self.pid)]).await?;
        Ok(names.lines().count())
    }

    /// Bounds how many files and connections it may have open.
    pub async fn limit_files(&self, most: usize) -> Result<()> {
        let limit = format!("--nofile={most}:");
        self.host.run(&["prlimit", "--pid", &self.pid, &limit]).await?;
        Ok(())
    }
}

async fn main_pid(host: &Host, unit: &str) -> Result<String> {
    let pid = host.run(&["systemctl", "show", "--property=MainPID", "--value", unit]).await?;
    Ok(pid.trim().to_owned())
}

async fn memory(host: &Host, pid: &str, which: &str) -> Result<u64> {
    let status = host.read_file(format!("/proc/{pid}/status")).await?;
    let line = status.lines().find_map(|line| line.strip_prefix(which)).context("no such line")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse()?)
}
