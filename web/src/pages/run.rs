//! `/runs/{id}`: one run, its hosts, and the output of one of them.

use super::scripts::as_viewer;
use crate::frame::Place;
use crate::parts::{FindingRow, JobState, OutputPanel, RunCard};
use crate::{Frame, Template};

/// The page of one run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Template)]
#[template(path = "pages/run.html")]
pub struct RunPage {
    /// What surrounds it. While something goes on, its stream is `/events?view=run&id=…&job=…&after=…`, the last the cursor
    /// of a [`crate::parts::Terminal`].
    pub frame: Frame,
    /// The run.
    pub run: RunCard,
    /// The output of the chosen job.
    pub output: Option<OutputPanel>,
    /// What it found, where the script is a check and its output a report.
    pub findings: Vec<FindingRow>,
}

impl RunPage {
    /// It ended well.
    pub fn sample() -> Self {
        Self {
            frame: Frame::sample(Place::Scripts, "parse_logs"),
            run: RunCard::sample(),
            output: Some(OutputPanel::sample()),
            findings: vec![],
        }
    }

    /// A check that found something.
    pub fn sample_check() -> Self {
        let found = |level: &str, subject: &str, message: &str| FindingRow {
            level: level.into(),
            subject: subject.into(),
            message: message.into(),
        };
        let mut page = Self {
            findings: vec![
                found("critical", "/var/lib/postgresql", "93 % of 100 GiB in use, 7.0 GiB left"),
                found("warning", "/", "84 % of 48 GiB in use, 7.7 GiB left"),
                found("ok", "/boot", "12 % of 953 MiB in use"),
            ],
            ..Self::sample()
        };
        page.run.jobs[0].exit_status = 2;
        page.run.jobs[0].reason = "found 1 critical and 1 warning".into();
        page
    }

    /// It goes on.
    pub fn sample_running() -> Self {
        let mut page = Self { run: RunCard::sample_in(JobState::Running), ..Self::sample() };
        page.frame.events = "/events?view=run".into();
        page.output = page.output.map(|output| OutputPanel { open: true, ..output });
        page
    }

    /// It failed, and wrote more than is kept.
    pub fn sample_failed() -> Self {
        let mut page = Self { run: RunCard::sample_in(JobState::Failed), ..Self::sample() };
        let job = &mut page.run.jobs[0];
        (job.exit_status, job.truncated, job.output_bytes) = (3, true, 8 << 20);
        job.result = "exit-code".into();
        page.output = page.output.map(|output| OutputPanel { skipped: (8 << 20) - 262_144, ..output });
        page
    }

    /// Its host cannot be reached.
    pub fn sample_unknown() -> Self {
        let mut page = Self { run: RunCard::sample_in(JobState::Unknown), ..Self::sample_running() };
        page.run.jobs[0].reason = "asterra cannot be reached since 18:39:12 UTC".into();
        page
    }

    /// Many hosts.
    pub fn sample_many() -> Self {
        let mut page = Self { run: RunCard::sample_many(), ..Self::sample_running() };
        page.frame.title = "check_disk_space".into();
        page.output = Some(OutputPanel {
            job: page.run.chosen.clone(),
            host: "lyra".into(),
            of: "check_disk_space".into(),
            others: page.run.outputs(),
            others_href: format!("/runs/{}", page.run.id),
            ..OutputPanel::sample_colours()
        });
        page
    }

    /// It could not be started, so there is no output.
    pub fn sample_silent() -> Self {
        let mut page = Self { run: RunCard::sample_in(JobState::Failed), ..Self::sample() };
        let job = &mut page.run.jobs[0];
        (job.started_us, job.ended_us, job.output_bytes, job.peak_memory) = (None, None, 0, 0);
        (job.result, job.reason) =
            ("unreachable".into(), "asterra could not be reached, so it was not started".into());
        page.output = Some(OutputPanel {
            why_none: "It was not started.".into(),
            rows: vec![],
            ..OutputPanel::sample()
        });
        page
    }

    /// What a viewer sees.
    pub fn sample_viewer() -> Self {
        let mut page = Self::sample_many();
        as_viewer(&mut page.frame);
        page
    }
}
