//! Units that HMS does not touch, whoever asks: without them the host, or the way back to it, is lost.

use hms_proto::fault::{Fault, FaultKind};

/// What is about to be done with a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    /// Start it.
    Start,
    /// Stop it.
    Stop,
    /// Stop and start it.
    Restart,
    /// Have it read its configuration again.
    Reload,
    /// Start it at boot.
    Enable,
    /// No longer start it at boot.
    Disable,
}

impl Verb {
    /// As in "cannot … x.service".
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Reload => "reload",
            Self::Enable => "enable",
            Self::Disable => "disable",
        }
    }
}

/// systemd.special(7): targets that bring the host down, or take it to a state nobody can log in to. Services that do
/// the same work have the same stems after `systemd-`.
const POWER: [&str; 17] = [
    "poweroff",
    "reboot",
    "halt",
    "kexec",
    "exit",
    "shutdown",
    "rescue",
    "emergency",
    "final",
    "umount",
    "sleep",
    "suspend",
    "hibernate",
    "hybrid-sleep",
    "suspend-then-hibernate",
    "soft-reboot",
    "ctrl-alt-del",
];

/// Refuses what must not be done to a unit with these names. All are looked at: an alias is no way around.
pub(crate) fn check(verb: Verb, names: &[String]) -> Result<(), Fault> {
    names.iter().try_for_each(|name| check_one(verb, name))
}

fn check_one(verb: Verb, name: &str) -> Result<(), Fault> {
    let (stem, kind) = name.rsplit_once('.').unwrap_or((name, ""));
    let takes_down = matches!(verb, Verb::Stop | Verb::Disable);
    let refuse = |why: &str, hint: &str| {
        let message = format!("HMS does not {} `{name}`: {why}", verb.word());
        Err(Fault::new(FaultKind::Denied, message).hint(hint))
    };
    if is_power(stem) {
        return refuse("it would bring the host down", "Do this on the host itself.");
    }
    if kind == "target" && verb != Verb::Reload {
        return refuse("a target acts on many units at once", "Act on the units that you mean.");
    }
    if stem == "hms-agent" && (takes_down || verb == Verb::Restart) {
        return refuse(
            "the call itself runs in it, so its answer would be lost",
            "Run `systemctl restart hms-agent` on the host.",
        );
    }
    if stem.starts_with("hms-job-") {
        return refuse("it is a job", "End the job instead: `hmsctl jobs cancel`.");
    }
    if is_bus(stem) && (takes_down || verb == Verb::Restart) {
        return refuse("the host does not work without its message bus", "Reboot the host instead.");
    }
    if takes_down && (matches!(stem, "ssh" | "sshd") || stem.starts_with("ssh@") || stem.starts_with("sshd@"))
    {
        return refuse("it is the way back to the host", "Do this on the host itself, if you must.");
    }
    if takes_down && stem.starts_with("systemd-") {
        return refuse("it is a part of systemd", "Do this on the host itself, if you must.");
    }
    Ok(())
}

fn is_power(stem: &str) -> bool {
    POWER.contains(&stem.strip_prefix("systemd-").unwrap_or(stem))
}

fn is_bus(stem: &str) -> bool {
    stem == "dbus" || stem.starts_with("dbus-") && stem.contains("broker")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(verb: Verb, name: &str) -> bool {
        check(verb, &[name.to_owned()]).is_ok()
    }

    /// Security case 32.
    #[test]
    fn what_the_host_cannot_do_without_is_not_taken_down() {
        for name in [
            "hms-agent.service",
            "dbus.service",
            "dbus.socket",
            "dbus-broker.service",
            "ssh.service",
            "sshd.service",
            "ssh.socket",
            "ssh@1.service",
            "systemd-journald.service",
            "systemd-networkd.service",
            "multi-user.target",
            "basic.target",
        ] {
            assert!(!allows(Verb::Stop, name), "stop {name}");
            assert!(!allows(Verb::Disable, name), "disable {name}");
        }
        for name in
            ["poweroff.target", "reboot.target", "systemd-reboot.service", "rescue.service", "halt.target"]
        {
            for verb in [Verb::Start, Verb::Restart, Verb::Stop, Verb::Enable] {
                assert!(!allows(verb, name), "{} {name}", verb.word());
            }
        }
        assert!(!allows(Verb::Stop, "hms-job-0193f0a2-5b7e-7c3a-9d41-2f6d1c0e8a55.service"));
        assert!(!allows(Verb::Restart, "hms-agent.service"));
        assert!(!allows(Verb::Restart, "dbus.service"));
    }

    #[test]
    fn ordinary_work_is_allowed() {
        for (verb, name) in [
            (Verb::Stop, "puma-cigar.service"),
            (Verb::Disable, "nginx.service"),
            (Verb::Restart, "ssh.service"),
            (Verb::Restart, "systemd-journald.service"),
            (Verb::Reload, "dbus.service"),
            (Verb::Stop, "logrotate.timer"),
            (Verb::Stop, "sshguard.service"),
        ] {
            assert!(allows(verb, name), "{} {name}", verb.word());
        }
    }

    #[test]
    fn an_alias_is_no_way_around() {
        let names = ["innocent.service".to_owned(), "sshd.service".to_owned()];
        let fault = check(Verb::Stop, &names).unwrap_err();
        assert_eq!(fault.kind(), FaultKind::Denied);
        assert!(fault.message.contains("sshd.service"));
    }
}
