//! The gate inside the process: generated clients whose calls pass it like all others.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::Body;
use futures_util::FutureExt as _;
use hms_proto::{
    HOST_KEY,
    controller::v1::{
        account_service_client::AccountServiceClient, app_service_client::AppServiceClient,
        audit_service_client::AuditServiceClient, deployment_service_client::DeploymentServiceClient,
        fleet_service_client::FleetServiceClient, job_service_client::JobServiceClient,
        nginx_history_service_client::NginxHistoryServiceClient, script_service_client::ScriptServiceClient,
        secret_service_client::SecretServiceClient, session_service_client::SessionServiceClient,
        token_service_client::TokenServiceClient, user_service_client::UserServiceClient,
    },
    host::v1::{
        app_service_client as host_app, job_service_client as host_job, log_service_client::LogServiceClient,
        nginx_service_client::NginxServiceClient, script_service_client as host_script,
        unit_service_client::UnitServiceClient,
    },
    names::HostName,
};
use http::{Request, Response};
use tower::Service;

use super::Gate;
use crate::auth::Caller;

impl Gate {
    /// Units of a host, on behalf of somebody.
    pub(crate) fn units(&self, caller: &Caller, host: &HostName) -> UnitServiceClient<Local> {
        UnitServiceClient::new(self.local(caller, Some(host)))
    }

    /// Logs of a host, on behalf of somebody.
    pub(crate) fn logs(&self, caller: &Caller, host: &HostName) -> LogServiceClient<Local> {
        LogServiceClient::new(self.local(caller, Some(host)))
    }

    /// Jobs of a host, on behalf of somebody.
    pub(crate) fn host_jobs(&self, caller: &Caller, host: &HostName) -> host_job::JobServiceClient<Local> {
        host_job::JobServiceClient::new(self.local(caller, Some(host)))
    }

    /// Scripts of a host, on behalf of somebody.
    pub(crate) fn host_scripts(
        &self,
        caller: &Caller,
        host: &HostName,
    ) -> host_script::ScriptServiceClient<Local> {
        host_script::ScriptServiceClient::new(self.local(caller, Some(host)))
    }

    /// Runs, jobs and schedules, on behalf of somebody.
    pub(crate) fn jobs(&self, caller: &Caller) -> JobServiceClient<Local> {
        JobServiceClient::new(self.local(caller, None))
    }

    /// The scripts of the installation, on behalf of somebody.
    pub(crate) fn scripts(&self, caller: &Caller) -> ScriptServiceClient<Local> {
        ScriptServiceClient::new(self.local(caller, None))
    }

    /// nginx of a host, on behalf of somebody.
    pub(crate) fn nginx(&self, caller: &Caller, host: &HostName) -> NginxServiceClient<Local> {
        NginxServiceClient::new(self.local(caller, Some(host)))
    }

    /// The history of nginx, on behalf of somebody.
    pub(crate) fn nginx_history(&self, caller: &Caller) -> NginxHistoryServiceClient<Local> {
        NginxHistoryServiceClient::new(self.local(caller, None))
    }

    /// The fleet, on behalf of somebody.
    pub(crate) fn fleet(&self, caller: &Caller) -> FleetServiceClient<Local> {
        FleetServiceClient::new(self.local(caller, None))
    }

    /// The apps, on behalf of somebody.
    pub(crate) fn apps(&self, caller: &Caller) -> AppServiceClient<Local> {
        AppServiceClient::new(self.local(caller, None))
    }

    /// The audit, on behalf of somebody.
    pub(crate) fn audit(&self, caller: &Caller) -> AuditServiceClient<Local> {
        AuditServiceClient::new(self.local(caller, None))
    }

    /// Somebody's own sessions.
    pub(crate) fn sessions(&self, caller: &Caller) -> SessionServiceClient<Local> {
        SessionServiceClient::new(self.local(caller, None))
    }

    /// Somebody's own account.
    pub(crate) fn account(&self, caller: &Caller) -> AccountServiceClient<Local> {
        AccountServiceClient::new(self.local(caller, None))
    }

    /// Accounts, on behalf of somebody.
    pub(crate) fn users(&self, caller: &Caller) -> UserServiceClient<Local> {
        UserServiceClient::new(self.local(caller, None))
    }

    /// Somebody's own tokens.
    pub(crate) fn tokens(&self, caller: &Caller) -> TokenServiceClient<Local> {
        TokenServiceClient::new(self.local(caller, None))
    }

    /// Apps of a host, for looks and what people may do there themselves.
    pub(crate) fn host_apps(&self, caller: &Caller, host: &HostName) -> host_app::AppServiceClient<Local> {
        host_app::AppServiceClient::new(self.local(caller, Some(host)))
    }

    /// Apps of a host, for what only the controller may ask for, on behalf of somebody whose own call was authorised.
    pub(crate) fn work_on_apps(&self, caller: &Caller, host: &HostName) -> host_app::AppServiceClient<Local> {
        host_app::AppServiceClient::new(Local { authorised: true, ..self.local(caller, Some(host)) })
    }

    /// Deployments, on behalf of somebody.
    pub(crate) fn deployments(&self, caller: &Caller) -> DeploymentServiceClient<Local> {
        DeploymentServiceClient::new(self.local(caller, None))
    }

    /// Secrets of apps, on behalf of somebody.
    pub(crate) fn secrets(&self, caller: &Caller) -> SecretServiceClient<Local> {
        SecretServiceClient::new(self.local(caller, None))
    }

    fn local(&self, caller: &Caller, host: Option<&HostName>) -> Local {
        Local { gate: self.clone(), caller: caller.clone(), host: host.cloned(), authorised: false }
    }
}

/// Marks a call that the controller makes after it has authorised one of the caller's own. Only [`Local`] sets it.
#[derive(Clone, Copy)]
pub(super) struct Authorised;

/// The gate as a generated client's transport, inside the process.
#[derive(Clone)]
pub(crate) struct Local {
    gate: Gate,
    caller: Caller,
    host: Option<HostName>,
    authorised: bool,
}

impl Service<Request<tonic::body::Body>> for Local {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<tonic::body::Body>) -> Self::Future {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(self.caller.clone());
        if self.authorised {
            request.extensions_mut().insert(Authorised);
        }
        if let Some(host) = &self.host {
            let value = http::HeaderValue::from_str(host.as_str()).expect("a host name is ASCII");
            request.headers_mut().insert(HOST_KEY, value);
        }
        self.gate.clone().pass(request).map(Ok).boxed()
    }
}
