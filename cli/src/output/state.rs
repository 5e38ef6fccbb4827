//! States: always a symbol and a word, with a colour where there are colours.

use hms_proto::{
    controller::v1::{AppState, HostState},
    host::v1::Unit,
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
