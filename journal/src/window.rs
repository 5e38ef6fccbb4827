//! The part of a file that is in memory: windows that are read when they are needed, and given up again.

use crate::{Result, bytes::Bytes, damaged};

/// Windows begin at multiples of this, in bytes.
const WINDOW: u64 = 256 << 10;
/// Each reaches so far into the next one that an ordinary object lies in one window.
const OVERLAP: u64 = 64 << 10;
/// Most windows of one file in memory. A walk comes back to what is near; further back it is cheaper to read again than to have the
/// system find more memory.
const MOST: usize = 24;

const NOWHERE: u32 = u32::MAX;

/// Reads a file in windows.
#[derive(Debug)]
pub(crate) struct Windows {
    file: Bytes,
    /// Bytes that may be read; grows with the file.
    size: u64,
    kept: Vec<Window>,
    /// How many are kept at most.
    most: usize,
    /// Where in `kept` a window is, by its number; `NOWHERE` where it is not.
    places: Vec<u32>,
    /// The window that was used last is most likely to be used next.
    last: usize,
    clock: u64,
    /// For objects that lie in no window.
    large: Vec<u8>,
}

#[derive(Debug)]
struct Window {
    number: u64,
    bytes: Vec<u8>,
    used: u64,
}

impl Windows {
    pub(crate) fn new(file: Bytes) -> Result<Self> {
        let size = file.size()?;
        Ok(Self {
            file,
            size,
            kept: Vec::new(),
            most: MOST,
            places: Vec::new(),
            last: 0,
            clock: 0,
            large: Vec::new(),
        })
    }

    /// The size of the file when it was last looked at.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Looks at the file anew: what was read of it may have changed.
    pub(crate) fn refresh(&mut self) -> Result<()> {
        self.size = self.file.size()?;
        self.release();
        Ok(())
    }

    /// Gives the memory back.
    pub(crate) fn release(&mut self) {
        self.kept = Vec::new();
        self.places = Vec::new();
        self.large = Vec::new();
    }

    /// Reads past every window.
    pub(crate) fn read_now(&self, offset: u64, into: &mut [u8]) -> Result<()> {
        Ok(self.file.read_exact_at(into, offset)?)
    }

    /// A few bytes of the file, without reading what surrounds them.
    pub(crate) fn peek<const N: usize>(&self, offset: u64) -> Result<[u8; N]> {
        if offset.checked_add(N as u64).is_none_or(|end| end > self.size) {
            return damaged(offset, "it reaches beyond the end of the file");
        }
        let (number, from) = (offset / WINDOW, (offset % WINDOW) as usize);
        if let Some(index) = self.place(number)
            && let Some(bytes) = self.kept[index].bytes.get(from..from + N)
        {
            return Ok(bytes.try_into().expect("as many as asked for"));
        }
        if let Some(bytes) = self.file.there(offset, N) {
            return Ok(bytes.try_into().expect("as many as asked for"));
        }
        let mut bytes = [0; N];
        self.file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    /// These bytes of the file.
    pub(crate) fn bytes(&mut self, offset: u64, length: u64) -> Result<&[u8]> {
        if offset.checked_add(length).is_none_or(|end| end > self.size) {
            return damaged(offset, "it reaches beyond the end of the file");
        }
        if self.file.there(offset, 0).is_some() {
            return self.memory(offset, length);
        }
        let number = offset / WINDOW;
        let from = offset % WINDOW;
        if from + length > WINDOW + OVERLAP {
            return self.outside(offset, length);
        }
        let index = self.window(number)?;
        let window = &mut self.kept[index];
        let (from, to) = (from as usize, (from + length) as usize);
        match window.bytes.get(from..to) {
            Some(bytes) => Ok(bytes),
            None => damaged(offset, "the file became shorter"),
        }
    }

    fn memory(&self, offset: u64, length: u64) -> Result<&[u8]> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        match self.file.there(offset, length) {
            Some(bytes) => Ok(bytes),
            None => damaged(offset, "it reaches beyond the end of the file"),
        }
    }

    fn outside(&mut self, offset: u64, length: u64) -> Result<&[u8]> {
        self.large.resize(usize::try_from(length).unwrap_or(usize::MAX), 0);
        self.file.read_exact_at(&mut self.large, offset)?;
        Ok(&self.large)
    }

    fn window(&mut self, number: u64) -> Result<usize> {
        if self.kept.get(self.last).is_some_and(|w| w.number == number) {
            return Ok(self.last);
        }
        self.clock += 1;
        if let Some(index) = self.place(number) {
            self.kept[index].used = self.clock;
            self.last = index;
            return Ok(index);
        }
        let start = number * WINDOW;
        let length = (self.size - start).min(WINDOW + OVERLAP) as usize;
        let mut bytes = match self.kept.len() < self.most {
            true => Vec::new(),
            false => self.oldest(),
        };
        bytes.resize(length, 0);
        self.file.read_exact_at(&mut bytes, start)?;
        self.kept.push(Window { number, bytes, used: self.clock });
        self.last = self.kept.len() - 1;
        self.put(number, self.last);
        Ok(self.last)
    }

    fn place(&self, number: u64) -> Option<usize> {
        let place = self.places.get(usize::try_from(number).ok()?)?;
        (*place != NOWHERE).then_some(*place as usize)
    }

    fn put(&mut self, number: u64, index: usize) {
        let number = usize::try_from(number).expect("a file of so many windows does not exist");
        if number >= self.places.len() {
            self.places.resize(number + 1, NOWHERE);
        }
        self.places[number] = u32::try_from(index).expect("few are kept");
    }

    /// Gives up the window that was not used for longest, and its memory to the next.
    fn oldest(&mut self) -> Vec<u8> {
        let oldest = self.kept.iter().enumerate().min_by_key(|(_, w)| w.used).map(|(index, _)| index);
        let Some(index) = oldest else { return Vec::new() };
        let gone = self.kept.swap_remove(index);
        self.places[gone.number as usize] = NOWHERE;
        if let Some(moved) = self.kept.get(index) {
            self.put(moved.number, index);
        }
        gone.bytes
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write as _, sync::Arc};

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn any_part_is_what_the_file_has(parts in proptest::collection::vec((0_u64..4 << 20, 0_u64..400_000), 1..60)) {
            let mut file = tempfile::tempfile().unwrap();
            let content: Vec<u8> = (0..900_001_u32).flat_map(|n| n.to_le_bytes()).collect();
            file.write_all(&content).unwrap();
            let mut windows = Windows::new(Bytes::File(file)).unwrap();
            // Some have to go.
            windows.most = 3;
            let mut memory = Windows::new(Bytes::Memory(Arc::new(content.clone()))).unwrap();
            for (offset, length) in parts {
                let wanted = content.get(offset as usize..(offset + length) as usize);
                prop_assert_eq!(windows.bytes(offset, length).ok(), wanted);
                prop_assert_eq!(memory.bytes(offset, length).ok(), wanted);
                let peeked = windows.peek::<8>(offset).ok();
                prop_assert_eq!(peeked.as_ref().map(|b| &b[..]), content.get(offset as usize..offset as usize + 8));
            }
        }
    }
}
