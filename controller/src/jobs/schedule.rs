//! Begins the runs whose time has come.

use std::time::Duration;

use chrono::{DateTime, Utc};
use hms_proto::{
    controller::v1::{RunRequest, Target},
    fault::{Fault, FaultKind},
    host::v1::Script,
};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    cron::Times,
    request::{self, Asker, BATCH},
};
use crate::{
    auth::{Caller, Source},
    db::{
        self, runs,
        schedules::{self, NewSchedule, Passed, Schedule},
    },
    state::{Core, State},
};

/// How often the clock is looked at.
const TICK: Duration = Duration::from_secs(1);

/// Begins runs for ever.
pub(super) async fn run(state: State) {
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        loop {
            match one(&state, Utc::now()).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(fault) => {
                    tracing::warn!(reason = %fault.message, "cannot look at the schedules");
                    break;
                }
            }
        }
    }
}

/// Handles one schedule whose time has come. False when there is none.
pub(super) async fn one(core: &Core, now: DateTime<Utc>) -> Result<bool, Fault> {
    let mut tx = core.db.begin().await.map_err(db::Error::from)?;
    let Some(schedule) = schedules::take_due(&mut tx, now).await? else { return Ok(false) };
    let times = Times::parse(&schedule.cron).ok();
    let Some(reached) = times.and_then(|times| times.reached(schedule.next_at, now)) else {
        // It would be the first in line for ever, and hold up all others.
        tracing::error!(script = %schedule.script, cron = %schedule.cron, "a schedule has no next time; it is paused");
        schedules::pause(&mut *tx, schedule.id, true, now).await?;
        tx.commit().await.map_err(db::Error::from)?;
        return Ok(true);
    };
    let mut passed = Passed {
        next_at: reached.next_at,
        run: None,
        missed: reached.missed,
        missed_since: reached.missed_since,
    };
    if reached.is_due {
        match begin(core, &mut tx, &schedule).await {
            Ok(run) => passed.run = Some(run),
            Err(fault) if fault.kind() == FaultKind::Unavailable => return Err(fault),
            Err(fault) => {
                tracing::warn!(script = %schedule.script, reason = %fault.message, "a schedule did not run");
                passed.missed += 1;
                passed.missed_since = passed.missed_since.or(Some(schedule.next_at));
            }
        }
    }
    schedules::passed(&mut *tx, schedule.id, now, &passed).await?;
    tx.commit().await.map_err(db::Error::from)?;
    Ok(true)
}

async fn begin(core: &Core, db: &mut PgConnection, schedule: &Schedule) -> Result<Uuid, Fault> {
    if runs::is_busy(&mut *db, schedule.id).await? {
        return Err(Fault::new(FaultKind::Conflict, "its run before has not ended"));
    }
    let request = request_of(core, schedule).await?;
    let resolved = request::resolve(core, &request).await?;
    let asker = Asker {
        actor: schedule.created_by.clone(),
        user_id: schedule.user_id,
        source: Source::Schedule,
        schedule_id: Some(schedule.id),
    };
    let run = resolved.into_run(request, Uuid::now_v7(), asker);
    runs::begin(db, &run).await?;
    Ok(run.id)
}

/// What a schedule asks for. Checks tell what they find in JSON.
async fn request_of(core: &Core, schedule: &Schedule) -> Result<RunRequest, Fault> {
    let script = request::find_script(core, &schedule.script).await?;
    Ok(RunRequest {
        script: schedule.script.clone(),
        target: Some(schedule.target.0.clone()),
        parameters: schedule.parameters.0.clone(),
        json: script.check,
        batch: u32::try_from(schedule.batch).unwrap_or(BATCH),
        ..RunRequest::default()
    })
}

/// Gives checks that want to run by themselves a schedule on all hosts. One whose script was there before with the same
/// wish is left alone: somebody may have removed it on purpose.
pub(crate) async fn follow_manifests(
    db: &mut PgConnection,
    before: &[Script],
    now: &[Script],
    caller: &Caller,
) -> Result<(), Fault> {
    for script in now {
        let old = before.iter().find(|old| old.name == script.name).map_or("", |old| old.every.as_str());
        if old == script.every {
            continue;
        }
        let had_its_own = schedules::remove_automatic(&mut *db, &script.name).await?;
        if script.every.is_empty() || (!had_its_own && schedules::has_any(&mut *db, &script.name).await?) {
            continue;
        }
        schedules::add(&mut *db, &automatic(script, caller)?).await?;
    }
    Ok(())
}

/// Whether the manifests' wishes can be met.
pub(crate) fn check_manifests(scripts: &[Script]) -> Result<(), Fault> {
    for script in scripts.iter().filter(|script| !script.every.is_empty()) {
        Times::parse(&script.every).map_err(|fault| {
            Fault::invalid(format!(
                "the script `{}` cannot be used: its `every`: {}",
                script.name, fault.message
            ))
            .hint(fault.hint)
        })?;
        // By itself it runs without parameters.
        hms_proto::script::bind(script, &Default::default(), true)?;
    }
    Ok(())
}

fn automatic(script: &Script, caller: &Caller) -> Result<NewSchedule, Fault> {
    let next_at = Times::parse(&script.every)?.after(Utc::now());
    Ok(NewSchedule {
        script: script.name.clone(),
        target: Target { all: true, ..Target::default() },
        parameters: Default::default(),
        cron: script.every.clone(),
        batch: BATCH,
        automatic: true,
        created_by: caller.name.clone(),
        user_id: caller.id,
        next_at: next_at.ok_or_else(|| Fault::invalid("there is no next time"))?,
    })
}
