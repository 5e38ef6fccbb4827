//! `/audit`: every change and every refusal.

use crate::frame::Place;
use crate::parts::{Activity, OutcomeKind};
use crate::{Frame, Template};

/// What was asked for, as typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditQuery {
    /// A user name; empty: everybody.
    pub actor: String,
    /// A host; empty: all.
    pub host: String,
    /// The word of an outcome; empty: all.
    pub result: String,
    /// Part of the method: `Restart`.
    pub method: String,
    /// `2 h`, `2026-11-24 18:00`; empty: no beginning.
    pub since: String,
    /// As `since`; empty: no end.
    pub until: String,
    /// `web`, `direct`, …; empty: all.
    pub source: String,
    /// Text in the target, the request, the address or the reason; empty: any.
    pub text: String,
    /// Only records older than this number; 0: from the newest.
    pub before: i64,
}

/// How the chain of the audit is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// The last row that was verified.
    pub verified: i64,
    /// The last row.
    pub rows: i64,
    /// How many hosts hold a head of it.
    pub hosts: usize,
    /// What is wrong with the first row that is; empty: nothing was found.
    pub broken: String,
    /// What hosts say that contradicts it.
    pub alarms: Vec<String>,
}

/// The audit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Template)]
#[template(path = "pages/audit.html")]
pub struct AuditPage {
    /// What surrounds it.
    pub frame: Frame,
    /// What was asked for.
    pub query: AuditQuery,
    /// Newest first.
    pub rows: Vec<Activity>,
    /// Hosts to choose from.
    pub hosts: Vec<String>,
    /// `before` of the next page; 0: this is the last.
    pub next_before: i64,
    /// How the chain is; nothing, when nobody can say.
    pub chain: Option<Chain>,
    /// Why there is nothing: a time that is none.
    pub problem: Option<crate::frame::Notice>,
}

impl AuditPage {
    /// Whether anything is filtered.
    pub fn is_filtered(&self) -> bool {
        let query = &self.query;
        let fields = [
            &query.actor,
            &query.host,
            &query.result,
            &query.method,
            &query.since,
            &query.until,
            &query.source,
        ];
        fields.iter().any(|value| !value.is_empty()) || !query.text.is_empty()
    }

    /// Whether a filter is used that a phone folds away.
    pub fn is_narrowed(&self) -> bool {
        let query = &self.query;
        let fields = [&query.host, &query.result, &query.since, &query.until, &query.source, &query.text];
        fields.iter().any(|value| !value.is_empty())
    }

    /// The outcomes of the filter: word, whether it is chosen.
    pub fn outcomes(&self) -> Vec<(&'static str, bool)> {
        OutcomeKind::ALL.iter().map(|kind| (kind.word(), kind.word() == self.query.result)).collect()
    }

    /// The ways of the filter: word, whether it is chosen.
    pub fn sources(&self) -> Vec<(&'static str, bool)> {
        ["web", "rest", "cli", "direct", "schedule", "agent", "system"]
            .map(|word| (word, word == self.query.source))
            .into()
    }

    /// Whether this host is chosen.
    pub fn is_host(&self, host: &str) -> bool {
        self.query.host == host
    }

    /// The link to older records, with the same filters.
    pub fn older_href(&self) -> String {
        self.href("/audit", self.next_before)
    }

    /// The link to the newest records, with the same filters.
    pub fn newest_href(&self) -> String {
        self.href("/audit", 0)
    }

    /// The link to a file with all records of the same filters.
    pub fn export_href(&self, form: &str) -> String {
        self.href(&format!("/audit/export.{form}"), 0)
    }

    fn href(&self, path: &str, before: i64) -> String {
        let query = &self.query;
        let before = if before == 0 { String::new() } else { before.to_string() };
        let fields = [
            ("actor", &query.actor),
            ("host", &query.host),
            ("result", &query.result),
            ("method", &query.method),
            ("since", &query.since),
            ("until", &query.until),
            ("source", &query.source),
            ("text", &query.text),
            ("before", &before),
        ];
        crate::text::href(path, &fields)
    }

    /// A page of the middle.
    pub fn sample() -> Self {
        let rows = (0..4)
            .flat_map(|round| {
                Activity::samples().into_iter().map(move |act| Activity {
                    seq: act.seq - round * 10,
                    at_us: act.at_us - round * 86_400_000_000,
                    ..act
                })
            })
            .collect();
        Self {
            frame: Frame::sample(Place::Audit, "Audit"),
            rows,
            hosts: vec!["asterra".into(), "borealis".into()],
            next_before: 13,
            chain: Some(Chain { verified: 1_204, rows: 1_204, hosts: 2, ..Chain::default() }),
            ..Self::default()
        }
    }

    /// Nothing matched.
    pub fn sample_empty() -> Self {
        let query = AuditQuery { actor: "nobody".into(), ..AuditQuery::default() };
        Self { rows: vec![], next_before: 0, query, ..Self::sample() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paging_keeps_the_filters() {
        let mut page = AuditPage::sample();
        page.query = AuditQuery { actor: "a&b".into(), since: "2 h".into(), ..AuditQuery::default() };
        assert_eq!(page.older_href(), "/audit?actor=a%26b&since=2%20h&before=13");
        assert_eq!(page.newest_href(), "/audit?actor=a%26b&since=2%20h");
        page.query.before = 13;
        assert_eq!(page.export_href("csv"), "/audit/export.csv?actor=a%26b&since=2%20h");
    }
}
