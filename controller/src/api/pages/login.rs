//! `/login` and `/logout`.

use std::net::SocketAddr;

use axum::{
    Form,
    extract::{ConnectInfo, Query, State as Shared},
    http::{HeaderMap, header},
    response::{IntoResponse as _, Redirect, Response},
};
use hms_proto::fault::{Fault, FaultKind};
use hms_web::pages::{LoginPage, LoginProblem};
use http::StatusCode;
use serde::Deserialize;

use super::{Problem, page, session::Session};
use crate::{auth, state::State};

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
    let agent = headers.get(header::USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    // A cookie from before the login is worth nothing after it.
    match state.auth.web_login(&entry.username, &entry.password, address.ip(), agent).await {
        Ok(token) => {
            let next = own_path(&entry.next);
            let target = if next.is_empty() { "/" } else { &next };
            ([(header::SET_COOKIE, auth::web::cookie(&token))], Redirect::to(target)).into_response()
        }
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

fn problem(fault: &Fault) -> LoginProblem {
    match fault.kind() {
        FaultKind::Throttled => LoginProblem::Throttled(fault.retry_after_s.into()),
        FaultKind::Unavailable | FaultKind::Internal => LoginProblem::Unavailable,
        _ => LoginProblem::Wrong,
    }
}

pub(super) async fn leave(Shared(state): Shared<State>, session: Session) -> Result<Response, Problem> {
    state.auth.web_logout(&session.token).await?;
    Ok(([(header::SET_COOKIE, auth::web::cookie_gone())], Redirect::to("/login")).into_response())
}

/// A path of this site, or nothing: never the way to another one.
fn own_path(next: &str) -> String {
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
