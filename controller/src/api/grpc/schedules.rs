//! Schedules: the part of the job service that is about times.

use chrono::Utc;
use hms_proto::{
    controller::v1::{AddScheduleRequest, RemoveScheduleResponse, RunRequest, Schedule},
    fault::{Fault, FaultKind},
    host::v1::JobState,
};
use serde_json::json;
use tonic::Response;

use super::jobs::id;
use crate::{
    audit::Changed,
    auth::{Caller, Scope},
    db::{
        self,
        schedules::{NewSchedule, Schedule as Row},
    },
    jobs::{cron::Times, request},
    state::Core,
};

/// How many next times are told.
const NEXT: usize = 5;
/// The most schedules of an installation.
const MOST: usize = 500;

/// All schedules for nothing beyond a scope.
pub(super) async fn list(core: &Core, scope: &Scope) -> Result<Vec<Schedule>, Fault> {
    let mut schedules = Vec::new();
    for row in db::schedules::list(&core.db).await?.into_iter().filter(|row| is_within(row, scope)) {
        schedules.push(shown(core, row).await?);
    }
    Ok(schedules)
}

/// All hosts, and those with a label, are whatever they will be then.
fn is_within(row: &Row, scope: &Scope) -> bool {
    let target = &row.target.0;
    let by_name = !target.hosts.is_empty() && !target.all && target.label.is_empty();
    scope.is_everything() || by_name && target.hosts.iter().all(|host| scope.has_host(host))
}

/// Adds one, with the same checks as a run of it.
pub(super) async fn add(
    core: &Core,
    wanted: AddScheduleRequest,
    caller: &Caller,
) -> Result<Response<Schedule>, Fault> {
    let times = Times::parse(&wanted.cron)?;
    let target = wanted.target.unwrap_or_default();
    if !target.failed_of.is_empty() {
        return Err(Fault::invalid("a schedule is for hosts, a label or all hosts"));
    }
    let script = request::find_script(core, &wanted.script).await?;
    let request = RunRequest {
        script: wanted.script,
        target: Some(target.clone()),
        parameters: wanted.parameters,
        json: script.check,
        batch: wanted.batch,
        ..RunRequest::default()
    };
    request::resolve(core, &request).await?;
    if db::schedules::list(&core.db).await?.len() >= MOST {
        return Err(Fault::new(FaultKind::Conflict, format!("there are {MOST} schedules already")));
    }
    let new = NewSchedule {
        script: script.name,
        target,
        parameters: request.parameters.into_iter().filter(|(_, value)| !value.is_empty()).collect(),
        cron: wanted.cron.split_ascii_whitespace().collect::<Vec<_>>().join(" "),
        batch: request::batch_of(wanted.batch)?,
        automatic: false,
        created_by: caller.name.clone(),
        user_id: caller.id,
        next_at: times.after(Utc::now()).ok_or_else(|| Fault::invalid("there is no next time"))?,
    };
    let row = db::schedules::add(&core.db, &new).await?;
    Ok(changed(None, Some(&row)).tell(shown(core, row).await?))
}

/// For the audit.
fn changed(before: Option<&Row>, after: Option<&Row>) -> Changed {
    let told = |row: &Row| {
        json!({
            "script": row.script,
            "target": row.target.0,
            "parameters": row.parameters.0,
            "cron": row.cron,
            "batch": row.batch,
            "paused": row.paused,
        })
    };
    Changed::of(before.map(told).as_ref(), after.map(told).as_ref())
}

/// Pauses one, or lets it go on from now.
pub(super) async fn pause(core: &Core, text: &str, paused: bool) -> Result<Response<Schedule>, Fault> {
    let id = id(text)?;
    let none = || Fault::not_found("schedule", text).hint("`hmsctl schedules` shows the schedules.");
    let before = db::schedules::get(&core.db, id).await?.ok_or_else(none)?;
    let next = Times::parse(&before.cron)?.after(Utc::now()).unwrap_or(before.next_at);
    let row = db::schedules::pause(&core.db, id, paused, next).await?.ok_or_else(none)?;
    Ok(changed(Some(&before), Some(&row)).tell(shown(core, row).await?))
}

/// Removes one.
pub(super) async fn remove(core: &Core, text: &str) -> Result<Response<RemoveScheduleResponse>, Fault> {
    let id = id(text)?;
    let before = db::schedules::get(&core.db, id).await?;
    match db::schedules::remove(&core.db, id).await? {
        true => Ok(changed(before.as_ref(), None).tell(RemoveScheduleResponse {})),
        false => Err(Fault::not_found("schedule", text).hint("`hmsctl schedules` shows the schedules.")),
    }
}

async fn shown(core: &Core, row: Row) -> Result<Schedule, Fault> {
    let times = Times::parse(&row.cron).ok();
    let last_state = match row.last_run_id {
        Some(run) => db::runs::state(&core.db, run).await?,
        None => JobState::Unspecified,
    };
    let next = times.as_ref().filter(|_| !row.paused).map(|times| times.next(Utc::now(), NEXT));
    Ok(Schedule {
        id: row.id.to_string(),
        script: row.script,
        target: Some(row.target.0),
        parameters: row.parameters.0,
        cron: row.cron,
        words: times.map_or_else(|| "there is no such time".into(), |times| times.words()),
        paused: row.paused,
        created_by: row.created_by,
        created_usec: row.created_at.timestamp_micros(),
        next_usec: next.iter().flatten().map(chrono::DateTime::timestamp_micros).collect(),
        last_usec: row.last_at.map_or(0, |t| t.timestamp_micros()),
        last_run_id: row.last_run_id.map(|id| id.to_string()).unwrap_or_default(),
        last_state: last_state.into(),
        missed: u32::try_from(row.missed).unwrap_or_default(),
        missed_since_usec: row.missed_since.map_or(0, |t| t.timestamp_micros()),
        batch: u32::try_from(row.batch).unwrap_or_default(),
    })
}
