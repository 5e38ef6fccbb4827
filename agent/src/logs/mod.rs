//! Logs: of the journal, read from its files (hms-journal), and of nginx and of apps, read from theirs. Reading blocks, so each
//! stream has a thread of its own.
//!
//! `source` gives entries one by one, of the `journal` or of a log in files (`file`); `merge` puts several in one order; `query`
//! and `follow` send them in `chunks`. A `place` says where all of that stands, so that it can be gone on with from there.

mod chunks;
mod condition;
mod entry;
mod file;
mod filter;
mod follow;
mod histogram;
mod journal;
mod line;
mod merge;
mod names;
mod place;
mod query;
mod service;
mod source;
#[cfg(test)]
mod tests;
mod words;

pub(crate) use service::Logs;
pub(crate) use words::last_words;
