//! The steps of a job, and how far they are, as everybody sees it.

use hms_proto::{
    fault::Fault,
    host::v1::{JobKind, JobStep, StepState},
    names::JobId,
};

use super::output::Output;
use crate::{
    internal,
    jobs::{Outcome, Progress, Store},
    now_usec,
};

/// A step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Prepare,
    Fetch,
    Checkout,
    Bundle,
    Assets,
    Release,
    Check,
    Trial,
    Switch,
    Restart,
    Health,
    Site,
    Prune,
    Stop,
    Units,
    Data,
}

impl Step {
    /// As the contract calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Prepare => "prepare",
            Self::Fetch => "fetch",
            Self::Checkout => "checkout",
            Self::Bundle => "bundle",
            Self::Assets => "assets",
            Self::Release => "release",
            Self::Check => "check",
            Self::Trial => "trial",
            Self::Switch => "switch",
            Self::Restart => "restart",
            Self::Health => "health",
            Self::Site => "site",
            Self::Prune => "prune",
            Self::Stop => "stop",
            Self::Units => "units",
            Self::Data => "data",
        }
    }
}

/// The steps of each kind of work, in their order.
pub(crate) fn of(kind: JobKind) -> &'static [Step] {
    use Step::{
        Assets, Bundle, Check, Checkout, Data, Fetch, Health, Prepare, Prune, Release, Restart, Site, Stop,
        Switch, Trial, Units,
    };
    match kind {
        JobKind::Deploy => {
            &[Prepare, Fetch, Checkout, Bundle, Assets, Release, Trial, Switch, Restart, Health, Site, Prune]
        }
        JobKind::Apply => &[Prepare, Trial, Switch, Restart, Health, Site],
        JobKind::Rollback => &[Check, Trial, Switch, Restart, Health, Site],
        JobKind::Remove => &[Site, Stop, Units, Data],
        JobKind::Script => &[],
    }
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Done {
    /// What it did.
    Well(String),
    /// Why there was nothing to do.
    Skipped(String),
}

/// What a step did, in a sentence.
pub(crate) fn well(what: impl Into<String>) -> Result<Done, Fault> {
    Ok(Done::Well(what.into()))
}

/// Why there was nothing to do, in a sentence.
pub(crate) fn skipped(why: impl Into<String>) -> Result<Done, Fault> {
    Ok(Done::Skipped(why.into()))
}

/// Tells how far a job is. Each change is on the disk when it is told.
#[derive(Debug, Clone)]
pub(crate) struct Steps {
    store: Store,
    id: JobId,
    progress: Progress,
}

impl Steps {
    /// Of this job, as far as it was told before.
    pub(crate) fn load(store: &Store, id: &JobId, kind: JobKind) -> Result<Self, Fault> {
        let mut progress =
            store.progress(id).map_err(|e| internal(format!("cannot read how far a job is: {e}")))?;
        if progress.steps.is_empty() {
            let step = |step: &Step| JobStep { name: step.name().into(), ..JobStep::default() };
            progress.steps = of(kind).iter().map(step).collect();
        }
        Ok(Self { store: store.clone(), id: id.clone(), progress })
    }

    /// Whether anything was begun.
    pub(crate) fn have_begun(&self) -> bool {
        self.progress.steps.iter().any(|step| step.state() != StepState::Waiting)
    }

    /// What became of the job, if that is decided.
    pub(crate) fn outcome(&self) -> Option<&Outcome> {
        self.progress.outcome.as_ref()
    }

    /// Says that a step begins.
    pub(crate) fn begin(&mut self, step: Step, output: &Output) {
        let output_offset = output.offset();
        output.forget();
        self.change(step.name(), |it| {
            it.set_state(StepState::Running);
            (it.started_usec, it.output_offset) = (now_usec(), output_offset);
        });
    }

    /// Says how a step ended.
    pub(crate) fn end(&mut self, step: Step, done: &Done) {
        let (state, detail) = match done {
            Done::Well(what) => (StepState::Done, what),
            Done::Skipped(why) => (StepState::Skipped, why),
        };
        self.change(step.name(), |it| {
            it.set_state(state);
            it.detail.clone_from(detail);
            it.ended_usec = now_usec();
        });
    }

    /// Says that the step which runs has failed. `None`: none runs.
    pub(crate) fn fail(&mut self, why: &str) -> Option<String> {
        let running =
            self.progress.steps.iter().find(|step| step.state() == StepState::Running)?.name.clone();
        self.change(&running, |it| {
            it.set_state(StepState::Failed);
            why.clone_into(&mut it.detail);
            it.ended_usec = now_usec();
        });
        Some(running)
    }

    /// The step that failed, and why.
    pub(crate) fn failed(&self) -> Option<(String, String)> {
        let failed = self.progress.steps.iter().find(|step| step.state() == StepState::Failed)?;
        Some((failed.name.clone(), failed.detail.clone()))
    }

    /// Says that what these steps had changed was put back. One that failed stays so.
    pub(crate) fn undone(&mut self, steps: &[Step]) {
        for step in steps {
            self.change(step.name(), |it| {
                if it.state() == StepState::Done {
                    it.set_state(StepState::Undone);
                }
            });
        }
    }

    /// Says how those of these steps ended that run.
    pub(crate) fn end_running(&mut self, ends: &[(Step, Done)]) {
        for (step, done) in ends {
            let runs = self
                .progress
                .steps
                .iter()
                .any(|it| it.name == step.name() && it.state() == StepState::Running);
            if runs {
                self.end(*step, done);
            }
        }
    }

    /// Tells of all steps, before the first begins.
    pub(crate) fn touch(&mut self) {
        self.write();
    }

    /// Says which commit, and release, the job is about.
    pub(crate) fn is_about(&mut self, commit: &str, release: &str) {
        commit.clone_into(&mut self.progress.commit);
        release.clone_into(&mut self.progress.release);
        self.write();
    }

    /// Says what became of the job.
    pub(crate) fn decide(&mut self, outcome: Outcome) -> Result<(), Fault> {
        self.progress.outcome = Some(outcome);
        let written = self.store.set_progress(&self.id, &self.progress);
        written.map_err(|e| internal(format!("cannot write down what became of a job: {e}")))
    }

    fn change(&mut self, name: &str, change: impl FnOnce(&mut JobStep)) {
        if let Some(step) = self.progress.steps.iter_mut().find(|step| step.name == name) {
            change(step);
            self.write();
        }
    }

    fn write(&self) {
        // On a full disk the work must go on to where it can be put back.
        if let Err(error) = self.store.set_progress(&self.id, &self.progress) {
            tracing::warn!(%error, id = %self.id, "cannot tell how far a job is");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_a_job_is_outlives_its_process() {
        let state = tempfile::tempdir().unwrap();
        let store = Store::new(state.path());
        store.prepare().unwrap();
        let id = JobId::new();
        store.create(&id, &Default::default(), &[]).unwrap();
        let load = || Steps::load(&store, &id, JobKind::Apply).unwrap();
        let mut steps = load();
        assert!(!steps.have_begun());
        let output = Output::kept(100);
        steps.begin(Step::Prepare, &output);
        steps.end(Step::Prepare, &Done::Well("made the user".into()));
        steps.begin(Step::Trial, &output);
        // Killed here.
        let mut steps = load();
        assert!(steps.have_begun() && steps.failed().is_none());
        assert_eq!(steps.fail("its process was killed").as_deref(), Some("trial"));
        assert_eq!(steps.fail("again"), None);
        steps.undone(&[Step::Prepare, Step::Trial, Step::Switch]);
        let states: Vec<_> = load().progress.steps.iter().map(JobStep::state).collect();
        assert_eq!(states[..3], [StepState::Undone, StepState::Failed, StepState::Waiting]);
        steps.decide(Outcome { good: false, reason: "x".into() }).unwrap();
        assert_eq!(load().outcome().unwrap().reason, "x");
    }
}
