//! One account as an admin sees it: what it is, and everything that can be done with it.

use super::{ScopePicker, SessionList, SessionRow, TokenList, TokenRow, UserRow, UserState};
use crate::events::html;
use crate::frame::{Notice, Role};
use crate::{Fragment, Template, View};

/// An account, with its sessions and tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserCard {
    /// The account.
    pub user: UserRow,
    /// The form of its role, as typed.
    pub role: Role,
    /// The form of its scope, as typed.
    pub picker: ScopePicker,
    /// What became of the last request.
    pub notice: Option<Notice>,
    /// A link that is shown this once.
    pub invited: Option<super::Invited>,
    /// Logins that have not ended.
    pub sessions: SessionList,
    /// Its tokens.
    pub tokens: TokenList,
}

impl UserCard {
    /// All roles.
    pub fn roles(&self) -> [Role; 3] {
        Role::ALL
    }

    /// Whether they can be locked out.
    pub fn can_be_disabled(&self) -> bool {
        self.user.state != UserState::Disabled
    }

    /// What locking them out does, before it is done.
    pub fn disabling(&self) -> String {
        let sessions = match self.user.sessions {
            0 => String::new(),
            1 => "One session ends at once. ".into(),
            many => format!("{many} sessions end at once. "),
        };
        let tokens = match self.user.tokens {
            0 => "",
            1 => "One API token is refused. ",
            _ => "All API tokens are refused. ",
        };
        format!("{sessions}{tokens}{} can be enabled again, as it was.", self.user.name)
    }

    /// The answer to a form that was sent by a script.
    pub fn answer(&self, view: View) -> String {
        html(&UserCardPart { card: self, sessions: &self.sessions, tokens: &self.tokens, view })
    }

    /// As it replaces the one in the page (`user`).
    pub fn fragment(&self, view: View) -> Fragment {
        let part = UserCardPart { card: self, sessions: &self.sessions, tokens: &self.tokens, view };
        Fragment::morph("user", &part)
    }

    /// Somebody with sessions and tokens.
    pub fn sample() -> Self {
        let user = UserRow::samples().remove(1);
        let owner = Some(user.name.clone());
        let rows = SessionRow::samples().into_iter().map(|row| SessionRow { current: false, ..row });
        let picker = ScopePicker {
            scope: user.scope.clone(),
            ..ScopePicker::new(
                user.scope.clone(),
                &["asterra", "borealis"].map(ToOwned::to_owned),
                &["cigar", "tobacco"].map(ToOwned::to_owned),
            )
        };
        Self {
            role: user.role,
            picker,
            sessions: SessionList { owner: owner.clone(), rows: rows.collect() },
            tokens: TokenList { owner, rows: TokenRow::samples() },
            user,
            ..Self::default()
        }
    }

    /// Somebody who cannot log in.
    pub fn sample_disabled() -> Self {
        let mut card = Self::sample();
        card.user = UserRow::samples().remove(3);
        card.sessions.rows.clear();
        card.tokens.rows.clear();
        card
    }

    /// The reader.
    pub fn sample_own() -> Self {
        let mut card = Self::sample();
        card.user = UserRow::samples().remove(0);
        card.role = Role::Admin;
        card.picker.scope = super::Scope::everything();
        card
    }

    /// A link was just made.
    pub fn sample_reset() -> Self {
        Self { invited: Some(super::Invited::sample()), ..Self::sample() }
    }
}

#[derive(Template)]
#[template(path = "parts/user.html")]
struct UserCardPart<'a> {
    card: &'a UserCard,
    sessions: &'a SessionList,
    tokens: &'a TokenList,
    view: View,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_disabling_does_is_said_before() {
        let mut card = UserCard::sample();
        assert!(card.disabling().starts_with("One session ends at once. maria can"));
        card.user.sessions = 3;
        card.user.tokens = 2;
        assert!(card.disabling().starts_with("3 sessions end at once. All API tokens are refused."));
    }
}
