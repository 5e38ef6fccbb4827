//! `/api/schedules`: scripts that run by themselves.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{Path, State as Shared, rejection::PathRejection},
    response::{IntoResponse, Response},
};
use hms_proto::controller::v1::{
    AddScheduleRequest, ListSchedulesRequest, ListSchedulesResponse, PauseScheduleRequest,
    RemoveScheduleRequest, Schedule,
};
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    bearer::Bearer,
    json::Body,
    problem::{Details, Problem},
    scripts::{Value, Where, texts},
};
use crate::{auth::Caller, state::State};

/// What to run, where and when.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Planned {
    script: String,
    target: Where,
    /// Five fields of cron, in UTC.
    cron: String,
    #[serde(default)]
    parameters: BTreeMap<String, Value>,
    /// On how many hosts at a time; 0: 10.
    #[serde(default)]
    batch: u32,
}

/// All schedules with their next times.
#[utoipa::path(get, path = "/api/schedules", tag = "schedules", security(("bearer" = [])),
    responses((status = 200, body = ListSchedulesResponse), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(super) async fn list(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
) -> Result<Json<ListSchedulesResponse>, Problem> {
    let schedules = state.gate.jobs(&caller).list_schedules(ListSchedulesRequest {}).await;
    Ok(Json(schedules.map_err(Problem::of(&caller))?.into_inner()))
}

/// Adds a schedule.
#[utoipa::path(post, path = "/api/schedules", tag = "schedules", security(("bearer" = [])), request_body = Planned,
    responses((status = 201, body = Schedule), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(super) async fn add(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    Body(planned): Body<Planned>,
) -> Result<Response, Problem> {
    let Planned { script, target, cron, parameters, batch } = planned;
    let request = AddScheduleRequest {
        script,
        target: Some(target.into()),
        parameters: texts(parameters),
        cron,
        batch,
    };
    let schedule = state.gate.jobs(&caller).add_schedule(request).await;
    let schedule = schedule.map_err(Problem::of(&caller))?.into_inner();
    Ok((StatusCode::CREATED, Json(schedule)).into_response())
}

/// Pauses a schedule.
#[utoipa::path(post, path = "/api/schedules/{id}/pause", tag = "schedules", params(("id" = String, Path, description = "Id of the schedule")), security(("bearer" = [])),
    responses((status = 200, body = Schedule), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(super) async fn pause(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Schedule>, Problem> {
    set(&state, &caller, id?.0, true).await
}

/// Lets a paused schedule go on.
#[utoipa::path(post, path = "/api/schedules/{id}/resume", tag = "schedules", params(("id" = String, Path, description = "Id of the schedule")), security(("bearer" = [])),
    responses((status = 200, body = Schedule), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(super) async fn resume(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Schedule>, Problem> {
    set(&state, &caller, id?.0, false).await
}

async fn set(state: &State, caller: &Caller, id: String, paused: bool) -> Result<Json<Schedule>, Problem> {
    let schedule = state.gate.jobs(caller).pause_schedule(PauseScheduleRequest { id, paused }).await;
    Ok(Json(schedule.map_err(Problem::of(caller))?.into_inner()))
}

/// Removes a schedule. Runs that it began stay.
#[utoipa::path(delete, path = "/api/schedules/{id}", tag = "schedules", params(("id" = String, Path, description = "Id of the schedule")), security(("bearer" = [])),
    responses((status = 204), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(super) async fn remove(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    id: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let removed = state.gate.jobs(&caller).remove_schedule(RemoveScheduleRequest { id: id?.0 }).await;
    removed.map_err(Problem::of(&caller))?;
    Ok(StatusCode::NO_CONTENT)
}
