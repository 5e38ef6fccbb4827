//! What happened to a log since it was looked at last: it grew, was rotated, cut off, or deleted.

use std::{io, mem};

use super::{
    content::Content,
    log::{FileLog, Part},
    siblings::Sibling,
};
use crate::logs::place::TAIL;

/// Looks between two at a folder in which the log is missing.
const LATER: u32 = 50;
/// Files that are kept although they were read: somebody may still write to the one that was rotated away last.
const KEPT: usize = 2;

impl FileLog {
    /// Looks whether there is anything new; then [`next`](Self::next) gives it. All that was there before must have been read.
    pub(crate) fn refresh(&mut self) -> io::Result<bool> {
        self.is_over = false;
        let mut is_more = false;
        let mut index = 0;
        while index < self.files.len() {
            index += self.refresh_file(index)?;
            let part = &mut self.files[index];
            is_more |= part.gap.is_some()
                || !part.is_done && (part.content.is_gz || part.content.size()? > part.read);
            index += 1;
        }
        is_more |= self.look_for_files()?;
        self.forget();
        Ok(is_more | !self.gaps.is_empty())
    }

    /// Looks at one file. Gives how many files were put before it.
    fn refresh_file(&mut self, index: usize) -> io::Result<usize> {
        let part = &mut self.files[index];
        if part.content.is_gz {
            return Ok(0);
        }
        let before = (part.content.size()?, part.content.modified);
        let size = part.content.refresh()?;
        if (size, part.content.modified) == before {
            return Ok(0);
        }
        part.forget_last();
        // Of a file of which nothing was read, only its copies tell that it was cut off.
        let is_whole = part.read > 0
            && size >= part.read
            && part.tail.len() as u64 == part.read.min(TAIL as u64)
            && part.content.tail(part.read)? == part.tail;
        if is_whole {
            part.fill_head()?;
            return Ok(0);
        }
        self.was_cut(index)
    }

    /// Somebody cut the file off. What was in it may have been copied (logrotate's `copytruncate`), more than once: what is new in
    /// the copies comes first.
    fn was_cut(&mut self, index: usize) -> io::Result<usize> {
        let (read, gap) = (self.files[index].read, self.gap("truncated", self.told()));
        let mut copies = self.copies_of(index)?;
        if read == 0 && copies.is_empty() {
            return Ok(0);
        }
        let hash = self.files[index].hash();
        if read > 0 {
            let mut first = None;
            for (at, copy) in copies.iter_mut().enumerate() {
                if copy.content.hash(read)? == Some(hash) {
                    copy.stand(read)?;
                    first = Some(at);
                    break;
                }
            }
            match (first, copies.first_mut()) {
                (Some(first), _) => drop(copies.drain(..first)),
                (None, Some(copy)) => copy.gap = Some(gap.clone()),
                (None, None) => {}
            }
        }
        copies.iter_mut().skip(1).for_each(|copy| copy.gap = Some(gap.clone()));
        let part = &mut self.files[index];
        part.gap = Some(gap);
        part.head.clear();
        part.stand(0)?;
        let count = copies.len();
        self.files.splice(index..index, copies);
        self.at += if self.at >= index { count } else { 0 };
        Ok(count)
    }

    /// Whether the file before this one is a copy: then lines may be lost between the two.
    pub(super) fn is_cut(&self, file: usize) -> bool {
        let before = file.checked_sub(1).and_then(|before| self.files.get(before));
        let later = || self.files[file..].iter().map(|part| &part.content);
        before.is_some_and(|before| before.content.is_copy_from(later()))
    }

    /// Older files of the log that were not there before.
    fn copies_of(&mut self, index: usize) -> io::Result<Vec<Part>> {
        let inode = self.files[index].content.inode;
        let mut older = self.log.folder.siblings(&self.log.name)?;
        // Where it is not there itself any more, nothing tells which of them are its copies.
        let at = older.iter().position(|sibling| sibling.inode == inode).unwrap_or(0);
        older.truncate(at);
        Ok(older.into_iter().filter(|sibling| self.known.insert(sibling.id())).map(Part::new).collect())
    }

    /// Finds the files that came after the newest one that is read.
    fn look_for_files(&mut self) -> io::Result<bool> {
        let newest = self.files.last().map(|part| part.content.inode);
        let live = self.log.folder.live(&self.log.name);
        if live == newest {
            self.quiet = 0;
            return Ok(false);
        }
        if live.is_none() {
            // It was moved away, and nothing took its place yet.
            self.quiet += 1;
            if self.quiet % LATER != 1 {
                return Ok(false);
            }
        }
        let listed = self.log.folder.siblings(&self.log.name)?;
        self.known.retain(|id| listed.iter().any(|s| s.id() == *id));
        self.is_deleted = false;
        let new = match newest {
            None => listed,
            Some(inode) => match listed.iter().position(|s| s.inode == inode) {
                Some(at) => self.unknown(listed, at + 1),
                None => self.behind_missing(listed)?,
            },
        };
        let is_new = !new.is_empty();
        self.known.extend(new.iter().map(Sibling::id));
        let first = self.files.len();
        self.files.extend(new.into_iter().map(Part::new));
        for file in first..self.files.len() {
            let reason = match mem::take(&mut self.is_deleted) {
                true => "deleted",
                false if self.is_cut(file) => "truncated",
                false => continue,
            };
            self.files[file].gap = Some(self.gap(reason, self.told()));
        }
        Ok(is_new)
    }

    /// Those from an index on that were not there before. The others count as seen.
    fn unknown(&mut self, mut listed: Vec<Sibling>, from: usize) -> Vec<Sibling> {
        let new = listed.split_off(from.min(listed.len()));
        self.known.extend(listed.iter().map(Sibling::id));
        new.into_iter().filter(|s| !self.known.contains(&s.id())).collect()
    }

    /// The newest file that is read is no longer there: it was compressed, or deleted.
    fn behind_missing(&mut self, listed: Vec<Sibling>) -> io::Result<Vec<Sibling>> {
        let Some(last) = self.files.last_mut() else { return Ok(listed) };
        // All of it counts, also what is not read yet: that will still be read of the file that is open.
        let (size, modified) = (last.content.size()?, last.content.modified);
        let hash = last.content.hash(size)?;
        for (index, sibling) in listed.iter().enumerate() {
            if self.known.contains(&sibling.id()) || !sibling.is_gz || size == 0 {
                continue;
            }
            let mut content = Content::new(sibling.reopened()?);
            if content.hash(size)? == hash {
                return Ok(self.unknown(listed, index + 1));
            }
        }
        let name = self.log.name.clone();
        let is_after = |s: &Sibling| s.name == name || s.modified >= modified;
        self.is_deleted = true;
        Ok(listed.into_iter().filter(|s| !self.known.contains(&s.id()) && is_after(s)).collect())
    }

    /// Lets go of files that are read, but for the last ones.
    fn forget(&mut self) {
        while self.files.len() > KEPT {
            let part = &mut self.files[0];
            let is_read = part.is_done || part.content.size().is_ok_and(|size| size <= part.read);
            if !is_read {
                return;
            }
            self.files.remove(0);
            self.at = self.at.saturating_sub(1);
        }
    }
}
