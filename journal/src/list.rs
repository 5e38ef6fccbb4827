//! A list of entries, in the order in which they were written: all of a file, or those that have some data.

use crate::{
    Result, damaged,
    file::{DataHead, JournalFile},
};

/// A chain of arrays that is longer was made to be: each is larger than the one before.
const ARRAYS_MOST: usize = 1 << 16;

/// Entries of an array that are read at once.
const AROUND: u64 = 512;

/// Where the entries of a list stand. It is read once; what is added later belongs to a new one.
#[derive(Debug, Clone, Default)]
pub(crate) struct List {
    /// The first entry of some data stands in the data itself.
    first: Option<u64>,
    arrays: Vec<Array>,
    /// How many entries there are.
    length: u64,
    /// Where it was looked last: the next look is mostly near.
    near: u64,
    /// The entries around there, from an index on.
    around: (u64, Vec<u64>),
}

#[derive(Debug, Clone, Copy)]
struct Array {
    offset: u64,
    /// Index of its first entry in the list.
    start: u64,
}

impl List {
    /// All entries of a file.
    pub(crate) fn of_file(file: &JournalFile) -> Result<Self> {
        Self::new(file, None, file.header.entry_array, file.header.entries)
    }

    /// The entries that have this data; empty where there is no such data.
    pub(crate) fn of_data(file: &mut JournalFile, data: &[u8]) -> Result<Self> {
        match file.find(data)? {
            Some(head) if head.entries > 0 => Self::of_head(file, &head),
            _ => Ok(Self::default()),
        }
    }

    /// The entries that have the data with this head; there is at least one.
    pub(crate) fn of_head(file: &JournalFile, head: &DataHead) -> Result<Self> {
        Self::new(file, Some(head.entry), head.entry_array, head.entries)
    }

    fn new(file: &JournalFile, first: Option<u64>, array: u64, length: u64) -> Result<Self> {
        let mut list = Self { first, arrays: Vec::new(), length, near: 0, around: (0, Vec::new()) };
        let (mut start, mut offset) = (u64::from(first.is_some()), array);
        while start < length && offset != 0 {
            if list.arrays.len() == ARRAYS_MOST {
                return damaged(offset, "a list of entries has no end");
            }
            let (places, next) = file.array(offset)?;
            list.arrays.push(Array { offset, start });
            start = start.saturating_add(places);
            offset = next;
        }
        // A file that was cut off says how many there were, and has fewer.
        list.length = length.min(start);
        Ok(list)
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// The entry at an index.
    pub(crate) fn get(&self, file: &JournalFile, index: u64) -> Result<u64> {
        if let (0, Some(first)) = (index, self.first) {
            return Ok(first);
        }
        let array = self.arrays.partition_point(|a| a.start <= index).checked_sub(1);
        match array.map(|n| self.arrays[n]) {
            Some(array) if index < self.length => file.place(array.offset, index - array.start),
            _ => damaged(0, "a list of entries is shorter than was said"),
        }
    }

    /// All entries, ascending, as they are read anyway for a count.
    pub(crate) fn offsets(&self, file: &JournalFile) -> Result<Vec<u64>> {
        let mut offsets = Vec::with_capacity(self.length.min(1 << 16) as usize);
        offsets.extend(self.first);
        for array in &self.arrays {
            let left = self.length - offsets.len() as u64;
            file.places(array.offset, left, &mut offsets)?;
        }
        // Only a damaged file has them in another order.
        if !offsets.is_sorted() {
            return damaged(0, "a list of entries is not in order");
        }
        Ok(offsets)
    }

    /// The first index whose entry is not `before`.
    pub(crate) fn bisect(
        &self,
        file: &mut JournalFile,
        mut before: impl FnMut(&mut JournalFile, u64) -> Result<bool>,
    ) -> Result<u64> {
        let (mut low, mut high) = (0, self.length);
        while low < high {
            let middle = low + (high - low) / 2;
            let entry = self.get(file, middle)?;
            match before(file, entry)? {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        Ok(low)
    }

    /// The first entry at or behind an offset.
    pub(crate) fn at_or_after(&mut self, file: &mut JournalFile, offset: u64) -> Result<Option<u64>> {
        let index = self.index_of(file, offset)?;
        self.near = index;
        if index < self.length { self.near(file, index).map(Some) } else { Ok(None) }
    }

    /// The last entry at or before an offset.
    pub(crate) fn at_or_before(&mut self, file: &mut JournalFile, offset: u64) -> Result<Option<u64>> {
        let index = self.index_of(file, offset.saturating_add(1))?;
        self.near = index;
        match index.checked_sub(1) {
            Some(index) => self.near(file, index).map(Some),
            None => Ok(None),
        }
    }

    /// The index of the first entry at or behind an offset. Tries where it was last, and beside.
    fn index_of(&mut self, file: &mut JournalFile, offset: u64) -> Result<u64> {
        for index in self.near.saturating_sub(1)..=self.near.saturating_add(1) {
            if index > self.length {
                break;
            }
            let fits_below = index == 0 || self.near(file, index - 1)? < offset;
            if fits_below && (index == self.length || self.near(file, index)? >= offset) {
                return Ok(index);
            }
        }
        self.bisect(file, |_, entry| Ok(entry < offset))
    }

    /// The entry at an index that is near the last one: many are read at once.
    fn near(&mut self, file: &JournalFile, index: u64) -> Result<u64> {
        let (start, around) = &mut self.around;
        let known = index.checked_sub(*start).and_then(|n| around.get(usize::try_from(n).ok()?));
        if let Some(entry) = known {
            return Ok(*entry);
        }
        let array = self.arrays.partition_point(|a| a.start <= index).checked_sub(1);
        let Some(number) = array.filter(|_| index < self.length) else { return self.get(file, index) };
        let array = self.arrays[number];
        let end = self.arrays.get(number + 1).map_or(self.length, |next| next.start.min(self.length));
        let first = (index - array.start) / AROUND * AROUND;
        around.clear();
        *start = array.start + first;
        file.places_now(array.offset, first, AROUND.min(end - *start), around)?;
        self.get_known(index)
    }

    fn get_known(&self, index: u64) -> Result<u64> {
        let (start, around) = &self.around;
        match around.get((index - start) as usize) {
            Some(entry) => Ok(*entry),
            None => damaged(0, "a list of entries is shorter than was said"),
        }
    }
}
