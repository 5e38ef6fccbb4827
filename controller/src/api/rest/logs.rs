//! `/api/logs`: what apps, hosts and nginx wrote.

mod stream;

use axum::{
    Json,
    extract::{
        Path, Query, State as Shared,
        rejection::{PathRejection, QueryRejection},
    },
    http::HeaderMap,
    response::{IntoResponse as _, Response},
};
use hms_proto::{
    fault::Fault,
    host::v1::{LogEntry, LogGap},
    merge::{Piece, Places},
    names::HostName,
    search::{Search, SourceKind},
};
use http::header;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    bearer::Bearer,
    problem::{Details, Problem},
};
use crate::{
    auth::Caller,
    logs::{self, Away, Found, Want},
    state::State,
};

/// How many entries there are unless more are asked for.
const LINES: u32 = 100;
/// The answer is one document in memory.
const MOST: u32 = 10_000;
/// The parts of a histogram, unless more or less are asked for.
const BUCKETS: u32 = 60;
const MOST_BUCKETS: u32 = 500;

/// Of which apps, where the path does not name one.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what `Search` reads, for the OpenAPI document")]
pub(super) struct OfApps {
    /// Of this app: its journal and its files. May be repeated.
    app: Option<Vec<String>>,
}

/// Out of which sources, where the path does not name one.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what `Search` reads, for the OpenAPI document")]
pub(super) struct OutOf {
    /// `journal`, `app`, `access`, `error`, or one file of the last three: `access/cigar.access.log`. May be repeated.
    source: Option<Vec<String>>,
}

/// The parameters of every search.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what `Search` reads, for the OpenAPI document")]
pub(super) struct Asked {
    /// On this host. May be repeated; without it, where the apps run, or everywhere.
    host: Option<Vec<String>>,
    /// Of this unit, in the journal. May be repeated.
    unit: Option<Vec<String>>,
    /// Only entries at least as severe: 0 (emerg) to 7 (debug), or the word.
    priority: Option<String>,
    /// At or after this time: `2 h ago`, `today`, `2026-11-24 18:30` (UTC), RFC 3339.
    since: Option<String>,
    /// Before or at this time.
    until: Option<String>,
    /// Regular expression that the message must match.
    grep: Option<String>,
    /// A condition: `status>=500`, `method=POST`, `path~^/api`, `_SYSTEMD_UNIT=cron.service`. May be repeated; all must be true.
    r#where: Option<Vec<String>>,
    /// At which end of the time reading begins: `newest` (default) or `oldest`. Entries are always listed oldest first.
    from: Option<String>,
}

/// Where to go on, and how far.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what is taken out of the parameters, for the OpenAPI document")]
pub(super) struct Paging {
    /// Only entries before this place (`before` of an answer).
    before: Option<String>,
    /// Only entries after this place (`after` of an answer, or the `id` of an event).
    after: Option<String>,
    /// At most so many entries: 1 to 10,000. Default 100.
    #[param(minimum = 1, maximum = 10_000)]
    lines: Option<u32>,
}

/// An entry, and where it was written.
#[derive(Serialize, ToSchema)]
pub(super) struct Entry {
    host: String,
    #[serde(flatten)]
    entry: LogEntry,
}

/// A place where entries are missing.
#[derive(Serialize, ToSchema)]
pub(super) struct Gap {
    host: String,
    #[serde(flatten)]
    gap: LogGap,
}

/// A host that could not be read.
#[derive(Serialize, ToSchema)]
pub(super) struct Unreachable {
    host: String,
    /// Since when, in microseconds since the epoch.
    since_usec: i64,
    /// Why.
    message: String,
}

/// Entries of all hosts in one order, oldest first.
#[derive(Default, Serialize, ToSchema)]
pub(super) struct Entries {
    entries: Vec<Entry>,
    /// Places where entries are missing.
    gaps: Vec<Gap>,
    /// Hosts whose entries are not among these.
    unreachable: Vec<Unreachable>,
    /// What comes earlier: `?before=`.
    before: String,
    /// What comes later: `?after=`, also with `Accept: text/event-stream`.
    after: String,
}

/// How many entries there are.
#[derive(Default, Serialize, ToSchema)]
pub(super) struct Histogram {
    /// The beginning of the first bucket, in microseconds since the epoch.
    start_usec: i64,
    /// How long a bucket is.
    width_usec: i64,
    /// Eight numbers each: how many of each severity, emerg first.
    buckets: Vec<[u64; 8]>,
    total: u64,
    /// Hosts that are not counted.
    unreachable: Vec<Unreachable>,
}

type Pairs = Result<Query<Vec<(String, String)>>, QueryRejection>;

/// What an app wrote: its journal and its files.
#[utoipa::path(get, path = "/api/logs/{app}", tag = "logs", params(("app" = String, Path, description = "Key of the app"), OutOf, Asked, Paging), security(("bearer" = [])),
    responses((status = 200, description = "With `Accept: text/event-stream`: entries as they are written", content((Entries = "application/json"), (String = "text/event-stream"))), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(super) async fn of_app(
    state: Shared<State>,
    bearer: Bearer,
    headers: HeaderMap,
    key: Result<Path<String>, PathRejection>,
    pairs: Pairs,
) -> Result<Response, Problem> {
    let Path(key) = key?;
    answer(&state, &bearer.0, &headers, pairs, &[("app", &key)]).await
}

/// Logs of everything: of all hosts, or of those, and the apps, that are named.
#[utoipa::path(get, path = "/api/logs", tag = "logs", params(OfApps, OutOf, Asked, Paging), security(("bearer" = [])),
    responses((status = 200, description = "With `Accept: text/event-stream`: entries as they are written", content((Entries = "application/json"), (String = "text/event-stream"))), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(super) async fn all(
    state: Shared<State>,
    bearer: Bearer,
    headers: HeaderMap,
    pairs: Pairs,
) -> Result<Response, Problem> {
    answer(&state, &bearer.0, &headers, pairs, &[]).await
}

/// Access logs of nginx.
#[utoipa::path(get, path = "/api/logs/nginx/access", tag = "logs", params(OfApps, Asked, Paging), security(("bearer" = [])),
    responses((status = 200, description = "With `Accept: text/event-stream`: entries as they are written", content((Entries = "application/json"), (String = "text/event-stream"))), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(super) async fn nginx_access(
    state: Shared<State>,
    bearer: Bearer,
    headers: HeaderMap,
    pairs: Pairs,
) -> Result<Response, Problem> {
    answer(&state, &bearer.0, &headers, pairs, &[("source", SourceKind::Access.word())]).await
}

/// Error logs of nginx.
#[utoipa::path(get, path = "/api/logs/nginx/error", tag = "logs", params(OfApps, Asked, Paging), security(("bearer" = [])),
    responses((status = 200, description = "With `Accept: text/event-stream`: entries as they are written", content((Entries = "application/json"), (String = "text/event-stream"))), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(super) async fn nginx_error(
    state: Shared<State>,
    bearer: Bearer,
    headers: HeaderMap,
    pairs: Pairs,
) -> Result<Response, Problem> {
    answer(&state, &bearer.0, &headers, pairs, &[("source", SourceKind::Error.word())]).await
}

/// How many entries there are, by time and severity. Without `since`: of the last 24 hours.
#[utoipa::path(get, path = "/api/log-histogram", tag = "logs", params(OfApps, OutOf, Asked, ("buckets" = Option<u32>, Query, minimum = 1, maximum = 500, description = "In so many parts: 1 to 500. Default 60.")), security(("bearer" = [])),
    responses((status = 200, body = Histogram), (status = "default", body = Details, content_type = "application/problem+json")))]
pub(super) async fn histogram(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
    pairs: Pairs,
) -> Result<Json<Histogram>, Problem> {
    let Query(pairs) = pairs.map_err(Problem::of(&caller))?;
    let counted = async {
        let (buckets, pairs) = take(pairs, "buckets")?;
        let search = Search::from_pairs(pairs)?;
        if search.lines.is_some() {
            return Err(Fault::invalid("`lines` is for entries: a histogram counts them all"));
        }
        let buckets = match buckets.as_deref() {
            None => BUCKETS,
            Some(text) => in_range(text.parse().ok(), "buckets", text, MOST_BUCKETS)?,
        };
        logs::histogram(&state, &caller, &search, buckets).await
    };
    let counts = counted.await.map_err(Problem::of(&caller))?;
    Ok(Json(Histogram {
        start_usec: counts.start_usec,
        width_usec: counts.width_usec,
        total: counts.buckets.iter().flatten().sum(),
        buckets: counts.buckets,
        unreachable: counts.away.into_iter().map(unreachable).collect(),
    }))
}

async fn answer(
    state: &State,
    caller: &Caller,
    headers: &HeaderMap,
    pairs: Pairs,
    fixed: &[(&str, &str)],
) -> Result<Response, Problem> {
    let Query(pairs) = pairs.map_err(Problem::of(caller))?;
    let answer = async {
        let meant = meant(pairs, fixed)?;
        let accept = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
        match accept.contains("text/event-stream") {
            true => stream::of(state, caller, headers, meant),
            false => Ok(Json(read(state, caller, meant).await?).into_response()),
        }
    };
    answer.await.map_err(Problem::of(caller))
}

async fn read(state: &State, caller: &Caller, meant: Meant) -> Result<Entries, Fault> {
    let lines = meant.search.lines.unwrap_or(LINES);
    let found = logs::read(state, caller, &meant.search, &meant.want, lines).await?;
    // Where nobody answered, there is no answer.
    if let ([], [away, ..]) = (found.page.rows.as_slice(), found.away.as_slice())
        && found.away.len() == found.hosts.len()
    {
        return Err(away.fault.clone());
    }
    Ok(entries(found))
}

fn entries(found: Found) -> Entries {
    let mut read = Entries {
        before: found.page.before.to_string(),
        after: found.page.after.to_string(),
        unreachable: found.away.into_iter().map(unreachable).collect(),
        ..Entries::default()
    };
    for row in found.page.rows {
        let host = found.hosts.get(row.lane).map(HostName::to_string).unwrap_or_default();
        match row.piece {
            Piece::Entry(entry) => read.entries.push(Entry { host, entry: *entry }),
            Piece::Gap(gap) => read.gaps.push(Gap { host, gap }),
        }
    }
    read
}

fn unreachable(away: Away) -> Unreachable {
    Unreachable {
        host: away.host.to_string(),
        since_usec: away.since_usec,
        message: format!("{} {}", away.fault.message, away.fault.next()),
    }
}

/// What the parameters mean.
#[derive(Debug)]
struct Meant {
    search: Search,
    want: Want,
}

fn meant(pairs: Vec<(String, String)>, fixed: &[(&str, &str)]) -> Result<Meant, Fault> {
    let (before, pairs) = take(pairs, "before")?;
    let (after, mut pairs) = take(pairs, "after")?;
    for (name, value) in fixed {
        if pairs.iter().any(|(known, _)| known == name) {
            return Err(Fault::invalid(format!("`{name}` is said by the path already")));
        }
        pairs.push(((*name).to_owned(), (*value).to_owned()));
    }
    let search = Search::from_pairs(pairs)?;
    if let Some(lines) = search.lines {
        in_range(Some(lines), "lines", &lines.to_string(), MOST)?;
    }
    let want = match (before, after) {
        (None, None) => Want::First,
        (Some(before), None) => Want::Before(Places::parse(&before)?),
        (None, Some(after)) => Want::After(Places::parse(&after)?),
        _ => {
            return Err(
                Fault::invalid("`before` and `after` are two directions").hint("Leave one of them out.")
            );
        }
    };
    Ok(Meant { search, want })
}

/// The value of a parameter, and the other parameters.
type Taken = (Option<String>, Vec<(String, String)>);

/// Takes the one value of a parameter out.
fn take(pairs: Vec<(String, String)>, name: &str) -> Result<Taken, Fault> {
    let (own, rest): (Vec<_>, Vec<_>) = pairs.into_iter().partition(|(known, _)| known == name);
    let mut own = own.into_iter().map(|(_, value)| value).filter(|value| !value.is_empty());
    match (own.next(), own.next()) {
        (value, None) => Ok((value, rest)),
        _ => Err(Fault::invalid(format!("`{name}` is given several times"))),
    }
}

fn in_range(number: Option<u32>, name: &str, text: &str, most: u32) -> Result<u32, Fault> {
    number.filter(|n| (1..=most).contains(n)).ok_or_else(|| {
        let shown: String = text.chars().take(64).flat_map(char::escape_debug).collect();
        Fault::invalid(format!("{name}={shown} is not a number from 1 to {most}"))
    })
}

#[cfg(test)]
mod tests {
    use hms_proto::fault::FaultKind;

    use super::*;

    fn parse(text: &str, fixed: &[(&str, &str)]) -> Result<Meant, Fault> {
        let uri: http::Uri = format!("/?{text}").parse().unwrap();
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(&uri)
            .map_err(|error| Fault::invalid(error.body_text()))?;
        meant(pairs, fixed)
    }

    #[test]
    fn a_query_is_read_with_its_defaults() {
        let app = [("app", "cigar")];
        assert_eq!(parse("", &app).unwrap().search.to_query(), "app=cigar");
        let meant = parse(
            "lines=10000&priority=err&grep=a%2Bb&since=2026-11-24T12:00:00Z&until=&where=status%3E%3D500&where=method%3DPOST",
            &app,
        );
        assert_eq!(
            meant.unwrap().search.to_query(),
            "app=cigar&priority=3&since=2026-11-24T12%3A00%3A00Z&grep=a%2Bb&where=status%3E%3D500&where=method%3DPOST&lines=10000"
        );
        let after = parse("after=asterra%3As%3D1f%2A3", &[]).unwrap();
        assert!(matches!(after.want, Want::After(places) if places.to_string() == "asterra:s=1f*3"));
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
            "unit=--all",
            "app=tobacco",
            "before=nonsense",
            "after=a%3As%3D1&after=b%3As%3D1",
            "before=a%3As%3D1&after=a%3As%3D1",
            "access_token=x",
        ] {
            let fault = parse(bad, &[("app", "cigar")]).expect_err(bad);
            assert_eq!(fault.kind(), FaultKind::Invalid, "{bad}");
        }
        let fault = parse("colour=red", &[]).unwrap_err();
        assert!(fault.message.contains("`colour`"), "{}", fault.message);
    }
}
