//! What an attack costs the process that is attacked, as the machine's kernel sees it.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use hms_tests::testbed::Host;

/// How much a process may grow by, whatever is done to it, in KiB.
pub(crate) const MOST: u64 = 96 * 1024;

/// A process of a service.
#[derive(Clone, Debug)]
pub(crate) struct Meter {
    program: &'static str,
    pid: i32,
    before: u64,
}

impl Meter {
    /// Finds the process of this program that the host's systemd has started.
    pub(crate) fn of(host: &Host, program: &'static str) -> Result<Self> {
        let parent = format!("PPid:\t{}", host.leader()?.as_raw_pid());
        for entry in fs::read_dir("/proc")? {
            let Ok(pid) = entry?.file_name().to_string_lossy().parse() else { continue };
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            if status.starts_with(&format!("Name:\t{program}\n")) && status.contains(&parent) {
                return Ok(Self { program, pid, before: 0 });
            }
        }
        anyhow::bail!("{program} does not run")
    }

    /// Begins to measure.
    pub(crate) fn begin(&mut self) -> Result<()> {
        // The kernel forgets the most that it was so far.
        fs::write(self.proc("clear_refs"), b"5").with_context(|| format!("{} is gone", self.program))?;
        self.before = self.memory("VmRSS:")?;
        Ok(())
    }

    /// How much the process has grown by at most since, in KiB: it is still the same process, and has grown by less than `most`.
    pub(crate) fn grown(&self, what: &str, most: u64) -> Result<u64> {
        let grown = self.memory("VmHWM:")?.saturating_sub(self.before);
        ensure!(grown < most, "{what}: {} grew by {grown} KiB from {} KiB", self.program, self.before);
        Ok(grown)
    }

    /// How many files and connections it has open.
    pub(crate) fn open_files(&self) -> Result<usize> {
        Ok(fs::read_dir(self.proc("fd"))?.count())
    }

    fn memory(&self, which: &str) -> Result<u64> {
        let status =
            fs::read_to_string(self.proc("status")).with_context(|| format!("{} has ended", self.program))?;
        let line = status.lines().find_map(|line| line.strip_prefix(which)).context("no such line")?;
        Ok(line.trim().trim_end_matches("kB").trim().parse()?)
    }

    fn proc(&self, file: &str) -> PathBuf {
        format!("/proc/{}/{file}", self.pid).into()
    }
}
