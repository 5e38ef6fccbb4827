//! `/deploy`: every app with what is live of it, and the last deployments.

use std::{collections::HashMap, time::Duration};

use axum::{extract::State as Shared, response::Response};
use futures_util::{StreamExt as _, stream};
use hms_proto::controller::v1::{ListDeploymentsRequest, ReleasesRequest};
use hms_web::{
    frame::Place,
    pages::DeployPage,
    parts::{DeployRow, DeploymentRow},
};

use super::{Problem, frame, page, session::Session, view_apps};
use crate::{
    api::grpc,
    apps::settings,
    auth::Caller,
    fleet::{self, LinkState},
    sight::Sight,
    state::State,
};

/// How many of the last deployments are shown.
pub(super) const RECENT: u32 = 20;
/// So long a page waits for hosts; the stream tells what comes later.
const AT_ONCE: Duration = Duration::from_millis(800);
/// Hosts that are asked at the same time.
const ASKED: usize = 8;

/// How many files of each app were changed by hand, where that is known.
pub(super) type Drifts = HashMap<String, usize>;

pub(super) async fn show(Shared(state): Shared<State>, session: Session) -> Result<Response, Problem> {
    let caller = &session.caller;
    let drifts = drifts(&state, caller, AT_ONCE).await;
    Ok(page(&DeployPage {
        frame: hms_web::Frame {
            events: "/events?view=deploy".into(),
            ..frame(&state, caller, Place::Deploy, "Deploy").await
        },
        apps: rows(&state, caller, &drifts),
        deployments: recent(&state, caller, "").await?,
        has_hosts: !state.fleet.seen_by(caller).hosts().is_empty(),
        with_app: true,
    }))
}

/// All apps, from what the fleet knows.
pub(super) fn rows(state: &State, caller: &Caller, drifts: &Drifts) -> Vec<DeployRow> {
    let seen = state.fleet.seen_by(caller);
    seen.apps().iter().filter_map(|known| row(seen, known, drifts)).collect()
}

fn row(seen: Sight<'_>, known: &fleet::App, drifts: &Drifts) -> Option<DeployRow> {
    let app = grpc::apps::find(seen, &known.key).ok()?;
    let drift = drifts.get(&app.key).copied().unwrap_or_default();
    Some(view_apps::deploy_row(&app, &settings::of(&known.row), drift))
}

/// The last deployments, of one app or of all.
pub(super) async fn recent(
    state: &State,
    caller: &Caller,
    key: &str,
) -> Result<Vec<DeploymentRow>, tonic::Status> {
    let request =
        ListDeploymentsRequest { key: key.into(), limit: RECENT, ..ListDeploymentsRequest::default() };
    let answer = state.gate.deployments(caller).list(request).await?.into_inner();
    Ok(answer.deployments.iter().map(view_apps::deployment_row).collect())
}

/// What hosts say within this time of files that were changed by hand.
pub(super) async fn drifts(state: &State, caller: &Caller, within: Duration) -> Drifts {
    let apps = state.fleet.seen_by(caller).apps();
    let asked = apps.iter().filter(|app| is_asked(state, app)).map(|app| app.key.to_string());
    let looks = asked.map(|key| {
        let mut deployments = state.gate.deployments(caller);
        async move {
            let look = deployments.releases(ReleasesRequest { key: key.clone() });
            let told = tokio::time::timeout(within, look).await.ok()?.ok()?;
            Some((key, told.into_inner().drift.len()))
        }
    });
    let looks: Vec<_> = looks.collect();
    stream::iter(looks).buffer_unordered(ASKED).filter_map(std::future::ready).collect().await
}

/// Only what HMS deployed can drift, and only a host that answers can tell.
fn is_asked(state: &State, app: &fleet::App) -> bool {
    let connected = |host: std::sync::Arc<fleet::Host>| host.look(|p| p.link == LinkState::Connected);
    state.fleet.deployed(app.key.as_str()).live.is_some()
        && state.fleet.host(app.host()).is_some_and(connected)
}
