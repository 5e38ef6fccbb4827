//! Who is calling: the access token in `Authorization`, and nothing else: no cookie, no query.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, FromRequestParts};
use hms_proto::fault::{Fault, FaultKind};
use http::{header, request::Parts};

use super::problem::Problem;
use crate::{auth::Caller, state::State};

/// Somebody with a token that holds.
pub(super) struct Bearer(pub(super) Caller);

impl FromRequestParts<State> for Bearer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Problem> {
        let nobody = || Fault::new(FaultKind::Unauthenticated, "the request has no valid access token");
        let mut given = parts.headers.get_all(header::AUTHORIZATION).iter();
        let (Some(value), None) = (given.next(), given.next()) else {
            return Err(nobody()
                .hint("Get a token with POST /api/auth/login, and send it as `Authorization: Bearer …`.")
                .into());
        };
        let token = value
            .to_str()
            .ok()
            .and_then(|v| v.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let (_, token) = token.ok_or_else(nobody)?;
        let address = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|c| c.0.ip());
        Ok(Self(state.auth.bearer(token.trim(), address).await?))
    }
}
