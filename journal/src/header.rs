//! The head of a journal file.

use crate::{Error, Result, hash::Hashing, window::Windows};

const SIGNATURE: &[u8; 8] = b"LPKSHHRH";
/// The first version's head; later ones added fields behind.
pub(crate) const SMALLEST: u64 = 208;
const KEYED_HASH: u32 = 1 << 2;
const COMPACT: u32 = 1 << 4;
/// XZ, LZ4, keyed hash, zstd, compact.
const KNOWN: u32 = 0b1_1111;
/// STATE_ARCHIVED: journald writes to it no more.
const ARCHIVED: u8 = 2;

/// What is needed of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header {
    pub(crate) hashing: Hashing,
    /// Offsets in lists and entries have 4 bytes instead of 8.
    pub(crate) compact: bool,
    pub(crate) archived: bool,
    /// Entries with the same id count on together.
    pub(crate) seqnum_id: [u8; 16],
    /// The numbers and the times (microseconds since the epoch) of the first and the last entry.
    pub(crate) seqnums: (u64, u64),
    pub(crate) times: (u64, u64),
    pub(crate) size: u64,
    pub(crate) data_table: u64,
    /// In bytes.
    pub(crate) data_table_size: u64,
    /// Where the last object begins.
    pub(crate) tail_object: u64,
    pub(crate) entries: u64,
    pub(crate) entry_array: u64,
}

impl Header {
    /// Reads it as it is at this moment.
    pub(crate) fn read(windows: &Windows) -> Result<Self> {
        let mut bytes = [0; SMALLEST as usize];
        if windows.size() < SMALLEST {
            return Err(Error::Unsupported("it is too short"));
        }
        windows.read_now(0, &mut bytes)?;
        if bytes[..8] != SIGNATURE[..] {
            return Err(Error::Unsupported("it does not begin like one"));
        }
        let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        let u64_at = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        let id_at = |at: usize| -> [u8; 16] { bytes[at..at + 16].try_into().expect("sixteen bytes") };
        let flags = u32_at(12);
        if flags & !KNOWN != 0 {
            return Err(Error::Unsupported("it has a feature that is newer than this reader"));
        }
        let size = u64_at(88);
        if !(SMALLEST..=1 << 20).contains(&size) {
            return Err(Error::Unsupported("its head has an impossible size"));
        }
        let file_id = id_at(24);
        Ok(Self {
            hashing: if flags & KEYED_HASH == 0 { Hashing::Jenkins } else { Hashing::Keyed(file_id) },
            compact: flags & COMPACT != 0,
            archived: bytes[16] == ARCHIVED,
            seqnum_id: id_at(72),
            seqnums: (u64_at(168), u64_at(160)),
            times: (u64_at(184), u64_at(192)),
            size,
            data_table: u64_at(104),
            data_table_size: u64_at(112),
            tail_object: u64_at(136),
            entries: u64_at(152),
            entry_array: u64_at(176),
        })
    }
}
