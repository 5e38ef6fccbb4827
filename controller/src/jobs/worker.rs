//! Looks after one job from its start to its end, and ends it where somebody wants that. Each step begins with what the database says, so that it makes no
//! difference which process did the one before.

use std::{sync::Arc, time::Duration};

use chrono::Utc;
use hms_proto::{
    Role,
    fault::{Fault, FaultKind},
    host::v1::{
        self, CancelJobRequest, GetJobRequest, JobKind, JobState, job_service_client::JobServiceClient,
    },
    names::HostName,
};
use uuid::Uuid;

use super::{Told, app_work, collect, findings};
use crate::{
    auth::{Caller, Source},
    db::{self, jobs, jobs::Job},
    fleet::{Host, LinkState, as_controller},
    state::State,
};

/// A host that was just lost may be back at once: its agent is being updated, perhaps.
const GRACE: Duration = Duration::from_secs(3);
/// The longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// A look at a job takes no longer.
const LOOK: Duration = Duration::from_secs(10);

/// What comes after a step.
pub(super) enum Next {
    /// The next step.
    GoOn,
    /// The same step again, a little later.
    Later,
}

/// What a step may end with besides: the database is away.
pub(super) type Step = db::Result<Next>;

/// Looks after a job, unless somebody does.
pub(super) fn look_after(state: &State, id: Uuid) {
    if !state.jobs.take(id) {
        return;
    }
    let (state, hand) = (state.clone(), InHand(state.clone(), id));
    tokio::spawn(async move {
        let stop = state.stop.clone();
        stop.run_until_cancelled(work(&state, id)).await;
        drop(hand);
    });
}

/// Lets go of the job, however the work ends.
struct InHand(State, Uuid);

impl Drop for InHand {
    fn drop(&mut self) {
        self.0.jobs.let_go(self.1);
    }
}

async fn work(state: &State, id: Uuid) {
    let mut failures = 0;
    loop {
        match one_step(state, id).await {
            Ok(None) => return,
            Ok(Some(Next::GoOn)) => failures = 0,
            Ok(Some(Next::Later)) => failures += 1,
            Err(error) => {
                tracing::debug!(%error, job = %id, "a job waits for the database");
                failures += 1;
            }
        }
        if failures > 0 {
            let wait = Duration::from_millis(500 << failures.min(5)).min(LONGEST_WAIT);
            wait_for_news(state, id, wait).await;
        }
    }
}

/// None when nothing is left to do.
async fn one_step(state: &State, id: Uuid) -> db::Result<Option<Next>> {
    let Some(job) = jobs::get(&state.db, id).await?.filter(|job| !job.has_ended()) else { return Ok(None) };
    let known = state.fleet.host(&job.host).filter(|host| host.row.id == job.host_id);
    let Some(host) = known else {
        let reason = format!("{} is no longer one of the hosts", job.host);
        let end = if job.attempts > 0 { JobState::Lost } else { JobState::Failed };
        return finish(state, &job, ended(end, "", &reason)).await.map(Some);
    };
    let one = OneJob { state, job, host };
    let next = match one.job.accepted_at {
        None => one.begin().await?,
        Some(_) => one.follow().await?,
    };
    Ok(Some(next))
}

/// Waits for a while; not longer than until somebody wants the job to end, or its host is back.
async fn wait_for_news(state: &State, id: Uuid, wait: Duration) {
    let (mut told, mut changes) = (state.jobs.told(), state.fleet.changes());
    let host = jobs::get(&state.db, id).await.ok().flatten().and_then(|job| state.fleet.host(&job.host));
    let was_connected = host.as_ref().is_some_and(|h| h.is_connected());
    let news = async {
        loop {
            tokio::select! {
                told = Told::next(&mut told) => if matches!(told, Told::Job { job, .. } if job == id) { return },
                _ = changes.recv() => if !was_connected && host.as_ref().is_some_and(|h| h.is_connected()) { return },
            }
        }
    };
    // Not at once: a change that this job made itself is no news.
    tokio::time::sleep(wait.min(Duration::from_millis(500))).await;
    let _ = tokio::time::timeout(wait, news).await;
}

/// A job, on its host, in this moment.
pub(super) struct OneJob<'a> {
    pub(super) state: &'a State,
    pub(super) job: Job,
    pub(super) host: Arc<Host>,
}

impl OneJob<'_> {
    /// How the host has the job, without the gate: the controller looks for itself.
    pub(super) async fn ask(&self) -> Result<v1::Job, Fault> {
        let mut client = JobServiceClient::new(self.host.channel.clone());
        let request = as_controller(GetJobRequest { id: self.job.id.to_string() });
        match tokio::time::timeout(LOOK, client.get(request)).await {
            Ok(Ok(found)) => Ok(found.into_inner()),
            Ok(Err(status)) => Err(Fault::from_status(&status)),
            Err(_) => Err(Fault::new(FaultKind::Unreachable, "the agent did not answer within 10 s")),
        }
    }

    async fn follow(&self) -> Step {
        if !self.is_there().await {
            let reason = self.away();
            jobs::unknown(&self.state.db, self.job.id, &reason).await?;
            return Ok(Next::Later);
        }
        if self.job.state() == JobState::Unknown {
            match self.ask().await {
                Ok(found) if found.ended_usec == 0 => {
                    jobs::accepted(&self.state.db, self.job.id, &found).await?;
                }
                // It ended meanwhile: its output comes first, then the end.
                Ok(_) => {}
                Err(fault) if fault.kind() == FaultKind::NotFound => return self.lost().await,
                Err(fault) => return self.cannot_say(&fault).await,
            }
        }
        tokio::select! {
            next = collect::collect(self) => next,
            never = self.cancel_when_asked() => match never {},
        }
    }

    /// Ends the job on its host as soon as somebody wants that; the end itself comes with the output.
    async fn cancel_when_asked(&self) -> std::convert::Infallible {
        let mut told = self.state.jobs.told();
        let mut asked = self.job.cancel_user_id.zip(self.job.cancel_source.clone());
        loop {
            if let Some((user, source)) = &asked {
                if self.cancel(*user, source).await {
                    return std::future::pending().await;
                }
                tokio::time::sleep(GRACE).await;
                continue;
            }
            while !Told::next(&mut told).await.is_about_job(self.job.id) {}
            if let Ok(Some(now)) = jobs::get(&self.state.db, self.job.id).await {
                asked = now.cancel_user_id.zip(now.cancel_source);
            }
        }
    }

    /// Whether it needs no further attempt.
    async fn cancel(&self, user: Uuid, source: &str) -> bool {
        let caller = Caller::on_behalf(
            &self.state.db,
            (user, "who wanted it to end"),
            Source::of_run(source),
            Role::Operator,
        )
        .await;
        let canceled = match caller {
            Ok(caller) => {
                let mut client = self.state.gate.host_jobs(&caller, &self.name());
                let request = CancelJobRequest { id: self.job.id.to_string() };
                client.cancel(request).await.map(drop).map_err(|status| Fault::from_status(&status))
            }
            Err(fault) => Err(fault),
        };
        let Err(fault) = canceled else { return true };
        tracing::warn!(job = %self.job.id, host = %self.job.host, reason = %fault.message, "cannot end a job");
        use FaultKind::{Internal, Throttled, Unavailable, Unknown, Unreachable};
        !matches!(fault.kind(), Unreachable | Unknown | Unavailable | Internal | Throttled)
    }

    /// Whether the host is connected, or is so within a moment.
    async fn is_there(&self) -> bool {
        let mut changes = self.state.fleet.changes();
        let back = async {
            while !self.host.is_connected() {
                let _ = changes.recv().await;
            }
        };
        tokio::time::timeout(GRACE, back).await.is_ok()
    }

    /// Why nobody can say how the job is.
    fn away(&self) -> String {
        let name = &self.job.host;
        let (link, since) = self.host.look(|p| (p.link.clone(), p.since_usec));
        let since = chrono::DateTime::from_timestamp_micros(since).unwrap_or_else(Utc::now);
        let since = since.format("%Y-%m-%d %H:%M:%S UTC");
        let end =
            if self.job.cancel_user_id.is_some() { "; it will be ended when the host is back" } else { "" };
        match link {
            LinkState::Unreachable(why) => format!("{name} cannot be reached since {since}: {why}{end}"),
            _ => format!("{name} cannot be reached since {since}{end}"),
        }
    }

    /// Nobody can say what became of it; it is asked for again.
    pub(super) async fn cannot_say(&self, fault: &Fault) -> Step {
        if !self.is_there().await {
            jobs::unknown(&self.state.db, self.job.id, &self.away()).await?;
        } else if self.job.accepted_at.is_none() {
            jobs::unknown(&self.state.db, self.job.id, &fault.message).await?;
        }
        Ok(Next::Later)
    }

    pub(super) async fn lost(&self) -> Step {
        let reason = format!("{} no longer knows this job", self.job.host);
        self.finish(ended(JobState::Lost, "", &reason)).await
    }

    pub(super) async fn finish(&self, end: v1::Job) -> Step {
        finish(self.state, &self.job, end).await
    }

    pub(super) fn name(&self) -> HostName {
        HostName::try_from(self.job.host.as_str()).expect("it is a host of the fleet")
    }
}

/// Writes the end down, and before it what a check has found: the end is written once.
async fn finish(state: &State, job: &Job, end: v1::Job) -> Step {
    let verdict = findings::judge(state, job, end).await?;
    if let Some(found) = &verdict.found {
        db::warnings::replace(&state.db, job, found, Utc::now()).await?;
    }
    match job.kind() {
        JobKind::Script => drop(jobs::end(&state.db, job.id, &verdict.end).await?),
        _ => app_work::finish(state, job, &verdict.end).await?,
    }
    Ok(Next::GoOn)
}

/// An end that the host did not tell.
pub(super) fn ended(state: JobState, result: &str, reason: &str) -> v1::Job {
    v1::Job { state: state.into(), result: result.into(), reason: reason.into(), ..v1::Job::default() }
}
