//! `/api/logs`: what apps wrote.

use axum::{
    Json,
    extract::{
        Path, Query, State as Shared,
        rejection::{PathRejection, QueryRejection},
    },
};
use hms_proto::{
    fault::Fault,
    host::v1::{LogEntry, LogQuery},
    names::AppKey,
    when,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    bearer::Bearer,
    problem::{Details, Problem},
};
use crate::{api::grpc, state::State};

/// How many entries there are unless more are asked for.
const LINES: u32 = 100;
/// The answer is one document in memory.
const MOST: u32 = 10_000;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// At most so many entries, the newest ones: 1 to 10,000. Default 100.
    lines: Option<u32>,
    /// At or after this time: `2 h ago`, `today`, `2026-11-24 18:30` (UTC), RFC 3339.
    since: Option<String>,
    /// Before or at this time.
    until: Option<String>,
    /// Regular expression that the message must match.
    grep: Option<String>,
    /// Only entries at least as severe: 0 (emerg) to 7 (debug).
    priority: Option<u32>,
    /// Only entries after the one with this cursor.
    after: Option<String>,
}

/// Entries, oldest first.
#[derive(Serialize, ToSchema)]
pub(super) struct Entries {
    entries: Vec<LogEntry>,
}

/// What an app wrote, oldest first.
#[utoipa::path(get, path = "/api/logs/{app}", tag = "logs", params(("app" = String, Path, description = "Key of the app"), Asked), security(("bearer" = [])),
    responses((status = 200, body = Entries), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(super) async fn of_app(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    key: Result<Path<String>, PathRejection>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<Entries>, Problem> {
    let app = grpc::apps::find(&state.fleet, &AppKey::try_from(key?.as_str())?)?;
    let host = grpc::apps::host_of(&app)?;
    let query = query(asked?.0, app.unit_name)?;
    let mut chunks = state.gate.logs(&caller, &host).query(query).await?.into_inner();
    let mut entries = Vec::new();
    while let Some(chunk) = chunks.message().await? {
        entries.extend(chunk.entries);
    }
    Ok(Json(Entries { entries }))
}

fn query(asked: Asked, unit: String) -> Result<LogQuery, Fault> {
    let time = |text: Option<String>| {
        text.map_or(Ok(0), |t| when::parse_utc(&t)).map_err(|e| Fault::invalid(e.to_string()))
    };
    let limit = asked.lines.unwrap_or(LINES);
    if !(1..=MOST).contains(&limit) {
        return Err(Fault::invalid(format!("lines={limit} is not a number from 1 to {MOST}")));
    }
    if asked.priority.is_some_and(|p| p > 7) {
        return Err(Fault::invalid("priority is 0 to 7"));
    }
    Ok(LogQuery {
        units: vec![unit],
        since_usec: time(asked.since)?,
        until_usec: time(asked.until)?,
        grep: asked.grep.unwrap_or_default(),
        priority: asked.priority,
        limit,
        after_cursor: asked.after.unwrap_or_default(),
    })
}
