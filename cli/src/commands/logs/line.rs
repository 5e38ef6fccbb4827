//! One log entry as text.

use hms_proto::host::v1::LogEntry;
use serde::Serialize;
use unicode_width::UnicodeWidthStr as _;

use super::Source;
use crate::{
    cli::Format,
    failure::{Failure, Result},
    output::{
        Out, as_json,
        escape::{inline, visible},
        measure::stamp,
        table::Look,
    },
};

/// How entries are shown.
pub(super) struct Form {
    format: Format,
    utc: bool,
    raw: bool,
    colour: bool,
    /// Names of the hosts, padded to one width; empty where there is only one.
    columns: Vec<String>,
    labels: Vec<String>,
}

#[derive(Serialize)]
struct Shown<'a> {
    host: &'a str,
    #[serde(flatten)]
    entry: &'a LogEntry,
}

impl Form {
    pub(super) fn new(out: &Out, utc: bool, raw: bool, sources: &[Source]) -> Self {
        let labels: Vec<String> = sources.iter().map(|s| s.label.clone()).collect();
        let widest = labels.iter().map(|l| l.width()).max().unwrap_or(0);
        let padded = |l: &String| format!("{l}{} ", " ".repeat(widest.saturating_sub(l.width())));
        let columns = if labels.len() > 1 { labels.iter().map(padded).collect() } else { Vec::new() };
        Self { format: out.format, utc, raw, colour: out.colour, columns, labels }
    }

    /// The entry as it is written, with its newline. `source` is the index of its host.
    pub(super) fn text(&self, source: usize, entry: &LogEntry) -> Result<String> {
        let host = self.labels.get(source).map_or("", String::as_str);
        match self.format {
            Format::Json => Ok(as_json(&Shown { host, entry }, false)? + "\n"),
            Format::Yaml => {
                let text = serde_yaml_ng::to_string(&Shown { host, entry });
                let text = text.map_err(|e| Failure::local(e.to_string()))?;
                Ok(format!("---\n{}", if self.raw { text.into() } else { visible(&text) }))
            }
            Format::Cat => Ok(format!("{}\n", self.message(entry))),
            Format::Table | Format::Short => Ok(self.short(source, entry)),
        }
    }

    fn message(&self, entry: &LogEntry) -> String {
        let mut text = if self.raw { entry.message.clone() } else { visible(&entry.message).into_owned() };
        if entry.truncated_bytes > 0 {
            text += &format!(" … ({} bytes more)", entry.truncated_bytes);
        }
        text
    }

    /// `Nov 24 19:10:02.123 asterra puma[812]: message`; further lines of a message are indented below it.
    fn short(&self, source: usize, entry: &LogEntry) -> String {
        let time = stamp(entry.time_usec, self.utc);
        let host = self.columns.get(source).map_or("", String::as_str);
        let file = entry.source.rsplit('/').next().filter(|_| entry.source.contains('/'));
        let named = [entry.identifier.as_str(), entry.unit.as_str()];
        let name = named.into_iter().find(|name| !name.is_empty()).or(file).unwrap_or_default();
        let pid = if entry.pid > 0 { format!("[{}]", entry.pid) } else { String::new() };
        let who = format!("{}{pid}:", inline(name));
        let indent = time.width() + 1 + host.width() + who.width() + 1;
        let look = match entry.priority {
            0..=3 => Look::Bad,
            4 => Look::Busy,
            5 => Look::Strong,
            7 => Look::Faint,
            _ => Look::Plain,
        };
        let message = self.message(entry);
        let mut lines = message.lines();
        let mut text = format!(
            "{} {}{} {}\n",
            Look::Faint.paint(&time, self.colour),
            Look::Strong.paint(host, self.colour),
            Look::Faint.paint(&who, self.colour),
            look.paint(lines.next().unwrap_or(""), self.colour)
        );
        for line in lines {
            text += &format!("{}{}\n", " ".repeat(indent), look.paint(line, self.colour));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(format: Format, hosts: &[&str]) -> Form {
        let columns = hosts.iter().map(|h| format!("{h} ")).collect();
        let labels = hosts.iter().map(ToString::to_string).collect();
        let columns = if hosts.len() > 1 { columns } else { Vec::new() };
        Form { format, utc: true, raw: false, colour: false, columns, labels }
    }

    fn entry(message: &str) -> LogEntry {
        LogEntry {
            cursor: "s=1".into(),
            time_usec: 1_764_010_000_123_456,
            priority: 3,
            unit: "puma-cigar.service".into(),
            identifier: "puma".into(),
            pid: 812,
            message: message.into(),
            ..LogEntry::default()
        }
    }

    #[test]
    fn entries_in_every_form() {
        let entry = entry("boom \x1b[31m\u{202e}\nsecond line");
        let mut all = String::new();
        for format in [Format::Short, Format::Cat, Format::Json, Format::Yaml] {
            all += &form(format, &["asterra"]).text(0, &entry).unwrap();
        }
        all += &form(Format::Short, &["asterra", "borealis"]).text(1, &entry).unwrap();
        insta::assert_snapshot!(all);
    }

    /// Security case 26: one entry stays one, whatever is in it.
    #[test]
    fn a_forged_line_is_indented_or_escaped() {
        let evil = entry("ok\nNov 24 19:10:02.123 sshd[1]: accepted\n{\"host\":\"x\"}");
        let short = form(Format::Short, &["a"]).text(0, &evil).unwrap();
        assert!(short.lines().skip(1).all(|l| l.starts_with("        ")), "{short}");
        let json = form(Format::Json, &["a"]).text(0, &evil).unwrap();
        assert_eq!(json.lines().count(), 1);
        let back: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(back["message"], evil.message.as_str());
    }

    #[test]
    fn json_keeps_what_it_hides_from_the_terminal() {
        let evil = entry("\u{9b}31m\u{202e}\u{e0041}\u{7f}");
        let json = form(Format::Json, &["a"]).text(0, &evil).unwrap();
        assert!(json.is_ascii(), "{json}");
        let back: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(back["message"], evil.message.as_str());
    }
}
