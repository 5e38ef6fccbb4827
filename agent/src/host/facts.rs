//! What changes rarely.

use std::fs;

use hms_proto::{fault::Fault, host::v1::Facts};
use procfs::{Current as _, CurrentSI as _};

use crate::{internal, systemd::Session};

/// Reads the facts. Without systemd, its version is missing.
pub(crate) async fn read(session: Option<&Session>) -> Result<Facts, Fault> {
    let unreadable = |e: procfs::ProcError| internal(format!("cannot read /proc: {e}"));
    let uname = rustix::system::uname();
    let memory = procfs::Meminfo::current().map_err(unreadable)?;
    let stat = procfs::KernelStats::current().map_err(unreadable)?;
    let os = fs::read_to_string("/etc/os-release").or_else(|_| fs::read_to_string("/usr/lib/os-release"));
    let (version, started) = match session {
        Some(session) => (
            session.manager.version().await.unwrap_or_default(),
            session.manager.userspace_timestamp().await.unwrap_or_default(),
        ),
        None => Default::default(),
    };
    // In a container, the kernel has been up for longer than the host.
    let booted = if started > 0 { started } else { stat.btime.saturating_mul(1_000_000) };
    Ok(Facts {
        hostname: uname.nodename().to_string_lossy().into_owned(),
        os: pretty_name(&os.unwrap_or_default()),
        kernel: uname.release().to_string_lossy().into_owned(),
        systemd_version: with_major(&version),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        machine_id: fs::read_to_string("/etc/machine-id").unwrap_or_default().trim().to_owned(),
        booted_usec: i64::try_from(booted).unwrap_or(0),
        cpus: u32::try_from(stat.cpu_time.len()).unwrap_or(0),
        memory_bytes: memory.mem_total,
    })
}

fn pretty_name(os_release: &str) -> String {
    let line = os_release.lines().find_map(|l| l.strip_prefix("PRETTY_NAME="));
    line.unwrap_or("Linux").trim_matches('"').to_owned()
}

/// "252 (252.38-1~deb12u1)", as `systemctl --version` has it.
fn with_major(version: &str) -> String {
    let major: String = version.chars().take_while(char::is_ascii_digit).collect();
    if major.is_empty() || major == version { version.to_owned() } else { format!("{major} ({version})") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_versions() {
        assert_eq!(pretty_name("NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 12\"\n"), "Debian GNU/Linux 12");
        assert_eq!(pretty_name(""), "Linux");
        assert_eq!(with_major("252.38-1~deb12u1"), "252 (252.38-1~deb12u1)");
        assert_eq!(with_major(""), "");
    }
}
