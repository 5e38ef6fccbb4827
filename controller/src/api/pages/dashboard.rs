//! `/`: the state of everything.

use axum::{extract::State as Shared, response::Response};
use hms_web::{
    frame::Place,
    pages::DashboardPage,
    parts::{ActivityList, AppRow, HostCard},
};

use super::{frame, page, session::Session, view};
use crate::{api::grpc, db, fleet::Fleet, state::State};

pub(super) async fn show(Shared(state): Shared<State>, session: Session) -> Response {
    let recent = db::audit::recent(&state.db, ActivityList::ROWS).await;
    let mut shown = DashboardPage {
        frame: frame(&state, &session.caller, Place::Dashboard, "Dashboard"),
        activity: ActivityList { rows: recent.unwrap_or_default().into_iter().map(view::activity).collect() },
        ..of(&state.fleet)
    };
    shown.frame.events = "/events?view=dashboard".into();
    page(&shown)
}

/// The parts that the fleet knows.
pub(super) fn of(fleet: &Fleet) -> DashboardPage {
    DashboardPage {
        attention: view::attention(fleet),
        apps: apps(fleet),
        hosts: hosts(fleet),
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
