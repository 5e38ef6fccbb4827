//! What callers reach, cell by cell: every method and every page, with everything that they could name, as the contract has them.

mod bodies;
mod elsewhere;
mod fields;
mod kinds;
mod lists;
mod objects;
mod port;
mod recorded_tests;
mod roles;
mod routes;
mod spellings;
mod values;

use axum::body::Body;
use chrono::{TimeDelta, Utc};
use hms_proto::{
    HOST_KEY, Role,
    access::Object,
    controller::v1::{ListAuditRequest, Target},
    host::v1::JobKind,
    names::{Address, HostName},
    report::Level,
};
use http::Request;
use http_body_util::BodyExt as _;
use sqlx::PgPool;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::{
    auth::{Caller, Limit, Scope, Source},
    db::{
        self, apps,
        audit::Intent,
        deployments::{self, NewDeployment, Wanted},
        nginx, runs, schedules, warnings,
    },
    jobs::tests::controller,
    state::State,
};

type Test = anyhow::Result<()>;

/// Part of each name of what is beyond the scope, and of nothing else.
const FOREIGN: &str = "zzforeign";

/// A host, and one of everything that is on it.
struct Place {
    host: String,
    app: String,
    run: Uuid,
    job: Uuid,
    deployment: Uuid,
    schedule: Uuid,
    version: i64,
}

impl Place {
    async fn new(pool: &PgPool, name: &str) -> anyhow::Result<Self> {
        let (host, app) = (format!("{name}host"), format!("{name}app"));
        let (host_name, address) = (HostName::try_from(host.as_str())?, Address::try_from("127.0.0.1:1")?);
        let id = db::hosts::add(pool, &host_name, &address).await?.id;
        let sample = apps::App { deployed_server: Some(host.clone()), ..apps::sample(&app) };
        apps::add(&mut *pool.acquire().await?, &sample).await?;
        let new = runs::NewRun { hosts: vec![(id, host.clone())], ..runs::sample(&[&host]) };
        let job = runs::put(pool, &new).await?.remove(0);
        let found = warnings::Found {
            level: Level::Critical,
            subject: format!("{name}subject"),
            message: format!("{name}message"),
        };
        warnings::replace(pool, &job, &[found], Utc::now()).await?;
        let deployment = NewDeployment {
            id: Uuid::now_v7(),
            app: app.clone(),
            kind: JobKind::Deploy,
            host: (id, host.clone()),
            wanted: Wanted { branch: format!("{name}branch"), ..Wanted::default() },
            actor: "zoe".into(),
            user_id: Uuid::from_u128(9),
            source: Source::Cli,
        };
        deployments::begin(pool, &deployment).await?;
        let target = Target { hosts: vec![host.clone()], ..Target::default() };
        let schedule = schedules::sample(Utc::now() + TimeDelta::days(1));
        let schedule = schedules::add(pool, &schedules::NewSchedule { target, ..schedule }).await?.id;
        let version = version(pool, id, &host, name).await?;
        acted(pool, &host, &app).await?;
        Ok(Self { run: new.id, job: job.id, deployment: deployment.id, host, app, schedule, version })
    }

    /// What a field of this kind could name of it.
    fn names(&self, object: Object) -> Vec<String> {
        match object {
            Object::Host => vec![self.host.clone()],
            Object::App => vec![self.app.clone()],
            Object::Unit => vec![format!("puma-{}.service", self.app)],
            Object::Work => [self.deployment, self.run, self.job].map(|id| id.to_string()).into(),
            Object::Schedule => vec![self.schedule.to_string()],
            Object::Version => vec![self.version.to_string()],
            Object::Whole | Object::Unspecified => vec!["x".into()],
        }
    }
}

async fn version(pool: &PgPool, id: Uuid, host: &str, name: &str) -> anyhow::Result<i64> {
    let version = nginx::New {
        path: format!("sites-available/{name}"),
        event: "applied",
        sha256: hex::encode(crate::auth::hash_of(name)),
        content: Some(format!("# {name}\n").into()),
        enabled: true,
        author: "zoe".into(),
        reason: String::new(),
        request_id: String::new(),
        apply_id: String::new(),
    };
    nginx::record(pool, id, &[version]).await?;
    let filter = nginx::Filter { host, path: "", before: 0, limit: 1 };
    Ok(nginx::list(pool, filter).await?.remove(0).id)
}

/// Somebody else did something there: to the app by its unit, to the app, to the host.
async fn acted(pool: &PgPool, host: &str, app: &str) -> Test {
    let unit = format!("puma-{app}.service");
    for (method, host, target) in [
        ("/hms.host.v1.UnitService/Restart", host, unit.as_str()),
        ("/hms.controller.v1.DeploymentService/Deploy", "", app),
        ("/hms.host.v1.NginxService/Reload", host, ""),
    ] {
        let intent = Intent {
            request_id: Uuid::now_v7(),
            actor: "zoe".into(),
            user_id: Some(Uuid::from_u128(9)),
            source: Source::Cli,
            address: None,
            method: method.into(),
            host: host.into(),
            target: target.into(),
            params: serde_json::json!({ "of": app }),
        };
        db::audit::intent(pool, &intent).await?;
        db::audit::outcome(pool, intent.request_id, "ok", app, 1).await?;
    }
    Ok(())
}

/// An installation of two parts.
struct World {
    state: State,
    own: Place,
    foreign: Place,
}

impl World {
    async fn new(pool: &PgPool) -> anyhow::Result<Self> {
        let state = controller(pool).await?;
        let (own, foreign) = (Place::new(pool, "mine").await?, Place::new(pool, FOREIGN).await?);
        state.reload().await?;
        Ok(Self { state, own, foreign })
    }

    fn host_scope(&self) -> Limit {
        Limit::of_row(false, std::slice::from_ref(&self.own.host), &[])
    }

    fn app_scope(&self) -> Limit {
        Limit::of_row(false, &[], std::slice::from_ref(&self.own.app))
    }

    /// Somebody new, who has just confirmed who they are.
    async fn caller(&self, name: &str, role: Role, limits: &[Limit]) -> anyhow::Result<Caller> {
        let id = db::users::add(&self.state.db, name, role, "x").await?.id;
        Ok(Caller {
            id,
            name: name.into(),
            role,
            scope: Scope::within(limits),
            confirmed: Some(Utc::now()),
            source: Source::Cli,
            session: Some(Uuid::nil()),
            ..Caller::system()
        })
    }

    /// Calls a method at the gate: how it ended, and the first message of the answer. An open stream has let the caller in.
    async fn call(
        &self,
        caller: &Caller,
        path: &str,
        host: Option<&str>,
        message: &[u8],
    ) -> anyhow::Result<(Code, Vec<u8>)> {
        let mut body = vec![0];
        body.extend(u32::try_from(message.len())?.to_be_bytes());
        body.extend(message);
        let mut request =
            Request::post(path).header("content-type", "application/grpc").header("te", "trailers");
        if let Some(host) = host {
            request = request.header(HOST_KEY, host);
        }
        let caller = Caller { request_id: Uuid::now_v7(), ..caller.clone() };
        let answer = self.state.gate.clone().pass(request.extension(caller).body(Body::from(body))?).await;
        if let Some(status) = Status::from_header_map(answer.headers()) {
            return Ok((status.code(), Vec::new()));
        }
        let (mut body, mut told) = (answer.into_body(), Vec::new());
        while let Some(frame) = body.frame().await {
            let frame = frame?;
            match frame.trailers_ref() {
                Some(trailers) => {
                    let status = Status::from_header_map(trailers);
                    return Ok((status.map_or(Code::Unknown, |status| status.code()), told));
                }
                None => told.extend(frame.into_data().unwrap_or_default()),
            }
            if hms_proto::access::rule(path).is_some_and(hms_proto::access::Rule::streams) {
                break;
            }
        }
        Ok((Code::Ok, told))
    }

    /// How many calls the audit says were denied.
    async fn denied(&self) -> anyhow::Result<usize> {
        let (mut count, mut before_seq) = (0, 0);
        loop {
            let asked =
                ListAuditRequest { outcome: "denied".into(), limit: 500, before_seq, ..Default::default() };
            let page = db::audit::list(&self.state.db, &asked).await?;
            count += page.len();
            match page.last() {
                Some(last) => before_seq = last.seq,
                None => return Ok(count),
            }
        }
    }
}
