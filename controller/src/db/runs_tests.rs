//! Runs against a real database.

use super::*;

type Test = std::result::Result<(), Box<dyn std::error::Error>>;

#[sqlx::test(migrations = "../migrations")]
async fn a_run_begins_once_with_a_job_for_each_host(pool: PgPool) -> Test {
    let new = sample(&["web2", "web1"]);
    put(&pool, &new).await?;
    assert!(!begin(&mut *pool.acquire().await?, &new).await?, "there is one with this id");
    let run = get(&pool, new.id).await?.unwrap();
    let hosts: Vec<_> = run.jobs.iter().map(|j| (j.host.as_str(), j.state())).collect();
    assert_eq!(hosts, [("web1", JobState::Queued), ("web2", JobState::Queued)]);
    assert_eq!((run.state(), run.waiting, run.ended_usec), (JobState::Queued, 2, 0));
    assert_eq!((run.actor.as_str(), run.source.as_str()), ("ada", "cli"));
    assert_eq!(
        (run.parameters.clone(), run.target.clone()),
        (new.parameters.clone(), Some(new.target.clone()))
    );
    assert_eq!(jobs::of_run(&pool, new.id).await?[0].to_proto().parameters, new.parameters);
    assert!(get(&pool, Uuid::now_v7()).await?.is_none());
    Ok(())
}

#[sqlx::test(migrations = "../migrations")]
async fn the_job_that_needs_most_attention_speaks_for_the_run(pool: PgPool) -> Test {
    let new = sample(&["a", "b", "c"]);
    let jobs = put(&pool, &new).await?;
    let ids: Vec<Uuid> = jobs.iter().map(|j| j.id).collect();
    let state = async || get(&pool, new.id).await.map(|run| run.unwrap().state());
    let end = |state: JobState| hms_proto::host::v1::Job { state: state.into(), ..Default::default() };
    jobs::claim(&pool, &ids[..2]).await?;
    assert_eq!(state().await?, JobState::Running);
    jobs::end(&pool, ids[0], &end(JobState::Succeeded)).await?;
    jobs::unknown(&pool, ids[1], "away").await?;
    assert_eq!(state().await?, JobState::Unknown);
    jobs::end(&pool, ids[1], &end(JobState::TimedOut)).await?;
    assert_eq!(state().await?, JobState::Queued);
    jobs::drop_waiting(&pool, &ids[2..], JobState::Skipped, "").await?;
    assert_eq!(state().await?, JobState::TimedOut);
    let run = get(&pool, new.id).await?.unwrap();
    assert_eq!((run.succeeded, run.failed, run.running, run.waiting), (1, 2, 0, 0));
    Ok(())
}

#[sqlx::test(migrations = "../migrations")]
async fn the_list_is_filtered_and_paged_without_gap_or_repetition(pool: PgPool) -> Test {
    let mut made = Vec::new();
    for n in 0..7 {
        let mut new = sample(&[if n % 2 == 0 { "even" } else { "odd" }]);
        new.script = if n < 3 { "check".into() } else { "hello".into() };
        put(&pool, &new).await?;
        made.insert(0, new.id.to_string());
    }
    let page = |limit| ListRunsRequest { limit, ..Default::default() };
    let mut seen = Vec::new();
    let mut cursor: Option<Cursor> = None;
    loop {
        let (runs, next) = list(&pool, &page(3), &Scope::everything(), cursor.as_ref()).await?;
        seen.extend(runs.into_iter().map(|r| r.id));
        let Some(next) = next else { break };
        cursor = Some(next.to_string().parse()?);
        assert_eq!(cursor.as_ref(), Some(&next));
    }
    assert_eq!(seen, made);
    let count = async |filter: ListRunsRequest| {
        list(&pool, &filter, &Scope::everything(), None).await.map(|(runs, _)| runs.len())
    };
    assert_eq!(count(ListRunsRequest { script: "check".into(), ..page(50) }).await?, 3);
    assert_eq!(count(ListRunsRequest { host: "odd".into(), ..page(50) }).await?, 3);
    assert_eq!(count(ListRunsRequest { state: "queued".into(), ..page(50) }).await?, 7);
    assert_eq!(count(ListRunsRequest { state: "failed".into(), ..page(50) }).await?, 0);
    assert_eq!(count(ListRunsRequest { actor: "' OR true --".into(), ..page(50) }).await?, 0);
    assert_eq!(count(ListRunsRequest { schedule_id: Uuid::now_v7().to_string(), ..page(50) }).await?, 0);
    for bad in [
        "",
        "x",
        "1.x",
        "zz.00000000000000000000000000000001",
        "7fffffffffffffff.00000000000000000000000000000001",
    ] {
        assert!(bad.parse::<Cursor>().is_err(), "{bad}");
    }
    Ok(())
}

#[sqlx::test(migrations = "../migrations")]
async fn a_lost_host_holds_up_only_what_changes_something(pool: PgPool) -> Test {
    for mutates in [false, true] {
        let schedule = Uuid::now_v7();
        let new = NewRun { mutates, schedule_id: Some(schedule), ..sample(&["asterra"]) };
        let id = put(&pool, &new).await?[0].id;
        assert!(is_busy(&pool, schedule).await?, "it waits");
        jobs::claim(&pool, &[id]).await?;
        assert!(is_busy(&pool, schedule).await?, "it runs");
        jobs::unknown(&pool, id, "asterra cannot be reached").await?;
        assert_eq!(is_busy(&pool, schedule).await?, mutates);
        jobs::end(&pool, id, &hms_proto::host::v1::Job { state: 8, ..Default::default() }).await?;
        end(&pool, new.id).await?;
        assert!(!is_busy(&pool, schedule).await?);
    }
    Ok(())
}

#[sqlx::test(migrations = "../migrations")]
async fn old_runs_are_forgotten_with_their_output(pool: PgPool) -> Test {
    let (mine, scheduled) = (sample(&["a"]), NewRun { schedule_id: Some(Uuid::now_v7()), ..sample(&["a"]) });
    let open = sample(&["a"]);
    for new in [&mine, &scheduled, &open] {
        let job = put(&pool, new).await?[0].id;
        jobs::claim(&pool, &[job]).await?;
        crate::db::output::append(&pool, job, 0, b"x").await?;
    }
    end(&pool, mine.id).await?;
    end(&pool, scheduled.id).await?;
    let days = |n| Utc::now() + chrono::TimeDelta::days(n);
    assert_eq!(forget_old(&pool, days(13)).await?, 0);
    assert_eq!(forget_old(&pool, days(15)).await?, 1);
    assert!(get(&pool, scheduled.id).await?.is_none() && get(&pool, mine.id).await?.is_some());
    assert_eq!(forget_old(&pool, days(91)).await?, 1);
    assert_eq!(forget_old(&pool, days(9000)).await?, 0, "what runs stays");
    Ok(())
}
