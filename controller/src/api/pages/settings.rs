//! `/settings`: the user's own sessions.

use axum::{
    extract::{Path, State as Shared},
    http::HeaderMap,
    response::{Html, IntoResponse as _, Redirect, Response},
};
use hms_proto::controller::v1::{ListSessionsRequest, RevokeSessionRequest, Session as Login};
use hms_web::{
    frame::Place,
    pages::SettingsPage,
    parts::{SessionList, SessionRow},
};

use super::{Problem, frame, page, session::Session, wants_fragment};
use crate::{auth::Caller, state::State};

pub(super) async fn show(Shared(state): Shared<State>, session: Session) -> Result<Response, Problem> {
    Ok(page(&SettingsPage {
        frame: frame(&state, &session.caller, Place::Settings, "Settings").await,
        sessions: list(&state, &session.caller).await?,
        version: env!("CARGO_PKG_VERSION").into(),
    }))
}

pub(super) async fn revoke(
    Shared(state): Shared<State>,
    session: Session,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    state.gate.sessions(&session.caller).revoke(RevokeSessionRequest { id }).await?;
    if !wants_fragment(&headers) {
        return Ok(Redirect::to("/settings").into_response());
    }
    let list = list(&state, &session.caller).await?;
    Ok(Html(list.fragment(super::view(&session.caller)).html).into_response())
}

async fn list(state: &State, caller: &Caller) -> Result<SessionList, Problem> {
    let sessions = state.gate.sessions(caller).list(ListSessionsRequest {}).await?.into_inner().sessions;
    Ok(SessionList { rows: sessions.into_iter().map(row).collect() })
}

fn row(login: Login) -> SessionRow {
    SessionRow {
        id: login.id,
        kind: login.kind,
        created_us: login.created_usec,
        seen_us: login.last_seen_usec,
        expires_us: login.expires_usec,
        address: login.address,
        user_agent: login.user_agent,
        current: login.current,
    }
}
