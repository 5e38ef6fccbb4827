//! `/api/apps`: the apps, and starting, stopping and restarting them.

use axum::{
    Json,
    extract::{Path, State as Shared, rejection::PathRejection},
    response::Response,
};
use hms_proto::{
    controller::v1::{App, GetAppRequest, ListAppsRequest, ListAppsResponse},
    fault::{Fault, FaultKind},
    host::v1::UnitActionRequest,
    names::AppKey,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    bearer::Bearer,
    problem::{Details, Problem},
    shape,
};
use crate::{api::grpc, auth::Caller, state::State};

/// What became of an action. A failed one is a problem with status 422.
#[derive(Serialize, ToSchema)]
pub(super) struct Done {
    /// The app afterwards.
    app: App,
    /// How long it took, in milliseconds.
    took_ms: u32,
    /// Finds the call in the audit and in the logs.
    request_id: String,
}

/// All apps with their live state.
#[utoipa::path(get, path = "/api/apps", tag = "apps", security(("bearer" = [])),
    responses((status = 200, body = ListAppsResponse, headers(("ETag" = String, description = "Of what is answered, for `If-None-Match`"))), (status = 304, description = "As it was"), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(super) async fn list(Shared(state): Shared<State>, Bearer(caller): Bearer) -> Result<Response, Problem> {
    let apps = state.gate.apps(&caller).list(ListAppsRequest {}).await;
    Ok(shape::tagged_by_content(&apps.map_err(Problem::of(&caller))?.into_inner()))
}

/// One app with its live state, what is deployed of it, and what works on it.
#[utoipa::path(get, path = "/api/apps/{app}", tag = "apps", params(("app" = String, Path, description = "Key of the app")), security(("bearer" = [])),
    responses((status = 200, body = App, headers(("ETag" = String, description = "Of what is answered, for `If-None-Match`"))), (status = 304, description = "As it was"), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(super) async fn get(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    key: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let app = state.gate.apps(&caller).get(GetAppRequest { key: key?.0 }).await;
    Ok(shape::tagged_by_content(&app.map_err(Problem::of(&caller))?.into_inner()))
}

/// Starts an app, and answers when it is up.
#[utoipa::path(post, path = "/api/apps/{app}/start", tag = "apps", params(("app" = String, Path, description = "Key of the app")), security(("bearer" = [])),
    responses((status = 200, body = Done), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(super) async fn start(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    key: Result<Path<String>, PathRejection>,
) -> Result<Json<Done>, Problem> {
    act(&state, &caller, &key?, Verb::Start).await.map(Json).map_err(Problem::of(&caller))
}

/// Stops an app.
#[utoipa::path(post, path = "/api/apps/{app}/stop", tag = "apps", params(("app" = String, Path, description = "Key of the app")), security(("bearer" = [])),
    responses((status = 200, body = Done), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(super) async fn stop(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    key: Result<Path<String>, PathRejection>,
) -> Result<Json<Done>, Problem> {
    act(&state, &caller, &key?, Verb::Stop).await.map(Json).map_err(Problem::of(&caller))
}

/// Restarts an app, and answers when it is up again.
#[utoipa::path(post, path = "/api/apps/{app}/restart", tag = "apps", params(("app" = String, Path, description = "Key of the app")), security(("bearer" = [])),
    responses((status = 200, body = Done), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(super) async fn restart(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    key: Result<Path<String>, PathRejection>,
) -> Result<Json<Done>, Problem> {
    act(&state, &caller, &key?, Verb::Restart).await.map(Json).map_err(Problem::of(&caller))
}

enum Verb {
    Start,
    Stop,
    Restart,
}

async fn act(state: &State, caller: &Caller, key: &str, verb: Verb) -> Result<Done, Fault> {
    let key = AppKey::try_from(key)?;
    let app = grpc::apps::find(state.fleet.seen_by(caller), &key)?;
    let mut units = state.gate.units(caller, &grpc::apps::host_of(&app)?);
    let request = UnitActionRequest { unit: app.unit_name };
    let done = match verb {
        Verb::Start => units.start(request).await,
        Verb::Stop => units.stop(request).await,
        Verb::Restart => units.restart(request).await,
    };
    let refused = |status: tonic::Status| match Fault::from_status(&status) {
        // The app is there; what runs it is not yet.
        fault if fault.kind() == FaultKind::NotFound => {
            let what = format!("{key} is not set up on its host yet");
            Fault::new(FaultKind::Conflict, what).hint("Deploy it first.")
        }
        fault => fault,
    };
    let took_ms = done.map_err(refused)?.into_inner().took_ms;
    Ok(Done {
        app: grpc::apps::find(state.fleet.seen_by(caller), &key)?,
        took_ms,
        request_id: caller.request_id.to_string(),
    })
}
