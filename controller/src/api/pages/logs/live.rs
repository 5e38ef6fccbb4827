//! The stream of a page of logs.

use axum::http::HeaderMap;
use futures_util::StreamExt as _;
use hms_proto::{fault::Fault, names::HostName};
use hms_web::{
    Event,
    parts::{LogFeed, LogItem},
};

use super::{Asked, places, shown};
use crate::{
    api::pages::{
        events::{Events, last_event_id, refused},
        session::Session,
    },
    logs::{self, Told},
    state::State,
};

/// Rows as they are written, from the place on that the page, or its lost stream, had.
pub(in crate::api::pages) fn events(
    state: &State,
    session: &Session,
    headers: &HeaderMap,
    pairs: Vec<(String, String)>,
) -> Events {
    begin(state, session, headers, pairs).unwrap_or_else(|fault| refused(&fault))
}

fn begin(
    state: &State,
    session: &Session,
    headers: &HeaderMap,
    pairs: Vec<(String, String)>,
) -> Result<Events, Fault> {
    let asked = Asked::new(pairs);
    let search = asked.search()?;
    let from = places(&last_event_id(headers).unwrap_or(asked.after))?;
    let (hosts, told) = logs::follow(state, &session.caller, &search, &from)?;
    let mut last = from.to_string();
    Ok(told.map(move |told| event(&hosts, told, &mut last)).boxed())
}

fn event(hosts: &[HostName], told: Told, last: &mut String) -> Event {
    let (items, after): (Vec<LogItem>, _) = match told {
        Told::Rows(rows, places) => {
            (rows.into_iter().map(|row| shown::item(hosts, row)).collect(), places.to_string())
        }
        Told::Moved(places) => {
            *last = places.to_string();
            return Event::place(last.clone());
        }
        Told::Away(away) => (vec![shown::away(&away)], last.clone()),
        Told::Back(host) => (vec![shown::back(&host)], last.clone()),
    };
    last.clone_from(&after);
    Event::lines(&LogFeed { items, after, ..LogFeed::default() })
}
