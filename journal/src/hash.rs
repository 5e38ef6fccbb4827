//! The hashes by which data is found: SipHash-2-4 keyed with the file's id, or Bob Jenkins' lookup3 in older files.

use siphasher::sip::SipHasher24;

/// How a file hashes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Hashing {
    /// HEADER_INCOMPATIBLE_KEYED_HASH: with the file's id as key.
    Keyed([u8; 16]),
    /// lookup3's `hashlittle2` with both seeds zero.
    Jenkins,
}

impl Hashing {
    /// The hash of `FIELD=value`.
    pub(crate) fn of(self, data: &[u8]) -> u64 {
        match self {
            Self::Keyed(key) => SipHasher24::new_with_key(&key).hash(data),
            Self::Jenkins => jenkins(data),
        }
    }
}

/// `jenkins_hash64` of systemd: the two results of `hashlittle2`, the primary one above.
fn jenkins(data: &[u8]) -> u64 {
    let start = 0xdead_beef_u32.wrapping_add(u32::try_from(data.len()).unwrap_or(u32::MAX));
    let (mut a, mut b, mut c) = (start, start, start);
    let mut rest = data;
    let word = |bytes: &[u8], at: usize| {
        let mut word = [0; 4];
        let part = bytes.get(at..).unwrap_or_default();
        let n = part.len().min(4);
        word[..n].copy_from_slice(&part[..n]);
        u32::from_le_bytes(word)
    };
    while rest.len() > 12 {
        a = a.wrapping_add(word(rest, 0));
        b = b.wrapping_add(word(rest, 4));
        c = c.wrapping_add(word(rest, 8));
        mix(&mut a, &mut b, &mut c);
        rest = &rest[12..];
    }
    if !rest.is_empty() {
        a = a.wrapping_add(word(rest, 0));
        b = b.wrapping_add(word(rest, 4));
        c = c.wrapping_add(word(rest, 8));
        finish(&mut a, &mut b, &mut c);
    }
    u64::from(c) << 32 | u64::from(b)
}

/// The two rounds of lookup3: `mix` and `final`.
fn mix(a: &mut u32, b: &mut u32, c: &mut u32) {
    // One line: `x -= y; x ^= rot(y, r); y += z`, the words taking turns.
    let step = |x: &mut u32, y: &mut u32, z: u32, r: u32| {
        *x = x.wrapping_sub(*y) ^ y.rotate_left(r);
        *y = y.wrapping_add(z);
    };
    step(a, c, *b, 4);
    step(b, a, *c, 6);
    step(c, b, *a, 8);
    step(a, c, *b, 16);
    step(b, a, *c, 19);
    step(c, b, *a, 4);
}

fn finish(a: &mut u32, b: &mut u32, c: &mut u32) {
    let step = |x: &mut u32, y: u32, r: u32| *x = (*x ^ y).wrapping_sub(y.rotate_left(r));
    step(c, *b, 14);
    step(a, *c, 11);
    step(b, *a, 25);
    step(c, *b, 16);
    step(a, *c, 4);
    step(b, *a, 14);
    step(c, *b, 24);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values of lookup3's own self-test (driver5): c and b for these texts.
    #[test]
    fn jenkins_gives_the_published_values() {
        assert_eq!(jenkins(b""), 0xdeadbeef_deadbeef);
        assert_eq!(jenkins(b"Four score and seven years ago"), 0x1777_0551_ce72_26e6);
    }

    /// The first vectors of the SipHash paper: key 00…0f, messages 00, 00 01, …
    #[test]
    fn siphash_gives_the_published_values() {
        let key: [u8; 16] = std::array::from_fn(|i| i as u8);
        let data: Vec<u8> = (0..15).collect();
        assert_eq!(Hashing::Keyed(key).of(&data), 0xa129_ca61_49be_45e5);
    }
}
