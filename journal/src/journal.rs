//! The journal: all files of some folders, in one order.

use std::{
    cmp::Ordering,
    collections::HashSet,
    fs, io,
    os::unix::fs::MetadataExt as _,
    panic::resume_unwind,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
    thread,
};

use crate::{
    Cursor, Direction, Entry, Error, Filter, Result,
    bytes::Bytes,
    count,
    file::{EntryHead, JournalFile},
    given::Given,
    header::SMALLEST,
    list::List,
    search::Search,
    source::{Side, Source, Stand, cursor_of},
};

/// Where journald keeps files: those that outlive a boot, and those that do not.
const FOLDERS: [&str; 2] = ["/var/log/journal", "/run/log/journal"];

/// Refreshes between two looks at the folders: when a file was just rotated away, and ordinarily.
const SOON: u32 = 4;
const LATER: u32 = 250;
/// Files are looked at one after the other, and an entry that came to the first one meanwhile may be older than what the last
/// one has: then all are looked at again, so often at most.
const LOOKS_MOST: u32 = 8;
/// Entries that a search looks at in one turn: few at first, because mostly the first ones are enough.
const TURN: u32 = 256;
const TURN_MOST: u32 = 16_384;
/// Turns that are longer are done by several threads.
const PARALLEL: u32 = 2048;
/// So many files are searched at once. What runs on this machine needs its processors, too.
const THREADS_MOST: usize = 4;
/// To ask how many processors there are takes longer than most searches.
static THREADS: LazyLock<usize> =
    LazyLock::new(|| thread::available_parallelism().map_or(1, usize::from).min(THREADS_MOST));

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
    filter: Arc<Filter>,
    search: Option<Search>,
    /// Entries that a search looks at in its next turn.
    turn: u32,
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
            filter: Arc::new(filter),
            search: None,
            turn: TURN,
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

    /// The same for what is in memory. Nothing is added to it.
    pub fn in_memory(files: Vec<Arc<Vec<u8>>>, filter: Filter) -> Self {
        let mut journal = Self::open(Vec::new(), filter);
        for (number, bytes) in files.into_iter().enumerate() {
            let (path, id) = (PathBuf::from("memory"), number as u64);
            let file = JournalFile::new(&path, Bytes::Memory(bytes));
            match file.and_then(|file| Source::new(id, (0, id), file, &journal.filter)) {
                Ok(source) => journal.sources.push(source),
                Err(error) => journal.damage.push(Damage { path, error }),
            }
        }
        journal
    }

    /// Stands before the first entry.
    pub fn seek_head(&mut self) {
        self.place = None;
        self.sources.iter_mut().for_each(Source::stand_at_head);
    }

    /// Stands behind the last entry.
    pub fn seek_tail(&mut self) {
        self.place = None;
        self.each(Source::stand_at_tail);
    }

    /// Stands before the first entry of this time or later. Microseconds since the epoch.
    pub fn seek_time(&mut self, realtime: u64) {
        self.place = None;
        self.each(|source| source.stand_at_time(realtime));
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
        let mut there = false;
        self.each(|source| {
            there |= source.stand_at(cursor, side)?;
            Ok(())
        });
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
        let mut best: Option<Cursor> = None;
        // Those that are still written to come first: mostly no archived file has a newer entry, and says so in its head.
        let (written, archived): (Vec<_>, Vec<_>) =
            self.sources.iter_mut().partition(|source| !source.file.header.archived);
        for source in written.into_iter().chain(archived) {
            if best.is_none_or(|best| !source.is_beyond(&best, Direction::Backward)) {
                best = newest(source).into_iter().chain(best).max_by(Cursor::order);
            }
        }
        best
    }

    /// The times of the first and the last entry that pass the filter, whatever is searched for; microseconds since the epoch.
    /// Moves.
    pub fn span(&mut self) -> Option<(u64, u64)> {
        let search = self.search.take();
        let span = self.span_of_filter();
        self.search = search;
        self.seek_tail();
        span
    }

    fn span_of_filter(&mut self) -> Option<(u64, u64)> {
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
        let mut files: Vec<_> = self.sources.iter_mut().map(|source| &mut source.file).collect();
        let of_files = |files: &mut [&mut JournalFile]| count::of_files(files, &self.filter, times, kinds);
        let share = files.len().div_ceil(*THREADS).max(1);
        let parts: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> =
                files.chunks_mut(share).map(|files| scope.spawn(move || of_files(files))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|p| resume_unwind(p))).collect()
        });
        let mut counts = vec![vec![0; kinds.len()]; times.len().saturating_sub(1)];
        let mut damage = Vec::new();
        for (part, broken) in parts {
            counts.iter_mut().flatten().zip(part.into_iter().flatten()).for_each(|(all, some)| *all += some);
            damage.extend(broken);
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
        let (mut changed, mut rotated) = (false, false);
        let written = self.sources.iter().filter(|source| !source.file.header.archived).count();
        for _ in 0..if written > 1 { LOOKS_MOST } else { 1 } {
            self.each(|source| {
                let grew = source.refresh()?;
                changed |= grew;
                rotated |= grew && source.file.header.archived;
                Ok(())
            });
            let is_behind = |source: &Source| source.file.is_behind().unwrap_or(false);
            if !changed || !self.sources.iter().any(is_behind) {
                break;
            }
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
        source.file.field(&entry.head, name, into)
    }

    /// Calls `with` for each field of an entry that has one of these names. Faster than [`fields`](Self::fields): what many
    /// entries share is read once.
    pub fn fields_of(
        &mut self,
        entry: &Entry,
        names: &'static [&'static [u8]],
        with: impl FnMut(&[u8], &[u8]),
    ) -> Result<(), Error> {
        let Some(source) = self.sources.iter_mut().find(|s| s.id == entry.source) else {
            return Err(Error::Unsupported("the file of this entry is gone"));
        };
        source.file.fields(&entry.head, names, with)
    }

    /// From now on, only entries are given in which this finds something. Ends with a time: see [`Search::between`].
    pub fn search(&mut self, search: Search) {
        self.search = Some(search);
        self.sources.iter_mut().for_each(Source::restart);
    }

    /// Does something with each file. One that fails is broken off.
    fn each(&mut self, mut with: impl FnMut(&mut Source) -> Result<()>) {
        let mut broken = Vec::new();
        for source in &mut self.sources {
            if let Err(error) = with(source) {
                broken.push((source.id, error));
            }
        }
        for (id, error) in broken {
            self.break_off(id, error);
        }
    }

    fn step(&mut self, direction: Direction) -> Option<Step> {
        self.sources.iter_mut().for_each(|source| source.turn(direction));
        match self.search.take() {
            None => self.look(direction),
            Some(search) => {
                self.look_for(&search, direction);
                self.search = Some(search);
            }
        }
        if let Some(damage) = self.damage.pop() {
            return Some(Step::Damage(damage));
        }
        let (index, cursor) = self.nearest(direction)?;
        let source = &mut self.sources[index];
        let head = source.found.take()?;
        source.stand = Stand::on(head.offset);
        let entry = Entry { cursor, head, source: source.id };
        self.place = Some(Given::and(self.place.take(), cursor));
        self.pass_copies(&cursor);
        Some(Step::Entry(entry))
    }

    /// Has files find their next entry until it is known which one is the nearest. Mostly one file has it, and the others need
    /// not be looked at.
    fn look(&mut self, direction: Direction) {
        let near = |source: &Source| match direction {
            Direction::Forward => source.file.header.times.0,
            Direction::Backward => u64::MAX - source.file.header.times.1,
        };
        loop {
            let best = self.nearest(direction).map(|(_, cursor)| cursor);
            let may_be_nearer = |source: &&mut Source| {
                source.is_open() && best.is_none_or(|best| !source.is_beyond(&best, direction))
            };
            let next = self.sources.iter_mut().filter(may_be_nearer).min_by_key(|source| near(source));
            let Some(source) = next else { return };
            if let Err(error) = source.look(self.place.as_ref()) {
                let id = source.id;
                self.break_off(id, error);
            }
        }
    }

    /// Has files search for their next entry, until it is known which one is the nearest: the file first that may have it, and
    /// if that takes long, several at once.
    fn look_for(&mut self, search: &Search, direction: Direction) {
        self.turn = (self.turn / 2).max(TURN);
        while search.is_wanted() {
            let (chosen, most) = match self.unlearned() {
                some if !some.is_empty() => (some, 0),
                _ => {
                    (self.nearest_open(direction, if self.turn > PARALLEL { *THREADS } else { 1 }), self.turn)
                }
            };
            if chosen.is_empty() {
                return;
            }
            let place = self.place.as_ref();
            let sources = self.sources.iter_mut().filter(|source| chosen.contains(&source.id));
            for (id, error) in search_each(sources, |source| source.search(place, search, most)) {
                self.break_off(id, error);
            }
            self.turn = if most > 0 { (self.turn * 2).min(TURN_MOST) } else { self.turn };
        }
    }

    /// Files of which it is not known where their next entry is.
    fn unlearned(&self) -> Vec<u64> {
        self.sources.iter().filter(|s| s.is_open() && s.frontier.is_none()).map(|s| s.id).collect()
    }

    /// The files that may have an entry before those that were found, so many of them, the nearest first.
    fn nearest_open(&self, direction: Direction, most: usize) -> Vec<u64> {
        let best = self.nearest(direction).map(|(_, cursor)| cursor);
        let order = |a: &Cursor, b: &Cursor| direction.of(a.order(b));
        let open = self.sources.iter().filter(|s| s.is_open()).filter_map(|s| Some((s.frontier?, s.id)));
        let mut open: Vec<_> =
            open.filter(|(at, _)| best.is_none_or(|best| order(at, &best) != Ordering::Greater)).collect();
        open.sort_by(|(a, _), (b, _)| order(a, b));
        open.into_iter().take(most).map(|(_, id)| id).collect()
    }

    /// The file whose next entry comes before those of the others.
    fn nearest(&self, direction: Direction) -> Option<(usize, Cursor)> {
        let found = self.sources.iter().enumerate().filter_map(|(index, s)| Some((index, s.found()?)));
        found.reduce(|best, next| match direction.of(next.1.order(&best.1)) {
            Ordering::Less => next,
            _ => best,
        })
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
        if self.folders.is_empty() {
            return false;
        }
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
            let opened = JournalFile::open(&path);
            match opened.and_then(|file| Source::new(self.opened, inode, file, &self.filter)) {
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

/// Has each of these search, all at once. Gives those that are broken.
fn search_each<'a>(
    sources: impl Iterator<Item = &'a mut Source>,
    search: impl Fn(&mut Source) -> Result<()> + Copy + Send + Sync,
) -> Vec<(u64, Error)> {
    let mut sources: Vec<_> = sources.collect();
    let Some((first, others)) = sources.split_first_mut() else { return Vec::new() };
    let one = |source: &mut Source| search(source).err().map(|error| (source.id, error));
    thread::scope(|scope| {
        // Where there is no thread for one, it has its turn later.
        let spawn = |source| thread::Builder::new().spawn_scoped(scope, move || one(source)).ok();
        let threads: Vec<_> = others.iter_mut().filter_map(|source| spawn(&mut **source)).collect();
        let done = one(first);
        let all = threads.into_iter().map(|thread| thread.join().unwrap_or_else(|p| resume_unwind(p)));
        all.chain([done]).flatten().collect()
    })
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
