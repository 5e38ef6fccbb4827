//! The gRPC server: all services behind the access layer, on connections whose caller is known.

use std::{path::PathBuf, sync::Arc};

use arc_swap::ArcSwap;
use hms_proto::{
    DESCRIPTORS,
    host::v1::{
        app_service_server::AppServiceServer, audit_service_server::AuditServiceServer,
        host_service_server::HostServiceServer, job_service_server::JobServiceServer,
        log_service_server::LogServiceServer, nginx_service_server::NginxServiceServer,
        revocation_service_server::RevocationServiceServer, script_service_server::ScriptServiceServer,
        unit_service_server::UnitServiceServer,
    },
    transport::{Limits, accept, harden},
};
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tonic::transport::Server;

use crate::{
    access::AccessLayer,
    audit::{AuditApi, Spool},
    deploy::Apps,
    host::Host,
    jobs::{Jobs, JobsApi},
    logs::Logs,
    nginx::Nginx,
    revoked::{RevocationApi, Revoked},
    scripts::{Scripts, ScriptsApi},
    systemd::{Bus, Units},
};

/// Configuration files of up to 1 MiB come several at a time.
pub(crate) const MESSAGE_MAX: usize = 16 * 1024 * 1024;

/// What calls are about: a host by its name, and the folder with its state.
#[derive(Debug)]
pub(crate) struct Place {
    /// As HMS knows the host.
    pub(crate) host: String,
    /// The agent's folder.
    pub(crate) state: PathBuf,
    /// How the controller is reached: a name or an address.
    pub(crate) controller: String,
}

/// Answers calls until `shutdown` is cancelled, and then until the calls that are under way have ended.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Arc<ArcSwap<ServerConfig>>,
    spool: Arc<Spool>,
    place: Place,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let bus = Arc::new(Bus::default());
    let nginx = Nginx::new(bus.clone(), &place.state, place.controller)?;
    let logs = Logs::new(&place.state);
    let scripts = Arc::new(Scripts::new(&place.state));
    let jobs = Arc::new(Jobs::open(place.host, &place.state, bus.clone(), scripts.clone())?);
    let audit = AuditApi::open(&place.state, spool.clone())?;
    let revoked = Arc::new(Revoked::open(&place.state));
    let apps = Apps::new(jobs.clone(), bus.clone(), place.state);
    let _house = AbortOnDropHandle::new(tokio::spawn(jobs.clone().keep_house()));
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .build_v1()?;
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<UnitServiceServer<Units>>().await;
    health.set_serving::<LogServiceServer<Logs>>().await;
    health.set_serving::<HostServiceServer<Host>>().await;
    health.set_serving::<ScriptServiceServer<ScriptsApi>>().await;
    health.set_serving::<JobServiceServer<JobsApi>>().await;
    health.set_serving::<NginxServiceServer<Nginx>>().await;
    health.set_serving::<AppServiceServer<Apps>>().await;
    health.set_serving::<AuditServiceServer<AuditApi>>().await;
    health.set_serving::<RevocationServiceServer<RevocationApi>>().await;
    harden(Server::builder())
        .layer(AccessLayer::new(spool, revoked.clone(), shutdown.clone()))
        .add_service(health_service)
        .add_service(reflection)
        .add_service(UnitServiceServer::new(Units::new(bus.clone())))
        .add_service(LogServiceServer::new(logs))
        .add_service(HostServiceServer::new(Host::new(bus)))
        .add_service(ScriptServiceServer::new(ScriptsApi(scripts)))
        .add_service(JobServiceServer::new(JobsApi::new(jobs)))
        .add_service(AppServiceServer::new(apps))
        .add_service(AuditServiceServer::new(audit))
        .add_service(RevocationServiceServer::new(RevocationApi(revoked)))
        .add_service(NginxServiceServer::new(nginx).max_decoding_message_size(MESSAGE_MAX))
        .serve_with_incoming_shutdown(accept(listener, tls, Limits::default()), shutdown.cancelled_owned())
        .await?;
    Ok(())
}
