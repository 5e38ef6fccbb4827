//! Looking: trees, files, versions, drift, and which server answers a URL.

use axum::{
    Json,
    extract::{
        Path, Query, State as Shared,
        rejection::{PathRejection, QueryRejection},
    },
    response::{IntoResponse as _, Response},
};
use futures_util::{StreamExt as _, stream};
use hms_proto::{
    controller::v1::{
        DriftRequest, DriftResponse, GetVersionRequest, ListVersionsRequest, ListVersionsResponse,
        NginxVersion,
    },
    fault::Fault,
    host::v1::{
        GetNginxRequest, ListNginxRequest, NginxFile, NginxTree, RouteNginxRequest, RouteNginxResponse,
    },
    names::HostName,
};
use http::header;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    super::{
        bearer::Bearer,
        problem::{Details, Problem},
        shape,
    },
    Where, fault, file, host,
};
use crate::{api::configs, auth::Caller, state::State};

/// How many hosts are asked at once.
const AT_ONCE: usize = 16;

/// nginx of one host.
#[derive(Serialize, ToSchema)]
pub(crate) struct HostConfigs {
    host: String,
    /// None: it could not be had.
    tree: Option<NginxTree>,
    /// Why not.
    problem: Option<String>,
}

/// nginx of the hosts.
#[derive(Serialize, ToSchema)]
pub(crate) struct Configs {
    hosts: Vec<HostConfigs>,
}

/// All nginx files of one host, or of every host.
#[utoipa::path(get, path = "/api/configs/nginx", tag = "configs", params(Where), security(("bearer" = [])),
    responses((status = 200, body = Configs), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(crate) async fn list(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    asked: Result<Query<Where>, QueryRejection>,
) -> Result<Json<Configs>, Problem> {
    let asked = asked.map_err(Problem::of(&caller))?.0;
    let names = match asked.host {
        Some(name) => vec![configs::host(&state, &caller, Some(&name)).map_err(Problem::of(&caller))?],
        None => {
            let hosts = state.fleet.seen_by(&caller).hosts();
            hosts.iter().filter_map(|h| HostName::try_from(h.row.name.as_str()).ok()).collect()
        }
    };
    let asking = stream::iter(names).map(|name| tree(&state, &caller, name));
    Ok(Json(Configs { hosts: asking.buffered(AT_ONCE).collect().await }))
}

async fn tree(state: &State, caller: &Caller, name: HostName) -> HostConfigs {
    let asked = state.gate.nginx(caller, &name).list(ListNginxRequest {}).await.map_err(fault);
    let (tree, problem) = match asked {
        Ok(tree) => (Some(tree.into_inner()), None),
        Err(fault) => (None, Some(fault.message)),
    };
    HostConfigs { host: name.to_string(), tree, problem }
}

/// One file with its content. `ETag` is its hash, for `If-Match`.
#[utoipa::path(get, path = "/api/configs/nginx/{site}", tag = "configs", params(("site" = String, Path, description = "Name of the site, or percent-encoded path of the file"), Where), security(("bearer" = [])),
    responses((status = 200, body = NginxFile, headers(("ETag" = String, description = "The hash of the content, for `If-Match`"))), (status = 304, description = "As it was"), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(crate) async fn get(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    site: Result<Path<String>, PathRejection>,
    asked: Result<Query<Where>, QueryRejection>,
) -> Result<Response, Problem> {
    let host = host(&state, &caller, asked)?;
    let path = file(&caller, site)?;
    let file = state.gate.nginx(&caller, &host).get(GetNginxRequest { path }).await;
    let file = file.map_err(Problem::of(&caller))?.into_inner();
    let tag = format!("\"{}\"", file.sha256);
    Ok(([(header::ETAG, tag)], Json(file)).into_response())
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Page {
    /// Name of the host. May be left out where there is only one.
    host: Option<String>,
    /// 1 to 200. Default 50.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// Only versions older than this id. The same as `cursor`.
    #[param(minimum = 1)]
    before: Option<i64>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// A part of a history, newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct Versions {
    #[serde(flatten)]
    page: ListVersionsResponse,
    /// Pass as `cursor` for the next page. Empty: this was the last.
    next_cursor: String,
}

/// The versions of one file, newest first.
#[utoipa::path(get, path = "/api/configs/nginx/{site}/versions", tag = "configs", params(("site" = String, Path, description = "Name of the site, or percent-encoded path of the file"), Page), security(("bearer" = [])),
    responses((status = 200, body = Versions), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(crate) async fn versions(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    site: Result<Path<String>, PathRejection>,
    uri: shape::Asked,
    asked: Result<Query<Page>, QueryRejection>,
) -> Result<Response, Problem> {
    let asked = asked.map_err(Problem::of(&caller))?.0;
    let before = asked.before.map_or_else(|| cursor(asked.cursor.as_deref()), Ok);
    let request = ListVersionsRequest {
        host: configs::host(&state, &caller, asked.host.as_deref())
            .map_err(Problem::of(&caller))?
            .to_string(),
        path: file(&caller, site)?,
        limit: asked.limit.unwrap_or_default(),
        before_id: before.map_err(Problem::of(&caller))?,
    };
    let versions = state.gate.nginx_history(&caller).list(request).await;
    let page = versions.map_err(Problem::of(&caller))?.into_inner();
    let next = Some(page.next_before_id).filter(|id| *id > 0).map_or_else(String::new, |id| id.to_string());
    let body = Versions { page, next_cursor: next.clone() };
    Ok(shape::Page { body, next, uri: uri.0 }.into_response())
}

fn cursor(text: Option<&str>) -> Result<i64, Fault> {
    match text {
        None | Some("") => Ok(0),
        Some(text) => {
            text.parse().ok().filter(|id| *id > 0).ok_or_else(|| {
                Fault::invalid("this is no cursor").hint("Pass `next_cursor` as it was given.")
            })
        }
    }
}

/// One version of one file, with its content and what it changed.
#[utoipa::path(get, path = "/api/configs/versions/{version}", tag = "configs", params(("version" = i64, Path, description = "Id of the version", minimum = 1)), security(("bearer" = [])), responses((status = 200, body = NginxVersion)))]
pub(crate) async fn version(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    id: Result<Path<i64>, PathRejection>,
) -> Result<Json<NginxVersion>, Problem> {
    let id = id.map_err(Problem::of(&caller))?.0;
    let version = state.gate.nginx_history(&caller).get(GetVersionRequest { id }).await;
    Ok(Json(version.map_err(Problem::of(&caller))?.into_inner()))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Url {
    /// `https://cigars.example.org/posts`
    url: String,
    /// Name of the host. May be left out where there is only one.
    host: Option<String>,
}

/// Which server and location answers a URL, and why.
#[utoipa::path(get, path = "/api/configs/nginx/route", tag = "configs", params(Url), security(("bearer" = [])),
    responses((status = 200, body = RouteNginxResponse), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(crate) async fn route(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    asked: Result<Query<Url>, QueryRejection>,
) -> Result<Json<RouteNginxResponse>, Problem> {
    let asked = asked.map_err(Problem::of(&caller))?.0;
    let host = configs::host(&state, &caller, asked.host.as_deref()).map_err(Problem::of(&caller))?;
    let route = state.gate.nginx(&caller, &host).route(RouteNginxRequest { url: asked.url }).await;
    Ok(Json(route.map_err(Problem::of(&caller))?.into_inner()))
}

/// Files that were changed on the host past HMS.
#[utoipa::path(get, path = "/api/configs/nginx/drift", tag = "configs", params(Where), security(("bearer" = [])),
    responses((status = 200, body = DriftResponse), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(crate) async fn drift(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    asked: Result<Query<Where>, QueryRejection>,
) -> Result<Json<DriftResponse>, Problem> {
    let host = host(&state, &caller, asked)?.to_string();
    let drift = state.gate.nginx_history(&caller).drift(DriftRequest { host }).await;
    Ok(Json(drift.map_err(Problem::of(&caller))?.into_inner()))
}
