//! `/confirm`: proves once more who somebody is, before what must not be done by whoever finds a screen unlocked.

use crate::frame::{Notice, Place, Tone};
use crate::{Frame, Template};

/// The question.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    /// Whether a code of the second factor is taken, too.
    pub totp: bool,
    /// Where to go afterwards: a path of this site, or empty.
    pub next: String,
    /// Why the last answer did not do.
    pub error: Option<Notice>,
}

impl Proof {
    /// As a script shows it over what somebody was about to do (`proof`).
    pub fn fragment(&self, username: &str) -> crate::Fragment {
        crate::Fragment::morph("proof", &ProofPart { proof: self, username })
    }
}

#[derive(Template)]
#[template(path = "parts/proof.html")]
struct ProofPart<'a> {
    proof: &'a Proof,
    username: &'a str,
}

/// The page of the question.
#[derive(Clone, Debug, Default, PartialEq, Eq, Template)]
#[template(path = "pages/confirm.html")]
pub struct ConfirmPage {
    /// What surrounds it.
    pub frame: Frame,
    /// The question.
    pub proof: Proof,
}

impl ConfirmPage {
    fn username(&self) -> &str {
        &self.frame.username
    }

    /// On the way to an invitation.
    pub fn sample() -> Self {
        let proof = Proof { totp: true, next: "/settings/invite?username=maria".into(), error: None };
        Self { frame: Frame::sample(Place::Settings, "Confirm that it is you"), proof }
    }

    /// The password was wrong.
    pub fn sample_wrong() -> Self {
        let mut page = Self::sample();
        page.proof.totp = false;
        page.proof.error = Some(Notice {
            tone: Tone::Bad,
            message: "The password is wrong.".into(),
            hint: "It is your own, with which you log in.".into(),
        });
        page
    }
}
