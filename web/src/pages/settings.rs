//! `/settings`: the reader's own account, sessions and tokens, and how the pages look.

use crate::frame::{Notice, PaletteEntry, Place, SAMPLE_NOW_US, Tone};
use crate::parts::{Scope, SecondFactor, SessionList, SessionRow, TokenList, TokenRow};
use crate::{Frame, Template};

/// The reader's own account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnAccount {
    /// What they may act on.
    pub scope: Scope,
    /// Microseconds since the epoch, as is the one below.
    pub created_us: i64,
    /// When the password was chosen.
    pub password_us: i64,
    /// How long a new one is at least.
    pub shortest: usize,
    /// What became of a new password.
    pub notice: Option<Notice>,
}

impl OwnAccount {
    /// An admin of everything.
    pub fn sample() -> Self {
        Self {
            scope: Scope::everything(),
            created_us: SAMPLE_NOW_US - 80 * 86_400_000_000,
            password_us: SAMPLE_NOW_US - 40 * 86_400_000_000,
            shortest: 12,
            notice: None,
        }
    }

    /// As it replaces the one in the page (`password`).
    pub fn fragment(&self, username: &str) -> crate::Fragment {
        crate::Fragment::morph("password", &PasswordPart { account: self, username })
    }
}

#[derive(Template)]
#[template(path = "parts/password.html")]
struct PasswordPart<'a> {
    account: &'a OwnAccount,
    username: &'a str,
}

/// The settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Template)]
#[template(path = "pages/settings.html")]
pub struct SettingsPage {
    /// What surrounds it.
    pub frame: Frame,
    /// Who the reader is.
    pub account: OwnAccount,
    /// Their second factor.
    pub factor: SecondFactor,
    /// Their own sessions.
    pub sessions: SessionList,
    /// Their own API tokens.
    pub tokens: TokenList,
    /// Version of the controller.
    pub version: String,
}

impl SettingsPage {
    /// A browser and a terminal are logged in.
    pub fn sample() -> Self {
        Self {
            frame: Frame::sample(Place::Settings, "Settings"),
            account: OwnAccount::sample(),
            factor: SecondFactor { on: true, codes_left: 7, ..SecondFactor::default() },
            sessions: SessionList { owner: None, rows: SessionRow::samples() },
            tokens: TokenList { owner: None, rows: TokenRow::samples() },
            version: "0.1.0".into(),
        }
    }

    /// A viewer of one app, without a second factor and tokens.
    pub fn sample_viewer() -> Self {
        let mut page = Self::sample();
        page.frame.view.role = crate::Role::Viewer;
        page.frame.palette.retain(|entry| matches!(entry, PaletteEntry::Go { .. }));
        page.account.scope = Scope { apps: vec!["cigar".into()], ..Scope::default() };
        page.account.shortest = 15;
        page.account.notice = Some(Notice {
            tone: Tone::Bad,
            message: "The password has 8 characters; it must have at least 15.".into(),
            hint: "Four words in a row are a good one.".into(),
        });
        page.factor = SecondFactor::default();
        page.sessions.rows.truncate(1);
        page.tokens.rows.clear();
        page
    }

    /// The second factor is being set up.
    pub fn sample_taking() -> Self {
        Self { factor: SecondFactor::sample_taking(), ..Self::sample() }
    }

    /// It was just switched on.
    pub fn sample_codes() -> Self {
        Self { factor: SecondFactor::sample_codes(), ..Self::sample() }
    }

    /// The code did not fit.
    pub fn sample_code_wrong() -> Self {
        let notice = Notice {
            tone: Tone::Bad,
            message: "The code does not fit.".into(),
            hint: "Wait for the next one; the clock of the phone must be right.".into(),
        };
        let step = crate::parts::SecondFactorStep::Code;
        let factor = SecondFactor { step, notice: Some(notice), ..SecondFactor::default() };
        Self { factor, ..Self::sample() }
    }
}
