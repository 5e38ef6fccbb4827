//! How hosts and terminals get their certificates: join and login on the HTTPS port, renewal on the mTLS port.

use std::{net::SocketAddr, sync::Arc};

use axum::{Router, extract::ConnectInfo};
use chrono::Utc;
use hms_proto::{
    access::role_word,
    controller::v1::{
        JoinRequest, JoinResponse, LoginRequest, LoginResponse, RenewRequest, RenewResponse,
        enrollment_service_server::{EnrollmentService, EnrollmentServiceServer},
    },
    fault::{Fault, FaultKind},
    identity::Kind,
    transport::Peer,
};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::fleet::told;
use crate::{
    audit::Changed,
    auth::{JoinToken, Password, Record, Shown, Source},
    db::{self, audit::Intent, hosts::Host},
    pki::Issued,
    state::Core,
};

/// No request here is larger: a token or a password, and a signing request.
const LARGEST: usize = 32 * 1024;

/// Join and login. Who calls is not known before.
pub(crate) fn joining(core: &Arc<Core>) -> Router {
    super::mount(EnrollmentServiceServer::new(Joining(core.clone())).max_decoding_message_size(LARGEST))
}

/// Renewal, for agents that showed their certificate.
pub(crate) fn renewal(core: &Arc<Core>) -> Router {
    super::mount(EnrollmentServiceServer::new(Renewal(core.clone())).max_decoding_message_size(LARGEST))
}

fn elsewhere(port: &str) -> Status {
    Fault::new(FaultKind::NotFound, format!("this method is served on the {port} port")).into()
}

struct Joining(Arc<Core>);

#[tonic::async_trait]
impl EnrollmentService for Joining {
    async fn join(&self, request: Request<JoinRequest>) -> Result<Response<JoinResponse>, Status> {
        let address = address_of(&request)?;
        let wanted = request.into_inner();
        let shown = JoinToken::read(&wanted.token, &self.0.pki)?;
        let host =
            db::hosts::get_by_id(&self.0.db, shown.host).await.map_err(Fault::from)?.ok_or_else(worthless)?;
        let intent = intent_of(&host, address, "Join");
        let record = Record::open(&self.0.db, &intent).await?;
        let joined = join(&self.0, shown, &wanted.csr).await;
        let joined = joined.map(|(issued, after)| (issued, changed(&host, &after)));
        let issued = record.close_with(&self.0.db, joined).await?;
        tracing::info!(host = %host.name, %address, "a host joined");
        Ok(Response::new(JoinResponse {
            certificate: issued.certificate,
            trust: Some(self.0.pki.bundle()),
            host: host.name,
            controller_grpc: grpc_address(&self.0),
        }))
    }

    async fn login(&self, request: Request<LoginRequest>) -> Result<Response<LoginResponse>, Status> {
        let address = address_of(&request)?;
        let agent =
            request.metadata().get("user-agent").and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
        let LoginRequest { username, password, csr, code } = request.into_inner();
        let password = Password::new(password);
        let who = (username.as_str(), &password, Some(code.as_str()).filter(|code| !code.is_empty()));
        let login = self.0.auth.cli_login(&self.0.pki, who, &csr, address.ip(), &agent).await?;
        Ok(Response::new(LoginResponse {
            certificate: login.issued.certificate,
            trust: Some(self.0.pki.bundle()),
            role: role_word(login.role).into(),
            expires_usec: login.issued.expires.timestamp_micros(),
            grpc_port: self.0.reach.grpc_port.into(),
        }))
    }

    async fn renew(&self, _: Request<RenewRequest>) -> Result<Response<RenewResponse>, Status> {
        Err(elsewhere("mTLS"))
    }
}

struct Renewal(Arc<Core>);

#[tonic::async_trait]
impl EnrollmentService for Renewal {
    async fn join(&self, _: Request<JoinRequest>) -> Result<Response<JoinResponse>, Status> {
        Err(elsewhere("HTTPS"))
    }

    async fn login(&self, _: Request<LoginRequest>) -> Result<Response<LoginResponse>, Status> {
        Err(elsewhere("HTTPS"))
    }

    async fn renew(&self, request: Request<RenewRequest>) -> Result<Response<RenewResponse>, Status> {
        let peer =
            request.extensions().get::<Peer>().filter(|peer| peer.identity.kind == Kind::Agent).cloned();
        let peer = peer.ok_or_else(|| {
            Fault::new(FaultKind::Unauthenticated, "this needs the certificate of an agent")
        })?;
        let host = db::hosts::get_by_id(&self.0.db, peer.identity.id).await.map_err(Fault::from)?;
        let host = host.ok_or_else(no_longer_a_host)?;
        let record = Record::open(&self.0.db, &intent_of(&host, peer.address, "Renew")).await?;
        let renewed = renew(&self.0, &peer, &request.get_ref().csr).await;
        let renewed = renewed.map(|(issued, after)| (issued, changed(&host, &after)));
        let issued = record.close_with(&self.0.db, renewed).await?;
        Ok(Response::new(RenewResponse { certificate: issued.certificate, trust: Some(self.0.pki.bundle()) }))
    }
}

/// The token is used up and the certificate noted together, or neither is.
async fn join(core: &Core, shown: Shown, csr: &str) -> Result<(Issued, Host), Fault> {
    let now = Utc::now();
    let issued = core.pki.issue_agent(csr, shown.host, now)?;
    let mut tx = core.db.begin().await.map_err(db::Error::from)?;
    if !db::join_tokens::take(&mut *tx, shown.host, &shown.hash, now).await? {
        return Err(worthless());
    }
    let host = db::hosts::joined(&mut *tx, shown.host, &issued.serial, issued.expires).await?;
    let host = host.ok_or_else(worthless)?;
    tx.commit().await.map_err(db::Error::from)?;
    Ok((issued, host))
}

async fn renew(core: &Core, peer: &Peer, csr: &str) -> Result<(Issued, Host), Fault> {
    let id = peer.identity.id;
    let issued = core.pki.issue_agent(csr, id, Utc::now())?;
    let old = &peer.certificate_serial;
    match db::hosts::renewed(&core.db, id, old, &issued.serial, issued.expires).await? {
        Some(host) => Ok((issued, host)),
        None => {
            tracing::error!(host = %id, serial = %old, "an agent came with a certificate that was replaced long ago");
            Err(no_longer_a_host())
        }
    }
}

fn changed(before: &Host, after: &Host) -> Changed {
    Changed::of(Some(&told(before)), Some(&told(after)))
}

/// One answer for a token that was used, has ended, was replaced, or never was.
fn worthless() -> Fault {
    Fault::new(
        FaultKind::Unauthenticated,
        "the join token is not valid: it was used or replaced, or its 15 minutes are over",
    )
    .hint("Make a new one with `hmsctl host token`.")
}

fn no_longer_a_host() -> Fault {
    Fault::new(FaultKind::Denied, "this host was removed, or joined anew with another agent")
        .hint("Join again with a new token: `hms-agent join`.")
}

fn intent_of(host: &Host, address: SocketAddr, method: &str) -> Intent {
    Intent {
        request_id: Uuid::now_v7(),
        actor: host.name.clone(),
        user_id: None,
        source: Source::Agent,
        address: Some(address.ip()),
        method: format!("/hms.controller.v1.EnrollmentService/{method}"),
        host: host.name.clone(),
        target: host.name.clone(),
        params: serde_json::json!({}),
    }
}

fn address_of<T>(request: &Request<T>) -> Result<SocketAddr, Fault> {
    let address = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0);
    address.ok_or_else(|| Fault::new(FaultKind::Internal, "the address of the connection is not known"))
}

fn grpc_address(core: &Core) -> String {
    let (name, port) = (&core.reach.name, core.reach.grpc_port);
    if name.contains(':') { format!("[{name}]:{port}") } else { format!("{name}:{port}") }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use hms_proto::{
        identity::Identity,
        names::{Address, HostName},
    };
    use rcgen::{CertificateParams, KeyPair};
    use rustls::pki_types::{CertificateDer, pem::PemObject as _};
    use sqlx::PgPool;

    use super::*;
    use crate::{auth::Auth, fleet::Fleet, pki::Authority, seal::Sealer, state::Reach};

    type Test = Result<(), Box<dyn std::error::Error>>;

    async fn core(pool: &PgPool) -> Arc<Core> {
        let sealer = Arc::new(Sealer::new([7; 32]));
        let pki = Arc::new(Authority::open(pool, sealer, &[]).await.unwrap());
        Arc::new(Core {
            auth: Arc::new(Auth::open(pool, &pki).await.unwrap()),
            fleet: Fleet::new(pki.clone()),
            jobs: crate::jobs::Jobs::default(),
            db: pool.clone(),
            pki,
            audit: Default::default(),
            nginx: Default::default(),
            reach: Reach { name: "fd00::7".into(), web_port: 8443, grpc_port: 9443 },
            database_up: AtomicBool::new(true),
            stop: tokio_util::sync::CancellationToken::new(),
        })
    }

    async fn host(core: &Core) -> Host {
        let (name, address) = (HostName::try_from("asterra").unwrap(), Address::try_from("a:1").unwrap());
        db::hosts::add(&core.db, &name, &address).await.unwrap()
    }

    fn csr() -> String {
        CertificateParams::default().serialize_request(&KeyPair::generate().unwrap()).unwrap().pem().unwrap()
    }

    const FROM: SocketAddr =
        SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)), 4242);

    async fn join_with(core: &Arc<Core>, token: &str, csr: &str) -> Result<JoinResponse, Fault> {
        let mut request = Request::new(JoinRequest { token: token.into(), csr: csr.into() });
        request.extensions_mut().insert(ConnectInfo(FROM));
        let answer = Joining(core.clone()).join(request).await;
        answer.map(Response::into_inner).map_err(|status| Fault::from_status(&status))
    }

    fn peer_of(certificate: &str) -> Peer {
        let der = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
        Peer {
            identity: Identity::of_certificate(&der).unwrap(),
            address: FROM,
            certificate_ends: 0,
            certificate_serial: hms_proto::identity::serial_of(&der).unwrap(),
        }
    }

    async fn renew_as(core: &Arc<Core>, peer: &Peer) -> Result<RenewResponse, Fault> {
        let mut request = Request::new(RenewRequest { csr: csr() });
        request.extensions_mut().insert(peer.clone());
        let answer = Renewal(core.clone()).renew(request).await;
        answer.map(Response::into_inner).map_err(|status| Fault::from_status(&status))
    }

    /// Security case 90.
    #[sqlx::test(migrations = "../migrations")]
    async fn a_token_joins_its_host_once(pool: PgPool) -> Test {
        let core = core(&pool).await;
        let host = host(&core).await;
        let token = JoinToken::issue(&pool, host.id, &core.pki).await?.text;
        let bad = join_with(&core, &token, "no request").await.unwrap_err();
        assert_eq!(bad.kind(), FaultKind::Invalid, "and the token is still good");
        let joined = join_with(&core, &token, &csr()).await?;
        assert_eq!((joined.host.as_str(), joined.controller_grpc.as_str()), ("asterra", "[fd00::7]:9443"));
        assert_eq!(peer_of(&joined.certificate).identity.id, host.id);
        assert_eq!(joined.trust.unwrap().root, core.pki.bundle().root);
        let again = join_with(&core, &token, &csr()).await.unwrap_err();
        assert_eq!(again.kind(), FaultKind::Unauthenticated);
        let unknown = token.replace(&host.id.to_string(), &Uuid::new_v4().to_string());
        assert_eq!(join_with(&core, &unknown, &csr()).await.unwrap_err(), again, "it tells no hosts");
        let records = db::audit::recent(&pool, 9).await?;
        let outcomes: Vec<_> = records.iter().map(|r| r.outcome.as_str()).collect();
        assert_eq!(outcomes, ["denied", "ok", "failed"]);
        assert!(records.iter().all(|r| r.host == "asterra" && !r.params.contains("hms1.")));
        Ok(())
    }

    /// Security case 90.
    #[sqlx::test(migrations = "../migrations")]
    async fn of_many_who_join_with_one_token_one_gets_a_certificate(pool: PgPool) -> Test {
        let core = core(&pool).await;
        let host = host(&core).await;
        let (token, csr) = (JoinToken::issue(&pool, host.id, &core.pki).await?.text, csr());
        let tries = (0..100).map(|_| join_with(&core, &token, &csr));
        let answers = futures_util::future::join_all(tries).await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
        assert!(
            answers.iter().filter_map(|a| a.as_ref().err()).all(|f| f.kind() == FaultKind::Unauthenticated)
        );
        Ok(())
    }

    #[sqlx::test(migrations = "../migrations")]
    async fn an_agent_renews_until_its_host_is_removed_or_joined_anew(pool: PgPool) -> Test {
        let core = core(&pool).await;
        let host = host(&core).await;
        let join = async || {
            let token = JoinToken::issue(&pool, host.id, &core.pki).await.unwrap().text;
            peer_of(&join_with(&core, &token, &csr()).await.unwrap().certificate)
        };
        let first = join().await;
        let second = peer_of(&renew_as(&core, &first).await?.certificate);
        assert_eq!(second.identity, first.identity);
        let third = peer_of(&renew_as(&core, &second).await?.certificate);
        assert_eq!(
            renew_as(&core, &first).await.unwrap_err().kind(),
            FaultKind::Denied,
            "two certificates ago"
        );
        let anew = join().await;
        assert_eq!(renew_as(&core, &third).await.unwrap_err().kind(), FaultKind::Denied);
        renew_as(&core, &anew).await?;
        db::hosts::remove(&pool, &HostName::try_from("asterra")?).await?;
        assert_eq!(renew_as(&core, &anew).await.unwrap_err().kind(), FaultKind::Denied);
        let mut person = anew.clone();
        person.identity.kind = Kind::Operator;
        assert_eq!(renew_as(&core, &person).await.unwrap_err().kind(), FaultKind::Unauthenticated);
        Ok(())
    }

    #[sqlx::test(migrations = "../migrations")]
    async fn each_method_is_served_on_its_own_port(pool: PgPool) -> Test {
        let core = core(&pool).await;
        let on_web = Joining(core.clone()).renew(Request::new(RenewRequest::default())).await.unwrap_err();
        let on_mtls = Renewal(core.clone()).join(Request::new(JoinRequest::default())).await.unwrap_err();
        assert!(on_web.message().contains("mTLS") && on_mtls.message().contains("HTTPS"));
        Ok(())
    }
}
