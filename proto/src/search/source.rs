//! Logs by name: `journal`, `access`, `error/cigar.error.log`, `app/production.log`.

use std::fmt;

use crate::{fault::Fault, host::v1::LogKind};

/// Where entries are written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SourceKind {
    /// journald.
    Journal,
    /// Access logs of nginx.
    Access,
    /// Error logs of nginx.
    Error,
    /// Files of an app in shared/log.
    App,
}

impl SourceKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Journal, Self::App, Self::Access, Self::Error];

    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Journal => "journal",
            Self::Access => "access",
            Self::Error => "error",
            Self::App => "app",
        }
    }

    /// As the contract has it.
    pub fn to_proto(self) -> LogKind {
        match self {
            Self::Journal => LogKind::Journal,
            Self::Access => LogKind::NginxAccess,
            Self::Error => LogKind::NginxError,
            Self::App => LogKind::App,
        }
    }
}

/// All logs of a kind, or one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceName {
    /// Which kind.
    pub kind: SourceKind,
    /// Which file; empty: all.
    pub file: String,
}

impl From<SourceKind> for SourceName {
    fn from(kind: SourceKind) -> Self {
        Self { kind, file: String::new() }
    }
}

impl std::str::FromStr for SourceName {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        let (word, file) = text.split_once('/').map_or((text, None), |(word, file)| (word, Some(file)));
        let kind = SourceKind::ALL.into_iter().find(|kind| kind.word() == word);
        let fits = |file: &str| {
            (1..=255).contains(&file.len())
                && !file.starts_with(['.', '-'])
                && file.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        };
        match (kind, file) {
            (Some(kind), None) => Ok(kind.into()),
            (Some(kind), Some(file)) if kind != SourceKind::Journal && fits(file) => {
                Ok(Self { kind, file: file.to_owned() })
            }
            _ => {
                let shown: String = text.chars().take(64).flat_map(char::escape_debug).collect();
                Err(Fault::invalid(format!("`{shown}` is no source of logs")).hint(
                    "Sources are journal, access, error and app; a file of the last three as `access/access.log`.",
                ))
            }
        }
    }
}

impl fmt::Display for SourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.file.as_str() {
            "" => f.write_str(self.kind.word()),
            file => write!(f, "{}/{file}", self.kind.word()),
        }
    }
}
