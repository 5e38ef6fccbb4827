//! `/logs`: what an app or a host wrote, now and before.

use crate::frame::{Notice, Place, Tone};
use crate::parts::LogItem;
use crate::{Frame, Template};

/// What can be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogSource {
    /// `app:cigar`, `host:asterra`.
    pub value: String,
    /// `cigar on asterra`, `asterra`.
    pub label: String,
}

/// What was asked for, as typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogsQuery {
    /// `app:cigar`, `host:asterra`; empty: nothing was chosen yet.
    pub source: String,
    /// How many entries of the past: `200`.
    pub lines: String,
    /// `2 h`, `2026-11-24 18:00`; empty: no beginning.
    pub since: String,
    /// As `since`; empty: no end.
    pub until: String,
    /// Least severity, `0` to `7`; empty: all.
    pub priority: String,
    /// Regular expression.
    pub q: String,
    /// Whether new entries are shown as they are written.
    pub follow: bool,
}

/// The logs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Template)]
#[template(path = "pages/logs.html")]
pub struct LogsPage {
    /// What surrounds it. When it follows, its stream is `/events?view=logs&` with the query of the page and `after` the
    /// last cursor.
    pub frame: Frame,
    /// Apps to choose from.
    pub apps: Vec<LogSource>,
    /// Hosts to choose from.
    pub hosts: Vec<LogSource>,
    /// What was asked for.
    pub query: LogsQuery,
    /// Oldest first.
    pub items: Vec<LogItem>,
    /// Why there is nothing, or not all: a bad expression, an unreachable host.
    pub problem: Option<Notice>,
    /// How long the answer took; 0 when nothing was asked.
    pub took_ms: u64,
}

impl LogsPage {
    /// Whether nothing was chosen yet.
    pub fn is_unasked(&self) -> bool {
        self.query.source.is_empty()
    }

    /// Whether a filter is used that a phone folds away.
    pub fn is_narrowed(&self) -> bool {
        let query = &self.query;
        [&query.priority, &query.since, &query.until].iter().any(|value| !value.is_empty())
    }

    /// Whether this source is chosen.
    pub fn is_chosen(&self, source: &LogSource) -> bool {
        self.query.source == source.value
    }

    /// What is read, in words.
    pub fn chosen(&self) -> &str {
        let all = self.apps.iter().chain(&self.hosts);
        all.into_iter()
            .find(|source| self.is_chosen(source))
            .map_or(&self.query.source, |source| &source.label)
    }

    /// The severities of the filter: value, word, whether it is chosen.
    pub fn severities(&self) -> Vec<(String, String, bool)> {
        let word = |index: usize| match index {
            7 => "everything".to_owned(),
            _ => format!("{} and worse", crate::parts::PRIORITIES[index]),
        };
        (2..8)
            .rev()
            .map(|index| {
                let value = if index == 7 { String::new() } else { index.to_string() };
                let chosen = self.query.priority == value || (index == 7 && self.query.priority == "7");
                (value, word(index), chosen)
            })
            .collect()
    }

    /// The choices of the past: value, word, whether it is chosen. What was typed elsewhere is kept.
    pub fn lengths(&self) -> Vec<(String, bool)> {
        let mut lengths: Vec<String> = ["100", "200", "500", "1000", "5000"].map(str::to_owned).to_vec();
        if !self.query.lines.is_empty() && !lengths.contains(&self.query.lines) {
            lengths.push(self.query.lines.clone());
        }
        let asked = if self.query.lines.is_empty() { "200" } else { &self.query.lines };
        lengths.iter().map(|length| (length.clone(), length == asked)).collect()
    }

    /// How many entries are shown.
    pub fn entries(&self) -> usize {
        self.items.iter().filter(|item| matches!(item, LogItem::Row(_))).count()
    }

    /// The log of an app, followed.
    pub fn sample() -> Self {
        let source = |value: &str, label: &str| LogSource { value: value.into(), label: label.into() };
        let query = LogsQuery {
            source: "app:cigar".into(),
            lines: "200".into(),
            follow: true,
            ..LogsQuery::default()
        };
        let mut items = LogItem::samples();
        items.insert(20, LogItem::Gap { reason: "slow-reader".into(), count: 112 });
        Self {
            frame: Frame {
                events: "/events?view=logs&source=app%3Acigar&after=s%3D8f3a%3Bi%3D35".into(),
                ..Frame::sample(Place::Logs, "Logs")
            },
            apps: vec![source("app:cigar", "cigar on asterra"), source("app:tobacco", "tobacco on borealis")],
            hosts: vec![source("host:asterra", "asterra"), source("host:borealis", "borealis")],
            query,
            items,
            problem: None,
            took_ms: 38,
        }
    }

    /// Nothing was chosen yet.
    pub fn sample_unasked() -> Self {
        let mut page = Self { query: LogsQuery::default(), items: vec![], took_ms: 0, ..Self::sample() };
        page.frame.events = String::new();
        page
    }

    /// Nothing matched.
    pub fn sample_empty() -> Self {
        let mut page = Self { items: vec![], ..Self::sample() };
        page.query = LogsQuery { q: "FATAL".into(), since: "2 h".into(), follow: false, ..page.query };
        page.frame.events = String::new();
        page
    }

    /// The expression is not one.
    pub fn sample_bad_expression() -> Self {
        let mut page = Self::sample_empty();
        page.query.q = "(unclosed".into();
        page.problem = Some(Notice {
            tone: Tone::Bad,
            message: "The search is not a regular expression: unclosed group at character 1.".into(),
            hint: "Close the parenthesis, or write \\( to search for one.".into(),
        });
        page
    }
}
