//! The only place that starts processes: an absolute program, arguments as a list, an environment made from nothing.

pub(crate) mod launch;
pub(crate) mod script;
