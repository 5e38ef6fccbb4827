//! Moves runs on: what is next begins, and each job that has begun is looked after.

use std::{collections::HashSet, time::Duration};

use tokio::sync::broadcast::error::TryRecvError;
use uuid::Uuid;

use super::{Told, plan, worker};
use crate::{
    db::{self, jobs, runs},
    state::State,
};

/// How often everything is looked at, whatever was told.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// Moves runs on for ever.
pub(super) async fn run(state: State) {
    let mut told = state.jobs.told();
    loop {
        if let Err(error) = look_at_everything(&state).await {
            tracing::warn!(%error, "cannot move runs on, trying again");
            tokio::time::sleep(super::RETRY).await;
            continue;
        }
        let again = tokio::time::sleep(LOOK_AGAIN);
        tokio::pin!(again);
        loop {
            let first = tokio::select! {
                first = Told::next(&mut told) => first,
                () = &mut again => break,
            };
            let Some(runs) = runs_of(first, &mut told) else { break };
            for run in runs {
                if let Err(error) = advance(&state, run).await {
                    tracing::warn!(%error, %run, "cannot move a run on, trying again");
                    again.as_mut().reset(tokio::time::Instant::now() + super::RETRY);
                }
            }
        }
    }
}

/// The runs that this and what else was told are about; none when it may be any.
fn runs_of(first: Told, told: &mut tokio::sync::broadcast::Receiver<Told>) -> Option<HashSet<Uuid>> {
    let mut runs = HashSet::new();
    let mut next = Ok(first);
    loop {
        match next {
            Ok(Told::Run(run) | Told::Job { run, .. }) => drop(runs.insert(run)),
            Ok(Told::Output { .. }) => {}
            Ok(Told::Everything) | Err(TryRecvError::Lagged(_)) => return None,
            Err(TryRecvError::Empty | TryRecvError::Closed) => return Some(runs),
        }
        next = told.try_recv();
    }
}

async fn look_at_everything(state: &State) -> db::Result<()> {
    for run in runs::open(&state.db).await? {
        advance(state, run).await?;
    }
    for job in jobs::begun(&state.db).await? {
        worker::look_after(state, job);
    }
    Ok(())
}

/// Does what is next for one run.
pub(super) async fn advance(state: &State, run: Uuid) -> db::Result<()> {
    for job in claim(&state.db, run).await? {
        worker::look_after(state, job);
    }
    Ok(())
}

/// Writes down what is next, so that it is that whoever does it. The jobs that are to begin now.
async fn claim(pool: &sqlx::PgPool, run: Uuid) -> db::Result<Vec<Uuid>> {
    let mut tx = pool.begin().await?;
    let Some(limits) = runs::lock(&mut tx, run).await? else { return Ok(Vec::new()) };
    let states = jobs::states(&mut *tx, run).await?;
    let step = plan::step(&limits, &states);
    if !step.drop.is_empty() {
        jobs::drop_waiting(&mut *tx, &step.drop, step.as_state, &step.because).await?;
    }
    if !step.begin.is_empty() {
        jobs::claim(&mut *tx, &step.begin).await?;
    }
    if step.ended {
        runs::end(&mut *tx, run).await?;
    }
    tx.commit().await?;
    Ok(step.begin)
}

#[cfg(test)]
mod tests {
    use hms_proto::host::v1::{Job, JobState};
    use sqlx::PgPool;

    use super::*;

    type Test = Result<(), Box<dyn std::error::Error>>;

    fn ended(state: JobState) -> Job {
        Job { state: state.into(), ..Job::default() }
    }

    #[sqlx::test(migrations = "../migrations")]
    async fn a_run_goes_batch_by_batch_to_its_end(pool: PgPool) -> Test {
        let new = runs::NewRun { batch: 2, ..runs::sample(&["a", "b", "c"]) };
        let all: Vec<Uuid> = runs::put(&pool, &new).await?.iter().map(|j| j.id).collect();
        assert_eq!(claim(&pool, new.id).await?, all[..2]);
        assert!(claim(&pool, new.id).await?.is_empty(), "no room");
        jobs::end(&pool, all[0], &ended(JobState::Succeeded)).await?;
        assert_eq!(claim(&pool, new.id).await?, all[2..]);
        jobs::end(&pool, all[1], &ended(JobState::Succeeded)).await?;
        claim(&pool, new.id).await?;
        assert_eq!(runs::open(&pool).await?, [new.id]);
        jobs::end(&pool, all[2], &ended(JobState::Failed)).await?;
        claim(&pool, new.id).await?;
        assert!(runs::open(&pool).await?.is_empty());
        assert!(runs::get(&pool, new.id).await?.unwrap().ended_usec > 0);
        Ok(())
    }

    #[sqlx::test(migrations = "../migrations")]
    async fn two_that_move_a_run_on_at_once_begin_each_job_once(pool: PgPool) -> Test {
        let hosts: Vec<String> = (0..12).map(|n| format!("web{n}")).collect();
        let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
        let new = runs::NewRun { batch: 5, ..runs::sample(&hosts) };
        runs::put(&pool, &new).await?;
        let (a, b, c) = tokio::join!(claim(&pool, new.id), claim(&pool, new.id), claim(&pool, new.id));
        assert_eq!(a?.len() + b?.len() + c?.len(), 5);
        assert_eq!(jobs::begun(&pool).await?.len(), 5);
        Ok(())
    }

    #[sqlx::test(migrations = "../migrations")]
    async fn failures_stop_a_run_and_cancelling_does(pool: PgPool) -> Test {
        let new = runs::NewRun { batch: 1, max_failures: 1, ..runs::sample(&["a", "b"]) };
        let all = runs::put(&pool, &new).await?;
        claim(&pool, new.id).await?;
        jobs::end(&pool, all[0].id, &ended(JobState::Failed)).await?;
        assert!(claim(&pool, new.id).await?.is_empty());
        let run = runs::get(&pool, new.id).await?.unwrap();
        assert_eq!((run.jobs[1].state(), run.state()), (JobState::Skipped, JobState::Failed));
        assert!(run.ended_usec > 0 && run.jobs[1].reason.contains("did not succeed on 1 host"));

        let other = runs::sample(&["a", "b"]);
        runs::put(&pool, &other).await?;
        runs::cancel(&pool, other.id).await?;
        assert!(claim(&pool, other.id).await?.is_empty());
        assert_eq!(runs::get(&pool, other.id).await?.unwrap().state(), JobState::Canceled);
        Ok(())
    }
}
