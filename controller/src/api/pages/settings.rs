//! `/settings`: the reader's own account, sessions and tokens.

use axum::{
    extract::{Path, State as Shared},
    http::HeaderMap,
    response::{Html, IntoResponse as _, Redirect, Response},
};
use hms_proto::controller::v1::{
    GetAccountRequest, ListSessionsRequest, ListTokensRequest, RevokeSessionRequest,
};
use hms_web::{
    frame::Place,
    pages::{OwnAccount, SettingsPage},
    parts::{SecondFactor, SessionList, TokenList},
};

use super::{Problem, frame, page, session::Session, view_people, wants_fragment};
use crate::{auth::Caller, auth::password, state::State};

pub(super) async fn show(Shared(state): Shared<State>, session: Session) -> Result<Response, Problem> {
    let (account, factor) = account(&state, &session.caller).await?;
    whole(&state, &session.caller, account, factor).await
}

/// The page, with what became of a form on it.
pub(super) async fn whole(
    state: &State,
    caller: &Caller,
    account: OwnAccount,
    factor: SecondFactor,
) -> Result<Response, Problem> {
    let mut frame = frame(state, caller, Place::Settings, "Settings").await;
    frame.events = "/events?view=account".into();
    Ok(page(&SettingsPage {
        frame,
        account,
        factor,
        sessions: list(state, caller).await?,
        tokens: tokens(state, caller).await?,
        version: env!("CARGO_PKG_VERSION").into(),
    }))
}

/// Who the reader is.
pub(super) async fn account(state: &State, caller: &Caller) -> Result<(OwnAccount, SecondFactor), Problem> {
    let account = state.gate.account(caller).get(GetAccountRequest {}).await?.into_inner();
    let own = OwnAccount {
        scope: view_people::scope(account.scope),
        created_us: account.created_usec,
        password_us: account.password_changed_usec,
        shortest: if account.totp { password::SHORTEST_OF_TWO } else { password::SHORTEST },
        notice: None,
    };
    let factor =
        SecondFactor { on: account.totp, codes_left: account.recovery_codes_left, ..SecondFactor::default() };
    Ok((own, factor))
}

pub(super) async fn revoke(
    Shared(state): Shared<State>,
    session: Session,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    state.gate.sessions(&session.caller).revoke(RevokeSessionRequest { id }).await?;
    answer(&state, &session.caller, &headers).await
}

pub(super) async fn end_others(
    Shared(state): Shared<State>,
    session: Session,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut sessions = state.gate.sessions(&session.caller);
    let all = sessions.list(ListSessionsRequest {}).await?.into_inner().sessions;
    for other in all.into_iter().filter(|other| !other.current) {
        sessions.revoke(RevokeSessionRequest { id: other.id }).await?;
    }
    answer(&state, &session.caller, &headers).await
}

async fn answer(state: &State, caller: &Caller, headers: &HeaderMap) -> Result<Response, Problem> {
    if !wants_fragment(headers) {
        return Ok(Redirect::to("/settings").into_response());
    }
    let list = list(state, caller).await?;
    Ok(Html(list.fragment(super::view(caller)).html).into_response())
}

async fn list(state: &State, caller: &Caller) -> Result<SessionList, Problem> {
    let sessions = state.gate.sessions(caller).list(ListSessionsRequest {}).await?.into_inner().sessions;
    Ok(SessionList { owner: None, rows: sessions.into_iter().map(view_people::session).collect() })
}

pub(super) async fn tokens(state: &State, caller: &Caller) -> Result<TokenList, Problem> {
    let tokens = state.gate.tokens(caller).list(ListTokensRequest {}).await?.into_inner().tokens;
    Ok(TokenList { owner: None, rows: tokens.into_iter().map(view_people::token).collect() })
}
