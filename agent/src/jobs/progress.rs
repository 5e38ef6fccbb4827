//! How far a job with steps is: a small file beside its output, which is replaced as a whole with each change.

use hms_proto::host::v1::{Job, JobStep};
use serde::{Deserialize, Serialize};

/// What is told of a job while it runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Progress {
    /// All steps, in their order.
    pub(crate) steps: Vec<JobStep>,
    /// The release that it makes or goes back to.
    pub(crate) release: String,
    /// Its commit.
    pub(crate) commit: String,
    /// What became of it. `None`: that is not decided.
    pub(crate) outcome: Option<Outcome>,
}

/// What became of a job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Outcome {
    /// Whether what was asked for is done.
    pub(crate) good: bool,
    /// Why not; or what else there is to say.
    pub(crate) reason: String,
}

impl Progress {
    /// The job with what is told of it.
    pub(crate) fn on(&self, job: Job) -> Job {
        let or = |own: &String, other: String| if own.is_empty() { other } else { own.clone() };
        let steps = if self.steps.is_empty() { job.steps } else { self.steps.clone() };
        Job { steps, release: or(&self.release, job.release), commit: or(&self.commit, job.commit), ..job }
    }
}
