//! `hms-agent end-job`, which systemd runs when the last process of a job is gone (`ExecStopPost=`): it notes how the
//! unit ended, whether or not an agent is there. It has the sandbox of the job, and the notes as its standard error.

use std::{fs, io, os::fd::AsFd as _};

use crate::{
    exec::launch::{Note, Notebook, Over},
    now_usec,
};

/// Notes the end of the unit that this runs in.
pub(crate) fn end() {
    Notebook(io::stderr()).write(&Note::Over(over()));
    // Without it the end is only in memory; on a disk that cannot write there is nobody to tell.
    rustix::fs::fdatasync(io::stderr().as_fd()).ok();
}

/// What systemd says in the environment.
fn over() -> Over {
    let said = |name| std::env::var(name).unwrap_or_default();
    let group = fs::read_to_string("/proc/self/cgroup").ok().and_then(|text| unified(&text));
    let counted = |file: &str| {
        let group = group.as_ref()?;
        fs::read_to_string(format!("/sys/fs/cgroup{group}/{file}")).ok()
    };
    Over {
        at: now_usec(),
        result: said("SERVICE_RESULT"),
        code: said("EXIT_CODE"),
        status: said("EXIT_STATUS"),
        peak_memory: counted("memory.peak").and_then(|text| text.trim().parse().ok()),
        cpu_usec: counted("cpu.stat").and_then(|text| usage(&text)),
    }
}

/// The control group, where there is one hierarchy. This runs in the group of the job.
fn unified(text: &str) -> Option<String> {
    text.lines().find_map(|line| line.strip_prefix("0::")).map(str::to_owned)
}

fn usage(stat: &str) -> Option<u64> {
    stat.lines().find_map(|line| line.strip_prefix("usage_usec ")?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_counted_is_read() {
        assert_eq!(usage("usage_usec 1234\nuser_usec 1000\n"), Some(1234));
        assert_eq!(usage(""), None);
        let both = "12:pids:/x\n0::/system.slice/hms-job-1.service\n";
        assert_eq!(unified(both).as_deref(), Some("/system.slice/hms-job-1.service"));
    }
}
