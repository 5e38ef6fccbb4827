//! `/settings/tokens/new`: a token for a machine.

use crate::frame::Place;
use crate::parts::AddToken;
use crate::{Frame, Template};

/// Makes a token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Template)]
#[template(path = "pages/token_new.html")]
pub struct TokenNewPage {
    /// What surrounds it.
    pub frame: Frame,
    /// The form, or the token.
    pub add: AddToken,
}

impl TokenNewPage {
    /// An empty form.
    pub fn sample() -> Self {
        Self { frame: Frame::sample(Place::Settings, "New API token"), add: AddToken::sample() }
    }

    /// A token was made.
    pub fn sample_made() -> Self {
        Self { add: AddToken::sample_made(), ..Self::sample() }
    }
}
