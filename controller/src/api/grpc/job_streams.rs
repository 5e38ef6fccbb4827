//! What is watched of runs and jobs: read from the database each time that something is told, so that it makes no
//! difference which controller the work goes through, and when a stream began.

use std::{sync::Arc, time::Duration};

use futures_util::Stream;
use hms_proto::{
    controller::v1::{Deployment, Run},
    fault::{Fault, FaultKind},
    host::v1::JobOutput,
};
use tokio::sync::broadcast::Receiver;
use tonic::Status;
use uuid::Uuid;

use crate::{
    apps::deploy,
    db::{jobs, output, runs},
    jobs::Told,
    state::Core,
};

/// Looked at again after this time even when nothing was told.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// Changes within this time travel together.
const TOGETHER: Duration = Duration::from_millis(100);

/// The output of a job from an offset on, with `follow` until it has ended; and the job, when one of its steps changed.
pub(super) fn output(
    core: Arc<Core>,
    id: Uuid,
    offset: u64,
    follow: bool,
) -> impl Stream<Item = Result<JobOutput, Status>> {
    async_stream::try_stream! {
        let mut told = core.jobs.told();
        let mut offset = offset;
        let mut steps = Vec::new();
        loop {
            // The job is read before its output: what is read after its end is all of it.
            let job = job(&core, id).await?;
            if job.output_removed_at.is_some() && offset < job.output_bytes() {
                Err(removed())?;
            }
            let data = output::read(&core.db, id, offset).await.map_err(Fault::from)?;
            if !data.is_empty() {
                let length = data.len() as u64;
                yield JobOutput { offset, data, job: None };
                offset += length;
                continue;
            }
            if job.has_ended() || !follow {
                yield JobOutput { offset, data, job: Some(job.to_proto()) };
                return;
            }
            if *job.steps() != steps {
                steps.clone_from(job.steps());
                yield JobOutput { offset, data, job: Some(job.to_proto()) };
            }
            if !news(&core, &mut told, |told| told.is_about_job(id)).await {
                return;
            }
        }
    }
}

async fn job(core: &Core, id: Uuid) -> Result<jobs::Job, Fault> {
    jobs::get(&core.db, id).await?.ok_or_else(|| Fault::not_found("job", &id.to_string()))
}

fn removed() -> Fault {
    Fault::new(FaultKind::NotFound, "the output of this job was removed to make room for newer ones")
        .hint("How it ended is still known.")
}

/// A run now, and whenever it changes, until it has ended.
pub(super) fn watch(core: Arc<Core>, id: Uuid) -> impl Stream<Item = Result<Run, Status>> {
    async_stream::try_stream! {
        let mut told = core.jobs.told();
        let mut sent: Option<Run> = None;
        loop {
            let run = runs::get(&core.db, id).await.map_err(Fault::from)?;
            let run = run.ok_or_else(|| Fault::not_found("run", &id.to_string()))?;
            let ended = run.ended_usec > 0;
            if sent.as_ref() != Some(&run) {
                sent = Some(run.clone());
                yield run;
            }
            if ended || !news(&core, &mut told, |told| told.is_about_run(id)).await {
                return;
            }
            tokio::time::sleep(TOGETHER).await;
        }
    }
}

/// A deployment now, and whenever it changes, until it has ended.
pub(super) fn watch_deployment(core: Arc<Core>, id: Uuid) -> impl Stream<Item = Result<Deployment, Status>> {
    async_stream::try_stream! {
        let mut told = core.jobs.told();
        let mut sent: Option<Deployment> = None;
        loop {
            let known = deploy::get(&core, id).await?;
            let (ended, now) = (known.job.has_ended(), known.to_proto());
            if sent.as_ref() != Some(&now) {
                sent = Some(now.clone());
                yield now;
            }
            if ended || !news(&core, &mut told, |told| told.is_about_run(id)).await {
                return;
            }
            tokio::time::sleep(TOGETHER).await;
        }
    }
}

/// Waits for something that matters. False when the controller stops.
async fn news(core: &Core, told: &mut Receiver<Told>, matters: impl Fn(Told) -> bool) -> bool {
    let news = async { while !matters(Told::next(told).await) {} };
    core.stop.run_until_cancelled(tokio::time::timeout(LOOK_AGAIN, news)).await.is_some()
}
