//! `/runs`: everything that was run.

use crate::frame::{Notice, Place};
use crate::parts::{JobState, RunRow};
use crate::{Frame, Template};

/// What was asked for, as typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunsQuery {
    /// A script's name; empty: all.
    pub script: String,
    /// A host; empty: all.
    pub host: String,
    /// A user name; empty: everybody.
    pub actor: String,
    /// A state; empty: all.
    pub state: String,
    /// A schedule's id; empty: all.
    pub schedule: String,
    /// Where the page goes on; empty: from the newest.
    pub cursor: String,
}

/// The history.
#[derive(Clone, Debug, Default, PartialEq, Eq, Template)]
#[template(path = "pages/runs.html")]
pub struct RunsPage {
    /// What surrounds it.
    pub frame: Frame,
    /// What was asked for.
    pub query: RunsQuery,
    /// Scripts to choose from.
    pub scripts: Vec<String>,
    /// Hosts to choose from.
    pub hosts: Vec<String>,
    /// Newest first.
    pub runs: Vec<RunRow>,
    /// Where the next page goes on; empty: this is the last.
    pub next_cursor: String,
    /// Why there is nothing.
    pub problem: Option<Notice>,
}

impl RunsPage {
    /// Whether anything is filtered.
    pub fn is_filtered(&self) -> bool {
        let query = &self.query;
        [&query.script, &query.host, &query.actor, &query.state, &query.schedule]
            .iter()
            .any(|value| !value.is_empty())
    }

    /// Whether a filter is used that a phone folds away.
    pub fn is_narrowed(&self) -> bool {
        let query = &self.query;
        [&query.host, &query.actor, &query.state].iter().any(|value| !value.is_empty())
    }

    /// The states of the filter: value, word, whether it is chosen.
    pub fn states(&self) -> Vec<(&'static str, &'static str, bool)> {
        let shown = JobState::ALL.iter().filter(|state| **state != JobState::Skipped);
        shown.map(|state| (state.key(), state.word(), state.key() == self.query.state)).collect()
    }

    /// Whether this script is chosen.
    pub fn is_script(&self, script: &str) -> bool {
        self.query.script == script
    }

    /// Whether this host is chosen.
    pub fn is_host(&self, host: &str) -> bool {
        self.query.host == host
    }

    /// The link to older runs, with the same filters.
    pub fn older_href(&self) -> String {
        self.href(&self.next_cursor)
    }

    /// The link to the newest runs, with the same filters.
    pub fn newest_href(&self) -> String {
        self.href(&String::new())
    }

    fn href(&self, cursor: &String) -> String {
        let query = &self.query;
        let fields = [
            ("script", &query.script),
            ("host", &query.host),
            ("actor", &query.actor),
            ("state", &query.state),
            ("schedule", &query.schedule),
            ("cursor", cursor),
        ];
        crate::text::href("/runs", &fields)
    }

    /// A page of the middle.
    pub fn sample() -> Self {
        let query = RunsQuery { cursor: "b2Zmc2V0".into(), ..RunsQuery::default() };
        let runs = (0..3).flat_map(|round| {
            RunRow::samples()
                .into_iter()
                .map(move |run| RunRow { created_us: run.created_us - round * 86_400_000_000, ..run })
        });
        Self {
            frame: Frame::sample(Place::Scripts, "Runs"),
            query,
            scripts: vec!["check_disk_space".into(), "parse_logs".into()],
            hosts: vec!["asterra".into(), "borealis".into()],
            runs: runs.collect(),
            next_cursor: "bmV4dA".into(),
            problem: None,
        }
    }

    /// Nothing matched.
    pub fn sample_empty() -> Self {
        let query = RunsQuery { state: "lost".into(), ..RunsQuery::default() };
        Self { runs: vec![], next_cursor: String::new(), query, ..Self::sample() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paging_keeps_the_filters() {
        let mut page = RunsPage::sample();
        page.query.script = "a&b".into();
        assert_eq!(page.older_href(), "/runs?script=a%26b&cursor=bmV4dA");
        assert_eq!(page.newest_href(), "/runs?script=a%26b");
    }
}
