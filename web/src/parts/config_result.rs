//! What became of a test or a change of nginx: step by step, what was asked before and after, and what is wrong.

use super::{ConfigProblem, ConfigVersion, DiffLine, OutcomeKind};
use crate::events::html;
use crate::{Fragment, Template, View};

/// One step of the pipeline.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigStep {
    /// `lint`, `test`, `reload`, ...
    pub name: String,
    /// Milliseconds.
    pub took_ms: u64,
    /// More about it; may be empty.
    pub detail: String,
}

/// One request to a server name, before and after.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigProbe {
    /// What was asked for.
    pub url: String,
    /// HTTP status before; 0: no answer.
    pub before: u32,
    /// HTTP status after; 0: no answer.
    pub after: u32,
}

impl ConfigProbe {
    /// A status in words.
    pub fn word(status: impl crate::text::Value<u64>) -> String {
        match status.value() {
            0 => "no answer".into(),
            status => status.to_string(),
        }
    }
}

/// Somebody else changed the file meanwhile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigConflict {
    /// Who, as far as known; may be empty.
    pub author: String,
    /// When, in microseconds since the epoch; 0: not known.
    pub at_us: i64,
    /// Why; may be empty.
    pub reason: String,
    /// What they changed.
    pub theirs: Vec<DiffLine>,
    /// Whether both changes fit into one text.
    pub merges: bool,
    /// Whether a merged text is there, with marks or without.
    pub has_merged: bool,
    /// The file is gone.
    pub gone: bool,
}

/// What became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigResult {
    /// How it ended.
    pub kind: OutcomeKind,
    /// The headline.
    pub title: String,
    /// Why; may be empty.
    pub message: String,
    /// What to do next; may be empty.
    pub hint: String,
    /// How long it took.
    pub took_ms: u64,
    /// When it ended, in microseconds since the epoch.
    pub at_us: i64,
    /// What was done.
    pub steps: Vec<ConfigStep>,
    /// What was asked before and after.
    pub probes: Vec<ConfigProbe>,
    /// What is wrong, or odd.
    pub problems: Vec<ConfigProblem>,
    /// Both sides, where somebody else was faster.
    pub conflict: Option<ConfigConflict>,
    /// What finds it in the logs of HMS; may be empty.
    pub request_id: String,
    /// On which host, for links.
    pub host: String,
}

#[derive(Template)]
#[template(path = "parts/config_result.html")]
struct ConfigResultPart<'a> {
    result: &'a Option<ConfigResult>,
    view: View,
}

impl ConfigResult {
    /// The panel as it replaces the one in the page (`config-result`).
    pub fn fragment(result: &Option<Self>, view: View) -> Fragment {
        Fragment::morph("config-result", &ConfigResultPart { result, view })
    }
}

/// A directive outside the ordinary ones, which the writer may say is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accept {
    /// Its name.
    pub directive: String,
    /// Whether it was accepted.
    pub checked: bool,
}

impl Accept {
    /// Those that the problems name, and those that were accepted.
    pub fn of(problems: &[ConfigProblem], accepted: &[String]) -> Vec<Self> {
        let named = problems.iter().map(|p| &p.directive).filter(|d| !d.is_empty());
        let mut all: Vec<&String> = named.chain(accepted).collect();
        all.sort();
        all.dedup();
        let of =
            |directive: &String| Self { directive: directive.clone(), checked: accepted.contains(directive) };
        all.into_iter().map(of).collect()
    }
}

#[derive(Template)]
#[template(path = "parts/config_problems.html")]
struct ConfigProblemsPart<'a> {
    host: &'a str,
    path: &'a str,
    problems: &'a [ConfigProblem],
    accepts: &'a [Accept],
    tested: bool,
}

/// The problems of the text in the editor, as they replace those in the page (`config-problems`).
pub fn problems_html(host: &str, path: &str, problems: &[ConfigProblem], accepts: &[Accept]) -> String {
    html(&ConfigProblemsPart { host, path, problems, accepts, tested: true })
}

#[derive(Template)]
#[template(path = "parts/config_history.html")]
struct ConfigHistoryPart<'a> {
    versions: &'a [ConfigVersion],
    view: View,
}

/// The versions of a file as they replace those in the page (`config-history`).
pub fn history_fragment(versions: &[ConfigVersion], view: View) -> Fragment {
    Fragment::morph("config-history", &ConfigHistoryPart { versions, view })
}

/// The answer to a script of the editor.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct ConfigAnswer {
    /// Whether it would be taken, or was.
    pub ok: bool,
    /// For the markers at their lines.
    pub problems: Vec<ConfigProblem>,
    /// Elements that replace those of the same id.
    pub html: String,
    /// The hash of the file now, where it is known.
    pub sha256: Option<String>,
    /// The file now, after a conflict.
    pub theirs: Option<String>,
    /// Both changes in one text, after a conflict.
    pub merged: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_accepted_stays_on_offer_and_each_directive_once() {
        let problem = |directive: &str| ConfigProblem { directive: directive.into(), ..Default::default() };
        let accepts = Accept::of(&[problem("perl"), problem(""), problem("perl")], &["js_import".to_owned()]);
        let told: Vec<_> = accepts.iter().map(|a| (a.directive.as_str(), a.checked)).collect();
        assert_eq!(told, [("js_import", true), ("perl", false)]);
    }
}
