//! `/api/auth`: tokens for programs. An access token is good for minutes, a refresh token for one use.

use std::net::SocketAddr;

use axum::{
    Json,
    extract::{ConnectInfo, State as Shared},
    http::{HeaderMap, StatusCode, header},
};
use hms_proto::controller::v1::RevokeSessionRequest;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    bearer::Bearer,
    json::Body,
    problem::{Details, Problem},
};
use crate::{auth, state::State};

/// Who wants a token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Login {
    username: String,
    #[schema(value_type = String, format = Password)]
    password: auth::Password,
    /// Of the second factor, where the account has one: six digits, or a recovery code. A login that lacks it is answered
    /// with 401 and `"code": "proof_needed"`.
    code: Option<String>,
}

/// The refresh token that is to be used up.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Refresh {
    refresh_token: String,
}

/// A pair of tokens.
#[derive(Serialize, ToSchema)]
pub(super) struct Tokens {
    /// Sent as `Authorization: Bearer …` with every request.
    access_token: String,
    /// Always `Bearer`.
    token_type: &'static str,
    /// Seconds until the access token ends.
    expires_in: i64,
    /// Good for one `POST /api/auth/refresh`. Using it twice ends the session.
    refresh_token: String,
}

impl From<auth::Tokens> for Tokens {
    fn from(tokens: auth::Tokens) -> Self {
        let auth::Tokens { access, refresh, expires_in } = tokens;
        Self { access_token: access, token_type: "Bearer", expires_in, refresh_token: refresh }
    }
}

fn agent(headers: &HeaderMap) -> &str {
    headers.get(header::USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or_default()
}

/// Trades a user name and a password for tokens.
#[utoipa::path(post, path = "/api/auth/login", tag = "auth", request_body = Login,
    responses((status = 200, body = Tokens), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(super) async fn login(
    Shared(state): Shared<State>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Body(login): Body<Login>,
) -> Result<Json<Tokens>, Problem> {
    let tokens = state
        .auth
        .rest_login(&login.username, &login.password, login.code.as_deref(), address.ip(), agent(&headers))
        .await?;
    Ok(Json(tokens.into()))
}

/// With what somebody who was invited chooses a password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Accept {
    /// From behind the `#` of the address that was given to them.
    code: String,
    /// At least 15 characters; 12 where the account has a second factor.
    #[schema(value_type = String, format = Password)]
    password: auth::Password,
}

/// Whose password that is now.
#[derive(Serialize, ToSchema)]
pub(super) struct Accepted {
    username: String,
}

/// Uses an invitation up: whoever has it chooses the password of the account.
#[utoipa::path(post, path = "/api/auth/invitation", tag = "auth", request_body = Accept,
    responses((status = 200, body = Accepted), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(super) async fn invitation(
    Shared(state): Shared<State>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    Body(accept): Body<Accept>,
) -> Result<Json<Accepted>, Problem> {
    let address = address.ip();
    let username =
        state.auth.accept_invitation(&accept.code, &accept.password, auth::Source::Rest, address).await?;
    Ok(Json(Accepted { username }))
}

/// Trades a refresh token for new tokens. The old one is used up.
#[utoipa::path(post, path = "/api/auth/refresh", tag = "auth", request_body = Refresh,
    responses((status = 200, body = Tokens), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(super) async fn refresh(
    Shared(state): Shared<State>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Body(refresh): Body<Refresh>,
) -> Result<Json<Tokens>, Problem> {
    let tokens = state.auth.rest_refresh(&refresh.refresh_token, address.ip(), agent(&headers)).await?;
    Ok(Json(tokens.into()))
}

/// Ends the session of the token.
#[utoipa::path(post, path = "/api/auth/logout", tag = "auth", security(("bearer" = [])),
    responses((status = 204), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(super) async fn logout(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
) -> Result<StatusCode, Problem> {
    let id = caller.session.map(|id| id.to_string()).unwrap_or_default();
    state.gate.sessions(&caller).revoke(RevokeSessionRequest { id }).await.map_err(Problem::of(&caller))?;
    Ok(StatusCode::NO_CONTENT)
}
