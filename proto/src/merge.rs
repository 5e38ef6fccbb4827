//! Logs of several hosts in one order.
//!
//! - [`Places`]: where one stands in the logs of each host, as one text.
//! - [`page`]: some entries of the past, from a place on, forward or back.
//! - [`Merge`]: streams, merged as they come: of the past in strict order, of the present with bounded lateness.
//!
//! Nothing here does I/O or looks at a clock; the controller and `hmsctl` do, each in its own way.

mod page;
mod places;
mod stream;

pub use page::{Page, Reading, page};
pub use places::{At, Places, Spot};
pub use stream::Merge;

use crate::{
    host::v1::{LogChunk, LogEntry, LogGap},
    names::Cursor,
};

/// What stands in a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    /// An entry.
    Entry(Box<LogEntry>),
    /// Entries are missing here.
    Gap(LogGap),
}

/// One row, and which lane (by its number) it is from.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The number of the lane.
    pub lane: usize,
    /// What it says.
    pub piece: Piece,
}

impl Row {
    /// The entry, if it is one.
    pub fn entry(&self) -> Option<&LogEntry> {
        match &self.piece {
            Piece::Entry(entry) => Some(entry),
            Piece::Gap(_) => None,
        }
    }
}

/// When a gap is: behind the last moment that is known before it.
fn time_of(piece: &Piece, before: i64) -> i64 {
    match piece {
        Piece::Entry(entry) => entry.time_usec,
        Piece::Gap(gap) if gap.from_usec > 0 => gap.from_usec,
        Piece::Gap(gap) if gap.to_usec > 0 => gap.to_usec,
        Piece::Gap(_) => before,
    }
}

/// Where a host stands after a chunk. An entry's own cursor says so only where there is one log: an agent that knows of no
/// places knows of no more than that, and names no sources either.
fn place_of(chunk: &LogChunk) -> Option<Cursor> {
    let last =
        chunk.entries.last().filter(|entry| entry.source.is_empty()).map(|entry| entry.cursor.as_str());
    [Some(chunk.place.as_str()), last].into_iter().flatten().find_map(|text| Cursor::try_from(text).ok())
}

#[cfg(test)]
mod tests;
