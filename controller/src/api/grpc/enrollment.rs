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

use crate::{
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
        let issued = record.close(&self.0.db, joined).await?;
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
        let LoginRequest { username, password, csr } = request.into_inner();
        let password = Password::new(password);
        let login =
            self.0.auth.cli_login(&self.0.pki, &username, &password, &csr, address.ip(), &agent).await?;
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
        let issued = record.close(&self.0.db, renewed).await?;
        Ok(Response::new(RenewResponse { certificate: issued.certificate, trust: Some(self.0.pki.bundle()) }))
    }
}

/// The token is used up and the certificate noted together, or neither is.
async fn join(core: &Core, shown: Shown, csr: &str) -> Result<Issued, Fault> {
    let now = Utc::now();
    let issued = core.pki.issue_agent(csr, shown.host, now)?;
    let mut tx = core.db.begin().await.map_err(db::Error::from)?;
    if !db::join_tokens::take(&mut *tx, shown.host, &shown.hash, now).await? {
        return Err(worthless());
    }
    let host = db::hosts::joined(&mut *tx, shown.host, &issued.serial, issued.expires).await?;
    host.ok_or_else(worthless)?;
    tx.commit().await.map_err(db::Error::from)?;
    Ok(issued)
}

async fn renew(core: &Core, peer: &Peer, csr: &str) -> Result<Issued, Fault> {
    let id = peer.identity.id;
    let issued = core.pki.issue_agent(csr, id, Utc::now())?;
    let old = &peer.certificate_serial;
    match db::hosts::renewed(&core.db, id, old, &issued.serial, issued.expires).await? {
        Some(_) => Ok(issued),
        None => {
            tracing::error!(host = %id, serial = %old, "an agent came with a certificate that was replaced long ago");
            Err(no_longer_a_host())
        }
    }
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
