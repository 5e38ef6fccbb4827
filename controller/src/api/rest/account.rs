//! `/api/account`: the caller's own account, sessions and tokens, and what they may do.

use axum::{
    Json,
    extract::{
        Path, Query, State as Shared,
        rejection::{PathRejection, QueryRejection},
    },
    response::{IntoResponse as _, Response},
};
use hms_proto::controller::v1::{
    Account, BeginTotpRequest, BeginTotpResponse, ChangePasswordRequest, ConfirmRequest, ConfirmResponse,
    CreateTokenRequest, CreateTokenResponse, DisableTotpRequest, EnableTotpRequest, ExplainRequest,
    Explanation, GetAccountRequest, ListSessionsRequest, ListSessionsResponse, ListTokensRequest,
    ListTokensResponse, NewRecoveryCodesRequest, RecoveryCodes, RevokeSessionRequest, RevokeTokenRequest,
    WhoAmIRequest, WhoAmIResponse,
};
use http::{StatusCode, header};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::{
    bearer::Bearer,
    json::{Body, Message},
    problem::Problem,
    users::{Rank, Within},
};
use crate::state::State;

/// How the caller logs in, and what they may act on.
#[utoipa::path(get, path = "/api/account", tag = "account", security(("bearer" = [])), responses((status = 200, body = Account)))]
pub(super) async fn get(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
) -> Result<Json<Account>, Problem> {
    let account = state.gate.account(&caller).get(GetAccountRequest {}).await;
    Ok(Json(account.map_err(Problem::of(&caller))?.into_inner()))
}

/// Who the caller is to HMS: with a token for machines, what the token may do.
#[utoipa::path(get, path = "/api/account/whoami", tag = "account", security(("bearer" = [])), responses((status = 200, body = WhoAmIResponse)))]
pub(super) async fn whoami(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
) -> Result<Json<WhoAmIResponse>, Problem> {
    let who = state.gate.sessions(&caller).who_am_i(WhoAmIRequest {}).await;
    Ok(Json(who.map_err(Problem::of(&caller))?.into_inner()))
}

/// Proves once more who is calling, with `password` or `code`: for the next five minutes this session may do what asks for it.
#[utoipa::path(post, path = "/api/account/confirm", tag = "account", security(("bearer" = [])), request_body = ConfirmRequest, responses((status = 200, body = ConfirmResponse)))]
pub(super) async fn confirm(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    Message(given): Message<ConfirmRequest>,
) -> Result<Json<ConfirmResponse>, Problem> {
    let confirmed = state.gate.account(&caller).confirm(given).await;
    Ok(Json(confirmed.map_err(Problem::of(&caller))?.into_inner()))
}

/// Changes the caller's password. All their other sessions end. Needs a confirmation.
#[utoipa::path(put, path = "/api/account/password", tag = "account", security(("bearer" = [])), request_body = ChangePasswordRequest, responses((status = 204)))]
pub(super) async fn password(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    Message(given): Message<ChangePasswordRequest>,
) -> Result<StatusCode, Problem> {
    state.gate.account(&caller).change_password(given).await.map_err(Problem::of(&caller))?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes a secret for an authenticator. It counts once a code of it was seen: `POST /api/account/totp/enable`.
#[utoipa::path(post, path = "/api/account/totp", tag = "account", security(("bearer" = [])), responses((status = 200, body = BeginTotpResponse)))]
pub(super) async fn begin_totp(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
) -> Result<Json<BeginTotpResponse>, Problem> {
    let begun = state.gate.account(&caller).begin_totp(BeginTotpRequest {}).await;
    Ok(Json(begun.map_err(Problem::of(&caller))?.into_inner()))
}

/// From now on, a login asks for a code. The recovery codes are shown once.
#[utoipa::path(post, path = "/api/account/totp/enable", tag = "account", security(("bearer" = [])), request_body = EnableTotpRequest, responses((status = 200, body = RecoveryCodes)))]
pub(super) async fn enable_totp(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    Message(given): Message<EnableTotpRequest>,
) -> Result<Json<RecoveryCodes>, Problem> {
    let codes = state.gate.account(&caller).enable_totp(given).await;
    Ok(Json(codes.map_err(Problem::of(&caller))?.into_inner()))
}

/// Takes the second factor away. Refused while the password is too short to be the only proof.
#[utoipa::path(post, path = "/api/account/totp/disable", tag = "account", security(("bearer" = [])), request_body = DisableTotpRequest, responses((status = 200, body = Account)))]
pub(super) async fn disable_totp(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    Message(given): Message<DisableTotpRequest>,
) -> Result<Json<Account>, Problem> {
    let account = state.gate.account(&caller).disable_totp(given).await;
    Ok(Json(account.map_err(Problem::of(&caller))?.into_inner()))
}

/// Ten new recovery codes; those before are void.
#[utoipa::path(post, path = "/api/account/recovery-codes", tag = "account", security(("bearer" = [])), responses((status = 200, body = RecoveryCodes)))]
pub(super) async fn recovery_codes(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
) -> Result<Json<RecoveryCodes>, Problem> {
    let codes = state.gate.account(&caller).new_recovery_codes(NewRecoveryCodesRequest {}).await;
    Ok(Json(codes.map_err(Problem::of(&caller))?.into_inner()))
}

#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct Would {
    /// A method as the audit names it (`/hms.host.v1.UnitService/Restart`), or its end (`UnitService/Restart`).
    #[param(required = true)]
    method: String,
    /// On this host.
    #[param(required = false)]
    host: String,
    /// To this app.
    #[param(required = false)]
    app: String,
    /// To this unit.
    #[param(required = false)]
    unit: String,
}

/// Whether the caller may do something, and why or why not. Nothing is done.
#[utoipa::path(get, path = "/api/account/explain", tag = "account", params(Would), security(("bearer" = [])), responses((status = 200, body = Explanation)))]
pub(super) async fn explain(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    would: Result<Query<Would>, QueryRejection>,
) -> Result<Json<Explanation>, Problem> {
    let Would { method, host, app, unit } = would.map_err(Problem::of(&caller))?.0;
    let told = state.gate.account(&caller).explain(ExplainRequest { method, host, app, unit }).await;
    Ok(Json(told.map_err(Problem::of(&caller))?.into_inner()))
}

/// The caller's own sessions: in browsers, over REST and in terminals.
#[utoipa::path(get, path = "/api/sessions", tag = "account", security(("bearer" = [])), responses((status = 200, body = ListSessionsResponse)))]
pub(super) async fn sessions(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
) -> Result<Json<ListSessionsResponse>, Problem> {
    let sessions = state.gate.sessions(&caller).list(ListSessionsRequest {}).await;
    Ok(Json(sessions.map_err(Problem::of(&caller))?.into_inner()))
}

/// Ends one of the caller's own sessions.
#[utoipa::path(delete, path = "/api/sessions/{id}", tag = "account", params(("id" = String, Path, description = "Id of the session")), security(("bearer" = [])), responses((status = 204)))]
pub(super) async fn end_session(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    id: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let ended = state.gate.sessions(&caller).revoke(RevokeSessionRequest { id: id?.0 }).await;
    ended.map_err(Problem::of(&caller))?;
    Ok(StatusCode::NO_CONTENT)
}

/// The caller's own tokens for machines, without their secrets.
#[utoipa::path(get, path = "/api/tokens", tag = "account", security(("bearer" = [])), responses((status = 200, body = ListTokensResponse)))]
pub(super) async fn tokens(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
) -> Result<Json<ListTokensResponse>, Problem> {
    let tokens = state.gate.tokens(&caller).list(ListTokensRequest {}).await;
    Ok(Json(tokens.map_err(Problem::of(&caller))?.into_inner()))
}

/// A token to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewToken {
    /// What it is for.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// At most the caller's.
    role: Rank,
    /// Left out: all that the caller's reaches.
    #[serde(default)]
    scope: Option<Within>,
    /// 1 to 366. Left out, or 0: 90.
    #[serde(default)]
    #[schema(maximum = 366)]
    days: u32,
}

/// Makes a token for a machine. Its secret is shown once. Needs a confirmation.
#[utoipa::path(post, path = "/api/tokens", tag = "account", security(("bearer" = [])), request_body = NewToken,
    responses((status = 201, body = CreateTokenResponse, headers(("Location" = String, description = "What is deleted to revoke it")))))]
pub(super) async fn create_token(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    Body(NewToken { name, role, scope, days }): Body<NewToken>,
) -> Result<Response, Problem> {
    let request = CreateTokenRequest { name, role: role.word(), scope: scope.map(Into::into), days };
    let made = state.gate.tokens(&caller).create(request).await;
    let made = made.map_err(Problem::of(&caller))?.into_inner();
    let id = made.token.as_ref().map_or("", |token| token.id.as_str());
    let place = [(header::LOCATION, format!("/api/tokens/{id}"))];
    Ok((StatusCode::CREATED, place, Json(made)).into_response())
}

/// Revokes one of the caller's own tokens.
#[utoipa::path(delete, path = "/api/tokens/{id}", tag = "account", params(("id" = String, Path, description = "Id of the token")), security(("bearer" = [])), responses((status = 204)))]
pub(super) async fn revoke_token(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    id: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let revoked = state.gate.tokens(&caller).revoke(RevokeTokenRequest { id: id?.0 }).await;
    revoked.map_err(Problem::of(&caller))?;
    Ok(StatusCode::NO_CONTENT)
}
