//! `/apps/{key}`: one app, and what is asked for on its page: deploying, going back, applying, taking it away.

use std::time::Duration;

use axum::{
    Form,
    extract::{Path, State as Shared},
    response::{IntoResponse as _, Redirect, Response},
};
use hms_proto::{
    controller::v1::{
        AdoptAppFileRequest, ApplyRequest, DeployRequest, Deployment, GetAppRequest, ReleasesRequest,
        RemoveAppRequest, RollbackRequest,
    },
    fault::Fault,
    names::AppKey,
};
use hms_web::{
    frame::{Notice, Place, Tone},
    pages::{AppPage, AppRemovePage},
    parts::{DeployRow, ReleaseRow, app_href},
};
use serde::Deserialize;
use uuid::Uuid;

use super::{Problem, deploy, frame, page, session::Session, view, view_apps};
use crate::{api::grpc, apps::settings, auth::Caller, state::State};

/// A page waits no longer for what a host has.
const LOOK: Duration = Duration::from_secs(5);

/// What a form asks for. Each kind of work takes what it knows of it.
#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Wanted {
    branch: String,
    commit: String,
    release: String,
    restart: String,
    revert_drift: bool,
    accept_destructive: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Item {
    item: String,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Removal {
    confirm: String,
    from_host: bool,
    delete_data: bool,
}

pub(super) async fn show(
    Shared(state): Shared<State>,
    session: Session,
    Path(key): Path<String>,
) -> Result<Response, Problem> {
    let caller = &session.caller;
    let shown = of(&state, caller, &AppKey::try_from(key.as_str())?).await?;
    let events = format!("/events?view=app&id={}", shown.key);
    let frame = hms_web::Frame { events, ..frame(&state, caller, Place::Deploy, &shown.key).await };
    Ok(page(&AppPage { frame, ..shown }))
}

async fn of(state: &State, caller: &Caller, key: &AppKey) -> Result<AppPage, Problem> {
    let seen = state.fleet.seen_by(caller);
    let (app, settings) = (grpc::apps::find(seen, key)?, settings::of(&seen.app(key)?.row));
    let (told, deployments) =
        tokio::join!(releases(state, caller, key.as_str()), deploy::recent(state, caller, key.as_str()));
    let (releases, drifts, releases_problem) = match told {
        Ok((releases, drifts)) => (releases, drifts, String::new()),
        Err(fault) => (Vec::new(), 0, fault.message),
    };
    Ok(AppPage {
        key: app.key.clone(),
        host: app.host.clone(),
        app: view::app_row(&state.fleet, &app),
        row: row(state, caller, key, drifts)?,
        releases,
        releases_problem,
        deployments: deployments?,
        site_href: view_apps::site_href(&app, &settings),
        facts: view_apps::facts(&app, &settings),
        ..AppPage::default()
    })
}

/// The app as on `/deploy`.
pub(super) fn row(state: &State, caller: &Caller, key: &AppKey, drifts: usize) -> Result<DeployRow, Fault> {
    let seen = state.fleet.seen_by(caller);
    let app = grpc::apps::find(seen, key)?;
    Ok(view_apps::deploy_row(&app, &settings::of(&seen.app(key)?.row), drifts))
}

/// What the host has of an app: its releases, and how many of its files were changed by hand.
pub(super) async fn releases(
    state: &State,
    caller: &Caller,
    key: &str,
) -> Result<(Vec<ReleaseRow>, usize), Fault> {
    let mut deployments = state.gate.deployments(caller);
    let look = deployments.releases(ReleasesRequest { key: key.into() });
    match tokio::time::timeout(LOOK, look).await {
        Ok(Ok(told)) => {
            let told = told.into_inner();
            Ok((told.releases.iter().map(view_apps::release_row).collect(), told.drift.len()))
        }
        Ok(Err(status)) => Err(Fault::from_status(&status)),
        Err(_) => Err(Fault::invalid("The host did not answer in time.")),
    }
}

pub(super) async fn deploy(
    Shared(state): Shared<State>,
    session: Session,
    Path(key): Path<String>,
    Form(asked): Form<Wanted>,
) -> Result<Response, Problem> {
    let request = DeployRequest {
        key,
        branch: asked.branch.trim().into(),
        commit: asked.commit.trim().into(),
        id: new_id(),
        restart: view_apps::restart_kind(&asked.restart).into(),
        revert_drift: asked.revert_drift,
    };
    let begun = state.gate.deployments(&session.caller).deploy(request).await;
    begun_or(begun, &session.caller)
}

pub(super) async fn apply(
    Shared(state): Shared<State>,
    session: Session,
    Path(key): Path<String>,
    Form(asked): Form<Wanted>,
) -> Result<Response, Problem> {
    let request = ApplyRequest {
        key,
        id: new_id(),
        restart: view_apps::restart_kind(&asked.restart).into(),
        revert_drift: asked.revert_drift,
    };
    let begun = state.gate.deployments(&session.caller).apply(request).await;
    begun_or(begun, &session.caller)
}

pub(super) async fn roll_back(
    Shared(state): Shared<State>,
    session: Session,
    Path(key): Path<String>,
    Form(asked): Form<Wanted>,
) -> Result<Response, Problem> {
    let request = RollbackRequest {
        key,
        release: asked.release.trim().into(),
        accept_destructive: asked.accept_destructive,
        id: new_id(),
        restart: view_apps::restart_kind(&asked.restart).into(),
        revert_drift: asked.revert_drift,
    };
    let begun = state.gate.deployments(&session.caller).rollback(request).await;
    begun_or(begun, &session.caller)
}

/// Given here, so that the audit names the deployment that a call began.
fn new_id() -> String {
    Uuid::now_v7().to_string()
}

/// To the deployment, whether it was begun now or is under way already.
fn begun_or(
    begun: Result<tonic::Response<Deployment>, tonic::Status>,
    caller: &Caller,
) -> Result<Response, Problem> {
    let begun = begun.map_err(|status| Problem::of(Fault::from_status(&status), caller))?.into_inner();
    let joined = if begun.joined { "?joined=1" } else { "" };
    Ok(Redirect::to(&format!("/deployments/{}{joined}", begun.id)).into_response())
}

pub(super) async fn adopt(
    Shared(state): Shared<State>,
    session: Session,
    Path(key): Path<String>,
    Form(Item { item }): Form<Item>,
) -> Result<Response, Problem> {
    let request = AdoptAppFileRequest { key: key.clone(), item };
    let done = state.gate.apps(&session.caller).adopt(request).await;
    done.map_err(|status| Problem::of(Fault::from_status(&status), &session.caller))?;
    Ok(Redirect::to(&format!("{}?adopted=1", app_href(&key, "plan"))).into_response())
}

pub(super) async fn ask_removal(
    Shared(state): Shared<State>,
    session: Session,
    Path(key): Path<String>,
) -> Result<Response, Problem> {
    removal(&state, &session.caller, &key, None).await
}

pub(super) async fn remove(
    Shared(state): Shared<State>,
    session: Session,
    Path(key): Path<String>,
    Form(asked): Form<Removal>,
) -> Result<Response, Problem> {
    if asked.confirm.trim() != key {
        let problem = Notice {
            tone: Tone::Bad,
            message: format!("{key} was not removed: what you typed is not its key."),
            hint: format!("Type {key} to remove it."),
        };
        return removal(&state, &session.caller, &key, Some(problem)).await;
    }
    let Removal { from_host, delete_data, .. } = asked;
    let request = RemoveAppRequest { key: key.clone(), from_host, delete_data };
    match state.gate.apps(&session.caller).remove(request).await {
        Ok(begun) => Ok(match begun.into_inner().deployment_id.as_str() {
            "" => Redirect::to("/deploy"),
            id => Redirect::to(&format!("/deployments/{id}")),
        }
        .into_response()),
        Err(status) => {
            let fault = Fault::from_status(&status);
            let hint = fault.next().to_owned();
            let problem = Notice { tone: Tone::Bad, message: fault.message, hint };
            removal(&state, &session.caller, &key, Some(problem)).await
        }
    }
}

async fn removal(
    state: &State,
    caller: &Caller,
    key: &str,
    problem: Option<Notice>,
) -> Result<Response, Problem> {
    let settings =
        state.gate.apps(caller).get_settings(GetAppRequest { key: key.into() }).await?.into_inner();
    let app = grpc::apps::find(state.fleet.seen_by(caller), &AppKey::try_from(key)?)?;
    Ok(page(&AppRemovePage {
        frame: frame(state, caller, Place::Deploy, &format!("Remove {key}")).await,
        key: app.key,
        host: app.host,
        domain: app.domain,
        database: settings.spec.unwrap_or_default().database_name,
        problem,
    }))
}
