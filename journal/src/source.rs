//! One file of a journal, and how far it was read.

use std::sync::Arc;

use crate::{
    Cursor, Direction, Filter, Result,
    file::{EntryHead, JournalFile},
    given::Given,
    list::List,
    matcher::Matcher,
    search::{Hits, Next, Search},
};

/// journald counts an entry before it has put it into every list; so often it is looked for again.
const SETTLE: u8 = 3;
/// Entries that are looked at one by one before it is asked whether reading the whole file would be faster.
const SCAN_AFTER: u64 = 2048;
/// Bytes that are read in a row in the time in which one entry is looked at.
const WORTH: u64 = 4096;

/// One file, and how far it was read.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) id: u64,
    pub(crate) inode: (u64, u64),
    pub(crate) file: JournalFile,
    filter: Arc<Filter>,
    /// `None`: the file was not looked at yet. Of a file that is still written to it is made with the look at its head: what
    /// comes later waits for the next one.
    matcher: Option<Matcher>,
    pub(crate) stand: Stand,
    pub(crate) direction: Direction,
    /// What was found in that direction, and not given yet.
    pub(crate) found: Option<EntryHead>,
    /// Nothing more is there, in that direction.
    pub(crate) ended: bool,
    /// Where a search came to: nothing that is wanted is before this, in that direction.
    pub(crate) frontier: Option<Cursor>,
    /// Entries that were read in search of a pattern.
    looked: u64,
    hits: Hits,
    scratch: Vec<u8>,
    /// How often it is still looked at although it did not grow.
    settle: u8,
}

/// Where a file is looked at next: entries are told apart by their offsets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stand {
    /// Going forward, the first one that may be given.
    pub(crate) first: u64,
    /// Going backward, the last one that may be given. None is at 0.
    pub(crate) last: u64,
}

/// On which side of an entry.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Side {
    Before,
    On,
    After,
}

impl Stand {
    /// Before the entry at this offset.
    pub(crate) fn before(offset: u64) -> Self {
        Self { first: offset, last: offset.saturating_sub(1) }
    }

    /// On the entry at this offset, which was given.
    pub(crate) fn on(offset: u64) -> Self {
        Self { first: offset + 1, last: offset.saturating_sub(1) }
    }

    /// So that this entry comes next.
    fn before_on(direction: Direction, offset: u64) -> Self {
        match direction {
            Direction::Forward => Self::before(offset),
            Direction::Backward => Self::before(offset + 1),
        }
    }

    fn next(self, direction: Direction) -> u64 {
        match direction {
            Direction::Forward => self.first,
            Direction::Backward => self.last,
        }
    }
}

impl Source {
    pub(crate) fn new(
        id: u64,
        inode: (u64, u64),
        mut file: JournalFile,
        filter: &Arc<Filter>,
    ) -> Result<Self> {
        let matcher = if file.header.archived { None } else { Some(Matcher::new(&mut file, filter)?) };
        Ok(Self {
            id,
            inode,
            filter: filter.clone(),
            matcher,
            file,
            stand: Stand::before(0),
            direction: Direction::Forward,
            found: None,
            ended: false,
            frontier: None,
            looked: 0,
            hits: Hits::Unknown,
            scratch: Vec::new(),
            settle: SETTLE,
        })
    }

    pub(crate) fn refresh(&mut self) -> Result<bool> {
        match self.file.refresh()? {
            true => self.settle = SETTLE,
            false if self.settle == 0 => return Ok(false),
            false => {
                self.settle -= 1;
                self.file.forget();
            }
        }
        self.matcher = Some(Matcher::new(&mut self.file, &self.filter)?);
        (self.ended, self.frontier) = (false, None);
        Ok(true)
    }

    pub(crate) fn stand_by(
        &mut self,
        index: &mut impl FnMut(&mut JournalFile, &List) -> Result<u64>,
    ) -> Result<()> {
        let all = List::of_file(&self.file)?;
        let index = index(&mut self.file, &all)?;
        self.stand = match index.checked_sub(1) {
            _ if index < all.length() => Stand::before(all.get(&self.file, index)?),
            Some(last) => Stand::before(all.get(&self.file, last)?.saturating_add(1)),
            None => Stand::before(0),
        };
        self.restart();
        Ok(())
    }

    /// Stands before the first entry.
    pub(crate) fn stand_at_head(&mut self) {
        self.stand = Stand::before(0);
        self.restart();
    }

    /// Stands behind the last entry.
    pub(crate) fn stand_at_tail(&mut self) -> Result<()> {
        if self.file.header.archived {
            self.stand = Stand::before(self.file.size());
            self.restart();
            return Ok(());
        }
        self.stand_by(&mut |_, all| Ok(all.length()))
    }

    /// Stands before the first entry of this time or later.
    pub(crate) fn stand_at_time(&mut self, realtime: u64) -> Result<()> {
        match self.file.header.times {
            (first, _) if first >= realtime => {
                self.stand_at_head();
                Ok(())
            }
            (_, last) if last < realtime => self.stand_at_tail(),
            _ => self.stand_by(&mut |file, all| {
                all.bisect(file, |file, at| Ok(file.entry(at)?.realtime < realtime))
            }),
        }
    }

    /// Whether all that is left lies beyond an entry, as the head of the file says. Of one that is still written to, it does
    /// not know the end.
    pub(crate) fn is_beyond(&self, cursor: &Cursor, direction: Direction) -> bool {
        let header = &self.file.header;
        header.seqnum_id == cursor.seqnum_id
            && match direction {
                Direction::Forward => header.seqnums.0 > cursor.seqnum,
                Direction::Backward => header.archived && header.seqnums.1 < cursor.seqnum,
            }
    }

    /// Stands at an entry, or where it would be. Says whether it is there.
    pub(crate) fn stand_at(&mut self, cursor: &Cursor, side: Side) -> Result<bool> {
        if self.is_beyond(cursor, Direction::Forward) {
            self.stand_at_head();
            return Ok(false);
        }
        if self.is_beyond(cursor, Direction::Backward) {
            self.stand_at_tail()?;
            return Ok(false);
        }
        let all = List::of_file(&self.file)?;
        let same_ids = self.file.header.seqnum_id == cursor.seqnum_id;
        let index = all.bisect(&mut self.file, |file, at| {
            let head = file.entry(at)?;
            Ok(match same_ids {
                true => head.seqnum < cursor.seqnum,
                false if head.boot_id == cursor.boot_id => head.monotonic < cursor.monotonic,
                false => head.realtime < cursor.realtime,
            })
        })?;
        // All that journald takes at once has one time; the entry is one of these.
        for at in index..all.length() {
            let offset = all.get(&self.file, at)?;
            let found = cursor_of(&self.file, &self.file.entry(offset)?);
            if found == *cursor || found.is_copy_of(cursor) {
                self.stand = match side {
                    Side::Before => Stand::before(offset),
                    Side::On => Stand::on(offset),
                    Side::After => Stand::before(offset + 1),
                };
                self.restart();
                return Ok(true);
            }
            if same_ids || !found.is_of_one_moment(cursor) {
                break;
            }
        }
        self.stand_by(&mut |_, _| Ok(index))?;
        Ok(false)
    }

    pub(crate) fn restart(&mut self) {
        (self.found, self.ended, self.frontier) = (None, false, None);
    }

    /// Goes this way from now on. What was found on the way in the other direction was not given; it lies behind now.
    pub(crate) fn turn(&mut self, direction: Direction) {
        if self.direction != direction {
            self.direction = direction;
            self.restart();
        }
    }

    /// Whether more may be found.
    pub(crate) fn is_open(&self) -> bool {
        self.found.is_none() && !self.ended
    }

    /// What was found and not given.
    pub(crate) fn found(&self) -> Option<Cursor> {
        self.found.as_ref().map(|head| cursor_of(&self.file, head))
    }

    /// The next match beyond the place, found once and kept until it is taken.
    pub(crate) fn look(&mut self, place: Option<&Given>) -> Result<()> {
        while self.found.is_none() && !self.ended {
            let Some((head, cursor)) = self.candidate()? else { break };
            match place.is_none_or(|given| given.is_before(&cursor, self.direction)) {
                true => self.found = Some(head),
                false => self.stand = Stand::on(head.offset),
            }
        }
        Ok(())
    }

    /// The next entry that passes the filter, from where it stands. It stays there.
    fn candidate(&mut self) -> Result<Option<(EntryHead, Cursor)>> {
        let from = self.stand.next(self.direction);
        let found = match self.is_at_end(from) {
            true => None,
            false => {
                let matcher = match &mut self.matcher {
                    Some(matcher) => matcher,
                    none => none.insert(Matcher::new(&mut self.file, &self.filter)?),
                };
                matcher.find(&mut self.file, self.direction, from)?
            }
        };
        let Some(offset) = found else {
            self.ended = true;
            return Ok(None);
        };
        self.file.warm(offset);
        let head = self.file.entry(offset)?;
        Ok(Some((head, cursor_of(&self.file, &head))))
    }

    /// Whether no entry can come from an offset on, so that the file need not be looked at.
    fn is_at_end(&self, from: u64) -> bool {
        match self.direction {
            Direction::Forward => self.file.header.archived && from >= self.file.size(),
            Direction::Backward => from < self.file.header.size,
        }
    }

    /// The same for what a search looks for. Looks at so many entries at most; of none, it only learns where the next one is.
    pub(crate) fn search(&mut self, place: Option<&Given>, search: &Search, most: u32) -> Result<()> {
        let mut left = most;
        while self.found.is_none() && !self.ended {
            if most > 0 && self.pass_by_hits(search)? {
                continue;
            }
            let Some((head, cursor)) = self.candidate()? else { break };
            self.frontier = Some(cursor);
            if left == 0 {
                break;
            }
            left -= 1;
            self.looked += 1;
            let is_new = place.is_none_or(|given| given.is_before(&cursor, self.direction));
            // One from beyond the time is given whatever it says: it ends the walk.
            let is_beyond = || search.is_beyond(head.realtime, self.direction);
            match is_new && (is_beyond() || self.says(&head, search)?) {
                true => self.found = Some(head),
                false => self.stand = Stand::on(head.offset),
            }
        }
        Ok(())
    }

    fn says(&mut self, head: &EntryHead, search: &Search) -> Result<bool> {
        let message = self.file.field(head, b"MESSAGE", &mut self.scratch)?;
        Ok(message.is_some_and(|message| search.matches(message)))
    }

    /// Goes on to the next entry whose message is known to match. Says whether more is to be done before one is looked at.
    fn pass_by_hits(&mut self, search: &Search) -> Result<bool> {
        if matches!(self.hits, Hits::Unknown) && (search.of_whole_files || self.looked >= SCAN_AFTER) {
            self.hits = match search.of_whole_files || self.is_scan_worth_it(search)? {
                true => self.file.scan(search).map_or(Hits::None, Hits::Known),
                false => Hits::None,
            };
        }
        let Hits::Known(hits) = &self.hits else { return Ok(false) };
        let from = self.stand.next(self.direction);
        match hits.next(self.direction, from) {
            Next::At(offset) => self.stand = Stand::before_on(self.direction, offset),
            Next::Unknown => {}
            Next::Nothing => self.ended = true,
        }
        Ok(self.ended)
    }

    /// Whether it takes less to read the whole file once than to look at each entry that is left.
    fn is_scan_worth_it(&mut self, search: &Search) -> Result<bool> {
        let all = List::of_file(&self.file)?;
        let size = self.file.size().max(1);
        let (time, stand) = match self.direction {
            Direction::Forward => (search.until, self.stand.first),
            Direction::Backward => (search.since, self.stand.last),
        };
        let index = all.bisect(&mut self.file, |file, at| Ok(file.entry(at)?.realtime < time))?;
        let end = if index < all.length() { all.get(&self.file, index)? } else { size };
        let left = u128::from(self.matcher.as_ref().map_or(0, Matcher::size))
            * u128::from(stand.min(size).abs_diff(end))
            / u128::from(size);
        Ok(left * u128::from(WORTH) > u128::from(size))
    }
}

pub(crate) fn cursor_of(file: &JournalFile, head: &EntryHead) -> Cursor {
    Cursor {
        seqnum_id: file.header.seqnum_id,
        seqnum: head.seqnum,
        boot_id: head.boot_id,
        monotonic: head.monotonic,
        realtime: head.realtime,
        xor_hash: head.xor_hash,
    }
}
