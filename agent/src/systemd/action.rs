//! Actions on a unit. Each waits for what became of it: a job that is done, and a unit that stays up.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use hms_proto::{
    fault::{Fault, FaultKind, UnitFailure},
    host::v1::{Unit, UnitActionResponse},
    names::UnitName,
};
use tokio::sync::broadcast;
use zbus::OwnedObjectPath;

use super::{
    bus::{Bus, Session, Signal, fault_of},
    policy::{self, Verb},
    settle::{Settled, settle},
    unit::{self, Loaded},
};
use crate::{logs, now_usec};

/// systemd gives a job up by itself, after 90 s for each of stop and start unless the unit says otherwise.
const JOB: Duration = Duration::from_secs(300);
/// journald may be a moment behind what a unit wrote last.
const LAST_WORDS: Duration = Duration::from_millis(100);
const LOG_LINES: u32 = 20;

/// Units on which an action is under way.
#[derive(Debug, Clone, Default)]
pub(crate) struct Busy(Arc<Mutex<HashSet<String>>>);

/// Keeps others from acting on a unit until it is dropped.
struct Claim<'a> {
    busy: &'a Busy,
    name: String,
}

impl Busy {
    fn claim(&self, name: &str) -> Result<Claim<'_>, Fault> {
        let new = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
        if new {
            return Ok(Claim { busy: self, name: name.to_owned() });
        }
        Err(Fault::new(FaultKind::Conflict, format!("another action on `{name}` is under way"))
            .hint("Wait for it to end, then look at the unit."))
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.busy.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}

/// Does this with the unit, and returns what the unit is like afterwards.
pub(crate) async fn act(
    bus: &Bus,
    busy: &Busy,
    verb: Verb,
    name: &UnitName,
) -> Result<UnitActionResponse, Fault> {
    let began = Instant::now();
    let session = bus.session().await?;
    let loaded = unit::load(&session, name).await?;
    policy::check(verb, &loaded.names)?;
    let _claim = busy.claim(loaded.names.first().map_or(name.as_str(), String::as_str))?;
    let unit = match verb {
        Verb::Enable | Verb::Disable => at_boot(&session, verb, name, &loaded).await?,
        _ => now(&session, verb, name, &loaded).await?,
    };
    let took_ms = u32::try_from(began.elapsed().as_millis()).unwrap_or(u32::MAX);
    Ok(UnitActionResponse { unit: Some(unit), took_ms })
}

async fn at_boot(session: &Session, verb: Verb, name: &UnitName, loaded: &Loaded) -> Result<Unit, Fault> {
    let fault = |e| fault_of(&e, name.as_str());
    let files = vec![name.to_string()];
    let carries_install_info = match verb {
        Verb::Enable => session.manager.enable_unit_files(files, false, false).await.map_err(fault)?.0,
        _ => session.manager.disable_unit_files(files, false).await.map(|_| true).map_err(fault)?,
    };
    if !carries_install_info {
        return Err(Fault::new(
            FaultKind::Failed,
            format!("`{name}` has no [Install] section, so nothing starts it at boot"),
        )
        .hint("Another unit may start it; or add WantedBy=multi-user.target to its [Install] section."));
    }
    session.manager.reload().await.map_err(fault)?;
    look(session, name, loaded).await
}

async fn now(session: &Session, verb: Verb, name: &UnitName, loaded: &Loaded) -> Result<Unit, Fault> {
    let fault = |e| fault_of(&e, name.as_str());
    let since_usec = now_usec();
    // Before the call: a job may be over before its answer is read.
    let mut signals = session.signals();
    let (unit, mode) = (name.to_string(), "replace".to_owned());
    let job = match verb {
        Verb::Stop => session.manager.stop_unit(unit, mode).await,
        Verb::Restart => session.manager.restart_unit(unit, mode).await,
        Verb::Reload => session.manager.reload_unit(unit, mode).await,
        _ => session.manager.start_unit(unit, mode).await,
    };
    let job = job.map_err(fault)?;
    let ended = tokio::time::timeout(JOB, job_result(&mut signals, &job)).await;
    let result =
        ended.map_err(|_| unknown(format!("the job for `{name}` is still under way after 5 min")))??;
    if result != "done" {
        let unit = unit::read_if_there(session, &loaded.path).await.map_err(fault)?.unwrap_or_default();
        return Err(failure(verb, name, &result, &unit, since_usec).await);
    }
    if !matches!(verb, Verb::Start | Verb::Restart) {
        return look(session, name, loaded).await;
    }
    match settle(session, &loaded.path, signals).await.map_err(fault)? {
        Settled::Up(unit) => Ok(unit),
        Settled::Down(unit) => Err(failure(verb, name, &result, &unit, since_usec).await),
    }
}

/// How the job ended.
pub(crate) async fn job_result(
    signals: &mut broadcast::Receiver<Signal>,
    job: &OwnedObjectPath,
) -> Result<String, Fault> {
    loop {
        match signals.recv().await {
            Ok(Signal::JobRemoved { job: ended, result }) if ended == *job => return Ok(result),
            Ok(_) => {}
            Err(broadcast::error::RecvError::Lagged(_)) => {
                return Err(unknown("systemd said more than could be read while the job ran".to_owned()));
            }
            Err(broadcast::error::RecvError::Closed) => {
                return Err(unknown("the connection to systemd was lost while the job ran".to_owned()));
            }
        }
    }
}

fn unknown(message: String) -> Fault {
    Fault::new(FaultKind::Unknown, message)
}

/// The unit as it is now. One that was stopped and that nothing refers to is unloaded: it is inactive then.
async fn look(session: &Session, name: &UnitName, loaded: &Loaded) -> Result<Unit, Fault> {
    let read = unit::read_if_there(session, &loaded.path).await.map_err(|e| fault_of(&e, name.as_str()))?;
    Ok(read.unwrap_or_else(|| Unit {
        name: name.to_string(),
        load_state: "loaded".to_owned(),
        active_state: "inactive".to_owned(),
        sub_state: "dead".to_owned(),
        ..Unit::default()
    }))
}

/// Says why a unit is not up, with what it wrote last.
async fn failure(verb: Verb, name: &UnitName, job_result: &str, unit: &Unit, since_usec: i64) -> Fault {
    tokio::time::sleep(LAST_WORDS).await;
    let log_lines = logs::last_words(name, since_usec, LOG_LINES).await;
    let failure = UnitFailure {
        unit: name.to_string(),
        job_result: job_result.to_owned(),
        result: unit.result.clone(),
        exit_status: unit.exit_status,
        killed_by_signal: unit.killed_by_signal,
        log_lines,
    };
    let message = format!("could not {} `{name}`: {}", verb.word(), why(job_result, unit));
    Fault { unit: Some(failure), ..Fault::new(FaultKind::Failed, message) }
}

fn why(job_result: &str, unit: &Unit) -> String {
    match (job_result, unit.result.as_str()) {
        ("timeout", _) | (_, "timeout") => "it took too long".to_owned(),
        ("dependency", _) => "a unit that it needs failed".to_owned(),
        ("canceled", _) => "another job took the place of this one".to_owned(),
        ("skipped", _) => "systemd skipped it, as a condition of the unit does not hold".to_owned(),
        (_, "start-limit-hit") => "it was started too often in a short time".to_owned(),
        (_, "oom-kill") => "it ran out of memory".to_owned(),
        (_, "exit-code") => format!("it ended with exit status {}", unit.exit_status),
        (_, "signal" | "core-dump") => format!("it was ended by signal {}", unit.exit_status),
        ("done", "success" | "") if unit.exit_status == 0 => "it ended right after it was started".to_owned(),
        ("done", _) => format!("it did not stay up ({}, exit status {})", unit.sub_state, unit.exit_status),
        (job, result) => format!("the job ended as {job} ({result})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_actions_on_one_unit_do_not_mix() {
        let busy = Busy::default();
        let claim = busy.claim("a.service").unwrap();
        assert_eq!(busy.claim("a.service").err().unwrap().kind(), FaultKind::Conflict);
        assert!(busy.claim("b.service").is_ok());
        drop(claim);
        assert!(busy.claim("a.service").is_ok());
    }

    #[test]
    fn a_failure_is_put_in_words() {
        let unit = |result: &str, exit_status| Unit { result: result.into(), exit_status, ..Unit::default() };
        assert_eq!(why("failed", &unit("exit-code", 3)), "it ended with exit status 3");
        assert_eq!(why("done", &unit("signal", 9)), "it was ended by signal 9");
        assert_eq!(why("done", &unit("success", 0)), "it ended right after it was started");
    }
}
