//! Points at which a test may have the agent die, as if its power were cut. Release builds have none.

/// Ends the agent here, when a test asked for it with HMS_FAIL_AT.
#[cfg(debug_assertions)]
pub(crate) fn point(name: &str) {
    if std::env::var_os("HMS_FAIL_AT").is_some_and(|at| at == name) {
        tracing::warn!(name, "dying here, as asked");
        std::process::abort();
    }
}

/// Does nothing.
#[cfg(not(debug_assertions))]
pub(crate) fn point(_: &str) {}
