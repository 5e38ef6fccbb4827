//! What was given of a journal, so that nothing is given twice.

use std::cmp::Ordering;

use crate::{Cursor, Direction};

/// Entries of one moment that are remembered; journald takes fewer in one turn.
const MOMENT_MOST: usize = 4096;

/// The entry that was given last, with the others of its moment that were given before it.
#[derive(Debug)]
pub(crate) struct Given {
    pub(crate) last: Cursor,
    /// journald gives all that it takes at once the same time, and copies entries from /run to /var: by these it is known
    /// what was given already.
    moment: Vec<Cursor>,
}

impl Given {
    pub(crate) fn new(last: Cursor) -> Self {
        Self { last, moment: vec![last] }
    }

    /// The same with one more.
    pub(crate) fn and(before: Option<Self>, last: Cursor) -> Self {
        match before {
            Some(mut given) if given.last.is_of_one_moment(&last) => {
                if given.moment.len() < MOMENT_MOST {
                    given.moment.push(last);
                }
                Self { last, ..given }
            }
            _ => Self::new(last),
        }
    }

    /// Whether an entry is still to be given.
    pub(crate) fn is_before(&self, cursor: &Cursor, direction: Direction) -> bool {
        if self.last.is_of_one_moment(cursor) && self.last.seqnum_id != cursor.seqnum_id {
            return !self.moment.iter().any(|given| given.is_copy_of(cursor));
        }
        match direction {
            Direction::Forward => cursor.order(&self.last) == Ordering::Greater,
            Direction::Backward => cursor.order(&self.last) == Ordering::Less,
        }
    }
}
