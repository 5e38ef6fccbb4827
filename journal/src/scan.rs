//! Reads a file once from its beginning to its end, in search of messages.

use crate::{
    Result, damaged,
    file::{DATA, JournalFile, OBJECT_HEAD, u64_at},
    list::List,
    payload,
    search::{Offsets, Search},
};

/// What is read at once: it stays in the nearest cache.
const BLOCK: usize = 256 << 10;
/// Where more entries match, looking at each is no slower.
const HITS_MOST: usize = 1 << 20;
/// So many entries at the end of a file that is still written to may not stand in all lists.
const FRESH: u64 = 1024;
const MESSAGE: &[u8] = b"MESSAGE=";

/// A part of a file in memory.
struct Block {
    start: u64,
    bytes: Vec<u8>,
    filled: usize,
}

impl JournalFile {
    /// The entries whose message may match. An error: not all of the file could be read, or too much of it matches.
    pub(crate) fn scan(&mut self, search: &Search) -> Result<Offsets> {
        let end = self.end_of_old()?;
        let tail = self.header.tail_object;
        let mut block = Block { start: 0, bytes: vec![0; BLOCK], filled: 0 };
        let (mut at, mut content, mut hits) = (self.header.size.next_multiple_of(8), Vec::new(), Vec::new());
        while at <= tail {
            let head = self.in_block(&mut block, at, OBJECT_HEAD as usize)?;
            let (kind, size) = (head[0], u64_at(head, 8));
            if size < OBJECT_HEAD {
                return damaged(at, "it has an impossible size");
            }
            if kind == DATA && self.says(&mut block, (at, size), &mut content, search)? {
                self.entries_of(at, &mut hits)?;
            }
            match at.checked_add(size).and_then(|next| next.checked_next_multiple_of(8)) {
                Some(next) => at = next,
                None => return damaged(at, "it has an impossible size"),
            }
        }
        hits.sort_unstable();
        hits.dedup();
        Ok(Offsets { end, offsets: hits })
    }

    /// Before this, entries stand in all lists.
    fn end_of_old(&self) -> Result<u64> {
        let all = List::of_file(self)?;
        match all.length().checked_sub(FRESH) {
            _ if self.header.archived => Ok(u64::MAX),
            Some(fresh) => all.get(self, fresh),
            None => Ok(0),
        }
    }

    /// A few bytes at an offset.
    fn in_block<'a>(&self, block: &'a mut Block, at: u64, length: usize) -> Result<&'a [u8]> {
        let is_there = at >= block.start && at + length as u64 <= block.start + block.filled as u64;
        if !is_there {
            let left = usize::try_from(self.size().saturating_sub(at)).unwrap_or(usize::MAX);
            (block.start, block.filled) = (at, BLOCK.min(left));
            self.windows.read_now(at, &mut block.bytes[..block.filled])?;
        }
        let from = (at - block.start) as usize;
        match block.bytes[..block.filled].get(from..from + length) {
            Some(bytes) => Ok(bytes),
            None => damaged(at, "it reaches beyond the end of the file"),
        }
    }

    /// Whether an object is a message that matches.
    fn says(
        &mut self,
        block: &mut Block,
        (at, size): (u64, u64),
        content: &mut Vec<u8>,
        search: &Search,
    ) -> Result<bool> {
        let head = self.data_head();
        let Some(length) = size.checked_sub(head) else { return damaged(at, "it has an impossible size") };
        let Some(size) = usize::try_from(size).ok().filter(|size| *size <= BLOCK) else {
            self.content(at, content)?;
            return Ok(content.strip_prefix(MESSAGE).is_some_and(|message| search.matches(message)));
        };
        let object = self.in_block(block, at, size)?;
        let (flags, stored) = (object[1], &object[size - length as usize..]);
        if flags == 0 {
            return Ok(stored.strip_prefix(MESSAGE).is_some_and(|message| search.matches(message)));
        }
        payload::expand(flags, stored, at, content)?;
        Ok(content.strip_prefix(MESSAGE).is_some_and(|message| search.matches(message)))
    }

    fn entries_of(&mut self, at: u64, hits: &mut Vec<u64>) -> Result<()> {
        let data = self.data(at)?;
        if hits.len() as u64 + data.entries > HITS_MOST as u64 {
            return damaged(at, "too much of it matches");
        }
        if data.entries > 0 {
            hits.extend(List::of_head(self, &data)?.offsets(self)?);
        }
        Ok(())
    }
}
