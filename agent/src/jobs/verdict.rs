//! What became of a job, from what systemd said and what its launcher noted.

use hms_proto::host::v1::{Job, JobState};

use super::{progress::Outcome, record::Entry};
use crate::exec::launch::Over;

/// Names of the signals from 1 on, as systemd has them.
const SIGNALS: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];
const SIGTERM: i32 = 15;

/// The job as it ended.
pub(crate) fn ended(entry: &Entry, unit: &Over, canceled_by: Option<&str>) -> Job {
    let (exit_status, killed_by_signal) = status(entry, unit);
    let (state, result, reason) = outcome(entry, unit, canceled_by, exit_status, killed_by_signal);
    let reason = match entry.notes.dropping.as_deref() {
        Some(why) if !why.is_empty() => join(reason, format!("not all of its output could be kept: {why}")),
        _ => reason,
    };
    let noted = entry.notes.ended.unwrap_or_default();
    let peak = unit.peak_memory.map(|n| (n, "cgroup"));
    let (peak, source) = peak
        .or((noted.peak_memory > 0).then_some((noted.peak_memory, "largest process")))
        .unwrap_or_default();
    Job {
        state: state.into(),
        ended_usec: unit.at,
        exit_status,
        killed_by_signal,
        result,
        reason,
        output_truncated: entry.notes.dropping.is_some(),
        peak_memory_bytes: peak,
        peak_memory_source: source.to_owned(),
        cpu_usec: unit.cpu_usec.unwrap_or(noted.cpu_usec),
        ..entry.job()
    }
}

/// A job that worked on an app, as it ended: what became of the app decides, however its process ended.
pub(crate) fn app_ended(entry: &Entry, unit: &Over, canceled: bool) -> Job {
    let (exit_status, killed_by_signal) = status(entry, unit);
    let outcome = entry.progress.outcome.clone();
    let lost = || Outcome { good: false, reason: "what became of it was not recorded".to_owned() };
    let state = match &outcome {
        None => JobState::Lost,
        Some(outcome) if outcome.good => JobState::Succeeded,
        Some(_) if canceled => JobState::Canceled,
        Some(_) if unit.result == "timeout" => JobState::TimedOut,
        Some(_) => JobState::Failed,
    };
    Job {
        state: state.into(),
        ended_usec: unit.at,
        exit_status,
        killed_by_signal,
        result: unit.result.clone(),
        reason: outcome.unwrap_or_else(lost).reason,
        output_truncated: entry.notes.dropping.is_some(),
        cpu_usec: unit.cpu_usec.unwrap_or(0),
        ..entry.job()
    }
}

/// The verdict about a job that is not running, and whose end nobody wrote down.
pub(crate) fn lost(entry: &Entry, boot_id: &str, now_usec: i64) -> Job {
    let reason = if entry.record.boot_id != boot_id {
        "the host was restarted while it ran"
    } else if entry.notes.began.is_none() {
        "it was not started: the agent stopped just before"
    } else {
        "its end was not recorded: the disk may be full, or its unit was removed"
    };
    Job {
        state: JobState::Lost.into(),
        ended_usec: now_usec,
        reason: reason.to_owned(),
        output_truncated: entry.notes.dropping.is_some(),
        ..entry.job()
    }
}

/// A job whose unit systemd could not set up.
pub(crate) fn not_set_up(entry: &Entry, now_usec: i64) -> Job {
    let unit = entry.unit();
    Job {
        state: JobState::Failed.into(),
        ended_usec: now_usec,
        result: "resources".to_owned(),
        reason: format!("systemd could not set up its sandbox: `journalctl -u {unit}` on the host says why"),
        ..entry.job()
    }
}

/// The launcher knows best how the script ended; when it was killed itself, systemd knows.
fn status(entry: &Entry, unit: &Over) -> (i32, bool) {
    if let Some(end) = entry.notes.ended {
        return (end.status, end.killed_by_signal);
    }
    if unit.code == "exited" {
        return (unit.status.parse().unwrap_or(-1), false);
    }
    let number = SIGNALS.iter().position(|name| *name == unit.status).and_then(|n| i32::try_from(n + 1).ok());
    (number.unwrap_or(0), true)
}

fn outcome(
    entry: &Entry,
    unit: &Over,
    canceled_by: Option<&str>,
    status: i32,
    by_signal: bool,
) -> (JobState, String, String) {
    let (failed, said) = (JobState::Failed, unit.result.clone());
    if let Some(actor) = canceled_by {
        return (JobState::Canceled, said, format!("{actor} ended it"));
    }
    if unit.result == "timeout" && !ended_by_itself(entry) {
        return (JobState::TimedOut, said, format!("it took longer than {} s", entry.record.timeout_s));
    }
    if unit.result == "oom-kill" {
        let limit = entry.record.memory_limit / 1024 / 1024;
        return (failed, said, format!("it needed more memory than its {limit} MiB"));
    }
    if let Some(why) = &entry.notes.failed {
        return (failed, said, format!("it could not be run: {why}"));
    }
    if entry.notes.began.is_none() {
        let reason = format!("systemd could not set up its sandbox ({said}, exit status {status})");
        return (failed, said, reason);
    }
    let behind = match unit.result.as_str() {
        "timeout" => "what it left behind ignored SIGTERM and was killed",
        _ => "",
    };
    match (by_signal, status) {
        (false, 0) => (JobState::Succeeded, "success".into(), behind.into()),
        (false, _) => {
            (failed, "exit-code".into(), join(format!("it ended with exit status {status}"), behind.into()))
        }
        (true, SIGTERM) => {
            (failed, "signal".into(), format!("it was ended by signal {status}, which did not come from HMS"))
        }
        (true, _) => {
            (failed, "signal".into(), join(format!("it was ended by signal {status}"), behind.into()))
        }
    }
}

/// Whether the script was over before its time was: what took too long was something that it left behind.
fn ended_by_itself(entry: &Entry) -> bool {
    let (Some(began), Some(end)) = (entry.notes.began, entry.notes.ended) else { return false };
    end.at - began < i64::from(entry.record.timeout_s) * 1_000_000
}

fn join(first: String, second: String) -> String {
    match (first.is_empty(), second.is_empty()) {
        (true, _) => second,
        (_, true) => first,
        _ => format!("{first}; {second}"),
    }
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
