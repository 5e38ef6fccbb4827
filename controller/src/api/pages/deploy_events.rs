//! The streams of `/deploy`, of an app's page, and of an open deployment.

use std::{collections::BTreeSet, time::Duration};

use axum::http::HeaderMap;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};
use hms_proto::{
    controller::v1::{Deployment, GetDeploymentRequest},
    fault::Fault,
    host::v1::{JobOutput, JobOutputRequest},
    names::AppKey,
};
use hms_web::{
    Event,
    pages::DeployPage,
    parts::{Step, Terminal, deployment_list_fragment, mark_steps, release_list_fragment},
};
use tokio::time::MissedTickBehavior;
use tonic::Status;

use super::{
    app, deploy, deployments,
    events::{Events, Sent, next},
    run_events::{Asked, fresh, told},
    session::Session,
    view, view_apps,
};
use crate::{api::grpc, auth::Caller, fleet::Change, state::State};

/// How often hosts are asked again what was changed by hand.
const DRIFT_EVERY: Duration = Duration::from_secs(60);
/// So long such a look may take.
const DRIFT_LOOK: Duration = Duration::from_secs(5);

/// Measures of hosts move all the time, and are not shown here.
fn matters(changes: &[Change]) -> bool {
    changes.iter().any(|change| !matches!(change, Change::Host(_) | Change::Configs(_)))
}

pub(super) fn all(state: State, session: &Session) -> impl Stream<Item = Event> + use<> {
    let caller = session.caller.clone();
    async_stream::stream! {
        let mut changes = state.fleet.changes();
        let mut sent = Sent::default();
        let mut look = tokio::time::interval(DRIFT_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut drifts = deploy::Drifts::new();
        let mut keys = keys(&state, &caller);
        loop {
            tokio::select! {
                _ = look.tick() => drifts = deploy::drifts(&state, &caller, DRIFT_LOOK).await,
                changed = next(&mut changes) => match changed {
                    None => return,
                    Some(changed) if !matters(&changed) => continue,
                    Some(_) => {}
                },
            }
            let now = super::view(&caller);
            let rows = deploy::rows(&state, &caller, &drifts);
            if self::keys(&state, &caller) != keys {
                keys = self::keys(&state, &caller);
                let has_hosts = !state.fleet.seen_by(&caller).hosts().is_empty();
                yield Event::fragment(&DeployPage { apps: rows.clone(), has_hosts, ..DeployPage::default() }.list(now));
            }
            let mut fragments: Vec<_> = rows.iter().map(|row| row.fragment(now)).collect();
            if let Ok(recent) = deploy::recent(&state, &caller, "").await {
                fragments.push(deployment_list_fragment(&recent, true, now));
            }
            for fragment in fragments {
                if sent.is_new(&fragment) {
                    yield Event::fragment(&fragment);
                }
            }
        }
    }
}

fn keys(state: &State, caller: &Caller) -> BTreeSet<String> {
    state.fleet.seen_by(caller).apps().iter().map(|app| app.key.to_string()).collect()
}

pub(super) fn of_app(state: State, session: &Session, key: String) -> impl Stream<Item = Event> + use<> {
    let caller = session.caller.clone();
    async_stream::stream! {
        let Ok(key) = AppKey::try_from(key.as_str()) else {
            yield Event::refused("This is the key of no app.");
            return;
        };
        let mut changes = state.fleet.changes();
        let mut sent = Sent::default();
        let mut live = String::new();
        let mut drifts = 0;
        loop {
            let now = super::view(&caller);
            let (Ok(shown), Ok(row)) = (
                grpc::apps::find(state.fleet.seen_by(&caller), &key),
                app::row(&state, &caller, &key, drifts),
            ) else {
                yield Event::reshape();
                return;
            };
            let mut fragments = vec![view::app_row(&state.fleet, &shown).fragment(now)];
            let at = at(&shown);
            if at != live {
                live = at;
                let told = app::releases(&state, &caller, key.as_str()).await;
                drifts = told.as_ref().map_or(drifts, |(_, drifts)| *drifts);
                let told = told.as_ref().map(|(releases, _)| releases.as_slice());
                fragments.push(release_list_fragment(key.as_str(), &shown.host, told.map_err(|fault| fault.message.as_str()), now));
                if let Ok(recent) = deploy::recent(&state, &caller, key.as_str()).await {
                    fragments.push(deployment_list_fragment(&recent, false, now));
                }
            }
            fragments.push(hms_web::parts::DeployRow { drifts, ..row }.fragment(now));
            for fragment in fragments {
                if sent.is_new(&fragment) {
                    yield Event::fragment(&fragment);
                }
            }
            if next(&mut changes).await.is_none() {
                return;
            }
        }
    }
}

/// Changes when work on the app begins, ends, or goes live.
fn at(app: &hms_proto::controller::v1::App) -> String {
    let id = |deployment: &Option<Deployment>| deployment.as_ref().map(|d| d.id.clone()).unwrap_or_default();
    format!("{} {}", id(&app.live), id(&app.work))
}

enum Piece {
    Deployment(Box<Deployment>),
    Output(Box<JobOutput>),
}

pub(super) async fn of_one(state: &State, session: &Session, headers: &HeaderMap, asked: Asked) -> Events {
    told(pieces(state, session, asked.resumed(headers)).await)
}

async fn pieces(state: &State, session: &Session, asked: Asked) -> Result<Events, Status> {
    let (state, caller) = (state.clone(), session.caller.clone());
    let mut terminal = Terminal::resume(&asked.after).unwrap_or_default();
    let watched = GetDeploymentRequest { id: asked.id.clone() };
    let watched = state.gate.deployments(&caller).watch(watched).await?.into_inner();
    let wanted = JobOutputRequest { id: asked.id, offset: terminal.wants(), follow: true };
    let output = state.gate.jobs(&caller).output(wanted).await?.into_inner();
    let mut both = stream::select(
        watched.map_ok(|deployment| Piece::Deployment(Box::new(deployment))),
        output.map_ok(|piece| Piece::Output(Box::new(piece))),
    );
    Ok(async_stream::stream! {
        let mut sent = Sent::default();
        let mut steps: Vec<Step> = Vec::new();
        while let Some(piece) = both.next().await {
            match piece {
                Ok(Piece::Deployment(deployment)) => {
                    let card = deployments::of(&state, &caller, &deployment).await;
                    steps.clone_from(&card.row.steps);
                    let fragment = card.fragment(super::view(&caller));
                    if sent.is_new(&fragment) {
                        yield Event::fragment(&fragment);
                    }
                }
                Ok(Piece::Output(piece)) => {
                    if let Some(job) = piece.job.as_ref().filter(|job| !job.steps.is_empty()) {
                        steps = job.steps.iter().map(view_apps::step).collect();
                    }
                    let mut rows = terminal.push(fresh(&piece, terminal.wants()));
                    mark_steps(&mut rows, &steps);
                    if !rows.is_empty() {
                        yield Event::output(&rows, terminal.cursor());
                    }
                }
                Err(status) => {
                    let fault = Fault::from_status(&status);
                    yield Event::refused(&format!("{} {}", fault.message, fault.next()));
                    return;
                }
            }
        }
        yield Event::ended();
    }
    .boxed())
}
