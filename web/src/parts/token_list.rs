//! API tokens: those there are, and the form that makes one.

use std::fmt;

use super::{Scope, ScopePicker};
use crate::frame::{Notice, SAMPLE_NOW_US};
use crate::{Fragment, Role, Template, View};

/// Ends within so many days: soon.
const SOON_US: i64 = 7 * 86_400 * 1_000_000;

/// A token without its secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenRow {
    /// Names it in the form.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// viewer, operator or admin.
    pub role: String,
    /// What it reaches of what its owner does.
    pub scope: Scope,
    /// `hmst_3fQ9`
    pub begins: String,
    /// Microseconds since the epoch, as are the two below.
    pub created_us: i64,
    /// When it ends by itself.
    pub expires_us: i64,
    /// `None`: never.
    pub used_us: Option<i64>,
    /// Where it was used last.
    pub address: String,
}

impl TokenRow {
    /// Whether somebody should think of the next one.
    pub fn ends_soon(&self, now_us: &i64) -> bool {
        self.expires_us - now_us < SOON_US
    }

    /// One that is used, and one that was never used and ends soon.
    pub fn samples() -> Vec<Self> {
        let days = |days: i64| days * 86_400_000_000;
        let first = Self {
            id: "0193a5c4-7be1-7cc2-9d6e-00000000000a".into(),
            name: "deploys from ci".into(),
            role: "operator".into(),
            scope: Scope { apps: vec!["cigar".into()], ..Scope::default() },
            begins: "hmst_3fQ9".into(),
            created_us: SAMPLE_NOW_US - days(20),
            expires_us: SAMPLE_NOW_US + days(70),
            used_us: Some(SAMPLE_NOW_US - 240 * 1_000_000),
            address: "10.213.0.7".into(),
        };
        let second = Self {
            id: "0193a5c4-7be1-7cc2-9d6e-00000000000b".into(),
            name: "wall display".into(),
            role: "viewer".into(),
            scope: Scope::everything(),
            begins: "hmst_x0Kd".into(),
            expires_us: SAMPLE_NOW_US + days(3),
            used_us: None,
            address: String::new(),
            ..first.clone()
        };
        vec![first, second]
    }
}

/// The tokens of somebody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenList {
    /// Whose they are, when they are not the reader's own.
    pub owner: Option<String>,
    /// The youngest first.
    pub rows: Vec<TokenRow>,
}

impl TokenList {
    /// Where the form that revokes one is sent.
    pub fn action(&self, token: &TokenRow) -> String {
        match &self.owner {
            Some(owner) => super::user_href(owner),
            None => format!("/settings/tokens/{}/revoke", crate::text::encode(&token.id)),
        }
    }

    /// As it replaces the one in the page (`token-list`).
    pub fn fragment(&self, view: View) -> Fragment {
        Fragment::morph("token-list", &TokenListPart { tokens: self, view })
    }
}

#[derive(Template)]
#[template(path = "parts/token_list.html")]
struct TokenListPart<'a> {
    tokens: &'a TokenList,
    view: View,
}

/// A token that was just made. Its secret shows itself to nobody but the template.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct NewToken {
    /// What it is for.
    pub name: String,
    /// The secret.
    pub secret: String,
    /// Microseconds since the epoch.
    pub expires_us: i64,
    /// Where the installation is: `https://hms.example:9443`.
    pub origin: String,
}

impl NewToken {
    /// How it is used, without the secret in the history of a shell.
    pub fn curl(&self) -> String {
        format!("curl -H \"Authorization: Bearer $HMS_TOKEN\" {}/api/apps", self.origin)
    }
}

impl fmt::Debug for NewToken {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("NewToken").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Makes a token, or shows the one that was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddToken {
    /// As typed.
    pub name: String,
    /// As picked.
    pub role: Role,
    /// As picked.
    pub picker: ScopePicker,
    /// As typed.
    pub days: String,
    /// Why it was not made.
    pub error: Option<Notice>,
    /// The one that was made.
    pub made: Option<NewToken>,
}

impl AddToken {
    /// The roles that the reader can give away.
    pub fn roles(&self, view: &View) -> Vec<Role> {
        Role::ALL.into_iter().filter(|role| *role <= view.role).collect()
    }

    /// As it replaces the one in the page (`add-token`).
    pub fn fragment(&self, view: View) -> Fragment {
        Fragment::morph("add-token", &AddTokenPart { add: self, view })
    }

    /// An empty form.
    pub fn sample() -> Self {
        Self { days: "90".into(), picker: ScopePicker::sample(), ..Self::default() }
    }

    /// A token that was just made.
    pub fn sample_made() -> Self {
        let made = NewToken {
            name: "deploys from ci".into(),
            secret: "hmst_3fQ9Zk1vTnqk2VtWkqv0bS1QJm7yF4o8cXh6eLwPzRa".into(),
            expires_us: SAMPLE_NOW_US + 90 * 86_400_000_000,
            origin: "https://hms.example:9443".into(),
        };
        Self { made: Some(made), ..Self::default() }
    }
}

#[derive(Template)]
#[template(path = "parts/add_token.html")]
struct AddTokenPart<'a> {
    add: &'a AddToken,
    view: View,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Security case 49.
    #[test]
    fn debug_shows_no_secret() {
        let made = AddToken::sample_made();
        assert!(!format!("{made:?}").contains("hmst_"));
    }

    #[test]
    fn nobody_is_offered_a_role_above_their_own() {
        let roles = |role| AddToken::default().roles(&View { role, now_us: 0 });
        assert_eq!(roles(Role::Viewer), [Role::Viewer]);
        assert_eq!(roles(Role::Operator), [Role::Viewer, Role::Operator]);
        assert_eq!(roles(Role::Admin).len(), 3);
    }
}
