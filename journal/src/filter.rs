//! Which entries: data that they must have, put together with "and" and "or".

/// A condition on the fields of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// Every entry.
    All,
    /// Entries that have exactly this field: `_SYSTEMD_UNIT=nginx.service`.
    Field(Vec<u8>),
    /// Entries that fulfil every one of these.
    And(Vec<Filter>),
    /// Entries that fulfil at least one of these.
    Or(Vec<Filter>),
}

impl Filter {
    /// Entries that have this field with this value.
    pub fn field(name: &str, value: &str) -> Self {
        Self::Field(format!("{name}={value}").into_bytes())
    }

    /// What a unit wrote, and what systemd and the coredump handler say of it: `journalctl --unit`.
    pub fn unit(name: &str) -> Self {
        // The message of systemd-coredump (sd-messages(3), SD_MESSAGE_COREDUMP).
        let coredump = Self::field("MESSAGE_ID", "fc2e22bc6ee647b6b90729ab34a250b1");
        Self::Or(vec![
            Self::field("_SYSTEMD_UNIT", name),
            Self::And(vec![coredump, Self::field("_UID", "0"), Self::field("COREDUMP_UNIT", name)]),
            Self::And(vec![Self::field("_PID", "1"), Self::field("UNIT", name)]),
            Self::And(vec![Self::field("_UID", "0"), Self::field("OBJECT_SYSTEMD_UNIT", name)]),
        ])
    }

    /// Entries at least as severe: 0 (emerg) to 7 (debug). Those that have no priority are left out, as journalctl does.
    pub fn priority(least: u8) -> Self {
        Self::Or((0..=least.min(7)).map(|p| Self::field("PRIORITY", &p.to_string())).collect())
    }
}
