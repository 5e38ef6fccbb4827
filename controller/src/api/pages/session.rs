//! Who is looking: the session cookie of a browser, and nothing else.

use std::net::{IpAddr, SocketAddr};

use axum::{
    extract::{ConnectInfo, FromRequestParts},
    response::{IntoResponse, Redirect, Response},
};
use http::{Extensions, HeaderMap, Method, StatusCode, header, request::Parts};

use super::problem::Problem;
use crate::{
    api::{door, elsewhere::FromNowhere},
    auth::{self, Caller},
    state::State,
};

/// Somebody who is logged in.
pub(super) struct Session {
    pub(super) caller: Caller,
    /// The cookie's value, to look again while a stream is open.
    pub(super) token: auth::web::Token,
}

impl FromRequestParts<State> for Session {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Response> {
        if !parts.method.is_safe() && !says_where_from(&parts.headers) {
            return Err(FromNowhere.into_response());
        }
        let Some(token) = auth::web::token_of(&parts.headers) else {
            return Err(to_login(parts));
        };
        let address = address_of(&parts.extensions);
        match state.auth.web_session(&token, address).await {
            Ok(Some(caller)) => {
                door::is_known(&parts.extensions);
                Ok(Self { caller, token })
            }
            Ok(None) => Err(to_login(parts)),
            Err(fault) => Err(Problem::from(fault).into_response()),
        }
    }
}

/// Where the connection comes from.
pub(in crate::api) fn address_of(extensions: &Extensions) -> Option<IpAddr> {
    extensions.get::<ConnectInfo<SocketAddr>>().map(|c| c.0.ip())
}

/// A page that is opened leads to the login and from there back; a script is told 401, and does the same.
fn to_login(parts: &Parts) -> Response {
    if by_script(&parts.headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let wanted = parts.uri.path_and_query().map_or("/", |p| p.as_str());
    match parts.method == Method::GET && wanted != "/" {
        true => Redirect::to(&format!("/login?next={}", hms_web::text::encode(wanted))).into_response(),
        false => Redirect::to("/login").into_response(),
    }
}

pub(super) fn by_script(headers: &HeaderMap) -> bool {
    headers.contains_key("x-requested-with")
        || headers.get(header::ACCEPT).is_some_and(|v| v == "text/event-stream")
}

/// Every browser of today says where a form was sent from, and the layer before this one compares it with where it
/// arrived. A request with a cookie that does not say it is not a browser's.
fn says_where_from(headers: &HeaderMap) -> bool {
    headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site")
}
