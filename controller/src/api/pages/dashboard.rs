//! `/`: the state of everything.

use axum::{
    extract::{Query, State as Shared},
    response::Response,
};
use hms_proto::controller::v1::{AuditRecord, ListAuditRequest};
use hms_web::{
    frame::{Notice, Place, Tone},
    pages::DashboardPage,
    parts::{Activity, ActivityList, AppRow, HostCard, OutcomeKind},
};
use serde::Deserialize;

use super::{configs, frame, page, session::Session, view};
use crate::{api::grpc, auth::Caller, db, sight::Sight, state::State};

#[derive(Deserialize, Default)]
pub(super) struct Asked {
    /// The request id of what was just done by a form without scripts.
    done: Option<String>,
}

pub(super) async fn show(
    Shared(state): Shared<State>,
    session: Session,
    Query(asked): Query<Asked>,
) -> Response {
    let recent = recent(&state, &session.caller).await;
    let done =
        recent.iter().find(|r| Some(&r.request_id) == asked.done.as_ref() && r.actor == session.caller.name);
    let notice = done.cloned().map(|record| notice(&view::activity(record)));
    let mut shown = DashboardPage {
        frame: frame(&state, &session.caller, Place::Dashboard, "Dashboard").await,
        activity: ActivityList { rows: recent.into_iter().map(view::activity).collect() },
        ..of(&state, &session.caller).await
    };
    shown.frame.notice = notice;
    shown.frame.events = "/events?view=dashboard".into();
    page(&shown)
}

/// What became of a call, as the audit has it.
fn notice(act: &Activity) -> Notice {
    let took = hms_web::text::took(act.took_ms);
    let tone = if act.outcome == OutcomeKind::Ok { Tone::Good } else { Tone::Bad };
    let message =
        format!("{} {} on {}: {} after {took}", act.verb(), act.target, act.host, act.outcome.word());
    Notice { tone, message, hint: act.detail.clone() }
}

/// The newest records; none without the database.
pub(super) async fn recent(state: &State, caller: &Caller) -> Vec<AuditRecord> {
    let request = ListAuditRequest { limit: ActivityList::ROWS, ..ListAuditRequest::default() };
    let answer = state.gate.audit(caller).list(request).await;
    answer.map(|answer| answer.into_inner().records).unwrap_or_default()
}

/// The parts that the fleet knows, and what checks found. Without the database the fleet's part is shown all the same.
pub(super) async fn of(state: &State, caller: &Caller) -> DashboardPage {
    let seen = state.fleet.seen_by(caller);
    let warnings = db::warnings::list(&state.db, "", &caller.scope).await.unwrap_or_default();
    let scripts = db::scripts::list(&state.db).await.unwrap_or_default();
    let mut attention = view::attention(seen, &warnings);
    attention.items.extend(configs::attention(state, caller));
    attention.items.sort_by_key(|item| item.tone != Tone::Bad);
    DashboardPage {
        attention,
        apps: apps(seen),
        hosts: hosts(seen),
        checks: scripts.into_iter().filter(|s| s.check).map(|s| (s.name, s.title)).collect(),
        ..DashboardPage::default()
    }
}

fn apps(seen: Sight<'_>) -> Vec<AppRow> {
    grpc::apps::list(seen).iter().map(|app| view::app_row(seen.fleet, app)).collect()
}

fn hosts(seen: Sight<'_>) -> Vec<HostCard> {
    let apps = seen.apps();
    let count = |name: &str| apps.iter().filter(|a| a.host() == name).count() as u32;
    seen.hosts().iter().map(|host| view::host_card(host, count(&host.row.name))).collect()
}
