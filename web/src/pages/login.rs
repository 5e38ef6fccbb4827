//! `/login`: who are you.

use crate::Template;

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
            LoginProblem::Wrong => ("User name or password is wrong.".to_owned(), ""),
            LoginProblem::Throttled(seconds) => (
                format!("Too many attempts. Try again in {}.", crate::text::duration(*seconds)),
                "Attempts before that are not looked at.",
            ),
            LoginProblem::Ended => ("Your session has ended.".to_owned(), "Log in to go on where you were."),
            LoginProblem::Unavailable => {
                ("Nobody can log in now: the database does not answer.".to_owned(), "Try again in a moment.")
            }
        })
    }

    /// Whether the form as it was sent is at fault.
    pub fn is_wrong(&self) -> bool {
        self.problem == Some(LoginProblem::Wrong)
    }

    /// A first visit.
    pub fn sample() -> Self {
        Self { next: "/logs?source=app:cigar".into(), ..Self::default() }
    }
}
