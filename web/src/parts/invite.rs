//! Inviting somebody: the form, and the link that is shown once.

use std::fmt;

use super::{ScopePicker, UserRow};
use crate::frame::{Notice, SAMPLE_NOW_US};
use crate::{Fragment, Role, Template, View};

/// A link with which somebody chooses a password. It shows itself to nobody but the template.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Invited {
    /// For whom.
    pub name: String,
    /// The page, with the code after the `#`.
    pub url: String,
    /// Microseconds since the epoch.
    pub expires_us: i64,
}

impl fmt::Debug for Invited {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("Invited").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Invited {
    /// A link that was just made.
    pub fn sample() -> Self {
        Self {
            name: "maria".into(),
            url: "https://hms.example:9443/login/invitation#7Hk2-Zq9v-T4mX-c8Lw-Rb3N-y6Ps".into(),
            expires_us: SAMPLE_NOW_US + 86_400_000_000,
        }
    }
}

/// The form, or what came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invite {
    /// As typed.
    pub name: String,
    /// As picked.
    pub role: Role,
    /// As picked.
    pub picker: ScopePicker,
    /// Why nobody was invited.
    pub error: Option<Notice>,
    /// The link that was made.
    pub invited: Option<Invited>,
}

impl Invite {
    /// All roles.
    pub fn roles(&self) -> [Role; 3] {
        Role::ALL
    }

    /// Their page.
    pub fn href(&self) -> String {
        UserRow { name: self.name.clone(), ..UserRow::default() }.href()
    }

    /// As it replaces the one in the page (`invite`).
    pub fn fragment(&self, view: View) -> Fragment {
        Fragment::morph("invite", &InvitePart { invite: self, view })
    }

    /// An empty form.
    pub fn sample() -> Self {
        Self { picker: ScopePicker::sample(), ..Self::default() }
    }

    /// A name that is taken.
    pub fn sample_refused() -> Self {
        let error = Notice {
            tone: crate::frame::Tone::Bad,
            message: "There is a user henrik already.".into(),
            hint: "Choose another name, or edit that account.".into(),
        };
        Self { name: "henrik".into(), error: Some(error), ..Self::sample() }
    }

    /// A link that was just made.
    pub fn sample_invited() -> Self {
        Self { name: "maria".into(), invited: Some(Invited::sample()), ..Self::sample() }
    }
}

#[derive(Template)]
#[template(path = "parts/invite.html")]
struct InvitePart<'a> {
    invite: &'a Invite,
    view: View,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Security case 49.
    #[test]
    fn debug_shows_no_code() {
        assert!(!format!("{:?}", Invite::sample_invited()).contains('#'));
    }
}
