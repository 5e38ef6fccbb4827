//! States: always a symbol and a word, with a colour where there are colours.

use hms_proto::{
    controller::v1::{AppState, HostState},
    host::v1::{JobState, Unit},
};

use super::table::{Cell, Look};

/// The state of an app.
pub(crate) fn of_app(state: AppState) -> Cell {
    let (text, look) = match state {
        AppState::Running => ("● running", Look::Good),
        AppState::Starting => ("◐ starting", Look::Busy),
        AppState::Stopping => ("◐ stopping", Look::Busy),
        AppState::Stopped => ("○ stopped", Look::Faint),
        AppState::Failed => ("▲ failed", Look::Bad),
        AppState::Unreachable => ("? unreachable", Look::Bad),
        AppState::NotInstalled => ("▲ not installed", Look::Bad),
        AppState::Unspecified => ("? unknown", Look::Busy),
    };
    Cell::new(text, look)
}

/// The state of the way to a host.
pub(crate) fn of_host(state: HostState) -> Cell {
    let (text, look) = match state {
        HostState::Connected => ("● connected", Look::Good),
        HostState::Pending => ("◐ not joined", Look::Busy),
        HostState::Unreachable => ("? unreachable", Look::Bad),
        HostState::Unspecified => ("? unknown", Look::Busy),
    };
    Cell::new(text, look)
}

/// The state of a unit, in systemd's words.
pub(crate) fn of_unit(unit: &Unit) -> Cell {
    let (symbol, look) = match unit.active_state.as_str() {
        "active" => ("●", Look::Good),
        "reloading" | "activating" | "deactivating" => ("◐", Look::Busy),
        "failed" => ("▲", Look::Bad),
        "inactive" => ("○", Look::Faint),
        _ => ("?", Look::Busy),
    };
    Cell::new(&format!("{symbol} {}", unit.active_state), look)
}

/// The state of a job or of a run.
pub(crate) fn of_job(state: JobState) -> Cell {
    let (text, look) = match state {
        JobState::Queued => ("◐ waiting", Look::Faint),
        JobState::Running => ("◐ running", Look::Busy),
        JobState::Unknown | JobState::Unspecified => ("? unknown", Look::Bad),
        JobState::Succeeded => ("● succeeded", Look::Good),
        JobState::Failed => ("▲ failed", Look::Bad),
        JobState::Canceled => ("○ canceled", Look::Faint),
        JobState::TimedOut => ("▲ timed out", Look::Bad),
        JobState::Lost => ("▲ lost", Look::Bad),
        JobState::Skipped => ("○ skipped", Look::Faint),
    };
    Cell::new(text, look)
}

/// How bad a warning is.
pub(crate) fn of_level(level: &str) -> Cell {
    let (symbol, look) = match level {
        "critical" => ("▲", Look::Bad),
        _ => ("◐", Look::Busy),
    };
    Cell::new(&format!("{symbol} {level}"), look)
}

/// The outcome of an audited call.
pub(crate) fn of_outcome(outcome: &str) -> Cell {
    let (symbol, look) = match outcome {
        "ok" => ("●", Look::Good),
        "running" => ("◐", Look::Busy),
        "failed" | "denied" => ("▲", Look::Bad),
        _ => ("?", Look::Bad),
    };
    Cell::new(&format!("{symbol} {outcome}"), look)
}
