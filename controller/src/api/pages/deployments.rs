//! `/deployments/{id}`: one deployment, and ending it.

use axum::{
    extract::{Path, Query, State as Shared},
    http::HeaderMap,
    response::{Html, IntoResponse as _, Redirect, Response},
};
use hms_proto::{
    controller::v1::{CancelRequest, Deployment, GetDeploymentRequest},
    fault::Fault,
    host::v1::{JobOutputRequest, JobState as State, StepState},
};
use hms_web::{
    frame::{Notice, Place, Tone},
    pages::DeploymentPage,
    parts::{DeploymentCard, JobState, OutputPanel, mark_steps},
    text::encode,
};
use serde::Deserialize;

use super::{Problem, frame, page, runs, session::Session, view_apps, wants_fragment};
use crate::{auth::Caller, state};

/// So much of a failed step's output is looked at for its last lines.
const TAIL: u64 = 8 * 1024;
/// So many of them are shown on top.
const LINES: usize = 15;

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Asked {
    /// It was under way already when somebody asked for another.
    joined: String,
}

pub(super) async fn show(
    Shared(state): Shared<state::State>,
    session: Session,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    let caller = &session.caller;
    let deployment = get(&state, caller, &id).await?;
    let card = of(&state, caller, &deployment).await;
    let (output, cursor) = output(&state, caller, &card).await?;
    let mut frame = frame(&state, caller, Place::Deploy, &card.row.app).await;
    if card.row.is_open() {
        let id = &card.row.id;
        frame.events = format!("/events?view=deployment&id={id}&job={id}&after={}", encode(&cursor));
    }
    if asked.joined == "1" {
        frame.notice = Some(joined(&card));
    }
    Ok(page(&DeploymentPage { frame, card, output: Some(output) }))
}

fn joined(card: &DeploymentCard) -> Notice {
    Notice {
        tone: Tone::Info,
        message: format!("{} began this before you asked; nothing else was begun.", card.row.actor),
        hint: "One deployment works on an app at a time.".into(),
    }
}

async fn get(state: &state::State, caller: &Caller, id: &str) -> Result<Deployment, Problem> {
    Ok(state.gate.deployments(caller).get(GetDeploymentRequest { id: id.into() }).await?.into_inner())
}

/// A deployment as it is shown; of a failed one with the last lines of what failed.
pub(super) async fn of(state: &state::State, caller: &Caller, deployment: &Deployment) -> DeploymentCard {
    let tail = tail(state, caller, deployment).await.unwrap_or_default();
    view_apps::card(deployment, tail)
}

/// The last lines that the failed step wrote; without them the page is shown all the same.
async fn tail(state: &state::State, caller: &Caller, deployment: &Deployment) -> Option<Vec<String>> {
    let job = deployment.job.as_ref()?;
    if !matches!(job.state(), State::Failed | State::TimedOut | State::Lost) {
        return None;
    }
    let failed = job.steps.iter().position(|step| step.state() == StepState::Failed)?;
    let begin = job.steps[failed].output_offset;
    let next = job.steps[failed + 1..].iter().find(|step| step.started_usec > 0);
    let end = next.map_or(job.output_bytes, |step| step.output_offset);
    let offset = begin.max(end.saturating_sub(TAIL));
    let request = JobOutputRequest { id: deployment.id.clone(), offset, follow: false };
    let mut pieces = state.gate.jobs(caller).output(request).await.ok()?.into_inner();
    let mut bytes = Vec::new();
    let wanted = usize::try_from(end.saturating_sub(offset)).ok()?;
    while bytes.len() < wanted
        && let Ok(Some(piece)) = pieces.message().await
    {
        bytes.extend_from_slice(&piece.data);
    }
    bytes.truncate(wanted);
    Some(last_lines(&bytes, offset > begin))
}

fn last_lines(bytes: &[u8], begins_inside: bool) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text.lines().skip(usize::from(begins_inside)).collect();
    let lines = lines.iter().map(|line| line.trim_end()).filter(|line| !line.is_empty());
    let lines: Vec<String> = lines.map(ToOwned::to_owned).collect();
    lines[lines.len().saturating_sub(LINES)..].to_vec()
}

async fn output(
    state: &state::State,
    caller: &Caller,
    card: &DeploymentCard,
) -> Result<(OutputPanel, String), Problem> {
    let row = &card.row;
    let panel = OutputPanel {
        job: row.id.clone(),
        host: row.host.clone(),
        of: row.app.clone(),
        open: row.is_open(),
        why_none: match (row.state, row.started_us) {
            (JobState::Queued, _) => "It waits for its turn.".into(),
            (state, None) if state.is_over() => "It was not begun.".into(),
            _ => String::new(),
        },
        ..OutputPanel::default()
    };
    let (mut panel, cursor) = runs::filled(state, caller, panel, card.output_bytes).await?;
    mark_steps(&mut panel.rows, &row.steps);
    Ok((panel, cursor))
}

pub(super) async fn cancel(
    Shared(state): Shared<state::State>,
    session: Session,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let caller = &session.caller;
    let done = state.gate.jobs(caller).cancel(CancelRequest { id: id.clone() }).await;
    if !wants_fragment(&headers) {
        done?;
        return Ok(Redirect::to(&format!("/deployments/{}", encode(&id))).into_response());
    }
    // Whatever came of it, the page shows the deployment as it is.
    let mut card = of(&state, caller, &get(&state, caller, &id).await?).await;
    if let Err(status) = done {
        let fault = Fault::from_status(&status);
        card.problem = format!("{} {}", fault.message, fault.next());
    }
    Ok(Html(card.fragment(super::view(caller)).html).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_whole_and_few() {
        let text: String = (0..40).map(|n| format!("line {n}\n\n")).collect();
        let lines = last_lines(text.as_bytes(), false);
        assert_eq!((lines.len(), lines[0].as_str(), lines[14].as_str()), (15, "line 25", "line 39"));
        assert_eq!(last_lines(b"of a line\nwhole\n", true), ["whole"]);
        assert!(last_lines(b"", true).is_empty());
    }
}
