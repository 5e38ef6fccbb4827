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
    host::v1::{LogEntry, LogGap, LogQuery},
    names::{AppKey, HostName},
    when,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    bearer::Bearer,
    problem::{Details, Problem},
};
use crate::{api::grpc, auth::Caller, state::State};

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
#[derive(Default, Serialize, ToSchema)]
pub(super) struct Entries {
    entries: Vec<LogEntry>,
    /// Places where entries are missing.
    gaps: Vec<LogGap>,
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
    let key = key?;
    let asked = asked.map_err(Problem::of(&caller))?.0;
    let entries = read(&state, &caller, &key, asked).await;
    entries.map(Json).map_err(Problem::of(&caller))
}

async fn read(state: &State, caller: &Caller, key: &str, asked: Asked) -> Result<Entries, Fault> {
    let (host, query) = meant(state, key, asked)?;
    let fault = |status: tonic::Status| Fault::from_status(&status);
    let mut chunks = state.gate.logs(caller, &host).query(query).await.map_err(fault)?.into_inner();
    let mut read = Entries::default();
    while let Some(chunk) = chunks.message().await.map_err(fault)? {
        read.gaps.extend(chunk.gap);
        read.entries.extend(chunk.entries);
        // An agent keeps to the limit; one that does not must not fill our memory.
        if read.entries.len() > MOST as usize {
            read.entries.truncate(MOST as usize);
            break;
        }
    }
    Ok(read)
}

fn meant(state: &State, key: &str, asked: Asked) -> Result<(HostName, LogQuery), Fault> {
    let app = grpc::apps::find(&state.fleet, &AppKey::try_from(key)?)?;
    Ok((grpc::apps::host_of(&app)?, query(asked, app.unit_name)?))
}

fn query(asked: Asked, unit: String) -> Result<LogQuery, Fault> {
    let time = |text: Option<String>| {
        let text = text.filter(|t| !t.trim().is_empty());
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
        ..LogQuery::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<LogQuery, Fault> {
        let uri: http::Uri = format!("/?{text}").parse().unwrap();
        let Query(asked) = Query::<Asked>::try_from_uri(&uri).map_err(|e| Fault::invalid(e.body_text()))?;
        query(asked, "puma-cigar.service".into())
    }

    #[test]
    fn a_query_is_read_with_its_defaults() {
        assert_eq!(parse("").unwrap().limit, 100);
        let query = parse("lines=10000&priority=3&grep=a%2Bb&since=2026-11-24T12:00:00Z&until=").unwrap();
        assert_eq!((query.limit, query.priority, query.grep.as_str()), (10_000, Some(3), "a+b"));
        assert_eq!((query.since_usec, query.until_usec), (1_795_521_600_000_000, 0));
        assert_eq!(query.units, ["puma-cigar.service"]);
    }

    /// Security cases 19 and 23.
    #[test]
    fn values_out_of_range_and_unknown_parameters_are_refused() {
        for bad in [
            "lines=0",
            "lines=-1",
            "lines=10001",
            "lines=9223372036854775808",
            "lines=1e3",
            "lines=x",
            "lines=1&lines=2",
            "priority=8",
            "priority=-1",
            "since=whenever",
            "until=%00",
            "order=asc",
            "unit=sshd.service",
            "access_token=x",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
