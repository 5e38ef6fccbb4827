//! What changed about runs and jobs, as the database tells it.

use std::str::FromStr;

use sqlx::postgres::PgListener;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use uuid::Uuid;

use super::RETRY;
use crate::{fleet::Change, state::State};

/// Told by triggers on `runs` and `jobs` (migrations).
const CHANNEL: &str = "hms_jobs";

/// Something changed. Ids only: what became of it is in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// A run itself.
    Run(Uuid),
    /// A job of a run.
    Job { run: Uuid, job: Uuid },
    /// Only the output of a job grew.
    Output { run: Uuid, job: Uuid },
    /// Nobody knows what: the connection was lost for a while.
    Everything,
}

impl Told {
    /// Whether a run or one of its jobs may be another than before.
    pub(crate) fn is_about_run(self, id: Uuid) -> bool {
        match self {
            Self::Run(run) | Self::Job { run, .. } | Self::Output { run, .. } => run == id,
            Self::Everything => true,
        }
    }

    /// Whether a job or its output may be another than before.
    pub(crate) fn is_about_job(self, id: Uuid) -> bool {
        match self {
            Self::Job { job, .. } | Self::Output { job, .. } => job == id,
            Self::Run(_) => false,
            Self::Everything => true,
        }
    }

    /// The next thing that is told; everything, when some of it was not kept.
    pub(crate) async fn next(told: &mut Receiver<Self>) -> Self {
        match told.recv().await {
            Ok(told) => told,
            Err(RecvError::Lagged(_)) => Self::Everything,
            // The sender lives as long as the controller.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

impl FromStr for Told {
    type Err = uuid::Error;

    fn from_str(payload: &str) -> Result<Self, uuid::Error> {
        let mut words = payload.split(' ');
        let run = Uuid::try_parse(words.next().unwrap_or_default())?;
        let Some(job) = words.next().map(Uuid::try_parse).transpose()? else { return Ok(Self::Run(run)) };
        Ok(if words.next().is_some() { Self::Output { run, job } } else { Self::Job { run, job } })
    }
}

/// Passes on what the database tells, for ever.
pub(super) async fn follow(state: State) {
    loop {
        if let Err(error) = following(&state).await {
            tracing::debug!(%error, "nothing is told of jobs for now");
        }
        tokio::time::sleep(RETRY).await;
    }
}

async fn following(state: &State) -> sqlx::Result<()> {
    let mut listener = PgListener::connect_with(&state.db).await?;
    listener.listen(CHANNEL).await?;
    tell(state, Told::Everything);
    while let Some(said) = listener.try_recv().await? {
        tell(state, said.payload().parse().unwrap_or(Told::Everything));
    }
    tell(state, Told::Everything);
    Ok(())
}

fn tell(state: &State, told: Told) {
    // No receiver is no fault: nobody is looking.
    let _ = state.jobs.told.send(told);
    if !matches!(told, Told::Output { .. }) {
        state.fleet.tell(Change::Activity);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_read() {
        let (run, job) = (Uuid::from_u128(1), Uuid::from_u128(2));
        assert_eq!(run.to_string().parse(), Ok(Told::Run(run)));
        assert_eq!(format!("{run} {job}").parse(), Ok(Told::Job { run, job }));
        assert_eq!(format!("{run} {job} output").parse(), Ok(Told::Output { run, job }));
        assert!("x".parse::<Told>().is_err() && "".parse::<Told>().is_err());
        assert!(Told::Everything.is_about_run(run) && Told::Everything.is_about_job(job));
        assert!(Told::Job { run, job }.is_about_run(run) && !Told::Run(run).is_about_job(job));
    }
}
