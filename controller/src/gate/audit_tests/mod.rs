//! The audit of every method that changes something, as the contract has them: what happens is recorded, and what cannot be
//! recorded does not happen.

pub(crate) mod answers;
mod not_recorded;
mod recorded;
mod requests;

use std::sync::Arc;

use chrono::Utc;
use hms_proto::controller::v1::AuditRow;
use sqlx::PgPool;

use self::{
    answers::{Answers, How, framed, host},
    requests::{CANARY, Method},
};
use super::*;
use crate::{
    auth::{Scope, Source},
    jobs::tests::controller,
};

type Test = anyhow::Result<()>;

/// Calls that change nginx of one host wait for each other: those that never end are made to different ones.
const HOSTS: usize = 4;
/// Only how long these tests wait for a host that is there.
const PATIENCE: Duration = Duration::from_secs(60);

/// A controller whose hosts answer as they are told to, and a caller who may do everything.
struct World {
    gate: Gate,
    answers: Arc<Answers>,
    hosts: Vec<HostName>,
    caller: Caller,
}

impl World {
    /// With services of its own that answer as well, or the real ones.
    async fn new(pool: &PgPool, real: bool) -> anyhow::Result<Self> {
        let core = controller(pool).await?.core;
        let answers = Arc::new(Answers::default());
        let mut hosts = Vec::new();
        for number in 0..HOSTS {
            hosts.push(host(&core, &format!("host{number}"), &answers).await?);
        }
        core.reload().await?;
        for name in &hosts {
            connected(&core, name).await?;
        }
        let services = match real {
            true => crate::api::grpc::services(&core)?,
            false => answers::services(&answers),
        };
        let id = db::users::add(pool, "ada", Role::Admin, "x").await?.id;
        let caller = Caller {
            id,
            name: "ada".into(),
            confirmed: Some(Utc::now()),
            source: Source::Cli,
            address: Some([203, 0, 113, 7].into()),
            session: Some(Uuid::nil()),
            ..Caller::system()
        };
        Ok(Self { gate: Gate::new(core, services), answers, hosts, caller })
    }

    fn answer(&self, how: How) {
        *self.answers.how.lock().unwrap() = how;
    }

    /// The host that the method with this number is called on, if it is one of hosts.
    fn host(&self, number: usize, method: &Method) -> Option<&HostName> {
        method.is_of_host().then(|| &self.hosts[number % HOSTS])
    }

    fn request(&self, number: usize, method: &Method, caller: &Caller) -> Request<Body> {
        let mut request = Request::post(method.path).header("content-type", "application/grpc");
        if let Some(host) = self.host(number, method) {
            request = request.header(HOST_KEY, host.as_str());
        }
        if method.is_authorised() {
            request = request.extension(Authorised);
        }
        let body = Body::from(framed(&method.request));
        request.extension(caller.clone()).header("te", "trailers").body(body).unwrap()
    }

    /// Makes the call, and tells what is wrong with it.
    async fn call(&self, number: usize, method: &Method, caller: &Caller) -> Option<Fault> {
        finished(self.gate.clone().pass(self.request(number, method, caller)).await).await.1
    }

    /// The caller, with a call of its own.
    fn again(&self) -> Caller {
        Caller { request_id: Uuid::now_v7(), is_recorded: Arc::default(), ..self.caller.clone() }
    }
}

/// Waits until the controller has its link to a host.
pub(crate) async fn connected(core: &Core, host: &HostName) -> Test {
    let linked = async {
        while !core.fleet.host(host.as_str()).is_some_and(|host| host.is_connected()) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    Ok(tokio::time::timeout(PATIENCE, linked).await?)
}

/// A call that was made, and how it should stand in the audit.
struct Expected {
    request_id: Uuid,
    path: &'static str,
    host: String,
    params: serde_json::Value,
    outcome: &'static str,
}

impl Expected {
    fn of(world: &World, number: usize, method: &Method, caller: &Caller, outcome: &'static str) -> Self {
        let params = method.rule.describe_request(&method.request).unwrap();
        // One of the controller's own may be about a host that it names.
        let named = || params.get("host").and_then(|host| host.as_str()).unwrap_or_default().to_owned();
        let host = world.host(number, method).map_or_else(named, ToString::to_string);
        Self { request_id: caller.request_id, path: method.path, host, params, outcome }
    }

    /// What is wrong with its rows, if anything is.
    fn check(&self, rows: &[AuditRow], by: &Caller) -> Option<String> {
        let own: Vec<_> = rows.iter().filter(|row| row.request_id == self.request_id.to_string()).collect();
        let wrong =
            |what: &str| Some(format!("{} that should be {}: {what}: {own:#?}", self.path, self.outcome));
        let [intent, outcome] = own.as_slice() else { return wrong("not two rows") };
        let user = Some(by.id.to_string());
        let address = by.address.map(|address| address.to_string()).unwrap_or_default();
        match () {
            () if (intent.phase.as_str(), outcome.phase.as_str()) != ("intent", "outcome") => wrong("phases"),
            () if intent.actor != by.name || intent.user_id != user => wrong("who"),
            () if intent.source != by.source.word() || intent.address != address => wrong("from where"),
            () if intent.method != self.path || intent.host != self.host => wrong("what and where"),
            () if serde_json::from_str::<serde_json::Value>(&intent.params).ok().as_ref()
                != Some(&self.params) =>
            {
                wrong("the parameters")
            }
            () if outcome.outcome.as_deref() != Some(self.outcome) => wrong("the outcome"),
            () if outcome.detail.is_empty() != (self.outcome == "ok") => wrong("why"),
            () => None,
        }
    }
}

/// Every row is one of these calls, each has its two, none has a secret, and they are one chain.
async fn check(pool: &PgPool, calls: &[Expected], by: &Caller) -> Test {
    let rows = db::audit_chain::rows(pool, 1, 0, i64::MAX).await?;
    let wrong: Vec<_> = calls.iter().filter_map(|call| call.check(&rows, by)).collect();
    anyhow::ensure!(wrong.is_empty(), "{} of {}: {}", wrong.len(), calls.len(), wrong[0]);
    anyhow::ensure!(rows.len() == 2 * calls.len(), "{} rows for {} calls", rows.len(), calls.len());
    anyhow::ensure!(!format!("{rows:?}").contains(CANARY), "a secret is in the audit");
    let mut verifier = hms_proto::chain::Verifier::default();
    Ok(rows.iter().try_for_each(|row| verifier.check(row))?)
}
