//! What is looked for in messages, and in what time.

use std::{fmt, sync::Arc};

use crate::Direction;

type Says = Arc<dyn Fn(&[u8]) -> bool + Send + Sync>;

/// Says which messages are looked for. Files are searched in several threads.
#[derive(Clone)]
pub struct Search {
    matches: Says,
    wanted: Arc<dyn Fn() -> bool + Send + Sync>,
    pub(crate) since: u64,
    pub(crate) until: u64,
    /// Without first looking at entries one by one.
    pub(crate) of_whole_files: bool,
}

impl Search {
    /// For messages of which `matches` says so. `wanted` is asked now and then whether to go on.
    pub fn new(
        matches: impl Fn(&[u8]) -> bool + Send + Sync + 'static,
        wanted: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Self {
        Self {
            matches: Arc::new(matches),
            wanted: Arc::new(wanted),
            since: 0,
            until: u64::MAX,
            of_whole_files: false,
        }
    }

    /// The search ends with the first entry that lies before or behind this, whatever its message: that one is given, too.
    #[must_use]
    pub fn between(self, since: u64, until: u64) -> Self {
        Self { since, until, ..self }
    }

    /// Every file is read in one go, from the beginning. Otherwise, that is done where it takes less time.
    #[must_use]
    pub fn of_whole_files(self) -> Self {
        Self { of_whole_files: true, ..self }
    }

    pub(crate) fn matches(&self, message: &[u8]) -> bool {
        (self.matches)(message)
    }

    pub(crate) fn is_wanted(&self) -> bool {
        (self.wanted)()
    }

    pub(crate) fn is_beyond(&self, realtime: u64, direction: Direction) -> bool {
        match direction {
            Direction::Forward => realtime > self.until,
            Direction::Backward => realtime < self.since,
        }
    }
}

impl fmt::Debug for Search {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Search")
            .field("since", &self.since)
            .field("until", &self.until)
            .finish_non_exhaustive()
    }
}

/// What is known of the matches in a file.
#[derive(Debug)]
pub(crate) enum Hits {
    /// Nothing yet.
    Unknown,
    /// Nothing: entries are looked at one by one.
    None,
    Known(Offsets),
}

/// Where the entries are whose message may match.
#[derive(Debug)]
pub(crate) struct Offsets {
    /// Nothing is known from here on: it may have been written since.
    pub(crate) end: u64,
    /// Ascending.
    pub(crate) offsets: Vec<u64>,
}

/// Where to look next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Not before this.
    At(u64),
    /// At each entry.
    Unknown,
    /// Nowhere.
    Nothing,
}

impl Offsets {
    pub(crate) fn next(&self, direction: Direction, from: u64) -> Next {
        if from >= self.end {
            return Next::Unknown;
        }
        let next = match direction {
            Direction::Forward => {
                let next = self.offsets.get(self.offsets.partition_point(|o| *o < from)).copied();
                next.or((self.end < u64::MAX).then_some(self.end))
            }
            Direction::Backward => {
                let next = self.offsets.partition_point(|o| *o <= from).checked_sub(1);
                next.map(|index| self.offsets[index])
            }
        };
        next.map_or(Next::Nothing, Next::At)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_ends_where_a_file_may_have_grown() {
        let hits = Offsets { end: 100, offsets: vec![8, 40] };
        let forward = |from| hits.next(Direction::Forward, from);
        let backward = |from| hits.next(Direction::Backward, from);
        assert_eq!([forward(0), forward(9), forward(41)], [Next::At(8), Next::At(40), Next::At(100)]);
        assert_eq!([forward(100), backward(120)], [Next::Unknown, Next::Unknown]);
        assert_eq!([backward(99), backward(40), backward(7)], [Next::At(40), Next::At(40), Next::Nothing]);
        let archived = Offsets { end: u64::MAX, offsets: vec![8] };
        assert_eq!(archived.next(Direction::Forward, 9), Next::Nothing);
    }
}
