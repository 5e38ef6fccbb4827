//! The start of a job on its host: exactly one, whatever stops in between.

use hms_proto::{
    Role,
    fault::{Fault, FaultKind},
    host::v1::{self, JobKind, JobState, StartJobRequest},
};

use super::{
    deliver,
    worker::{Next, OneJob, Step, ended},
};
use crate::{
    auth::{Caller, Source},
    db::{self, jobs},
};

/// A job whose start was refused so often "for a moment" is not going to start.
const MOST_ATTEMPTS: i32 = 20;

impl OneJob<'_> {
    /// Starts the job, exactly once: one that may have been sent before is asked after first.
    pub(super) async fn begin(&self) -> Step {
        let job = &self.job;
        if job.attempts > 0 {
            match self.ask().await {
                Ok(found) => {
                    jobs::accepted(&self.state.db, job.id, &found).await?;
                    return Ok(Next::GoOn);
                }
                Err(fault) if fault.kind() == FaultKind::NotFound => {}
                Err(fault) => return self.cannot_say(&fault).await,
            }
        }
        if job.cancel_user_id.is_some() {
            return self.finish(ended(JobState::Canceled, "", "canceled before it began")).await;
        }
        let caller = (job.user_id, job.actor.as_str());
        let needed = match job.kind() {
            JobKind::Apply | JobKind::Remove => Role::Admin,
            JobKind::Script | JobKind::Deploy | JobKind::Rollback => Role::Operator,
        };
        match Caller::on_behalf(&self.state.db, caller, Source::of_run(&job.source), needed).await {
            Ok(caller) if job.kind() == JobKind::Script => self.deliver_and_send(&caller).await,
            Ok(caller) => self.send_app_work(&caller).await,
            Err(fault) => self.not_begun(&fault).await,
        }
    }

    async fn deliver_and_send(&self, caller: &Caller) -> Step {
        if let Err(fault) = self.is_pinned().await {
            return self.not_begun(&fault).await;
        }
        if let Err(fault) = deliver::ensure(self.state, &self.host, false).await {
            return self.not_begun(&fault).await;
        }
        match self.send(caller).await? {
            // The host may have lost what it once had; it is looked at before this is the end.
            Some(Err(fault)) if may_lack_the_script(&fault) => {
                match deliver::ensure(self.state, &self.host, true).await {
                    Ok(true) => match self.send(caller).await? {
                        Some(answer) => self.answered(answer).await,
                        None => Ok(Next::GoOn),
                    },
                    _ => self.answered(Err(fault)).await,
                }
            }
            Some(answer) => self.answered(answer).await,
            None => Ok(Next::GoOn),
        }
    }

    /// What runs is what was meant when the run began.
    async fn is_pinned(&self) -> Result<(), Fault> {
        let job = &self.job;
        let changed = |how: &str| {
            Fault::new(FaultKind::Conflict, format!("`{}` was {how} after this run began", job.script))
        };
        let stored =
            db::scripts::get(&self.state.db, &job.script).await?.ok_or_else(|| changed("removed"))?;
        if stored.script().sha256 == job.script_sha256 { Ok(()) } else { Err(changed("changed")) }
    }

    /// Sends it through the gate, on behalf of who asked. None when the job has ended meanwhile.
    async fn send(&self, caller: &Caller) -> db::Result<Option<Result<v1::Job, Fault>>> {
        let job = &self.job;
        if jobs::attempt(&self.state.db, job.id).await?.is_none() {
            return Ok(None);
        }
        let request = StartJobRequest {
            id: job.id.to_string(),
            script: job.script.clone(),
            script_sha256: job.script_sha256.clone(),
            parameters: job.parameters.0.clone(),
            json: job.json,
            timeout_s: u32::try_from(job.timeout_s).unwrap_or_default(),
        };
        let mut client = self.state.gate.host_jobs(caller, &self.name());
        Ok(Some(
            client.start(request).await.map(tonic::Response::into_inner).map_err(|s| Fault::from_status(&s)),
        ))
    }

    pub(super) async fn answered(&self, answer: Result<v1::Job, Fault>) -> Step {
        match answer {
            Ok(found) => {
                jobs::accepted(&self.state.db, self.job.id, &found).await?;
                Ok(Next::GoOn)
            }
            Err(fault) => self.not_begun(&fault).await,
        }
    }

    /// Why it was refused, and for work on apps what to do about it.
    fn reason(&self, fault: &Fault) -> String {
        match self.job.kind() {
            JobKind::Script => fault.message.clone(),
            _ if fault.hint.is_empty() => fault.message.clone(),
            _ => format!("{}\n{}", fault.message, fault.hint),
        }
    }

    /// The start did not succeed: that is the end, unless it may have arrived or may succeed later.
    pub(super) async fn not_begun(&self, fault: &Fault) -> Step {
        let Some(job) = jobs::get(&self.state.db, self.job.id).await? else { return Ok(Next::GoOn) };
        match fault.kind() {
            // An earlier attempt may have arrived; this one certainly did not.
            FaultKind::Unreachable if job.attempts > 1 => self.cannot_say(fault).await,
            FaultKind::Unreachable => {
                self.finish(ended(JobState::Failed, "unreachable", &fault.message)).await
            }
            FaultKind::Unknown | FaultKind::Internal if job.attempts > 0 => self.cannot_say(fault).await,
            FaultKind::Unavailable if job.attempts < MOST_ATTEMPTS => Ok(Next::Later),
            _ => self.finish(ended(JobState::Failed, "", &self.reason(fault))).await,
        }
    }
}

/// Whether the host refused the start for a reason that a delivery may mend.
fn may_lack_the_script(fault: &Fault) -> bool {
    matches!(fault.kind(), FaultKind::NotFound | FaultKind::Conflict | FaultKind::Failed)
}
