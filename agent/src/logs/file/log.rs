//! One log in files: its lines, in both directions, over all that logrotate does to them.

use std::{collections::HashSet, io, ops::Range, sync::Arc};

use hms_journal::Direction;
use hms_proto::host::v1::{LogEntry, LogGap, LogKind};

use super::{
    content::{Block, Content, LINE_MAX},
    siblings::{FileId, Folder, Sibling},
};
use crate::logs::{
    filter::Filter,
    line,
    place::{FilePlace, HEAD, TAIL, hash_of},
    source::{Found, Step, Wanted, What},
};

/// Lines of several workers, or out of a buffer, are out of order by so much at most; microseconds.
const SLACK: u64 = 60_000_000;
/// So far back a line without a time is asked what time it was; bytes.
const LOOK_BACK: usize = 64 << 10;

/// Which log.
#[derive(Debug, Clone)]
pub(crate) struct LogName {
    /// `nginx-access/access.log`.
    pub(crate) id: String,
    pub(crate) kind: LogKind,
    pub(crate) folder: Folder,
    pub(crate) name: String,
    /// Who writes it.
    pub(crate) identifier: String,
}

/// Reads one log.
#[derive(Debug)]
pub(crate) struct FileLog {
    pub(super) log: LogName,
    filter: Arc<Filter>,
    wanted: Wanted,
    /// Only lines of this time are given, besides what the filter says; microseconds since the epoch.
    pub(super) window: (u64, u64),
    /// Oldest first.
    pub(super) files: Vec<Part>,
    /// Files that were seen.
    pub(super) known: HashSet<FileId>,
    /// The file that is read forward.
    pub(super) at: usize,
    /// Backward: the file, and the end of what is still to be given.
    pub(super) back: (usize, u64),
    /// Backward: nothing before this is given.
    pub(super) floor: Option<(usize, u64)>,
    pub(super) lines: Option<Lines>,
    pub(super) gaps: Vec<LogGap>,
    /// The end of a line, and the time of that line.
    memo: (usize, u64, u64),
    /// What lies behind is past the wanted time.
    pub(super) is_over: bool,
    /// How many times nothing was looked for in the folder.
    pub(super) quiet: u32,
    /// The file that was read last is gone, and what follows it may not be all that did.
    pub(super) is_deleted: bool,
}

/// One file, and how far it was read.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) content: Content,
    /// Forward: all before this is done.
    pub(super) read: u64,
    /// The first bytes, and those right before `read`: by them it is seen that a file is no longer what it was.
    pub(super) head: Vec<u8>,
    pub(super) tail: Vec<u8>,
    /// To be told before anything of it.
    pub(super) gap: Option<LogGap>,
    /// Nothing will come any more.
    pub(super) is_done: bool,
    /// The time of its last line, once it was asked for. A clock may have been set, or be of another zone: neither this nor when
    /// the file was changed can be trusted alone.
    last: Option<u64>,
}

/// Lines of a block that may match.
#[derive(Debug)]
pub(super) struct Lines {
    file: usize,
    block: Block,
    matches: Vec<Range<usize>>,
    /// Those that are still to be looked at.
    left: Range<usize>,
}

impl Part {
    pub(super) fn new(sibling: Sibling) -> Self {
        let content = Content::new(sibling);
        Self { content, read: 0, head: Vec::new(), tail: Vec::new(), gap: None, is_done: false, last: None }
    }

    /// Begins to read at a place.
    pub(super) fn stand(&mut self, at: u64) -> io::Result<()> {
        self.read = at;
        self.tail = self.content.tail(at)?;
        self.is_done = false;
        self.fill_head()
    }

    /// Leaves out all that is there.
    pub(super) fn pass(&mut self) -> io::Result<()> {
        if self.content.is_gz {
            self.is_done = true;
            return Ok(());
        }
        let end = self.content.end()?;
        self.stand(end)
    }

    /// The time of its last line. A compressed file is not expanded for it.
    fn last(&mut self, kind: LogKind) -> io::Result<u64> {
        if self.content.is_gz { Ok(self.content.modified) } else { self.last_told(kind) }
    }

    /// The file was changed.
    pub(super) fn forget_last(&mut self) {
        self.last = None;
    }

    pub(super) fn last_told(&mut self, kind: LogKind) -> io::Result<u64> {
        let last = match self.last {
            Some(last) => last,
            None => self.content.last(|line| line::glance(kind, line).0)?.unwrap_or(self.content.modified),
        };
        self.last = Some(last);
        Ok(last)
    }

    pub(super) fn fill_head(&mut self) -> io::Result<()> {
        if self.head.len() < HEAD {
            self.head = self.content.head()?;
        }
        Ok(())
    }

    /// The hash of what was before `read` when it was read.
    pub(super) fn hash(&self) -> u64 {
        hash_of(&self.head[..self.head.len().min(self.read as usize)], &self.tail)
    }
}

impl FileLog {
    /// Opens the files that are there now.
    pub(crate) fn open(log: LogName, filter: Arc<Filter>, wanted: Wanted) -> io::Result<Self> {
        let siblings = log.folder.siblings(&log.name)?;
        let known = siblings.iter().map(Sibling::id).collect();
        let files = siblings.into_iter().map(Part::new).collect();
        Ok(Self {
            log,
            filter,
            wanted,
            window: (0, u64::MAX),
            files,
            known,
            at: 0,
            back: (0, 0),
            floor: None,
            lines: None,
            gaps: Vec::new(),
            memo: (0, u64::MAX, 0),
            is_over: false,
            quiet: 0,
            is_deleted: false,
        })
    }

    pub(crate) fn id(&self) -> &str {
        &self.log.id
    }

    /// The next line that matches.
    pub(crate) fn next(&mut self, way: Direction) -> Option<Step> {
        loop {
            if let Some(gap) = self.gaps.pop() {
                return Some(Step::Gap(gap));
            }
            if self.is_over || (self.lines.is_none() && !(self.wanted)()) {
                return None;
            }
            if let Some((file, block, range)) = self.candidate(way) {
                let found = self.line(file, &block, range, way);
                if let Some(lines) = &mut self.lines {
                    lines.block = block;
                }
                match found {
                    Ok(Some(found)) => return Some(Step::Found(found)),
                    Ok(None) => continue,
                    Err(error) => return self.broken(&error),
                }
            }
            let more = match way {
                Direction::Forward => self.forward(),
                Direction::Backward => self.backward(),
            };
            match more {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => return self.broken(&error),
            }
        }
    }

    /// A file that cannot be read ends the log; the others go on.
    fn broken(&mut self, error: &io::Error) -> Option<Step> {
        tracing::warn!(log = self.log.id, %error, "left out the rest of a log");
        self.is_over = true;
        Some(Step::Gap(self.gap("corrupt", self.memo.2)))
    }

    /// What went wrong is told by the next step.
    pub(crate) fn or_broken<T>(&mut self, done: io::Result<T>) -> Option<T> {
        match done {
            Ok(done) => Some(done),
            Err(error) => {
                let Some(Step::Gap(gap)) = self.broken(&error) else { return None };
                self.gaps.push(gap);
                None
            }
        }
    }

    pub(super) fn gap(&self, reason: &str, from: u64) -> LogGap {
        let from_usec = i64::try_from(from).unwrap_or(0);
        LogGap { reason: reason.into(), from_usec, source: self.log.id.clone(), ..LogGap::default() }
    }

    /// The next line of the block that may match. The block is lent, to be put back.
    fn candidate(&mut self, way: Direction) -> Option<(usize, Block, Range<usize>)> {
        let lines = self.lines.as_mut()?;
        let next = match way {
            Direction::Forward => lines.left.next(),
            Direction::Backward => lines.left.next_back(),
        };
        let Some(next) = next else {
            let (file, end, start) = (lines.file, lines.block.end, lines.block.start);
            let tail = tail_of(&lines.block, end - start);
            self.lines = None;
            match way {
                Direction::Forward => self.done(file, end, tail),
                Direction::Backward => self.back = (file, start),
            }
            return None;
        };
        Some((lines.file, std::mem::take(&mut lines.block), lines.matches[next].clone()))
    }

    /// All before this was read.
    fn done(&mut self, file: usize, end: u64, tail: Option<Vec<u8>>) {
        let part = &mut self.files[file];
        part.read = end;
        // What cannot be read now is found out when more is asked for.
        part.tail = tail.or_else(|| part.content.tail(end).ok()).unwrap_or_default();
        if part.head.len() < HEAD {
            part.fill_head().ok();
        }
    }

    /// Takes the next block of the oldest file that has one.
    fn forward(&mut self) -> io::Result<bool> {
        for file in 0..self.files.len() {
            let part = &mut self.files[file];
            if part.is_done {
                continue;
            }
            let block = part.content.block_from(part.read)?;
            if let Some(mut gap) = self.files[file].gap.take() {
                let time = block.and_then(|b| b.lines().find_map(|line| line::glance(self.log.kind, line).0));
                gap.to_usec = time.and_then(|time| i64::try_from(time).ok()).unwrap_or(0);
                self.gaps.push(gap);
                self.at = self.at.max(file);
                return Ok(true);
            }
            let Some(block) = block else {
                self.end_of(file);
                continue;
            };
            self.at = self.at.max(file);
            self.take(file, block);
            return Ok(true);
        }
        Ok(false)
    }

    /// A compressed file does not grow, and takes room while it is open.
    fn end_of(&mut self, file: usize) {
        let part = &mut self.files[file];
        if !part.content.is_gz {
            return;
        }
        part.is_done = true;
        part.content.close();
        if let Some(error) = part.content.damage.take() {
            tracing::warn!(log = self.log.id, file = part.content.name, error, "left out the rest of a file");
            self.gaps.push(self.gap("corrupt", self.memo.2));
        }
    }

    /// Takes the block before, of the same file or the one before.
    fn backward(&mut self) -> io::Result<bool> {
        loop {
            let (file, end) = self.back;
            let Some(part) = self.files.get_mut(file) else { return Ok(false) };
            let floor = match self.floor {
                Some((lowest, _)) if file < lowest => return Ok(false),
                Some((lowest, offset)) if file == lowest => offset,
                _ => 0,
            };
            if end > floor
                && let Some(block) = part.content.block_before(end)?
            {
                self.take(file, block);
                return Ok(true);
            }
            self.end_of(file);
            let Some(older) = file.checked_sub(1) else { return Ok(false) };
            let last = self.files[older].last(self.log.kind)?.max(self.files[older].content.modified);
            if self.filter.since.is_some_and(|since| last.saturating_add(SLACK) < since) {
                return Ok(false);
            }
            self.back = (older, self.files[older].content.end()?);
        }
    }

    /// Looks for the lines of a block that may match.
    fn take(&mut self, file: usize, block: Block) {
        let matches = self.filter.lines(&block.bytes);
        let left = 0..matches.len();
        self.lines = Some(Lines { file, block, matches, left });
    }

    /// A line, if it matches.
    fn line(
        &mut self,
        file: usize,
        block: &Block,
        range: Range<usize>,
        way: Direction,
    ) -> io::Result<Option<Found>> {
        let offset = block.start + range.start as u64;
        let length = if block.cut > 0 { block.end - block.start } else { range.len() as u64 };
        if way == Direction::Backward && self.floor.is_some_and(|floor| (file, offset) < floor) {
            self.is_over = true;
            return Ok(None);
        }
        let text = shown(&block.bytes[range.clone()], offset);
        let line = line::read(self.log.kind, &text);
        let time = match line.time {
            Some(time) => time,
            None => self.time_before(file, block, range.start)?,
        };
        self.memo = (file, offset + length, time);
        match way {
            Direction::Forward => {
                self.files[file].read = offset + length;
                self.files[file].tail.clear();
            }
            Direction::Backward => self.back = (file, offset),
        }
        if !self.is_in_time(time, way) {
            return Ok(None);
        }
        let mut entry = self.entry(line, text.into_owned(), time);
        // What stands for what is not UTF-8 is longer than that.
        entry.message.truncate(entry.message.floor_char_boundary(LINE_MAX));
        entry.truncated_bytes = block.cut;
        if !self.filter.takes_line(&entry) {
            return Ok(None);
        }
        let place = self.place_of_line(file, block, range, (offset, length), time)?;
        entry.cursor = crate::logs::place::Part::File(place.clone()).to_string();
        Ok(Some(Found {
            time,
            part: crate::logs::place::Part::File(place),
            what: What::Entry(Box::new(entry)),
        }))
    }

    fn entry(&self, line: line::Line, message: String, time: u64) -> LogEntry {
        LogEntry {
            time_usec: i64::try_from(time).unwrap_or(i64::MAX),
            priority: line.priority,
            identifier: self.log.identifier.clone(),
            pid: line.pid,
            message,
            source: self.log.id.clone(),
            access: line.access,
            request_id: line.request_id,
            ..LogEntry::default()
        }
    }

    fn place_of_line(
        &mut self,
        file: usize,
        block: &Block,
        range: Range<usize>,
        (offset, length): (u64, u64),
        time: u64,
    ) -> io::Result<FilePlace> {
        let part = &mut self.files[file];
        let end = offset + length;
        part.fill_head()?;
        let before = &block.bytes[..range.end];
        let tail = match before.len().checked_sub(TAIL) {
            Some(from) if block.cut == 0 => before[from..].to_vec(),
            _ => part.content.tail(end)?,
        };
        let hash = hash_of(&part.head[..part.head.len().min(end as usize)], &tail);
        let (dev, inode) = part.content.inode;
        Ok(FilePlace { log: self.log.id.clone(), dev, inode, offset, length, hash, time })
    }

    /// Whether a line is of the wanted time. Far beyond it, there is nothing more to look for.
    fn is_in_time(&mut self, time: u64, way: Direction) -> bool {
        let (since, until) = (self.filter.since.unwrap_or(0), self.filter.until.unwrap_or(u64::MAX));
        self.is_over = match way {
            Direction::Forward => time > until.saturating_add(SLACK),
            Direction::Backward => time < since.saturating_sub(SLACK),
        };
        (since..=until).contains(&time) && (self.window.0..=self.window.1).contains(&time)
    }

    /// The time of a line that does not say it: that of the one before.
    fn time_before(&mut self, file: usize, block: &Block, at: usize) -> io::Result<u64> {
        if (self.memo.0, self.memo.1) == (file, block.start + at as u64) {
            return Ok(self.memo.2);
        }
        let kind = self.log.kind;
        let last_time = |bytes: &[u8]| {
            let lines = bytes.rsplit(|b| *b == b'\n');
            lines.take(LOOK_BACK / 64).find_map(|line| line::glance(kind, line).0)
        };
        if let Some(time) = last_time(&block.bytes[at.saturating_sub(LOOK_BACK)..at]) {
            return Ok(time);
        }
        let content = &mut self.files[file].content;
        if at < LOOK_BACK
            && let Some(before) = content.block_before(block.start)?
        {
            let from = before.bytes.len().saturating_sub(LOOK_BACK);
            if let Some(time) = last_time(&before.bytes[from..]) {
                return Ok(time);
            }
        }
        Ok(content.modified)
    }

    /// Whether a line is later than this. Lines without a time do not tell.
    pub(super) fn later_than(&self, time: u64) -> impl FnMut(&[u8]) -> Option<bool> + use<> {
        let kind = self.log.kind;
        move |line| line::glance(kind, line).0.map(|of_line| of_line > time)
    }

    /// Stands before the first line of this time or later.
    pub(crate) fn seek_time(&mut self, time: u64) -> io::Result<()> {
        self.restart();
        let mut first = 0;
        while let Some(part) = self.files.get_mut(first)
            && part.last(self.log.kind)?.max(part.content.modified).saturating_add(SLACK) < time
        {
            first += 1;
        }
        let late = self.later_than(time.saturating_sub(SLACK.saturating_add(1)));
        for part in &mut self.files[..first] {
            part.pass()?;
        }
        if let Some(part) = self.files.get_mut(first) {
            let at = part.content.bisect(late)?;
            part.stand(at)?;
        }
        self.files.iter_mut().skip(first + 1).try_for_each(|part| part.stand(0))?;
        self.at = first.min(self.files.len().saturating_sub(1));
        Ok(())
    }

    /// Backward: stands behind the last line of this time or earlier, and a little further.
    pub(crate) fn seek_back_from(&mut self, time: u64) -> io::Result<()> {
        self.restart();
        let mut file = 0;
        while let Some(part) = self.files.get_mut(file)
            && part.last(self.log.kind)?.min(part.content.modified) < time
        {
            file += 1;
        }
        if file == self.files.len() {
            return self.seek_tail();
        }
        let late = self.later_than(time.saturating_add(SLACK));
        self.back = (file, self.files[file].content.bisect(late)?);
        Ok(())
    }

    /// Stands at the time of an entry of another log.
    pub(crate) fn seek_beside(&mut self, time: u64, way: Direction) -> io::Result<()> {
        match way {
            Direction::Forward => {
                // Lines of access logs tell whole seconds.
                let time = time - time % 1_000_000;
                self.seek_time(time)?;
                self.window.0 = time;
            }
            Direction::Backward => {
                self.seek_back_from(time)?;
                self.window.1 = time;
            }
        }
        Ok(())
    }

    /// The times of the first and the last line that tell one; microseconds since the epoch.
    pub(crate) fn span(&mut self) -> io::Result<Option<(u64, u64)>> {
        let kind = self.log.kind;
        let (mut first, mut last) = (None, None);
        for part in &mut self.files {
            let block = part.content.block_from(0)?;
            first = block.and_then(|block| block.lines().find_map(|line| line::glance(kind, line).0));
            if first.is_some() {
                break;
            }
        }
        for part in self.files.iter_mut().rev() {
            let end = part.content.end()?;
            let block = part.content.block_before(end)?;
            last = block.and_then(|block| block.lines().filter_map(|line| line::glance(kind, line).0).max());
            if last.is_some() {
                break;
            }
        }
        Ok(first.zip(last))
    }

    /// Calls `with` with the time and the severity of each line from here on that matches, until it gives `false`.
    pub(crate) fn count(&mut self, mut with: impl FnMut(u64, u32) -> bool) -> io::Result<()> {
        let mut time = 0;
        while !self.is_over && (self.wanted)() && self.forward()? {
            let Some(lines) = self.lines.take() else { break };
            for range in &lines.matches {
                let (told, priority) = line::glance(self.log.kind, &lines.block.bytes[range.clone()]);
                time = match told {
                    Some(told) => told,
                    None if time == 0 || range.start == 0 => {
                        self.time_before(lines.file, &lines.block, range.start)?
                    }
                    None => time,
                };
                let is_wanted =
                    self.is_in_time(time, Direction::Forward) && self.filter.takes_priority(priority);
                if is_wanted && !with(time, priority) {
                    return Ok(());
                }
            }
            self.files[lines.file].read = lines.block.end;
            self.memo = (lines.file, lines.block.end, time);
        }
        Ok(())
    }

    /// Stands before the first line.
    pub(crate) fn seek_head(&mut self) -> io::Result<()> {
        self.restart();
        self.at = 0;
        self.files.iter_mut().try_for_each(|part| {
            part.read = 0;
            part.is_done = false;
            part.tail.clear();
            Ok(())
        })
    }

    /// Stands behind the last line.
    pub(crate) fn seek_tail(&mut self) -> io::Result<()> {
        self.restart();
        self.files.iter_mut().try_for_each(Part::pass)?;
        let Some(last) = self.files.len().checked_sub(1) else { return Ok(()) };
        self.at = last;
        self.back = (last, self.files[last].content.end()?);
        Ok(())
    }

    /// The time of the line that was looked at last; 0: none was.
    pub(super) fn told(&self) -> u64 {
        self.memo.2
    }

    pub(super) fn restart(&mut self) {
        self.lines = None;
        self.is_over = false;
        self.window = (0, u64::MAX);
        self.memo = (0, u64::MAX, self.memo.2);
    }
}

/// The last bytes before a place in a block, where the block has enough of them.
fn tail_of(block: &Block, length: u64) -> Option<Vec<u8>> {
    let is_whole = block.cut == 0 && block.bytes.len() as u64 == length;
    let from = block.bytes.len().checked_sub(TAIL).filter(|_| is_whole)?;
    Some(block.bytes[from..].to_vec())
}

/// A line as text, without its end. A file that was cut off while somebody wrote begins with a hole.
fn shown(line: &[u8], offset: u64) -> std::borrow::Cow<'_, str> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let hole = if offset == 0 { line.iter().take_while(|b| **b == 0).count() } else { 0 };
    String::from_utf8_lossy(&line[hole..])
}
