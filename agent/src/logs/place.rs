//! Places in logs, as text: of an entry, and between two entries.

use std::{fmt, hash::Hasher as _};

use hms_journal::Cursor;
use hms_proto::{fault::Fault, names};
use siphasher::sip::SipHasher24;

/// Between two parts, one for each log.
const BETWEEN: char = '~';
/// Bytes from the beginning of a file, and before a place in it, by which it is known again.
pub(crate) const HEAD: usize = 1024;
pub(crate) const TAIL: usize = 64;

/// On which side of its entry a place is. An entry's own cursor is on the side from which one comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Before,
    After,
}

/// A place in one log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// At an entry of the journal; without a side, the entry itself.
    Journal(Cursor, Option<Side>),
    /// In a file.
    File(FilePlace),
}

/// A line of a file, or with no length a place between two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FilePlace {
    /// Which log: `nginx-access/access.log`.
    pub(crate) log: String,
    pub(crate) dev: u64,
    pub(crate) inode: u64,
    pub(crate) offset: u64,
    pub(crate) length: u64,
    /// Over what stands before its end: files change their names and their inodes, and keep their content.
    pub(crate) hash: u64,
    /// Microseconds since the epoch.
    pub(crate) time: u64,
}

impl FilePlace {
    /// Behind the line.
    pub(crate) fn end(&self) -> u64 {
        self.offset.saturating_add(self.length)
    }
}

/// Places in several logs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Place(pub(crate) Vec<Part>);

impl Part {
    /// When its entry was written; microseconds since the epoch.
    pub(crate) fn time(&self) -> u64 {
        match self {
            Self::Journal(cursor, _) => cursor.realtime,
            Self::File(place) => place.time,
        }
    }
}

impl Place {
    /// Reads what was given to a caller before. Empty: none.
    pub(crate) fn parse(text: &str) -> Result<Option<Self>, Fault> {
        if text.is_empty() {
            return Ok(None);
        }
        let name = names::Cursor::try_from(text)?;
        let parts = name.as_str().split(BETWEEN).map(part).collect::<Option<Vec<_>>>();
        parts.map(|parts| Some(Self(parts))).ok_or_else(|| {
            Fault::invalid("a part of the log cursor is missing").hint("Copy it from a log entry, whole.")
        })
    }

    /// The time of the latest of its parts.
    pub(crate) fn time(&self) -> u64 {
        self.0.iter().map(Part::time).max().unwrap_or(0)
    }
}

fn part(text: &str) -> Option<Part> {
    if text.starts_with('f') {
        return file(text).map(Part::File);
    }
    let (cursor, side) = match text.split_once(";a=") {
        None => (text, None),
        Some((cursor, "1")) => (cursor, Some(Side::Before)),
        Some((cursor, "2")) => (cursor, Some(Side::After)),
        Some(_) => return None,
    };
    Some(Part::Journal(cursor.parse().ok()?, side))
}

fn file(text: &str) -> Option<FilePlace> {
    let mut fields = text.split(';');
    let mut field = |key: &str| fields.next()?.strip_prefix(key)?.strip_prefix('=');
    let log = field("f")?.to_owned();
    let mut number = |key| u64::from_str_radix(field(key)?, 16).ok();
    let place = FilePlace {
        log,
        dev: number("d")?,
        inode: number("i")?,
        offset: number("o")?,
        length: number("n")?,
        hash: number("h")?,
        time: number("t")?,
    };
    place.offset.checked_add(place.length)?;
    fields.next().is_none().then_some(place)
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Journal(cursor, None) => write!(f, "{cursor}"),
            Self::Journal(cursor, Some(side)) => {
                write!(f, "{cursor};a={}", if *side == Side::Before { 1 } else { 2 })
            }
            Self::File(p) => write!(
                f,
                "f={};d={:x};i={:x};o={:x};n={:x};h={:x};t={:x}",
                p.log, p.dev, p.inode, p.offset, p.length, p.hash, p.time
            ),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.0.iter().enumerate() {
            if index > 0 {
                write!(f, "{BETWEEN}")?;
            }
            write!(f, "{part}")?;
        }
        Ok(())
    }
}

/// The hash of a place in a file: over its head, as far as it stands before the place, and what stands right before.
pub(crate) fn hash_of(head: &[u8], tail: &[u8]) -> u64 {
    let mut hasher = SipHasher24::new();
    hasher.write(head);
    hasher.write(tail);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CURSOR: &str =
        "s=0639d2b2a4a84f1b9c5d6a7e8f901234;i=4f;b=000000000000000000000000000001ab;m=2cd;t=3ef;x=40a";

    proptest! {
        #[test]
        fn places_are_read_as_they_are_written(numbers in any::<[u32; 6]>(), log in "(nginx-access|app/cigar)/[a-z]{1,9}\\.log") {
            let [dev, inode, offset, length, hash, time] = numbers.map(u64::from);
            let file = Part::File(FilePlace { log, dev, inode, offset, length, hash, time });
            for side in [None, Some(Side::Before), Some(Side::After)] {
                let place = Place(vec![Part::Journal(CURSOR.parse().unwrap(), side), file.clone(), file.clone()]);
                prop_assert_eq!(Place::parse(&place.to_string()).unwrap(), Some(place));
            }
        }

        #[test]
        fn nothing_makes_it_panic(text in "[sfdionhtabmx0-9;=~/.]{0,80}") {
            Place::parse(&text).ok();
        }
    }

    #[test]
    fn parts_that_are_cut_are_refused() {
        for bad in
            ["f=a.log;d=1", "f=a.log;d=1;i=1;o=ffffffffffffffff;n=1;h=1;t=1", &format!("{CURSOR};a=3"), "s=1"]
        {
            assert!(Place::parse(bad).is_err(), "{bad}");
        }
    }
}
