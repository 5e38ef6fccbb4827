//! `/`: the state of everything.

use axum::{
    extract::{Query, State as Shared},
    response::Response,
};
use hms_web::{
    frame::{Notice, Place, Tone},
    pages::DashboardPage,
    parts::{Activity, ActivityList, AppRow, HostCard, OutcomeKind},
};
use serde::Deserialize;

use super::{configs, frame, page, session::Session, view};
use crate::{api::grpc, db, fleet::Fleet, state::State};

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
    let recent = db::audit::recent(&state.db, ActivityList::ROWS).await.unwrap_or_default();
    let done =
        recent.iter().find(|r| Some(&r.request_id) == asked.done.as_ref() && r.actor == session.caller.name);
    let notice = done.cloned().map(|record| notice(&view::activity(record)));
    let mut shown = DashboardPage {
        frame: frame(&state, &session.caller, Place::Dashboard, "Dashboard").await,
        activity: ActivityList { rows: recent.into_iter().map(view::activity).collect() },
        ..of(&state).await
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

/// The parts that the fleet knows, and what checks found. Without the database the fleet's part is shown all the same.
pub(super) async fn of(state: &State) -> DashboardPage {
    let fleet = &state.fleet;
    let warnings = db::warnings::list(&state.db, "").await.unwrap_or_default();
    let scripts = db::scripts::list(&state.db).await.unwrap_or_default();
    let mut attention = view::attention(fleet, &warnings);
    attention.items.extend(configs::attention(state));
    attention.items.sort_by_key(|item| item.tone != Tone::Bad);
    DashboardPage {
        attention,
        apps: apps(fleet),
        hosts: hosts(fleet),
        checks: scripts.into_iter().filter(|s| s.check).map(|s| (s.name, s.title)).collect(),
        ..DashboardPage::default()
    }
}

fn apps(fleet: &Fleet) -> Vec<AppRow> {
    grpc::apps::list(fleet).iter().map(|app| view::app_row(fleet, app)).collect()
}

fn hosts(fleet: &Fleet) -> Vec<HostCard> {
    let apps = fleet.apps();
    let count = |name: &str| apps.iter().filter(|a| a.host() == name).count() as u32;
    fleet.hosts().iter().map(|host| view::host_card(host, count(&host.row.name))).collect()
}
