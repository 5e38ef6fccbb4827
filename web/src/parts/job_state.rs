//! How a job or a run is: an icon, a word and a colour.

/// The state of a job, or of a run in one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JobState {
    /// It waits for its turn.
    Queued,
    /// It runs.
    Running,
    /// Its host cannot be reached; it may well be running.
    #[default]
    Unknown,
    /// Exit status 0.
    Succeeded,
    /// It ended otherwise, or could not be started.
    Failed,
    /// Somebody ended it.
    Canceled,
    /// It took too long.
    TimedOut,
    /// Its end is not known.
    Lost,
    /// It was not started, because others failed.
    Skipped,
}

impl JobState {
    /// All of them, in the order of the filter.
    pub const ALL: [Self; 9] = [
        Self::Queued,
        Self::Running,
        Self::Unknown,
        Self::Succeeded,
        Self::Failed,
        Self::Canceled,
        Self::TimedOut,
        Self::Lost,
        Self::Skipped,
    ];

    /// As in addresses, and the name of its icon and class.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Unknown => "unknown",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::TimedOut => "timed_out",
            Self::Lost => "lost",
            Self::Skipped => "skipped",
        }
    }

    /// What is shown beside the icon.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Queued => "Waiting",
            Self::Running => "Running",
            Self::Unknown => "Unknown",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Canceled => "Canceled",
            Self::TimedOut => "Timed out",
            Self::Lost => "Lost",
            Self::Skipped => "Not started",
        }
    }

    /// Whether it stays as it is.
    pub fn is_over(&self) -> bool {
        !matches!(self, Self::Queued | Self::Running | Self::Unknown)
    }

    /// Whether it could be ended now.
    pub fn can_be_canceled(&self) -> bool {
        !self.is_over()
    }
}
