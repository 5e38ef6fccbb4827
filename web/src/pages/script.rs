//! `/scripts/{name}`: the form that runs a script, and everything there is to know of it before it does.

use super::scripts::as_viewer;
use crate::frame::Place;
use crate::parts::{RunRow, ScriptForm};
use crate::{Frame, Template};

/// A script's sandbox and limits, in words: name and value.
pub type Fact = (String, String);

/// The page of one script.
#[derive(Clone, Debug, Default, PartialEq, Eq, Template)]
#[template(path = "pages/script.html")]
pub struct ScriptPage {
    /// What surrounds it.
    pub frame: Frame,
    /// What it does.
    pub description: String,
    /// Whether it is a check, whose findings go to the dashboard.
    pub check: bool,
    /// The form.
    pub form: ScriptForm,
    /// What it may and may not do.
    pub facts: Vec<Fact>,
    /// The script itself.
    pub source: String,
    /// Its hash.
    pub sha256: String,
    /// When it last changed, in microseconds since the epoch.
    pub synced_us: i64,
    /// By whom.
    pub synced_by: String,
    /// Hosts that do not have it, and why: name and reason.
    pub undelivered: Vec<(String, String)>,
    /// Its last runs, newest first.
    pub runs: Vec<RunRow>,
}

impl ScriptPage {
    /// The script, fit to be shown.
    pub fn shown_source(&self) -> String {
        crate::text::plain(&self.source)
    }

    /// How many lines it has.
    pub fn lines(&self) -> usize {
        self.source.lines().count()
    }

    /// The first digits of the hash, as people compare them.
    pub fn short_hash(&self) -> &str {
        self.sha256.get(..12).unwrap_or(&self.sha256)
    }

    /// A script that only looks.
    pub fn sample() -> Self {
        let fact = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let runs = RunRow::samples().into_iter().filter(|run| run.script == "parse_logs").collect();
        Self {
            frame: Frame::sample(Place::Scripts, "Parse logs for errors"),
            description: "Counts what matches in the journal or the logs of nginx, groups what is alike, and shows the last examples.".into(),
            form: ScriptForm::sample(),
            facts: vec![
                fact("Runs as", "a user made for this one run"),
                fact("Groups", "systemd-journal, adm"),
                fact("Network", "none"),
                fact("Writes to", "its own /tmp only"),
                fact("Ends after", "2 min"),
                fact("Memory", "at most 512 MiB"),
                fact("Processes", "at most 64"),
                fact("Output kept", "8.0 MiB"),
                fact("Calls", "awk, grep, journalctl, sort"),
            ],
            source: "#!/bin/bash\nset -euo pipefail\n\nfor argument in \"$@\"; do\n\tcase $argument in\n\t\t--app=*) app=${argument#*=} ;;\n\t\t*) exit 64 ;;\n\tesac\ndone\n".into(),
            sha256: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".into(),
            synced_us: crate::frame::SAMPLE_NOW_US - 86_400_000_000,
            synced_by: "henrik".into(),
            runs,
            ..Self::default()
        }
    }

    /// What was typed does not fit, and a host does not have it.
    pub fn sample_refused() -> Self {
        Self {
            form: ScriptForm::sample_refused(),
            undelivered: vec![("borealis".into(), "borealis cannot be reached".into())],
            ..Self::sample()
        }
    }

    /// A script that changes something.
    pub fn sample_mutating() -> Self {
        Self {
            frame: Frame::sample(Place::Scripts, "Restart a service"),
            form: ScriptForm::sample_mutating(),
            runs: vec![],
            ..Self::sample()
        }
    }

    /// What a viewer sees.
    pub fn sample_viewer() -> Self {
        let mut page = Self::sample();
        as_viewer(&mut page.frame);
        page
    }
}
