//! The content of a data object, as it was before it was compressed.

use std::{cell::RefCell, io::Cursor};

use crate::{Result, damaged};

const XZ: u8 = 1;
const LZ4: u8 = 2;
const ZSTD: u8 = 4;
/// journald itself takes no field larger than this (DATA_SIZE_MAX), so nothing good is left out.
const LARGEST: usize = 768 << 20;
/// What is reserved before it is known how much there is.
const FIRST: usize = 64 << 10;

thread_local! {
    /// Making one takes longer than using it.
    static ZSTD_OF_THREAD: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Puts the content into `out`. `flags` are those of the object.
pub(crate) fn expand(flags: u8, stored: &[u8], at: u64, out: &mut Vec<u8>) -> Result<()> {
    out.clear();
    match flags & (XZ | LZ4 | ZSTD) {
        0 => out.extend_from_slice(stored),
        ZSTD => unzstd(stored, at, out)?,
        LZ4 => lz4(stored, at, out)?,
        XZ => xz(stored, at, out)?,
        _ => return damaged(at, "it is compressed in two ways at once"),
    }
    Ok(())
}

fn unzstd(stored: &[u8], at: u64, out: &mut Vec<u8>) -> Result<()> {
    let size = zstd::zstd_safe::get_frame_content_size(stored).ok().flatten();
    let Some(size) = size.and_then(|s| usize::try_from(s).ok()).filter(|s| *s <= LARGEST) else {
        return damaged(at, "its compressed content has no size");
    };
    // A size that lies costs no memory: a frame expands to what it says, or fails.
    if size > FIRST && size / 4096 > stored.len() {
        return damaged(at, "its compressed content has an impossible size");
    }
    out.reserve(size);
    let got = ZSTD_OF_THREAD.with_borrow_mut(|zstd| {
        let zstd = match zstd {
            Some(zstd) => zstd,
            none => none.insert(zstd::bulk::Decompressor::new()?),
        };
        zstd.decompress_to_buffer(stored, out)
    });
    match got {
        Ok(got) if got == size => Ok(()),
        _ => damaged(at, "its content does not decompress"),
    }
}

fn lz4(stored: &[u8], at: u64, out: &mut Vec<u8>) -> Result<()> {
    let Some((size, block)) = stored.split_first_chunk::<8>() else {
        return damaged(at, "its compressed content is too short");
    };
    // A block of LZ4 grows at most 255 times.
    match usize::try_from(u64::from_le_bytes(*size)) {
        Ok(size) if size <= LARGEST && size <= block.len().saturating_mul(255) => out.resize(size, 0),
        _ => return damaged(at, "its compressed content has an impossible size"),
    }
    match lz4_flex::block::decompress_into(block, out) {
        Ok(got) if got == out.len() => Ok(()),
        _ => damaged(at, "its content does not decompress"),
    }
}

fn xz(stored: &[u8], at: u64, out: &mut Vec<u8>) -> Result<()> {
    let mut bounded = Bounded { out, most: LARGEST.min(stored.len().saturating_mul(8192)) };
    match lzma_rs::xz_decompress(&mut Cursor::new(stored), &mut bounded) {
        Ok(()) => Ok(()),
        Err(_) => damaged(at, "its content does not decompress"),
    }
}

/// Takes no more than it may.
struct Bounded<'a> {
    out: &'a mut Vec<u8>,
    most: usize,
}

impl std::io::Write for Bounded<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.out.len() + bytes.len() > self.most {
            return Err(std::io::Error::other("too much"));
        }
        self.out.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
