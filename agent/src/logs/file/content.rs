//! The content of one log file, by blocks of whole lines in both directions. A compressed one is expanded to a file without a
//! name first, once for as long as it is read.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::PathBuf,
    time::{Duration, SystemTime},
};

use flate2::read::MultiGzDecoder;
use memchr::{memchr, memrchr};

use super::siblings::{Sibling, modified};
use crate::logs::place::{HEAD, TAIL, hash_of};

/// Read at once.
const BLOCK: usize = 256 << 10;
/// A longer line is cut.
pub(crate) const LINE_MAX: usize = 1 << 20;
/// An expanded file is cut here: more would fill the disk.
const EXPANDED_MAX: u64 = 8 << 30;
/// A last line without an end is taken for one when nothing came after it for so long.
const REST: Duration = Duration::from_secs(5);
/// Whoever wrote to a file before it was rotated away goes on with that for so long at most; microseconds.
const LATE: u64 = 60_000_000;
/// Where files are expanded: on the disk, not in memory.
const SCRATCH: &str = "/var/tmp";

/// One file of a log, as it was when it was looked at last.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) name: String,
    pub(crate) inode: (u64, u64),
    /// When it was written to; microseconds since the epoch.
    pub(crate) modified: u64,
    pub(crate) is_gz: bool,
    born: Option<u64>,
    stored: File,
    expanded: Option<File>,
    /// Of the content, as far as it is looked at.
    size: u64,
    /// How many names it has left.
    names: u64,
    /// A line that has no end yet begins here, and was looked through to there.
    endless: (u64, u64),
    /// Damage that ended the expansion.
    pub(crate) damage: Option<String>,
}

/// Whole lines, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Block {
    /// Where it begins and ends in the file.
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) bytes: Vec<u8>,
    /// Of its only line, this much was left out.
    pub(crate) cut: u64,
}

impl Content {
    pub(crate) fn new(sibling: Sibling) -> Self {
        Self {
            name: sibling.name,
            inode: sibling.inode,
            modified: sibling.modified,
            is_gz: sibling.is_gz,
            born: sibling.born,
            size: if sibling.is_gz { 0 } else { sibling.size },
            stored: sibling.file,
            expanded: None,
            names: 1,
            endless: (0, 0),
            damage: None,
        }
    }

    /// How long the content is. Expands it.
    pub(crate) fn size(&mut self) -> io::Result<u64> {
        self.open()?;
        Ok(self.size)
    }

    /// How long the file is now. What was read of it may be gone.
    pub(crate) fn refresh(&mut self) -> io::Result<u64> {
        if !self.is_gz {
            let meta = self.stored.metadata()?;
            (self.size, self.modified, self.names) = (meta.len(), modified(&meta), meta.nlink());
        }
        Ok(self.size)
    }

    /// Whether it is a copy of what was in one of the files that come after it: it is younger than that. A compressed file is
    /// always young, but keeps when it was written to last: the file that comes after it was there long before.
    pub(crate) fn is_copy_from<'a>(&self, mut later: impl Iterator<Item = &'a Self>) -> bool {
        let is_older = |born: u64| match self.is_gz {
            true => born.saturating_add(LATE) < self.modified,
            false => self.born.is_some_and(|own| born < own),
        };
        later.any(|next| !next.is_gz && next.born.is_some_and(is_older))
    }

    /// Whether it was deleted.
    pub(crate) fn is_deleted(&self) -> bool {
        self.names == 0
    }

    /// Gives the disk back.
    pub(crate) fn close(&mut self) {
        self.expanded = None;
    }

    fn open(&mut self) -> io::Result<&File> {
        if self.is_gz && self.expanded.is_none() {
            let (file, size, damage) = expand(&self.stored)?;
            (self.size, self.damage) = (size, damage);
            self.expanded = Some(file);
        }
        Ok(self.expanded.as_ref().unwrap_or(&self.stored))
    }

    /// Reads as much as there is.
    fn read(&mut self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let (file, mut got) = (self.open()?, 0);
        while got < into.len() {
            match file.read_at(&mut into[got..], offset + got as u64) {
                Ok(0) => break,
                Ok(more) => got += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(got)
    }

    /// The hash of what stands before a place; `None` when that is not there.
    pub(crate) fn hash(&mut self, place: u64) -> io::Result<Option<u64>> {
        let (mut head, mut tail) = ([0; HEAD], [0; TAIL]);
        let head = &mut head[..place.min(HEAD as u64) as usize];
        let tail = &mut tail[..place.min(TAIL as u64) as usize];
        let from = place - tail.len() as u64;
        let whole = self.read(0, head)? == head.len() && self.read(from, tail)? == tail.len();
        Ok(whole.then(|| hash_of(head, tail)))
    }

    /// The first bytes.
    pub(crate) fn head(&mut self) -> io::Result<Vec<u8>> {
        let mut head = vec![0; HEAD];
        let got = self.read(0, &mut head)?;
        head.truncate(got);
        Ok(head)
    }

    /// What stands right before a place.
    pub(crate) fn tail(&mut self, place: u64) -> io::Result<Vec<u8>> {
        let mut tail = vec![0; place.min(TAIL as u64) as usize];
        let got = self.read(place - tail.len() as u64, &mut tail)?;
        tail.truncate(got);
        Ok(tail)
    }

    /// Whether a last line without an end counts: nobody goes on with it.
    fn is_finished(&self) -> bool {
        let rested = || {
            let modified = SystemTime::UNIX_EPOCH + Duration::from_micros(self.modified);
            modified.elapsed().is_ok_and(|age| age >= REST)
        };
        self.is_gz || rested()
    }

    /// Whole lines from a place on, which is the beginning of one.
    pub(crate) fn block_from(&mut self, start: u64) -> io::Result<Option<Block>> {
        let size = self.size()?;
        let mut bytes = vec![0; size.saturating_sub(start).min(BLOCK as u64) as usize];
        let got = self.read(start, &mut bytes)?;
        bytes.truncate(got);
        if let Some(end) = memrchr(b'\n', &bytes) {
            bytes.truncate(end + 1);
            return Ok(Some(Block { start, end: start + bytes.len() as u64, bytes, cut: 0 }));
        }
        if bytes.is_empty() {
            return Ok(None);
        }
        match self.end_of_line(start, size)? {
            Some(end) => self.line(start, end).map(Some),
            None if self.is_finished() && !self.grew(size)? => self.line(start, size).map(Some),
            None => Ok(None),
        }
    }

    /// Whether it is longer than it was.
    fn grew(&self, size: u64) -> io::Result<bool> {
        Ok(!self.is_gz && self.stored.metadata()?.len() != size)
    }

    /// One line, cut where it is too long.
    fn line(&mut self, start: u64, end: u64) -> io::Result<Block> {
        let mut bytes = vec![0; (end - start).min(LINE_MAX as u64) as usize];
        let got = self.read(start, &mut bytes)?;
        bytes.truncate(got);
        let cut = end - start - bytes.len() as u64;
        Ok(Block { start, end, bytes, cut })
    }

    /// Behind the line that begins here, if it has an end before `size`.
    fn end_of_line(&mut self, start: u64, size: u64) -> io::Result<Option<u64>> {
        let mut at = if self.endless.0 == start { self.endless.1 } else { start };
        let mut bytes = vec![0; BLOCK];
        while at < size {
            let want = (size - at).min(BLOCK as u64) as usize;
            let got = self.read(at, &mut bytes[..want])?;
            if got == 0 {
                break;
            }
            if let Some(end) = memchr(b'\n', &bytes[..got]) {
                return Ok(Some(at + end as u64 + 1));
            }
            at += got as u64;
        }
        self.endless = (start, at);
        Ok(None)
    }

    /// Whole lines that end at a place, which is the end of one.
    pub(crate) fn block_before(&mut self, end: u64) -> io::Result<Option<Block>> {
        self.open()?;
        if end == 0 {
            return Ok(None);
        }
        let from = end.saturating_sub(BLOCK as u64);
        let mut bytes = vec![0; (end - from) as usize];
        let got = self.read(from, &mut bytes)?;
        bytes.truncate(got);
        if from == 0 {
            return Ok((got > 0).then_some(Block { start: 0, end, bytes, cut: 0 }));
        }
        // The last byte is the end of the last line, and not of the one before.
        let lines = bytes.len().saturating_sub(1);
        if let Some(first) = memchr(b'\n', &bytes[..lines]) {
            bytes.drain(..=first);
            return Ok(Some(Block { start: from + first as u64 + 1, end, bytes, cut: 0 }));
        }
        let start = self.start_of_line(from)?;
        self.line(start, end).map(Some)
    }

    /// Where the line begins that a place is in, or at whose beginning it is.
    pub(crate) fn start_of_line(&mut self, place: u64) -> io::Result<u64> {
        let (mut at, mut bytes) = (place, vec![0; BLOCK]);
        while at > 0 {
            let from = at.saturating_sub(BLOCK as u64);
            let want = (at - from) as usize;
            let got = self.read(from, &mut bytes[..want])?;
            if let Some(end) = memrchr(b'\n', &bytes[..got]) {
                return Ok(from + end as u64 + 1);
            }
            at = from;
        }
        Ok(0)
    }

    /// Behind the last line: where the next one will begin.
    pub(crate) fn end(&mut self) -> io::Result<u64> {
        let size = self.size()?;
        let start = self.start_of_line(size)?;
        if start == size || !self.is_finished() { Ok(start) } else { Ok(size) }
    }

    /// What the last line tells for which `tell` gives something, of those that are near the end. Expands a compressed file.
    pub(crate) fn last<T>(&mut self, mut tell: impl FnMut(&[u8]) -> Option<T>) -> io::Result<Option<T>> {
        let end = self.end()?;
        let block = self.block_before(end)?;
        Ok(block.and_then(|block| block.bytes.rsplit(|byte| *byte == b'\n').find_map(&mut tell)))
    }

    /// The beginning of the first line for which this holds, where it holds for all that come after it. `None` says that a line
    /// does not tell; then the next one is asked.
    pub(crate) fn bisect(&mut self, mut is_late: impl FnMut(&[u8]) -> Option<bool>) -> io::Result<u64> {
        let (mut low, mut high) = (0, self.end()?);
        while high - low > BLOCK as u64 {
            let middle = self.start_of_line(low + (high - low) / 2)?;
            if middle <= low {
                break;
            }
            let Some(block) = self.block_from(middle)? else { break };
            match block.lines().find_map(&mut is_late) {
                Some(true) => high = middle,
                Some(false) => low = middle,
                None => break,
            }
        }
        while low < high
            && let Some(block) = self.block_from(low)?
        {
            let mut at = block.start;
            for line in block.lines() {
                if at >= high || is_late(line) == Some(true) {
                    return Ok(at);
                }
                at += line.len() as u64;
            }
            low = block.end;
        }
        Ok(low)
    }
}

impl Block {
    /// The lines, each with its end.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes.split_inclusive(|byte| *byte == b'\n')
    }
}

/// Expands a compressed file into one that has no name. One that is damaged gives what comes before.
fn expand(stored: &File) -> io::Result<(File, u64, Option<String>)> {
    let mut out = scratch()?;
    let mut from = MultiGzDecoder::new(Positioned { file: stored, at: 0 });
    let (mut buffer, mut size) = (vec![0; BLOCK], 0);
    loop {
        let got = match from.read(&mut buffer) {
            Ok(0) => return Ok((out, size, None)),
            Ok(got) => got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Ok((out, size, Some(error.to_string()))),
        };
        if size + got as u64 > EXPANDED_MAX {
            return Ok((out, size, Some("it is too large to be expanded".into())));
        }
        out.write_all(&buffer[..got])?;
        size += got as u64;
    }
}

/// A file that goes with its last reader.
fn scratch() -> io::Result<File> {
    let path = PathBuf::from(SCRATCH).join(format!("hms-log-{}", uuid::Uuid::new_v4().simple()));
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

/// Reads a file from its beginning, wherever others are in it.
struct Positioned<'a> {
    file: &'a File,
    at: u64,
}

impl io::Read for Positioned<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let got = self.file.read_at(into, self.at)?;
        self.at += got as u64;
        Ok(got)
    }
}
