//! The second factor: setting it up, its recovery codes, taking it away.

use std::fmt;

use super::Qr;
use crate::frame::Notice;
use crate::{Fragment, Template};

/// A secret for an authenticator. It shows itself to nobody but the template.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct TotpSecret {
    /// Base32.
    pub secret: String,
    /// The same as a picture; `None` when it cannot be drawn.
    pub qr: Option<Qr>,
}

impl TotpSecret {
    /// From what the account service answers.
    pub fn new(secret: String, uri: &str) -> Self {
        Self { secret, qr: Qr::of(uri) }
    }

    /// In groups of four, for typing.
    pub fn groups(&self) -> String {
        let letters: Vec<char> = self.secret.chars().collect();
        let groups: Vec<String> = letters.chunks(4).map(|group| group.iter().collect()).collect();
        groups.join(" ")
    }
}

impl fmt::Debug for TotpSecret {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("[redacted]")
    }
}

/// Recovery codes. They show themselves to nobody but the template.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RecoveryCodes(pub Vec<String>);

impl fmt::Debug for RecoveryCodes {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{} codes", self.0.len())
    }
}

/// What is shown of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SecondFactorStep {
    /// Whether there is one.
    #[default]
    State,
    /// A secret to take over, and a code that proves it.
    Take(TotpSecret),
    /// The secret was shown before, and the code of it did not fit.
    Code,
    /// Codes that are shown this once.
    Codes(RecoveryCodes),
}

/// The second factor of the reader.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecondFactor {
    /// Whether a code is asked for at a login.
    pub on: bool,
    /// How many recovery codes are left.
    pub codes_left: u32,
    /// What is shown.
    pub step: SecondFactorStep,
    /// What became of the last request.
    pub notice: Option<Notice>,
}

impl SecondFactor {
    /// Whether somebody should make new codes.
    pub fn is_short_of_codes(&self) -> bool {
        self.codes_left < 4
    }

    /// As it replaces the one in the page (`second-factor`).
    pub fn fragment(&self) -> Fragment {
        Fragment::morph("second-factor", &SecondFactorPart { factor: self })
    }

    /// Being set up.
    pub fn sample_taking() -> Self {
        let secret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";
        let uri = format!("otpauth://totp/HMS:henrik?secret={secret}&issuer=HMS");
        let step = SecondFactorStep::Take(TotpSecret::new(secret.into(), &uri));
        Self { step, ..Self::default() }
    }

    /// Just switched on.
    pub fn sample_codes() -> Self {
        let code = |n: u32| format!("k{n}fm-7q2x-9vtd-p4h{n}-wz8r");
        let step = SecondFactorStep::Codes(RecoveryCodes((0..10).map(code).collect()));
        Self { on: true, codes_left: 10, step, notice: None }
    }
}

#[derive(Template)]
#[template(path = "parts/second_factor.html")]
struct SecondFactorPart<'a> {
    factor: &'a SecondFactor,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Security case 49.
    #[test]
    fn debug_shows_no_secret() {
        let shown = format!("{:?}{:?}", SecondFactor::sample_taking(), SecondFactor::sample_codes());
        assert!(!shown.contains("JBSW") && !shown.contains("fm-7q2x"), "{shown}");
    }

    #[test]
    fn a_secret_is_typed_in_groups() {
        assert_eq!(TotpSecret::new("ABCDEFGHIJ".into(), "").groups(), "ABCD EFGH IJ");
    }
}
