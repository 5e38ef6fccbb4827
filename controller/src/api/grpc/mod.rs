//! The mTLS port: hmsctl with operator certificates, agents for their renewal.

mod account;
pub(crate) mod apps;
mod audit;
mod deployments;
mod enrollment;
pub(crate) mod fleet;
mod job_streams;
mod jobs;
mod nginx;
mod schedules;
mod scripts;
mod secrets;
mod session;
mod tokens;
mod turns;
mod users;

use std::sync::Arc;

use axum::{Router, body::Body, extract::State as Shared, response::IntoResponse};
use hms_proto::{
    access::{self, Audience},
    controller::v1::{
        account_service_server::AccountServiceServer, app_service_server::AppServiceServer,
        audit_service_server::AuditServiceServer, deployment_service_server::DeploymentServiceServer,
        fleet_service_server::FleetServiceServer, job_service_server::JobServiceServer,
        nginx_history_service_server::NginxHistoryServiceServer, script_service_server::ScriptServiceServer,
        secret_service_server::SecretServiceServer, session_service_server::SessionServiceServer,
        token_service_server::TokenServiceServer, user_service_server::UserServiceServer,
    },
    fault::{Fault, FaultKind},
    identity::Kind,
    transport::{Limits, Peer, accept, harden},
};
use http::{Request, Response};
use tokio::net::TcpListener;
use tonic::{Status, server::NamedService, transport::Server};
use tower::ServiceExt as _;

use crate::{gate::Gate, state::Core};

use turns::Turns;

pub(crate) use enrollment::{joining, renewal};

/// The controller's own services, behind the gate.
pub(crate) fn services(core: &Arc<Core>) -> anyhow::Result<Router> {
    let (health, health_service) = tonic_health::server::health_reporter();
    tokio::spawn(async move { health.set_service_status("", tonic_health::ServingStatus::Serving).await });
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(hms_proto::DESCRIPTORS)
        .build_v1()?;
    Ok(Router::new()
        .merge(mount(FleetServiceServer::new(fleet::Fleet(core.clone()))))
        .merge(mount(AppServiceServer::new(apps::Apps(core.clone()))))
        .merge(mount(AuditServiceServer::new(audit::Audit(core.clone()))))
        .merge(mount(SessionServiceServer::new(session::Sessions(core.clone()))))
        .merge(mount(ScriptServiceServer::new(scripts::Scripts(core.clone()))))
        .merge(mount(JobServiceServer::new(jobs::Jobs(core.clone()))))
        .merge(mount(NginxHistoryServiceServer::new(nginx::History(core.clone()))))
        .merge(mount(DeploymentServiceServer::new(deployments::Deployments(core.clone()))))
        .merge(mount(SecretServiceServer::new(secrets::Secrets(core.clone()))))
        .merge(mount(AccountServiceServer::new(account::Accounts(core.clone()))))
        .merge(mount(UserServiceServer::new(users::Users(core.clone()))))
        .merge(mount(TokenServiceServer::new(tokens::Tokens(core.clone()))))
        .merge(mount(health_service))
        .merge(mount(reflection)))
}

/// A gRPC service as a route.
pub(crate) fn mount<S>(service: S) -> Router
where
    S: tower::Service<Request<Body>, Error = std::convert::Infallible>
        + NamedService
        + Clone
        + Send
        + Sync
        + 'static,
    S::Response: IntoResponse,
    S::Future: Send + 'static,
{
    Router::new().route_service(&format!("/{}/{{*method}}", S::NAME), service)
}

/// Serves the port until `stop` is done, and then until the open calls are.
pub(crate) async fn serve(
    gate: Gate,
    core: Arc<Core>,
    listener: TcpListener,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let connections = accept(listener, core.pki.grpc_server()?, Limits::default());
    let (turns, questions) = (Turns::of_calls(), Turns::of_questions());
    let shared = Port { gate, renewal: renewal(&core), core, turns, questions };
    let router = Router::new().fallback(identify).with_state(shared);
    Ok(harden(Server::builder())
        .add_routes(router.into())
        .serve_with_incoming_shutdown(connections, stop)
        .await?)
}

#[derive(Clone)]
struct Port {
    gate: Gate,
    renewal: Router,
    core: Arc<Core>,
    turns: Turns,
    questions: Turns,
}

/// Finds out who is calling, and hands the call to the gate. Only the certificate counts.
async fn identify(Shared(port): Shared<Port>, mut request: Request<Body>) -> Response<Body> {
    let Some(peer) = request.extensions().get::<Peer>().cloned() else {
        return Status::from(Fault::new(FaultKind::Unauthenticated, "no client certificate")).into_http();
    };
    let rule = access::rule(request.uri().path());
    if peer.certificate_ends < chrono::Utc::now().timestamp() {
        return Status::from(Fault::new(FaultKind::Unauthenticated, "the certificate has ended")).into_http();
    }
    let _turn = port.turns.wait(&peer.certificate_serial).await;
    if rule.is_some_and(|r| r.audience == Audience::Agent) && peer.identity.kind == Kind::Agent {
        return port.renewal.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
    }
    let question = port.questions.wait(&peer.certificate_serial).await;
    let caller = crate::auth::operator(&port.core.db, &peer).await;
    drop(question);
    match caller {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            port.gate.pass(request).await
        }
        Err(fault) => Status::from(fault).into_http(),
    }
}
