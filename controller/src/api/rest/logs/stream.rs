//! Entries as they are written, as server-sent events. The `id` of each is the place from which another request, or a browser by
//! itself, goes on.

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    http::HeaderMap,
    response::{IntoResponse as _, Response},
};
use futures_util::{Stream, StreamExt as _};
use hms_proto::{
    fault::Fault,
    merge::{Piece, Places, Row},
    names::HostName,
};
use http::header;
use serde_json::{Value, json};

use super::{Entry, Meant, unreachable};
use crate::{
    auth::Caller,
    logs::{self, Told, Want},
    state::State,
};

/// So often something is sent, so that nobody on the way takes the connection for dead.
const BEAT: Duration = Duration::from_secs(10);
/// How often the session or the token is looked at: also while no host answers, and nothing passes the gate.
const LOOK_AGAIN: Duration = Duration::from_secs(3);

pub(super) fn of(
    state: &State,
    caller: &Caller,
    headers: &HeaderMap,
    meant: Meant,
) -> Result<Response, Fault> {
    let last = headers.get("last-event-id").and_then(|v| v.to_str().ok()).filter(|id| !id.is_empty());
    let from = match (last, meant.want) {
        (Some(last), _) => Places::parse(last)?,
        (None, Want::First) => Places::default(),
        (None, Want::After(places)) => places,
        (None, Want::Before(_)) => {
            return Err(Fault::invalid("a stream goes forward: `before` is for pages"));
        }
    };
    let (hosts, told) = logs::follow(state, caller, &meant.search, &from)?;
    let wire = beating(told.map(move |told| events(&hosts, told)), state.clone(), caller.clone());
    let head = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    let wire = wire.map(|text| Ok::<_, std::convert::Infallible>(Bytes::from(text)));
    Ok((head, Body::from_stream(wire)).into_response())
}

fn beating(events: impl Stream<Item = String>, state: State, caller: Caller) -> impl Stream<Item = String> {
    async_stream::stream! {
        let mut beat = tokio::time::interval(BEAT);
        let mut look = tokio::time::interval(LOOK_AGAIN);
        let mut events = std::pin::pin!(events);
        loop {
            tokio::select! {
                () = state.stop.cancelled() => return,
                // Without the database nobody can say whether it ended.
                _ = look.tick() => if let Ok(false) = state.auth.holds(&caller).await { return },
                event = events.next() => match event {
                    Some(event) => yield event,
                    None => return,
                },
                _ = beat.tick() => yield ": beat\n\n".to_owned(),
            }
        }
    }
}

/// Rows that came together travel in one event, whole or not at all: behind it all hosts stand at its place.
fn events(hosts: &[HostName], told: Told) -> String {
    match told {
        Told::Rows(rows, places) => {
            let rows: Vec<Value> = rows.into_iter().map(|row| data(hosts, row)).collect();
            event("entries", Some(&places.to_string()), &Value::Array(rows))
        }
        Told::Moved(places) => event("place", Some(&places.to_string()), &json!({})),
        Told::Away(away) => event("unreachable", None, &json!(unreachable(away))),
        Told::Back(host) => event("back", None, &json!({ "host": host.as_str() })),
    }
}

fn data(hosts: &[HostName], row: Row) -> Value {
    let host = hosts.get(row.lane).map(ToString::to_string).unwrap_or_default();
    match row.piece {
        Piece::Entry(entry) => json!(Entry { host, entry: *entry }),
        Piece::Gap(gap) => json!({ "host": host, "gap": gap }),
    }
}

fn event(name: &str, id: Option<&str>, data: &Value) -> String {
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    format!("event: {name}\n{id}data: {data}\n\n")
}

#[cfg(test)]
mod tests {
    use hms_proto::{host::v1::LogEntry, merge::Spot};

    use super::*;

    /// Security case 26: nothing in a line makes an event.
    #[test]
    fn rows_that_came_together_are_one_event_with_their_place() {
        let host = HostName::try_from("asterra").unwrap();
        let row = |message: &str| Row {
            lane: 0,
            piece: Piece::Entry(Box::new(LogEntry { message: message.into(), ..LogEntry::default() })),
        };
        let places: Places = [(host.clone(), Spot::place("s=2".parse().unwrap()))].into_iter().collect();
        let wire =
            events(&[host], Told::Rows(vec![row("one\n\nevent: forged\ndata: x"), row("two")], places));
        let lines: Vec<&str> = wire.split('\n').collect();
        assert_eq!(lines[..2], ["event: entries", "id: asterra:s=2"]);
        let data: Value = serde_json::from_str(lines[2].strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(data[0]["message"], "one\n\nevent: forged\ndata: x");
        assert_eq!((data[1]["host"].as_str(), data.as_array().map(Vec::len)), (Some("asterra"), Some(2)));
        assert_eq!(lines[3..], ["", ""], "{wire}");
    }
}
