//! Secrets of an app: names and versions, and what a change would do. Values are here only where one is revealed.

use std::fmt;

use crate::events::html;
use crate::frame::{Notice, SAMPLE_NOW_US};
use crate::{Fragment, Template, View};

/// One secret, without its value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretRow {
    /// `SECRET_KEY_BASE`
    pub name: String,
    /// The version of the set that its value came with.
    pub version: u32,
    /// Microseconds since the epoch.
    pub changed_us: i64,
    /// By whom.
    pub changed_by: String,
    /// Length in bytes.
    pub length: u32,
}

impl SecretRow {
    /// Its id in the page.
    pub fn row_id(&self) -> String {
        format!("secret-{}", super::slug(&self.name))
    }

    /// Whether a new random value can be made for it.
    pub fn can_be_rotated(&self) -> bool {
        ["SECRET_KEY_BASE", "API_TOKEN", "DATABASE_PASSWORD", "git-private-key"].contains(&self.name.as_str())
    }

    /// What is asked before a new value is made.
    pub fn rotate_question(&self) -> &'static str {
        match self.name.as_str() {
            "SECRET_KEY_BASE" => {
                "With the next deployment everybody who is logged in to the app is logged out."
            }
            "git-private-key" => {
                "Until the new public key is known to the git server, deployments cannot fetch."
            }
            "DATABASE_PASSWORD" => "The role gets the new password with the next deployment.",
            _ => "Whoever uses the old value is refused after the next deployment.",
        }
    }
}

/// What an import would do, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretChange {
    /// Names that are not there yet.
    pub added: Vec<String>,
    /// Names that get another value.
    pub changed: Vec<String>,
    /// Names that go away.
    pub removed: Vec<String>,
    /// Names whose value stays.
    pub unchanged: Vec<String>,
}

impl SecretChange {
    /// Whether anything would change.
    pub fn is_change(&self) -> bool {
        !(self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty())
    }

    /// Kind of line, sign and name, as a diff shows them.
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        let of = |kind, sign: char, names: &[String]| {
            names.iter().map(|name| (kind, format!("{sign} {name}"))).collect::<Vec<_>>()
        };
        [of("add", '+', &self.added), of("change", '~', &self.changed), of("del", '-', &self.removed)]
            .concat()
    }
}

/// A value that is shown this one time.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Revealed {
    /// Whose.
    pub name: String,
    /// The secret itself.
    pub value: String,
}

impl fmt::Debug for Revealed {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("Revealed").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Text of a `.env` file on its way back into the form.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Typed(pub String);

impl fmt::Debug for Typed {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{} bytes", self.0.len())
    }
}

/// The secrets of an app.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretList {
    /// Of which app.
    pub key: String,
    /// The latest version; 0: there is none.
    pub version: u32,
    /// The version that is live, where something is live.
    pub live_version: Option<u32>,
    /// By name.
    pub rows: Vec<SecretRow>,
    /// The public part of the deploy key; empty: there is none.
    pub public_key: String,
    /// What became of the last request.
    pub notice: Option<Notice>,
    /// The name that is being revealed, while its password is asked for.
    pub asking: String,
    /// The value that is shown this once.
    pub revealed: Option<Revealed>,
    /// What was typed into the import.
    pub text: Typed,
    /// Whether what is not in the text goes away.
    pub replace: bool,
    /// What the import would do.
    pub change: Option<SecretChange>,
}

#[derive(Template)]
#[template(path = "parts/secret_list.html")]
struct SecretListPart<'a> {
    secrets: &'a SecretList,
    view: View,
}

impl SecretList {
    /// The answer to a form that was sent by a script.
    pub fn answer(&self, view: View) -> String {
        html(&SecretListPart { secrets: self, view })
    }

    /// As it replaces the one in the page (`secrets`).
    pub fn fragment(&self, view: View) -> Fragment {
        Fragment::morph("secrets", &SecretListPart { secrets: self, view })
    }

    /// Where its forms are sent.
    pub fn action(&self) -> String {
        super::app_href(&self.key, "secrets")
    }

    /// Whether what runs has other secrets than these.
    pub fn is_stale(&self) -> bool {
        self.live_version.is_some_and(|live| live != self.version)
    }

    /// Whether the password for this one is asked for.
    pub fn is_asking(&self, row: &SecretRow) -> bool {
        self.asking == row.name
    }

    /// The value, when it is this one's.
    pub fn shown(&self, row: &SecretRow) -> Option<&Revealed> {
        self.revealed.as_ref().filter(|shown| shown.name == row.name)
    }

    /// A few secrets.
    pub fn sample() -> Self {
        let row = |name: &str, version, days: i64, length| SecretRow {
            name: name.into(),
            version,
            changed_us: SAMPLE_NOW_US - days * 86_400_000_000,
            changed_by: "henrik".into(),
            length,
        };
        Self {
            key: "cigar".into(),
            version: 5,
            live_version: Some(3),
            rows: vec![
                row("API_TOKEN", 5, 1, 64),
                row("DATABASE_PASSWORD", 1, 40, 32),
                row("SECRET_KEY_BASE", 1, 40, 128),
                row("SMTP_PASSWORD", 4, 2, 24),
                row("git-private-key", 2, 39, 411),
            ],
            public_key:
                "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJq0qk0Zr3m3S0mYb4V1sQ0m1u2r1l0m9n8b7v6c5x4z hms-cigar"
                    .into(),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Security case 49.
    #[test]
    fn debug_shows_no_value() {
        let list = SecretList {
            revealed: Some(Revealed { name: "A".into(), value: "canary-1".into() }),
            text: Typed("B=canary-2".into()),
            ..SecretList::default()
        };
        assert!(!format!("{list:?}").contains("canary"));
    }

    #[test]
    fn a_value_is_only_shown_beside_its_name() {
        let mut list = SecretList::sample();
        list.revealed = Some(Revealed { name: "API_TOKEN".into(), value: "canary".into() });
        let html = list.answer(View { role: crate::Role::Admin, now_us: SAMPLE_NOW_US });
        assert_eq!(html.matches("canary").count(), 1);
        list.revealed = Some(Revealed { name: "GONE".into(), value: "canary".into() });
        assert!(!list.answer(View::default()).contains("canary"));
    }

    #[test]
    fn an_import_is_told_by_name() {
        let change = SecretChange {
            added: vec!["A".into()],
            changed: vec!["B".into()],
            unchanged: vec!["C".into()],
            ..SecretChange::default()
        };
        let lines: Vec<_> = change.lines().into_iter().map(|(_, line)| line).collect();
        assert_eq!(lines, ["+ A", "~ B"]);
        assert!(
            change.is_change()
                && !SecretChange { unchanged: vec!["C".into()], ..Default::default() }.is_change()
        );
    }
}
