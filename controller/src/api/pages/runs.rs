//! `/runs`: the history, one run, its output as a file, and ending it.

use axum::{
    Form,
    body::{Body, Bytes},
    extract::{Path, Query, State as Shared},
    http::{HeaderMap, header},
    response::{Html, IntoResponse as _, Redirect, Response},
};
use futures_util::{StreamExt as _, TryStreamExt as _};
use hms_proto::{
    controller::v1::{CancelRequest, GetJobRequest, GetRunRequest, ListRunsRequest, Run},
    fault::Fault,
    host::v1::JobOutputRequest,
    report,
};
use hms_web::{
    frame::{Notice, Place, Tone},
    pages::{RunPage, RunsPage, RunsQuery},
    parts::{FindingRow, JobState, OutputPanel, RunCard, Terminal},
    text::encode,
};
use serde::Deserialize;

use super::{Problem, frame, page, session::Session, view_jobs, wants_fragment};
use crate::{auth::Caller, db, state::State};

/// How much output a page begins with; more would make the page itself slow.
const TAIL: u64 = 256 * 1024;
/// Runs on one page.
const PAGE: u32 = 50;

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Filter {
    script: String,
    host: String,
    actor: String,
    state: String,
    schedule: String,
    cursor: String,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(super) struct OfJob {
    job: String,
}

pub(super) async fn list(
    Shared(state): Shared<State>,
    session: Session,
    Query(asked): Query<Filter>,
) -> Result<Response, Problem> {
    let request = ListRunsRequest {
        script: asked.script.clone(),
        host: asked.host.clone(),
        actor: asked.actor.trim().into(),
        state: asked.state.clone(),
        schedule_id: asked.schedule.clone(),
        limit: PAGE,
        cursor: asked.cursor.clone(),
    };
    let Filter { script, host, actor, state: in_state, schedule, cursor } = asked;
    let mut shown = RunsPage {
        frame: frame(&state, &session.caller, Place::Scripts, "Runs").await,
        query: RunsQuery { script, host, actor, state: in_state, schedule, cursor },
        scripts: db::scripts::list(&state.db).await.unwrap_or_default().into_iter().map(|s| s.name).collect(),
        hosts: state.fleet.seen_by(&session.caller).hosts().iter().map(|h| h.row.name.clone()).collect(),
        ..RunsPage::default()
    };
    match state.gate.jobs(&session.caller).list_runs(request).await {
        Ok(answer) => {
            let answer = answer.into_inner();
            shown.runs = answer.runs.iter().map(view_jobs::run_row).collect();
            shown.next_cursor = answer.next_cursor;
        }
        Err(status) => {
            let fault = Fault::from_status(&status);
            let hint = fault.next().to_owned();
            shown.problem = Some(Notice { tone: Tone::Bad, message: fault.message, hint });
        }
    }
    Ok(page(&shown))
}

pub(super) async fn show(
    Shared(state): Shared<State>,
    session: Session,
    Path(id): Path<String>,
    Query(asked): Query<OfJob>,
) -> Result<Response, Problem> {
    let caller = &session.caller;
    let run = state.gate.jobs(caller).get_run(GetRunRequest { id }).await?.into_inner();
    let card = view_jobs::run_card(&run, &asked.job);
    let (output, cursor) = output(&state, caller, &card).await?;
    let findings = findings(&state, caller, &run, &card).await;
    let mut shown = RunPage {
        frame: frame(&state, caller, Place::Scripts, &run.script).await,
        run: card,
        output,
        findings,
    };
    if shown.run.is_open() || shown.output.as_ref().is_some_and(|output| output.open) {
        let (id, job) = (&shown.run.id, &shown.run.chosen);
        shown.frame.events = format!("/events?view=run&id={id}&job={job}&after={}", encode(&cursor));
    }
    Ok(page(&shown))
}

/// The end of the chosen job's output, and where its stream goes on.
async fn output(
    state: &State,
    caller: &Caller,
    card: &RunCard,
) -> Result<(Option<OutputPanel>, String), Problem> {
    let Some(job) = card.chosen_job() else { return Ok((None, String::new())) };
    let panel = OutputPanel {
        job: job.id.clone(),
        host: job.host.clone(),
        of: card.script.clone(),
        others: card.outputs(),
        others_href: format!("/runs/{}", card.id),
        open: !job.state.is_over(),
        why_none: view_jobs::why_no_output(job),
        ..OutputPanel::default()
    };
    let (panel, cursor) = filled(state, caller, panel, job.output_bytes).await?;
    Ok((Some(panel), cursor))
}

/// A panel with the end of its job's output, and where its stream goes on.
pub(super) async fn filled(
    state: &State,
    caller: &Caller,
    panel: OutputPanel,
    bytes: u64,
) -> Result<(OutputPanel, String), Problem> {
    let offset = bytes.saturating_sub(TAIL);
    let mut terminal = Terminal::at(offset);
    let mut panel = OutputPanel { skipped: offset, ..panel };
    let request = JobOutputRequest { id: panel.job.clone(), offset, follow: false };
    let mut pieces = state.gate.jobs(caller).output(request).await?.into_inner();
    while let Some(piece) = pieces.message().await? {
        for row in terminal.push(&piece.data) {
            // The last row of the piece before was unfinished, and comes again.
            if panel.rows.last().is_some_and(|last| last.offset == row.offset) {
                panel.rows.pop();
            }
            panel.rows.push(row);
        }
    }
    if offset > 0 && !panel.rows.is_empty() {
        // It begins somewhere in its row.
        panel.rows.remove(0);
        panel.skipped = panel.rows.first().map_or(offset, |row| row.offset);
    }
    Ok((panel, terminal.cursor()))
}

/// What a check found on the host, where its output is a report.
async fn findings(state: &State, caller: &Caller, run: &Run, card: &RunCard) -> Vec<FindingRow> {
    let Some(job) = card
        .chosen_job()
        .filter(|job| run.json && job.state == JobState::Succeeded && job.output_bytes <= TAIL)
    else {
        return Vec::new();
    };
    let request = JobOutputRequest { id: job.id.clone(), offset: 0, follow: false };
    let Ok(pieces) = state.gate.jobs(caller).output(request).await else { return Vec::new() };
    let whole: Vec<u8> = pieces
        .into_inner()
        .map_ok(|piece| piece.data)
        .try_fold(Vec::new(), async |mut all, data| {
            all.extend_from_slice(&data);
            Ok(all)
        })
        .await
        .unwrap_or_default();
    let row = |found: report::Finding| FindingRow {
        level: found.level.word().into(),
        subject: found.subject,
        message: found.message,
    };
    report::findings(&whole).unwrap_or_default().into_iter().map(row).collect()
}

pub(super) async fn cancel(
    Shared(state): Shared<State>,
    session: Session,
    headers: HeaderMap,
    Path(id): Path<String>,
    Form(asked): Form<OfJob>,
) -> Result<Response, Problem> {
    let caller = &session.caller;
    let wanted = if asked.job.is_empty() { id.clone() } else { asked.job.clone() };
    let done = state.gate.jobs(caller).cancel(CancelRequest { id: wanted }).await;
    if !wants_fragment(&headers) {
        done?;
        return Ok(Redirect::to(&format!("/runs/{id}")).into_response());
    }
    // Whatever came of it, the page shows the run as it is.
    let run = state.gate.jobs(caller).get_run(GetRunRequest { id }).await?.into_inner();
    let mut card = view_jobs::run_card(&run, &asked.job);
    if let Err(status) = done {
        let fault = Fault::from_status(&status);
        card.problem = format!("{} {}", fault.message, fault.next());
    }
    Ok(Html(card.fragment(super::view(caller)).html).into_response())
}

/// The whole output of a job, as it was written.
pub(super) async fn download(
    Shared(state): Shared<State>,
    session: Session,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let mut jobs = state.gate.jobs(&session.caller);
    let job = jobs.get_job(GetJobRequest { id: id.clone() }).await?.into_inner();
    let pieces = jobs.output(JobOutputRequest { id, offset: 0, follow: false }).await?.into_inner();
    let bytes = pieces.map(|piece| piece.map(|piece| Bytes::from(piece.data)).map_err(std::io::Error::other));
    let name = format!(
        "attachment; filename=\"{}-{}-{}.txt\"",
        if job.script.is_empty() { &job.app } else { &job.script },
        job.host,
        job.id.get(..8).unwrap_or_default()
    );
    let head =
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()), (header::CONTENT_DISPOSITION, name)];
    Ok((head, Body::from_stream(bytes)).into_response())
}
