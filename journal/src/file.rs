//! One journal file: its objects, found by offset or by content. Whatever it says is checked before it is believed.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use crate::{Result, bytes::Bytes, damaged, header::Header, known::Known, payload, window::Windows};

/// Kinds of object.
pub(crate) const DATA: u8 = 1;
const ENTRY: u8 = 3;
const ENTRY_ARRAY: u8 = 6;
pub(crate) const OBJECT_HEAD: u64 = 16;
const ENTRY_HEAD: u64 = 64;
pub(crate) const ARRAY_HEAD: u64 = 24;
/// More fields in one entry than journald takes (ENTRY_FIELD_COUNT_MAX).
const ITEMS_MOST: u64 = 1024;
/// A chain of the hash table that is longer is one that was made to be.
const CHAIN_MOST: usize = 1 << 20;

/// A journal file that is open.
#[derive(Debug)]
pub(crate) struct JournalFile {
    pub(crate) path: PathBuf,
    pub(crate) header: Header,
    pub(crate) windows: Windows,
    known: Known,
}

/// The head of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EntryHead {
    pub(crate) offset: u64,
    pub(crate) seqnum: u64,
    pub(crate) realtime: u64,
    pub(crate) monotonic: u64,
    pub(crate) boot_id: [u8; 16],
    pub(crate) xor_hash: u64,
    /// How many fields it has.
    pub(crate) items: u64,
}

/// The head of a data object: where its entries are, and where its content.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DataHead {
    next: u64,
    hash: u64,
    pub(crate) entry: u64,
    pub(crate) entry_array: u64,
    pub(crate) entries: u64,
    flags: u8,
    content: u64,
    length: u64,
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

impl JournalFile {
    /// Opens a file.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        Self::new(path, Bytes::File(File::open(path)?))
    }

    /// The same for bytes that are there already.
    pub(crate) fn new(path: &Path, bytes: Bytes) -> Result<Self> {
        let windows = Windows::new(bytes)?;
        let header = Header::read(&windows)?;
        Ok(Self { path: path.to_owned(), header, windows, known: Known::default() })
    }

    /// In bytes.
    pub(crate) fn size(&self) -> u64 {
        self.windows.size()
    }

    /// Looks whether anything was added. An archived file never changes.
    pub(crate) fn refresh(&mut self) -> Result<bool> {
        if self.header.archived {
            return Ok(false);
        }
        let header = Header::read(&self.windows)?;
        let grew = header.entries != self.header.entries || header.archived;
        if grew {
            self.windows.refresh()?;
            self.header = header;
        }
        Ok(grew)
    }

    /// Whether something was added that is not known yet.
    pub(crate) fn is_behind(&self) -> Result<bool> {
        Ok(!self.header.archived && Header::read(&self.windows)?.entries != self.header.entries)
    }

    /// Reads anew what is asked for next: what is in memory may have changed since.
    pub(crate) fn forget(&mut self) {
        self.windows.release();
    }

    /// How many bytes an offset has inside of entries and lists.
    pub(crate) fn width(&self) -> u64 {
        if self.header.compact { 4 } else { 8 }
    }

    /// The first bytes of an object with its flags and its size, once they are found to be possible.
    fn object<const N: usize>(&self, offset: u64, kind: u8, least: u64) -> Result<([u8; N], u8, u64)> {
        if !offset.is_multiple_of(8) || offset < self.header.size {
            return damaged(offset, "no object can be there");
        }
        let head: [u8; N] = self.windows.peek(offset)?;
        let size = u64_at(&head, 8);
        if head[0] != kind {
            return damaged(offset, "it is another kind of object than was said");
        }
        if size < least || offset.checked_add(size).is_none_or(|end| end > self.windows.size()) {
            return damaged(offset, "it has an impossible size");
        }
        Ok((head, head[1], size))
    }

    /// The head of an entry.
    pub(crate) fn entry(&self, offset: u64) -> Result<EntryHead> {
        let (bytes, _, size) = self.object::<{ ENTRY_HEAD as usize }>(offset, ENTRY, ENTRY_HEAD)?;
        let item = if self.header.compact { 4 } else { 16 };
        let items = (size - ENTRY_HEAD) / item;
        if items == 0 || items > ITEMS_MOST {
            return damaged(offset, "it has an impossible number of fields");
        }
        let boot_id = bytes[40..56].try_into().expect("sixteen bytes");
        Ok(EntryHead {
            offset,
            seqnum: u64_at(&bytes, 16),
            realtime: u64_at(&bytes, 24),
            monotonic: u64_at(&bytes, 32),
            boot_id,
            xor_hash: u64_at(&bytes, 56),
            items,
        })
    }

    /// Where the fields of an entry are.
    pub(crate) fn items(&mut self, entry: &EntryHead, into: &mut Vec<u64>) -> Result<()> {
        into.clear();
        let compact = self.header.compact;
        let item = if compact { 4 } else { 16 };
        let bytes = self.windows.bytes(entry.offset + ENTRY_HEAD, entry.items * item)?;
        into.extend(bytes.chunks_exact(item as usize).map(|item| match compact {
            true => u64::from(u32::from_le_bytes(item.try_into().expect("four bytes"))),
            false => u64_at(item, 0),
        }));
        Ok(())
    }

    /// Where one field of an entry is.
    pub(crate) fn item(&self, entry: &EntryHead, index: u64) -> Result<u64> {
        let items = entry.offset + ENTRY_HEAD;
        match self.header.compact {
            true => Ok(u32::from_le_bytes(self.windows.peek(items + index * 4)?).into()),
            false => Ok(u64::from_le_bytes(self.windows.peek(items + index * 16)?)),
        }
    }

    /// How many bytes of a data object come before its content.
    pub(crate) fn data_head(&self) -> u64 {
        if self.header.compact { 72 } else { 64 }
    }

    /// The head of a data object.
    pub(crate) fn data(&self, offset: u64) -> Result<DataHead> {
        let least = self.data_head();
        let (bytes, flags, size) = self.object::<64>(offset, DATA, least)?;
        Ok(DataHead {
            hash: u64_at(&bytes, 16),
            next: u64_at(&bytes, 24),
            entry: u64_at(&bytes, 40),
            entry_array: u64_at(&bytes, 48),
            entries: u64_at(&bytes, 56),
            flags,
            content: offset + least,
            length: size - least,
        })
    }

    /// Puts `FIELD=value` into `out`.
    pub(crate) fn content(&mut self, offset: u64, out: &mut Vec<u8>) -> Result<()> {
        // Brings what surrounds it into memory: its neighbours are mostly asked for next.
        let data = self.data(offset)?;
        let stored = self.windows.bytes(data.content, data.length)?;
        payload::expand(data.flags, stored, offset, out)
    }

    /// The value of one field, the last one where there are several. `MESSAGE` is found fast: it mostly stands last.
    pub(crate) fn field<'a>(
        &mut self,
        entry: &EntryHead,
        name: &[u8],
        into: &'a mut Vec<u8>,
    ) -> Result<Option<&'a [u8]>> {
        for index in (0..entry.items).rev() {
            let item = self.item(entry, index)?;
            self.content(item, into)?;
            if into.len() > name.len() && into[name.len()] == b'=' && into.starts_with(name) {
                return Ok(Some(&into[name.len() + 1..]));
            }
        }
        Ok(None)
    }

    /// Calls `with` for each field that has one of these names. Those that many entries share are read once.
    pub(crate) fn fields(
        &mut self,
        entry: &EntryHead,
        names: &'static [&'static [u8]],
        mut with: impl FnMut(&[u8], &[u8]),
    ) -> Result<()> {
        let (mut items, mut content) = (Vec::new(), Vec::new());
        self.known.about(names);
        self.items(entry, &mut items)?;
        let mut split = |content: &[u8]| {
            if let Some(split) = memchr::memchr(b'=', content) {
                with(&content[..split], &content[split + 1..]);
            }
        };
        for item in items {
            if let Some(known) = self.known.get(item) {
                split(known);
                continue;
            }
            self.content(item, &mut content)?;
            let repeats = self.data(item)?.entries > 1;
            if self.known.take(item, &content, repeats) {
                split(&content);
            }
        }
        Ok(())
    }

    /// Looks data up by its content.
    pub(crate) fn find(&mut self, wanted: &[u8]) -> Result<Option<DataHead>> {
        let buckets = self.header.data_table_size / 16;
        if buckets == 0 {
            return Ok(None);
        }
        let hash = self.header.hashing.of(wanted);
        let bucket = self.header.data_table.saturating_add(hash % buckets * 16);
        let head: [u8; 8] = self.windows.peek(bucket)?;
        let (mut offset, mut content) = (u64::from_le_bytes(head), Vec::new());
        for _ in 0..CHAIN_MOST {
            if offset == 0 {
                return Ok(None);
            }
            let data = self.data(offset)?;
            if data.hash == hash {
                self.content(offset, &mut content)?;
                if content == wanted {
                    return Ok(Some(data));
                }
            }
            if data.next != 0 && data.next <= offset {
                return damaged(offset, "a chain of the hash table leads back");
            }
            offset = data.next;
        }
        damaged(bucket, "a chain of the hash table has no end")
    }

    /// One array of a list of entries: how many places it has, and the next array.
    pub(crate) fn array(&self, offset: u64) -> Result<(u64, u64)> {
        let (bytes, _, size) = self.object::<{ ARRAY_HEAD as usize }>(offset, ENTRY_ARRAY, ARRAY_HEAD)?;
        let next = u64_at(&bytes, OBJECT_HEAD as usize);
        if next != 0 && next <= offset {
            return damaged(offset, "a list of entries leads back");
        }
        Ok(((size - ARRAY_HEAD) / self.width(), next))
    }

    /// One place of an array.
    pub(crate) fn place(&self, array: u64, index: u64) -> Result<u64> {
        let at = array + ARRAY_HEAD + index * self.width();
        match self.header.compact {
            true => Ok(u32::from_le_bytes(self.windows.peek(at)?).into()),
            false => Ok(u64::from_le_bytes(self.windows.peek(at)?)),
        }
    }

    /// The places of an array, at most so many.
    pub(crate) fn places(&self, array: u64, most: u64, into: &mut Vec<u64>) -> Result<()> {
        let (places, _) = self.array(array)?;
        self.places_now(array, 0, places.min(most), into)
    }

    /// A few places of an array from an index on, which it must have.
    pub(crate) fn places_now(&self, array: u64, from: u64, count: u64, into: &mut Vec<u64>) -> Result<()> {
        let width = self.width();
        let mut bytes = vec![0; (count * width) as usize];
        self.windows.read_now(array + ARRAY_HEAD + from * width, &mut bytes)?;
        decode(&bytes, width, into);
        Ok(())
    }

    /// Reads what surrounds an offset into memory, because much of it will be asked for.
    pub(crate) fn warm(&mut self, offset: u64) {
        // What cannot be read is told when it is asked for.
        self.windows.bytes(offset, 1).ok();
    }
}

/// Offsets of so many bytes.
fn decode(bytes: &[u8], width: u64, into: &mut Vec<u64>) {
    into.extend(bytes.chunks_exact(width as usize).map(|place| match width {
        4 => u64::from(u32::from_le_bytes(place.try_into().expect("four bytes"))),
        _ => u64_at(place, 0),
    }));
}
