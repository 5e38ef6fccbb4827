//! `/events`: the one stream that an open page has.
//!
//! A stream that cannot be served is answered with 200 and a `refused` event: a browser tells its page nothing about
//! a refused stream, and the page would go on calling itself live.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    extract::{Query, State as Shared},
    http::{HeaderMap, header},
    response::{IntoResponse as _, Response},
};
use futures_util::{Stream, StreamExt as _, stream::BoxStream};
use hms_proto::fault::Fault;
use hms_web::{
    Event, Fragment,
    events::BEAT_SECONDS,
    parts::{Activity, ActivityList, ConfigList, ConfigPending},
};
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use super::{configs, dashboard, deploy_events, hosts, logs, run_events, session::Session, view};
use crate::{
    auth::Caller,
    fleet::{Change, now_usec},
    state::State,
};

/// Changes within this time travel together.
const TOGETHER: Duration = Duration::from_millis(200);
/// How often the session is looked at while a stream is open: one that was ended is cut off soon after.
const LOOK_AGAIN: Duration = Duration::from_secs(3);

/// Which view, and what of it; a search of logs has names of its own, some of them several times.
struct Asked {
    view: String,
    /// Of a run, and of one of its jobs.
    id: String,
    job: String,
    /// Whose configs, where those are looked at.
    host: String,
    /// Where the page's output ends.
    after: String,
}

impl Asked {
    fn new(pairs: &[(String, String)]) -> Self {
        let first = |name: &str| {
            let pair = pairs.iter().find(|(known, _)| known == name);
            pair.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        Self {
            view: first("view"),
            id: first("id"),
            job: first("job"),
            host: first("host"),
            after: first("after"),
        }
    }
}

pub(super) type Events = BoxStream<'static, Event>;

pub(super) async fn stream(
    Shared(state): Shared<State>,
    session: Session,
    headers: HeaderMap,
    Query(pairs): logs::Pairs,
) -> Response {
    let asked = Asked::new(&pairs);
    let stop = state.stop.clone();
    let events: Events = match asked.view.as_str() {
        // Nothing on it moves but who is looking.
        "account" => futures_util::stream::pending().boxed(),
        "dashboard" => dashboard_events(state.clone(), &session).boxed(),
        "hosts" => hosts_events(state.clone(), &session).boxed(),
        "configs" | "config" => match state.fleet.seen_by(&session.caller).host(&asked.host) {
            Ok(_) => config_events(state.clone(), &session, asked.host, asked.view == "configs").boxed(),
            Err(fault) => refused(&fault),
        },
        "deploy" => deploy_events::all(state.clone(), &session).boxed(),
        "app" => deploy_events::of_app(state.clone(), &session, asked.id).boxed(),
        "deployment" => {
            let asked = run_events::Asked { id: asked.id, job: asked.job, after: asked.after };
            deploy_events::of_one(&state, &session, &headers, asked).await
        }
        "logs" => logs::events(&state, &session, &headers, pairs),
        "run" => {
            let asked = run_events::Asked { id: asked.id, job: asked.job, after: asked.after };
            run_events::stream(&state, &session, &headers, asked).await
        }
        other => refused(&Fault::invalid(format!("`{other}` is no view"))),
    };
    let wire = guarded(state, session, stop, events)
        .map(|event| Ok::<_, std::convert::Infallible>(Bytes::from(event.to_wire())));
    let head = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        // nginx holds answers back unless it is told not to.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (head, Body::from_stream(wire)).into_response()
}

/// The events, with a beat between them, until the session or the controller ends.
fn guarded(
    state: State,
    session: Session,
    stop: CancellationToken,
    mut events: Events,
) -> impl Stream<Item = Event> {
    async_stream::stream! {
        let mut beat = tokio::time::interval(Duration::from_secs(BEAT_SECONDS));
        let mut look = tokio::time::interval(LOOK_AGAIN);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                event = events.next() => match event {
                    Some(event) => yield event,
                    None => return,
                },
                _ = beat.tick() => yield Event::beat(now_usec()),
                _ = look.tick() => match state.auth.web_peek(&session.token).await {
                    Ok(Some((role, scope))) if role == session.caller.role && scope == session.caller.scope => {}
                    // The page is another one for them now, and so is its stream.
                    Ok(Some(_)) => {
                        yield Event::reshape();
                        return;
                    }
                    Ok(None) => {
                        yield Event::session_ended();
                        return;
                    }
                    // Without the database nobody can say; the page stays as it is, and can do nothing.
                    Err(_) => {}
                },
            }
        }
    }
}

pub(super) fn refused(fault: &Fault) -> Events {
    let event = Event::refused(&format!("{} {}", fault.message, fault.next()));
    futures_util::stream::iter([event]).boxed()
}

/// What was sent last for each element, so that only what differs travels.
#[derive(Default)]
pub(super) struct Sent(HashMap<String, String>);

impl Sent {
    pub(super) fn is_new(&mut self, fragment: &Fragment) -> bool {
        let old = self.0.insert(fragment.id.clone(), fragment.html.clone());
        old.as_deref() != Some(&fragment.html)
    }
}

fn dashboard_events(state: State, session: &Session) -> impl Stream<Item = Event> + use<> {
    let caller = session.caller.clone();
    async_stream::stream! {
        let mut changes = state.fleet.changes();
        let mut sent = Sent::default();
        let mut keys = names(&state, &caller);
        let mut activity = recent(&state, &caller).await;
        loop {
            let now = super::view(&caller);
            if names(&state, &caller) != keys {
                keys = names(&state, &caller);
                let shown = dashboard::of(&state, &caller).await;
                yield Event::fragment(&shown.lists(now));
            }
            for fragment in fragments(&state, &caller, now).await {
                if sent.is_new(&fragment) {
                    yield Event::fragment(&fragment);
                }
            }
            let Some(changed) = next(&mut changes).await else { return };
            if changed.contains(&Change::Activity) {
                let latest = recent(&state, &caller).await;
                for event in told(&activity, &latest, super::view(&caller)) {
                    yield event;
                }
                activity = latest;
            }
        }
    }
}

/// The structure of the page: which apps and hosts it has.
fn names(state: &State, caller: &Caller) -> BTreeSet<String> {
    let seen = state.fleet.seen_by(caller);
    let apps = seen.apps();
    let apps = apps.iter().map(|a| format!("app {} {}", a.key, a.host()));
    apps.chain(seen.hosts().iter().map(|h| format!("host {}", h.row.name))).collect()
}

async fn fragments(state: &State, caller: &Caller, now: hms_web::View) -> Vec<Fragment> {
    let shown = dashboard::of(state, caller).await;
    let attention = shown.attention.fragment(now);
    let apps = shown.apps.iter().map(|app| app.fragment(now));
    std::iter::once(attention).chain(apps).chain(shown.hosts.iter().map(|host| host.fragment(now))).collect()
}

async fn recent(state: &State, caller: &Caller) -> Vec<Activity> {
    dashboard::recent(state, caller).await.into_iter().map(view::activity).collect()
}

/// New rows from old to new, and rows whose outcome is known now.
fn told(before: &[Activity], now: &[Activity], view: hms_web::View) -> Vec<Event> {
    if before.is_empty() {
        return vec![Event::fragment(&ActivityList { rows: now.to_vec() }.fragment(view))];
    }
    let mut fragments = Vec::new();
    for act in now.iter().rev() {
        match before.iter().find(|old| old.seq == act.seq) {
            None => fragments.push(act.added(view)),
            Some(old) if old != act => fragments.push(act.changed(view)),
            Some(_) => {}
        }
    }
    fragments.iter().map(Event::fragment).collect()
}

/// The next changes. `None` when there will be none.
pub(super) async fn next(changes: &mut tokio::sync::broadcast::Receiver<Change>) -> Option<Vec<Change>> {
    let first = match changes.recv().await {
        Ok(change) => change,
        // So much happened that some was not kept: everything is looked at anyway.
        Err(RecvError::Lagged(_)) => Change::Activity,
        Err(RecvError::Closed) => return None,
    };
    tokio::time::sleep(TOGETHER).await;
    let mut all = vec![first];
    loop {
        match changes.try_recv() {
            Ok(change) => all.push(change),
            Err(tokio::sync::broadcast::error::TryRecvError::Lagged(_)) => all.push(Change::Activity),
            Err(_) => return Some(all),
        }
    }
}

fn hosts_events(state: State, session: &Session) -> impl Stream<Item = Event> + use<> {
    let caller = session.caller.clone();
    async_stream::stream! {
        let mut changes = state.fleet.changes();
        let mut before = None;
        loop {
            if let Ok(list) = hosts::list(&state, &caller).await
                && before.as_ref() != Some(&list)
            {
                yield Event::fragment(&list.fragment(super::view(&caller)));
                before = Some(list);
            }
            if next(&mut changes).await.is_none() {
                return;
            }
        }
    }
}

/// A browser that lost the stream says so itself; a page that made a new one has it in the query.
pub(super) fn last_event_id(headers: &HeaderMap) -> Option<String> {
    let last = headers.get("last-event-id")?.to_str().ok()?;
    (!last.is_empty()).then(|| last.to_owned())
}

/// nginx of a host: what waits to be confirmed and, beside the list, all the rest.
fn config_events(
    state: State,
    session: &Session,
    host: String,
    with_list: bool,
) -> impl Stream<Item = Event> + use<> {
    let caller = session.caller.clone();
    async_stream::stream! {
        let mut changes = state.fleet.changes();
        let mut pending = configs::pending(&state, &host);
        let mut list = configs::list(&state, &host);
        yield Event::fragment(&ConfigPending::fragment(&pending, super::view(&caller)));
        while next(&mut changes).await.is_some() {
            let now = configs::pending(&state, &host);
            if now != pending {
                yield Event::fragment(&ConfigPending::fragment(&now, super::view(&caller)));
                pending = now;
            }
            let now = configs::list(&state, &host);
            // When it was looked at is no news.
            if with_list && (ConfigList { seen_us: list.seen_us, ..now.clone() }) != list {
                let shown = configs::full_list(&state, &caller, &host).await;
                yield Event::fragment(&shown.fragment(super::view(&caller)));
                list = now;
            }
        }
    }
}
