//! Several sources in one order, by time.

use hms_journal::Direction;

use super::{
    entry::Read,
    place::{Part, Place},
    source::{Found, Seek, Source, Step, What},
};

/// Sources, merged.
#[derive(Debug)]
pub(crate) struct Merge {
    sources: Vec<Source>,
    /// What each has found and not given.
    heads: Vec<Option<Found>>,
    /// Those that have nothing more.
    ended: Vec<bool>,
    way: Direction,
}

impl Merge {
    pub(crate) fn new(sources: Vec<Source>) -> Self {
        let heads = sources.iter().map(|_| None).collect();
        Self { ended: vec![false; sources.len()], heads, sources, way: Direction::Forward }
    }

    /// The next entry, or what there is to say before it. Entries of one source keep their order.
    pub(crate) fn next(&mut self) -> Option<Step> {
        for (index, source) in self.sources.iter_mut().enumerate() {
            if self.heads[index].is_some() || self.ended[index] {
                continue;
            }
            match source.next(self.way) {
                Some(Step::Found(found)) => self.heads[index] = Some(found),
                Some(Step::Gap(gap)) => return Some(Step::Gap(gap)),
                None => self.ended[index] = true,
            }
        }
        let times =
            self.heads.iter().enumerate().filter_map(|(index, head)| Some((head.as_ref()?.time, index)));
        let (_, index) = match self.way {
            Direction::Forward => times.min()?,
            Direction::Backward => times.max()?,
        };
        self.heads[index].take().map(Step::Found)
    }

    /// Reads what was found. `None`: it cannot be read.
    pub(crate) fn read(&mut self, found: Found) -> Option<Read> {
        match found.what {
            What::Entry(entry) => Some(Read::Entry(entry)),
            What::Handle(handle) => self.sources.iter_mut().find_map(|source| match source {
                Source::Journal(journal) => journal.read(&handle),
                Source::File(_) => None,
            }),
        }
    }

    /// Has all stand somewhere, and go this way from there.
    pub(crate) fn seek(&mut self, seek: &Seek, way: Direction) {
        self.way = way;
        self.heads.fill_with(|| None);
        self.ended.fill(false);
        self.sources.iter_mut().for_each(|source| source.seek(seek, way));
    }

    /// Backward, nothing from before this place is given.
    pub(crate) fn set_floor(&mut self, place: &Place) {
        self.sources.iter_mut().for_each(|source| source.set_floor(place));
    }

    /// Looks for what was written since. All that there was must have been given.
    pub(crate) fn refresh(&mut self) -> bool {
        let mut is_more = false;
        for (source, ended) in self.sources.iter_mut().zip(&mut self.ended) {
            let has_more = source.refresh();
            *ended &= !has_more;
            is_more |= has_more;
        }
        is_more
    }

    /// All that there is was given.
    pub(crate) fn rest(&mut self) {
        self.sources.iter_mut().for_each(Source::rest);
    }

    /// The source of this entry stands behind it: it was given in another order than that in which it was found.
    pub(crate) fn stand_behind(&mut self, part: &Part) {
        for source in &mut self.sources {
            if let Source::Journal(journal) = source {
                journal.stand_behind(part);
            }
        }
    }

    /// Where all stand.
    pub(crate) fn place(&mut self) -> Place {
        let sources = self.sources.iter_mut().zip(&self.heads);
        Place(sources.flat_map(|(source, head)| source.place(head.as_ref(), self.way)).collect())
    }
}
