//! `/api/users`: the accounts. What changes one asks for a confirmation: `POST /api/account/confirm`.

use axum::{
    Json,
    extract::{Path, State as Shared, rejection::PathRejection},
    response::{IntoResponse as _, Response},
};
use hms_proto::{
    Role,
    access::role_word,
    controller::v1::{
        EditUserRequest, EndSessionsRequest, EndSessionsResponse, GetUserRequest, Invitation,
        InviteUserRequest, ListSessionsResponse, ListTokensResponse, ListUserTokensRequest, ListUsersRequest,
        ListUsersResponse, ResetUserRequest, RevokeTokenRequest, Scope, User,
    },
};
use http::{StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    bearer::Bearer,
    json::{Body, MaybeBody},
    problem::Problem,
};
use crate::state::State;

/// What somebody may do. A higher role includes the lower ones.
#[derive(Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Rank {
    Viewer,
    Operator,
    Admin,
}

impl Rank {
    pub(super) fn word(self) -> String {
        let role = match self {
            Self::Viewer => Role::Viewer,
            Self::Operator => Role::Operator,
            Self::Admin => Role::Admin,
        };
        role_word(role).into()
    }
}

/// What somebody may act on. Nothing set: nothing.
#[derive(Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Within {
    /// The whole installation, also what will be added to it. Then the other two are empty.
    all: bool,
    /// All that is on these hosts.
    hosts: Vec<String>,
    /// These apps, wherever they are.
    apps: Vec<String>,
}

impl From<Within> for Scope {
    fn from(Within { all, hosts, apps }: Within) -> Self {
        Self { all, hosts, apps }
    }
}

type Named = Result<Path<String>, PathRejection>;
type NamedWithId = Result<Path<(String, String)>, PathRejection>;

/// All accounts.
#[utoipa::path(get, path = "/api/users", tag = "users", security(("bearer" = [])), responses((status = 200, body = ListUsersResponse)))]
pub(super) async fn list(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
) -> Result<Json<ListUsersResponse>, Problem> {
    let users = state.gate.users(&caller).list(ListUsersRequest {}).await;
    Ok(Json(users.map_err(Problem::of(&caller))?.into_inner()))
}

/// One account.
#[utoipa::path(get, path = "/api/users/{user}", tag = "users", params(("user" = String, Path, description = "Name of the user")), security(("bearer" = [])), responses((status = 200, body = User)))]
pub(super) async fn get(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    name: Named,
) -> Result<Json<User>, Problem> {
    let user = state.gate.users(&caller).get(GetUserRequest { username: name?.0 }).await;
    Ok(Json(user.map_err(Problem::of(&caller))?.into_inner()))
}

/// An account to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Invite {
    #[schema(pattern = "^[a-z][a-z0-9._-]{0,63}$")]
    username: String,
    role: Rank,
    scope: Within,
}

/// Makes an account without a password, and the code with which its owner chooses one. The code is shown once.
#[utoipa::path(post, path = "/api/users", tag = "users", security(("bearer" = [])), request_body = Invite,
    responses((status = 201, body = Invitation, headers(("Location" = String, description = "Where the account is")))))]
pub(super) async fn invite(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    Body(Invite { username, role, scope }): Body<Invite>,
) -> Result<Response, Problem> {
    let place = [(header::LOCATION, format!("/api/users/{}", hms_web::text::encode(&username)))];
    let request = InviteUserRequest { username, role: role.word(), scope: Some(scope.into()) };
    let made = state.gate.users(&caller).invite(request).await.map_err(Problem::of(&caller))?;
    Ok((StatusCode::CREATED, place, Json(made.into_inner())).into_response())
}

/// What is to change about an account. What is left out stays.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Edit {
    role: Option<Rank>,
    scope: Option<Within>,
}

/// Changes role and scope. The last admin who has the whole installation stays one.
#[utoipa::path(patch, path = "/api/users/{user}", tag = "users", params(("user" = String, Path, description = "Name of the user")), security(("bearer" = [])), request_body = Edit, responses((status = 200, body = User)))]
pub(super) async fn edit(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    name: Named,
    Body(Edit { role, scope }): Body<Edit>,
) -> Result<Json<User>, Problem> {
    let role = role.map_or_else(String::new, Rank::word);
    let request = EditUserRequest { username: name?.0, role, scope: scope.map(Into::into) };
    let user = state.gate.users(&caller).edit(request).await;
    Ok(Json(user.map_err(Problem::of(&caller))?.into_inner()))
}

/// Removes an account. Its name stays in the audit.
#[utoipa::path(delete, path = "/api/users/{user}", tag = "users", params(("user" = String, Path, description = "Name of the user")), security(("bearer" = [])), responses((status = 204)))]
pub(super) async fn remove(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    name: Named,
) -> Result<StatusCode, Problem> {
    let removed = state.gate.users(&caller).remove(GetUserRequest { username: name?.0 }).await;
    removed.map_err(Problem::of(&caller))?;
    Ok(StatusCode::NO_CONTENT)
}

/// Locks an account: all its sessions end, and its tokens are refused.
#[utoipa::path(post, path = "/api/users/{user}/disable", tag = "users", params(("user" = String, Path, description = "Name of the user")), security(("bearer" = [])), responses((status = 200, body = User)))]
pub(super) async fn disable(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    name: Named,
) -> Result<Json<User>, Problem> {
    let user = state.gate.users(&caller).disable(GetUserRequest { username: name?.0 }).await;
    Ok(Json(user.map_err(Problem::of(&caller))?.into_inner()))
}

/// Unlocks an account.
#[utoipa::path(post, path = "/api/users/{user}/enable", tag = "users", params(("user" = String, Path, description = "Name of the user")), security(("bearer" = [])), responses((status = 200, body = User)))]
pub(super) async fn enable(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    name: Named,
) -> Result<Json<User>, Problem> {
    let user = state.gate.users(&caller).enable(GetUserRequest { username: name?.0 }).await;
    Ok(Json(user.map_err(Problem::of(&caller))?.into_inner()))
}

/// What of an account is made anew.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Reset {
    /// Also forget the second factor and the recovery codes.
    totp: bool,
}

/// Makes a code with which the owner chooses a new password. The old one and all sessions end at once. The body may be left out.
#[utoipa::path(post, path = "/api/users/{user}/reset", tag = "users", params(("user" = String, Path, description = "Name of the user")), security(("bearer" = [])), request_body = Option<Reset>, responses((status = 200, body = Invitation)))]
pub(super) async fn reset(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    name: Named,
    MaybeBody(Reset { totp }): MaybeBody<Reset>,
) -> Result<Json<Invitation>, Problem> {
    let made = state.gate.users(&caller).reset(ResetUserRequest { username: name?.0, totp }).await;
    Ok(Json(made.map_err(Problem::of(&caller))?.into_inner()))
}

/// Sessions of a user.
#[utoipa::path(get, path = "/api/users/{user}/sessions", tag = "users", params(("user" = String, Path, description = "Name of the user")), security(("bearer" = [])), responses((status = 200, body = ListSessionsResponse)))]
pub(super) async fn sessions(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    name: Named,
) -> Result<Json<ListSessionsResponse>, Problem> {
    let sessions = state.gate.users(&caller).list_sessions(GetUserRequest { username: name?.0 }).await;
    Ok(Json(sessions.map_err(Problem::of(&caller))?.into_inner()))
}

/// Ends all sessions of a user.
#[utoipa::path(delete, path = "/api/users/{user}/sessions", tag = "users", params(("user" = String, Path, description = "Name of the user")), security(("bearer" = [])), responses((status = 200, body = EndSessionsResponse)))]
pub(super) async fn end_sessions(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    name: Named,
) -> Result<Json<EndSessionsResponse>, Problem> {
    let request = EndSessionsRequest { username: name?.0, id: String::new() };
    let ended = state.gate.users(&caller).end_sessions(request).await;
    Ok(Json(ended.map_err(Problem::of(&caller))?.into_inner()))
}

/// Ends one session of a user.
#[utoipa::path(delete, path = "/api/users/{user}/sessions/{id}", tag = "users", params(("user" = String, Path, description = "Name of the user"), ("id" = String, Path, description = "Id of the session")), security(("bearer" = [])), responses((status = 200, body = EndSessionsResponse)))]
pub(super) async fn end_session(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    named: NamedWithId,
) -> Result<Json<EndSessionsResponse>, Problem> {
    let (username, id) = named?.0;
    let ended = state.gate.users(&caller).end_sessions(EndSessionsRequest { username, id }).await;
    Ok(Json(ended.map_err(Problem::of(&caller))?.into_inner()))
}

/// Tokens of a user.
#[utoipa::path(get, path = "/api/users/{user}/tokens", tag = "users", params(("user" = String, Path, description = "Name of the user")), security(("bearer" = [])), responses((status = 200, body = ListTokensResponse)))]
pub(super) async fn tokens(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    name: Named,
) -> Result<Json<ListTokensResponse>, Problem> {
    let tokens = state.gate.users(&caller).list_tokens(ListUserTokensRequest { username: name?.0 }).await;
    Ok(Json(tokens.map_err(Problem::of(&caller))?.into_inner()))
}

/// Tokens of everybody.
#[utoipa::path(get, path = "/api/user-tokens", tag = "users", security(("bearer" = [])), responses((status = 200, body = ListTokensResponse)))]
pub(super) async fn all_tokens(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
) -> Result<Json<ListTokensResponse>, Problem> {
    let request = ListUserTokensRequest { username: String::new() };
    let tokens = state.gate.users(&caller).list_tokens(request).await;
    Ok(Json(tokens.map_err(Problem::of(&caller))?.into_inner()))
}

/// Revokes a token, whoever made it.
#[utoipa::path(delete, path = "/api/user-tokens/{id}", tag = "users", params(("id" = String, Path, description = "Id of the token")), security(("bearer" = [])), responses((status = 204)))]
pub(super) async fn revoke_token(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    id: Named,
) -> Result<StatusCode, Problem> {
    let revoked = state.gate.users(&caller).revoke_token(RevokeTokenRequest { id: id?.0 }).await;
    revoked.map_err(Problem::of(&caller))?;
    Ok(StatusCode::NO_CONTENT)
}
