//! `/settings/users/{name}`: one account.

use crate::frame::Place;
use crate::parts::{SessionList, TokenList, UserCard};
use crate::{Frame, Template};

/// One account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Template)]
#[template(path = "pages/user.html")]
pub struct UserPage {
    /// What surrounds it.
    pub frame: Frame,
    /// The account.
    pub card: UserCard,
}

impl UserPage {
    fn sessions(&self) -> &SessionList {
        &self.card.sessions
    }

    fn tokens(&self) -> &TokenList {
        &self.card.tokens
    }

    fn of(card: UserCard) -> Self {
        Self { frame: Frame::sample(Place::Settings, &card.user.name), card }
    }

    /// Somebody with sessions and tokens.
    pub fn sample() -> Self {
        Self::of(UserCard::sample())
    }

    /// Somebody who cannot log in.
    pub fn sample_disabled() -> Self {
        Self::of(UserCard::sample_disabled())
    }

    /// The reader.
    pub fn sample_own() -> Self {
        Self::of(UserCard::sample_own())
    }

    /// A link for a new password was made.
    pub fn sample_reset() -> Self {
        Self::of(UserCard::sample_reset())
    }
}
