//! `/logs`: what apps, hosts and nginx wrote.

mod asked;
mod details;
mod download;
mod live;
mod shown;

use std::time::Instant;

use axum::{
    extract::{Query, State as Shared},
    response::{IntoResponse as _, Response},
};
use hms_proto::{
    fault::{Fault, FaultKind},
    merge::Places,
    search::{End, Search},
};
use hms_web::{
    frame::{Notice, Place, Tone},
    pages::{LogsAt, LogsPage},
    parts::{LogBucket, LogFeed, LogHistogram},
    text::encode,
};
use http::{StatusCode, header};

use super::{frame, page, session::Session};
use crate::{
    auth::Caller,
    fleet::now_usec,
    logs::{self, Found, Want},
    state::State,
};
use asked::Asked;
pub(super) use details::line;
pub(super) use download::download;
pub(super) use live::events;

/// What addresses of these pages have beside the search.
pub(super) type Pairs = Query<Vec<(String, String)>>;

/// How many entries a page begins with.
const LINES: u32 = 200;
/// More would make the page itself slow.
const MOST: u32 = 2_000;
/// How many lines are shown before and behind one.
const AROUND: u32 = 100;
/// The bars of the histogram.
const BUCKETS: u32 = 120;

pub(super) async fn show(Shared(state): Shared<State>, session: Session, Query(pairs): Pairs) -> Response {
    let begun = Instant::now();
    let asked = Asked::new(pairs);
    let known = logs::known(state.fleet.seen_by(&session.caller));
    let mut shown = LogsPage {
        frame: frame(&state, &session.caller, Place::Logs, "Logs").await,
        asked: asked.typed.clone(),
        apps: known.apps.iter().map(|(app, _)| app.to_string()).collect(),
        hosts: known.hosts.iter().map(ToString::to_string).collect(),
        ..LogsPage::default()
    };
    match fill(&state, &session.caller, &asked, &mut shown).await {
        Ok(()) => shown.took_ms = begun.elapsed().as_millis() as u64,
        Err(fault) => {
            let hint = fault.next().to_owned();
            shown.problem = Some(Notice { tone: Tone::Bad, message: fault.message, hint });
        }
    }
    page(&shown)
}

async fn fill(state: &State, caller: &Caller, asked: &Asked, shown: &mut LogsPage) -> Result<(), Fault> {
    let search = asked.search()?;
    let found = match &asked.around {
        Some(key) => {
            shown.at = LogsAt::Around(key.clone());
            let (host, cursor) = asked::key(key)?;
            logs::around(state, caller, &search, (&host, &cursor), AROUND).await?
        }
        None => {
            let want = asked.want()?;
            if !matches!(want, Want::First) {
                shown.at = LogsAt::Place;
            }
            logs::read(state, caller, &search, &want, lines(&search, LINES)?).await?
        }
    };
    let is_live = shown.at == LogsAt::End && search.until.is_empty() && search.from == End::Newest;
    let feed = feed(state, caller, &search, found, is_live).await;
    (shown.items, shown.before, shown.after) = (feed.items, feed.before, feed.after);
    if is_live && !shown.hosts.is_empty() {
        let query = search.to_query();
        shown.frame.events = format!("/events?view=logs&{query}&after={}", encode(&shown.after));
    }
    Ok(())
}

fn lines(search: &Search, usual: u32) -> Result<u32, Fault> {
    match search.lines.unwrap_or(usual) {
        lines if lines <= MOST => Ok(lines),
        lines => Err(Fault::invalid(format!("lines={lines} is more than the {MOST} that a page shows"))
            .hint("Earlier lines come by scrolling; all of them can be downloaded.")),
    }
}

/// The rows that were found, with what was changed meanwhile; on a live page until now.
async fn feed(state: &State, caller: &Caller, search: &Search, found: Found, is_live: bool) -> LogFeed {
    let entries = || found.page.rows.iter().filter_map(|row| row.entry().map(|entry| entry.time_usec));
    let marks = match (entries().min(), entries().max()) {
        (Some(first), Some(last)) => {
            let until = if is_live { now_usec() } else { last };
            logs::marks(state, caller, search, first, until).await
        }
        _ => Vec::new(),
    };
    shown::feed(found, marks)
}

/// Rows before or behind those that a page has.
pub(super) async fn rows(Shared(state): Shared<State>, session: Session, Query(pairs): Pairs) -> Response {
    let asked = Asked::new(pairs);
    let found = async {
        let search = asked.search()?;
        let found =
            logs::read(&state, &session.caller, &search, &asked.want()?, lines(&search, LINES)?).await?;
        Ok::<_, Fault>(feed(&state, &session.caller, &search, found, false).await)
    };
    match found.await {
        Ok(feed) => ([(header::CONTENT_TYPE, "application/json")], feed.to_json()).into_response(),
        Err(fault) => refused(&fault),
    }
}

/// An answer to the script of the page: it shows what is wrong.
fn refused(fault: &Fault) -> Response {
    let status = StatusCode::from_u16(fault.row().http).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, format!("{} {}", fault.message, fault.next())).into_response()
}

/// The drawing above the log.
pub(super) async fn histogram(
    Shared(state): Shared<State>,
    session: Session,
    Query(pairs): Pairs,
) -> Response {
    let asked = Asked::new(pairs);
    let counted = async {
        let search = asked.search()?;
        let counts = logs::histogram(&state, &session.caller, &search, BUCKETS).await?;
        let end = counts.start_usec + counts.width_usec * counts.buckets.len() as i64;
        let marks = logs::marks(&state, &session.caller, &search, counts.start_usec, end).await;
        Ok::<_, Fault>(drawing(counts, marks))
    };
    let drawing = counted.await.unwrap_or_else(|fault| LogHistogram {
        problem: match fault.kind() {
            FaultKind::Invalid => String::new(),
            _ => fault.message,
        },
        ..LogHistogram::default()
    });
    page(&drawing)
}

fn drawing(counts: logs::Counts, marks: Vec<logs::Mark>) -> LogHistogram {
    let bucket = |of: &[u64; 8]| LogBucket {
        bad: of[..4].iter().sum(),
        warn: of[4],
        info: of[5] + of[6],
        quiet: of[7],
    };
    LogHistogram {
        start_us: counts.start_usec,
        width_us: counts.width_usec,
        buckets: counts.buckets.iter().map(bucket).collect(),
        marks: marks.into_iter().map(shown::mark).collect(),
        missing: counts.away.iter().map(|away| format!("{}: {}", away.host, away.fault.message)).collect(),
        problem: String::new(),
    }
}

fn places(text: &str) -> Result<Places, Fault> {
    Places::parse(text)
}
