//! A place in the journal, in journald's own form: `s=…;i=…;b=…;m=…;t=…;x=…` (sd_journal_get_cursor(3)).

use std::{cmp::Ordering, fmt, str::FromStr};

/// A text that is no cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a journal cursor")]
pub struct CursorError;

/// The place of one entry. All numbers are compared; which of them decide depends on what two entries have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cursor {
    /// Whose numbers `seqnum` counts.
    pub seqnum_id: [u8; 16],
    /// Rises by one with each entry of the same `seqnum_id`.
    pub seqnum: u64,
    /// The boot it was written in.
    pub boot_id: [u8; 16],
    /// Microseconds since that boot.
    pub monotonic: u64,
    /// Microseconds since the epoch.
    pub realtime: u64,
    /// Tells entries of one moment apart.
    pub xor_hash: u64,
}

impl Cursor {
    /// The order of two entries, as sd-journal has it: by number where the same source counted them, else by the clock of
    /// the same boot, else by the time of day. It is no total order over entries of different sources.
    pub fn order(&self, other: &Self) -> Ordering {
        let same = |equal: bool, order: Ordering| if equal { order } else { Ordering::Equal };
        same(self.seqnum_id == other.seqnum_id, self.seqnum.cmp(&other.seqnum))
            .then_with(|| same(self.boot_id == other.boot_id, self.monotonic.cmp(&other.monotonic)))
            .then_with(|| self.realtime.cmp(&other.realtime))
            .then_with(|| self.xor_hash.cmp(&other.xor_hash))
    }
}

impl Cursor {
    /// Whether both were taken by journald at the same time.
    pub(crate) fn is_of_one_moment(&self, other: &Self) -> bool {
        self.boot_id == other.boot_id && self.monotonic == other.monotonic
    }

    /// Whether journald has written one entry twice: when it moves from /run to /var, it numbers its entries anew.
    pub(crate) fn is_copy_of(&self, other: &Self) -> bool {
        self.seqnum_id != other.seqnum_id
            && self.is_of_one_moment(other)
            && (self.realtime, self.xor_hash) == (other.realtime, other.xor_hash)
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

/// Each digit in hexadecimal.
const DIGITS: &[u8; 16] = b"0123456789abcdef";

impl Cursor {
    /// As text: what formatting does, in a fraction of the time, because every entry that is sent has one.
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(144);
        text.push_str("s=");
        id(&mut text, &self.seqnum_id);
        text.push_str(";i=");
        number(&mut text, self.seqnum);
        text.push_str(";b=");
        id(&mut text, &self.boot_id);
        for (key, value) in [(";m=", self.monotonic), (";t=", self.realtime), (";x=", self.xor_hash)] {
            text.push_str(key);
            number(&mut text, value);
        }
        text
    }
}

/// All digits of an id.
fn id(text: &mut String, id: &[u8; 16]) {
    for byte in id {
        text.push(digit(byte >> 4));
        text.push(digit(*byte));
    }
}

/// A number without leading zeroes.
fn number(text: &mut String, number: u64) {
    let count = (u64::BITS - number.leading_zeros()).div_ceil(4).max(1);
    (0..count).rev().for_each(|place| text.push(digit((number >> (place * 4)) as u8)));
}

/// The last four bits.
fn digit(bits: u8) -> char {
    char::from(DIGITS[usize::from(bits & 15)])
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let mut parts = [None::<&str>; 6];
        for part in text.split(';') {
            let (key, value) = part.split_once('=').ok_or(CursorError)?;
            let place = ["s", "i", "b", "m", "t", "x"].iter().position(|k| *k == key).ok_or(CursorError)?;
            if value.is_empty()
                || !value.bytes().all(|b| b.is_ascii_hexdigit())
                || parts[place].replace(value).is_some()
            {
                return Err(CursorError);
            }
        }
        let number = |n: usize| parts[n].and_then(|v| u64::from_str_radix(v, 16).ok()).ok_or(CursorError);
        let id = |n: usize| {
            let id = parts[n].filter(|v| v.len() == 32).and_then(|v| u128::from_str_radix(v, 16).ok());
            id.map(u128::to_be_bytes).ok_or(CursorError)
        };
        Ok(Self {
            seqnum_id: id(0)?,
            seqnum: number(1)?,
            boot_id: id(2)?,
            monotonic: number(3)?,
            realtime: number(4)?,
            xor_hash: number(5)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_read_as_they_are_written() {
        let text =
            "s=0639d2b2a4a84f1b9c5d6a7e8f901234;i=4f;b=000000000000000000000000000001ab;m=2cd;t=3ef;x=40a";
        assert_eq!(text.parse::<Cursor>().unwrap().to_string(), text);
        for bad in ["", "s=1", "i=1", text.trim_end_matches(";x=40a"), "s=zz;i=1;b=1;m=1;t=1;x=1"] {
            assert_eq!(bad.parse::<Cursor>(), Err(CursorError), "{bad}");
        }
        assert!(format!("{text};i=4f").parse::<Cursor>().is_err());
    }
}
