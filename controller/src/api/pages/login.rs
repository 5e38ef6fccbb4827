//! `/login` and `/logout`.

use std::net::SocketAddr;

use axum::{
    Form,
    extract::{ConnectInfo, Query, State as Shared},
    http::{HeaderMap, header},
    response::{IntoResponse as _, Redirect, Response},
};
use hms_proto::{
    controller::v1::RevokeSessionRequest,
    fault::{Fault, FaultKind},
};
use hms_web::{
    frame::Notice,
    pages::{InvitationPage, LoginCodePage, LoginPage, LoginProblem},
};
use http::StatusCode;
use serde::Deserialize;

use super::{Problem, page, problem::notice, session::Session};
use crate::{
    auth::{self, web::Entered},
    state::State,
};

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Asked {
    next: String,
    ended: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    username: String,
    password: auth::Password,
    #[serde(default)]
    next: String,
}

pub(super) async fn show(Query(asked): Query<Asked>) -> Response {
    let problem = asked.ended.is_some().then_some(LoginProblem::Ended);
    page(&LoginPage { next: own_path(&asked.next), problem, ..LoginPage::default() })
}

pub(super) async fn enter(
    Shared(state): Shared<State>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Form(entry): Form<Entry>,
) -> Response {
    // A cookie from before the login is worth nothing after it.
    match state.auth.web_login(&entry.username, &entry.password, address.ip(), agent(&headers)).await {
        Ok(entered) => go_on(&entered, &entry.next),
        Err(fault) => {
            let status = StatusCode::from_u16(fault.row().http).unwrap_or(StatusCode::UNAUTHORIZED);
            let shown = LoginPage {
                username: entry.username,
                next: own_path(&entry.next),
                problem: Some(problem(&fault)),
            };
            (status, page(&shown)).into_response()
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Code {
    code: String,
    #[serde(default)]
    next: String,
}

/// The second step of a login, where the account has one.
pub(super) async fn code(
    Shared(state): Shared<State>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Form(given): Form<Code>,
) -> Response {
    let next = own_path(&given.next);
    let Some(step) = auth::web::step_of(&headers) else { return again(&next) };
    match state.auth.web_code(&step, &given.code, address.ip(), agent(&headers)).await {
        Ok(Some(token)) => {
            let mut response = logged_in(&token, &given.next);
            let gone = header::HeaderValue::from_str(&auth::web::step_gone()).expect("a cookie is ASCII");
            response.headers_mut().append(header::SET_COOKIE, gone);
            response
        }
        Ok(None) => again(&next),
        Err(fault) => {
            let status = StatusCode::from_u16(fault.row().http).unwrap_or(StatusCode::UNAUTHORIZED);
            (status, page(&LoginCodePage { next, problem: Some(problem(&fault)) })).into_response()
        }
    }
}

/// Begins again with the password.
fn again(next: &str) -> Response {
    let shown =
        LoginPage { next: next.to_owned(), problem: Some(LoginProblem::TooLate), ..LoginPage::default() };
    (StatusCode::UNAUTHORIZED, page(&shown)).into_response()
}

/// After a right password: in, or on to the second step.
fn go_on(entered: &Entered, next: &str) -> Response {
    match entered {
        Entered::Session(token) => logged_in(token, next),
        Entered::CodeNeeded(step) => {
            let cookie = [(header::SET_COOKIE, auth::web::step_cookie(step))];
            (cookie, page(&LoginCodePage { next: own_path(next), problem: None })).into_response()
        }
    }
}

fn agent(headers: &HeaderMap) -> &str {
    headers.get(header::USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or_default()
}

fn logged_in(token: &auth::web::Token, next: &str) -> Response {
    let next = own_path(next);
    let target = if next.is_empty() { "/" } else { &next };
    ([(header::SET_COOKIE, auth::web::cookie(token))], Redirect::to(target)).into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Chosen {
    code: String,
    password: auth::Password,
    again: auth::Password,
}

/// The page of the second step, for whoever comes back to it; without a first step there is none.
pub(super) async fn code_page(headers: HeaderMap, Query(asked): Query<Asked>) -> Response {
    let next = own_path(&asked.next);
    match auth::web::step_of(&headers) {
        Some(_) => page(&LoginCodePage { next, problem: None }),
        None => Redirect::to("/login").into_response(),
    }
}

/// Where somebody who was invited chooses a password. The code stands behind the `#` of the address, which only their browser sees.
pub(super) async fn invitation() -> Response {
    page(&InvitationPage::default())
}

/// Sets the password, and logs in with it.
pub(super) async fn accept(
    Shared(state): Shared<State>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Form(chosen): Form<Chosen>,
) -> Response {
    let (code, address) = (chosen.code.trim().trim_start_matches('#'), address.ip());
    let accepted = match chosen.password.is(&chosen.again) {
        true => state.auth.accept_invitation(code, &chosen.password, auth::Source::Web, address).await,
        false => Err(Fault::invalid("the two passwords are not the same").hint("Type the same one twice.")),
    };
    let username = match accepted {
        Ok(username) => username,
        Err(fault) => {
            let status = StatusCode::from_u16(fault.row().http).unwrap_or(StatusCode::BAD_REQUEST);
            let Notice { message, hint, .. } = notice(&fault);
            let code = code.chars().take(64).collect();
            return (status, page(&InvitationPage { code, problem: Some((message, hint)) })).into_response();
        }
    };
    match state.auth.web_login(&username, &chosen.password, address, agent(&headers)).await {
        Ok(entered) => go_on(&entered, ""),
        // The password is set; the login is theirs to try.
        Err(_) => page(&LoginPage { username, problem: Some(LoginProblem::Welcome), ..LoginPage::default() }),
    }
}

fn problem(fault: &Fault) -> LoginProblem {
    match fault.kind() {
        FaultKind::Throttled => LoginProblem::Throttled(fault.retry_after_s.into()),
        FaultKind::Unavailable | FaultKind::Internal => LoginProblem::Unavailable,
        _ => LoginProblem::Wrong,
    }
}

pub(super) async fn leave(Shared(state): Shared<State>, session: Session) -> Result<Response, Problem> {
    let id = session.caller.session.map(|id| id.to_string()).unwrap_or_default();
    let ended = state.gate.sessions(&session.caller).revoke(RevokeSessionRequest { id }).await;
    ended.map_err(|status| Problem::of(Fault::from_status(&status), &session.caller))?;
    Ok(([(header::SET_COOKIE, auth::web::cookie_gone())], Redirect::to("/login")).into_response())
}

/// A path of this site, or nothing: never the way to another one.
pub(super) fn own_path(next: &str) -> String {
    let own = next.starts_with('/') && !next.starts_with("//") && !next.contains(['\\', '\r', '\n', '\t']);
    if own { next.to_owned() } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Security case 28.
    #[test]
    fn the_login_leads_nowhere_else() {
        for bad in [
            "//evil.example",
            "https://evil.example",
            "/\\evil.example",
            "evil",
            "",
            "/\t/evil.example",
            "javascript:alert(1)",
        ] {
            assert_eq!(own_path(bad), "", "{bad}");
        }
        assert_eq!(own_path("/logs?source=app:cigar"), "/logs?source=app:cigar");
    }
}
