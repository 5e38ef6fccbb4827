//! Ends a deployment, and waits for what becomes of it.

use std::time::Duration;

use hms_proto::{
    controller::v1::CancelRequest,
    fault::{Fault, FaultKind},
    host::v1::{CancelJobRequest, JobState},
    names::JobId,
};
use tokio::time::{Instant, sleep};

use super::work::{Work, command};
use crate::{
    attach::is_over,
    connect::{Connection, Pace},
    failure::Result,
    output::state,
    output::{escape::inline, table::Table},
    session::Session,
};

/// What had been changed is put back first.
const PATIENCE: Duration = Duration::from_secs(180);
const GLANCE: Duration = Duration::from_millis(300);

pub(super) async fn run(session: &Session, id: &JobId) -> Result<()> {
    let link = session.link()?;
    let before = Work::find(session, &link, id).await?;
    if is_over(before.job().state()) {
        session.out.note("it had ended before");
        return tell(session, &before);
    }
    let progress = session.out.progress(format!("ending {}", before.noun()));
    cancel(&link, id).await?;
    let after = wait(session, &link, id).await?;
    drop(progress);
    tell(session, &after)
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

async fn wait(session: &Session, link: &Connection, id: &JobId) -> Result<Work> {
    let until = Instant::now() + PATIENCE;
    loop {
        let work = Work::find(session, link, id).await?;
        let state = work.job().state();
        if is_over(state) || state == JobState::Unknown || Instant::now() > until {
            return Ok(work);
        }
        sleep(GLANCE).await;
    }
}

fn tell(session: &Session, work: &Work) -> Result<()> {
    let job = work.job();
    if !work.data(session)? {
        let mut table = Table::new(&["", "", ""]);
        table.row(vec![state::of_job(job.state()), work.noun().into(), job.reason.as_str().into()]);
        session.out.write(&table.render(session.out.width, session.out.colour))?;
    }
    if is_over(job.state()) {
        return Ok(());
    }
    let (kind, why) = match job.state() {
        JobState::Unknown => {
            (FaultKind::Unreachable, "it cannot be reached; it is ended when the host is back")
        }
        _ => (FaultKind::Unknown, "it takes long to end"),
    };
    let what = format!("{} has not ended on {}: {why}", work.noun(), inline(&job.host));
    Err(Fault::new(kind, what).hint(command(session, "show", work.id())).into())
}
