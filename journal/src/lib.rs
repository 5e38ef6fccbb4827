//! Reads the journal files of systemd, without libsystemd and without a child process.
//!
//! It follows systemd's own description (<https://systemd.io/JOURNAL_FILE_FORMAT>) and gives the entries that
//! `journalctl` gives, in the same order and with the same cursors. Files are read, never mapped: one that is cut short or
//! damaged while it is read is an error for its reader, and nothing worse.
//!
//! # Layout
//! - [`Journal`]: all files of some folders, merged into one order; what is added is seen after [`Journal::refresh`].
//! - [`Filter`]: which entries; [`Filter::unit`] is what `journalctl --unit` means.
//! - [`Search`]: for what to look in messages; several files at once.
//! - [`Cursor`]: a place in the journal, in journald's own form.
//! - `count`: how many entries there are, without reading them.
//! - `source`: one file, and how far it was read; `given`: what was given of all.
//! - `file`: one file: its header, its objects, its lists of entries. `window`: the bytes of it that are in memory.
//! - `scan`: all messages of a file in one go. `known`: fields that many entries share.
//! - `hash`: how data is found by its content. `payload`: data as it was before it was compressed.

mod bytes;
mod count;
mod cursor;
mod entry;
mod file;
mod filter;
mod given;
mod hash;
mod header;
mod journal;
mod known;
mod list;
mod matcher;
mod payload;
mod scan;
mod search;
mod source;
mod window;

pub use cursor::{Cursor, CursorError};
pub use entry::Entry;
pub use filter::Filter;
pub use journal::{Damage, Journal, Step};
pub use search::Search;

/// Which way entries are walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To newer ones.
    Forward,
    /// To older ones.
    Backward,
}

impl Direction {
    /// An order, as one meets it going this way.
    fn of(self, order: std::cmp::Ordering) -> std::cmp::Ordering {
        match self {
            Self::Forward => order,
            Self::Backward => order.reverse(),
        }
    }
}

/// Why a file cannot be read, or not all of it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system says so.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// It is no journal file, or one that needs a newer reader.
    #[error("not a journal file that can be read here: {0}")]
    Unsupported(&'static str),
    /// What is there cannot be right.
    #[error("damaged at byte {offset}: {what}")]
    Damaged {
        /// Where in the file.
        offset: u64,
        /// What is wrong with it.
        what: &'static str,
    },
}

pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

pub(crate) fn damaged<T>(offset: u64, what: &'static str) -> Result<T> {
    Err(Error::Damaged { offset, what })
}
