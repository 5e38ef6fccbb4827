//! Some entries of the past, of all hosts that were meant.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use futures_util::future::join_all;
use hms_proto::{
    fault::{Fault, FaultKind},
    host::v1::{LogChunk, LogDirection, LogEntry, LogQuery},
    merge::{At, Page, Places, Reading, Row, Spot, page},
    names::{Cursor, HostName},
    search::{End, Lane, Search},
};

use super::{Away, after, away, lanes};
use crate::{auth::Caller, fleet::now_usec, state::State};

/// A host that has not given all that was asked for in this time is left behind, and said to be.
const PATIENCE: Duration = Duration::from_secs(8);
/// An answer is one document in memory.
const BYTES_MAX: usize = 64 << 20;

/// Which part of what was searched for.
#[derive(Debug, Clone)]
pub(crate) enum Want {
    /// The end at which the search begins.
    First,
    /// What comes before these places.
    Before(Places),
    /// What comes after them.
    After(Places),
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The host of each lane.
    pub(crate) hosts: Vec<HostName>,
    pub(crate) page: Page,
    pub(crate) away: Vec<Away>,
}

/// Asks all hosts at once, each for as many entries as are wanted together.
pub(crate) async fn read(
    state: &State,
    caller: &Caller,
    search: &Search,
    want: &Want,
    most: u32,
) -> Result<Found, Fault> {
    let lanes = lanes(state.fleet.seen_by(caller), search)?;
    let direction = direction(search, want);
    let room = AtomicUsize::new(BYTES_MAX);
    let asked = lanes.into_iter().map(|lane| {
        let spot = match want {
            // Before its first entry a host has no place; the beginning of the time is one.
            Want::First if direction == LogDirection::Forward => Some(Spot::time(lane.query.since_usec)),
            Want::First => None,
            Want::Before(places) | Want::After(places) => places.get(&lane.host).cloned(),
        };
        one(state, caller, lane, spot, direction, most, &room)
    });
    let mut found = Found::default();
    let mut readings = Vec::new();
    for (reading, trouble) in join_all(asked).await {
        if let Some(trouble) = trouble {
            // What is wrong with the question is wrong with it everywhere.
            if trouble.fault.kind() == FaultKind::Invalid {
                return Err(trouble.fault);
            }
            found.away.push(trouble);
        }
        found.hosts.push(reading.host().clone());
        readings.push(reading);
    }
    found.page = page(readings, direction, most);
    from_now_on(&mut found);
    Ok(found)
}

/// A host that said no place goes on at the moment at which it was asked.
fn from_now_on(found: &mut Found) {
    let begun = now_usec() - PATIENCE.as_micros() as i64;
    for host in &found.hosts {
        if found.page.after.get(host).is_none() {
            let away = found.away.iter().find(|away| away.host == *host);
            let usec = away.map_or(begun, |away| away.since_usec.min(begun));
            found.page.after.set(host.clone(), Spot::time(usec));
        }
    }
}

fn direction(search: &Search, want: &Want) -> LogDirection {
    match (want, search.from) {
        (Want::Before(_), _) => LogDirection::Backward,
        (Want::After(_), _) | (Want::First, End::Oldest) => LogDirection::Forward,
        (Want::First, End::Newest) => LogDirection::Newest,
    }
}

async fn one(
    state: &State,
    caller: &Caller,
    lane: Lane,
    spot: Option<Spot>,
    direction: LogDirection,
    most: u32,
    room: &AtomicUsize,
) -> (Reading, Option<Away>) {
    let Lane { host, mut query } = lane;
    let mut reading = Reading::new(host.clone(), spot.clone());
    if let Some(trouble) = away(&state.fleet, &host) {
        return (reading, Some(trouble));
    }
    query.direction = direction as i32;
    query.limit = most + spot.as_ref().map_or(0, |spot| spot.skip);
    match (&spot, direction) {
        (Some(Spot { at: At::Place(place), .. }), LogDirection::Backward) => {
            query.before_cursor = place.to_string();
        }
        (Some(Spot { at: At::Time(usec), .. }), LogDirection::Backward) => query.until_usec = usec - 1,
        (Some(spot), _) => after(&mut query, spot),
        (None, _) => {}
    }
    let begun = now_usec();
    let most = query.limit;
    let read = fill(state, caller, &host, (query, most), room, |chunk| reading.push(chunk));
    let fault = match tokio::time::timeout(PATIENCE, read).await {
        Ok(Ok(())) => return (reading, None),
        Ok(Err(fault)) => fault,
        Err(_) => Fault::new(FaultKind::Unreachable, "it has not given everything within 8 s")
            .hint("Narrow the time, or look for less."),
    };
    (reading, Some(Away { host, since_usec: begun, fault }))
}

async fn fill(
    state: &State,
    caller: &Caller,
    host: &HostName,
    (query, most): (LogQuery, u32),
    room: &AtomicUsize,
    mut take: impl FnMut(LogChunk),
) -> Result<(), Fault> {
    let fault = |status: tonic::Status| Fault::from_status(&status);
    let mut count = 0;
    let mut chunks = state.gate.logs(caller, host).query(query).await.map_err(fault)?.into_inner();
    while let Some(chunk) = chunks.message().await.map_err(fault)? {
        count += chunk.entries.len();
        // An agent keeps to the limit; one that does not must not fill our memory.
        if count > most as usize {
            return Err(Fault::new(FaultKind::Failed, "it gave more than it was asked for"));
        }
        let size = chunk.entries.iter().map(size).sum::<usize>();
        let fits = room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(size));
        if fits.is_err() {
            return Err(Fault::invalid("the answer is larger than 64 MiB").hint("Ask for fewer lines."));
        }
        take(chunk);
    }
    Ok(())
}

fn size(entry: &LogEntry) -> usize {
    let fields = entry.fields.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
    entry.message.len() + entry.cursor.len() + fields + 256
}

/// An entry with what surrounds it on its host, whatever else it may say. Without lines: the entry with all its fields.
pub(crate) async fn around(
    state: &State,
    caller: &Caller,
    search: &Search,
    (host, cursor): (&HostName, &Cursor),
    lines: u32,
) -> Result<Found, Fault> {
    let all = Search {
        hosts: vec![host.clone()],
        apps: search.apps.clone(),
        sources: search.sources.clone(),
        ..Search::default()
    };
    let Some(lane) = lanes(state.fleet.seen_by(caller), &all)?.pop() else {
        return Err(Fault::not_found("host", host.as_str()));
    };
    if let Some(trouble) = away(&state.fleet, host) {
        return Err(trouble.fault);
    }
    let limit = lines.max(1);
    let mut query = LogQuery { around_cursor: cursor.to_string(), limit, fields: lines == 0, ..lane.query };
    add_own_source(&mut query, cursor);
    let mut reading = Reading::new(host.clone(), None);
    let room = AtomicUsize::new(BYTES_MAX);
    let most = limit * 2 + 1;
    let read = fill(state, caller, host, (query, most), &room, |chunk| reading.push(chunk));
    let late = || Fault::new(FaultKind::Unreachable, format!("{host} did not answer within 8 s"));
    tokio::time::timeout(PATIENCE, read).await.map_err(|_| late())??;
    let page = page(vec![reading], LogDirection::Forward, most);
    Ok(Found { hosts: vec![host.clone()], page, away: Vec::new() })
}

/// The log that the entry is in is read, whichever the search is about.
fn add_own_source(query: &mut LogQuery, cursor: &Cursor) {
    use hms_proto::{
        host::v1::{LogKind, LogSource},
        search::SourceKind,
    };
    let own = match cursor.as_str().strip_prefix("f=").and_then(|rest| rest.split(';').next()) {
        None => LogSource { kind: LogKind::Journal as i32, ..LogSource::default() },
        Some(log) => {
            let parts: Vec<&str> = log.split('/').collect();
            let (kind, app, name) = match parts.as_slice() {
                ["nginx-access", name] => (SourceKind::Access, "", *name),
                ["nginx-error", name] => (SourceKind::Error, "", *name),
                ["app", app, name] => (SourceKind::App, *app, *name),
                _ => return,
            };
            LogSource { kind: kind.to_proto() as i32, app: app.into(), name: name.into() }
        }
    };
    if own.kind == LogKind::Journal as i32 && !query.sources.iter().any(|source| source.kind == own.kind) {
        query.sources.push(own);
    } else if own.kind != LogKind::Journal as i32 {
        // What surrounds a line of a file is that file.
        query.sources = vec![own];
        query.units.clear();
    }
}

impl Found {
    /// The entry with this cursor.
    pub(crate) fn entry(&self, cursor: &Cursor) -> Option<&LogEntry> {
        self.page.rows.iter().filter_map(Row::entry).find(|entry| entry.cursor == cursor.as_str())
    }
}
