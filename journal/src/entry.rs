//! One entry: its place, and the way to its fields.

use crate::{Cursor, file::EntryHead};

/// An entry that was found. Its fields are read from the journal that found it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Its place.
    pub cursor: Cursor,
    pub(crate) head: EntryHead,
    /// Which opening of which file it is from.
    pub(crate) source: u64,
}
