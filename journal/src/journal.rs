//! The journal: all files of some folders, in one order.

use std::{
    cmp::Ordering,
    collections::HashSet,
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use crate::{
    Cursor, Direction, Entry, Error, Filter, Result, count,
    file::{EntryHead, JournalFile},
    header::SMALLEST,
    list::List,
    matcher::Matcher,
};

/// Where journald keeps files: those that outlive a boot, and those that do not.
const FOLDERS: [&str; 2] = ["/var/log/journal", "/run/log/journal"];

/// Refreshes between two looks at the folders: when a file was just rotated away, and ordinarily.
const SOON: u32 = 4;
const LATER: u32 = 250;
/// Entries of one moment that are remembered; journald takes fewer in one turn.
const MOMENT_MOST: usize = 4096;
/// journald counts an entry before it has put it into every list; so often it is looked for again.
const SETTLE: u8 = 3;

/// What comes next.
#[derive(Debug)]
pub enum Step {
    /// An entry.
    Entry(Entry),
    /// A file, or the rest of one, that cannot be read. It is told once, and the others go on.
    Damage(Damage),
}

/// A file that cannot be read to its end.
#[derive(Debug)]
pub struct Damage {
    /// Which.
    pub path: PathBuf,
    /// Why.
    pub error: Error,
}

/// Reads entries of some folders, in order. Moves in both directions.
#[derive(Debug)]
pub struct Journal {
    folders: Vec<PathBuf>,
    filter: Filter,
    sources: Vec<Source>,
    /// Files that are known, by device and inode: journald renames them.
    known: HashSet<(u64, u64)>,
    damage: Vec<Damage>,
    /// The entries that were given last, or the place that was sought.
    place: Option<Given>,
    /// How many refreshes the folders are not looked at.
    quiet: u32,
    /// Counts openings, so that an entry never meets the wrong file.
    opened: u64,
}

/// The entry that was given last, with the others of its moment that were given before it.
#[derive(Debug)]
struct Given {
    last: Cursor,
    /// journald gives all that it takes at once the same time, and copies entries from /run to /var: by these it is known
    /// what was given already.
    moment: Vec<Cursor>,
}

impl Given {
    fn new(last: Cursor) -> Self {
        Self { last, moment: vec![last] }
    }

    /// The same with one more.
    fn and(before: Option<Self>, last: Cursor) -> Self {
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
    fn is_before(&self, cursor: &Cursor, direction: Direction) -> bool {
        if self.last.is_of_one_moment(cursor) && self.last.seqnum_id != cursor.seqnum_id {
            return !self.moment.iter().any(|given| given.is_copy_of(cursor));
        }
        match direction {
            Direction::Forward => cursor.order(&self.last) == Ordering::Greater,
            Direction::Backward => cursor.order(&self.last) == Ordering::Less,
        }
    }
}

/// One file, and how far it was read.
#[derive(Debug)]
struct Source {
    id: u64,
    inode: (u64, u64),
    file: JournalFile,
    matcher: Matcher,
    stand: Stand,
    direction: Direction,
    /// What was found in that direction, and not given yet.
    found: Option<EntryHead>,
    /// Nothing more is there, in that direction.
    ended: bool,
    /// How often it is still looked at although it did not grow.
    settle: u8,
}

/// Where a file is looked at next: entries are told apart by their offsets.
#[derive(Debug, Clone, Copy)]
struct Stand {
    /// Going forward, the first one that may be given.
    first: u64,
    /// Going backward, the last one that may be given. None is at 0.
    last: u64,
}

/// On which side of an entry.
#[derive(Debug, Clone, Copy)]
enum Side {
    Before,
    On,
    After,
}

impl Stand {
    /// Before the entry at this offset.
    fn before(offset: u64) -> Self {
        Self { first: offset, last: offset.saturating_sub(1) }
    }

    /// On the entry at this offset, which was given.
    fn on(offset: u64) -> Self {
        Self { first: offset + 1, last: offset.saturating_sub(1) }
    }
}

impl Journal {
    /// The journal of this machine: the folders that its machine-id(5) names.
    pub fn local(filter: Filter) -> io::Result<Self> {
        let id = fs::read_to_string("/etc/machine-id")?;
        Ok(Self::open(FOLDERS.iter().map(|folder| Path::new(folder).join(id.trim())).collect(), filter))
    }

    /// The journal files (`*.journal`, `*.journal~`) of these folders. One that is missing has none. Stands before the
    /// first entry.
    pub fn open(folders: Vec<PathBuf>, filter: Filter) -> Self {
        let mut journal = Self {
            folders,
            filter,
            sources: Vec::new(),
            known: HashSet::new(),
            damage: Vec::new(),
            place: None,
            quiet: LATER,
            opened: 0,
        };
        journal.look_for_files();
        journal
    }

    /// Stands before the first entry.
    pub fn seek_head(&mut self) {
        self.place = None;
        self.stand_by(|_, _| Ok(0));
    }

    /// Stands behind the last entry.
    pub fn seek_tail(&mut self) {
        self.place = None;
        self.stand_by(|_, all| Ok(all.length()));
    }

    /// Stands before the first entry of this time or later. Microseconds since the epoch.
    pub fn seek_time(&mut self, realtime: u64) {
        self.place = None;
        self.stand_by(|file, all| all.bisect(file, |file, at| Ok(file.entry(at)?.realtime < realtime)));
    }

    /// Stands at an entry: [`next`](Self::next) gives the one after it, [`previous`](Self::previous) the one before.
    /// Says whether the entry, or a copy of it, is there; where it is not, stands where it would be.
    pub fn seek_cursor(&mut self, cursor: &Cursor) -> bool {
        let there = self.stand_at(cursor, Side::On);
        self.place = Some(Given::new(*cursor));
        there
    }

    /// Stands before an entry: [`next`](Self::next) gives it. Says whether it is there.
    pub fn seek_before(&mut self, cursor: &Cursor) -> bool {
        self.stand_at(cursor, Side::Before)
    }

    /// Stands behind an entry: [`previous`](Self::previous) gives it. Says whether it is there.
    pub fn seek_after(&mut self, cursor: &Cursor) -> bool {
        self.stand_at(cursor, Side::After)
    }

    fn stand_at(&mut self, cursor: &Cursor, side: Side) -> bool {
        self.place = None;
        let (mut there, mut broken) = (false, Vec::new());
        for source in &mut self.sources {
            match source.stand_at(cursor, side) {
                Ok(found) => there |= found,
                Err(error) => broken.push((source.id, error)),
            }
        }
        for (id, error) in broken {
            self.break_off(id, error);
        }
        there
    }

    /// The newest entry from before a time (microseconds since the epoch), whatever is filtered.
    pub fn newest(&mut self, before: u64) -> Option<Cursor> {
        let newest = |source: &mut Source| {
            let (all, file) = (List::of_file(&source.file).ok()?, &mut source.file);
            let end = all.bisect(file, |file, at| Ok(file.entry(at)?.realtime < before)).ok()?;
            let at = all.get(file, end.checked_sub(1)?).ok()?;
            Some(cursor_of(file, &file.entry(at).ok()?))
        };
        self.sources.iter_mut().filter_map(newest).max_by(Cursor::order)
    }

    /// The times of the first and the last entry that pass the filter; microseconds since the epoch. Moves.
    pub fn span(&mut self) -> Option<(u64, u64)> {
        self.seek_head();
        let mut first = || loop {
            match self.next()? {
                Step::Entry(entry) => return Some(entry.cursor.realtime),
                Step::Damage(_) => {}
            }
        };
        let first = first()?;
        self.seek_tail();
        loop {
            match self.previous()? {
                Step::Entry(entry) => return Some((first, entry.cursor.realtime)),
                Step::Damage(_) => {}
            }
        }
    }

    /// How many entries that pass the filter, and one of `kinds` besides, are between each two of these times. Answered from
    /// the lists of entries: the entries themselves are hardly read. What is damaged is left out and told.
    pub fn count(&mut self, times: &[u64], kinds: &[Filter]) -> (Vec<Vec<u64>>, Vec<Damage>) {
        let mut counts = vec![vec![0; kinds.len()]; times.len().saturating_sub(1)];
        let mut damage = Vec::new();
        for source in &mut self.sources {
            if let Err(error) = count::of_file(&mut source.file, &self.filter, times, kinds, &mut counts) {
                damage.push(Damage { path: source.file.path.clone(), error });
            }
        }
        (counts, damage)
    }

    /// The next entry.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator could not be asked for fields between two steps"
    )]
    pub fn next(&mut self) -> Option<Step> {
        self.step(Direction::Forward)
    }

    /// The entry before.
    pub fn previous(&mut self) -> Option<Step> {
        self.step(Direction::Backward)
    }

    /// Looks whether anything was written since, or files came and went; after it, [`next`](Self::next) gives what is new.
    /// Until then, the journal stays as it was. Costs one small read for each file that is still written to.
    pub fn refresh(&mut self) -> bool {
        let (mut changed, mut rotated, mut broken) = (false, false, Vec::new());
        for source in &mut self.sources {
            match source.refresh(&self.filter) {
                Ok(grew) => {
                    changed |= grew;
                    rotated |= grew && source.file.header.archived;
                }
                Err(error) => broken.push((source.id, error)),
            }
        }
        for (id, error) in broken {
            self.break_off(id, error);
        }
        self.quiet = if rotated { 0 } else { self.quiet.saturating_sub(1) };
        if self.quiet == 0 {
            changed |= self.look_for_files();
            self.quiet = if rotated { SOON } else { LATER };
        }
        changed | !self.damage.is_empty()
    }

    /// Calls `with` for each field of an entry: its name and its value. An error ends it.
    pub fn fields(&mut self, entry: &Entry, mut with: impl FnMut(&[u8], &[u8])) -> Result<(), Error> {
        let Some(source) = self.sources.iter_mut().find(|s| s.id == entry.source) else {
            return Err(Error::Unsupported("the file of this entry is gone"));
        };
        let (mut items, mut content) = (Vec::new(), Vec::new());
        source.file.items(&entry.head, &mut items)?;
        for item in items {
            source.file.content(item, &mut content)?;
            if let Some(split) = memchr::memchr(b'=', &content) {
                with(&content[..split], &content[split + 1..]);
            }
        }
        Ok(())
    }

    /// The value of one field, the last one where there are several. `MESSAGE` is found fast: it mostly stands last.
    pub fn field<'a>(
        &mut self,
        entry: &Entry,
        name: &[u8],
        into: &'a mut Vec<u8>,
    ) -> Result<Option<&'a [u8]>, Error> {
        let Some(source) = self.sources.iter_mut().find(|s| s.id == entry.source) else {
            return Err(Error::Unsupported("the file of this entry is gone"));
        };
        for index in (0..entry.head.items).rev() {
            let item = source.file.item(&entry.head, index)?;
            source.file.content(item, into)?;
            if into.len() > name.len() && into[name.len()] == b'=' && into.starts_with(name) {
                return Ok(Some(&into[name.len() + 1..]));
            }
        }
        Ok(None)
    }

    /// Has each file stand before the entry with the index that `index` finds in it.
    fn stand_by(&mut self, mut index: impl FnMut(&mut JournalFile, &List) -> Result<u64>) {
        let mut broken = Vec::new();
        for source in &mut self.sources {
            match source.stand_by(&mut index) {
                Ok(()) => {}
                Err(error) => broken.push((source.id, error)),
            }
        }
        for (id, error) in broken {
            self.break_off(id, error);
        }
    }

    fn step(&mut self, direction: Direction) -> Option<Step> {
        let mut broken = Vec::new();
        let mut best: Option<(usize, Cursor)> = None;
        for (index, source) in self.sources.iter_mut().enumerate() {
            match source.look(direction, self.place.as_ref()) {
                Ok(Some(cursor)) => {
                    let wins = |than: &Cursor| match direction {
                        Direction::Forward => cursor.order(than) == Ordering::Less,
                        Direction::Backward => cursor.order(than) == Ordering::Greater,
                    };
                    if best.as_ref().is_none_or(|(_, than)| wins(than)) {
                        best = Some((index, cursor));
                    }
                }
                Ok(None) => {}
                Err(error) => broken.push((source.id, error)),
            }
        }
        for (id, error) in broken {
            // What was found meanwhile is found again: indices have moved.
            best = None;
            self.break_off(id, error);
        }
        if let Some(damage) = self.damage.pop() {
            return Some(Step::Damage(damage));
        }
        let (index, cursor) = best?;
        let source = &mut self.sources[index];
        let head = source.found.take()?;
        source.stand = Stand::on(head.offset);
        let entry = Entry { cursor, head, source: source.id };
        self.place = Some(Given::and(self.place.take(), cursor));
        self.pass_copies(&cursor);
        Some(Step::Entry(entry))
    }

    /// Other files may have found a copy of the entry that was given.
    fn pass_copies(&mut self, given: &Cursor) {
        for source in &mut self.sources {
            let is_copy = |head: &EntryHead| cursor_of(&source.file, head).is_copy_of(given);
            if let Some(copy) = source.found.filter(is_copy) {
                (source.found, source.stand) = (None, Stand::on(copy.offset));
            }
        }
    }

    fn break_off(&mut self, id: u64, error: Error) {
        if let Some(index) = self.sources.iter().position(|s| s.id == id) {
            let source = self.sources.swap_remove(index);
            self.damage.push(Damage { path: source.file.path, error });
        }
    }

    /// Opens files that are new, and lets go of those that are gone and were read to their end.
    fn look_for_files(&mut self) -> bool {
        let mut there = HashSet::new();
        let mut new = false;
        for path in self.folders.iter().flat_map(|folder| files_of(folder)) {
            let Ok(meta) = fs::metadata(&path) else { continue };
            let inode = (meta.dev(), meta.ino());
            there.insert(inode);
            if !self.known.insert(inode) {
                continue;
            }
            self.opened += 1;
            match Source::open(self.opened, inode, &path, &self.filter) {
                Ok(source) => self.sources.push(source),
                // journald has made it, and not written its head yet.
                Err(Error::Unsupported(_)) if meta.len() < SMALLEST => drop(self.known.remove(&inode)),
                Err(error) => self.damage.push(Damage { path, error }),
            }
            new = true;
        }
        let is_read = |source: &Source| source.ended && source.direction == Direction::Forward;
        self.sources.retain(|source| there.contains(&source.inode) || !is_read(source));
        self.known.retain(|inode| there.contains(inode));
        new
    }
}

impl Source {
    fn open(id: u64, inode: (u64, u64), path: &Path, filter: &Filter) -> Result<Self> {
        let mut file = JournalFile::open(path)?;
        let matcher = Matcher::new(&mut file, filter)?;
        let (stand, direction) = (Stand::before(0), Direction::Forward);
        Ok(Self { id, inode, file, matcher, stand, direction, found: None, ended: false, settle: SETTLE })
    }

    fn refresh(&mut self, filter: &Filter) -> Result<bool> {
        match self.file.refresh()? {
            true => self.settle = SETTLE,
            false if self.settle == 0 => return Ok(false),
            false => {
                self.settle -= 1;
                self.file.forget();
            }
        }
        self.matcher = Matcher::new(&mut self.file, filter)?;
        self.ended = false;
        Ok(true)
    }

    fn stand_by(&mut self, index: &mut impl FnMut(&mut JournalFile, &List) -> Result<u64>) -> Result<()> {
        let all = List::of_file(&self.file)?;
        let index = index(&mut self.file, &all)?;
        self.stand = match index.checked_sub(1) {
            _ if index < all.length() => Stand::before(all.get(&self.file, index)?),
            Some(last) => Stand::before(all.get(&self.file, last)?.saturating_add(1)),
            None => Stand::before(0),
        };
        (self.found, self.ended) = (None, false);
        Ok(())
    }

    /// Stands at an entry, or where it would be. Says whether it is there.
    fn stand_at(&mut self, cursor: &Cursor, side: Side) -> Result<bool> {
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
                (self.found, self.ended) = (None, false);
                return Ok(true);
            }
            if same_ids || !found.is_of_one_moment(cursor) {
                break;
            }
        }
        self.stand_by(&mut |_, _| Ok(index))?;
        Ok(false)
    }

    /// The next match beyond the place, found once and kept until it is taken.
    fn look(&mut self, direction: Direction, place: Option<&Given>) -> Result<Option<Cursor>> {
        if self.direction != direction {
            // What was found on the way in the other direction was not given; it lies behind now.
            (self.direction, self.found, self.ended) = (direction, None, false);
        }
        while self.found.is_none() && !self.ended {
            let (file, matcher) = (&mut self.file, &mut self.matcher);
            let from = match direction {
                Direction::Forward => self.stand.first,
                Direction::Backward => self.stand.last,
            };
            let Some(offset) = matcher.find(file, direction, from)? else {
                self.ended = true;
                break;
            };
            self.file.warm(offset);
            let head = self.file.entry(offset)?;
            let cursor = cursor_of(&self.file, &head);
            let is_beyond = place.is_none_or(|given| given.is_before(&cursor, direction));
            match is_beyond {
                true => self.found = Some(head),
                false => self.stand = Stand::on(offset),
            }
        }
        Ok(self.found.as_ref().map(|head| cursor_of(&self.file, head)))
    }
}

fn cursor_of(file: &JournalFile, head: &EntryHead) -> Cursor {
    Cursor {
        seqnum_id: file.header.seqnum_id,
        seqnum: head.seqnum,
        boot_id: head.boot_id,
        monotonic: head.monotonic,
        realtime: head.realtime,
        xor_hash: head.xor_hash,
    }
}

/// The journal files of a folder, by name.
fn files_of(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let is_journal = |path: &Path| {
        path.file_name()
            .and_then(|n| n.to_str())
            .is_some_and(|n| n.ends_with(".journal") || n.ends_with(".journal~"))
    };
    let mut files: Vec<_> = entries.flatten().map(|e| e.path()).filter(|p| is_journal(p)).collect();
    files.sort();
    files
}
