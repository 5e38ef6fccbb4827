//! Rows of a log: entries, and what else there is to say between them.

use serde::Serialize;

use super::ansi::{Span, Terminal};
use crate::events::html;
use crate::frame::SAMPLE_NOW_US;
use crate::{Template, text};

/// A row shows so much of a message; all of it is among the fields of the entry.
const SHOWN_BYTES: usize = 4 * 1024;

/// One entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogRow {
    /// Where it is in the logs of its host.
    pub cursor: String,
    /// Where it was written.
    pub host: String,
    /// Microseconds since the epoch.
    pub at_us: i64,
    /// 0 emerg to 7 debug.
    pub priority: u32,
    /// `journal`, `nginx-access/access.log`, `app/cigar/production.log`.
    pub source: String,
    /// `puma-cigar.service`; may be empty.
    pub unit: String,
    /// `SYSLOG_IDENTIFIER`; may be empty.
    pub identifier: String,
    /// 0 when not known.
    pub pid: u32,
    /// Raw; what is not text is made visible here.
    pub message: String,
    /// How many bytes of the message were left out.
    pub truncated_bytes: u64,
    /// What a line of an access log says.
    pub request: Option<LogRequest>,
}

/// A request to nginx.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogRequest {
    /// The status it was answered with.
    pub status: u32,
    /// `GET`.
    pub method: String,
    /// With its query.
    pub path: String,
    /// How long it took, in microseconds.
    pub took_us: Option<u64>,
    /// How much was sent.
    pub bytes: u64,
    /// Who asked.
    pub client: String,
}

impl LogRequest {
    /// `2` to `5`: the class of its status.
    pub fn class(&self) -> u32 {
        self.status / 100
    }

    /// `31 ms`; empty when not known.
    pub fn took(&self) -> String {
        self.took_us.map(|us| text::took(us / 1_000)).unwrap_or_default()
    }
}

impl LogRow {
    /// The word for the priority.
    pub fn severity(&self) -> &'static str {
        PRIORITIES.get(self.priority as usize).copied().unwrap_or("debug")
    }

    /// `bad`, `warn`, `info` or `quiet`: its colour.
    pub fn tone(&self) -> &'static str {
        match self.priority {
            0..=3 => "bad",
            4 => "warn",
            5 | 6 => "info",
            _ => "quiet",
        }
    }

    /// The unit without `.service`, else the file or the identifier.
    pub fn origin(&self) -> &str {
        match (self.source.rsplit_once('/'), self.unit.as_str()) {
            (Some((_, file)), _) => file,
            (None, "") => &self.identifier,
            (None, unit) => unit.trim_end_matches(".service"),
        }
    }

    /// What finds it again: its host and its cursor.
    pub fn key(&self) -> String {
        format!("{} {}", self.host, self.cursor)
    }

    /// The page of what surrounds it: in its file, or in the journal of its host.
    pub fn context_href(&self) -> String {
        let parts: Vec<&str> = self.source.split('/').collect();
        let log = match parts.as_slice() {
            ["nginx-access", file] => format!("&source=access%2F{}", text::encode(file)),
            ["nginx-error", file] => format!("&source=error%2F{}", text::encode(file)),
            ["app", app, file] => format!("&app={}&source=app%2F{}", text::encode(app), text::encode(file)),
            _ => String::new(),
        };
        format!("/logs?host={}{log}&around={}", text::encode(&self.host), text::encode(&self.key()))
    }

    /// The lines of the message, with their colours, what is not printable made visible.
    pub fn lines(&self) -> Vec<Vec<Span>> {
        let end = self.message.floor_char_boundary(SHOWN_BYTES);
        let rows = Terminal::default().push(self.message[..end].trim_end().as_bytes());
        rows.into_iter().map(|row| row.spans).collect()
    }

    /// How many bytes of the message are not shown.
    pub fn left_out(&self) -> u64 {
        self.truncated_bytes + (self.message.len() - self.message.floor_char_boundary(SHOWN_BYTES)) as u64
    }

    /// How many lines there are beside the first.
    pub fn more_lines(&self) -> usize {
        self.message.trim_end().matches('\n').count()
    }

    /// Whether it is a line of a stack trace that began in an entry before.
    pub fn is_frame(&self) -> bool {
        let trimmed = self.message.trim_start();
        let is_indented = trimmed.len() < self.message.len();
        let of_ruby = trimmed.split_once(".rb:").is_some_and(|(path, rest)| {
            !path.contains(' ') && rest.starts_with(|c: char| c.is_ascii_digit()) && rest.contains(":in ")
        });
        of_ruby
            || (is_indented
                && ["at ", "from ", "File \"", "... "].iter().any(|begin| trimmed.starts_with(begin)))
    }
}

/// The words of syslog(3), by number.
pub const PRIORITIES: [&str; 8] = ["emerg", "alert", "crit", "error", "warning", "notice", "info", "debug"];

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogItem {
    /// An entry.
    Row(Box<LogRow>),
    /// Entries are missing here.
    Gap {
        /// Where; may be empty.
        host: String,
        /// Why: `vacuumed`, `corrupt`, `truncated`, ...
        reason: String,
        /// How many; 0 when not known.
        count: u64,
        /// The last moment before, in microseconds since the epoch; 0: not known.
        from_us: i64,
        /// The first moment after.
        to_us: i64,
    },
    /// A host that says nothing, and why.
    Away {
        /// Which.
        host: String,
        /// Since when; 0: not known.
        since_us: i64,
        /// Why.
        message: String,
    },
    /// A host that was away is read again.
    Back {
        /// Which.
        host: String,
        /// When.
        at_us: i64,
    },
    /// Somebody changed something at this time.
    Mark(LogMark),
}

/// A change, between the entries and on the time line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogMark {
    /// The number of its record.
    pub seq: i64,
    /// Microseconds since the epoch.
    pub at_us: i64,
    /// `henrik: restart puma-cigar.service on asterra`.
    pub words: String,
    /// `ok`, `failed`, ...
    pub outcome: String,
    /// Where its record is.
    pub href: String,
}

impl LogItem {
    /// When it is; 0: not known.
    pub fn at_us(&self) -> i64 {
        match self {
            Self::Row(row) => row.at_us,
            Self::Gap { from_us, to_us, .. } => {
                if *from_us > 0 {
                    *from_us
                } else {
                    *to_us
                }
            }
            Self::Away { since_us, .. } => *since_us,
            Self::Back { at_us, .. } => *at_us,
            Self::Mark(mark) => mark.at_us,
        }
    }

    /// Why entries are missing, in words.
    pub fn gap_words(reason: &str, count: impl text::Value<u64>) -> String {
        let how_many = match count.value() {
            0 => "Entries are missing here".to_owned(),
            1 => "1 entry is missing here".to_owned(),
            n => format!("{n} entries are missing here"),
        };
        let why = match reason {
            "vacuumed" => "journald has deleted them",
            "deleted" => "their file was deleted, or rotated away before it was read",
            "truncated" => "the file was cut off while it was written",
            "corrupt" => "they cannot be read",
            "rate-limit" => "journald took no more of them: the unit wrote too fast",
            "slow" => "they came faster than they were read",
            "limit" => "there are more than may be given at once",
            other => other,
        };
        format!("{how_many}: {why}")
    }
}

/// A row as it travels to the page's script.
#[derive(Serialize)]
struct Sent {
    /// When, in microseconds since the epoch.
    t: i64,
    /// Priority; 8: no entry.
    p: u32,
    /// Key of an entry.
    #[serde(skip_serializing_if = "String::is_empty")]
    k: String,
    /// Whether it goes on with a stack trace.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    c: bool,
    /// The number of a change.
    #[serde(skip_serializing_if = "Option::is_none")]
    m: Option<i64>,
    /// The row.
    h: String,
}

/// Rows, and where their logs go on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogFeed {
    /// Oldest first.
    pub items: Vec<LogItem>,
    /// Place of what is earlier.
    pub before: String,
    /// Place of what is later.
    pub after: String,
    /// Whether there is more in the direction that was asked for.
    pub more: bool,
}

impl LogFeed {
    /// As JSON, each row as HTML.
    pub fn to_json(&self) -> String {
        let rows: Vec<Sent> = self.items.iter().map(sent).collect();
        serde_json::json!({ "rows": rows, "before": self.before, "after": self.after, "more": self.more })
            .to_string()
    }
}

fn sent(item: &LogItem) -> Sent {
    let h = html(&LogRowPart { item, is_static: false }).trim().to_owned();
    match item {
        LogItem::Row(row) => {
            Sent { t: row.at_us, p: row.priority, k: row.key(), c: row.is_frame(), m: None, h }
        }
        LogItem::Mark(mark) => Sent { t: mark.at_us, p: 8, k: String::new(), c: false, m: Some(mark.seq), h },
        other => Sent { t: other.at_us(), p: 8, k: String::new(), c: false, m: None, h },
    }
}

#[derive(Template)]
#[template(path = "parts/log_row.html")]
struct LogRowPart<'a> {
    item: &'a LogItem,
    /// Without scripts the time leads to what surrounds the entry.
    is_static: bool,
}

impl LogItem {
    /// Lines of a Rails app, of nginx, and of what else there is.
    pub fn samples() -> Vec<Self> {
        let lines = [
            (6, "[4711] Puma starting in cluster mode..."),
            (6, "Started GET \"/humidors/12\" for 10.213.0.1 at 2026-11-24 18:39:58 +0000"),
            (6, "Completed 200 OK in 14ms (Views: 6.1ms | ActiveRecord: 3.2ms (4 queries) | GC: 0.4ms)"),
            (
                4,
                "\u{1b}[33mDEPRECATION WARNING\u{1b}[0m: Rails.application.secrets is deprecated in favour of credentials",
            ),
            (
                3,
                "ActiveRecord::ConnectionTimeoutError (could not obtain a connection from the pool within 5.000 seconds (waited 5.001 seconds); all pooled connections were in use)\n  app/models/humidor.rb:31:in 'Humidor#open'\n  app/controllers/humidors_controller.rb:12:in 'show'",
            ),
            (3, "  app/models/cigar.rb:7:in 'Cigar.light'"),
            (
                7,
                "Parameters: {\"order\"=>{\"cigar_id\"=>\"7\", \"note\"=>\"<script>alert(1)</script>\u{202e}\"}}",
            ),
            (5, "Completed 302 Found in 31ms (ActiveRecord: 12.9ms (9 queries) | GC: 0.0ms)"),
        ];
        let row = |(index, (priority, message)): (usize, (u32, &str))| {
            Self::Row(Box::new(LogRow {
                cursor: format!("s=8f3a;i={index:x}"),
                host: "asterra".into(),
                at_us: SAMPLE_NOW_US - 40_000_000 + 717_000 * index as i64,
                priority,
                source: "journal".into(),
                unit: "puma-cigar.service".into(),
                identifier: "puma".into(),
                pid: 4_711,
                message: message.into(),
                ..LogRow::default()
            }))
        };
        let mut items: Vec<Self> = (0..6).flat_map(|_| lines).enumerate().map(row).collect();
        let request = |status, path: &str, took| LogRequest {
            status,
            method: "GET".into(),
            path: path.into(),
            took_us: Some(took),
            bytes: 5_120,
            client: "10.213.0.1".into(),
        };
        for (at, status, path) in
            [(7, 200, "/humidors/12"), (16, 503, "/orders?page=2"), (24, 404, "/wp-login.php")]
        {
            let Self::Row(row) = items[at].clone() else { continue };
            items[at] = Self::Row(Box::new(LogRow {
                source: "nginx-access/cigar.access.log".into(),
                unit: String::new(),
                priority: if status >= 500 {
                    3
                } else if status >= 400 {
                    4
                } else {
                    6
                },
                request: Some(request(status, path, 31_000)),
                ..*row
            }));
        }
        items
    }
}

/// The rows of the page as it comes, which lead somewhere without scripts.
#[cfg(test)]
pub(crate) fn log_rows_html(items: &[LogItem]) -> String {
    items.iter().map(|item| html(&LogRowPart { item, is_static: true })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(message: &str) -> LogRow {
        LogRow { message: message.into(), host: "asterra".into(), cursor: "s=1".into(), ..LogRow::default() }
    }

    #[test]
    fn lines_of_stack_traces_are_known() {
        for frame in [
            "  app/models/cigar.rb:7:in 'Cigar.light'",
            "/srv/cigar/vendor/rack-3.1/lib/rack.rb:12:in `call'",
            "\tat org.example.Main.main(Main.java:7)",
            "    from bin/rails:4:in '<main>'",
        ] {
            assert!(row(frame).is_frame(), "{frame}");
        }
        for other in
            ["Started GET \"/a.rb:7\"", "at noon", "from here", "  two spaces", "", "see cigar.rb:7:in x"]
        {
            assert!(!row(other).is_frame(), "{other}");
        }
    }

    /// Security cases 24 and 25.
    #[test]
    fn a_hostile_line_is_text_in_the_page_and_in_json() {
        let item =
            LogItem::Row(Box::new(row("<img src=x onerror=alert(1)>\u{1b}]0;title\u{7}\u{202e}\u{0}\nnext")));
        let feed = LogFeed { items: vec![item.clone()], ..LogFeed::default() };
        for html in [feed.to_json(), log_rows_html(&[item])] {
            assert!(
                !html.contains("<img") && !html.contains('\u{1b}') && !html.contains('\u{202e}'),
                "{html}"
            );
            assert!(html.contains("&#60;img") && html.contains("202E"), "{html}");
        }
    }

    #[test]
    fn what_surrounds_a_line_is_its_own_log() {
        let of = |source: &str| LogRow { source: source.into(), ..row("") }.context_href();
        assert_eq!(of("journal"), "/logs?host=asterra&around=asterra%20s%3D1");
        assert!(of("nginx-access/a.log").starts_with("/logs?host=asterra&source=access%2Fa.log&around="));
        assert!(of("app/cigar/p.log").starts_with("/logs?host=asterra&app=cigar&source=app%2Fp.log&around="));
    }

    #[test]
    fn long_messages_are_cut_where_they_are_shown() {
        let long = row(&"é".repeat(5_000));
        let shown: usize = long.lines().iter().flatten().map(|span| span.text.len()).sum();
        assert_eq!((shown, long.left_out()), (4_096, 10_000 - 4_096));
        assert_eq!(row("one\ntwo\nthree\n").more_lines(), 2);
    }
}
