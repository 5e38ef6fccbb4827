//! The journal, read through supervised `journalctl` children.

mod chunks;
mod entry;
mod follow;
mod query;
mod reader;
mod service;

pub(crate) use query::last_words;
pub(crate) use service::Journal;
