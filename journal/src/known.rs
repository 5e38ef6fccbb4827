//! Fields that many entries share, kept by where they stand: nearly everything but the message repeats.

/// As many as the fields of many entries have; a power of two.
const SLOTS: usize = 1024;
/// Longer ones are not kept, in bytes.
const LONGEST: usize = 256;

/// What is known of a few fields of one file.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// Of which names.
    names: &'static [&'static [u8]],
    slots: Vec<Slot>,
}

#[derive(Debug, Clone, Default)]
struct Slot {
    /// 0: nothing is kept.
    offset: u64,
    /// `NAME=value`; empty for a field of another name.
    content: Box<[u8]>,
}

impl Known {
    /// From now on it is about fields of these names.
    pub(crate) fn about(&mut self, names: &'static [&'static [u8]]) {
        if self.slots.is_empty() || self.names != names {
            self.names = names;
            self.slots = vec![Slot::default(); SLOTS];
        }
    }

    /// The field at an offset; empty when it is of another name.
    pub(crate) fn get(&self, offset: u64) -> Option<&[u8]> {
        let slot = self.slots.get(place(offset))?;
        (slot.offset == offset && offset != 0).then_some(&*slot.content)
    }

    /// Whether a field has one of the names. Keeps it, if it is one of those that repeat.
    pub(crate) fn take(&mut self, offset: u64, content: &[u8], repeats: bool) -> bool {
        let of = |name: &&[u8]| content.get(name.len()) == Some(&b'=') && content.starts_with(name);
        let is_wanted = self.names.iter().any(of);
        if repeats
            && content.len() <= LONGEST
            && let Some(slot) = self.slots.get_mut(place(offset))
        {
            *slot = Slot { offset, content: if is_wanted { content.into() } else { Box::default() } };
        }
        is_wanted
    }
}

/// Fibonacci hashing: offsets are multiples of 8, and many are near each other.
fn place(offset: u64) -> usize {
    (offset.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54) as usize % SLOTS
}
