//! Changing: every change goes through the pipeline of the host's agent.

use axum::{
    Json,
    extract::{
        Path, Query, State as Shared,
        rejection::{PathRejection, QueryRejection},
    },
    response::{IntoResponse as _, Response},
};
use hms_proto::{
    controller::v1::{AdoptRequest, DriftResponse, GetVersionRequest},
    fault::{Fault, FaultKind},
    host::v1::{
        ApplyNginxRequest, ApplyNginxResponse, ConfirmNginxRequest, NginxChange, NginxTree,
        ReloadNginxRequest, RevertNginxRequest, TestNginxRequest, TestNginxResponse, nginx_change::Action,
    },
    names::HostName,
};
use http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    super::{
        bearer::Bearer,
        json::Body,
        problem::{self, Details, Problem},
    },
    Where, fault, file, host,
};
use crate::{api::configs, auth::Caller, state::State};

/// How a change is made.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Manner {
    /// Seconds within which somebody must confirm it, 10 to 3,600; else it is put back. 0: it stands at once.
    confirm_s: u32,
    /// Why, for the history.
    reason: String,
    /// Directives outside the ordinary ones that are wanted.
    accept: Vec<String>,
}

/// The new content of a file.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewContent {
    /// At most 1 MiB.
    content: String,
    #[serde(default)]
    confirm_s: u32,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    accept: Vec<String>,
}

/// One change: `path`, and exactly one of the others.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    /// Relative to /etc/nginx: `sites-available/cigar`.
    path: String,
    /// The new content; makes the file where there is none.
    content: Option<String>,
    /// Removes the file.
    delete: Option<bool>,
    /// Enables or disables a site.
    enable: Option<bool>,
    /// Moves a broken file out of nginx's sight, or back.
    quarantine: Option<bool>,
    /// The hash that the caller saw. Empty with `content`: there must be no such file yet.
    #[serde(default)]
    expected_sha256: String,
}

impl TryFrom<Change> for NginxChange {
    type Error = Fault;

    fn try_from(change: Change) -> Result<Self, Fault> {
        let action = match (change.content, change.delete, change.enable, change.quarantine) {
            (Some(content), None, None, None) => Action::Content(content),
            (None, Some(delete), None, None) => Action::Delete(delete),
            (None, None, Some(enable), None) => Action::Enable(enable),
            (None, None, None, Some(quarantine)) => Action::Quarantine(quarantine),
            _ => {
                return Err(Fault::invalid(
                    "a change has exactly one of content, delete, enable and quarantine",
                ));
            }
        };
        Ok(Self { path: change.path, expected_sha256: change.expected_sha256, action: Some(action) })
    }
}

/// Changes that are made together, or not at all.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Changes {
    changes: Vec<Change>,
    #[serde(default)]
    confirm_s: u32,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    accept: Vec<String>,
}

/// What is to be tested; without changes the tree as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tested {
    #[serde(default)]
    changes: Vec<Change>,
    #[serde(default)]
    accept: Vec<String>,
}

/// What became of a change.
#[derive(Serialize, ToSchema)]
pub(crate) struct Applied {
    /// Of this apply: what `confirm` and `revert` name.
    id: String,
    /// Finds the call in the audit and in the logs.
    request_id: String,
    #[serde(flatten)]
    applied: ApplyNginxResponse,
}

/// Which change is meant.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Which {
    /// Of the apply. Empty: the one that waits.
    id: String,
}

fn read(changes: Vec<Change>) -> Result<Vec<NginxChange>, Fault> {
    changes.into_iter().map(NginxChange::try_from).collect()
}

async fn perform(
    state: &State,
    caller: &Caller,
    host: &HostName,
    changes: Vec<NginxChange>,
    manner: Manner,
) -> Result<Applied, Fault> {
    let id = Uuid::now_v7().to_string();
    let Manner { confirm_s, reason, accept } = manner;
    let request = ApplyNginxRequest { id: id.clone(), changes, accept, confirm_s, reason };
    let applied = state.gate.nginx(caller, host).apply(request).await.map_err(fault)?.into_inner();
    Ok(Applied { id, request_id: caller.request_id.to_string(), applied })
}

/// The hash that a write expects: `If-Match: "HASH"`, or `If-None-Match: *` for a file that must not be there yet.
fn expected(headers: &HeaderMap) -> Option<String> {
    let text = |name| headers.get(name).and_then(|v| v.to_str().ok()).map(str::trim);
    match (text(header::IF_MATCH), text(header::IF_NONE_MATCH)) {
        (Some(tag), None) => Some(tag.strip_prefix('"')?.strip_suffix('"')?.to_owned()),
        (None, Some("*")) => Some(String::new()),
        _ => None,
    }
}

/// Writes one file. `If-Match` names the version that was read, or `If-None-Match: *` a new file; a file that changed
/// meanwhile is answered with 412 and both sides.
#[utoipa::path(put, path = "/api/configs/nginx/{site}", tag = "configs", request_body = NewContent, params(("site" = String, Path, description = "Name of the site, or percent-encoded path of the file"), ("If-Match" = Option<String>, Header, description = "The `ETag` of the file that was read"), ("If-None-Match" = Option<String>, Header, description = "`*`: there must be no such file yet"), Where), security(("bearer" = [])),
    responses((status = 200, body = Applied), (status = 412, body = Details, content_type = "application/problem+json"), (status = 428, body = Details, content_type = "application/problem+json"), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(crate) async fn put(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    site: Result<Path<String>, PathRejection>,
    asked: Result<Query<Where>, QueryRejection>,
    headers: HeaderMap,
    Body(new): Body<NewContent>,
) -> Result<Response, Problem> {
    let host = host(&state, &caller, asked)?;
    let path = file(&caller, site)?;
    let Some(expected) = expected(&headers) else {
        let fault = Fault::invalid("the request does not say which version it replaces")
            .hint("Send `If-Match` with the ETag of the file, or `If-None-Match: *` for a new one.");
        let problem = Problem::of(&caller)(fault);
        return Ok(problem::with_status(StatusCode::PRECONDITION_REQUIRED, problem));
    };
    let NewContent { content, confirm_s, reason, accept } = new;
    let change = NginxChange {
        path: path.clone(),
        expected_sha256: expected.clone(),
        action: Some(Action::Content(content.clone())),
    };
    let manner = Manner { confirm_s, reason, accept };
    match perform(&state, &caller, &host, vec![change], manner).await {
        Ok(applied) => Ok(tagged(&path, applied)),
        Err(fault) if fault.kind() == FaultKind::Conflict => {
            let clash =
                configs::clash(&state, &caller, &host, &path, &expected, &content).await.ok().map(Box::new);
            let problem = Problem::of(&caller)(fault).with_clash(clash);
            Ok(problem::with_status(StatusCode::PRECONDITION_FAILED, problem))
        }
        Err(fault) => Err(Problem::of(&caller)(fault)),
    }
}

fn tagged(path: &str, applied: Applied) -> Response {
    let files = applied.applied.tree.iter().flat_map(|t| &t.files);
    let sha256 = files.into_iter().find(|f| f.path == path).map(|f| f.sha256.clone()).unwrap_or_default();
    ([(header::ETAG, format!("\"{sha256}\""))], Json(applied)).into_response()
}

/// Which version is wanted back, and how.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Restore {
    version_id: i64,
    #[serde(default)]
    confirm_s: u32,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    accept: Vec<String>,
}

/// Brings an earlier version back, through the same tests as any change.
#[utoipa::path(post, path = "/api/configs/nginx/{site}/restore", tag = "configs", request_body = Restore, params(("site" = String, Path, description = "Name of the site, or percent-encoded path of the file"), Where), security(("bearer" = [])),
    responses((status = 200, body = Applied), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(crate) async fn restore(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    site: Result<Path<String>, PathRejection>,
    asked: Result<Query<Where>, QueryRejection>,
    Body(wanted): Body<Restore>,
) -> Result<Json<Applied>, Problem> {
    let host = host(&state, &caller, asked)?;
    let path = file(&caller, site)?;
    let version = state.gate.nginx_history(&caller).get(GetVersionRequest { id: wanted.version_id }).await;
    let version = version.map_err(Problem::of(&caller))?.into_inner();
    if version.path != path {
        let fault = Fault::invalid(format!("version {} is one of {}", version.id, version.path));
        return Err(Problem::of(&caller)(fault));
    }
    let current = configs::current(&state, &caller, &host, &path).await.map_err(Problem::of(&caller))?;
    let action = match version.sha256.is_empty() {
        true => Action::Delete(true),
        false => Action::Content(version.content),
    };
    let expected_sha256 = current.map(|f| f.sha256).unwrap_or_default();
    let change = NginxChange { path, expected_sha256, action: Some(action) };
    let Restore { confirm_s, reason, accept, version_id } = wanted;
    let reason = if reason.is_empty() { format!("restore version {version_id}") } else { reason };
    let done = perform(&state, &caller, &host, vec![change], Manner { confirm_s, reason, accept }).await;
    Ok(Json(done.map_err(Problem::of(&caller))?))
}

/// Tests changes, or the tree as it is. Changes nothing.
#[utoipa::path(post, path = "/api/configs/nginx/test", tag = "configs", request_body = Tested, params(Where), security(("bearer" = [])),
    responses((status = 200, body = TestNginxResponse), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(crate) async fn test(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    asked: Result<Query<Where>, QueryRejection>,
    Body(tested): Body<Tested>,
) -> Result<Json<TestNginxResponse>, Problem> {
    let host = host(&state, &caller, asked)?;
    let changes = read(tested.changes).map_err(Problem::of(&caller))?;
    let request = TestNginxRequest { changes, accept: tested.accept };
    let done = state.gate.nginx(&caller, &host).test(request).await;
    Ok(Json(done.map_err(Problem::of(&caller))?.into_inner()))
}

/// Makes several changes as one: contents, deletions, enabling, quarantine.
#[utoipa::path(post, path = "/api/configs/nginx/apply", tag = "configs", request_body = Changes, params(Where), security(("bearer" = [])),
    responses((status = 200, body = Applied), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(crate) async fn apply(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    asked: Result<Query<Where>, QueryRejection>,
    Body(wanted): Body<Changes>,
) -> Result<Json<Applied>, Problem> {
    let host = host(&state, &caller, asked)?;
    let Changes { changes, confirm_s, reason, accept } = wanted;
    let changes = read(changes).map_err(Problem::of(&caller))?;
    let done = perform(&state, &caller, &host, changes, Manner { confirm_s, reason, accept }).await;
    Ok(Json(done.map_err(Problem::of(&caller))?))
}

/// Keeps a change that waits to be confirmed.
#[utoipa::path(post, path = "/api/configs/nginx/confirm", tag = "configs", request_body = Which, params(Where), security(("bearer" = [])),
    responses((status = 200, body = NginxTree), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(crate) async fn confirm(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    asked: Result<Query<Where>, QueryRejection>,
    Body(which): Body<Which>,
) -> Result<Json<NginxTree>, Problem> {
    let host = host(&state, &caller, asked)?;
    let id = configs::pending(&state, &host, Some(which.id)).map_err(Problem::of(&caller))?;
    let done = state.gate.nginx(&caller, &host).confirm(ConfirmNginxRequest { id }).await;
    Ok(Json(done.map_err(Problem::of(&caller))?.into_inner()))
}

/// Puts back what a change that waits to be confirmed replaced.
#[utoipa::path(post, path = "/api/configs/nginx/revert", tag = "configs", request_body = Which, params(Where), security(("bearer" = [])),
    responses((status = 200, body = NginxTree), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(crate) async fn revert(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    asked: Result<Query<Where>, QueryRejection>,
    Body(which): Body<Which>,
) -> Result<Json<NginxTree>, Problem> {
    let host = host(&state, &caller, asked)?;
    let id = configs::pending(&state, &host, Some(which.id)).map_err(Problem::of(&caller))?;
    let done = state.gate.nginx(&caller, &host).revert(RevertNginxRequest { id }).await;
    Ok(Json(done.map_err(Problem::of(&caller))?.into_inner()))
}

/// Tests the tree as it is and has nginx read it again.
#[utoipa::path(post, path = "/api/configs/nginx/reload", tag = "configs", params(Where), security(("bearer" = [])),
    responses((status = 200, body = ApplyNginxResponse), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(crate) async fn reload(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    asked: Result<Query<Where>, QueryRejection>,
) -> Result<Json<ApplyNginxResponse>, Problem> {
    let host = host(&state, &caller, asked)?;
    let done = state.gate.nginx(&caller, &host).reload(ReloadNginxRequest {}).await;
    Ok(Json(done.map_err(Problem::of(&caller))?.into_inner()))
}

/// Which edits made past HMS are taken over.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Adopt {
    /// None: all.
    paths: Vec<String>,
    reason: String,
}

/// Takes what is on the host as the new known state, and answers with what still differs.
#[utoipa::path(post, path = "/api/configs/nginx/adopt", tag = "configs", request_body = Adopt, params(Where), security(("bearer" = [])),
    responses((status = 200, body = DriftResponse), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(crate) async fn adopt(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    asked: Result<Query<Where>, QueryRejection>,
    Body(wanted): Body<Adopt>,
) -> Result<Json<DriftResponse>, Problem> {
    let host = host(&state, &caller, asked)?.to_string();
    let request = AdoptRequest { host, paths: wanted.paths, reason: wanted.reason };
    let done = state.gate.nginx_history(&caller).adopt(request).await;
    Ok(Json(done.map_err(Problem::of(&caller))?.into_inner()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_says_which_version_it_replaces() {
        let with = |name: header::HeaderName, value: &str| {
            expected(&HeaderMap::from_iter([(name, value.parse().unwrap())]))
        };
        assert_eq!(with(header::IF_MATCH, "\"ab12\"").as_deref(), Some("ab12"));
        assert_eq!(with(header::IF_NONE_MATCH, "*").as_deref(), Some(""));
        for (name, value) in [
            (header::IF_MATCH, "*"),
            (header::IF_MATCH, "W/\"ab12\""),
            (header::IF_MATCH, "ab12"),
            (header::IF_NONE_MATCH, "\"ab12\""),
        ] {
            assert_eq!(with(name, value), None, "{value}");
        }
        assert_eq!(expected(&HeaderMap::new()), None);
    }

    #[test]
    fn a_change_is_exactly_one_thing() {
        let read = |json: &str| {
            let change: Change = serde_json::from_str(json).map_err(|e| Fault::invalid(e.to_string()))?;
            NginxChange::try_from(change)
        };
        let made = read(r#"{"path":"sites-available/a","enable":true}"#).unwrap();
        assert_eq!(made.action, Some(Action::Enable(true)));
        for bad in [
            r#"{"path":"a"}"#,
            r#"{"path":"a","content":"x","delete":true}"#,
            r#"{"path":"a","enable":1}"#,
            r#"{"path":"a","enable":true,"force":true}"#,
            r#"{"enable":true}"#,
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
