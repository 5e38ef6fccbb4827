//! `/apps/{key}/plan` and the question of `/apps/{key}/rollback`: what would change, asked of the host.

use axum::{
    extract::{Path, Query, State as Shared},
    response::Response,
};
use hms_proto::{
    controller::v1::{GetAppRequest, PlanRequest},
    fault::Fault,
    host::v1::JobKind,
};
use hms_web::{
    frame::{Notice, Place, Tone},
    pages::AppPlanPage,
    parts::WorkKind,
};
use serde::Deserialize;

use super::{Problem, frame, page, session::Session, view_apps};
use crate::{auth::Caller, state::State};

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Asked {
    /// `deploy`; anything else: settings and secrets.
    kind: String,
    release: String,
    restart: String,
    /// Settings were just saved, or a file was just adopted.
    saved: String,
    adopted: String,
}

pub(super) async fn show(
    Shared(state): Shared<State>,
    session: Session,
    Path(key): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    let kind = if asked.kind == "deploy" { WorkKind::Deploy } else { WorkKind::Apply };
    shown(&state, &session.caller, &key, kind, asked).await
}

pub(super) async fn ask_rollback(
    Shared(state): Shared<State>,
    session: Session,
    Path(key): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    shown(&state, &session.caller, &key, WorkKind::Rollback, asked).await
}

async fn shown(
    state: &State,
    caller: &Caller,
    key: &str,
    kind: WorkKind,
    asked: Asked,
) -> Result<Response, Problem> {
    let settings =
        state.gate.apps(caller).get_settings(GetAppRequest { key: key.into() }).await?.into_inner();
    let request = PlanRequest {
        key: key.into(),
        kind: match kind {
            WorkKind::Rollback => JobKind::Rollback,
            WorkKind::Deploy => JobKind::Deploy,
            WorkKind::Apply | WorkKind::Remove => JobKind::Apply,
        }
        .into(),
        release: asked.release.clone(),
        restart: view_apps::restart_kind(&asked.restart).into(),
    };
    let (plan, problem) = match state.gate.deployments(caller).plan(request).await {
        Ok(plan) => (Some(view_apps::plan(plan.get_ref())), None),
        Err(status) => {
            let fault = Fault::from_status(&status);
            let hint = fault.next().to_owned();
            (None, Some(Notice { tone: Tone::Bad, message: fault.message, hint }))
        }
    };
    let title =
        if kind == WorkKind::Rollback { format!("Roll back {key}") } else { format!("Plan for {key}") };
    let mut frame = frame(state, caller, Place::Deploy, &title).await;
    frame.notice = news(&asked);
    // What is asked for is the release that the plan was made for, whatever is deployed in between.
    let target = plan.as_ref().and_then(|plan| plan.target.as_ref()).map(|target| target.id.clone());
    Ok(page(&AppPlanPage {
        frame,
        key: settings.key,
        host: settings.host,
        kind,
        release: target.unwrap_or(asked.release),
        branch: settings.spec.unwrap_or_default().branch,
        restart: asked.restart,
        plan,
        problem,
    }))
}

fn news(asked: &Asked) -> Option<Notice> {
    let message = match (asked.saved.as_str(), asked.adopted.as_str()) {
        ("1", _) => "The settings are saved.",
        (_, "1") => "The file is the app's own text now.",
        _ => return None,
    };
    let hint = "This is what bringing them to the host would change.".into();
    Some(Notice { tone: Tone::Good, message: message.into(), hint })
}
