//! One run as a whole: what was asked, how it is on each host, what can be done about it.

use super::{Counts, JobState};
use crate::frame::SAMPLE_NOW_US;
use crate::{Fragment, Template, View, text};

/// A host's part of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobRow {
    /// Its UUID.
    pub id: String,
    /// On which host.
    pub host: String,
    /// How it is.
    pub state: JobState,
    /// Microseconds since the epoch.
    pub started_us: Option<i64>,
    /// When it ended.
    pub ended_us: Option<i64>,
    /// Exit status, or the number of the signal; meaningful when it ended by itself.
    pub exit_status: i32,
    /// Whether `exit_status` is a signal.
    pub killed_by_signal: bool,
    /// systemd's word: `exit-code`, `oom-kill`, ...; may be empty.
    pub result: String,
    /// Why it is in this state; may be empty.
    pub reason: String,
    /// Bytes of output.
    pub output_bytes: u64,
    /// Whether there was more than is kept.
    pub truncated: bool,
    /// Most memory in use; 0: not known.
    pub peak_memory: u64,
    /// CPU time in milliseconds; 0: not known.
    pub cpu_ms: u64,
}

impl JobRow {
    /// Its id in the page.
    pub fn row_id(&self) -> String {
        format!("job-{}", super::slug(&self.id))
    }

    /// `exit status 1`, `killed by signal 9`; empty when it did not end by itself.
    pub fn ending(&self) -> String {
        let ended = matches!(self.state, JobState::Succeeded | JobState::Failed) && self.started_us.is_some();
        match (ended, self.killed_by_signal) {
            (false, _) => String::new(),
            (true, true) => format!("signal {}", self.exit_status),
            (true, false) => format!("exit status {}", self.exit_status),
        }
    }

    /// Why it is in this state, where that is more than how it ended.
    pub fn told_reason(&self) -> &str {
        let ending = self.ending();
        if !ending.is_empty() && self.reason == format!("it ended with {ending}") { "" } else { &self.reason }
    }

    /// How long it took, when it ended.
    pub fn took(&self) -> Option<String> {
        let (start, end) = (self.started_us?, self.ended_us?);
        Some(text::took((end - start).max(0) as u64 / 1000))
    }

    /// Since when it runs.
    pub fn running_since_us(&self) -> Option<i64> {
        self.started_us.filter(|_| self.state == JobState::Running)
    }

    /// systemd's word, where it says more than the state.
    pub fn tag(&self) -> &str {
        match self.result.as_str() {
            "success" | "exit-code" | "signal" | "timeout" | "" => "",
            other => other,
        }
    }
}

/// One run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunCard {
    /// Its UUID.
    pub id: String,
    /// The script's name.
    pub script: String,
    /// Whether the script changes something.
    pub mutates: bool,
    /// Name and value.
    pub parameters: Vec<(String, String)>,
    /// Where: `asterra`, `all hosts`, `label web`.
    pub target: String,
    /// How it goes about it: `10 hosts at a time`; may be empty.
    pub manner: String,
    /// Who asked.
    pub actor: String,
    /// `web`, `rest`, `cli` or `schedule`.
    pub source: String,
    /// Microseconds since the epoch.
    pub created_us: i64,
    /// When it ended.
    pub ended_us: Option<i64>,
    /// In one word.
    pub state: JobState,
    /// How many hosts are in which state.
    pub counts: Counts,
    /// By host.
    pub jobs: Vec<JobRow>,
    /// The job whose output is shown below.
    pub chosen: String,
    /// The form with the same parameters.
    pub again_href: String,
    /// Why the last request to cancel was refused; may be empty.
    pub problem: String,
}

/// Something that a check looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FindingRow {
    /// `ok`, `warning` or `critical`.
    pub level: String,
    /// What it is about.
    pub subject: String,
    /// A sentence with the numbers.
    pub message: String,
}

impl FindingRow {
    /// Its icon.
    pub fn icon(&self) -> &'static str {
        match self.level.as_str() {
            "critical" => "bad",
            "warning" => "warn",
            _ => "good",
        }
    }
}

#[derive(Template)]
#[template(path = "parts/run_card.html")]
struct RunCardPart<'a> {
    run: &'a RunCard,
    view: View,
}

impl RunCard {
    /// The run as it replaces the one in the page (`run`).
    pub fn fragment(&self, view: View) -> Fragment {
        Fragment::morph("run", &RunCardPart { run: self, view })
    }

    /// Whether something of it goes on.
    pub fn is_open(&self) -> bool {
        !self.state.is_over()
    }

    /// The job whose output is shown.
    pub fn chosen_job(&self) -> Option<&JobRow> {
        self.jobs.iter().find(|job| job.id == self.chosen)
    }

    /// Whether this job's output is shown.
    pub fn is_chosen(&self, job: &JobRow) -> bool {
        self.chosen == job.id
    }

    /// Where this job's output is shown.
    pub fn job_href(&self, job: &JobRow) -> String {
        format!("/runs/{}?job={}#output", self.id, job.id)
    }

    /// The form that runs it again on the hosts where it did not succeed.
    pub fn failed_href(&self) -> String {
        let mark = if self.again_href.contains('?') { '&' } else { '?' };
        format!("{}{mark}on=failed&of={}", self.again_href, self.id)
    }

    /// Whether running it again on some of the hosts makes sense.
    pub fn has_failed_in_part(&self) -> bool {
        !self.is_open() && self.counts.failed > 0 && self.counts.all() > 1
    }

    /// The jobs whose output can be shown instead; none when there is one only.
    pub fn outputs(&self) -> Vec<(String, String, bool)> {
        if self.jobs.len() < 2 {
            return Vec::new();
        }
        let label = |job: &JobRow| format!("{}: {}", job.host, job.state.word());
        self.jobs.iter().map(|job| (job.id.clone(), label(job), self.is_chosen(job))).collect()
    }

    /// How it is, in a sentence that is read out when it changes.
    pub fn summary(&self) -> String {
        let all = self.counts.all();
        match (self.is_open(), all) {
            (true, 2..) => format!("{} of {all} hosts done{}", self.counts.over(), self.failures()),
            (false, 2..) => format!("{} of {all} hosts succeeded{}", self.counts.succeeded, self.failures()),
            _ => self.jobs.first().map(JobRow::ending).unwrap_or_default(),
        }
    }

    fn failures(&self) -> String {
        if self.counts.failed == 0 { String::new() } else { format!(", {} failed", self.counts.failed) }
    }

    /// How long it took, when it ended.
    pub fn took(&self) -> Option<String> {
        self.ended_us.map(|end| text::took((end - self.created_us).max(0) as u64 / 1000))
    }

    /// What is asked before it is canceled.
    pub fn cancel_question(&self) -> String {
        let waits = match self.counts.waiting {
            0 => String::new(),
            1 => " 1 host that waits is not begun.".to_owned(),
            waiting => format!(" {waiting} hosts that wait are not begun."),
        };
        let runs = match self
            .jobs
            .iter()
            .filter(|job| !job.state.is_over() && job.state != JobState::Queued)
            .count()
        {
            1 => "What runs on 1 host is ended".to_owned(),
            running => format!("What runs on {running} hosts is ended"),
        };
        format!("{runs}, with everything that it started.{waits} What was done so far is not undone.")
    }

    /// A run that ended well on one host.
    pub fn sample() -> Self {
        let job = JobRow {
            id: "0193a5c4-7be1-7cc2-9d6e-000000000101".into(),
            host: "asterra".into(),
            state: JobState::Succeeded,
            started_us: Some(SAMPLE_NOW_US - 240_000_000),
            ended_us: Some(SAMPLE_NOW_US - 237_590_000),
            result: "success".into(),
            output_bytes: 2_714,
            peak_memory: 14 << 20,
            cpu_ms: 380,
            ..JobRow::default()
        };
        Self {
            id: "0193a5c4-7be1-7cc2-9d6e-000000000008".into(),
            script: "parse_logs".into(),
            parameters: vec![
                ("app".into(), "cigar".into()),
                ("pattern".into(), "(?i)error|timeout".into()),
                ("since".into(), "3600".into()),
            ],
            target: "asterra".into(),
            actor: "henrik".into(),
            source: "web".into(),
            created_us: SAMPLE_NOW_US - 240_100_000,
            ended_us: Some(SAMPLE_NOW_US - 237_500_000),
            state: JobState::Succeeded,
            counts: Counts { succeeded: 1, ..Counts::default() },
            chosen: job.id.clone(),
            again_href: "/scripts/parse_logs?p.app=cigar".into(),
            jobs: vec![job],
            ..Self::default()
        }
    }

    /// The same in another state.
    pub fn sample_in(state: JobState) -> Self {
        let mut run = Self::sample();
        run.state = state;
        let job = &mut run.jobs[0];
        job.state = state;
        run.counts = if state.is_over() {
            Counts { failed: 1, ..Counts::default() }
        } else {
            Counts { running: 1, ..Counts::default() }
        };
        if !state.is_over() {
            (run.ended_us, job.ended_us, job.peak_memory, job.cpu_ms) = (None, None, 0, 0);
        }
        run
    }

    /// Many hosts, in every state.
    pub fn sample_many() -> Self {
        let names = [
            "asterra", "borealis", "carina", "corvus", "draco", "gemini", "hydra", "lyra", "orion",
            "perseus", "taurus", "volans",
        ];
        let mut run = Self {
            script: "check_disk_space".into(),
            parameters: vec![("warn".into(), "80".into())],
            target: "label env=production".into(),
            manner: "4 hosts at a time, stops after 3 failures".into(),
            counts: Counts { succeeded: 4, failed: 4, running: 2, waiting: 2 },
            ..Self::sample_in(JobState::Running)
        };
        let sample = Self::sample().jobs.remove(0);
        let job = |(n, name): (usize, &&str)| {
            let state = JobState::ALL[[3, 3, 4, 3, 2, 6, 3, 1, 5, 7, 0, 0][n]];
            let over = state.is_over();
            JobRow {
                id: format!("0193a5c4-7be1-7cc2-9d6e-{:012}", n + 200),
                host: (*name).into(),
                state,
                exit_status: i32::from(state == JobState::Failed) * 9,
                killed_by_signal: state == JobState::Failed,
                result: if state == JobState::Failed { "oom-kill".into() } else { String::new() },
                reason: match state {
                    JobState::Unknown => {
                        "draco cannot be reached since 18:39:12; the job may well be running".into()
                    }
                    JobState::Lost => "perseus was restarted while it ran".into(),
                    JobState::Canceled => "canceled by henrik".into(),
                    _ => String::new(),
                },
                started_us: sample.started_us.filter(|_| state != JobState::Queued),
                ended_us: sample.ended_us.filter(|_| over),
                output_bytes: if state == JobState::Queued { 0 } else { 1_400 },
                peak_memory: if over { 9 << 20 } else { 0 },
                ..sample.clone()
            }
        };
        run.jobs = names.iter().enumerate().map(job).collect();
        run.chosen = run.jobs[7].id.clone();
        run
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_told_in_a_sentence() {
        assert_eq!(RunCard::sample_many().summary(), "8 of 12 hosts done, 4 failed");
        assert_eq!(RunCard::sample().summary(), "exit status 0");
        assert_eq!(RunCard::sample_in(JobState::Unknown).summary(), "");
        assert!(RunCard::sample_many().cancel_question().starts_with("What runs on 2 hosts is ended"));
        assert!(RunCard::sample_many().cancel_question().contains("2 hosts that wait are not begun"));
    }

    #[test]
    fn running_it_again_keeps_what_was_asked() {
        let run = RunCard::sample();
        assert_eq!(run.failed_href(), format!("/scripts/parse_logs?p.app=cigar&on=failed&of={}", run.id));
    }
}
