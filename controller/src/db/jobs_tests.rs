//! Jobs against a real database.

use super::*;
use crate::db::runs;

type Test = std::result::Result<(), Box<dyn std::error::Error>>;

async fn job(pool: &PgPool) -> Result<Uuid> {
    Ok(runs::put(pool, &runs::sample(&["asterra"])).await?[0].id)
}

#[test]
fn every_state_has_a_word_and_back() {
    for state in (1..=9).filter_map(|n| JobState::try_from(n).ok()) {
        assert_eq!(super::state(&word(state)), state);
    }
    assert_eq!(word(JobState::TimedOut), "timed_out");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_job_ends_exactly_once(pool: PgPool) -> Test {
    let id = job(&pool).await?;
    claim(&pool, &[id]).await?;
    assert_eq!((attempt(&pool, id).await?, attempt(&pool, id).await?), (Some(1), Some(2)));
    let begun = v1::Job { started_usec: 1_795_521_600_000_000, ..Default::default() };
    accepted(&pool, id, &begun).await?;
    let end_as = |state: JobState, status| v1::Job {
        state: state.into(),
        exit_status: status,
        result: "exit-code\0".into(),
        reason: "é".repeat(9000),
        ended_usec: 1_795_521_605_000_000,
        peak_memory_bytes: u64::MAX,
        ..Default::default()
    };
    let failed = end_as(JobState::Failed, 3);
    let (a, b) = tokio::join!(end(&pool, id, &failed), end(&pool, id, &failed));
    assert!(a? ^ b?);
    assert!(!end(&pool, id, &end_as(JobState::Succeeded, 0)).await?);
    unknown(&pool, id, "too late").await?;
    accepted(&pool, id, &begun).await?;
    assert_eq!(attempt(&pool, id).await?, None);
    let ended = get(&pool, id).await?.unwrap();
    assert!(ended.has_ended());
    let ended = ended.to_proto();
    assert_eq!((ended.state(), ended.exit_status), (JobState::Failed, 3));
    assert_eq!(ended.ended_usec - ended.started_usec, 5_000_000);
    assert!(ended.reason.len() <= 2048 && !ended.result.contains('\0'));
    Ok(())
}

#[sqlx::test(migrations = "../migrations")]
async fn cancelling_ends_what_waits_and_asks_for_what_runs(pool: PgPool) -> Test {
    let new = runs::sample(&["a", "b", "c"]);
    let jobs = runs::put(&pool, &new).await?;
    claim(&pool, &[jobs[0].id]).await?;
    let (ada, bob) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let mut db = pool.acquire().await?;
    cancel(&mut db, new.id, Some(jobs[1].id), (ada, "web"), "canceled by ada").await?;
    assert_eq!(get(&pool, jobs[2].id).await?.unwrap().state(), JobState::Queued);
    cancel(&mut db, new.id, None, (bob, "cli"), "canceled by bob").await?;
    cancel(&mut db, new.id, None, (ada, "web"), "canceled by ada").await?;
    let after = of_run(&pool, new.id).await?;
    assert_eq!((after[0].state(), after[0].cancel_user_id), (JobState::Running, Some(bob)));
    assert_eq!((after[1].reason.as_str(), after[2].reason.as_str()), ("canceled by ada", "canceled by bob"));
    claim(&pool, &[jobs[2].id]).await?;
    assert_eq!(get(&pool, jobs[2].id).await?.unwrap().state(), JobState::Canceled);
    Ok(())
}

#[sqlx::test(migrations = "../migrations")]
async fn changes_are_told_by_id(pool: PgPool) -> Test {
    let new = runs::sample(&["asterra"]);
    let id = runs::put(&pool, &new).await?[0].id;
    let mut listener = sqlx::postgres::PgListener::connect_with(&pool).await?;
    listener.listen("hms_jobs").await?;
    claim(&pool, &[id]).await?;
    crate::db::output::append(&pool, id, 0, b"x").await?;
    unknown(&pool, id, "away").await?;
    unknown(&pool, id, "away").await?;
    runs::cancel(&pool, new.id).await?;
    let mut told = Vec::new();
    for _ in 0..4 {
        told.push(listener.recv().await?.payload().to_owned());
    }
    let run = new.id;
    assert_eq!(
        told,
        [format!("{run} {id}"), format!("{run} {id} output"), format!("{run} {id}"), run.to_string()]
    );
    Ok(())
}
