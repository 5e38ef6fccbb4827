//! Points at which a test may have a job's process die, as if the power were cut. Release builds have none.

/// Ends the process here, when a test asked for it with HMS_FAIL_AT.
#[cfg(debug_assertions)]
pub(crate) fn point(name: &str) {
    if std::env::var_os("HMS_FAIL_AT").is_some_and(|at| at == name) {
        std::process::abort();
    }
}

/// Does nothing.
#[cfg(not(debug_assertions))]
pub(crate) fn point(_: &str) {}
