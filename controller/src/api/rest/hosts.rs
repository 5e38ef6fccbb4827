//! `/api/hosts`: the hosts of the installation.

use axum::{
    Json,
    extract::{Path, State as Shared, rejection::PathRejection},
    response::{IntoResponse as _, Response},
};
use hms_proto::{
    controller::v1::{
        AddHostRequest, AddHostResponse, Host, LabelHostRequest, ListHostsRequest, ListHostsResponse,
        NewJoinTokenRequest, RemoveHostRequest,
    },
    fault::Fault,
    names::HostName,
};
use http::{StatusCode, header};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{bearer::Bearer, json::Body, problem::Problem};
use crate::{auth::Caller, state::State};

/// All hosts, as they were last seen.
#[utoipa::path(get, path = "/api/hosts", tag = "hosts", security(("bearer" = [])), responses((status = 200, body = ListHostsResponse)))]
pub(super) async fn list(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
) -> Result<Json<ListHostsResponse>, Problem> {
    all(&state, &caller).await.map(Json)
}

async fn all(state: &State, caller: &Caller) -> Result<ListHostsResponse, Problem> {
    let hosts = state.gate.fleet(caller).list_hosts(ListHostsRequest {}).await;
    Ok(hosts.map_err(Problem::of(caller))?.into_inner())
}

/// One host, as it was last seen.
#[utoipa::path(get, path = "/api/hosts/{host}", tag = "hosts", params(("host" = String, Path, description = "Name of the host")), security(("bearer" = [])), responses((status = 200, body = Host)))]
pub(super) async fn get(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    name: Result<Path<String>, PathRejection>,
) -> Result<Json<Host>, Problem> {
    let name = HostName::try_from(name?.0.as_str()).map_err(Fault::from).map_err(Problem::of(&caller))?;
    let found = all(&state, &caller).await?.hosts.into_iter().find(|host| host.name == name.as_str());
    found.map(Json).ok_or_else(|| Problem::of(&caller)(Fault::not_found("host", name.as_str())))
}

/// A host to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewHost {
    /// A DNS-like name, unique in the installation.
    #[schema(
        pattern = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$",
        max_length = 253
    )]
    name: String,
    /// Where its agent listens: address or name, and port; the port is 9444 where none is given.
    #[schema(min_length = 1, max_length = 260)]
    address: String,
}

/// Adds a host, and makes the token with which its agent joins. The token is shown once.
#[utoipa::path(post, path = "/api/hosts", tag = "hosts", security(("bearer" = [])), request_body = NewHost,
    responses((status = 201, body = AddHostResponse, headers(("Location" = String, description = "Where the host is")))))]
pub(super) async fn add(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    Body(NewHost { name, address }): Body<NewHost>,
) -> Result<Response, Problem> {
    let added = state.gate.fleet(&caller).add_host(AddHostRequest { name, address }).await;
    let added = added.map_err(Problem::of(&caller))?.into_inner();
    let name = added.host.as_ref().map_or("", |host| host.name.as_str());
    let place = [(header::LOCATION, format!("/api/hosts/{name}"))];
    Ok((StatusCode::CREATED, place, Json(added)).into_response())
}

/// A new token for a host that has not joined, or that lost its identity.
#[utoipa::path(post, path = "/api/hosts/{host}/token", tag = "hosts", params(("host" = String, Path, description = "Name of the host")), security(("bearer" = [])), responses((status = 200, body = AddHostResponse)))]
pub(super) async fn token(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    name: Result<Path<String>, PathRejection>,
) -> Result<Json<AddHostResponse>, Problem> {
    let made = state.gate.fleet(&caller).new_join_token(NewJoinTokenRequest { name: name?.0 }).await;
    Ok(Json(made.map_err(Problem::of(&caller))?.into_inner()))
}

/// What is to change about the labels of a host.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Labels {
    /// Lower-case letters, digits and `. _ = -`, at most 63: `web`, `env=production`.
    add: Vec<String>,
    remove: Vec<String>,
}

/// Gives a host labels, and takes some away.
#[utoipa::path(patch, path = "/api/hosts/{host}/labels", tag = "hosts", params(("host" = String, Path, description = "Name of the host")), security(("bearer" = [])), request_body = Labels, responses((status = 200, body = Host)))]
pub(super) async fn labels(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    name: Result<Path<String>, PathRejection>,
    Body(Labels { add, remove }): Body<Labels>,
) -> Result<Json<Host>, Problem> {
    let host = state.gate.fleet(&caller).label_host(LabelHostRequest { name: name?.0, add, remove }).await;
    Ok(Json(host.map_err(Problem::of(&caller))?.into_inner()))
}

/// Forgets a host. Nothing on the host itself is changed.
#[utoipa::path(delete, path = "/api/hosts/{host}", tag = "hosts", params(("host" = String, Path, description = "Name of the host")), security(("bearer" = [])), responses((status = 204)))]
pub(super) async fn remove(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    name: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let removed = state.gate.fleet(&caller).remove_host(RemoveHostRequest { name: name?.0 }).await;
    removed.map_err(Problem::of(&caller))?;
    Ok(StatusCode::NO_CONTENT)
}
