//! `/api/runs` and `/api/warnings`: what runs and ran, and what checks found.

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
        CancelRequest, GetRunRequest, ListRunsRequest, ListRunsResponse, ListWarningsRequest,
        ListWarningsResponse, Run,
    },
    names::{HostName, ScriptName},
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    bearer::Bearer,
    problem::{Details, Problem},
    query,
    shape::{self, Page},
};
use crate::state::State;

#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// Only of this script.
    #[serde(deserialize_with = "query::named::<ScriptName, _>")]
    #[param(required = false)]
    script: String,
    /// Only on this host.
    #[serde(deserialize_with = "query::named::<HostName, _>")]
    #[param(required = false)]
    host: String,
    /// Only by this person.
    #[param(required = false)]
    actor: String,
    /// Only with this state: queued, running, unknown, succeeded, failed, canceled, timed_out, lost.
    #[param(required = false)]
    state: String,
    /// Only of this schedule.
    #[param(required = false)]
    schedule_id: String,
    /// 1 to 200. Default 50.
    #[serde(deserialize_with = "query::up_to::<200, _>")]
    #[param(required = false, minimum = 1, maximum = 200)]
    limit: u32,
    /// `next_cursor` of the page before.
    #[param(required = false)]
    cursor: String,
}

/// Runs without their jobs, newest first, page by page.
#[utoipa::path(get, path = "/api/runs", tag = "runs", params(Asked), security(("bearer" = [])),
    responses((status = 200, body = ListRunsResponse), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(super) async fn list(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    uri: shape::Asked,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Problem> {
    let Asked { script, host, actor, state: only, schedule_id, limit, cursor } =
        asked.map_err(Problem::of(&caller))?.0;
    let request = ListRunsRequest { script, host, actor, state: only, schedule_id, limit, cursor };
    let runs = state.gate.jobs(&caller).list_runs(request).await;
    let body = runs.map_err(Problem::of(&caller))?.into_inner();
    Ok(Page { next: body.next_cursor.clone(), body, uri: uri.0 }.into_response())
}

/// One run with its jobs, one for each host.
#[utoipa::path(get, path = "/api/runs/{id}", tag = "runs", params(("id" = String, Path, description = "Id of the run")), security(("bearer" = [])),
    responses((status = 200, body = Run), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(super) async fn get(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Run>, Problem> {
    let run = state.gate.jobs(&caller).get_run(GetRunRequest { id: id?.0 }).await;
    Ok(Json(run.map_err(Problem::of(&caller))?.into_inner()))
}

/// Ends a run: what waits is not started, what runs is ended. The answer does not wait for that.
#[utoipa::path(post, path = "/api/runs/{id}/cancel", tag = "runs", params(("id" = String, Path, description = "Id of the run, or of one of its jobs")), security(("bearer" = [])),
    responses((status = 200, body = Run), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(super) async fn cancel(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Run>, Problem> {
    let run = state.gate.jobs(&caller).cancel(CancelRequest { id: id?.0 }).await;
    Ok(Json(run.map_err(Problem::of(&caller))?.into_inner()))
}

#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Only of this host.
    #[serde(deserialize_with = "query::named::<HostName, _>")]
    #[param(required = false)]
    host: String,
}

/// What checks found when they last ran.
#[utoipa::path(get, path = "/api/warnings", tag = "runs", params(Which), security(("bearer" = [])),
    responses((status = 200, body = ListWarningsResponse), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(super) async fn warnings(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Json<ListWarningsResponse>, Problem> {
    let host = which.map_err(Problem::of(&caller))?.0.host;
    let warnings = state.gate.jobs(&caller).list_warnings(ListWarningsRequest { host }).await;
    Ok(Json(warnings.map_err(Problem::of(&caller))?.into_inner()))
}
