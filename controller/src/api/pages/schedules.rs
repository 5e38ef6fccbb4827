//! `/schedules`: scripts that run by themselves.

use axum::{
    Form,
    extract::{Path, State as Shared},
    http::HeaderMap,
    response::{Html, IntoResponse as _, Redirect, Response},
};
use hms_proto::{
    controller::v1::{ListSchedulesRequest, PauseScheduleRequest, RemoveScheduleRequest},
    fault::Fault,
};
use hms_web::{
    frame::{Notice, Place, Tone},
    pages::SchedulesPage,
    parts::ScheduleList,
};
use serde::Deserialize;

use super::{Problem, frame, page, session::Session, view_jobs, wants_fragment};
use crate::{auth::Caller, state::State};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pause {
    paused: bool,
}

pub(super) async fn list(Shared(state): Shared<State>, session: Session) -> Result<Response, Problem> {
    shown(&state, &session.caller, None).await
}

pub(super) async fn pause(
    Shared(state): Shared<State>,
    session: Session,
    headers: HeaderMap,
    Path(id): Path<String>,
    Form(asked): Form<Pause>,
) -> Result<Response, Problem> {
    let request = PauseScheduleRequest { id, paused: asked.paused };
    let done = state.gate.jobs(&session.caller).pause_schedule(request).await;
    answer(&state, &session.caller, &headers, done.err().map(|status| Fault::from_status(&status))).await
}

pub(super) async fn remove(
    Shared(state): Shared<State>,
    session: Session,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let done = state.gate.jobs(&session.caller).remove_schedule(RemoveScheduleRequest { id }).await;
    answer(&state, &session.caller, &headers, done.err().map(|status| Fault::from_status(&status))).await
}

async fn rows(state: &State, caller: &Caller, fault: Option<Fault>) -> Result<ScheduleList, Problem> {
    let schedules =
        state.gate.jobs(caller).list_schedules(ListSchedulesRequest {}).await?.into_inner().schedules;
    let error =
        fault.map(|fault| Notice { tone: Tone::Bad, hint: fault.next().to_owned(), message: fault.message });
    Ok(ScheduleList { rows: schedules.iter().map(view_jobs::schedule_row).collect(), error })
}

async fn answer(
    state: &State,
    caller: &Caller,
    headers: &HeaderMap,
    fault: Option<Fault>,
) -> Result<Response, Problem> {
    match (wants_fragment(headers), &fault) {
        (true, _) => Ok(Html(rows(state, caller, fault).await?.answer(super::view(caller))).into_response()),
        (false, None) => Ok(Redirect::to("/schedules").into_response()),
        (false, Some(_)) => shown(state, caller, fault).await,
    }
}

async fn shown(state: &State, caller: &Caller, fault: Option<Fault>) -> Result<Response, Problem> {
    Ok(page(&SchedulesPage {
        frame: frame(state, caller, Place::Scripts, "Schedules").await,
        schedules: rows(state, caller, fault).await?,
    }))
}
