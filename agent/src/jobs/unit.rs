//! The unit that a job runs as: its sandbox, its limits, and what is run in it.

use std::{
    fs,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use hms_proto::{
    fault::Fault,
    host::v1::{RunAs, Script},
    names::JobId,
};
use zbus::{Fd, OwnedVariant, Variant};

use super::{capabilities, record::Record, record::Store};
use crate::{
    exec::launch::{LAUNCH, SCRIPT},
    internal,
    systemd::transient::{Properties, WALLS},
};

/// For the launcher, which is in the same control group.
const LAUNCHER_MEMORY: u64 = 16 * 1024 * 1024;
const LAUNCHER_TASKS: u64 = 1;
/// From SIGTERM to SIGKILL; and for writing down the end.
const STOP_USEC: u64 = 10_000_000;
/// A quarter of what a service has: work on the host comes first.
const WEIGHT: u64 = 25;

/// Everything about a job that its unit needs.
pub(super) struct Plan<'a> {
    pub(super) id: &'a JobId,
    pub(super) record: &'a Record,
    pub(super) script: &'a Script,
    pub(super) store: &'a Store,
    pub(super) state: &'a Path,
}

/// The properties of the unit.
pub(super) fn properties(plan: &Plan<'_>) -> Result<Properties, Fault> {
    let broken = |e: &dyn std::fmt::Display| internal(format!("cannot describe the unit of a job: {e}"));
    let (output, notes) = plan.store.streams(plan.id).map_err(|e| broken(&e))?;
    let mut set = Set::default();
    let run = program().map_err(|e| broken(&e))?;
    commands(&mut set, plan, &run);
    limits(&mut set, plan);
    sandbox(&mut set, plan)?;
    set.add("StandardInput", "null");
    for (name, file) in [("StandardOutputFileDescriptor", output), ("StandardErrorFileDescriptor", notes)] {
        set.add(name, Fd::from(OwnedFd::from(file)));
    }
    set.finish()
}

/// Collects properties.
#[derive(Default)]
pub(crate) struct Set(Vec<(String, zbus::Result<OwnedVariant>)>);

impl Set {
    /// Adds one.
    pub(crate) fn add<'a>(&mut self, name: &str, value: impl Into<Variant<'a>>) {
        let owned = OwnedVariant::try_from(value.into());
        self.0.push((name.to_owned(), owned));
    }

    /// Adds these, each of which is switched on.
    pub(crate) fn switch_on(&mut self, names: &[&str]) {
        names.iter().for_each(|name| self.add(name, true));
    }

    /// All of them, as D-Bus takes them.
    pub(crate) fn finish(self) -> Result<Properties, Fault> {
        let broken = |e: zbus::Error| internal(format!("cannot describe a unit to systemd: {e}"));
        self.0.into_iter().map(|(name, value)| Ok((name, value.map_err(broken)?))).collect()
    }
}

/// As a list of texts.
pub(crate) fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|w| (*w).to_owned()).collect()
}

/// This program, also when it was replaced since it started.
pub(crate) fn program() -> std::io::Result<String> {
    let path = std::env::current_exe()?.to_string_lossy().into_owned();
    Ok(path.strip_suffix(" (deleted)").unwrap_or(&path).to_owned())
}

fn commands(set: &mut Set, plan: &Plan<'_>, run: &str) {
    let path = |path: PathBuf| path.to_string_lossy().into_owned();
    set.add("Description", format!("HMS job {}, script {}", plan.id, plan.script.name));
    set.add("Type", "exec");
    set.add("ExecStart", vec![(run.to_owned(), words(&[run, "run-script"]), false)]);
    // In the same sandbox, and with the notes as its standard error. Not as root outside of it (`+`): systemd 252 writes
    // ExecStopPostEx to the unit's file under a name that it does not know, and forgets it at the next daemon-reload.
    set.add("ExecStopPost", vec![(run.to_owned(), words(&[run, "end-job"]), false)]);
    // How it ended is in a file by then: a failed job need not be kept among the failed units of the host.
    set.add("CollectMode", "inactive-or-failed");
    let credentials = [(LAUNCH, plan.store.launch_path(plan.id)), (SCRIPT, plan.store.script_path(plan.id))];
    let credentials: Vec<_> = credentials.into_iter().map(|(name, p)| (name.to_owned(), path(p))).collect();
    set.add("LoadCredential", credentials);
    set.add("WorkingDirectory", "/");
    set.add("UMask", 0o077_u32);
}

fn limits(set: &mut Set, plan: &Plan<'_>) {
    let tasks = u64::from(match plan.script.tasks_limit {
        0 => 64,
        limit => limit,
    }) + LAUNCHER_TASKS;
    set.add("RuntimeMaxUSec", u64::from(plan.record.timeout_s) * 1_000_000);
    set.add("TimeoutStopUSec", STOP_USEC);
    set.add("KillMode", "control-group");
    set.add("SendSIGKILL", true);
    // The launcher stays, for what the script said last.
    set.add("OOMPolicy", "stop");
    set.add("OOMScoreAdjust", 200_i32);
    set.add("MemoryMax", plan.record.memory_limit + LAUNCHER_MEMORY);
    set.add("MemorySwapMax", 0_u64);
    set.add("TasksMax", tasks);
    if plan.script.run_as() == RunAs::Nobody {
        // By user: where there is no control group for tasks, this still holds.
        set.add("LimitNPROC", tasks);
    }
    set.add("LimitCORE", 0_u64);
    set.add("CPUWeight", WEIGHT);
    set.add("IOWeight", WEIGHT);
}

fn sandbox(set: &mut Set, plan: &Plan<'_>) -> Result<(), Fault> {
    let script = plan.script;
    set.switch_on(&WALLS);
    set.add("ProtectSystem", "strict");
    set.add("ProtectHome", "read-only");
    // None may be made.
    set.add("RestrictNamespaces", 0_u64);
    set.add("SystemCallArchitectures", words(&["native"]));
    let families = words(&["AF_UNIX", "AF_INET", "AF_INET6", "AF_NETLINK"]);
    set.add("RestrictAddressFamilies", (true, families));
    set.add("PrivateNetwork", !script.network);
    set.add("InaccessiblePaths", vec![format!("-{}", plan.state.display())]);
    set.add("ReadWritePaths", script.write_paths.iter().map(|p| format!("-{p}")).collect::<Vec<_>>());
    let capabilities = capabilities::set(&script.capabilities)?;
    set.add("CapabilityBoundingSet", capabilities);
    if script.run_as() == RunAs::Nobody {
        set.add("DynamicUser", true);
        set.add("AmbientCapabilities", capabilities);
    }
    let all = fs::read_to_string("/etc/group").unwrap_or_default();
    set.add("SupplementaryGroups", present(&script.groups, &all));
    Ok(())
}

/// The groups that this host has: not each host has all that a script may need on some.
fn present(groups: &[String], all: &str) -> Vec<String> {
    let is_there = |group: &&String| all.lines().any(|line| line.split(':').next() == Some(group.as_str()));
    groups.iter().filter(is_there).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_that_the_host_does_not_have_are_left_out() {
        let all = "root:x:0:\nadm:x:4:syslog\nsystemd-journal:x:101:\n";
        let wanted = ["adm".to_owned(), "ad".to_owned(), "wheel".to_owned()];
        assert_eq!(present(&wanted, all), ["adm"]);
    }
}
