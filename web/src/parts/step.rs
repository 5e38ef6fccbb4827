//! One step of a deployment, in the order of its work.

use crate::text;

/// How a step is: an icon, a word and a colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StepState {
    /// Its turn has not come.
    #[default]
    Waiting,
    /// It runs.
    Running,
    /// It was done.
    Done,
    /// There was nothing to do.
    Skipped,
    /// It failed.
    Failed,
    /// What it had changed was put back.
    Undone,
}

impl StepState {
    /// Name of its icon and class.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
            Self::Undone => "undone",
        }
    }

    /// What is read out beside the icon.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Waiting => "waits",
            Self::Running => "runs",
            Self::Done => "done",
            Self::Skipped => "nothing to do",
            Self::Failed => "failed",
            Self::Undone => "put back",
        }
    }

    /// Whether it stays as it is, unless it is put back.
    pub fn is_over(&self) -> bool {
        !matches!(self, Self::Waiting | Self::Running)
    }
}

/// One step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// As its host calls it: `bundle`.
    pub name: String,
    /// How it is.
    pub state: StepState,
    /// Microseconds since the epoch.
    pub started_us: Option<i64>,
    /// When it ended.
    pub ended_us: Option<i64>,
    /// What it did, or why it failed; may be empty.
    pub detail: String,
    /// Where its output begins.
    pub offset: u64,
}

impl Step {
    /// Its id in the page.
    pub fn id(&self) -> String {
        format!("step-{}", super::slug(&self.name))
    }

    /// What it is called in a page.
    pub fn title(&self) -> String {
        let known = match self.name.as_str() {
            "checkout" => "Check out",
            "bundle" => "Install gems",
            "assets" => "Build assets",
            "release" => "Release tasks",
            "trial" => "Trial boot",
            "health" => "Health check",
            "site" => "nginx site",
            "prune" => "Prune releases",
            _ => "",
        };
        if !known.is_empty() {
            return known.to_owned();
        }
        let mut letters = self.name.chars();
        letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
    }

    /// What it did, or why it failed, in a sentence: the lines that follow it are shown elsewhere.
    pub fn told(&self) -> String {
        match (self.detail.lines().next(), self.state) {
            (Some(sentence), _) => text::plain(sentence),
            (None, StepState::Skipped) => "nothing to do".to_owned(),
            (None, _) => String::new(),
        }
    }

    /// How long it took, when it ended.
    pub fn took(&self) -> Option<String> {
        let (start, end) = (self.started_us?, self.ended_us?);
        Some(text::took((end - start).max(0) as u64 / 1000))
    }

    /// Since when it runs.
    pub fn running_since_us(&self) -> Option<i64> {
        self.started_us.filter(|_| self.state == StepState::Running)
    }

    /// Whether its output can be pointed at.
    pub fn has_output(&self) -> bool {
        self.started_us.is_some()
    }
}
