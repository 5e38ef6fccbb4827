//! `/scripts`: the catalogue, and the form of one script.

use axum::{
    Form,
    extract::{Path, Query, State as Shared},
    http::HeaderMap,
    response::{Html, IntoResponse as _, Redirect, Response},
};
use hms_proto::{
    controller::v1::{
        GetScriptRequest, GetScriptResponse, ListRunsRequest, ListSchedulesRequest, ListScriptsRequest,
    },
    fault::Fault,
    host::v1::Script,
};
use hms_web::{
    frame::{Notice, Place, Tone},
    pages::{ScriptPage, ScriptsPage},
    parts::{RunRow, ScriptForm, ScriptRow},
};
use serde::Deserialize;

use super::{Problem, asked::Asked, frame, page, script_form, session::Session, view_jobs, wants_fragment};
use crate::{auth::Caller, state::State};

/// Past runs on the page of a script, and on that of all.
const RECENT: u32 = 10;
/// Runs that are looked at for the last one of each script.
const LOOKED_AT: u32 = 200;

type Pairs = Vec<(String, String)>;

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Search {
    q: String,
}

pub(super) async fn list(
    Shared(state): Shared<State>,
    session: Session,
    Query(search): Query<Search>,
) -> Result<Response, Problem> {
    let caller = &session.caller;
    let scripts = state.gate.scripts(caller).list(ListScriptsRequest {}).await?.into_inner().scripts;
    let runs =
        recent(&state, caller, ListRunsRequest { limit: LOOKED_AT, ..ListRunsRequest::default() }).await?;
    let schedules =
        state.gate.jobs(caller).list_schedules(ListSchedulesRequest {}).await?.into_inner().schedules;
    let row = |script: Script| ScriptRow {
        last: runs.iter().find(|run| run.script == script.name).cloned(),
        name: script.name,
        title: script.title,
        description: script.description,
        mutates: script.mutates,
        check: script.check,
    };
    Ok(page(&ScriptsPage {
        frame: frame(&state, caller, Place::Scripts, "Scripts").await,
        q: search.q,
        scripts: scripts.into_iter().map(row).collect(),
        runs: runs.iter().take(RECENT as usize).cloned().collect(),
        schedules: schedules.len(),
    }))
}

async fn recent(state: &State, caller: &Caller, request: ListRunsRequest) -> Result<Vec<RunRow>, Problem> {
    let runs = state.gate.jobs(caller).list_runs(request).await?.into_inner().runs;
    Ok(runs.iter().map(view_jobs::run_row).collect())
}

pub(super) async fn show(
    Shared(state): Shared<State>,
    session: Session,
    Path(name): Path<String>,
    Query(pairs): Query<Pairs>,
) -> Result<Response, Problem> {
    let got = get(&state, &session.caller, name).await?;
    let asked = script_form::to_begin_with(
        state.fleet.seen_by(&session.caller),
        script_of(&got)?,
        Asked::try_from(pairs)?,
    );
    let form = script_form::of(&state, &session.caller, script_of(&got)?, &asked).await;
    shown(&state, &session.caller, got, form).await
}

pub(super) async fn preview(
    Shared(state): Shared<State>,
    session: Session,
    Path(name): Path<String>,
    Form(pairs): Form<Pairs>,
) -> Result<Response, Problem> {
    let got = get(&state, &session.caller, name).await?;
    let form = script_form::of(&state, &session.caller, script_of(&got)?, &Asked::try_from(pairs)?).await;
    Ok(Html(form.answer(super::view(&session.caller))).into_response())
}

pub(super) async fn run(
    Shared(state): Shared<State>,
    session: Session,
    headers: HeaderMap,
    Path(name): Path<String>,
    Form(pairs): Form<Pairs>,
) -> Result<Response, Problem> {
    let got = get(&state, &session.caller, name).await?;
    let (script, asked) = (script_of(&got)?, Asked::try_from(pairs)?);
    let done = match fits(script, &asked).and_then(|()| asked.run(script)) {
        Ok(request) => {
            state.gate.jobs(&session.caller).run(request).await.map_err(|s| Fault::from_status(&s))
        }
        Err(fault) => Err(fault),
    };
    match done {
        Ok(run) => Ok(Redirect::to(&format!("/runs/{}", run.into_inner().id)).into_response()),
        Err(fault) => refused(&state, &session.caller, &headers, got, &asked, &fault).await,
    }
}

pub(super) async fn schedule(
    Shared(state): Shared<State>,
    session: Session,
    headers: HeaderMap,
    Path(name): Path<String>,
    Form(pairs): Form<Pairs>,
) -> Result<Response, Problem> {
    let got = get(&state, &session.caller, name).await?;
    let (script, asked) = (script_of(&got)?, Asked::try_from(pairs)?);
    let done = match fits(script, &asked).and_then(|()| asked.schedule(script)) {
        Ok(request) => {
            state.gate.jobs(&session.caller).add_schedule(request).await.map_err(|s| Fault::from_status(&s))
        }
        Err(fault) => Err(fault),
    };
    match done {
        Ok(_) => Ok(Redirect::to("/schedules").into_response()),
        Err(fault) => refused(&state, &session.caller, &headers, got, &asked, &fault).await,
    }
}

/// Whether everything is there and fits; what exactly does not is said at its field.
fn fits(script: &Script, asked: &Asked) -> Result<(), Fault> {
    let missing = asked.missing(script);
    if !missing.is_empty() {
        return Err(Fault::invalid(format!("still needed: {}", missing.join(", "))));
    }
    match script.parameters.iter().filter(|p| asked.wrong(p).is_some()).count() {
        0 => Ok(()),
        1 => Err(Fault::invalid("one value does not fit").hint("Mend what is marked.")),
        n => Err(Fault::invalid(format!("{n} values do not fit")).hint("Mend what is marked.")),
    }
}

/// The form with what was typed, and why nothing was done.
async fn refused(
    state: &State,
    caller: &Caller,
    headers: &HeaderMap,
    got: GetScriptResponse,
    asked: &Asked,
    fault: &Fault,
) -> Result<Response, Problem> {
    let mut form = script_form::of(state, caller, script_of(&got)?, asked).await;
    // The preview has the same reason; it is said once.
    form.preview.problem = None;
    let message = format!("Nothing was run: {}.", fault.message.trim_end_matches('.'));
    form.error = Some(Notice { tone: Tone::Bad, message, hint: fault.next().to_owned() });
    match wants_fragment(headers) {
        true => Ok(Html(form.answer(super::view(caller))).into_response()),
        false => shown(state, caller, got, form).await,
    }
}

async fn get(state: &State, caller: &Caller, name: String) -> Result<GetScriptResponse, Problem> {
    Ok(state.gate.scripts(caller).get(GetScriptRequest { name }).await?.into_inner())
}

fn script_of(got: &GetScriptResponse) -> Result<&Script, Problem> {
    got.script.as_ref().ok_or_else(|| Fault::invalid("the script has no manifest").into())
}

async fn shown(
    state: &State,
    caller: &Caller,
    got: GetScriptResponse,
    form: ScriptForm,
) -> Result<Response, Problem> {
    let script = script_of(&got)?;
    let past = ListRunsRequest { script: script.name.clone(), limit: RECENT, ..ListRunsRequest::default() };
    let undelivered = got.deliveries.iter().filter(|d| !d.delivered);
    Ok(page(&ScriptPage {
        frame: frame(state, caller, Place::Scripts, &script.title).await,
        description: script.description.clone(),
        check: script.check,
        form,
        facts: view_jobs::facts(script),
        sha256: script.sha256.clone(),
        synced_us: got.synced_usec,
        synced_by: got.synced_by.clone(),
        undelivered: undelivered
            .map(|d| (d.host.clone(), d.reason.trim_end_matches('.').to_owned()))
            .collect(),
        runs: recent(state, caller, past).await?,
        source: got.content,
    }))
}
