//! The second factor: codes of an authenticator (RFC 6238), and recovery codes for when it is lost.

use chrono::{DateTime, Utc};
use data_encoding::BASE32_NOPAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use zeroize::Zeroizing;

/// What authenticators take for granted (RFC 6238, 4; RFC 4226, 5.3).
const STEP: i64 = 30;
const DIGITS: u32 = 6;
/// A code of the step before and of the step after counts, too: clocks differ, and typing takes time.
const AROUND: i64 = 1;
/// As long as the hash (RFC 4226, 4, R6 recommends 160 bits).
const SECRET: usize = 20;
/// How many recovery codes somebody gets.
pub(super) const RECOVERY: usize = 10;

/// The secret that is shared with an authenticator. Shows itself to nobody.
pub(super) struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// A new one.
    pub(super) fn new() -> Self {
        Self(Zeroizing::new(rand::random::<[u8; SECRET]>().to_vec()))
    }

    /// As it was kept.
    pub(super) fn of_bytes(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(bytes.to_vec()))
    }

    /// To be kept, sealed.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// For typing.
    pub(super) fn base32(&self) -> String {
        BASE32_NOPAD.encode(&self.0)
    }

    /// For a QR code (the key URI format that authenticators read).
    pub(super) fn uri(&self, issuer: &str, username: &str) -> String {
        let secret = self.base32();
        format!(
            "otpauth://totp/{issuer}:{username}?secret={secret}&issuer={issuer}&digits={DIGITS}&period={STEP}"
        )
    }

    /// The step whose code this is, if it is one of those that count now and later than `last`: each is good once.
    pub(super) fn step_of(&self, code: &str, now: DateTime<Utc>, last: i64) -> Option<i64> {
        let step = now.timestamp().div_euclid(STEP);
        // All are computed, whichever fits.
        let fitting = (step - AROUND..=step + AROUND).filter(|step| self.code(*step) == code && *step > last);
        fitting.max()
    }

    /// What an authenticator shows in this step.
    pub(super) fn code(&self, step: i64) -> String {
        let mut mac = Hmac::<Sha1>::new_from_slice(&self.0).expect("any length is a key");
        mac.update(&step.to_be_bytes());
        let hash: [u8; 20] = mac.finalize().into_bytes().into();
        let at = usize::from(hash[19] & 0x0f);
        let cut = [hash[at] & 0x7f, hash[at + 1], hash[at + 2], hash[at + 3]];
        format!("{:0width$}", u32::from_be_bytes(cut) % 10u32.pow(DIGITS), width = DIGITS as usize)
    }
}

/// A new recovery code: 80 random bits in groups that can be read and typed.
pub(super) fn recovery_code() -> String {
    let text = BASE32_NOPAD.encode(&rand::random::<[u8; 10]>()).to_ascii_lowercase();
    let (a, b) = text.split_at(8);
    format!("{a}-{b}")
}

/// A code as it was typed, if it can be one: six digits of an authenticator, or a recovery code without its dash.
pub(super) fn typed(code: &str) -> Option<Typed> {
    let plain: String = code.chars().filter(|c| !c.is_whitespace() && *c != '-').take(17).collect();
    let plain = plain.to_ascii_lowercase();
    match plain.len() {
        6 if plain.bytes().all(|b| b.is_ascii_digit()) => Some(Typed::Totp(plain)),
        16 if plain.bytes().all(|b| b.is_ascii_lowercase() || (b'2'..=b'7').contains(&b)) => {
            Some(Typed::Recovery(plain))
        }
        _ => None,
    }
}

/// A code that somebody typed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Typed {
    Totp(String),
    Recovery(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    /// RFC 6238, appendix B, the rows of SHA-1; the last six of the eight digits.
    #[test]
    fn codes_are_those_of_the_standard() {
        let secret = Secret::of_bytes(b"12345678901234567890");
        for (time, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(secret.step_of(code, at(time), 0), Some(time / 30), "{time}");
        }
    }

    #[test]
    fn a_code_counts_for_a_moment_and_once() {
        let secret = Secret::new();
        let code = secret.code(100);
        let step = |seconds, last| secret.step_of(&code, at(seconds), last);
        assert_eq!(step(100 * 30 + 15, 0), Some(100));
        assert_eq!(step(99 * 30, 0), Some(100), "a clock that is ahead");
        assert_eq!(step(101 * 30 + 29, 0), Some(100), "and one that is behind");
        assert_eq!(step(102 * 30, 0), None);
        assert_eq!(step(98 * 30, 0), None);
        assert_eq!(step(100 * 30, 100), None, "it was taken before");
        assert_eq!(Secret::new().step_of(&code, at(3000), 0), None);
        let again = Secret::of_bytes(secret.bytes());
        assert_eq!(again.step_of(&code, at(3000), 0), Some(100));
    }

    #[test]
    fn codes_are_taken_as_people_type_them() {
        assert_eq!(typed(" 123 456 "), Some(Typed::Totp("123456".into())));
        let code = recovery_code();
        assert_eq!(code.len(), 17);
        let plain = code.replace('-', "");
        assert_eq!(typed(&code), Some(Typed::Recovery(plain.clone())));
        assert_eq!(typed(&plain.to_uppercase()), Some(Typed::Recovery(plain)));
        for bad in ["", "12345", "1234567", "１２３４５６", "12345a", "' OR 1=1", &"a".repeat(1000)] {
            assert_eq!(typed(bad), None, "{bad}");
        }
    }
}
