//! Deployments over gRPC. What is asked for is written down by `crate::apps`; `crate::jobs` does it.

use std::{pin::Pin, sync::Arc};

use futures_util::Stream;
use hms_proto::{
    controller::v1::{
        ApplyRequest, DeployRequest, Deployment, GetDeploymentRequest, ListDeploymentsRequest,
        ListDeploymentsResponse, PlanRequest, ReleasesRequest, RollbackRequest,
        deployment_service_server::DeploymentService,
    },
    fault::Fault,
    host::v1::{AppOnHost, AppPlan, JobKind},
};
use tonic::{Request, Response, Status};

use super::{apps::key, job_streams, session::caller_of};
use crate::{
    apps::{
        deploy::{self, Asked},
        host,
    },
    auth::Caller,
    db::{self, deployments::Wanted},
    state::Core,
};

/// Deployments on one page.
const PAGE: u32 = 50;
const LARGEST_PAGE: u32 = 200;

pub(super) struct Deployments(pub(super) Arc<Core>);

#[tonic::async_trait]
impl DeploymentService for Deployments {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<Deployment, Status>> + Send>>;

    async fn deploy(&self, request: Request<DeployRequest>) -> Result<Response<Deployment>, Status> {
        let caller = caller_of(&request)?.clone();
        let DeployRequest { key, branch, commit, id, restart, revert_drift } = request.into_inner();
        let wanted = Wanted { branch, commit, restart, revert_drift, ..Wanted::default() };
        let asked = Asked { key, id, kind: JobKind::Deploy, wanted };
        Ok(Response::new(deploy::begin(&self.0, asked, &caller).await?))
    }

    async fn apply(&self, request: Request<ApplyRequest>) -> Result<Response<Deployment>, Status> {
        let caller = caller_of(&request)?.clone();
        let ApplyRequest { key, id, restart, revert_drift } = request.into_inner();
        let wanted = Wanted { restart, revert_drift, ..Wanted::default() };
        let asked = Asked { key, id, kind: JobKind::Apply, wanted };
        Ok(Response::new(deploy::begin(&self.0, asked, &caller).await?))
    }

    async fn rollback(&self, request: Request<RollbackRequest>) -> Result<Response<Deployment>, Status> {
        let caller = caller_of(&request)?.clone();
        let RollbackRequest { key, release, accept_destructive, id, restart, revert_drift } =
            request.into_inner();
        let wanted = Wanted { release, accept_destructive, restart, revert_drift, ..Wanted::default() };
        let asked = Asked { key, id, kind: JobKind::Rollback, wanted };
        Ok(Response::new(deploy::begin(&self.0, asked, &caller).await?))
    }

    async fn plan(&self, request: Request<PlanRequest>) -> Result<Response<AppPlan>, Status> {
        Ok(Response::new(host::plan(&self.0, request.into_inner()).await?))
    }

    async fn get(&self, request: Request<GetDeploymentRequest>) -> Result<Response<Deployment>, Status> {
        let id = deploy::id(&request.get_ref().id)?;
        Ok(Response::new(deploy::get(&self.0, id).await?.to_proto()))
    }

    async fn list(
        &self,
        request: Request<ListDeploymentsRequest>,
    ) -> Result<Response<ListDeploymentsResponse>, Status> {
        let caller = caller_of(&request)?;
        Ok(Response::new(list(&self.0, request.get_ref(), caller).await?))
    }

    async fn watch(
        &self,
        request: Request<GetDeploymentRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let id = deploy::id(&request.get_ref().id)?;
        deploy::get(&self.0, id).await?;
        Ok(Response::new(Box::pin(job_streams::watch_deployment(self.0.clone(), id))))
    }

    async fn releases(&self, request: Request<ReleasesRequest>) -> Result<Response<AppOnHost>, Status> {
        Ok(Response::new(host::releases(&self.0, &key(&request.get_ref().key)?).await?))
    }
}

async fn list(
    core: &Core,
    asked: &ListDeploymentsRequest,
    caller: &Caller,
) -> Result<ListDeploymentsResponse, Fault> {
    // Also of an app that is gone.
    if !asked.key.is_empty() {
        key(&asked.key)?;
    }
    let limit = match asked.limit {
        0 => PAGE,
        n if n <= LARGEST_PAGE => n,
        n => return Err(Fault::invalid(format!("limit {n} is more than {LARGEST_PAGE}"))),
    };
    let after = match asked.cursor.as_str() {
        "" => None,
        text => Some(text.parse().map_err(|why: &str| Fault::invalid(why))?),
    };
    let (rows, next) =
        db::deployments::list(&core.db, &asked.key, &caller.scope, limit, after.as_ref()).await?;
    Ok(ListDeploymentsResponse {
        deployments: rows.iter().map(db::deployments::Deployment::to_proto).collect(),
        next_cursor: next.map(|cursor| cursor.to_string()).unwrap_or_default(),
    })
}
