//! What cannot be recorded does not happen.

use std::net::SocketAddr;

use axum::{
    extract::{ConnectInfo, Request as Asked, State as Shared},
    middleware::{Next, from_fn_with_state},
};
use hms_proto::{
    controller::v1::{JoinRequest, LoginRequest, RenewRequest},
    identity::{Identity, Kind},
    names::Address,
    transport::Peer,
};
use prost::Message as _;
use rcgen::{CertificateParams, KeyPair};

use super::*;
use crate::{
    auth::JoinToken,
    counts,
    db::{audit::refuse as refuse_audit, reach::fingerprint},
};

async fn note(Shared(answers): Shared<Arc<Answers>>, request: Asked, next: Next) -> Response<Body> {
    answers.note(&request);
    next.run(request).await
}

fn is_told_why(fault: Option<&Fault>) -> bool {
    fault.is_some_and(|fault| {
        fault.kind() == FaultKind::Unavailable && fault.message.contains("audit") && !fault.hint.is_empty()
    })
}

impl World {
    /// The real services, with a look at what reaches them.
    async fn watched(pool: &PgPool) -> anyhow::Result<Self> {
        let mut world = Self::new(pool, true).await?;
        let watch = from_fn_with_state(world.answers.clone(), note);
        world.gate.services = world.gate.services.clone().layer(watch);
        Ok(world)
    }

    /// Every method is refused because of the audit, and reaches no service.
    async fn refuses_all(&self, methods: &[Method]) -> anyhow::Result<usize> {
        for (number, method) in methods.iter().enumerate() {
            let fault = self.call(number, method, &self.again()).await;
            anyhow::ensure!(is_told_why(fault.as_ref()), "{}: {fault:?}", method.path);
            // Nobody gets in because the refusal cannot be written down.
            let low = Caller { role: Role::Unspecified, ..self.again() };
            let fault = self.call(number, method, &low).await;
            anyhow::ensure!(fault.is_some_and(|f| f.kind() == FaultKind::Denied), "{}", method.path);
        }
        anyhow::ensure!(self.answers.seen().is_empty(), "{:?} were done", self.answers.seen());
        Ok(methods.len())
    }
}

/// Security case 111: every method, with a table that takes no row, a full disk, and no database.
#[sqlx::test(migrations = "../migrations")]
async fn what_cannot_be_recorded_is_not_done(pool: PgPool) -> Test {
    let world = World::watched(&pool).await?;
    let own = PgPool::connect_with((*pool.connect_options()).clone()).await?;
    let methods = Method::all();
    let before = fingerprint(&own).await?;
    let mut cells = 0;
    for (code, is_refused) in [("23514", true), ("53100", true), ("", false)] {
        refuse_audit(&own, code).await?;
        if is_refused {
            cells += world.refuses_all(&methods).await?;
            anyhow::ensure!(fingerprint(&own).await? == before, "a table is another");
        }
    }
    // The same calls, when they can be recorded, are made: each reaches its service once.
    for (number, method) in methods.iter().enumerate() {
        let caller = world.again();
        let fault = world.call(number, method, &caller).await;
        let seen = world.answers.seen();
        let times = seen.iter().filter(|(_, id)| *id == caller.request_id.to_string()).count();
        anyhow::ensure!(times == 1, "{} was made {times} times: {fault:?}", method.path);
    }
    let after = fingerprint(&own).await?;
    anyhow::ensure!(after != before, "none of these calls changes anything: this shows nothing");
    let quiet = World { answers: Arc::default(), ..world };
    pool.close().await;
    cells += quiet.refuses_all(&methods).await?;
    anyhow::ensure!(fingerprint(&own).await? == after, "a table is another");
    counts::tell("audit: methods × failures of the audit, nothing done", cells, 0);
    own.close().await;
    Ok(())
}

const FROM: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 4242);

async fn enroll(core: &Arc<Core>, method: &str, message: &[u8], peer: &Peer) -> Option<Fault> {
    let services = match method {
        "Renew" => crate::api::grpc::renewal(core),
        _ => crate::api::grpc::joining(core),
    };
    let request = Request::post(format!("/hms.controller.v1.EnrollmentService/{method}"))
        .header("content-type", "application/grpc")
        .extension(ConnectInfo(FROM))
        .extension(peer.clone())
        .body(Body::from(framed(message)));
    let answer = services.oneshot(request.unwrap()).await.unwrap_or_else(|never| match never {});
    finished(answer).await.1
}

/// Security cases 111 and 114: the methods before the gate.
#[sqlx::test(migrations = "../migrations")]
async fn nobody_joins_logs_in_or_renews_without_a_record(pool: PgPool) -> Test {
    let core = controller(&pool).await?.core;
    let csr = CertificateParams::default().serialize_request(&KeyPair::generate()?)?.pem()?;
    let host = db::hosts::add(&pool, &HostName::try_from("asterra")?, &Address::try_from("a:1")?).await?;
    let old = core.pki.issue_agent(&csr, host.id, Utc::now())?;
    db::hosts::joined(&pool, host.id, &old.serial, old.expires).await?;
    let peer = Peer {
        identity: Identity { install: core.pki.install(), kind: Kind::Agent, id: host.id, role: None },
        address: FROM,
        certificate_ends: i64::MAX,
        certificate_serial: old.serial,
    };
    let login = LoginRequest {
        username: "nobody".into(),
        password: CANARY.into(),
        csr: csr.clone(),
        code: "".into(),
    };
    let token = JoinToken::issue(&pool, host.id, &core.pki).await?.text;
    let requests = [
        ("Renew", RenewRequest { csr: csr.clone() }.encode_to_vec(), "ok"),
        ("Join", JoinRequest { token, csr }.encode_to_vec(), "ok"),
        ("Login", login.encode_to_vec(), "denied"),
    ];
    let before = fingerprint(&pool).await?;
    for code in ["23514", "53100"] {
        refuse_audit(&pool, code).await?;
        for (method, request, _) in &requests {
            let fault = enroll(&core, method, request, &peer).await;
            anyhow::ensure!(is_told_why(fault.as_ref()), "{method}: {fault:?}");
        }
    }
    anyhow::ensure!(fingerprint(&pool).await? == before, "a table is another");
    refuse_audit(&pool, "").await?;
    for (number, (method, request, outcome)) in requests.iter().enumerate() {
        let fault = enroll(&core, method, request, &peer).await;
        anyhow::ensure!(fault.is_none() == (*outcome == "ok"), "{method}: {fault:?}");
        let records = db::audit::recent(&pool, 9).await?;
        anyhow::ensure!(records.len() == number + 1 && records[0].outcome == *outcome, "{records:?}");
        anyhow::ensure!(records[0].method.ends_with(method) && records[0].address == "127.0.0.1");
        anyhow::ensure!(!format!("{records:?}").contains(CANARY));
    }
    counts::tell("audit: enrolments × failures of the audit, nothing done", 2 * requests.len(), 0);
    Ok(())
}
