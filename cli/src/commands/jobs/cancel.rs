//! `hmsctl jobs cancel`: ends a run or a job, and waits for what becomes of it.

use std::time::Duration;

use hms_proto::{
    controller::v1::CancelRequest,
    fault::{Fault, FaultKind},
    host::v1::{CancelJobRequest, Job, JobState},
    names::JobId,
};
use tokio::time::{Instant, sleep};

use super::{Thing, find, outcome};
use crate::{
    attach::is_over,
    commands::scripts::jobs_command,
    connect::{Connection, Pace},
    failure::{Failure, Result},
    output::{escape::inline, measure::now_usec},
    session::Session,
};

/// systemd gives a job ten seconds to end by itself; the rest is for slow ways.
const PATIENCE: Duration = Duration::from_secs(60);
const GLANCE: Duration = Duration::from_millis(200);

pub(super) async fn run(session: &Session, id: &JobId) -> Result<()> {
    let link = session.link()?;
    let before = find(&link, id).await?;
    let over = before.jobs().iter().all(has_ended);
    if !over {
        let progress = session.out.progress(format!("ending {}", inline(before.script())));
        cancel(&link, id).await?;
        let after = wait(&link, before).await?;
        drop(progress);
        return tell(session, &after, "");
    }
    tell(session, &before, "it had ended before")
}

async fn cancel(link: &Connection, id: &JobId) -> Result<()> {
    let id = id.to_string();
    let pace = Pace::Act;
    match link.is_direct() {
        true => drop(link.answer(pace, link.host_jobs(None, pace).cancel(CancelJobRequest { id })).await?),
        false => drop(link.answer(pace, link.jobs(None, pace).cancel(CancelRequest { id })).await?),
    }
    Ok(())
}

/// Until all of it has ended, or what is left cannot be reached.
async fn wait(link: &Connection, mut thing: Thing) -> Result<Thing> {
    let until = Instant::now() + PATIENCE;
    loop {
        thing = outcome::again(link, &thing).await?;
        let done = |job: &Job| has_ended(job) || job.state() == JobState::Unknown;
        if thing.jobs().iter().all(done) || Instant::now() > until {
            return Ok(thing);
        }
        sleep(GLANCE).await;
    }
}

fn has_ended(job: &Job) -> bool {
    is_over(job.state())
}

fn tell(session: &Session, thing: &Thing, note: &str) -> Result<()> {
    let told = match thing {
        Thing::Run(run) => session.out.data(run)?,
        Thing::Job(job) => session.out.data(job)?,
    };
    if !told {
        let table = outcome::table(thing.jobs(), false, now_usec());
        session.out.write(&table.render(session.out.width, session.out.colour))?;
        session.out.note(note);
    }
    let left: Vec<&Job> = thing.jobs().iter().filter(|job| !has_ended(job)).collect();
    match left.as_slice() {
        [] => Ok(()),
        left => Err(not_ended(session, thing, left)),
    }
}

fn not_ended(session: &Session, thing: &Thing, left: &[&Job]) -> Failure {
    let names: Vec<_> = left.iter().map(|job| inline(&job.host)).collect();
    let away = left.iter().any(|job| job.state() == JobState::Unknown);
    let (kind, why) = match away {
        true => (FaultKind::Unreachable, "it cannot be reached; it is ended when the host is back"),
        false => (FaultKind::Unknown, "it takes long to end"),
    };
    let what = format!("{} has not ended on {}: {why}", inline(thing.script()), names.join(", "));
    Fault::new(kind, what).hint(jobs_command(session, "show", thing.id())).into()
}
