//! Runs as rows of a table: on the page of all scripts, of one script, and in the history.

use super::JobState;
use crate::frame::SAMPLE_NOW_US;

/// One run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunRow {
    /// Its UUID.
    pub id: String,
    /// The script's name.
    pub script: String,
    /// In one word.
    pub state: JobState,
    /// Where: `asterra`, `all hosts`, `label web`.
    pub target: String,
    /// `threshold=80`; may be empty.
    pub parameters: String,
    /// How many hosts: succeeded, not succeeded, running, waiting.
    pub counts: Counts,
    /// Who asked.
    pub actor: String,
    /// `web`, `rest`, `cli` or `schedule`.
    pub source: String,
    /// Microseconds since the epoch.
    pub created_us: i64,
    /// When it ended.
    pub ended_us: Option<i64>,
}

/// How many hosts of a run are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// It was done.
    pub succeeded: u32,
    /// All ways not to succeed.
    pub failed: u32,
    /// It runs, or may be running.
    pub running: u32,
    /// It waits for its turn.
    pub waiting: u32,
}

impl Counts {
    /// All of them.
    pub fn all(&self) -> u32 {
        self.succeeded + self.failed + self.running + self.waiting
    }

    /// Those that ended.
    pub fn over(&self) -> u32 {
        self.succeeded + self.failed
    }

    /// `1 host`, `12 of 14 hosts, 2 failed`.
    pub fn words(&self) -> String {
        let (all, noun) = (self.all(), if self.all() == 1 { "host" } else { "hosts" });
        let done = if self.succeeded == all || all == 1 {
            format!("{all} {noun}")
        } else {
            format!("{} of {all} {noun}", self.succeeded)
        };
        match self.failed {
            0 => done,
            _ if all == 1 => done,
            failed => format!("{done}, {failed} failed"),
        }
    }
}

impl RunRow {
    /// Where it is shown.
    pub fn href(&self) -> String {
        format!("/runs/{}", self.id)
    }

    /// How long it took, when it ended.
    pub fn took(&self) -> Option<String> {
        self.ended_us.map(|end| crate::text::took((end - self.created_us).max(0) as u64 / 1000))
    }

    /// One in each state.
    pub fn samples() -> Vec<Self> {
        let run = |n: i64, script: &str, state, counts, ago: i64| Self {
            id: format!("0193a5c4-7be1-7cc2-9d6e-{n:012}"),
            script: script.into(),
            state,
            target: "asterra".into(),
            counts,
            actor: "henrik".into(),
            source: "web".into(),
            created_us: SAMPLE_NOW_US - ago * 1_000_000,
            ended_us: Some(SAMPLE_NOW_US - ago * 1_000_000 + 2_410_000),
            ..Self::default()
        };
        let one = Counts { succeeded: 1, ..Counts::default() };
        let none = Counts { failed: 1, ..Counts::default() };
        let live = Counts { succeeded: 9, failed: 1, running: 2, waiting: 2 };
        vec![
            Self {
                target: "label env=production".into(),
                parameters: "warn=80 critical=90".into(),
                ended_us: None,
                ..run(9, "check_disk_space", JobState::Running, live, 74)
            },
            Self {
                parameters: "app=cigar pattern=ActiveRecord::ConnectionTimeoutError since=3600".into(),
                ..run(8, "parse_logs", JobState::Succeeded, one, 240)
            },
            Self {
                parameters: "unit=puma-tobacco.service".into(),
                source: "cli".into(),
                ..run(7, "restart_service", JobState::Failed, none, 610)
            },
            Self {
                target: "all hosts".into(),
                actor: "henrik".into(),
                source: "schedule".into(),
                ..run(
                    6,
                    "check_certificates",
                    JobState::Succeeded,
                    Counts { succeeded: 14, ..Counts::default() },
                    4_000,
                )
            },
            Self {
                target: "borealis".into(),
                ended_us: None,
                ..run(
                    5,
                    "check_database",
                    JobState::Unknown,
                    Counts { running: 1, ..Counts::default() },
                    5_200,
                )
            },
            run(4, "parse_logs", JobState::TimedOut, none, 90_000),
            run(3, "parse_logs", JobState::Canceled, none, 180_000),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_counted_in_words() {
        let counts = |succeeded, failed, running| Counts { succeeded, failed, running, waiting: 0 }.words();
        assert_eq!(counts(1, 0, 0), "1 host");
        assert_eq!(counts(0, 1, 0), "1 host");
        assert_eq!(counts(14, 0, 0), "14 hosts");
        assert_eq!(counts(9, 1, 4), "9 of 14 hosts, 1 failed");
    }
}
