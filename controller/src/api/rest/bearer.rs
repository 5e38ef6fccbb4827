//! Who is calling: the access token in `Authorization`, and nothing else: no cookie, no query.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use hms_proto::fault::{Fault, FaultKind};
use http::{HeaderMap, header, request::Parts};

use super::problem::Problem;
use crate::{api::door, auth::Caller, state::State};

/// Somebody with a token that holds.
pub(super) struct Bearer(pub(super) Caller);

/// What was found out about who is calling, for all that looks at a request.
#[derive(Clone)]
pub(super) struct Known(pub(super) Result<Caller, Fault>);

impl FromRequestParts<State> for Bearer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Problem> {
        let known = parts.extensions.get::<Known>().cloned();
        let known = match known {
            Some(Known(known)) => known,
            None => identify(&parts.headers, address_of(&parts.extensions), state).await,
        };
        let caller = known?;
        door::is_known(&parts.extensions);
        Ok(Self(caller))
    }
}

/// Where the connection comes from.
pub(super) fn address_of(extensions: &http::Extensions) -> Option<IpAddr> {
    extensions.get::<ConnectInfo<SocketAddr>>().map(|c| c.0.ip())
}

/// Who is calling.
pub(super) async fn identify(
    headers: &HeaderMap,
    address: Option<IpAddr>,
    state: &State,
) -> Result<Caller, Fault> {
    state.auth.bearer(token_of(headers)?, address).await
}

/// The one token that a request shows.
pub(super) fn token_of(headers: &HeaderMap) -> Result<&str, Fault> {
    let nobody = || Fault::new(FaultKind::Unauthenticated, "the request has no valid access token");
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (given.next(), given.next()) else {
        return Err(
            nobody().hint("Get a token with POST /api/auth/login, and send it as `Authorization: Bearer …`.")
        );
    };
    let token = value
        .to_str()
        .ok()
        .and_then(|v| v.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    token.map(|(_, token)| token.trim()).ok_or_else(nobody)
}
