//! What somebody may act on, as arguments and as words.

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use hms_proto::{
    controller::v1::Scope,
    names::{AppKey, HostName},
};

use crate::complete;

/// Which hosts and apps.
#[derive(Debug, Args)]
pub(super) struct Reach {
    /// The whole installation, with all that will be added to it
    #[arg(long, conflicts_with_all = ["hosts", "apps"])]
    all: bool,
    /// All that is on this host; may be repeated
    #[arg(long = "on", value_name = "HOST", add = ArgValueCompleter::new(complete::hosts))]
    hosts: Vec<HostName>,
    /// This app, wherever it runs; may be repeated
    #[arg(long = "app", value_name = "KEY", add = ArgValueCompleter::new(complete::apps))]
    apps: Vec<AppKey>,
}

impl Reach {
    /// As it was asked for, if it was.
    pub(super) fn asked(&self) -> Option<Scope> {
        let scope = Scope {
            all: self.all,
            hosts: self.hosts.iter().map(ToString::to_string).collect(),
            apps: self.apps.iter().map(ToString::to_string).collect(),
        };
        (scope != Scope::default()).then_some(scope)
    }
}

/// In words: `everything`, `host web1, app cigar`.
pub(super) fn words(scope: Option<&Scope>) -> String {
    let Some(scope) = scope else { return "nothing".into() };
    if scope.all {
        return "everything".into();
    }
    let hosts = scope.hosts.iter().map(|host| format!("host {host}"));
    let all: Vec<String> = hosts.chain(scope.apps.iter().map(|app| format!("app {app}"))).collect();
    if all.is_empty() { "nothing".into() } else { all.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_in_words() {
        let scope = |all, hosts: &[&str], apps: &[&str]| Scope {
            all,
            hosts: hosts.iter().map(ToString::to_string).collect(),
            apps: apps.iter().map(ToString::to_string).collect(),
        };
        assert_eq!(words(Some(&scope(true, &[], &[]))), "everything");
        assert_eq!(words(Some(&scope(false, &["web1"], &["cigar"]))), "host web1, app cigar");
        assert_eq!(words(Some(&Scope::default())), "nothing");
        assert_eq!(words(None), "nothing");
    }
}
