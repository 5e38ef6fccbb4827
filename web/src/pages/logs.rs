//! `/logs`: what apps, hosts and nginx wrote, now and before.

use crate::frame::{Notice, Place, Tone};
use crate::parts::{LogItem, LogMark, PRIORITIES};
use crate::text::encode;
use crate::{Frame, Template};

/// Which part of the logs is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LogsAt {
    /// The end, or the beginning, of what was asked for.
    #[default]
    End,
    /// What is before or behind a place.
    Place,
    /// What surrounds an entry, by its key.
    Around(String),
}

/// A choice of one of the lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pick {
    /// Of the parameter.
    pub value: String,
    /// What it is called.
    pub label: String,
    /// Whether it is chosen.
    pub chosen: bool,
}

/// A list of choices, of which several may be chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picker {
    /// Of the parameter: `app`.
    pub name: &'static str,
    /// `Apps`.
    pub label: &'static str,
    /// When none is chosen.
    pub none: &'static str,
    /// All of them.
    pub picks: Vec<Pick>,
}

impl Picker {
    /// What is chosen, in words.
    pub fn words(&self) -> String {
        let chosen: Vec<&str> = self.picks.iter().filter(|p| p.chosen).map(|p| p.label.as_str()).collect();
        match chosen.as_slice() {
            [] => self.none.to_owned(),
            [one] => (*one).to_owned(),
            [one, rest @ ..] => format!("{one} and {} more", rest.len()),
        }
    }
}

/// The logs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Template)]
#[template(path = "pages/logs.html")]
pub struct LogsPage {
    /// What surrounds it. When it follows, its stream is `/events?view=logs&` with the query of the page and `after`.
    pub frame: Frame,
    /// What was asked for, as typed: names of parameters and values.
    pub asked: Vec<(String, String)>,
    /// Apps to choose from.
    pub apps: Vec<String>,
    /// Hosts to choose from.
    pub hosts: Vec<String>,
    /// Which part is shown.
    pub at: LogsAt,
    /// Oldest first.
    pub items: Vec<LogItem>,
    /// Place of what is earlier.
    pub before: String,
    /// Place of what is later.
    pub after: String,
    /// Why there is nothing, or not all: a bad expression.
    pub problem: Option<Notice>,
    /// How long the answer took.
    pub took_ms: u64,
}

/// Kinds of logs: value, name.
const SOURCES: [(&str, &str); 4] =
    [("journal", "Journal"), ("app", "Files of apps"), ("access", "nginx access"), ("error", "nginx errors")];

/// Ranges that are a click away: value, word.
const RANGES: [(&str, &str); 6] =
    [("15 min", "15 min"), ("1 h", "1 h"), ("6 h", "6 h"), ("1 d", "24 h"), ("7 d", "7 d"), ("", "all")];

impl LogsPage {
    /// What was asked for under this name, first value.
    pub fn typed(&self, name: &str) -> &str {
        let pair = self.asked.iter().find(|(known, _)| known == name);
        pair.map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.asked.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn picker(
        &self,
        name: &'static str,
        label: &'static str,
        none: &'static str,
        all: &[(String, String)],
    ) -> Picker {
        let is_chosen = |value: &str| self.values(name).any(|chosen| chosen == value);
        let known = all.iter().map(|(value, label)| Pick {
            chosen: is_chosen(value),
            value: value.clone(),
            label: label.clone(),
        });
        // What was typed elsewhere is kept.
        let others = self.values(name).filter(|value| !all.iter().any(|(known, _)| known == value));
        let others =
            others.map(|value| Pick { value: value.to_owned(), label: value.to_owned(), chosen: true });
        Picker { name, label, none, picks: known.chain(others).collect() }
    }

    /// The lists: apps, hosts, kinds of logs.
    pub fn pickers(&self) -> Vec<Picker> {
        let same = |names: &[String]| names.iter().map(|n| (n.clone(), n.clone())).collect::<Vec<_>>();
        let sources = SOURCES.map(|(value, label)| (value.to_owned(), label.to_owned()));
        let usual = if self.typed("app").is_empty() { "Journal" } else { "Journal and files" };
        vec![
            self.picker("app", "Apps", "All", &same(&self.apps)),
            self.picker("host", "Hosts", "All", &same(&self.hosts)),
            self.picker("source", "Logs", usual, &sources),
        ]
    }

    /// Conditions and units: name of the parameter, value, the page without it.
    pub fn chips(&self) -> Vec<(&str, &str, String)> {
        let chip = |(name, value): &'_ (String, String)| self.href_without(name, value);
        let all = self.asked.iter().filter(|(name, _)| name == "where" || name == "unit");
        all.map(|pair| (pair.0.as_str(), pair.1.as_str(), chip(pair))).collect()
    }

    /// The severities of the filter: value, word, whether it is chosen.
    pub fn severities(&self) -> Vec<(String, String, bool)> {
        let word = |index: usize| match index {
            7 => "everything".to_owned(),
            _ => format!("{} and worse", PRIORITIES[index]),
        };
        let asked = self.typed("priority");
        let choice = |index: usize| {
            let value = if index == 7 { String::new() } else { index.to_string() };
            let chosen = asked == value || (index == 7 && asked == "7");
            (value, word(index), chosen)
        };
        (2..8).rev().map(choice).collect()
    }

    /// Ranges that are a click away: where it leads, word, whether it is chosen.
    pub fn ranges(&self) -> Vec<(String, &'static str, bool)> {
        let (since, until) = (self.typed("since"), self.typed("until"));
        let href = |value: &str| self.href_with(&[("since", value), ("until", "")]);
        RANGES.iter().map(|(value, word)| (href(value), *word, since == *value && until.is_empty())).collect()
    }

    /// The page with other values of some parameters, each of which has one.
    fn href_with(&self, changed: &[(&str, &str)]) -> String {
        let kept = self.asked.iter().filter(|(name, _)| !changed.iter().any(|(other, _)| other == name));
        let kept = kept.map(|(name, value)| (name.as_str(), value.as_str()));
        href(kept.chain(changed.iter().copied()))
    }

    fn href_without(&self, name: &str, value: &str) -> String {
        let kept = self.asked.iter().filter(|(n, v)| !(n == name && v == value));
        href(kept.map(|(n, v)| (n.as_str(), v.as_str())))
    }

    /// The search as the query of an address.
    pub fn query(&self) -> String {
        href(self.asked.iter().map(|(n, v)| (n.as_str(), v.as_str())))
            .trim_start_matches("/logs")
            .replacen('?', "", 1)
    }

    /// The page before this one.
    pub fn earlier_href(&self) -> String {
        self.href_with(&[("before", &self.before)])
    }

    /// The page behind this one.
    pub fn later_href(&self) -> String {
        self.href_with(&[("after", &self.after)])
    }

    /// The end, live.
    pub fn newest_href(&self) -> String {
        self.href_with(&[])
    }

    /// All that was found, as a file.
    pub fn download_href(&self, form: &str) -> String {
        format!("/logs/download?{}&form={form}", self.query())
    }

    /// The entry that is surrounded; empty: none is.
    pub fn around(&self) -> &str {
        match &self.at {
            LogsAt::Around(key) => key,
            _ => "",
        }
    }

    /// Whether this is the end and goes on.
    pub fn is_live(&self) -> bool {
        !self.frame.events.is_empty()
    }

    /// Whether anything is filtered that can be cleared.
    pub fn is_narrowed(&self) -> bool {
        self.asked
            .iter()
            .any(|(name, value)| !value.is_empty() && !["from", "lines"].contains(&name.as_str()))
    }

    /// How many entries are shown.
    pub fn entries(&self) -> usize {
        self.items.iter().filter(|item| matches!(item, LogItem::Row(_))).count()
    }

    /// The log of an app, live.
    pub fn sample() -> Self {
        let mut items = LogItem::samples();
        items.insert(
            20,
            LogItem::Gap {
                host: "asterra".into(),
                reason: "vacuumed".into(),
                count: 112,
                from_us: 0,
                to_us: 0,
            },
        );
        items.insert(
            32,
            LogItem::Mark(LogMark {
                seq: 7,
                at_us: items[31].at_us(),
                words: "henrik: restart puma-cigar.service on asterra".into(),
                outcome: "ok".into(),
                href: "/audit?since=2026-11-24#record-7".into(),
            }),
        );
        items.push(LogItem::Away {
            host: "borealis".into(),
            since_us: crate::frame::SAMPLE_NOW_US - 240_000_000,
            message: "the agent does not answer at 10.213.0.3:9444".into(),
        });
        Self {
            frame: Frame {
                events: "/events?view=logs&app=cigar&after=asterra%3As%3D8f3a%3Bi%3D35".into(),
                ..Frame::sample(Place::Logs, "Logs")
            },
            asked: vec![("app".into(), "cigar".into()), ("where".into(), "status>=500".into())],
            apps: vec!["cigar".into(), "tobacco".into()],
            hosts: vec!["asterra".into(), "borealis".into()],
            at: LogsAt::End,
            items,
            before: "asterra:s=8f3a;i=0".into(),
            after: "asterra:s=8f3a;i=35".into(),
            problem: None,
            took_ms: 38,
        }
    }

    /// What surrounds an entry.
    pub fn sample_around() -> Self {
        let mut page = Self { at: LogsAt::Around("asterra s=8f3a;i=4".into()), ..Self::sample() };
        page.frame.events = String::new();
        page.asked = vec![("host".into(), "asterra".into())];
        page
    }

    /// Nothing matched.
    pub fn sample_empty() -> Self {
        let mut page = Self { items: vec![], ..Self::sample() };
        page.asked = vec![("grep".into(), "FATAL".into()), ("since".into(), "2 h".into())];
        page.frame.events = String::new();
        page
    }

    /// There is nothing to read yet.
    pub fn sample_unasked() -> Self {
        Self { asked: vec![], apps: vec![], hosts: vec![], ..Self::sample_empty() }
    }

    /// The expression is not one.
    pub fn sample_bad_expression() -> Self {
        let mut page = Self::sample_empty();
        page.asked = vec![("grep".into(), "(unclosed".into())];
        page.problem = Some(Notice {
            tone: Tone::Bad,
            message: "The search is not a regular expression: unclosed group at character 1.".into(),
            hint: "Close the parenthesis, or write \\( to search for one.".into(),
        });
        page
    }
}

fn href<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let given = pairs.filter(|(_, value)| !value.is_empty());
    let query: Vec<String> = given.map(|(name, value)| format!("{name}={}", encode(value))).collect();
    if query.is_empty() { "/logs".to_owned() } else { format!("/logs?{}", query.join("&")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_keep_the_rest_of_the_search() {
        let page = LogsPage::sample();
        assert_eq!(page.query(), "app=cigar&where=status%3E%3D500");
        assert_eq!(page.chips(), [("where", "status>=500", "/logs?app=cigar".to_owned())]);
        assert_eq!(page.ranges()[1].0, "/logs?app=cigar&where=status%3E%3D500&since=1%20h");
        assert!(page.earlier_href().ends_with("&before=asterra%3As%3D8f3a%3Bi%3D0"));
        assert_eq!(LogsPage::sample_unasked().query(), "");
    }

    #[test]
    fn what_was_typed_elsewhere_is_kept_in_the_lists() {
        let mut page = LogsPage::sample();
        page.asked.push(("source".into(), "access/cigar.access.log".into()));
        let sources = &page.pickers()[2];
        assert_eq!(sources.words(), "access/cigar.access.log");
        assert!(sources.picks.iter().any(|pick| pick.chosen && pick.value == "access/cigar.access.log"));
    }
}
