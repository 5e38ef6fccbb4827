//! The journal as a source of entries.

use std::{cmp::Ordering, sync::Arc};

use hms_journal::{Cursor, Damage, Direction, Entry, Journal, Step as Read};
use hms_proto::{fault::Fault, host::v1::LogGap};

use super::{
    entry,
    filter::Filter,
    place::{Part, Side},
    source::{Found, JOURNAL, Seek, Step, Wanted, What},
};

/// Entries that are looked at before it is asked whether anybody still waits.
const GLANCE: u32 = 4096;
/// An entry that is older than this stands in all lists of its file; microseconds.
const SETTLED: i64 = 1_000_000;

/// Reads the journal.
#[derive(Debug)]
pub(crate) struct JournalLog {
    pub(super) journal: Journal,
    filter: Arc<Filter>,
    wanted: Wanted,
    /// Where it stands, as far as that is known.
    stand: Option<Part>,
    /// Backward, nothing from before this is given.
    floor: Option<Cursor>,
    /// To be told with the next entry, which says where it ends.
    gap: Option<(LogGap, Option<Cursor>)>,
    /// Found, and behind the gap.
    behind: Option<Found>,
    is_over: bool,
    looked: u32,
    scratch: Vec<u8>,
}

impl JournalLog {
    /// Opens the journal of this host.
    pub(crate) fn open(filter: Arc<Filter>, wanted: Wanted) -> Result<Self, Fault> {
        let mut journal = filter.open()?;
        filter.search(&wanted, 0).into_iter().for_each(|search| journal.search(search));
        Ok(Self {
            journal,
            filter,
            wanted,
            stand: None,
            floor: None,
            gap: None,
            behind: None,
            is_over: false,
            looked: 0,
            scratch: Vec::new(),
        })
    }

    /// The next entry that matches.
    pub(crate) fn next(&mut self, way: Direction) -> Option<Step> {
        if let Some(found) = self.behind.take() {
            return Some(Step::Found(found));
        }
        let mut step = self.look(way);
        while let Some(Step::Gap(damaged)) = step {
            match &mut self.gap {
                // What was not found may be in what cannot be read.
                Some((gap, _)) => gap.reason = damaged.reason,
                none => {
                    let stand = self.stand.as_ref().and_then(|part| match part {
                        Part::Journal(cursor, _) => Some(*cursor),
                        Part::File(_) => None,
                    });
                    *none = Some((damaged, stand));
                }
            }
            step = self.look(way);
        }
        let Some((mut gap, from)) = self.gap.take() else { return step };
        if let Some(Step::Found(found)) = step {
            if let Part::Journal(to, _) = &found.part {
                self.end(&mut gap, from.as_ref(), to, way);
            }
            self.behind = Some(found);
        }
        Some(Step::Gap(gap))
    }

    /// A gap ends at the entry that comes after it.
    fn end(&self, gap: &mut LogGap, from: Option<&Cursor>, to: &Cursor, way: Direction) {
        gap.to_usec = i64::try_from(to.realtime).unwrap_or(0);
        if way == Direction::Backward {
            std::mem::swap(&mut gap.from_usec, &mut gap.to_usec);
        }
        // Where all entries are meant, their numbers tell how many are missing.
        if let Some(from) = from.filter(|from| self.filter.is_everything() && to.seqnum_id == from.seqnum_id)
        {
            let (before, after) = if way == Direction::Forward { (from, to) } else { (to, from) };
            gap.count = after.seqnum.saturating_sub(before.seqnum).saturating_sub(1);
        }
    }

    fn look(&mut self, way: Direction) -> Option<Step> {
        while !self.is_over {
            self.looked = self.looked.wrapping_add(1);
            if self.looked.is_multiple_of(GLANCE) && !(self.wanted)() {
                break;
            }
            let read = match way {
                Direction::Forward => self.journal.next()?,
                Direction::Backward => self.journal.previous()?,
            };
            let entry = match read {
                Read::Entry(entry) => entry,
                Read::Damage(damage) => return Some(Step::Gap(self.damaged(&damage))),
            };
            if !self.is_wanted(&entry.cursor, way) {
                continue;
            }
            if let Some(step) = self.take(entry, way) {
                return Some(step);
            }
        }
        None
    }

    pub(super) fn damaged(&self, Damage { path, error }: &Damage) -> LogGap {
        tracing::warn!(path = %path.display(), %error, "left out the rest of a journal file");
        let from = self.stand.as_ref().map_or(0, Part::time);
        let from_usec = i64::try_from(from).unwrap_or(0);
        LogGap { reason: "corrupt".into(), from_usec, source: JOURNAL.into(), ..LogGap::default() }
    }

    /// Whether an entry lies where entries are wanted. Where none can be any more, the walk is over.
    fn is_wanted(&mut self, cursor: &Cursor, way: Direction) -> bool {
        let is_early = self.filter.since.is_some_and(|since| cursor.realtime < since);
        let is_late = self.filter.until.is_some_and(|until| cursor.realtime > until);
        let is_below = || self.floor.is_some_and(|floor| cursor.order(&floor) != Ordering::Greater);
        self.is_over = match way {
            Direction::Forward => is_late,
            Direction::Backward => is_early || is_below(),
        };
        !is_early && !is_late && !self.is_over
    }

    /// What is given of an entry, if it matches.
    fn take(&mut self, entry: Entry, way: Direction) -> Option<Step> {
        if !self.filter.matches(&mut self.journal, &entry, &mut self.scratch) {
            return None;
        }
        let part = Part::Journal(entry.cursor, None);
        let what = match self.filter.has_conditions() {
            false => What::Handle(entry),
            true => match entry::read(&mut self.journal, &entry, self.filter.needs_fields()) {
                Some(entry::Read::Entry(mut read)) if self.filter.fulfils(&read) => {
                    if !self.filter.all_fields {
                        read.fields.clear();
                    }
                    What::Entry(read)
                }
                _ => return None,
            },
        };
        let side = if way == Direction::Forward { Side::After } else { Side::Before };
        self.stand = Some(Part::Journal(entry.cursor, Some(side)));
        Some(Step::Found(Found { time: entry.cursor.realtime, part, what }))
    }

    /// Reads what was found.
    pub(crate) fn read(&mut self, entry: &Entry) -> Option<entry::Read> {
        entry::read(&mut self.journal, entry, self.filter.all_fields)
    }

    /// Stands somewhere.
    pub(crate) fn seek(&mut self, seek: &Seek, way: Direction) {
        (self.is_over, self.gap, self.behind, self.stand) = (false, None, None, None);
        match seek {
            Seek::Head => self.journal.seek_head(),
            Seek::Tail => self.journal.seek_tail(),
            Seek::Time(time) => self.journal.seek_time(*time),
            Seek::Place(place) => {
                let own = place.0.iter().find_map(|part| match part {
                    Part::Journal(cursor, side) => Some((*cursor, *side)),
                    Part::File(_) => None,
                });
                match own {
                    Some((cursor, side)) => self.seek_cursor(&cursor, side, way),
                    None => self.journal.seek_time(place.time()),
                }
            }
        }
    }

    fn seek_cursor(&mut self, cursor: &Cursor, side: Option<Side>, way: Direction) {
        let there = match (way, side) {
            (Direction::Forward, None | Some(Side::After)) => self.journal.seek_cursor(cursor),
            (_, Some(Side::Before)) | (Direction::Backward, None) => self.journal.seek_before(cursor),
            (Direction::Backward, Some(Side::After)) => self.journal.seek_after(cursor),
        };
        let side = side.unwrap_or(if way == Direction::Forward { Side::After } else { Side::Before });
        self.stand = Some(Part::Journal(*cursor, Some(side)));
        if !there {
            // A journal that was set back, or is a copy of another machine's, counts the same numbers again: only its times tell
            // what is new in it.
            if way == Direction::Forward {
                self.journal.seek_time(cursor.realtime.saturating_add(1));
            }
            let gap = LogGap {
                reason: "vacuumed".into(),
                from_usec: i64::try_from(cursor.realtime).unwrap_or(0),
                source: JOURNAL.into(),
                ..LogGap::default()
            };
            self.gap = Some((gap, Some(*cursor)));
        }
    }

    /// Backward, nothing from before this place is given.
    pub(crate) fn set_floor(&mut self, parts: &[Part]) {
        self.floor = parts.iter().find_map(|part| match part {
            Part::Journal(cursor, _) => Some(*cursor),
            Part::File(_) => None,
        });
        let floor = self.floor.map_or(0, |floor| floor.realtime);
        self.filter.search(&self.wanted, floor).into_iter().for_each(|search| self.journal.search(search));
    }

    /// Looks for what was written since.
    pub(crate) fn refresh(&mut self) -> bool {
        self.is_over = false;
        self.journal.refresh()
    }

    /// Where it stands: before `head`, which was found and not given, or where it came to.
    pub(crate) fn place(&self, head: Option<&Found>, way: Direction) -> Option<Part> {
        let side = if way == Direction::Forward { Side::Before } else { Side::After };
        if let Some(Part::Journal(cursor, _)) = head.map(|found| &found.part) {
            return Some(Part::Journal(*cursor, Some(side)));
        }
        self.stand.clone()
    }

    /// Stands behind this entry, where it is not known to stand anywhere.
    pub(crate) fn stand_behind(&mut self, part: &Part) {
        if let (None, Part::Journal(cursor, _)) = (&self.stand, part) {
            self.stand = Some(Part::Journal(*cursor, Some(Side::After)));
        }
    }

    /// All that there is was given: stands behind the newest entry, also where that does not match.
    pub(crate) fn rest(&mut self) {
        // One that was written just now may not be in the list of its unit yet, and will still be given.
        let settled = u64::try_from(crate::now_usec() - SETTLED).unwrap_or(0);
        let Some(newest) = self.journal.newest(settled) else { return };
        let is_behind = match &self.stand {
            Some(Part::Journal(stand, _)) => newest.order(stand) == Ordering::Greater,
            _ => true,
        };
        if is_behind {
            self.stand = Some(Part::Journal(newest, Some(Side::After)));
        }
    }
}
