//! `/api/scripts`: the troubleshooting scripts, and running them.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{Path, State as Shared, rejection::PathRejection},
    response::{IntoResponse, Response},
};
use hms_proto::{
    controller::v1::{
        GetScriptRequest, GetScriptResponse, ListScriptsRequest, ListScriptsResponse, Run, RunRequest,
        SyncScriptsRequest, SyncScriptsResponse, Target,
    },
    script,
};
use http::{StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    bearer::Bearer,
    json::Body,
    problem::{Details, Problem},
};
use crate::state::State;

/// Which hosts: exactly one of these.
#[derive(Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Where {
    /// These hosts.
    hosts: Vec<String>,
    /// All hosts that have this label.
    label: String,
    /// All hosts.
    all: bool,
    /// The hosts of this run on which it did not succeed.
    failed_of: String,
}

impl From<Where> for Target {
    fn from(on: Where) -> Self {
        let Where { hosts, label, all, failed_of } = on;
        Self { hosts, label, all, failed_of }
    }
}

/// The value of a parameter.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum Value {
    Text(String),
    Number(i64),
    Choice(bool),
}

/// Values by the names of their parameters, as the contract has them.
pub(super) fn texts(values: BTreeMap<String, Value>) -> BTreeMap<String, String> {
    let text = |value| match value {
        Value::Text(text) => text,
        Value::Number(number) => number.to_string(),
        Value::Choice(choice) => choice.to_string(),
    };
    values.into_iter().map(|(name, value)| (name, text(value))).collect()
}

/// What to run, and where.
#[derive(Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Wanted {
    target: Where,
    /// By name. What is not given has its default.
    parameters: BTreeMap<String, Value>,
    /// Ask the script for JSON.
    json: bool,
    /// Seconds for each host; 0: the script's own limit, which is also the most.
    timeout_s: u32,
    /// On how many hosts at a time; 0: 10.
    batch: u32,
    /// After so many hosts on which it did not succeed, no further one is begun; 0: never stop.
    max_failures: u32,
    /// A UUID of your own: asking twice with it begins one run. Empty: a new one.
    id: String,
}

impl Wanted {
    fn of(self, script: String) -> RunRequest {
        RunRequest {
            script,
            target: Some(self.target.into()),
            parameters: texts(self.parameters),
            json: self.json,
            timeout_s: self.timeout_s,
            batch: self.batch,
            max_failures: self.max_failures,
            id: self.id,
        }
    }
}

/// All scripts with their parameters.
#[utoipa::path(get, path = "/api/scripts", tag = "scripts", security(("bearer" = [])),
    responses((status = 200, body = ListScriptsResponse), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(super) async fn list(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
) -> Result<Json<ListScriptsResponse>, Problem> {
    let scripts = state.gate.scripts(&caller).list(ListScriptsRequest {}).await;
    Ok(Json(scripts.map_err(Problem::of(&caller))?.into_inner()))
}

/// A script to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[schema(pattern = "^[a-z][a-z0-9_]{0,63}$")]
    name: String,
    /// The text of its `manifest.toml`.
    manifest: String,
    /// The script itself: a first line with `#!` and an absolute program. At most 256 KiB.
    content: String,
}

/// What the scripts are to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Catalogue {
    /// All there are to be: at most 200, together at most 3 MiB.
    scripts: Vec<File>,
    /// Only say what would change.
    #[serde(default)]
    dry_run: bool,
}

/// Makes these the scripts of the installation: others are removed, changed ones replaced. All of them, or none.
#[utoipa::path(put, path = "/api/scripts", tag = "scripts", security(("bearer" = [])), request_body = Catalogue, responses((status = 200, body = SyncScriptsResponse)))]
pub(super) async fn sync(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    Body(Catalogue { scripts, dry_run }): Body<Catalogue>,
) -> Result<Json<SyncScriptsResponse>, Problem> {
    let read = |file: File| script::read(&file.name, &file.manifest, file.content.into_bytes());
    let scripts: Result<Vec<_>, _> = scripts.into_iter().map(read).collect();
    let request = SyncScriptsRequest { scripts: scripts.map_err(Problem::of(&caller))?, dry_run };
    let synced = state.gate.scripts(&caller).sync(request).await;
    Ok(Json(synced.map_err(Problem::of(&caller))?.into_inner()))
}

/// One script, with its text and whether each host has it.
#[utoipa::path(get, path = "/api/scripts/{script}", tag = "scripts", params(("script" = String, Path, description = "Name of the script")), security(("bearer" = [])),
    responses((status = 200, body = GetScriptResponse), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(super) async fn get(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    name: Result<Path<String>, PathRejection>,
) -> Result<Json<GetScriptResponse>, Problem> {
    let script = state.gate.scripts(&caller).get(GetScriptRequest { name: name?.0 }).await;
    Ok(Json(script.map_err(Problem::of(&caller))?.into_inner()))
}

/// Begins a run of a script, and answers at once. The run goes on whatever becomes of the client.
#[utoipa::path(post, path = "/api/scripts/{script}/run", tag = "scripts", params(("script" = String, Path, description = "Name of the script")), security(("bearer" = [])), request_body = Wanted,
    responses((status = 202, body = Run, description = "It has begun", headers(("Location" = String, description = "Where the run is"))), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(super) async fn run(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    name: Result<Path<String>, PathRejection>,
    Body(wanted): Body<Wanted>,
) -> Result<Response, Problem> {
    let run = state.gate.jobs(&caller).run(wanted.of(name?.0)).await;
    let run = run.map_err(Problem::of(&caller))?.into_inner();
    let place = [(header::LOCATION, format!("/api/runs/{}", run.id))];
    Ok((StatusCode::ACCEPTED, place, Json(run)).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_run_is_read_strictly() {
        let read = |text: &str| serde_json::from_str::<Wanted>(text).map(|wanted| wanted.of("hello".into()));
        let request = read(
            r#"{"target": {"label": "web"}, "parameters": {"app": "cigar", "days": 7, "deep": true}, "batch": 2}"#,
        )
        .unwrap();
        assert_eq!((request.script.as_str(), request.batch), ("hello", 2));
        assert_eq!(request.target.unwrap().label, "web");
        let values: Vec<_> = request.parameters.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(values, [("app", "cigar"), ("days", "7"), ("deep", "true")]);
        assert!(read("{}").is_ok(), "where it is to run is checked with everything else");
        for bad in [
            r#"{"script": "other"}"#,
            r#"{"target": {"host": "a"}}"#,
            r#"{"parameters": {"a": ["b"]}}"#,
            r#"{"parameters": {"a": 1.5}}"#,
            r#"{"batch": -1}"#,
            r#"{"timeout_s": 4294967296}"#,
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
