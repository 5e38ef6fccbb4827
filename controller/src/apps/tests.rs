//! Work on apps through the gate, against a real database. The hosts here answer nothing; what happens on hosts is tested
//! on hosts (`tests/e2e`).

use std::time::Duration;

use futures_util::StreamExt as _;
use hms_proto::{
    Role,
    controller::v1::{
        AppSettings, ApplyRequest, CancelRequest, DeployRequest, Deployment, GetAppRequest,
        GetDeploymentRequest, ListDeploymentsRequest, PlanRequest, ReleasesRequest, RemoveAppRequest,
        RollbackRequest,
    },
    fault::{Fault, FaultKind},
    host::v1::{AppSpec, JobKind, JobOutputRequest, JobState, RestartKind},
};
use sqlx::PgPool;
use uuid::Uuid;

use crate::{
    auth::{Caller, Source},
    db,
    jobs::{self, tests::controller},
    state::State,
};

type Test = anyhow::Result<()>;

struct Asking {
    state: State,
    caller: Caller,
}

impl Asking {
    /// With the app `cigar` on web1, whose agent has joined once and cannot be reached now.
    async fn open(pool: &PgPool) -> anyhow::Result<Self> {
        let state = controller(pool).await?;
        sqlx::query("UPDATE hosts SET joined_at = now() WHERE name = 'web1'").execute(pool).await?;
        state.reload().await?;
        let id = db::users::add(pool, "ada", Role::Admin, "x").await?.id;
        let caller = Caller { id, name: "ada".into(), source: Source::Rest, ..Caller::system() };
        let asking = Self { state, caller };
        let spec = AppSpec { git_url: "https://git.example/cigar.git".into(), ..AppSpec::default() };
        let cigar = AppSettings {
            key: "cigar".into(),
            host: "web1".into(),
            spec: Some(spec),
            ..AppSettings::default()
        };
        asking.state.gate.apps(&asking.ada()).add(cigar).await?;
        Ok(asking)
    }

    fn ada(&self) -> Caller {
        Caller { request_id: Uuid::now_v7(), ..self.caller.clone() }
    }

    async fn deploy(&self, request: DeployRequest) -> Result<Deployment, Fault> {
        let begun = self.state.gate.deployments(&self.ada()).deploy(request).await;
        begun.map(tonic::Response::into_inner).map_err(|status| Fault::from_status(&status))
    }

    async fn ended(&self, id: &str) -> anyhow::Result<Deployment> {
        let request = GetDeploymentRequest { id: id.into() };
        let mut watch = self.state.gate.deployments(&self.ada()).watch(request).await?.into_inner();
        let mut last = None;
        let all = async {
            while let Some(now) = watch.next().await {
                last = Some(now?);
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(Duration::from_secs(60), all).await??;
        last.ok_or_else(|| anyhow::anyhow!("nothing was told"))
    }
}

fn cigar() -> DeployRequest {
    DeployRequest { key: "cigar".into(), ..DeployRequest::default() }
}

/// Security case 73.
#[sqlx::test(migrations = "../migrations")]
async fn a_second_deploy_joins_the_first(pool: PgPool) -> Test {
    let asking = Asking::open(&pool).await?;
    let id = Uuid::now_v7().to_string();
    let first = asking.deploy(DeployRequest { id: id.clone(), ..cigar() }).await?;
    assert_eq!((first.id.as_str(), first.joined, first.branch.as_str()), (id.as_str(), false, "main"));
    assert_eq!((first.source.as_str(), first.host.as_str(), first.kind()), ("rest", "web1", JobKind::Deploy));
    let again = asking.deploy(DeployRequest { id: id.clone(), ..cigar() }).await?;
    assert_eq!((again.id.as_str(), again.joined), (id.as_str(), false), "asked twice");
    let all: Vec<_> = (0..5).map(|_| asking.deploy(cigar())).collect();
    for joined in futures_util::future::join_all(all).await {
        let joined = joined?;
        assert_eq!((joined.id.as_str(), joined.joined), (id.as_str(), true));
    }
    let mut client = asking.state.gate.deployments(&asking.ada());
    let back =
        client.rollback(RollbackRequest { key: "cigar".into(), ..Default::default() }).await?.into_inner();
    assert_eq!((back.id.as_str(), back.kind(), back.joined), (id.as_str(), JobKind::Deploy, true));
    let app = asking.state.gate.apps(&asking.ada()).get(GetAppRequest { key: "cigar".into() }).await;
    assert_eq!(app?.into_inner().secrets_version, 1);
    let list = asking.state.gate.deployments(&asking.ada()).list(ListDeploymentsRequest::default()).await?;
    assert_eq!(list.into_inner().deployments.len(), 1);

    // Not under somebody else's id, nor forgotten while it works.
    let other = asking.state.gate.deployments(&asking.ada());
    let taken =
        other.clone().apply(ApplyRequest { key: "cigar".into(), id: id.clone(), ..Default::default() }).await;
    assert_eq!(Fault::from_status(&taken.unwrap_err()).kind(), FaultKind::Conflict);
    let remove = RemoveAppRequest { key: "cigar".into(), ..Default::default() };
    let kept = asking.state.gate.apps(&asking.ada()).remove(remove.clone()).await.unwrap_err();
    assert!(Fault::from_status(&kept).message.contains("ada works on cigar"), "{kept:?}");
    let from_host = RemoveAppRequest { from_host: true, ..remove };
    let kept = asking.state.gate.apps(&asking.ada()).remove(from_host).await.unwrap_err();
    assert_eq!(Fault::from_status(&kept).kind(), FaultKind::Conflict);
    Ok(())
}

#[sqlx::test(migrations = "../migrations")]
async fn a_host_that_is_away_ends_it_with_the_reason_and_the_app_is_free(pool: PgPool) -> Test {
    let asking = Asking::open(&pool).await?;
    jobs::start(&asking.state);
    let begun = asking.deploy(cigar()).await?;
    let ended = asking.ended(&begun.id).await?;
    let job = ended.job.clone().unwrap();
    assert_eq!((job.state(), job.result.as_str()), (JobState::Failed, "unreachable"), "{}", job.reason);
    assert_eq!(ended.secrets_version, 1);
    let next = asking.deploy(cigar()).await?;
    assert!(!next.joined && next.id != begun.id);
    asking.ended(&next.id).await?;

    // Its output and its end are those of a job.
    let output = JobOutputRequest { id: begun.id.clone(), offset: 0, follow: true };
    let mut output = asking.state.gate.jobs(&asking.ada()).output(output).await?.into_inner();
    let last = output.message().await?.unwrap();
    assert_eq!(last.job.unwrap(), job);
    let page = ListDeploymentsRequest { key: "cigar".into(), limit: 1, cursor: String::new() };
    let page = asking.state.gate.deployments(&asking.ada()).list(page).await?.into_inner();
    assert_eq!(page.deployments[0].id, next.id);
    assert!(!page.next_cursor.is_empty());
    // What is sent to hosts is recorded on behalf of who asked, without a value.
    let records = db::audit::recent(&pool, 100).await?;
    let sent = records.iter().filter(|r| r.method == "/hms.host.v1.AppService/Start").collect::<Vec<_>>();
    assert!(sent.iter().all(|r| (r.actor.as_str(), r.target.as_str()) == ("ada", "cigar")), "{sent:?}");
    assert_eq!(sent.len(), 2);
    let base: String =
        sqlx::query_scalar("SELECT params::text FROM audit WHERE method LIKE '%AppService/Start' LIMIT 1")
            .fetch_one(&pool)
            .await?;
    assert!(base.contains("SECRET_KEY_BASE") && base.contains("[redacted]"), "{base}");
    assert!(!base.contains("DATABASE_PASSWORD"), "with PEER no password is delivered");
    Ok(())
}

#[sqlx::test(migrations = "../migrations")]
async fn one_that_waits_is_canceled_and_frees_the_app(pool: PgPool) -> Test {
    let asking = Asking::open(&pool).await?;
    let begun = asking.deploy(cigar()).await?;
    asking.state.gate.jobs(&asking.ada()).cancel(CancelRequest { id: begun.id.clone() }).await?;
    let ended = asking.ended(&begun.id).await?;
    assert_eq!(ended.job.unwrap().state(), JobState::Canceled);
    assert!(!asking.deploy(cigar()).await?.joined);
    Ok(())
}

#[sqlx::test(migrations = "../migrations")]
async fn what_cannot_be_deployed_is_refused_at_once(pool: PgPool) -> Test {
    let asking = Asking::open(&pool).await?;
    for bad in [
        DeployRequest { key: "../x".into(), ..cigar() },
        DeployRequest { branch: "--upload-pack=x".into(), ..cigar() },
        DeployRequest { commit: "1a2b3c4".into(), ..cigar() },
        DeployRequest { id: "x".into(), ..cigar() },
        DeployRequest { restart: 77, ..cigar() },
    ] {
        assert_eq!(asking.deploy(bad.clone()).await.unwrap_err().kind(), FaultKind::Invalid, "{bad:?}");
    }
    let unknown = DeployRequest { key: "nothing".into(), ..cigar() };
    assert_eq!(asking.deploy(unknown).await.unwrap_err().kind(), FaultKind::NotFound);
    let new =
        |key: &str, host: &str| AppSettings { key: key.into(), host: host.into(), ..AppSettings::default() };
    asking.state.gate.apps(&asking.ada()).add(new("bare", "web1")).await?;
    let fault = asking.deploy(DeployRequest { key: "bare".into(), ..cigar() }).await.unwrap_err();
    assert!(fault.kind() == FaultKind::Conflict && fault.message.contains("where the code"), "{fault:?}");
    asking.state.gate.apps(&asking.ada()).add(new("far", "web2")).await?;
    sqlx::query("UPDATE apps SET github_repo = 'https://git.example/x' WHERE app_key = 'far'")
        .execute(&pool)
        .await?;
    let fault = asking.deploy(DeployRequest { key: "far".into(), ..cigar() }).await.unwrap_err();
    assert!(fault.kind() == FaultKind::Unreachable && fault.message.contains("not joined"), "{fault:?}");
    sqlx::query("UPDATE apps SET enabled = false").execute(&pool).await?;
    let fault = asking.deploy(cigar()).await.unwrap_err();
    assert!(fault.message.contains("not enabled"), "{fault:?}");
    assert_eq!(sqlx::query_scalar::<_, i64>("SELECT count(*) FROM runs").fetch_one(&pool).await?, 0);
    Ok(())
}

/// Looks at a host that is away say so.
#[sqlx::test(migrations = "../migrations")]
async fn looks_at_a_host_that_is_away_are_no_success(pool: PgPool) -> Test {
    let asking = Asking::open(&pool).await?;
    let mut client = asking.state.gate.deployments(&asking.ada());
    let plan = PlanRequest { key: "cigar".into(), restart: RestartKind::Auto.into(), ..Default::default() };
    let fault = Fault::from_status(&client.plan(plan).await.unwrap_err());
    assert_eq!(fault.kind(), FaultKind::Unreachable, "{fault:?}");
    let mut client = asking.state.gate.deployments(&asking.ada());
    let releases = client.releases(ReleasesRequest { key: "cigar".into() }).await;
    assert_eq!(Fault::from_status(&releases.unwrap_err()).kind(), FaultKind::Unreachable);
    Ok(())
}

#[sqlx::test(migrations = "../migrations")]
async fn each_kind_of_work_needs_its_role(pool: PgPool) -> Test {
    let asking = Asking::open(&pool).await?;
    let somebody = async |name: &str, role| -> anyhow::Result<Caller> {
        let id = db::users::add(&pool, name, role, "x").await?.id;
        Ok(Caller { id, name: name.into(), role, ..asking.ada() })
    };
    let (viewer, operator) = (somebody("vi", Role::Viewer).await?, somebody("op", Role::Operator).await?);
    let denied = asking.state.gate.deployments(&viewer).deploy(cigar()).await.unwrap_err();
    assert_eq!(Fault::from_status(&denied).kind(), FaultKind::Denied);
    let apply = ApplyRequest { key: "cigar".into(), ..Default::default() };
    let denied = asking.state.gate.deployments(&operator).apply(apply).await.unwrap_err();
    assert_eq!(Fault::from_status(&denied).kind(), FaultKind::Denied);
    let operator = Caller { request_id: Uuid::now_v7(), ..operator };
    assert!(!asking.state.gate.deployments(&operator).deploy(cigar()).await?.into_inner().joined);
    Ok(())
}
