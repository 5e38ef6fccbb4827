//! One app on the dashboard: its state, its measures, what can be done, and what became of what was done.

use super::{ActionOutcome, LiveRelease, Sparkline, app_href};
use crate::frame::SAMPLE_NOW_US;
use crate::{Fragment, Template, View};

/// The state of an app. Shown as shape, word and colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AppState {
    /// Nothing was heard of it yet.
    #[default]
    Unknown,
    /// ●
    Running,
    /// ◐
    Starting,
    /// ◐
    Stopping,
    /// ○
    Stopped,
    /// ▲
    Failed,
    /// Its host does not answer; the app may well be running.
    Unreachable,
    /// Its host has no such unit.
    NotInstalled,
}

impl AppState {
    /// What is shown beside the shape.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "Unknown",
            Self::Running => "Running",
            Self::Starting => "Starting",
            Self::Stopping => "Stopping",
            Self::Stopped => "Stopped",
            Self::Failed => "Failed",
            Self::Unreachable => "Unreachable",
            Self::NotInstalled => "Not installed",
        }
    }

    /// Class of the shape and its colour.
    pub fn shape(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Starting | Self::Stopping => "starting",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
            Self::Unknown | Self::Unreachable | Self::NotInstalled => "unknown",
        }
    }
}

/// One app.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AppRow {
    /// `cigar`
    pub key: String,
    /// What people call it.
    pub name: String,
    /// Where it runs.
    pub host: String,
    /// Its public name; may be empty.
    pub domain: String,
    /// `puma-cigar.service`
    pub unit: String,
    /// As last seen.
    pub state: AppState,
    /// More about the state: `auto-restart`, `exit status 1`; may be empty.
    pub detail: String,
    /// Since when it is up, in microseconds since the epoch.
    pub up_since_us: Option<i64>,
    /// When it was last heard of; shown when it is unreachable.
    pub seen_us: Option<i64>,
    /// CPUs in use; 1 is one CPU fully.
    pub cpu: Option<f64>,
    /// The same over the last minutes.
    pub cpu_line: Sparkline,
    /// Bytes.
    pub memory: Option<u64>,
    /// The same over the last minutes.
    pub memory_line: Sparkline,
    /// How often systemd started it again by itself since it was last started by hand.
    pub restarts: u32,
    /// What is live, where HMS brought it.
    pub live: Option<LiveRelease>,
    /// The deployment that works on it: its page, and how far it is.
    pub work: Option<(String, String)>,
    /// What became of the action just done.
    pub outcome: Option<ActionOutcome>,
}

#[derive(Template)]
#[template(path = "parts/app_row.html")]
struct AppRowPart<'a> {
    app: &'a AppRow,
    view: View,
}

impl AppRow {
    /// Its id in the page.
    pub fn id(&self) -> String {
        format!("app-{}", super::slug(&self.key))
    }

    /// The row as it replaces the one in the page. Without an outcome, one that is on display stays.
    pub fn fragment(&self, view: View) -> Fragment {
        Fragment::morph(self.id(), &AppRowPart { app: self, view })
    }

    /// Its own page.
    pub fn href(&self) -> String {
        app_href(&self.key, "")
    }

    /// Whether a start makes sense.
    pub fn can_start(&self) -> bool {
        matches!(self.state, AppState::Stopped | AppState::Failed | AppState::Unknown)
    }

    /// Whether a stop makes sense.
    pub fn can_stop(&self) -> bool {
        matches!(self.state, AppState::Running | AppState::Starting | AppState::Stopping)
    }

    /// Whether its host can be asked at all.
    pub fn can_be_reached(&self) -> bool {
        !matches!(self.state, AppState::Unreachable | AppState::NotInstalled)
    }

    /// Whether what is shown is what was last seen.
    pub fn is_unreachable(&self) -> bool {
        self.state == AppState::Unreachable
    }

    /// What is asked before it is stopped.
    pub fn stop_question(&self) -> String {
        let whose = if self.domain.is_empty() { &self.name } else { &self.domain };
        format!(
            "Users of {whose} get errors until it is started again. {} on {} is stopped.",
            self.unit, self.host
        )
    }

    /// An app that runs.
    pub fn sample() -> Self {
        let wave = |base: f64, swing: f64| {
            (0..40)
                .map(|step| base + swing * ((f64::from(step) * 0.7).sin() + (f64::from(step) * 0.23).cos()))
                .collect()
        };
        Self {
            key: "cigar".into(),
            name: "Cigar".into(),
            host: "asterra".into(),
            domain: "cigar.remoteds.us".into(),
            unit: "puma-cigar.service".into(),
            state: AppState::Running,
            up_since_us: Some(SAMPLE_NOW_US - 273_600 * 1_000_000),
            seen_us: Some(SAMPLE_NOW_US),
            cpu: Some(0.034),
            cpu_line: Sparkline::new(wave(0.04, 0.012)),
            memory: Some(193 << 20),
            memory_line: Sparkline::new(wave(190.0, 2.0)),
            live: Some(LiveRelease::sample()),
            ..Self::default()
        }
    }

    /// The same app in another state.
    pub fn sample_in(key: &str, host: &str, state: AppState) -> Self {
        let up = matches!(state, AppState::Running);
        let sample = Self::sample();
        Self {
            key: key.into(),
            name: key.into(),
            host: host.into(),
            domain: format!("{key}.remoteds.us"),
            unit: format!("puma-{key}.service"),
            state,
            up_since_us: sample.up_since_us.filter(|_| up),
            cpu: sample.cpu.filter(|_| up),
            memory: sample.memory.filter(|_| up),
            cpu_line: if up { sample.cpu_line.clone() } else { Sparkline::default() },
            memory_line: if up { sample.memory_line.clone() } else { Sparkline::default() },
            live: sample.live.clone().filter(|_| state != AppState::NotInstalled),
            ..sample
        }
    }
}
