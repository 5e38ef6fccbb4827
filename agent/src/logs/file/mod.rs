//! Logs in files: of nginx, and of apps.

mod content;
mod log;
mod resume;
mod siblings;
#[cfg(test)]
mod tests;
mod watch;

pub(crate) use log::{FileLog, LogName};
pub(crate) use siblings::Folder;
