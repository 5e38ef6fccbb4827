//! Where the bytes of a journal file come from: the file, or memory.

use std::{fs::File, io, os::unix::fs::FileExt as _, sync::Arc};

/// A file, or what was one.
#[derive(Debug)]
pub(crate) enum Bytes {
    File(File),
    Memory(Arc<Vec<u8>>),
}

impl Bytes {
    pub(crate) fn size(&self) -> io::Result<u64> {
        match self {
            Self::File(file) => Ok(file.metadata()?.len()),
            Self::Memory(all) => Ok(all.len() as u64),
        }
    }

    pub(crate) fn read_exact_at(&self, into: &mut [u8], offset: u64) -> io::Result<()> {
        match self {
            Self::File(file) => file.read_exact_at(into, offset),
            Self::Memory(all) => {
                let part = slice(all, offset, into.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
                into.copy_from_slice(part);
                Ok(())
            }
        }
    }

    /// A part of it that need not be read, as it is in memory.
    pub(crate) fn there(&self, offset: u64, length: usize) -> Option<&[u8]> {
        match self {
            Self::File(_) => None,
            Self::Memory(all) => slice(all, offset, length),
        }
    }
}

fn slice(all: &[u8], offset: u64, length: usize) -> Option<&[u8]> {
    let from = usize::try_from(offset).ok()?;
    all.get(from..from.checked_add(length)?)
}
