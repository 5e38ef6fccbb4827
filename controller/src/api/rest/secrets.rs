//! `/api/apps/{app}/secrets`: secrets of an app. Values go in, and come out one at a time for who proves again who they are.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{
        Path, Query, State as Shared,
        rejection::{PathRejection, QueryRejection},
    },
};
use hms_proto::{
    controller::v1::{
        ImportSecretsRequest, ListSecretsRequest, ListSecretsResponse, RevealSecretRequest,
        RotateSecretRequest, SecretsChange, SetSecretsRequest,
    },
    host::v1::Secret,
};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::{
    bearer::Bearer,
    json::Body,
    problem::{Details, Problem},
};
use crate::state::State;

#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct At {
    /// Default: the latest.
    #[param(required = false)]
    version: u32,
}

/// The names of an app's secrets, and when they came. No values.
#[utoipa::path(get, path = "/api/apps/{app}/secrets", tag = "secrets", params(("app" = String, Path, description = "Key of the app"), At), security(("bearer" = [])),
    responses((status = 200, body = ListSecretsResponse), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(super) async fn list(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    key: Result<Path<String>, PathRejection>,
    at: Result<Query<At>, QueryRejection>,
) -> Result<Json<ListSecretsResponse>, Problem> {
    let version = at.map_err(Problem::of(&caller))?.0.version;
    let list = state.gate.secrets(&caller).list(ListSecretsRequest { key: key?.0, version }).await;
    Ok(Json(list.map_err(Problem::of(&caller))?.into_inner()))
}

/// What secrets are to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WantedSecrets)]
pub(super) struct Wanted {
    /// By name; `null` removes one. What is not named stays.
    secrets: BTreeMap<String, Option<String>>,
    /// Only says what would change.
    #[serde(default)]
    dry_run: bool,
}

/// Sets and removes secrets in one new version. They reach the host with the next deployment, or with `apply`.
#[utoipa::path(put, path = "/api/apps/{app}/secrets", tag = "secrets", params(("app" = String, Path, description = "Key of the app")), security(("bearer" = [])), request_body = Wanted,
    responses((status = 200, body = SecretsChange), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(super) async fn put(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    key: Result<Path<String>, PathRejection>,
    Body(wanted): Body<Wanted>,
) -> Result<Json<SecretsChange>, Problem> {
    let mut request = SetSecretsRequest { key: key?.0, dry_run: wanted.dry_run, ..Default::default() };
    for (name, value) in wanted.secrets {
        match value {
            Some(value) => request.secrets.push(Secret { name, value }),
            None => request.remove.push(name),
        }
    }
    let change = state.gate.secrets(&caller).set(request).await;
    Ok(Json(change.map_err(Problem::of(&caller))?.into_inner()))
}

/// The text of a `.env` file.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Import {
    text: String,
    /// Remove variables that are not in it. Never those that HMS made.
    #[serde(default)]
    replace: bool,
    /// Only says what would change.
    #[serde(default)]
    dry_run: bool,
}

/// Reads secrets from the text of a `.env` file.
#[utoipa::path(post, path = "/api/apps/{app}/secrets/import", tag = "secrets", params(("app" = String, Path, description = "Key of the app")), security(("bearer" = [])), request_body = Import,
    responses((status = 200, body = SecretsChange), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(super) async fn import(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    key: Result<Path<String>, PathRejection>,
    Body(Import { text, replace, dry_run }): Body<Import>,
) -> Result<Json<SecretsChange>, Problem> {
    let request = ImportSecretsRequest { key: key?.0, text, replace, dry_run };
    let change = state.gate.secrets(&caller).import(request).await;
    Ok(Json(change.map_err(Problem::of(&caller))?.into_inner()))
}

type Named = Result<Path<(String, String)>, PathRejection>;

/// Makes a new random value: SECRET_KEY_BASE, API_TOKEN, DATABASE_PASSWORD, or git-private-key.
#[utoipa::path(post, path = "/api/apps/{app}/secrets/{name}/rotate", tag = "secrets", params(("app" = String, Path, description = "Key of the app"), ("name" = String, Path, description = "Name of the secret")), security(("bearer" = [])),
    responses((status = 200, body = SecretsChange), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(super) async fn rotate(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    named: Named,
) -> Result<Json<SecretsChange>, Problem> {
    let (key, name) = named?.0;
    let change = state.gate.secrets(&caller).rotate(RotateSecretRequest { key, name }).await;
    Ok(Json(change.map_err(Problem::of(&caller))?.into_inner()))
}

/// Which value.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SecretVersion)]
pub(super) struct Which {
    /// 0: the latest.
    #[serde(default)]
    version: u32,
}

/// One value in plain text. Needs a confirmation: `POST /api/account/confirm`.
#[utoipa::path(post, path = "/api/apps/{app}/secrets/{name}/reveal", tag = "secrets", params(("app" = String, Path, description = "Key of the app"), ("name" = String, Path, description = "Name of the secret")), security(("bearer" = [])), request_body = Which,
    responses((status = 200, body = Secret), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(super) async fn reveal(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    named: Named,
    Body(Which { version }): Body<Which>,
) -> Result<Json<Secret>, Problem> {
    let (key, name) = named?.0;
    let request = RevealSecretRequest { key, name, version };
    let secret = state.gate.secrets(&caller).reveal(request).await;
    Ok(Json(secret.map_err(Problem::of(&caller))?.into_inner()))
}
