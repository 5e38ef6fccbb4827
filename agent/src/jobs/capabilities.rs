//! Capabilities by name, as the set of bits that systemd wants.

use hms_proto::fault::Fault;

/// In the order of their numbers (linux/capability.h), without `CAP_`.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// The set with these capabilities.
pub(super) fn set(names: &[String]) -> Result<u64, Fault> {
    names.iter().try_fold(0, |set, name| {
        let number = NAMES.iter().position(|known| name.strip_prefix("CAP_") == Some(*known));
        let number = number.ok_or_else(|| Fault::invalid(format!("`{name}` is not a capability")))?;
        Ok(set | 1 << number)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_bits() {
        let set = |names: &[&str]| set(&names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>());
        assert_eq!(set(&[]).unwrap(), 0);
        assert_eq!(set(&["CAP_CHOWN", "CAP_DAC_READ_SEARCH"]).unwrap(), 0b101);
        assert_eq!(set(&["CAP_SYS_ADMIN"]).unwrap(), 1 << 21);
        assert_eq!(set(&["CAP_CHECKPOINT_RESTORE"]).unwrap(), 1 << 40);
        assert!(set(&["CAP_X"]).is_err() && set(&["CHOWN"]).is_err());
    }
}
