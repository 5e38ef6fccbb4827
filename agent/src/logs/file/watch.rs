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
            is_more |= !part.is_done && (part.content.is_gz || part.content.size()? > part.read);
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
        let is_whole = size >= part.read
            && part.tail.len() as u64 == part.read.min(TAIL as u64)
            && part.content.tail(part.read)? == part.tail;
        if is_whole {
            part.fill_head()?;
            return Ok(0);
        }
        self.was_cut(index)
    }

    /// Somebody cut the file off. What was in it may have been copied (logrotate's `copytruncate`): the rest of the copy comes first.
    fn was_cut(&mut self, index: usize) -> io::Result<usize> {
        let gap = self.gap("truncated", self.told());
        let copy = if self.files[index].read > 0 { self.copy_of(index)? } else { None };
        let part = &mut self.files[index];
        part.gap = Some(gap);
        part.head.clear();
        part.stand(0)?;
        let Some(copy) = copy else { return Ok(0) };
        self.files.insert(index, copy);
        self.at += usize::from(self.at >= index);
        Ok(1)
    }

    /// The file that begins with all that was read of this one.
    fn copy_of(&mut self, index: usize) -> io::Result<Option<Part>> {
        let part = &self.files[index];
        let (read, hash, inode) = (part.read, part.hash(), part.content.inode);
        for sibling in self.log.folder.siblings(&self.log.name)? {
            if sibling.inode == inode || self.known.contains(&sibling.inode) {
                continue;
            }
            let mut copy = Part::new(sibling);
            if copy.content.hash(read)? == Some(hash) {
                self.known.insert(copy.content.inode);
                copy.stand(read)?;
                return Ok(Some(copy));
            }
        }
        Ok(None)
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
        self.is_deleted = false;
        let new = match newest {
            None => listed,
            Some(inode) => match listed.iter().position(|s| s.inode == inode) {
                Some(at) => self.unknown(listed, at + 1),
                None => self.behind_missing(listed)?,
            },
        };
        let is_new = !new.is_empty();
        for sibling in new {
            self.known.insert(sibling.inode);
            let mut part = Part::new(sibling);
            if mem::take(&mut self.is_deleted) {
                part.gap = Some(self.gap("deleted", self.told()));
            }
            self.files.push(part);
        }
        Ok(is_new)
    }

    /// Those from an index on that were not there before. The others count as seen.
    fn unknown(&mut self, mut listed: Vec<Sibling>, from: usize) -> Vec<Sibling> {
        let new = listed.split_off(from.min(listed.len()));
        self.known.extend(listed.iter().map(|s| s.inode));
        new.into_iter().filter(|s| !self.known.contains(&s.inode)).collect()
    }

    /// The newest file that is read is no longer there: it was compressed, or deleted.
    fn behind_missing(&mut self, listed: Vec<Sibling>) -> io::Result<Vec<Sibling>> {
        let last = self.files.len() - 1;
        let (read, hash, modified) =
            (self.files[last].read, self.files[last].hash(), self.files[last].content.modified);
        for (index, sibling) in listed.iter().enumerate() {
            if self.known.contains(&sibling.inode) || !sibling.is_gz || read == 0 {
                continue;
            }
            let mut content = Content::new(sibling.reopened()?);
            if content.hash(read)? == Some(hash) {
                return Ok(self.unknown(listed, index + 1));
            }
        }
        let name = self.log.name.clone();
        let is_after = |s: &Sibling| s.name == name || s.modified >= modified;
        self.is_deleted = true;
        Ok(listed.into_iter().filter(|s| !self.known.contains(&s.inode) && is_after(s)).collect())
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
