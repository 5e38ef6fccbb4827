//! The journal, read from its files (hms-journal). Reading blocks, so each stream has a thread of its own.

mod chunks;
mod entry;
mod filter;
mod follow;
mod query;
mod service;

pub(crate) use query::last_words;
pub(crate) use service::Journal;
