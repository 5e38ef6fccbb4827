//! Connections to the controller, or straight to an agent. The generated clients work the same over both.

use std::{future::Future, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use hms_proto::{
    AGENT_PORT, HOST_KEY,
    controller::v1::{
        account_service_client::AccountServiceClient, app_service_client::AppServiceClient,
        audit_service_client::AuditServiceClient, deployment_service_client::DeploymentServiceClient,
        fleet_service_client::FleetServiceClient, job_service_client::JobServiceClient,
        nginx_history_service_client::NginxHistoryServiceClient, script_service_client::ScriptServiceClient,
        secret_service_client::SecretServiceClient, session_service_client::SessionServiceClient,
        token_service_client::TokenServiceClient, user_service_client::UserServiceClient,
    },
    fault::{Fault, FaultKind},
    host::v1::{
        app_service_client::AppServiceClient as HostAppServiceClient,
        audit_service_client::AuditServiceClient as HostAuditServiceClient,
        host_service_client::HostServiceClient, job_service_client::JobServiceClient as HostJobServiceClient,
        log_service_client::LogServiceClient, nginx_service_client::NginxServiceClient,
        script_service_client::ScriptServiceClient as HostScriptServiceClient,
        unit_service_client::UnitServiceClient,
    },
    identity::{Identity, Kind, client_config},
    names::{Address, HostName},
    transport::{NotConnected, endpoint},
};
use tonic::{
    Request, Response, Status,
    metadata::MetadataValue,
    service::{Interceptor, interceptor::InterceptedService},
    transport::Channel,
};

use crate::{context::Context, failure::Result, trouble};

/// How long an answer may take.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pace {
    /// Looking something up.
    Look,
    /// Doing something: systemd gives a unit 90 s to start or stop.
    Act,
    /// A stream, whose first answer may come late and which ends when it ends.
    Stream,
}

/// What every generated client of this program speaks through.
pub(crate) type Link = InterceptedService<Channel, Route>;

/// Adds to each call which host it is meant for, and until when an answer is of use.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    host: Option<MetadataValue<tonic::metadata::Ascii>>,
    deadline: Option<Duration>,
}

impl Interceptor for Route {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(host) = &self.host {
            request.metadata_mut().insert(HOST_KEY, host.clone());
        }
        if let Some(deadline) = self.deadline {
            request.set_timeout(deadline);
        }
        Ok(request)
    }
}

/// Who is at the other end.
#[derive(Debug, Clone)]
pub(crate) enum Peer {
    /// The controller of the current context.
    Controller(Address),
    /// One agent, called by this name.
    Agent(String, Address),
}

/// A connection, made at the first call.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    channel: Channel,
    pub(crate) peer: Peer,
    timeout: Option<Duration>,
    expires_usec: i64,
    url: String,
}

macro_rules! clients {
    ($($name:ident -> $client:ident),*) => {$(
        pub(crate) fn $name(&self, host: Option<&HostName>, pace: Pace) -> $client<Link> {
            // A message holds at most some thousand log entries of 64 KiB each; the usual 4 MiB are too few.
            $client::with_interceptor(self.channel.clone(), self.route(host, pace))
                .max_decoding_message_size(64 * 1024 * 1024)
        }
    )*};
}

impl Connection {
    /// To the controller of a context.
    pub(crate) fn to_controller(context: &Context, timeout: Option<Duration>) -> Result<Self> {
        let address = Address::try_from(context.entry.grpc.as_str())?;
        Self::open(context, Kind::Controller, None, address.clone(), Peer::Controller(address), timeout)
    }

    /// Straight to the agent of a host: one that the controller told of earlier, or an address.
    pub(crate) fn to_agent(context: &Context, host: &str, timeout: Option<Duration>) -> Result<Self> {
        let known = context.known_host(host);
        let address = match &known {
            Some(known) => Address::with_default_port(&known.address, AGENT_PORT)?,
            None => Address::with_default_port(host, AGENT_PORT)?,
        };
        // Of a host that we know nothing about, any agent of this installation will do.
        let whom = known.and_then(|known| uuid::Uuid::try_parse(&known.id).ok()).map(|id| Identity {
            install: context.trust.install,
            kind: Kind::Agent,
            id,
            role: None,
        });
        let peer = Peer::Agent(host.to_owned(), address.clone());
        Self::open(context, Kind::Agent, whom, address, peer, timeout)
    }

    fn open(
        context: &Context,
        kind: Kind,
        whom: Option<Identity>,
        address: Address,
        peer: Peer,
        timeout: Option<Duration>,
    ) -> Result<Self> {
        let tls = client_config(&context.trust, &context.credentials, kind, whom)
            .map_err(|e| Fault::new(FaultKind::Failed, format!("the stored login cannot be used: {e}")))?;
        let channel = endpoint(&address, Arc::new(ArcSwap::from_pointee(tls)));
        let (expires_usec, url) = (context.entry.expires_usec, context.entry.url.clone());
        Ok(Self { channel, peer, timeout, expires_usec, url })
    }

    fn route(&self, host: Option<&HostName>, pace: Pace) -> Route {
        let host = host.filter(|_| !self.is_direct()).and_then(|name| name.as_str().parse().ok());
        let deadline = match pace {
            Pace::Stream => None,
            _ => Some(self.limit(pace)),
        };
        Route { host, deadline }
    }

    fn limit(&self, pace: Pace) -> Duration {
        let usual = if matches!(pace, Pace::Act) { 100 } else { 15 };
        self.timeout.unwrap_or(Duration::from_secs(usual))
    }

    clients! {
        units -> UnitServiceClient, logs -> LogServiceClient, facts -> HostServiceClient,
        apps -> AppServiceClient, host_apps -> HostAppServiceClient,
        deployments -> DeploymentServiceClient, secrets -> SecretServiceClient, fleet -> FleetServiceClient,
        sessions -> SessionServiceClient, audit -> AuditServiceClient, host_audit -> HostAuditServiceClient,
        account -> AccountServiceClient, users -> UserServiceClient, tokens -> TokenServiceClient,
        scripts -> ScriptServiceClient, host_scripts -> HostScriptServiceClient,
        jobs -> JobServiceClient, host_jobs -> HostJobServiceClient,
        nginx -> NginxServiceClient, nginx_history -> NginxHistoryServiceClient
    }

    /// Waits for the answer to a call (of a stream: for its beginning), at most as long as fits the pace.
    pub(crate) async fn answer<T>(
        &self,
        pace: Pace,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T> {
        // The deadline of gRPC ends with the head of the answer; the rest must not hang either.
        let limit = self.limit(pace);
        match tokio::time::timeout(limit + Duration::from_millis(500), call).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) if expired(&status) => Err(self.too_late(pace).into()),
            Ok(Err(status)) => Err(self.explain(&status).into()),
            Err(_) => Err(self.too_late(pace).into()),
        }
    }

    /// What a status means to the person at the terminal.
    pub(crate) fn explain(&self, status: &Status) -> Fault {
        if !status.details().is_empty() {
            return Fault::from_status(status);
        }
        if let Some(fault) = trouble::with_tls(status, &self.whom(), &self.url, self.expires_usec) {
            return fault;
        }
        if let Some(cause) = NotConnected::behind(status) {
            return self.no_connection(cause);
        }
        let fault = Fault::from_status(status);
        match fault.kind() {
            FaultKind::Unreachable if fault.hint.is_empty() => fault.hint(self.advice()),
            _ => fault,
        }
    }

    fn no_connection(&self, cause: &NotConnected) -> Fault {
        let what = format!("cannot reach {}: {}", self.whom(), trouble::plain(&cause.cause));
        Fault::new(FaultKind::Unreachable, what).hint(self.advice())
    }

    fn too_late(&self, pace: Pace) -> Fault {
        let limit = humantime::format_duration(self.limit(pace));
        let what = format!("no answer from {} within {limit}", self.whom());
        match pace {
            // It may have happened, and the general hint says so.
            Pace::Act => Fault::new(FaultKind::Unknown, what),
            _ => Fault::new(FaultKind::Unreachable, what).hint(self.advice()),
        }
    }

    /// Whether it goes straight to an agent.
    pub(crate) fn is_direct(&self) -> bool {
        matches!(self.peer, Peer::Agent(..))
    }

    pub(crate) fn whom(&self) -> String {
        match &self.peer {
            Peer::Controller(address) => format!("the controller at {address}"),
            Peer::Agent(name, address) if name == address.as_str() => format!("the agent at {address}"),
            Peer::Agent(name, address) => format!("the agent of {name} at {address}"),
        }
    }

    fn advice(&self) -> String {
        match &self.peer {
            Peer::Controller(address) => format!(
                "see that hms-controller runs on {}; meanwhile `--direct HOST` reaches a host without it",
                address.host()
            ),
            Peer::Agent(..) => "see that the host is up and hms-agent runs on it".into(),
        }
    }
}

/// Whether the deadline has passed: an expired `grpc-timeout` comes as "cancelled".
fn expired(status: &Status) -> bool {
    status.details().is_empty()
        && match status.code() {
            tonic::Code::Cancelled => status.message().contains("Timeout expired"),
            code => code == tonic::Code::DeadlineExceeded,
        }
}
