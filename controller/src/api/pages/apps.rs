//! `POST /apps/{key}/{verb}`: start, stop and restart, with the real result in the app's row.

use axum::{
    extract::{Path, State as Shared},
    http::HeaderMap,
    response::{Html, IntoResponse as _, Redirect, Response},
};
use hms_proto::{fault::Fault, host::v1::UnitActionRequest, names::AppKey};

use super::{Problem, nothing_here, session::Session, view, wants_fragment};
use crate::{api::grpc, auth::Caller, state::State};

pub(super) async fn act(
    Shared(state): Shared<State>,
    Path((key, verb)): Path<(String, String)>,
    session: Session,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if !["start", "stop", "restart"].contains(&verb.as_str()) {
        return Ok(nothing_here());
    }
    let key = AppKey::try_from(key.as_str())?;
    let result = perform(&state, &session.caller, &key, &verb).await;
    if !wants_fragment(&headers) {
        return match result {
            Ok(_) => Ok(Redirect::to(&format!("/?done={}", session.caller.request_id)).into_response()),
            Err(fault) => Err(Problem::of(fault, &session.caller)),
        };
    }
    let app = grpc::apps::find(state.fleet.seen_by(&session.caller), &key)?;
    let mut row = view::app_row(&state.fleet, &app);
    row.outcome = Some(view::outcome(&verb, result.as_ref().copied(), session.caller.request_id));
    Ok(Html(row.fragment(super::view(&session.caller)).html).into_response())
}

/// Does it, and says how long it took in milliseconds.
async fn perform(state: &State, caller: &Caller, key: &AppKey, verb: &str) -> Result<u32, Fault> {
    let app = grpc::apps::find(state.fleet.seen_by(caller), key)?;
    let mut units = state.gate.units(caller, &grpc::apps::host_of(&app)?);
    let request = UnitActionRequest { unit: app.unit_name };
    let done = match verb {
        "start" => units.start(request).await,
        "stop" => units.stop(request).await,
        _ => units.restart(request).await,
    };
    done.map(|response| response.into_inner().took_ms).map_err(|status| Fault::from_status(&status))
}
