//! Scripts that run by themselves.

use super::JobState;
use crate::events::html;
use crate::frame::{Notice, SAMPLE_NOW_US};
use crate::{Template, View};

/// One of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScheduleRow {
    /// Its UUID.
    pub id: String,
    /// The script's name.
    pub script: String,
    /// Where: `all hosts`, `label web`.
    pub target: String,
    /// `warn=80`; may be empty.
    pub parameters: String,
    /// Five fields.
    pub cron: String,
    /// The same in words.
    pub words: String,
    /// Whether it does not run for now.
    pub paused: bool,
    /// Who made it.
    pub created_by: String,
    /// The next times, in microseconds since the epoch.
    pub next_us: Vec<i64>,
    /// When it last ran, and how that went.
    pub last: Option<(i64, JobState)>,
    /// The run; empty when there was none.
    pub last_run: String,
    /// How many times it should have run and did not.
    pub missed: u32,
    /// Since when.
    pub missed_since_us: i64,
}

impl ScheduleRow {
    /// Its id in the page.
    pub fn row_id(&self) -> String {
        format!("schedule-{}", super::slug(&self.id))
    }

    /// What is said of times that passed without a run.
    pub fn missed_words(&self) -> String {
        match self.missed {
            1 => "did not run 1 time".into(),
            missed => format!("did not run {missed} times"),
        }
    }

    /// What is asked before it is removed.
    pub fn remove_question(&self) -> String {
        format!(
            "{} no longer runs by itself on {}. Runs that were, and their output, stay.",
            self.script, self.target
        )
    }

    /// In every state.
    pub fn samples() -> Vec<Self> {
        let schedule = |n: i64, script: &str, cron: &str, words: &str, step: i64| Self {
            id: format!("0193a5c4-7be1-7cc2-9d6e-{:012}", n + 300),
            script: script.into(),
            target: "all hosts".into(),
            cron: cron.into(),
            words: words.into(),
            created_by: "henrik".into(),
            next_us: (1..4).map(|time| SAMPLE_NOW_US + time * step * 1_000_000).collect(),
            last: Some((SAMPLE_NOW_US - step * 900_000, JobState::Succeeded)),
            last_run: "0193a5c4-7be1-7cc2-9d6e-000000000006".into(),
            ..Self::default()
        };
        vec![
            schedule(
                1,
                "check_certificates",
                "17 */6 * * *",
                "At 17 minutes past the hour, every 6 hours, UTC",
                21_600,
            ),
            Self {
                missed: 3,
                missed_since_us: SAMPLE_NOW_US - 2_900_000_000,
                last: Some((SAMPLE_NOW_US - 3_100_000_000, JobState::Failed)),
                parameters: "warn=80".into(),
                ..schedule(2, "check_disk_space", "*/15 * * * *", "Every 15 minutes, UTC", 900)
            },
            Self {
                paused: true,
                next_us: vec![],
                ..schedule(3, "check_status", "*/15 * * * *", "Every 15 minutes, UTC", 900)
            },
            Self {
                last: None,
                target: "label env=production".into(),
                parameters: "unit=puma-cigar.service".into(),
                ..schedule(4, "restart_service", "30 4 * * 0", "At 04:30, only on Sunday, UTC", 204_600)
            },
        ]
    }
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScheduleList {
    /// By script.
    pub rows: Vec<ScheduleRow>,
    /// Why the last request was refused.
    pub error: Option<Notice>,
}

#[derive(Template)]
#[template(path = "parts/schedule_list.html")]
struct ScheduleListPart<'a> {
    schedules: &'a ScheduleList,
    view: View,
}

impl ScheduleList {
    /// The answer to a form: the list as it is now.
    pub fn answer(&self, view: View) -> String {
        html(&ScheduleListPart { schedules: self, view })
    }
}
