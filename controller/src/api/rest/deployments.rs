//! `/api/apps/{app}/deploy` and its siblings, `/api/deployments`: work on apps, and what became of it.

use axum::{
    Json,
    extract::{
        Path, Query, State as Shared,
        rejection::{PathRejection, QueryRejection},
    },
    response::{IntoResponse as _, Response},
};
use hms_proto::{
    controller::v1::{
        ApplyRequest, CancelRequest, DeployRequest, Deployment, GetDeploymentRequest, ListDeploymentsRequest,
        ListDeploymentsResponse, PlanRequest, ReleasesRequest, RollbackRequest,
    },
    host::v1::{AppOnHost, AppPlan, JobKind, RestartKind},
};
use http::{StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    bearer::Bearer,
    json::MaybeBody,
    problem::{Details, Problem},
    query,
    shape::{self, Page},
};
use crate::{auth::Caller, state::State};

/// How an app is brought to new code and new values.
#[derive(Debug, Default, Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Restart {
    /// The mildest that does what is needed.
    #[default]
    Auto,
    None,
    Phased,
    Hot,
    Socket,
    Full,
}

impl From<Restart> for i32 {
    fn from(restart: Restart) -> Self {
        let kind = match restart {
            Restart::Auto => RestartKind::Auto,
            Restart::None => RestartKind::None,
            Restart::Phased => RestartKind::Phased,
            Restart::Hot => RestartKind::Hot,
            Restart::Socket => RestartKind::Socket,
            Restart::Full => RestartKind::Full,
        };
        kind.into()
    }
}

/// Work on apps.
#[derive(Debug, Default, Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Deploy,
    #[default]
    Apply,
    Rollback,
    Remove,
}

/// What to deploy.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Deploy {
    /// Empty: that of the app.
    branch: String,
    /// The whole commit id. Empty: what the branch points at.
    commit: String,
    /// A UUID of your own: asking twice with it begins one deployment. Empty: a new one.
    id: String,
    restart: Restart,
    /// Put back what was changed by hand on the host. Without it, such changes refuse the deployment.
    revert_drift: bool,
}

/// How settings and secrets are brought to the host.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Apply {
    /// A UUID of your own: asking twice with it begins one deployment. Empty: a new one.
    id: String,
    restart: Restart,
    /// Put back what was changed by hand on the host.
    revert_drift: bool,
}

/// Where to go back to.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Back {
    /// Empty: the last healthy one before the live one.
    release: String,
    /// Go back over migrations that may have destroyed what the release needs.
    accept_destructive: bool,
    /// A UUID of your own: asking twice with it begins one rollback. Empty: a new one.
    id: String,
    restart: Restart,
    /// Put back what was changed by hand on the host.
    revert_drift: bool,
}

/// It has begun, or was under way already: its job is where it is followed.
fn begun(deployment: Deployment) -> Response {
    let place = [(header::LOCATION, format!("/api/jobs/{}", deployment.id))];
    (StatusCode::ACCEPTED, place, Json(deployment)).into_response()
}

/// Makes a release from a branch, and goes live with it. While something works on the app, that is the answer (`joined`).
/// The body may be left out.
#[utoipa::path(post, path = "/api/apps/{app}/deploy", tag = "deployments", params(("app" = String, Path, description = "Key of the app")), security(("bearer" = [])), request_body = Option<Deploy>,
    responses((status = 202, body = Deployment, description = "It has begun", headers(("Location" = String, description = "The job: its state, and its output by offset"))), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(super) async fn deploy(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    key: Result<Path<String>, PathRejection>,
    MaybeBody(wanted): MaybeBody<Deploy>,
) -> Result<Response, Problem> {
    let Deploy { branch, commit, id, restart, revert_drift } = wanted;
    let request = DeployRequest { key: key?.0, branch, commit, id, restart: restart.into(), revert_drift };
    let deployment = state.gate.deployments(&caller).deploy(request).await;
    Ok(begun(deployment.map_err(Problem::of(&caller))?.into_inner()))
}

/// Brings settings and secrets to the host, with the release that is live. The body may be left out.
#[utoipa::path(post, path = "/api/apps/{app}/apply", tag = "deployments", params(("app" = String, Path, description = "Key of the app")), security(("bearer" = [])), request_body = Option<Apply>,
    responses((status = 202, body = Deployment, description = "It has begun", headers(("Location" = String, description = "The job: its state, and its output by offset"))), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(super) async fn apply(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    key: Result<Path<String>, PathRejection>,
    MaybeBody(wanted): MaybeBody<Apply>,
) -> Result<Response, Problem> {
    let Apply { id, restart, revert_drift } = wanted;
    let request = ApplyRequest { key: key?.0, id, restart: restart.into(), revert_drift };
    let deployment = state.gate.deployments(&caller).apply(request).await;
    Ok(begun(deployment.map_err(Problem::of(&caller))?.into_inner()))
}

/// Goes back to an earlier release: its code, its secrets, its unit and its site. The body may be left out.
#[utoipa::path(post, path = "/api/apps/{app}/rollback", tag = "deployments", params(("app" = String, Path, description = "Key of the app")), security(("bearer" = [])), request_body = Option<Back>,
    responses((status = 202, body = Deployment, description = "It has begun", headers(("Location" = String, description = "The job: its state, and its output by offset"))), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(super) async fn rollback(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    key: Result<Path<String>, PathRejection>,
    MaybeBody(wanted): MaybeBody<Back>,
) -> Result<Response, Problem> {
    let Back { release, accept_destructive, id, restart, revert_drift } = wanted;
    let request = RollbackRequest {
        key: key?.0,
        release,
        accept_destructive,
        id,
        restart: restart.into(),
        revert_drift,
    };
    let deployment = state.gate.deployments(&caller).rollback(request).await;
    Ok(begun(deployment.map_err(Problem::of(&caller))?.into_inner()))
}

#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct Planned {
    /// deploy, apply, rollback or remove. Default: apply.
    #[param(required = false, inline)]
    kind: Kind,
    /// rollback: where to. Default: the last healthy one before the live one.
    #[param(required = false)]
    release: String,
    /// The wanted kind of restart. Default: auto.
    #[param(required = false)]
    restart: Restart,
}

/// What work on an app would change on its host, as diffs, and how it would be restarted. Changes nothing.
#[utoipa::path(get, path = "/api/apps/{app}/plan", tag = "deployments", params(("app" = String, Path, description = "Key of the app"), Planned), security(("bearer" = [])),
    responses((status = 200, body = AppPlan), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(super) async fn plan(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    key: Result<Path<String>, PathRejection>,
    planned: Result<Query<Planned>, QueryRejection>,
) -> Result<Json<AppPlan>, Problem> {
    let Planned { kind, release, restart } = planned.map_err(Problem::of(&caller))?.0;
    let kind = match kind {
        Kind::Deploy => JobKind::Deploy,
        Kind::Apply => JobKind::Apply,
        Kind::Rollback => JobKind::Rollback,
        Kind::Remove => JobKind::Remove,
    };
    let request = PlanRequest { key: key?.0, kind: kind.into(), release, restart: restart.into() };
    let plan = state.gate.deployments(&caller).plan(request).await;
    Ok(Json(plan.map_err(Problem::of(&caller))?.into_inner()))
}

/// What the app's host has of it now: its releases, and whether its process still has old secrets.
#[utoipa::path(get, path = "/api/apps/{app}/releases", tag = "deployments", params(("app" = String, Path, description = "Key of the app")), security(("bearer" = [])),
    responses((status = 200, body = AppOnHost), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(super) async fn releases(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    key: Result<Path<String>, PathRejection>,
) -> Result<Json<AppOnHost>, Problem> {
    let there = state.gate.deployments(&caller).releases(ReleasesRequest { key: key?.0 }).await;
    Ok(Json(there.map_err(Problem::of(&caller))?.into_inner()))
}

#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct Part {
    /// 1 to 200. Default 50.
    #[serde(deserialize_with = "query::up_to::<200, _>")]
    #[param(required = false, minimum = 1, maximum = 200)]
    limit: u32,
    /// `next_cursor` of the page before.
    #[param(required = false)]
    cursor: String,
}

async fn page(
    state: &State,
    caller: &Caller,
    key: String,
    uri: shape::Asked,
    page: Result<Query<Part>, QueryRejection>,
) -> Result<Response, Problem> {
    let Part { limit, cursor } = page.map_err(Problem::of(caller))?.0;
    let list = state.gate.deployments(caller).list(ListDeploymentsRequest { key, limit, cursor }).await;
    let body = list.map_err(Problem::of(caller))?.into_inner();
    Ok(Page { next: body.next_cursor.clone(), body, uri: uri.0 }.into_response())
}

/// The deployments of an app, newest first, page by page. Also of one that is gone.
#[utoipa::path(get, path = "/api/apps/{app}/deployments", tag = "deployments", params(("app" = String, Path, description = "Key of the app"), Part), security(("bearer" = [])),
    responses((status = 200, body = ListDeploymentsResponse), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(super) async fn of_app(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    key: Result<Path<String>, PathRejection>,
    uri: shape::Asked,
    asked: Result<Query<Part>, QueryRejection>,
) -> Result<Response, Problem> {
    page(&state, &caller, key?.0, uri, asked).await
}

/// The deployments of all apps, newest first, page by page.
#[utoipa::path(get, path = "/api/deployments", tag = "deployments", params(Part), security(("bearer" = [])),
    responses((status = 200, body = ListDeploymentsResponse), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(super) async fn list(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    uri: shape::Asked,
    asked: Result<Query<Part>, QueryRejection>,
) -> Result<Response, Problem> {
    page(&state, &caller, String::new(), uri, asked).await
}

/// One deployment with its steps. What it prints is the output of the job with the same id.
#[utoipa::path(get, path = "/api/deployments/{id}", tag = "deployments", params(("id" = String, Path, description = "Id of the deployment")), security(("bearer" = [])),
    responses((status = 200, body = Deployment), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(super) async fn get(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Deployment>, Problem> {
    one(&state, &caller, id?.0).await
}

async fn one(state: &State, caller: &Caller, id: String) -> Result<Json<Deployment>, Problem> {
    let deployment = state.gate.deployments(caller).get(GetDeploymentRequest { id }).await;
    Ok(Json(deployment.map_err(Problem::of(caller))?.into_inner()))
}

/// Ends a deployment: what it changed is put back. The answer does not wait for that.
#[utoipa::path(post, path = "/api/deployments/{id}/cancel", tag = "deployments", params(("id" = String, Path, description = "Id of the deployment")), security(("bearer" = [])),
    responses((status = 200, body = Deployment), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(super) async fn cancel(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Deployment>, Problem> {
    let id = id?.0;
    // Nothing else is canceled under this address.
    let _ = one(&state, &caller, id.clone()).await?;
    state.gate.jobs(&caller).cancel(CancelRequest { id: id.clone() }).await.map_err(Problem::of(&caller))?;
    one(&state, &caller, id).await
}
