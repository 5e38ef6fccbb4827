//! Rows of a log: entries, and the places where entries are missing.

use crate::events::Mode;
use crate::frame::SAMPLE_NOW_US;
use crate::{Fragment, Template, View, text};

/// How many rows a page keeps while it follows; the oldest go.
const KEPT_ROWS: u32 = 5_000;

/// One entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogRow {
    /// Where it is in the journal.
    pub cursor: String,
    /// Microseconds since the epoch.
    pub at_us: i64,
    /// 0 emerg to 7 debug.
    pub priority: u32,
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

    /// The unit without `.service`, else the identifier.
    pub fn origin(&self) -> &str {
        if self.unit.is_empty() { &self.identifier } else { self.unit.trim_end_matches(".service") }
    }

    /// The message without terminal colours, what is not printable made visible.
    pub fn shown(&self) -> String {
        text::plain(&self.message)
    }
}

/// The words of syslog(3), by number.
pub const PRIORITIES: [&str; 8] = ["emerg", "alert", "crit", "error", "warning", "notice", "info", "debug"];

/// An entry or a gap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogItem {
    /// An entry.
    Row(LogRow),
    /// Entries are missing here.
    Gap {
        /// Why: `vacuumed`, `corrupt`, `slow-reader`, ...
        reason: String,
        /// How many; 0 when not known.
        count: u64,
    },
}

impl LogItem {
    /// Lines of a Rails app.
    pub fn samples() -> Vec<Self> {
        let lines = [
            (6, "[4711] Puma starting in cluster mode..."),
            (6, "[4711] * Listening on unix:///run/puma/cigar.sock"),
            (6, "Started GET \"/humidors/12\" for 10.213.0.1 at 2026-11-24 18:39:58 +0000"),
            (6, "Completed 200 OK in 14ms (Views: 6.1ms | ActiveRecord: 3.2ms (4 queries) | GC: 0.4ms)"),
            (
                4,
                "\u{1b}[33mDEPRECATION WARNING\u{1b}[0m: Rails.application.secrets is deprecated in favour of credentials",
            ),
            (
                3,
                "ActiveRecord::ConnectionTimeoutError (could not obtain a connection from the pool within 5.000 seconds (waited 5.001 seconds); all pooled connections were in use)",
            ),
            (6, "Started POST \"/orders\" for 10.213.0.1 at 2026-11-24 18:39:59 +0000"),
            (7, "Parameters: {\"order\"=>{\"cigar_id\"=>\"7\", \"note\"=>\"<script>alert(1)</script>\"}}"),
            (5, "Completed 302 Found in 31ms (ActiveRecord: 12.9ms (9 queries) | GC: 0.0ms)"),
        ];
        let row = |(index, (priority, message)): (usize, (u32, &str))| {
            Self::Row(LogRow {
                cursor: format!("s=8f3a;i={index:x}"),
                at_us: SAMPLE_NOW_US - 40_000_000 + 717_000 * index as i64,
                priority,
                unit: "puma-cigar.service".into(),
                identifier: "puma".into(),
                pid: 4_711,
                message: message.into(),
                truncated_bytes: 0,
            })
        };
        (0..6).flat_map(|_| lines).enumerate().map(row).collect()
    }
}

#[derive(Template)]
#[template(path = "parts/log_rows.html")]
struct LogRowsPart<'a> {
    items: &'a [LogItem],
}

/// Rows as they go behind those in the page (`log-rows`).
pub fn log_rows_fragment(items: &[LogItem], _view: View) -> Fragment {
    Fragment {
        mode: Mode::Append,
        max: Some(KEPT_ROWS),
        ..Fragment::morph("log-rows", &LogRowsPart { items })
    }
}
