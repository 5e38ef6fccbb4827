//! Units that are made for one piece of work.

use std::{collections::HashSet, time::Duration};

use hms_proto::fault::{Fault, FaultKind};
use tokio::sync::broadcast;
use zbus::{OwnedObjectPath, OwnedVariant};

use super::{
    action::job_result,
    bus::{Session, Signal, fault_of},
};

/// Setting up a sandbox takes a moment.
const START: Duration = Duration::from_secs(60);
/// The longest that a job's unit takes to stop: twice TimeoutStopSec=, with room.
pub(crate) const STOP: Duration = Duration::from_secs(60);
/// For a unit that puts much back when it is stopped.
pub(crate) const STOP_LONG: Duration = Duration::from_secs(600);

/// What is walled off from work that is not trusted: it has no use for any of it.
pub(crate) const WALLS: [&str; 12] = [
    "NoNewPrivileges",
    "PrivateTmp",
    "PrivateDevices",
    "ProtectKernelTunables",
    "ProtectKernelModules",
    "ProtectKernelLogs",
    "ProtectControlGroups",
    "ProtectClock",
    "ProtectHostname",
    "RestrictSUIDSGID",
    "RestrictRealtime",
    "LockPersonality",
];

/// Properties of a unit, as D-Bus has them.
pub(crate) type Properties = Vec<(String, OwnedVariant)>;

/// Makes a unit and starts it. `false` when its program could not be started.
pub(crate) async fn start(session: &Session, unit: &str, properties: Properties) -> Result<bool, Fault> {
    // Before the call: the job may be over before its answer is read.
    let mut signals = session.signals();
    let (name, mode) = (unit.to_owned(), "fail".to_owned());
    let job = session.manager.start_transient_unit(name, mode, properties, Vec::new()).await;
    let job = job.map_err(|error| refused(fault_of(&error, unit)))?;
    job_ended(&mut signals, &job, START).await.map(|result| result == "done")
}

/// Says what may be behind it when systemd does not take a unit.
fn refused(fault: Fault) -> Fault {
    match fault.kind() {
        FaultKind::Unavailable | FaultKind::Unknown => Fault { kind: FaultKind::Unknown.into(), ..fault },
        _ => Fault::new(FaultKind::Failed, format!("systemd did not take the job: {}", fault.message))
            .hint("HMS needs systemd 252 or newer; `systemctl --version` on the host says which it is."),
    }
}

/// Stops a unit with everything in it, and waits until nothing is left. One that is not there is stopped.
pub(crate) async fn stop(session: &Session, unit: &str, limit: Duration) -> Result<(), Fault> {
    let mut signals = session.signals();
    match session.manager.stop_unit(unit.to_owned(), "replace".to_owned()).await {
        Ok(job) => job_ended(&mut signals, &job, limit).await.map(drop),
        Err(error) => match fault_of(&error, unit) {
            fault if fault.kind() == FaultKind::NotFound => Ok(()),
            fault => Err(fault),
        },
    }
}

/// Starts a unit anew, and waits until it has done what it is for, or is ready.
pub(crate) async fn restart(session: &Session, unit: &str) -> Result<(), Fault> {
    let mut signals = session.signals();
    let job = session.manager.restart_unit(unit.to_owned(), "replace".to_owned()).await;
    let job = job.map_err(|error| fault_of(&error, unit))?;
    match job_ended(&mut signals, &job, START).await?.as_str() {
        "done" => Ok(()),
        result => Err(Fault::new(FaultKind::Failed, format!("`{unit}` did not start: {result}"))
            .hint(format!("Look at `journalctl -u {unit}`."))),
    }
}

/// How a job of systemd ended, if it does within this time.
pub(crate) async fn job_ended(
    signals: &mut broadcast::Receiver<Signal>,
    job: &OwnedObjectPath,
    limit: Duration,
) -> Result<String, Fault> {
    let ended = tokio::time::timeout(limit, job_result(signals, job)).await;
    ended.unwrap_or_else(|_| {
        Err(Fault::new(FaultKind::Unknown, format!("systemd is still at it after {} s", limit.as_secs())))
    })
}

/// Which of these units run, or are about to start or end.
pub(crate) async fn alive(session: &Session, units: Vec<String>) -> Result<HashSet<String>, Fault> {
    if units.is_empty() {
        return Ok(HashSet::new());
    }
    let rows = session.manager.list_units_by_names(units).await.map_err(|e| fault_of(&e, "*"))?;
    let alive = |active: &str, job: u32| job != 0 || !matches!(active, "inactive" | "failed");
    Ok(rows
        .into_iter()
        .filter(|(_, _, _, active, _, _, _, job, ..)| alive(active, *job))
        .map(|(name, ..)| name)
        .collect())
}
