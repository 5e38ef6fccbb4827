//! `/api/apps` as data: adding and removing apps, and their settings with the version that a change rests on.

use axum::{
    Json,
    extract::{
        Path, Query, State as Shared,
        rejection::{PathRejection, QueryRejection},
    },
    response::{IntoResponse as _, Response},
};
use hms_proto::{
    controller::v1::{AdoptAppFileRequest, AppSettings, GetAppRequest, RemoveAppRequest, RemoveAppResponse},
    fault::{Fault, FaultKind},
};
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::{
    bearer::Bearer,
    exact,
    json::{self, Body, Message},
    problem::{self, Details, Problem},
};
use crate::{auth::Caller, state::State};

fn tagged(status: StatusCode, settings: AppSettings) -> Response {
    (status, [(header::ETAG, format!("\"{}\"", settings.version))], Json(settings)).into_response()
}

/// Adds an app. Its host is not touched: the first deployment does that. What is left out gets a sensible value.
#[utoipa::path(post, path = "/api/apps", tag = "apps", security(("bearer" = [])), request_body = AppSettings,
    responses((status = 201, body = AppSettings, headers(("Location" = String, description = "Where the settings are"), ("ETag" = String, description = "The version, for `If-Match`"))), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(super) async fn add(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    Message(given): Message<AppSettings>,
) -> Result<Response, Problem> {
    let settings = state.gate.apps(&caller).add(given).await.map_err(Problem::of(&caller))?.into_inner();
    let place = [(header::LOCATION, format!("/api/apps/{}/settings", settings.key))];
    Ok((place, tagged(StatusCode::CREATED, settings)).into_response())
}

/// The settings of an app. The `ETag` is the version that a change names.
#[utoipa::path(get, path = "/api/apps/{app}/settings", tag = "apps", params(("app" = String, Path, description = "Key of the app")), security(("bearer" = [])),
    responses((status = 200, body = AppSettings, headers(("ETag" = String, description = "The version, for `If-Match`"))), (status = 304, description = "As it was"), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(super) async fn get(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    key: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let settings = settings(&state, &caller, key?.0).await.map_err(Problem::of(&caller))?;
    Ok(tagged(StatusCode::OK, settings))
}

async fn settings(state: &State, caller: &Caller, key: String) -> Result<AppSettings, Fault> {
    let settings = state.gate.apps(caller).get_settings(GetAppRequest { key }).await;
    settings.map(tonic::Response::into_inner).map_err(|status| Fault::from_status(&status))
}

/// Replaces the settings of an app: what is left out gets its default, or nothing. They reach the host with the next
/// deployment, or with `apply`. `If-Match` names the version that was read; another by now is answered with 412.
#[utoipa::path(put, path = "/api/apps/{app}/settings", tag = "apps", params(("app" = String, Path, description = "Key of the app"), ("If-Match" = String, Header, description = "The `ETag` of the settings that were read")), security(("bearer" = [])), request_body = AppSettings,
    responses((status = 200, body = AppSettings, headers(("ETag" = String, description = "The version, for `If-Match`"))), (status = 412, body = Details, content_type = "application/problem+json"), (status = 428, body = Details, content_type = "application/problem+json"), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(super) async fn put(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    key: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    Message(given): Message<AppSettings>,
) -> Result<Response, Problem> {
    let Some(version) = expected(&headers) else { return Ok(no_version(&caller)) };
    edit(&state, &caller, key?.0, given, version).await
}

/// Changes some settings of an app: a JSON merge patch (RFC 7396), so `null` takes a value away.
#[utoipa::path(patch, path = "/api/apps/{app}/settings", tag = "apps", params(("app" = String, Path, description = "Key of the app"), ("If-Match" = Option<String>, Header, description = "The `ETag` of the settings that were read")), security(("bearer" = [])), request_body = AppSettings,
    responses((status = 200, body = AppSettings, headers(("ETag" = String, description = "The version, for `If-Match`"))), (status = 412, body = Details, content_type = "application/problem+json"), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(super) async fn patch(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    key: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    Body(patch): Body<Value>,
) -> Result<Response, Problem> {
    let key = key?.0;
    let now = settings(&state, &caller, key.clone()).await.map_err(Problem::of(&caller))?;
    // A patch alone says what it changes: without a version it is made on top of what there is.
    let version = expected(&headers).unwrap_or_else(|| now.version.clone());
    let given = patched(now, &patch).map_err(Problem::of(&caller))?;
    edit(&state, &caller, key, given, version).await
}

async fn edit(
    state: &State,
    caller: &Caller,
    key: String,
    given: AppSettings,
    version: String,
) -> Result<Response, Problem> {
    if !given.key.is_empty() && given.key != key {
        let fault = Fault::invalid("the key of an app does not change");
        return Err(Problem::of(caller)(fault));
    }
    let edited = state
        .gate
        .apps(caller)
        .edit(AppSettings { key: key.clone(), version: version.clone(), ..given })
        .await;
    match edited.map_err(|status| Fault::from_status(&status)) {
        Ok(settings) => Ok(tagged(StatusCode::OK, settings.into_inner())),
        Err(fault) if fault.kind() == FaultKind::Conflict => {
            // Of the conflicts, only that of versions is one of preconditions.
            let now = settings(state, caller, key).await.map_err(Problem::of(caller))?;
            match now.version == version {
                true => Err(Problem::of(caller)(fault)),
                false => {
                    Ok(problem::with_status(StatusCode::PRECONDITION_FAILED, Problem::of(caller)(fault)))
                }
            }
        }
        Err(fault) => Err(Problem::of(caller)(fault)),
    }
}

fn expected(headers: &HeaderMap) -> Option<String> {
    let tag = headers.get(header::IF_MATCH)?.to_str().ok()?.trim();
    Some(tag.strip_prefix('"')?.strip_suffix('"')?.to_owned()).filter(|version| !version.is_empty())
}

fn no_version(caller: &Caller) -> Response {
    let fault = Fault::invalid("the request does not say which version it replaces")
        .hint("Send `If-Match` with the ETag of the settings.");
    problem::with_status(StatusCode::PRECONDITION_REQUIRED, Problem::of(caller)(fault))
}

fn patched(now: AppSettings, patch: &Value) -> Result<AppSettings, Fault> {
    let mut all = serde_json::to_value(&now).map_err(|_| Fault::invalid("the settings have no JSON form"))?;
    if !patch.is_object() {
        return Err(json::misfit(exact::Misfit::must_be("an object")));
    }
    merge(&mut all, patch);
    json::message(&all)
}

/// RFC 7396, section 2.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Value::Object(target) = target else { return };
    for (name, value) in patch {
        match value {
            Value::Null => drop(target.remove(name)),
            value => merge(target.entry(name.clone()).or_insert(Value::Null), value),
        }
    }
}

/// Which file.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Adopted {
    /// service, socket, puma, site or logrotate.
    item: String,
}

/// Takes over a file that was changed by hand on the host, as the app's own text from now on.
#[utoipa::path(post, path = "/api/apps/{app}/adopt", tag = "apps", params(("app" = String, Path, description = "Key of the app")), security(("bearer" = [])), request_body = Adopted,
    responses((status = 200, body = AppSettings, headers(("ETag" = String, description = "The version, for `If-Match`"))), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(super) async fn adopt(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    key: Result<Path<String>, PathRejection>,
    Body(Adopted { item }): Body<Adopted>,
) -> Result<Response, Problem> {
    let settings = state.gate.apps(&caller).adopt(AdoptAppFileRequest { key: key?.0, item }).await;
    Ok(tagged(StatusCode::OK, settings.map_err(Problem::of(&caller))?.into_inner()))
}

#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct Removed {
    /// Also take it away from its host: stop it, and remove its units and its site.
    #[param(required = false)]
    from_host: bool,
    /// With `from_host`: also delete its releases, shared files and database.
    #[param(required = false)]
    delete_data: bool,
}

/// Forgets an app. With `from_host` it is taken away from its host first: the answer is 202, and its job is where that is
/// followed.
#[utoipa::path(delete, path = "/api/apps/{app}", tag = "apps", params(("app" = String, Path, description = "Key of the app"), Removed), security(("bearer" = [])),
    responses((status = 202, body = RemoveAppResponse, description = "It is being taken away", headers(("Location" = String, description = "The job"))), (status = 204), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(super) async fn remove(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    key: Result<Path<String>, PathRejection>,
    how: Result<Query<Removed>, QueryRejection>,
) -> Result<Response, Problem> {
    let Removed { from_host, delete_data } = how.map_err(Problem::of(&caller))?.0;
    let removed =
        state.gate.apps(&caller).remove(RemoveAppRequest { key: key?.0, from_host, delete_data }).await;
    let removed = removed.map_err(Problem::of(&caller))?.into_inner();
    let place = [(header::LOCATION, format!("/api/jobs/{}", removed.deployment_id))];
    Ok(match removed.deployment_id.is_empty() {
        true => StatusCode::NO_CONTENT.into_response(),
        false => (StatusCode::ACCEPTED, place, Json(removed)).into_response(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The examples of RFC 7396, appendix A, that an object can be.
    #[test]
    fn patches_are_merged_as_the_rfc_says() {
        for (before, patch, after) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({"a": [1]}), json!({"a": {"b": 1}}), json!({"a": {"b": 1}})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ] {
            let mut target = before.clone();
            merge(&mut target, &patch);
            assert_eq!(target, after, "{before} {patch}");
        }
    }

    #[test]
    fn a_patch_changes_what_it_names_and_nothing_else() {
        let now = AppSettings {
            key: "cigar".into(),
            name: "Cigar".into(),
            enabled: true,
            ..AppSettings::default()
        };
        let patch = json!({"name": "Cigars", "spec": {"workers": 2, "environment": {"A": "b"}}});
        let then = patched(now.clone(), &patch).unwrap();
        let spec = then.spec.clone().unwrap();
        assert_eq!((then.name.as_str(), then.enabled, spec.workers), ("Cigars", true, 2));
        assert_eq!(spec.environment["A"], "b");
        for bad in
            [json!({"nmae": "x"}), json!({"spec": {"worker": 2}}), json!([]), json!({"enabled": "canary"})]
        {
            let fault = patched(now.clone(), &bad).unwrap_err();
            assert!(!fault.message.contains("canary"), "{}", fault.message);
        }
    }
}
