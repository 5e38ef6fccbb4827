//! Error pages: what, why, what next.

use crate::Template;

/// Which error it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProblemKind {
    /// 400
    BadRequest,
    /// 403
    Denied,
    /// 404
    #[default]
    NotFound,
    /// 405
    WrongMethod,
    /// 413
    TooLarge,
    /// 422 and the like.
    Unfit,
    /// 429
    Throttled,
    /// 500
    Internal,
    /// 503, above all when the database is down.
    Unavailable,
    /// 502 or 504: the host's agent does not answer.
    Unreachable,
}

impl ProblemKind {
    /// The HTTP status that goes with it.
    pub fn status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Denied => 403,
            Self::NotFound => 404,
            Self::WrongMethod => 405,
            Self::TooLarge => 413,
            Self::Unfit => 422,
            Self::Throttled => 429,
            Self::Internal => 500,
            Self::Unreachable => 502,
            Self::Unavailable => 503,
        }
    }

    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::BadRequest => ("This request cannot be understood", "Go back and try again."),
            Self::Denied => {
                ("You may not do this", "Ask an admin of this installation for the role it needs.")
            }
            Self::NotFound => (
                "There is nothing here",
                "The address may be old or mistyped. Look for it from the dashboard.",
            ),
            Self::WrongMethod => ("This address does not do that", "Go back and use the button of the page."),
            Self::TooLarge => ("This is too large", "Go back and send less at once."),
            Self::Unfit => ("This cannot be taken", "Go back, mend what was typed and send it again."),
            Self::Throttled => ("Too many requests", "Wait a moment, then try again."),
            Self::Internal => (
                "HMS made a mistake",
                "Nothing more was done. The request id finds the cause in the log of the controller.",
            ),
            Self::Unreachable => (
                "The host does not answer",
                "What runs there may well be running. Look at the host's agent and the network.",
            ),
            Self::Unavailable => {
                ("The database does not answer", "Apps go on running. Try again in a moment.")
            }
        }
    }
}

/// An error page. A 401 is no page: it sends the browser to the login.
#[derive(Clone, Debug, Default, PartialEq, Eq, Template)]
#[template(path = "pages/problem.html")]
pub struct ProblemPage {
    /// Which error it is.
    pub kind: ProblemKind,
    /// What exactly; empty: only the general words.
    pub message: String,
    /// What to do next; empty: the general advice.
    pub hint: String,
    /// What finds it in the log; may be empty.
    pub request_id: String,
}

impl ProblemPage {
    /// The headline.
    pub fn title(&self) -> &'static str {
        self.kind.words().0
    }

    /// What to do next.
    pub fn advice(&self) -> &str {
        if self.hint.is_empty() { self.kind.words().1 } else { &self.hint }
    }

    /// Whether the page looks again by itself.
    pub fn tries_again(&self) -> bool {
        self.kind == ProblemKind::Unavailable
    }

    /// One of a kind.
    pub fn sample(kind: ProblemKind) -> Self {
        Self { kind, request_id: "0193a5c4-7be1-7cc2-9d6e-0f1a2b3c4d5e".into(), ..Self::default() }
    }
}
