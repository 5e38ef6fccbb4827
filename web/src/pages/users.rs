//! `/settings/users` and `/settings/invite`: who may log in.

use crate::frame::Place;
use crate::parts::{Invite, UserList, UserRow};
use crate::{Frame, Template};

/// The accounts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Template)]
#[template(path = "pages/users.html")]
pub struct UsersPage {
    /// What surrounds it.
    pub frame: Frame,
    /// All of them.
    pub users: UserList,
}

impl UsersPage {
    /// Somebody in each state.
    pub fn sample() -> Self {
        let users = UserList { rows: UserRow::samples() };
        Self { frame: Frame::sample(Place::Settings, "Users"), users }
    }

    /// Nobody but the reader.
    pub fn sample_empty() -> Self {
        let mut page = Self::sample();
        page.users.rows.truncate(1);
        page
    }
}

/// Invites somebody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Template)]
#[template(path = "pages/invite.html")]
pub struct InvitePage {
    /// What surrounds it.
    pub frame: Frame,
    /// The form, or the link.
    pub invite: Invite,
}

impl InvitePage {
    /// An empty form.
    pub fn sample() -> Self {
        Self { frame: Frame::sample(Place::Settings, "Invite somebody"), invite: Invite::sample() }
    }

    /// A name that is taken.
    pub fn sample_refused() -> Self {
        Self { invite: Invite::sample_refused(), ..Self::sample() }
    }

    /// A link was made.
    pub fn sample_invited() -> Self {
        Self { invite: Invite::sample_invited(), ..Self::sample() }
    }
}
