//! Deployments against a real database.

use hms_proto::host::v1::{Job as Told, JobState, JobStep, StepState};
use sqlx::PgPool;

use super::{super::Error, *};
use crate::db::apps;

type Test = std::result::Result<(), Box<dyn std::error::Error>>;

fn new(app: &str, kind: JobKind) -> NewDeployment {
    NewDeployment {
        id: Uuid::now_v7(),
        app: app.into(),
        kind,
        host: (Uuid::from_u128(1), "web1".into()),
        wanted: Wanted { branch: "main".into(), ..Wanted::default() },
        actor: "ada".into(),
        user_id: Uuid::from_u128(7),
        source: Source::Cli,
    }
}

async fn app(pool: &PgPool) -> Result<()> {
    apps::add(&mut *pool.acquire().await?, &apps::sample("cigar")).await
}

async fn end(pool: &PgPool, id: Uuid, state: JobState, release: &str) -> Result<bool> {
    let end = Told { state: state.into(), release: release.into(), ..Told::default() };
    jobs::end(pool, id, &end).await
}

/// Security case 73.
#[sqlx::test(migrations = "../migrations")]
async fn one_at_a_time_works_on_an_app_however_many_ask_at_once(pool: PgPool) -> Test {
    let all: Vec<NewDeployment> = (0..8).map(|_| new("cigar", JobKind::Deploy)).collect();
    let asked = futures_util::future::join_all(all.iter().map(|new| begin(&pool, new))).await;
    assert_eq!(asked.iter().filter(|done| done.is_ok()).count(), 1, "{asked:?}");
    assert!(asked.iter().all(|done| matches!(done, Ok(()) | Err(Error::Conflict))), "{asked:?}");
    let id = at_work(&pool, "cigar").await?.unwrap().job.id;
    assert!(at_work(&pool, "tobacco").await?.is_none());
    begin(&pool, &new("tobacco", JobKind::Apply)).await?;
    assert_eq!(all_at_work(&pool).await?.len(), 2);

    jobs::claim(&pool, &[id]).await?;
    assert!(matches!(begin(&pool, &new("cigar", JobKind::Remove)).await, Err(Error::Conflict)));
    assert!(end(&pool, id, JobState::Failed, "").await?);
    assert!(at_work(&pool, "cigar").await?.is_none(), "the app is free again");
    begin(&pool, &new("cigar", JobKind::Rollback)).await?;
    // Nothing of one that was refused is left.
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM runs").fetch_one(&pool).await?;
    assert_eq!(left, 3);
    Ok(())
}

/// However a job ends without having begun.
#[sqlx::test(migrations = "../migrations")]
async fn a_deployment_that_is_canceled_before_it_began_frees_the_app(pool: PgPool) -> Test {
    let new = new("cigar", JobKind::Deploy);
    begin(&pool, &new).await?;
    let mut tx = pool.begin().await?;
    jobs::cancel(&mut tx, new.id, None, (Uuid::from_u128(7), "web"), "canceled by ada").await?;
    tx.commit().await?;
    assert!(at_work(&pool, "cigar").await?.is_none());
    assert_eq!(get(&pool, new.id).await?.unwrap().job.state(), JobState::Canceled);
    Ok(())
}

#[sqlx::test(migrations = "../migrations")]
async fn progress_is_kept_and_an_end_without_steps_keeps_it(pool: PgPool) -> Test {
    let new = new("cigar", JobKind::Deploy);
    begin(&pool, &new).await?;
    let step = |name: &str, state: StepState, detail: &str| JobStep {
        name: name.into(),
        state: state.into(),
        detail: detail.into(),
        ..JobStep::default()
    };
    let steps =
        vec![step("fetch", StepState::Done, "main is 1a2b3c4"), step("bundle", StepState::Running, "a\0b")];
    let told = Told { steps, commit: "1a2b3c4".into(), release: "r".into(), ..Told::default() };
    jobs::progress(&pool, new.id, &told).await?;
    jobs::progress(&pool, new.id, &Told { steps: vec![JobStep::default(); 1000], ..told.clone() }).await?;
    assert_eq!(jobs::get(&pool, new.id).await?.unwrap().to_proto().steps.len(), 50, "bounded");
    jobs::progress(&pool, new.id, &told).await?;
    end(&pool, new.id, JobState::Lost, "").await?;
    jobs::progress(&pool, new.id, &Told::default()).await?;
    let known = get(&pool, new.id).await?.unwrap().to_proto();
    let job = known.job.unwrap();
    assert_eq!((job.kind(), job.app.as_str(), job.commit.as_str()), (JobKind::Deploy, "cigar", "1a2b3c4"));
    let details: Vec<&str> = job.steps.iter().map(|s| s.detail.as_str()).collect();
    assert_eq!(details, ["main is 1a2b3c4", "a\u{fffd}b"]);
    assert_eq!((known.release.as_str(), known.branch.as_str()), ("r", "main"));
    Ok(())
}

#[sqlx::test(migrations = "../migrations")]
async fn what_is_live_is_the_newest_that_succeeded_with_the_secrets_that_came_since(pool: PgPool) -> Test {
    app(&pool).await?;
    let history = [
        (JobKind::Deploy, JobState::Succeeded, "one", 1),
        (JobKind::Deploy, JobState::Succeeded, "two", 1),
        (JobKind::Deploy, JobState::Failed, "three", 2),
        (JobKind::Rollback, JobState::Succeeded, "one", 1),
        (JobKind::Apply, JobState::Succeeded, "one", 3),
        (JobKind::Apply, JobState::Failed, "one", 4),
    ];
    assert!(live(&pool).await?.is_empty());
    for (kind, state, release, secrets) in history {
        let new = new("cigar", kind);
        begin(&pool, &new).await?;
        assert_eq!(pin(&pool, new.id, secrets).await?, secrets);
        assert_eq!(pin(&pool, new.id, 99).await?, secrets, "what was pinned stays");
        end(&pool, new.id, state, release).await?;
    }
    let now = live(&pool).await?;
    assert_eq!(now.len(), 1);
    let told = now[0].to_proto();
    assert_eq!((told.kind(), told.release.as_str(), told.secrets_version), (JobKind::Rollback, "one", 3));
    assert_eq!(highest_secrets_version(&pool, "cigar").await?, 4);

    // History outlives the app, and says nothing of a later one of the same key.
    assert!(apps::remove(&pool, "cigar").await?);
    app(&pool).await?;
    assert!(live(&pool).await?.is_empty());
    let (all, next) = list(&pool, "cigar", &Scope::everything(), 4, None).await?;
    assert_eq!((all.len(), all[0].job.kind()), (4, JobKind::Apply));
    let (rest, end) = list(&pool, "", &Scope::everything(), 4, next.as_ref()).await?;
    assert_eq!((rest.len(), end), (2, None));
    assert_eq!(rest[1].to_proto().release, "one");
    Ok(())
}

#[sqlx::test(migrations = "../migrations")]
async fn deployments_are_no_runs_of_scripts_and_are_kept(pool: PgPool) -> Test {
    let new = new("cigar", JobKind::Deploy);
    begin(&pool, &new).await?;
    end(&pool, new.id, JobState::Succeeded, "one").await?;
    let mut tx = pool.begin().await?;
    crate::db::runs::end(&mut *tx, new.id).await?;
    tx.commit().await?;
    let later = chrono::Utc::now() + chrono::TimeDelta::days(4000);
    assert_eq!(crate::db::runs::forget_old(&pool, later).await?, 0);
    let filter = hms_proto::controller::v1::ListRunsRequest { limit: 9, ..Default::default() };
    assert!(crate::db::runs::list(&pool, &filter, &Scope::everything(), None).await?.0.is_empty());
    assert!(get(&pool, new.id).await?.is_some());
    Ok(())
}

#[sqlx::test(migrations = "../migrations")]
async fn work_that_a_host_was_asked_for_directly_is_taken_over_once(pool: PgPool) -> Test {
    app(&pool).await?;
    let (host, bob) = ((Uuid::from_u128(1), "web1"), Uuid::from_u128(8));
    let now = chrono::Utc::now().timestamp_micros();
    let job = |kind: JobKind, app: &str, created_usec| Told {
        id: Uuid::now_v7().to_string(),
        kind: kind.into(),
        app: app.into(),
        actor: "bob".into(),
        created_usec,
        release: "one".into(),
        ..Told::default()
    };
    let back = job(JobKind::Rollback, "cigar", now);
    assert!(adopt(&pool, host, bob, &back).await? && !adopt(&pool, host, bob, &back).await?);
    let known = at_work(&pool, "cigar").await?.unwrap().to_proto();
    assert_eq!(
        (known.actor.as_str(), known.release.as_str(), known.kind()),
        ("bob", "one", JobKind::Rollback)
    );
    assert!(matches!(
        adopt(&pool, host, bob, &job(JobKind::Deploy, "cigar", now)).await,
        Err(Error::Conflict)
    ));
    let over = Told { ended_usec: now, ..job(JobKind::Deploy, "cigar", now) };
    assert!(adopt(&pool, host, bob, &over).await?, "one that is over is in nobody's way");
    assert_eq!(jobs::begun(&pool).await?.len(), 2, "both are followed to their end");
    end(&pool, over.id.parse()?, JobState::Succeeded, "one").await?;
    assert!(at_work(&pool, "cigar").await?.is_some());
    assert_eq!(live(&pool).await?.len(), 1);

    assert!(
        !adopt(&pool, host, bob, &job(JobKind::Deploy, "cigar", 1)).await?,
        "of an earlier app of this key"
    );
    assert!(!adopt(&pool, host, bob, &job(JobKind::Deploy, "nothing", now)).await?);
    assert!(
        !adopt(&pool, (host.0, "web2"), bob, &job(JobKind::Deploy, "cigar", now)).await?,
        "of another host"
    );
    assert!(!adopt(&pool, host, bob, &Told { id: "x".into(), ..over }).await?);
    Ok(())
}
