//! The output of a job: rows, and what they are part of.

use super::Step;
use super::ansi::{OutputRow, Terminal};
use crate::events::Mode;
use crate::{Fragment, Template, text};

/// How many rows a page keeps while it follows; the oldest go.
const KEPT_ROWS: u32 = 10_000;

/// The output of one job, as far as the page has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutputPanel {
    /// The job.
    pub job: String,
    /// Where it ran.
    pub host: String,
    /// What ran: a script, or an app that was deployed.
    pub of: String,
    /// Other jobs of the same run: id, label, and whether it is this one. Empty when there is no other.
    pub others: Vec<(String, String, bool)>,
    /// The page that shows the others.
    pub others_href: String,
    /// In order.
    pub rows: Vec<OutputRow>,
    /// How many bytes before the first row are left out here.
    pub skipped: u64,
    /// Whether more is to come.
    pub open: bool,
    /// Why there is none: empty when there is, or when it is simply empty.
    pub why_none: String,
}

#[derive(Template)]
#[template(path = "parts/output_rows.html")]
struct RowsPart<'a> {
    rows: &'a [OutputRow],
}

/// Rows as they go behind those in the page (`output-rows`), or over those that are there already.
pub fn output_rows_fragment(rows: &[OutputRow]) -> Fragment {
    Fragment {
        mode: Mode::Append,
        max: Some(KEPT_ROWS),
        ..Fragment::morph("output-rows", &RowsPart { rows })
    }
}

/// Marks the rows with which the output of a step begins. The line with which its host announces it is left out.
pub fn mark_steps(rows: &mut Vec<OutputRow>, steps: &[Step]) {
    let mut announced = Vec::new();
    for at in 0..rows.len() {
        let begins = |step: &&Step| step.has_output() && step.offset == rows[at].offset;
        // Of several that begin here all but the last wrote nothing.
        let Some(step) = steps.iter().rev().find(begins) else { continue };
        if at > 0 && rows[at - 1].text() == format!("== {}", step.name) {
            announced.push(at - 1);
        }
        rows[at].step = step.title();
    }
    announced.into_iter().rev().for_each(|at| drop(rows.remove(at)));
}

impl OutputPanel {
    /// How much is left out.
    pub fn skipped_words(&self) -> String {
        text::bytes(self.skipped)
    }

    /// Where all of it can be had.
    pub fn download_href(&self) -> String {
        format!("/jobs/{}/output", self.job)
    }

    /// What stands there when there is no row.
    pub fn empty_words(&self) -> &str {
        match (self.why_none.as_str(), self.open) {
            ("", true) => "No output yet.",
            ("", false) => "It wrote nothing.",
            (why, _) => why,
        }
    }

    /// What a check and a build wrote.
    pub fn sample() -> Self {
        let text = "\u{1b}[1mErrors of puma-cigar.service in the last hour\u{1b}[0m\n\n\
            \u{1b}[31m   23\u{1b}[0m  ActiveRecord::ConnectionTimeoutError (could not obtain a connection from the pool within \u{1b}[36m<n>\u{1b}[0m seconds)\n\
            \u{1b}[33m    4\u{1b}[0m  ActionController::RoutingError (No route matches [GET] \u{1b}[35m\"/wp-login.php\"\u{1b}[0m)\n\
            \u{1b}[32m    1\u{1b}[0m  \u{1b}[2mRack::Timeout::RequestTimeoutException\u{1b}[0m\n\n\
            first \u{1b}[4m2026-11-24 17:44:02\u{1b}[0m   last \u{1b}[4m2026-11-24 18:36:51\u{1b}[0m\n\
            \u{1b}[44;97m what next \u{1b}[0m raise \u{1b}[94mDATABASE_POOL\u{1b}[0m or lower the number of threads; \u{1b}[7m5 of 5\u{1b}[0m connections are in use\n\
            <script>alert('from a log')</script>\t\u{202e}reversed\u{0}\n\
            \u{1b}[90mread 18,204 lines in 0.4 s\u{1b}[0m\n";
        Self {
            job: "0193a5c4-7be1-7cc2-9d6e-000000000101".into(),
            host: "asterra".into(),
            of: "parse_logs".into(),
            rows: Terminal::default().push(text.as_bytes()),
            ..Self::default()
        }
    }

    /// Every colour on every other.
    pub fn sample_colours() -> Self {
        let mut text = String::new();
        for fore in (30..38).chain(90..98) {
            text += &format!("\u{1b}[{fore}m{fore} text \u{1b}[1mbold\u{1b}[0m ");
            for back in (40..48).chain(100..108) {
                text += &format!("\u{1b}[{fore};{back}m {back} \u{1b}[0m");
            }
            text += "\n";
        }
        Self { rows: Terminal::default().push(text.as_bytes()), ..Self::sample() }
    }
}
