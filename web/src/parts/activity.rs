//! Who did what, and how it ended: recent activity on the dashboard, and the rows of the audit page.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::events::Mode;
use crate::frame::SAMPLE_NOW_US;
use crate::{Fragment, Template, View};

/// How a call ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OutcomeKind {
    /// It was done.
    Ok,
    /// It was tried and did not succeed.
    Failed,
    /// It was not allowed.
    Denied,
    /// The host could not be reached; nothing was done.
    Unreachable,
    /// It was sent and its answer was lost.
    #[default]
    Unknown,
    /// It has not ended yet.
    Running,
}

impl OutcomeKind {
    /// All of them, in the order of the filter.
    pub const ALL: [Self; 6] =
        [Self::Ok, Self::Failed, Self::Denied, Self::Unreachable, Self::Unknown, Self::Running];

    /// As in the audit and in the query of the audit page.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Denied => "denied",
            Self::Unreachable => "unreachable",
            Self::Unknown => "unknown",
            Self::Running => "running",
        }
    }

    /// From the word of the audit; anything else is unknown.
    pub fn from_word(word: &str) -> Self {
        Self::ALL.into_iter().find(|kind| kind.word() == word).unwrap_or_default()
    }

    /// Its icon, which is called as its word.
    pub fn icon(&self) -> &'static str {
        self.word()
    }
}

/// One call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// Its number in the audit.
    pub seq: i64,
    /// Microseconds since the epoch.
    pub at_us: i64,
    /// Who.
    pub actor: String,
    /// `web`, `rest`, `cli`, `direct`, `agent` or `system`.
    pub source: String,
    /// Where the caller's connection came from; may be empty.
    pub address: String,
    /// The gRPC method: `/hms.host.v1.UnitService/Restart`.
    pub method: String,
    /// The unit, app or other thing it was about.
    pub target: String,
    /// On which host; may be empty.
    pub host: String,
    /// The request as JSON, secrets blanked; may be empty.
    pub params: String,
    /// How it ended.
    pub outcome: OutcomeKind,
    /// Why it did not succeed; may be empty.
    pub detail: String,
    /// How long it took.
    pub took_ms: u64,
    /// What finds it in the logs of HMS; may be empty.
    pub request_id: String,
    /// What it changed, as it was before: JSON; may be empty.
    pub before: String,
    /// The same, as it was afterwards.
    pub after: String,
}

#[derive(Template)]
#[template(path = "parts/activity_row.html")]
struct ActivityPart<'a> {
    act: &'a Activity,
    view: View,
}

impl Activity {
    /// Its id in the page.
    pub fn id(&self) -> String {
        format!("activity-{}", self.seq)
    }

    /// What was done, in words: `restart`, `add host`.
    pub fn verb(&self) -> String {
        let name = self.method.rsplit('/').next().unwrap_or_default();
        if let Some(words) = self.words() {
            return words.to_owned();
        }
        let mut verb = String::new();
        for letter in name.chars() {
            if letter.is_uppercase() && !verb.is_empty() {
                verb.push(' ');
            }
            verb.extend(letter.to_lowercase());
        }
        verb
    }

    /// What it changed, line by line: `del` or `add`, and the line.
    pub fn changes(&self) -> Vec<(&'static str, String)> {
        let (before, after) = (lines(&self.before), lines(&self.after));
        let mut paths: Vec<_> = before.keys().chain(after.keys()).collect();
        paths.sort();
        paths.dedup();
        let changed = paths.into_iter().filter(|path| before.get(*path) != after.get(*path));
        let told = |kind, path: &String, value: Option<&String>| {
            value.map(|value| (kind, format!("{path}: {value}")))
        };
        changed
            .flat_map(|path| [told("del", path, before.get(path)), told("add", path, after.get(path))])
            .flatten()
            .collect()
    }

    /// What it was about, as people recognise it: of an id its beginning.
    pub fn shown_target(&self) -> &str {
        let is_id =
            self.target.len() == 36 && self.target.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
        if is_id { &self.target[..13] } else { &self.target }
    }

    /// Words for methods whose name alone says too little.
    fn words(&self) -> Option<&'static str> {
        let (service, method) = self.method.trim_start_matches('/').split_once('/')?;
        Some(match (service.rsplit('.').next()?, method) {
            ("JobService", "Run") => "run",
            ("JobService", "Start") => "start the job",
            ("JobService", "Cancel") if service.starts_with("hms.host.") => "end the job",
            ("JobService", "Cancel") => "cancel the run",
            ("JobService", "PauseSchedule") => "pause or resume the schedule",
            ("ScriptService", "Sync") => "sync the scripts",
            ("ScriptService", "Install") => "deliver the scripts",
            ("FleetService", "LabelHost") => "label",
            ("NginxService", "Apply") => "change nginx:",
            ("NginxService", "Confirm") => "keep nginx change",
            ("NginxService", "Revert") => "put back nginx change",
            ("NginxService", "Reload") => "reload nginx",
            ("NginxHistoryService", "Adopt") => "adopt nginx edits",
            ("DeploymentService", "Apply") => "apply settings of",
            ("DeploymentService", "Rollback") => "roll back",
            ("AppService", "Start") => "begin work on",
            ("AppService", "Rollback") => "begin to roll back",
            ("AppService", "Edit") => "change settings of",
            ("AppService", "Adopt") => "adopt a file of",
            ("SecretService", "Set") => "change secrets of",
            ("SecretService", "Import") => "import secrets of",
            ("SecretService", "Rotate") => "rotate a secret of",
            ("SecretService", "Reveal") => "reveal a secret of",
            ("SecretService", "Export") => "export secrets of",
            _ => return None,
        })
    }

    /// The page of what it was about; empty where there is none. A deployment is named by the id that was asked for.
    pub fn target_href(&self) -> String {
        let service = self.service().rsplit('.').next().unwrap_or_default();
        let is_of_app = matches!(service, "DeploymentService" | "AppService" | "SecretService");
        if !is_of_app || !crate::parts::is_key(&self.target) {
            return String::new();
        }
        let params: serde_json::Value = serde_json::from_str(&self.params).unwrap_or_default();
        match params.get("id").and_then(serde_json::Value::as_str) {
            Some(id) if service != "SecretService" && id.len() == 36 => {
                format!("/deployments/{}", crate::text::encode(id))
            }
            _ => crate::parts::app_href(&self.target, ""),
        }
    }

    /// The service of the method: `hms.host.v1.UnitService`.
    pub fn service(&self) -> &str {
        self.method.trim_start_matches('/').split('/').next().unwrap_or_default()
    }

    /// As a new row on top of the list (`activity-rows`).
    pub fn added(&self, view: View) -> Fragment {
        Fragment {
            mode: Mode::Prepend,
            max: Some(ActivityList::ROWS),
            ..Fragment::morph("activity-rows", &ActivityPart { act: self, view })
        }
    }

    /// As the row that is there already, when its outcome is known.
    pub fn changed(&self, view: View) -> Fragment {
        Fragment::morph(self.id(), &ActivityPart { act: self, view })
    }

    /// Restart by `actor`, `minutes` ago.
    pub fn sample(seq: i64, verb: &str, target: &str, outcome: OutcomeKind, seconds_ago: i64) -> Self {
        Self {
            seq,
            at_us: SAMPLE_NOW_US - seconds_ago * 1_000_000,
            actor: "henrik".into(),
            source: "web".into(),
            address: "10.213.0.1".into(),
            method: format!("/hms.host.v1.UnitService/{verb}"),
            target: target.into(),
            host: "asterra".into(),
            params: format!("{{\"unit\":\"{target}\"}}"),
            outcome,
            took_ms: 2_410,
            request_id: format!("0193a5c4-7be1-7cc2-9d6e-{seq:012}"),
            ..Self::default()
        }
    }

    /// A few calls, newest first.
    pub fn samples() -> Vec<Self> {
        let refused = Self {
            actor: "vera".into(),
            detail: "vera is a viewer; stop needs operator".into(),
            ..Self::sample(46, "Stop", "puma-cigar.service", OutcomeKind::Denied, 1_260)
        };
        let failed = Self {
            detail: "exit status 1 (exit-code)".into(),
            source: "cli".into(),
            ..Self::sample(47, "Start", "puma-tobacco.service", OutcomeKind::Failed, 93)
        };
        let lost = Self {
            source: "rest".into(),
            host: "borealis".into(),
            detail: "the connection broke while the call was running".into(),
            ..Self::sample(44, "Restart", "puma-tobacco.service", OutcomeKind::Unknown, 5_400)
        };
        let added = Self {
            method: "/hms.controller.v1.FleetService/AddHost".into(),
            ..Self::sample(43, "", "borealis", OutcomeKind::Ok, 88_000)
        };
        vec![
            Self { took_ms: 0, ..Self::sample(48, "Restart", "puma-cigar.service", OutcomeKind::Running, 1) },
            failed,
            refused,
            Self {
                before: r#"{"labels":["web"]}"#.into(),
                after: r#"{"labels":["web","eu"]}"#.into(),
                ..Self::sample(45, "Restart", "puma-cigar.service", OutcomeKind::Ok, 3_700)
            },
            lost,
            added,
        ]
    }
}

/// The values of a JSON text by their paths: `spec.workers`.
fn lines(json: &str) -> BTreeMap<String, String> {
    fn put(path: String, value: Value, lines: &mut BTreeMap<String, String>) {
        let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        match value {
            Value::Null => {}
            Value::Object(map) => {
                map.into_iter().for_each(|(name, value)| put(below(&name), value, lines));
            }
            Value::String(text) => drop(lines.insert(path, text)),
            other => drop(lines.insert(path, other.to_string())),
        }
    }
    let mut lines = BTreeMap::new();
    put(String::new(), serde_json::from_str(json).unwrap_or_default(), &mut lines);
    lines
}

/// The last calls, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActivityList {
    /// At most [`ActivityList::ROWS`].
    pub rows: Vec<Activity>,
}

#[derive(Template)]
#[template(path = "parts/activity.html")]
struct ActivityListPart<'a> {
    activity: &'a ActivityList,
    view: View,
}

impl ActivityList {
    /// How many calls the dashboard shows.
    pub const ROWS: u32 = 12;

    /// The list as it replaces the one in the page (`activity`).
    pub fn fragment(&self, view: View) -> Fragment {
        Fragment::morph("activity", &ActivityListPart { activity: self, view })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_become_words() {
        let act = |method: &str| Activity { method: method.into(), ..Activity::default() };
        assert_eq!(act("/hms.host.v1.UnitService/Restart").verb(), "restart");
        assert_eq!(act("/hms.controller.v1.FleetService/AddHost").verb(), "add host");
        assert_eq!(
            act("/hms.controller.v1.FleetService/AddHost").service(),
            "hms.controller.v1.FleetService"
        );
        assert_eq!(act("/hms.host.v1.JobService/Start").verb(), "start the job");
        assert_eq!(act("/hms.controller.v1.JobService/AddSchedule").verb(), "add schedule");
        assert_eq!(act("/hms.controller.v1.JobService/Cancel").verb(), "cancel the run");
        assert_eq!(act("").verb(), "");
        let about = |target: &str| {
            Activity { target: target.into(), ..Activity::default() }.shown_target().to_owned()
        };
        assert_eq!(about("01a21013-2528-73c0-9307-091638ec706f"), "01a21013-2528");
        assert_eq!(about("puma-cigar.service"), "puma-cigar.service");
        assert_eq!(act("/hms.host.v1.NginxService/Reload").verb(), "reload nginx");
    }

    #[test]
    fn changes_are_told_line_by_line() {
        let act = |before: &str, after: &str| Activity {
            before: before.into(),
            after: after.into(),
            ..Activity::default()
        };
        let told = act(r#"{"a":{"b":1,"c":"x"}}"#, r#"{"a":{"b":2,"c":"x"},"d":[1]}"#).changes();
        assert_eq!(told, [("del", "a.b: 1".into()), ("add", "a.b: 2".into()), ("add", "d: [1]".into())]);
        assert!(act("", "not json").changes().is_empty());
    }

    #[test]
    fn deployments_and_apps_are_linked() {
        let href = |method: &str, target: &str, params: &str| {
            Activity {
                method: method.into(),
                target: target.into(),
                params: params.into(),
                ..Activity::default()
            }
            .target_href()
        };
        let deploy = "/hms.controller.v1.DeploymentService/Deploy";
        let with_id = r#"{"key":"cigar","id":"01a21013-2528-73c0-9307-091638ec706f"}"#;
        assert_eq!(href(deploy, "cigar", with_id), "/deployments/01a21013-2528-73c0-9307-091638ec706f");
        assert_eq!(href(deploy, "cigar", r#"{"key":"cigar"}"#), "/apps/cigar");
        assert_eq!(href("/hms.controller.v1.SecretService/Set", "cigar", "not json"), "/apps/cigar");
        assert_eq!(href("/hms.host.v1.UnitService/Restart", "cigar", ""), "");
        assert_eq!(href(deploy, "\"><script>", ""), "");
    }

    #[test]
    fn outcomes_are_read_back() {
        for kind in OutcomeKind::ALL {
            assert_eq!(OutcomeKind::from_word(kind.word()), kind);
        }
        assert_eq!(OutcomeKind::from_word("<script>"), OutcomeKind::Unknown);
    }
}
