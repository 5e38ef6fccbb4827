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
    controller::v1::{DriftRequest, DriftResponse, ListVersionsRequest, ListVersionsResponse},
    host::v1::{
        GetNginxRequest, ListNginxRequest, NginxFile, NginxTree, RouteNginxRequest, RouteNginxResponse,
    },
    names::HostName,
};
use http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    super::{
        bearer::Bearer,
        problem::{Details, Problem},
    },
    Where, fault, host,
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
        Some(name) => vec![configs::host(&state, Some(&name)).map_err(Problem::of(&caller))?],
        None => {
            let hosts = state.fleet.hosts();
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
    responses((status = 200, body = NginxFile), (status = 304), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(crate) async fn get(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    site: Result<Path<String>, PathRejection>,
    asked: Result<Query<Where>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let host = host(&state, &caller, asked)?;
    let path = configs::path_of(&site.map_err(Problem::of(&caller))?);
    let file = state.gate.nginx(&caller, &host).get(GetNginxRequest { path }).await;
    let file = file.map_err(Problem::of(&caller))?.into_inner();
    let tag = format!("\"{}\"", file.sha256);
    let known = headers.get(header::IF_NONE_MATCH).and_then(|v| v.to_str().ok());
    Ok(match known == Some(&tag) {
        true => (StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response(),
        false => ([(header::ETAG, tag)], Json(file)).into_response(),
    })
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Page {
    /// Name of the host. May be left out where there is only one.
    host: Option<String>,
    /// 1 to 200. Default 50.
    limit: Option<u32>,
    /// Only versions older than this id.
    before: Option<i64>,
}

/// The versions of one file, newest first.
#[utoipa::path(get, path = "/api/configs/nginx/{site}/versions", tag = "configs", params(("site" = String, Path, description = "Name of the site, or percent-encoded path of the file"), Page), security(("bearer" = [])),
    responses((status = 200, body = ListVersionsResponse), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(crate) async fn versions(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    site: Result<Path<String>, PathRejection>,
    asked: Result<Query<Page>, QueryRejection>,
) -> Result<Json<ListVersionsResponse>, Problem> {
    let asked = asked.map_err(Problem::of(&caller))?.0;
    let request = ListVersionsRequest {
        host: configs::host(&state, asked.host.as_deref()).map_err(Problem::of(&caller))?.to_string(),
        path: configs::path_of(&site.map_err(Problem::of(&caller))?),
        limit: asked.limit.unwrap_or_default(),
        before_id: asked.before.unwrap_or_default(),
    };
    let versions = state.gate.nginx_history(&caller).list(request).await;
    Ok(Json(versions.map_err(Problem::of(&caller))?.into_inner()))
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
    let host = configs::host(&state, asked.host.as_deref()).map_err(Problem::of(&caller))?;
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
