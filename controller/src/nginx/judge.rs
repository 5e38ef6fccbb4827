//! What differs between a host's tree and what was last seen of it, and who did it.

use hms_proto::{
    controller::v1::NginxDrift,
    host::v1::{NginxFile, NginxOutcome, NginxTree},
};

use crate::db::nginx::{Latest, New};

/// A call that was made through HMS, and which files it was about.
#[derive(Debug, Clone, Default)]
pub(super) struct Act {
    pub(super) actor: String,
    pub(super) reason: String,
    pub(super) request_id: String,
    pub(super) apply_id: String,
    pub(super) paths: Vec<String>,
    /// It put an earlier state back.
    pub(super) reverts: bool,
}

impl Act {
    /// What the agent says of the last change: made without the controller, or put back by the agent itself.
    pub(super) fn of_outcome(last: &NginxOutcome) -> Option<Self> {
        let reverts = last.result == "reverted";
        (reverts || matches!(last.result.as_str(), "applied" | "confirmed")).then(|| Self {
            actor: last.actor.clone(),
            reason: if reverts { last.detail.clone() } else { last.reason.clone() },
            apply_id: last.id.clone(),
            paths: last.paths.clone(),
            reverts,
            ..Self::default()
        })
    }

    fn event(&self, kind: Kind) -> &'static str {
        match kind {
            _ if self.reverts => "reverted",
            Kind::Added | Kind::Changed => "applied",
            Kind::Removed => "deleted",
            Kind::Enabled => "enabled",
            Kind::Disabled => "disabled",
        }
    }

    /// A link in sites-enabled/ belongs to the site it enables.
    fn covers(&self, path: &str) -> bool {
        let site = path.strip_prefix("sites-available/");
        self.paths.iter().any(|p| {
            p == path || (site.is_some() && p.strip_prefix("sites-enabled/").is_some_and(|s| Some(s) == site))
        })
    }
}

/// How a file differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Added,
    Changed,
    Removed,
    Enabled,
    Disabled,
}

impl Kind {
    /// As `NginxDrift.kind` has it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Changed => "changed",
            Self::Removed => "removed",
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
        }
    }
}

/// Whether it matters that something includes the file: for a site that is its being enabled. For others it follows from
/// the files that include them.
fn is_site(path: &str) -> bool {
    path.starts_with("sites-available/")
}

/// How the second state of a file differs from the first. An empty hash: no file.
fn differs(path: &str, before: (&str, bool), after: (&str, bool)) -> Option<Kind> {
    match (before.0, after.0) {
        ("", "") => None,
        ("", _) => Some(Kind::Added),
        (_, "") => Some(Kind::Removed),
        (old, new) if old != new => Some(Kind::Changed),
        _ if is_site(path) && before.1 != after.1 => {
            Some(if after.1 { Kind::Enabled } else { Kind::Disabled })
        }
        _ => None,
    }
}

/// One file that is not as it was.
#[derive(Debug)]
pub(super) struct Found<'a> {
    pub(super) path: &'a str,
    pub(super) kind: Kind,
    /// None: it is gone.
    pub(super) file: Option<&'a NginxFile>,
}

/// Which files of the tree are not as they were last seen. What has no hash (a link out of the tree, a socket) is no
/// version of anything.
pub(super) fn found<'a>(latest: &'a [Latest], tree: &'a NginxTree) -> Vec<Found<'a>> {
    let files = tree.files.iter().filter(|f| !f.sha256.is_empty());
    let changed = files.clone().filter_map(|file| {
        let old = latest.iter().find(|l| l.path == file.path);
        let before = old.map_or(("", false), |l| (l.sha256.as_str(), l.enabled));
        let kind = differs(&file.path, before, (&file.sha256, file.enabled))?;
        Some(Found { path: &file.path, kind, file: Some(file) })
    });
    let gone = latest.iter().filter(|l| !l.sha256.is_empty() && !tree.files.iter().any(|f| f.path == l.path));
    changed.chain(gone.map(|l| Found { path: &l.path, kind: Kind::Removed, file: None })).collect()
}

/// Says of one finding what happened and who did it: a call of HMS, what the agent last did, or somebody on the host.
pub(super) fn version(found: &Found<'_>, acts: &[&Act], first: bool) -> New {
    let file = found.file;
    let new = New {
        path: found.path.to_owned(),
        sha256: file.map(|f| f.sha256.clone()).unwrap_or_default(),
        enabled: file.is_some_and(|f| f.enabled),
        ..New::default()
    };
    match acts.iter().find(|act| act.covers(found.path)) {
        Some(act) => New {
            event: act.event(found.kind),
            author: act.actor.clone(),
            reason: act.reason.clone(),
            request_id: act.request_id.clone(),
            apply_id: act.apply_id.clone(),
            ..new
        },
        None if first => New { event: "first-seen", ..new },
        None => New { event: "outside", author: owner(file), reason: outside(found), ..new },
    }
}

/// The last thing the agent did explains a file only if the file was not touched since.
pub(super) fn explains(last: &NginxOutcome, found: &Found<'_>) -> bool {
    found.file.is_none_or(|file| file.modified_usec <= last.time_usec)
}

fn owner(file: Option<&NginxFile>) -> String {
    match file {
        Some(file) if file.owner_uid == 0 => "root on the host".into(),
        Some(file) => format!("uid {} on the host", file.owner_uid),
        None => "somebody on the host".into(),
    }
}

fn outside(found: &Found<'_>) -> String {
    format!("{} outside HMS", found.kind.word())
}

/// How a file differs from what HMS stands for.
pub(super) fn drift(host: &str, latest: &Latest, tree: &NginxTree) -> Option<NginxDrift> {
    let known = latest.known_sha256.as_deref().unwrap_or_default();
    let before = (known, latest.known_enabled.unwrap_or_default());
    let kind = differs(&latest.path, before, (&latest.sha256, latest.enabled))?;
    let file = tree.files.iter().find(|f| f.path == latest.path);
    Some(NginxDrift {
        host: host.to_owned(),
        path: latest.path.clone(),
        kind: kind.word().into(),
        known_sha256: known.to_owned(),
        live_sha256: latest.sha256.clone(),
        diff: String::new(),
        modified_usec: file.map_or(0, |f| f.modified_usec),
        owner_uid: file.map_or(0, |f| f.owner_uid),
        noticed_usec: latest.time.timestamp_micros(),
        known_version_id: latest.known_id.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, sha: &str, enabled: bool) -> NginxFile {
        NginxFile {
            path: path.into(),
            sha256: sha.into(),
            enabled,
            modified_usec: 100,
            ..NginxFile::default()
        }
    }

    fn seen(path: &str, sha: &str, enabled: bool) -> Latest {
        Latest { path: path.into(), sha256: sha.into(), enabled, ..Latest::default() }
    }

    #[test]
    fn every_kind_of_difference_is_found_and_only_sites_are_enabled() {
        let latest = [
            seen("sites-available/a", "1", true),
            seen("sites-available/b", "1", true),
            seen("sites-available/c", "1", false),
            seen("sites-available/d", "1", true),
            seen("snippets/s", "1", false),
            seen("conf.d/gone", "1", true),
            seen("conf.d/long-gone", "", false),
        ];
        let tree = NginxTree {
            files: vec![
                file("sites-available/a", "2", true),
                file("sites-available/b", "1", false),
                file("sites-available/c", "1", true),
                file("sites-available/d", "1", true),
                file("sites-available/new", "9", false),
                file("snippets/s", "1", true),
                file("sites-available/socket", "", false),
            ],
            ..NginxTree::default()
        };
        let told: Vec<_> = found(&latest, &tree).iter().map(|f| (f.path.to_owned(), f.kind)).collect();
        let wanted = [
            ("sites-available/a", Kind::Changed),
            ("sites-available/b", Kind::Disabled),
            ("sites-available/c", Kind::Enabled),
            ("sites-available/new", Kind::Added),
            ("conf.d/gone", Kind::Removed),
        ];
        assert_eq!(told, wanted.map(|(path, kind)| (path.to_owned(), kind)));
    }

    #[test]
    fn a_change_is_the_callers_the_agents_or_somebodys_on_the_host() {
        let file = file("sites-available/a", "2", true);
        let found = Found { path: "sites-available/a", kind: Kind::Changed, file: Some(&file) };
        let act = Act {
            actor: "ada".into(),
            paths: vec!["sites-available/a".into()],
            request_id: "r".into(),
            ..Act::default()
        };
        let by_ada = version(&found, &[&act], false);
        assert_eq!(
            (by_ada.event, by_ada.author.as_str(), by_ada.request_id.as_str()),
            ("applied", "ada", "r")
        );
        let other = Act { paths: vec!["nginx.conf".into()], ..act.clone() };
        let outside = version(&found, &[&other], false);
        assert_eq!((outside.event, outside.author.as_str()), ("outside", "root on the host"));
        assert_eq!(version(&found, &[&other], true).event, "first-seen");
        let back = Act { reverts: true, ..act.clone() };
        assert_eq!(version(&found, &[&back], false).event, "reverted");
        let gone = Found { path: "sites-available/a", kind: Kind::Removed, file: None };
        assert_eq!(version(&gone, &[&act], false).event, "deleted");
    }

    #[test]
    fn the_agents_last_act_does_not_explain_what_was_edited_after_it() {
        let file = file("sites-available/a", "2", true);
        let found = Found { path: "sites-available/a", kind: Kind::Changed, file: Some(&file) };
        let last = |time_usec| NginxOutcome { time_usec, ..NginxOutcome::default() };
        assert!(explains(&last(100), &found));
        assert!(!explains(&last(99), &found));
        let failed = NginxOutcome { result: "rolled-back".into(), ..NginxOutcome::default() };
        assert!(Act::of_outcome(&failed).is_none());
    }

    #[test]
    fn drift_is_measured_against_what_hms_stands_for() {
        let against = |known: Option<&str>, known_enabled, live: &str, enabled| {
            let latest = Latest {
                known_sha256: known.map(ToOwned::to_owned),
                known_enabled: known.map(|_| known_enabled),
                ..seen("sites-available/a", live, enabled)
            };
            drift("asterra", &latest, &NginxTree::default()).map(|d| d.kind)
        };
        assert_eq!(against(Some("1"), true, "1", true), None);
        assert_eq!(against(Some("1"), true, "2", true).as_deref(), Some("changed"));
        assert_eq!(against(Some("1"), true, "1", false).as_deref(), Some("disabled"));
        assert_eq!(against(Some("1"), true, "", false).as_deref(), Some("removed"));
        assert_eq!(against(None, false, "1", true).as_deref(), Some("added"));
        assert_eq!(against(Some(""), false, "1", true).as_deref(), Some("added"));
        assert_eq!(against(None, false, "", false), None, "it came and went");
    }
}
