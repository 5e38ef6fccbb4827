//! Runs through the gate, against a real database. The hosts here have not joined; what happens on hosts is tested on
//! hosts (`tests/e2e`).

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::AtomicBool},
};

use chrono::{TimeDelta, Utc};
use hms_proto::{
    Role,
    controller::v1::{
        AddScheduleRequest, CancelRequest, GetRunRequest, GetScriptRequest, ListRunsRequest,
        ListSchedulesRequest, PauseScheduleRequest, RunRequest, SyncScriptsRequest, Target,
    },
    fault::{Fault, FaultKind},
    host::v1::{JobOutputRequest, JobState, Parameter, ParameterKind, ScriptFile},
    names::{Address, HostName},
};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Jobs, engine, schedule, tell};
use crate::{
    api,
    auth::{Auth, Caller, Source},
    db::{self, jobs, runs, schedules, scripts},
    fleet::Fleet,
    gate::Gate,
    pki::Authority,
    seal::Sealer,
    state::{Core, Reach, State},
};

type Test = anyhow::Result<()>;

/// A controller with the hosts `web1` and `web2`, and the scripts `hello` and `check`.
pub(crate) async fn controller(pool: &PgPool) -> anyhow::Result<State> {
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let pki = Arc::new(Authority::open(pool, Arc::new(Sealer::new([7; 32])), &["localhost".into()]).await?);
    let core = Arc::new(Core {
        auth: Arc::new(Auth::open(pool, &pki).await?),
        fleet: Fleet::new(pki.clone()),
        jobs: Jobs::default(),
        audit: Default::default(),
        nginx: Default::default(),
        db: pool.clone(),
        pki,
        reach: Reach { name: "localhost".into(), web_port: 8443, grpc_port: 9443 },
        database_up: AtomicBool::new(true),
        stop: CancellationToken::new(),
    });
    for (name, label) in [("web1", "env=test"), ("web2", "web")] {
        let name = HostName::try_from(name)?;
        db::hosts::add(pool, &name, &Address::try_from("127.0.0.1:1")?).await?;
        db::hosts::label(pool, &name, &[label.into()], &[]).await?;
    }
    core.reload().await?;
    scripts::put(pool, &[hello(), check("")]).await?;
    Ok(State { gate: Gate::new(core.clone(), api::grpc::services(&core)?), core })
}

fn hello() -> ScriptFile {
    let mut file = scripts::sample("hello");
    let script = file.script.as_mut().unwrap();
    script.parameters = vec![
        Parameter { name: "app".into(), kind: ParameterKind::App.into(), ..Parameter::default() },
        Parameter { name: "grep".into(), kind: ParameterKind::Pattern.into(), ..Parameter::default() },
    ];
    file
}

fn check(every: &str) -> ScriptFile {
    let mut file = scripts::sample("check");
    let script = file.script.as_mut().unwrap();
    (script.json, script.check, script.every) = (true, true, every.into());
    file
}

async fn somebody(state: &State, name: &str, role: Role) -> anyhow::Result<Caller> {
    let id = db::users::add(&state.db, name, role, "x").await?.id;
    Ok(Caller { id, name: name.into(), role, source: Source::Web, ..Caller::system() })
}

/// Each call is one of its own.
fn again(caller: &Caller) -> Caller {
    Caller { request_id: Uuid::now_v7(), ..caller.clone() }
}

fn request(hosts: &[&str]) -> RunRequest {
    let hosts = hosts.iter().map(|h| (*h).into()).collect();
    RunRequest {
        script: "hello".into(),
        target: Some(Target { hosts, ..Target::default() }),
        ..RunRequest::default()
    }
}

fn fault(status: tonic::Status) -> Fault {
    Fault::from_status(&status)
}

/// Moves a run on until it has ended.
async fn finish(state: &State, run: Uuid) -> anyhow::Result<hms_proto::controller::v1::Run> {
    for _ in 0..600 {
        engine::advance(state, run).await?;
        let now = runs::get(&state.db, run).await?.unwrap();
        if now.ended_usec > 0 {
            return Ok(now);
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    anyhow::bail!("the run did not end within a minute")
}

#[sqlx::test(migrations = "../migrations")]
async fn a_host_that_is_not_there_is_an_outcome_of_its_own(pool: PgPool) -> Test {
    let state = controller(&pool).await?;
    let ada = somebody(&state, "ada", Role::Operator).await?;
    let run = state.gate.jobs(&ada).run(request(&["web1", "web2"])).await?.into_inner();
    assert_eq!((run.state(), run.waiting, run.source.as_str()), (JobState::Queued, 2, "web"));
    let ended = finish(&state, run.id.parse()?).await?;
    for job in &ended.jobs {
        assert_eq!(
            (job.state(), job.result.as_str(), job.started_usec),
            (JobState::Failed, "unreachable", 0)
        );
        assert!(job.reason.contains("has not joined yet"), "{}", job.reason);
    }
    let record = &db::audit::recent(&pool, 9).await?[0];
    assert_eq!(
        (record.method.as_str(), record.target.as_str()),
        ("/hms.controller.v1.JobService/Run", "hello")
    );

    let retry = Target { failed_of: run.id.clone(), ..Target::default() };
    let retry = RunRequest { target: Some(retry), ..request(&[]) };
    let preview = state.gate.jobs(&again(&ada)).preview(retry.clone()).await?.into_inner();
    assert_eq!(
        (preview.hosts.clone(), preview.unreachable),
        (vec!["web1".into(), "web2".into()], preview.hosts)
    );
    assert!(state.gate.jobs(&again(&ada)).run(retry).await.is_ok());
    Ok(())
}

#[sqlx::test(migrations = "../migrations")]
async fn who_may_no_longer_do_it_does_not(pool: PgPool) -> Test {
    let state = controller(&pool).await?;
    let ada = somebody(&state, "ada", Role::Operator).await?;
    let run = state.gate.jobs(&ada).run(request(&["web1"])).await?.into_inner();
    db::users::set_role(&pool, "ada", Role::Viewer).await?;
    let ended = finish(&state, run.id.parse()?).await?;
    assert_eq!(ended.jobs[0].state(), JobState::Failed);
    assert!(ended.jobs[0].reason.contains("ada may no longer do this"), "{}", ended.jobs[0].reason);
    Ok(())
}

#[sqlx::test(migrations = "../migrations")]
async fn what_runs_is_what_was_meant_when_it_began(pool: PgPool) -> Test {
    let state = controller(&pool).await?;
    let ada = somebody(&state, "ada", Role::Operator).await?;
    for change in [vec![scripts::sample("other")], vec![]] {
        scripts::put(&pool, &[hello()]).await?;
        let run = state.gate.jobs(&again(&ada)).run(request(&["web1"])).await?.into_inner();
        let mut changed = hello();
        changed.content.extend_from_slice(b"rm -rf /\n");
        changed.script.as_mut().unwrap().sha256 = hms_proto::script::sha256(&changed.content);
        let set = if change.is_empty() { vec![changed] } else { change };
        scripts::put(&pool, &set).await?;
        let ended = finish(&state, run.id.parse()?).await?;
        assert!(ended.jobs[0].reason.contains("after this run began"), "{}", ended.jobs[0].reason);
    }
    Ok(())
}

/// Security case 46: what does not fit is refused before anything is written.
#[sqlx::test(migrations = "../migrations")]
async fn what_cannot_run_is_refused_with_the_reason(pool: PgPool) -> Test {
    let state = controller(&pool).await?;
    let ada = somebody(&state, "ada", Role::Operator).await?;
    let with = |name: &str, value: &str| RunRequest {
        parameters: BTreeMap::from([(name.into(), value.into())]),
        ..request(&["web1"])
    };
    let at = |target: Target| RunRequest { target: Some(target), ..request(&[]) };
    for (bad, why) in [
        (RunRequest { script: "nothing".into(), ..request(&["web1"]) }, "no script named `nothing`"),
        (RunRequest { script: "../x".into(), ..request(&["web1"]) }, "is not a script name"),
        (request(&["web3"]), "no host named `web3`"),
        (request(&["web1", "-x"]), "is not a host name"),
        (request(&[]), "not said on which hosts"),
        (at(Target { all: true, ..Target::default() }), "there is no host yet"),
        (at(Target { label: "db".into(), ..Target::default() }), "no host has the label `db`"),
        (at(Target { failed_of: Uuid::now_v7().to_string(), ..Target::default() }), "no run named"),
        (with("nothing", "x"), "has no parameter"),
        (with("app", "$(id)"), "`app` does not fit"),
        (RunRequest { json: true, ..request(&["web1"]) }, "no JSON output"),
        (RunRequest { timeout_s: 61, ..request(&["web1"]) }, "at most 60 seconds"),
        (RunRequest { batch: 1001, ..request(&["web1"]) }, "too many"),
        (RunRequest { id: "x".into(), ..request(&["web1"]) }, "must be a UUID"),
    ] {
        let said = fault(state.gate.jobs(&again(&ada)).run(bad).await.unwrap_err());
        anyhow::ensure!(said.message.contains(why), "{why}: {}", said.message);
    }
    assert!(runs::open(&pool).await?.is_empty());
    let vic = somebody(&state, "vic", Role::Viewer).await?;
    assert_eq!(
        fault(state.gate.jobs(&vic).run(request(&["web1"])).await.unwrap_err()).kind(),
        FaultKind::Denied
    );
    let preview = state.gate.jobs(&again(&vic)).preview(with("grep", "a; rm -rf /")).await?.into_inner();
    assert_eq!(
        (&preview.argv[..], &preview.environment[..]),
        (&["hello".into()][..], &["HMS_PARAM_GREP=a; rm -rf /".into()][..])
    );
    Ok(())
}

#[sqlx::test(migrations = "../migrations")]
async fn asking_twice_begins_one_run(pool: PgPool) -> Test {
    let state = controller(&pool).await?;
    let ada = somebody(&state, "ada", Role::Operator).await?;
    let one = RunRequest { id: Uuid::now_v7().to_string(), ..request(&["web1"]) };
    let (a, b) = (again(&ada), again(&ada));
    let (mut a, mut b) = (state.gate.jobs(&a), state.gate.jobs(&b));
    let (a, b) = tokio::join!(a.run(one.clone()), b.run(one.clone()));
    assert_eq!((a?.into_inner().id, b?.into_inner().id), (one.id.clone(), one.id.clone()));
    assert_eq!(runs::open(&pool).await?.len(), 1);
    let bob = somebody(&state, "bob", Role::Operator).await?;
    let refused = fault(state.gate.jobs(&bob).run(one).await.unwrap_err());
    assert_eq!(refused.kind(), FaultKind::Conflict);
    Ok(())
}

#[sqlx::test(migrations = "../migrations")]
async fn streams_tell_what_happens_and_end_with_it(pool: PgPool) -> Test {
    let state = controller(&pool).await?;
    let follow = tokio::spawn(tell::follow(state.clone()));
    let ada = somebody(&state, "ada", Role::Operator).await?;
    let run = state.gate.jobs(&ada).run(request(&["web1"])).await?.into_inner();
    let (run_id, job) = (run.id.parse::<Uuid>()?, run.jobs[0].id.parse::<Uuid>()?);
    // Through the service and not the gate, which would end the stream of somebody who has no session.
    let mut watch = client(&state, &ada).watch(GetRunRequest { id: run.id.clone() }).await?.into_inner();
    assert_eq!(watch.message().await?.unwrap().state(), JobState::Queued);
    let asked = JobOutputRequest { id: job.to_string(), offset: 2, follow: true };
    let mut output = client(&state, &ada).output(asked).await?.into_inner();
    jobs::claim(&pool, &[job]).await?;
    assert_eq!(watch.message().await?.unwrap().state(), JobState::Running);
    db::output::append(&pool, job, 0, b"one\n").await?;
    let piece = output.message().await?.unwrap();
    assert_eq!((piece.offset, piece.data.as_slice()), (2, &b"e\n"[..]));
    db::output::append(&pool, job, 4, b"two\n").await?;
    assert_eq!(output.message().await?.unwrap().data, b"two\n");
    let end = hms_proto::host::v1::Job { state: JobState::Succeeded.into(), ..Default::default() };
    jobs::end(&pool, job, &end).await?;
    let last = output.message().await?.unwrap();
    assert_eq!((last.offset, last.job.unwrap().state()), (8, JobState::Succeeded));
    assert!(output.message().await?.is_none());
    engine::advance(&state, run_id).await?;
    let mut last = None;
    while let Some(run) = watch.message().await? {
        last = Some(run);
    }
    assert!(last.is_some_and(|run| run.ended_usec > 0 && run.succeeded == 1));
    follow.abort();
    Ok(())
}

/// The services behind the gate.
fn client(
    state: &State,
    caller: &Caller,
) -> hms_proto::controller::v1::job_service_client::JobServiceClient<
    impl tonic::client::GrpcService<
        tonic::body::Body,
        ResponseBody = axum::body::Body,
        Error = std::convert::Infallible,
        Future: Send,
    >,
> {
    use tower::ServiceExt as _;
    let services = api::grpc::services(&state.core).unwrap();
    let caller = caller.clone();
    let service = services.map_request(move |request: http::Request<tonic::body::Body>| {
        let mut request = request.map(axum::body::Body::new);
        request.extensions_mut().insert(caller.clone());
        request
    });
    hms_proto::controller::v1::job_service_client::JobServiceClient::new(service)
}

#[sqlx::test(migrations = "../migrations")]
async fn cancelling_ends_what_waits_at_once(pool: PgPool) -> Test {
    let state = controller(&pool).await?;
    let ada = somebody(&state, "ada", Role::Operator).await?;
    let run = state.gate.jobs(&ada).run(request(&["web1", "web2"])).await?.into_inner();
    let cancel = async |id: &str| state.gate.jobs(&again(&ada)).cancel(CancelRequest { id: id.into() }).await;
    let after = cancel(&run.jobs[0].id).await?.into_inner();
    assert_eq!((after.jobs[0].state(), after.jobs[1].state()), (JobState::Canceled, JobState::Queued));
    assert_eq!(after.jobs[0].reason, "canceled by ada");
    cancel(&run.id).await?;
    let ended = finish(&state, run.id.parse()?).await?;
    assert_eq!((ended.state(), ended.failed), (JobState::Canceled, 2));
    assert!(cancel(&run.id).await.is_ok(), "it has ended already");
    assert_eq!(fault(cancel(&Uuid::now_v7().to_string()).await.unwrap_err()).kind(), FaultKind::NotFound);
    Ok(())
}

#[sqlx::test(migrations = "../migrations")]
async fn a_schedule_begins_a_run_when_its_time_comes_and_says_what_it_missed(pool: PgPool) -> Test {
    let state = controller(&pool).await?;
    let ada = somebody(&state, "ada", Role::Operator).await?;
    let wanted = AddScheduleRequest {
        script: "check".into(),
        target: Some(Target { hosts: vec!["web1".into()], ..Target::default() }),
        cron: "*/5 *  * * *".into(),
        ..AddScheduleRequest::default()
    };
    let made = state.gate.jobs(&ada).add_schedule(wanted.clone()).await?.into_inner();
    assert_eq!((made.cron.as_str(), made.next_usec.len()), ("*/5 * * * *", 5));
    let due = chrono::DateTime::from_timestamp_micros(made.next_usec[0]).unwrap();
    assert!(!schedule::one(&state, due - TimeDelta::seconds(1)).await?, "it is not time yet");
    assert!(schedule::one(&state, due).await?);
    assert!(!schedule::one(&state, due).await?, "once");
    let run = runs::open(&pool).await?;
    let begun = runs::get(&pool, run[0]).await?.unwrap();
    assert_eq!((begun.source.as_str(), begun.actor.as_str(), begun.json), ("schedule", "ada", true));
    assert_eq!((run.len(), begun.schedule_id.as_str()), (1, made.id.as_str()));

    let list = async || state.gate.jobs(&again(&ada)).list_schedules(ListSchedulesRequest {}).await;
    assert!(schedule::one(&state, due + TimeDelta::minutes(5)).await?);
    let now = list().await?.into_inner().schedules.remove(0);
    assert_eq!(
        (now.missed, now.last_run_id.as_str()),
        (1, begun.id.as_str()),
        "the run before has not ended"
    );
    assert!(schedule::one(&state, due + TimeDelta::minutes(32)).await?);
    let now = list().await?.into_inner().schedules.remove(0);
    assert_eq!((now.missed, now.missed_since_usec), (6, (due + TimeDelta::minutes(5)).timestamp_micros()));
    assert_eq!(runs::open(&pool).await?.len(), 1, "nothing runs late");

    finish(&state, run[0]).await?;
    assert!(schedule::one(&state, due + TimeDelta::minutes(35)).await?);
    let now = list().await?.into_inner().schedules.remove(0);
    assert_eq!((now.missed, now.last_state()), (0, JobState::Queued));
    let by_schedule = ListRunsRequest { schedule_id: made.id.clone(), ..ListRunsRequest::default() };
    assert_eq!(state.gate.jobs(&again(&ada)).list_runs(by_schedule).await?.into_inner().runs.len(), 2);

    let pause = PauseScheduleRequest { id: made.id.clone(), paused: true };
    let paused = state.gate.jobs(&again(&ada)).pause_schedule(pause).await?.into_inner();
    assert!(paused.paused && paused.next_usec.is_empty());
    assert!(!schedule::one(&state, due + TimeDelta::days(9)).await?);
    for bad in ["* * * *", "@hourly", "x"] {
        let bad = AddScheduleRequest { cron: bad.into(), ..wanted.clone() };
        assert_eq!(
            fault(state.gate.jobs(&again(&ada)).add_schedule(bad).await.unwrap_err()).kind(),
            FaultKind::Invalid
        );
    }
    Ok(())
}

#[sqlx::test(migrations = "../migrations")]
async fn a_schedule_without_a_next_time_holds_up_no_other(pool: PgPool) -> Test {
    let state = controller(&pool).await?;
    let now = Utc::now();
    let broken = schedules::NewSchedule { cron: "0 0 30 2 *".into(), ..schedules::sample(now) };
    let broken = schedules::add(&pool, &broken).await?.id;
    let other = schedules::add(&pool, &schedules::sample(now + TimeDelta::seconds(1))).await?.id;
    let later = now + TimeDelta::seconds(2);
    assert!(schedule::one(&state, later).await? && schedule::one(&state, later).await?);
    assert!(!schedule::one(&state, later).await?);
    assert!(schedules::get(&pool, broken).await?.unwrap().paused);
    assert!(schedules::get(&pool, other).await?.unwrap().next_at > later);
    Ok(())
}

#[sqlx::test(migrations = "../migrations")]
async fn checks_that_want_to_run_by_themselves_get_a_schedule(pool: PgPool) -> Test {
    let state = controller(&pool).await?;
    let ada = somebody(&state, "ada", Role::Admin).await?;
    let sync = async |files: Vec<ScriptFile>, dry_run| {
        let request = SyncScriptsRequest { scripts: files, dry_run };
        state.gate.scripts(&again(&ada)).sync(request).await.map(tonic::Response::into_inner)
    };
    let planned = sync(vec![hello(), check("*/15 * * * *")], true).await?;
    assert_eq!((planned.changed, schedules::list(&pool).await?.len()), (vec!["check".to_owned()], 0));
    sync(vec![hello(), check("*/15 * * * *")], false).await?;
    let made = schedules::list(&pool).await?;
    assert_eq!(
        (made[0].script.as_str(), made[0].cron.as_str(), made[0].target.all),
        ("check", "*/15 * * * *", true)
    );
    assert!(made[0].next_at > Utc::now() && made[0].created_by == "ada");
    sync(vec![hello(), check("0 * * * *")], false).await?;
    assert_eq!(schedules::list(&pool).await?[0].cron, "0 * * * *", "its wish changed");
    schedules::remove(&pool, schedules::list(&pool).await?[0].id).await?;
    sync(vec![hello(), check("0 * * * *")], false).await?;
    assert!(schedules::list(&pool).await?.is_empty(), "somebody removed it on purpose");
    let refused = fault(sync(vec![check("0 0 30 2 *")], false).await.unwrap_err());
    assert!(
        refused.message.contains("`check`") && refused.message.contains("no such day"),
        "{}",
        refused.message
    );
    assert_eq!(scripts::list(&pool).await?.len(), 2, "all of them, or none");

    let got =
        state.gate.scripts(&again(&ada)).get(GetScriptRequest { name: "hello".into() }).await?.into_inner();
    assert_eq!((got.content.as_str(), got.synced_by.as_str()), ("#!/bin/sh\necho hello\n", "ada"));
    let said: Vec<_> =
        got.deliveries.iter().map(|d| (d.host.as_str(), d.delivered, d.reason.as_str())).collect();
    assert_eq!(
        said,
        [("web1", false, "its agent has not joined yet"), ("web2", false, "its agent has not joined yet")]
    );
    Ok(())
}
