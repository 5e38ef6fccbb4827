//! The people who may log in.

use super::Scope;
use crate::frame::SAMPLE_NOW_US;
use crate::{Fragment, Role, Template, View};

/// Whether somebody can log in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UserState {
    /// They can.
    #[default]
    Active,
    /// They have not chosen a password yet.
    Invited,
    /// They cannot, until they are enabled again.
    Disabled,
}

impl UserState {
    /// The word for it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Invited => "invited",
            Self::Disabled => "disabled",
        }
    }

    /// The shape that goes with it.
    pub fn shape(&self) -> &'static str {
        match self {
            Self::Active => "running",
            Self::Invited => "starting",
            Self::Disabled => "stopped",
        }
    }
}

/// An account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserRow {
    /// The name they log in with.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// What they may do it to.
    pub scope: Scope,
    /// Whether they can log in.
    pub state: UserState,
    /// Whether a second factor is asked for.
    pub totp: bool,
    /// Microseconds since the epoch, as are those below.
    pub created_us: i64,
    /// `None`: never.
    pub seen_us: Option<i64>,
    /// `None`: they have none.
    pub password_us: Option<i64>,
    /// Until when an invitation holds that was not used.
    pub invited_until_us: Option<i64>,
    /// How many logins have not ended.
    pub sessions: u32,
    /// How many API tokens there are.
    pub tokens: u32,
    /// Whether it is the reader.
    pub is_you: bool,
}

impl UserRow {
    /// Their page.
    pub fn href(&self) -> String {
        user_href(&self.name)
    }

    /// One in each state.
    pub fn samples() -> Vec<Self> {
        let hour = 3_600_000_000;
        let henrik = Self {
            name: "henrik".into(),
            role: Role::Admin,
            scope: Scope::everything(),
            totp: true,
            created_us: SAMPLE_NOW_US - 2_000 * hour,
            seen_us: Some(SAMPLE_NOW_US - 2_000_000),
            password_us: Some(SAMPLE_NOW_US - 900 * hour),
            sessions: 2,
            tokens: 2,
            is_you: true,
            ..Self::default()
        };
        let maria = Self {
            name: "maria".into(),
            role: Role::Operator,
            scope: Scope { hosts: vec!["asterra".into()], apps: vec!["cigar".into()], all: false },
            totp: false,
            seen_us: Some(SAMPLE_NOW_US - 50 * hour),
            sessions: 1,
            tokens: 0,
            is_you: false,
            ..henrik.clone()
        };
        let invited = Self {
            name: "jonas".into(),
            role: Role::Viewer,
            scope: Scope { apps: vec!["tobacco".into()], ..Scope::default() },
            state: UserState::Invited,
            created_us: SAMPLE_NOW_US - hour,
            seen_us: None,
            password_us: None,
            invited_until_us: Some(SAMPLE_NOW_US + 23 * hour),
            sessions: 0,
            ..maria.clone()
        };
        let disabled = Self { name: "ole".into(), state: UserState::Disabled, sessions: 0, ..maria.clone() };
        vec![henrik, maria, invited, disabled]
    }
}

/// The page of an account.
pub fn user_href(name: &str) -> String {
    format!("/settings/users/{}", crate::text::encode(name))
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserList {
    /// By name.
    pub rows: Vec<UserRow>,
}

impl UserList {
    /// Whether there is nobody but the reader.
    pub fn is_lonely(&self) -> bool {
        self.rows.iter().all(|user| user.is_you)
    }

    /// As it replaces the one in the page (`user-list`).
    pub fn fragment(&self, view: View) -> Fragment {
        Fragment::morph("user-list", &UserListPart { users: self, view })
    }
}

#[derive(Template)]
#[template(path = "parts/user_list.html")]
struct UserListPart<'a> {
    users: &'a UserList,
    view: View,
}
