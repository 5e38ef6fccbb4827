//! Going on from a place: a file is found again by what stands in it, whatever its name is now.

use std::io;

use hms_journal::Direction;
use hms_proto::host::v1::LogGap;

use super::log::FileLog;
use crate::logs::place::{self, FilePlace};

/// A compressed file that was changed so long before a place is not expanded to look for it. Lines may tell the time of any zone;
/// microseconds.
const DAY: u64 = 26 * 3_600_000_000;

/// Where the parts of a place were found.
struct Stands {
    /// Files and offsets, each file at most once.
    found: Vec<(usize, u64)>,
    /// The latest one that was not found.
    missing: Option<FilePlace>,
    /// It comes after those that were found.
    is_newest_missing: bool,
    /// The latest one was found in another file than it was in: somebody has copied it, and cut off the other.
    is_newest_copied: bool,
}

impl FileLog {
    /// Stands at a place: all behind it is given forward, all before it backward. Says what is missing there.
    pub(crate) fn seek(&mut self, places: &[FilePlace], way: Direction) -> io::Result<()> {
        self.restart();
        let stands = self.locate(places, way)?;
        let gap = match way {
            Direction::Forward => self.stand_forward(&stands, places)?,
            Direction::Backward => self.stand_backward(&stands)?,
        };
        self.gaps.extend(gap);
        Ok(())
    }

    /// Backward, nothing from before this place is given.
    pub(crate) fn set_floor(&mut self, places: &[FilePlace]) -> io::Result<()> {
        let own: Vec<_> = places.iter().filter(|place| place.log == self.log.id).cloned().collect();
        let stands = self.locate(&own, Direction::Forward)?;
        self.floor = stands.found.into_iter().max();
        Ok(())
    }

    fn locate(&mut self, places: &[FilePlace], way: Direction) -> io::Result<Stands> {
        let mut stands =
            Stands { found: Vec::new(), missing: None, is_newest_missing: false, is_newest_copied: false };
        for place in places {
            let at = match way {
                Direction::Forward => place.end(),
                Direction::Backward => place.offset,
            };
            let found = self.find(place)?;
            stands.is_newest_missing = found.is_none();
            stands.is_newest_copied = found.is_some_and(|file| {
                let content = &self.files[file].content;
                !content.is_gz && content.inode != (place.dev, place.inode)
            });
            match found {
                Some(file) => stands.found.push((file, at)),
                None => {
                    let is_latest = stands.missing.as_ref().is_none_or(|other| other.time <= place.time);
                    stands.missing = if is_latest { Some(place.clone()) } else { stands.missing };
                }
            }
        }
        stands.found.sort_unstable();
        if way == Direction::Forward && stands.found.iter().any(|(_, at)| *at > 0) {
            // Nothing was read of these: whatever comes after the others, comes before them.
            stands.found.retain(|(_, at)| *at > 0);
        }
        Ok(stands)
    }

    /// The file that a place is in.
    fn find(&mut self, place: &FilePlace) -> io::Result<Option<usize>> {
        let own = self.files.iter().position(|part| part.content.inode == (place.dev, place.inode));
        if let Some(file) = own
            && self.files[file].content.hash(place.end())? == Some(place.hash)
        {
            return Ok(Some(file));
        }
        // Nothing was read of it, so nothing tells it from others.
        if place.end() == 0 {
            return Ok(None);
        }
        for file in 0..self.files.len() {
            let content = &mut self.files[file].content;
            if Some(file) == own || (content.is_gz && content.modified.saturating_add(DAY) < place.time) {
                continue;
            }
            let is_it = content.hash(place.end())? == Some(place.hash);
            if is_it {
                return Ok(Some(file));
            }
            content.close();
        }
        Ok(None)
    }

    fn stand_forward(&mut self, stands: &Stands, places: &[FilePlace]) -> io::Result<Option<LogGap>> {
        let Some(&(newest, _)) = stands.found.last() else {
            return match &stands.missing {
                Some(place) => self.stand_behind_missing(&place.clone()).map(Some),
                None => Ok(None),
            };
        };
        let is_all_new = stands.found.iter().all(|(_, at)| *at == 0);
        let until = places.iter().map(|place| place.time).max().unwrap_or(0);
        for file in 0..self.files.len() {
            let at = stands.found.iter().find(|(found, _)| *found == file).map(|(_, at)| *at);
            match at {
                Some(at) => self.files[file].stand(at)?,
                None if file > newest => {
                    self.files[file].stand(0)?;
                    let inode = self.files[file].content.inode;
                    // The same file with another content, or one that was copied: somebody has cut it off.
                    let is_cut = places.iter().any(|place| (place.dev, place.inode) == inode)
                        || (file == newest + 1 && stands.is_newest_copied)
                        || self.is_cut(file);
                    if is_cut {
                        self.files[file].gap = Some(self.gap("truncated", until));
                    } else if file == newest + 1 && stands.is_newest_missing {
                        self.files[file].gap = Some(self.gap("deleted", until));
                    }
                }
                // Copies of the file of which nothing was read yet.
                None if is_all_new && self.files[file].last_told(self.log.kind)? > until => {
                    let late = self.later_than(until);
                    let at = self.files[file].content.bisect(late)?;
                    self.files[file].stand(at)?;
                }
                None => self.files[file].pass()?,
            }
        }
        self.at = newest;
        Ok(None)
    }

    /// What followed the place is gone. All that was written later is given.
    fn stand_behind_missing(&mut self, place: &FilePlace) -> io::Result<LogGap> {
        let is_cut = self.files.iter().any(|part| part.content.inode == (place.dev, place.inode));
        let mut first = 0;
        while let Some(part) = self.files.get_mut(first)
            && part.last_told(self.log.kind)? <= place.time
        {
            first += 1;
        }
        let late = self.later_than(place.time);
        for part in &mut self.files[..first] {
            part.pass()?;
        }
        for part in &mut self.files[first..] {
            part.stand(0)?;
        }
        let mut gap = self.gap(if is_cut { "truncated" } else { "deleted" }, place.time);
        self.at = first.min(self.files.len().saturating_sub(1));
        if let Some(part) = self.files.get_mut(first) {
            // Its beginning may be older than the place: it was read then, or is not wanted.
            let at = if is_cut { 0 } else { part.content.bisect(late)? };
            part.stand(at)?;
            let block = part.content.block_from(at)?;
            let kind = self.log.kind;
            let time = block.and_then(|b| b.lines().find_map(|line| crate::logs::line::glance(kind, line).0));
            gap.to_usec = time.and_then(|time| i64::try_from(time).ok()).unwrap_or(0);
        }
        Ok(gap)
    }

    fn stand_backward(&mut self, stands: &Stands) -> io::Result<Option<LogGap>> {
        if let Some(&found) = stands.found.last() {
            self.back = found;
            return Ok(None);
        }
        match &stands.missing {
            Some(place) => {
                self.seek_back_from(place.time)?;
                Ok(Some(self.gap("deleted", place.time)))
            }
            None => Ok(None),
        }
    }

    /// Where it stands: behind what was given, or before `head`, which was found and not given.
    pub(crate) fn place(&mut self, head: Option<&FilePlace>, way: Direction) -> io::Result<Vec<FilePlace>> {
        match way {
            Direction::Forward => self.place_forward(head),
            Direction::Backward => {
                let (file, offset) = match head.and_then(|head| Some((self.file_of(head)?, head.end()))) {
                    Some(stand) => stand,
                    None => self.back,
                };
                if self.files.is_empty() { Ok(Vec::new()) } else { Ok(vec![self.boundary(file, offset)?]) }
            }
        }
    }

    /// The file that is read, the one before it, as somebody may still write to that, and the one that is written to now.
    fn place_forward(&mut self, head: Option<&FilePlace>) -> io::Result<Vec<FilePlace>> {
        let mut places = Vec::new();
        let head = head.and_then(|head| Some((self.file_of(head)?, head.offset)));
        let at = head.map_or(self.at, |(file, _)| file.max(self.at));
        let last = self.files.len().saturating_sub(1);
        for file in (at.saturating_sub(1)..=at).chain((last > at).then_some(last)) {
            let Some(part) = self.files.get(file) else { continue };
            if file != at && (part.content.is_gz || part.content.is_deleted()) {
                continue;
            }
            let offset = match head {
                Some((of_head, offset)) if of_head == file => offset,
                _ if part.content.is_gz && part.is_done => {
                    let end = self.files[file].content.size()?;
                    self.files[file].content.close();
                    end
                }
                _ => part.read,
            };
            places.push(self.boundary(file, offset)?);
        }
        Ok(places)
    }

    fn file_of(&self, place: &FilePlace) -> Option<usize> {
        self.files.iter().position(|part| part.content.inode == (place.dev, place.inode))
    }

    /// A place between two lines.
    fn boundary(&mut self, file: usize, offset: u64) -> io::Result<FilePlace> {
        let told = self.told();
        let part = &mut self.files[file];
        let (dev, inode) = part.content.inode;
        let time = if told == 0 { part.content.modified } else { told };
        let hash = match part.read == offset && part.tail.len() == offset.min(place::TAIL as u64) as usize {
            true => part.hash(),
            false => part.content.hash(offset)?.unwrap_or_default(),
        };
        Ok(FilePlace { log: self.log.id.clone(), dev, inode, offset, length: 0, hash, time })
    }
}
