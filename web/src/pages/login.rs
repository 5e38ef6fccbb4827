//! `/login`: who are you.

use crate::{Template, frame::Tone};

/// Why the last attempt did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginProblem {
    /// Name or password is wrong; which one is not said.
    Wrong,
    /// Too many attempts; seconds until the next one is looked at.
    Throttled(u64),
    /// The session has ended.
    Ended,
    /// The database is down: nobody can log in.
    Unavailable,
    /// The second step came too late, or after too many wrong codes.
    TooLate,
    /// None: somebody chose their password just now.
    Welcome,
}

/// The login.
#[derive(Clone, Debug, Default, PartialEq, Eq, Template)]
#[template(path = "pages/login.html")]
pub struct LoginPage {
    /// As typed; the password is never given back.
    pub username: String,
    /// Where to go afterwards: a path of this site, or empty.
    pub next: String,
    /// Why the last attempt did not succeed.
    pub problem: Option<LoginProblem>,
}

impl LoginPage {
    /// What the page says about the last attempt: what, and what next.
    pub fn message(&self) -> Option<(String, &'static str)> {
        Some(match self.problem.as_ref()? {
            LoginProblem::Wrong => (
                "User name or password is wrong.".to_owned(),
                "Check both and try again. If the password is lost, an admin can let you choose a new one.",
            ),
            LoginProblem::Throttled(seconds) => (
                format!("Too many attempts. Try again in {}.", crate::text::duration(*seconds)),
                "Attempts before that are not looked at.",
            ),
            LoginProblem::Ended => ("Your session has ended.".to_owned(), "Log in to go on where you were."),
            LoginProblem::Unavailable => {
                ("Nobody can log in now: the database does not answer.".to_owned(), "Try again in a moment.")
            }
            LoginProblem::TooLate => {
                let what = "That took too long, or there were too many wrong codes.";
                (what.to_owned(), "Begin again with your password.")
            }
            LoginProblem::Welcome => ("Your password is set.".to_owned(), "Log in with it."),
        })
    }

    /// Whether the form as it was sent is at fault.
    pub fn is_wrong(&self) -> bool {
        self.problem == Some(LoginProblem::Wrong)
    }

    /// How the message is meant.
    pub fn tone(&self) -> Tone {
        match self.problem {
            Some(LoginProblem::Welcome) => Tone::Good,
            Some(LoginProblem::Ended) | None => Tone::Info,
            Some(_) => Tone::Bad,
        }
    }

    /// A first visit.
    pub fn sample() -> Self {
        Self { next: "/logs?source=app:cigar".into(), ..Self::default() }
    }
}

/// `/login/code`: the second factor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Template)]
#[template(path = "pages/login_code.html")]
pub struct LoginCodePage {
    /// Where to go afterwards: a path of this site, or empty.
    pub next: String,
    /// Why the last attempt did not succeed.
    pub problem: Option<LoginProblem>,
}

impl LoginCodePage {
    /// What the page says about the last attempt: what, and what next.
    pub fn message(&self) -> Option<(String, &'static str)> {
        match self.problem? {
            LoginProblem::Wrong => Some((
                "That code is wrong, or was used before.".to_owned(),
                "Wait for the next one, or use a recovery code.",
            )),
            problem => LoginPage { problem: Some(problem), ..LoginPage::default() }.message(),
        }
    }

    /// After a right password.
    pub fn sample() -> Self {
        Self { next: "/".into(), problem: None }
    }

    /// After a wrong code.
    pub fn sample_wrong() -> Self {
        Self { problem: Some(LoginProblem::Wrong), ..Self::sample() }
    }
}

/// `/login/invitation`: somebody who was invited chooses a password. `Debug` does not show the code.
#[derive(Clone, Default, PartialEq, Eq, Template)]
#[template(path = "pages/invitation.html")]
pub struct InvitationPage {
    /// As it came with the last attempt. Else the page's script takes it from behind the `#` of the address.
    pub code: String,
    /// Why the last attempt did not succeed, and what to do next.
    pub problem: Option<(String, String)>,
}

impl std::fmt::Debug for InvitationPage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InvitationPage").field("problem", &self.problem).finish_non_exhaustive()
    }
}

impl InvitationPage {
    /// After a password that is too short.
    pub fn sample() -> Self {
        Self {
            code: "R5l0yJp8Hc3…".into(),
            problem: Some((
                "The password has 9 characters; it must have at least 15.".into(),
                "Correct the input and try again.".into(),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_went_wrong_looks_so() {
        let shown = |problem| LoginPage { problem: Some(problem), ..LoginPage::default() }.to_string();
        assert!(shown(LoginProblem::Welcome).contains("notice-good"));
        assert!(shown(LoginProblem::Ended).contains("notice-info"));
        let wait = shown(LoginProblem::Throttled(31));
        assert!(wait.contains("notice-bad") && wait.contains("Try again in 31 s."), "{wait}");
    }

    /// Whatever the page says, it says what to do next.
    #[test]
    fn every_message_says_what_next() {
        for problem in [
            LoginProblem::Wrong,
            LoginProblem::Throttled(600),
            LoginProblem::Ended,
            LoginProblem::Unavailable,
            LoginProblem::TooLate,
            LoginProblem::Welcome,
        ] {
            let (what, next) =
                LoginPage { problem: Some(problem), ..LoginPage::default() }.message().unwrap();
            assert!(what.ends_with('.') && next.ends_with('.'), "{what} {next}");
            let (what, next) =
                LoginCodePage { problem: Some(problem), ..LoginCodePage::default() }.message().unwrap();
            assert!(what.ends_with('.') && next.ends_with('.'), "{what} {next}");
        }
    }

    /// Security case 49.
    #[test]
    fn debug_shows_no_code() {
        assert!(!format!("{:?}", InvitationPage::sample()).contains("R5l0"));
    }
}
