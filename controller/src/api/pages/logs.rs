//! `/logs`: what an app or a host wrote.

use std::time::Instant;

use axum::{
    extract::{Query, State as Shared},
    response::Response,
};
use hms_proto::{
    fault::Fault,
    host::v1::LogQuery,
    names::{AppKey, HostName},
};
use hms_web::{
    frame::{Notice, Place, Tone},
    pages::{LogSource, LogsPage, LogsQuery},
    parts::LogItem,
    text::encode,
};
use serde::Deserialize;

use super::{audit::time, frame, page, session::Session, view};
use crate::{api::grpc, auth::Caller, fleet::Fleet, state::State};

/// How many entries of the past are shown unless more are asked for.
const LINES: u32 = 200;
/// More would make the page itself slow.
const MOST: u32 = 5_000;

/// The query of the page, and of its stream.
#[derive(Deserialize, Default, Debug, Clone)]
#[serde(default)]
pub(super) struct Asked {
    source: String,
    lines: String,
    since: String,
    until: String,
    priority: String,
    q: String,
    follow: String,
    /// Cursor of the last entry that the page has.
    pub(super) after: String,
}

pub(super) async fn show(
    Shared(state): Shared<State>,
    session: Session,
    Query(asked): Query<Asked>,
) -> Response {
    let begun = Instant::now();
    let mut shown = LogsPage {
        frame: frame(&state, &session.caller, Place::Logs, "Logs").await,
        apps: apps(&state.fleet),
        hosts: hosts(&state.fleet),
        query: asked.typed(),
        ..LogsPage::default()
    };
    if !asked.source.is_empty() {
        match past(&state, &session.caller, &asked).await {
            Ok(items) => shown.items = items,
            Err(fault) => {
                let hint = fault.next().to_owned();
                shown.problem = Some(Notice { tone: Tone::Bad, message: fault.message, hint });
            }
        }
        shown.took_ms = begun.elapsed().as_millis() as u64;
        if shown.query.follow && shown.problem.is_none() {
            shown.frame.events = asked.stream_after(last_cursor(&shown.items));
        }
    }
    page(&shown)
}

async fn past(state: &State, caller: &Caller, asked: &Asked) -> Result<Vec<LogItem>, Fault> {
    let (host, query) = asked.query(&state.fleet)?;
    let fault = |status: tonic::Status| Fault::from_status(&status);
    let mut chunks = state.gate.logs(caller, &host).query(query).await.map_err(fault)?.into_inner();
    let mut items = Vec::new();
    while let Some(chunk) = chunks.message().await.map_err(fault)? {
        items.extend(view::log_items(chunk));
    }
    Ok(items)
}

fn last_cursor(items: &[LogItem]) -> &str {
    let row = items.iter().rev().find_map(|item| match item {
        LogItem::Row(row) => Some(row.cursor.as_str()),
        LogItem::Gap { .. } => None,
    });
    row.unwrap_or_default()
}

fn apps(fleet: &Fleet) -> Vec<LogSource> {
    let source = |a: &crate::fleet::App| LogSource {
        value: format!("app:{}", a.key),
        label: format!("{} on {}", a.key, a.host()),
    };
    fleet.apps().iter().map(source).collect()
}

fn hosts(fleet: &Fleet) -> Vec<LogSource> {
    let source = |name: &str| LogSource { value: format!("host:{name}"), label: name.into() };
    fleet.hosts().iter().map(|h| source(&h.row.name)).collect()
}

impl Asked {
    fn typed(&self) -> LogsQuery {
        LogsQuery {
            source: self.source.clone(),
            lines: self.lines.clone(),
            since: self.since.clone(),
            until: self.until.clone(),
            priority: self.priority.clone(),
            q: self.q.clone(),
            follow: self.follow == "1" && self.until.trim().is_empty(),
        }
    }

    /// The host to ask, and what.
    fn query(&self, fleet: &Fleet) -> Result<(HostName, LogQuery), Fault> {
        let (host, units) = match self.source.split_once(':') {
            Some(("app", key)) => {
                let app = grpc::apps::find(fleet, &AppKey::try_from(key)?)?;
                (grpc::apps::host_of(&app)?, vec![app.unit_name])
            }
            Some(("host", name)) => (HostName::try_from(name)?, vec![]),
            _ => {
                return Err(Fault::invalid(format!("`{}` is no source of logs", self.source))
                    .hint("Choose an app or a host from the list."));
            }
        };
        let limit = match self.lines.trim() {
            "" => LINES,
            text => text
                .parse()
                .ok()
                .filter(|n| (1..=MOST).contains(n))
                .ok_or_else(|| Fault::invalid(format!("`{text}` is not a number from 1 to {MOST}")))?,
        };
        let priority = match self.priority.trim() {
            "" => None,
            text => Some(
                text.parse()
                    .ok()
                    .filter(|n| *n <= 7)
                    .ok_or_else(|| Fault::invalid(format!("`{text}` is not a severity from 0 to 7")))?,
            ),
        };
        let (since_usec, until_usec) = (time(&self.since)?, time(&self.until)?);
        Ok((
            host,
            LogQuery {
                units,
                since_usec,
                until_usec,
                grep: self.q.clone(),
                priority,
                limit,
                after_cursor: self.after.clone(),
                ..LogQuery::default()
            },
        ))
    }

    /// What the stream asks for. Where it goes on from an entry it takes all that came since: a limit would leave out
    /// the older ones of them, and nobody would know.
    pub(super) fn live_query(&self, fleet: &Fleet) -> Result<(HostName, LogQuery), Fault> {
        let (host, mut query) = self.query(fleet)?;
        if !self.after.is_empty() {
            query.limit = 0;
        }
        Ok((host, query))
    }

    /// The address of the stream that goes on where the page ends.
    fn stream_after(&self, cursor: &str) -> String {
        let fields = [
            ("source", &self.source),
            ("lines", &self.lines),
            ("since", &self.since),
            ("priority", &self.priority),
            ("q", &self.q),
        ];
        let given = fields.iter().filter(|(_, value)| !value.is_empty());
        let query: String = given.map(|(name, value)| format!("&{name}={}", encode(value))).collect();
        format!("/events?view=logs{query}&after={}", encode(cursor))
    }
}
