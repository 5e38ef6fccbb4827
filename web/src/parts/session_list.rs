//! Sessions of somebody: the reader's own, or those of another account.

use crate::frame::SAMPLE_NOW_US;
use crate::{Fragment, Template, View};

/// One login that has not ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionRow {
    /// Names it in the form; not the secret of the session.
    pub id: String,
    /// `web`, `rest` or `cli`.
    pub kind: String,
    /// Microseconds since the epoch, as are the two below.
    pub created_us: i64,
    /// When it was last used.
    pub seen_us: i64,
    /// When it ends by itself.
    pub expires_us: i64,
    /// Where from.
    pub address: String,
    /// With what, in the words of the program; may be empty.
    pub user_agent: String,
    /// The one this page is shown in.
    pub current: bool,
}

impl SessionRow {
    /// The program in a few words: `Firefox on Linux`.
    pub fn program(&self) -> String {
        let has = |mark: &str| self.user_agent.contains(mark);
        let name = [
            ("hmsctl", "hmsctl"),
            ("curl", "curl"),
            ("Edg/", "Edge"),
            ("Firefox/", "Firefox"),
            ("Chrome/", "Chrome"),
            ("Safari/", "Safari"),
        ]
        .into_iter()
        .find(|(mark, _)| has(mark));
        let system = [
            ("Android", "Android"),
            ("iPhone", "iOS"),
            ("iPad", "iOS"),
            ("Windows", "Windows"),
            ("Mac OS", "macOS"),
            ("Linux", "Linux"),
        ]
        .into_iter()
        .find(|(mark, _)| has(mark));
        match (name, system) {
            (Some((_, name)), Some((_, system))) => format!("{name} on {system}"),
            (Some((_, name)), None) => name.to_owned(),
            _ => self.user_agent.chars().take(60).collect(),
        }
    }

    /// A browser and a terminal.
    pub fn samples() -> Vec<Self> {
        let agent = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";
        let browser = Self {
            id: "0193a5c4-7be1-7cc2-9d6e-000000000001".into(),
            kind: "web".into(),
            created_us: SAMPLE_NOW_US - 5_400 * 1_000_000,
            seen_us: SAMPLE_NOW_US - 2_000_000,
            expires_us: SAMPLE_NOW_US + 23_400 * 1_000_000,
            address: "10.213.0.1".into(),
            user_agent: agent.into(),
            current: true,
        };
        let terminal = Self {
            id: "0193a5c4-7be1-7cc2-9d6e-000000000002".into(),
            kind: "cli".into(),
            user_agent: "hmsctl/0.1.0".into(),
            seen_us: SAMPLE_NOW_US - 600 * 1_000_000,
            current: false,
            ..browser.clone()
        };
        vec![browser, terminal]
    }
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionList {
    /// Whose they are, when they are not the reader's own.
    pub owner: Option<String>,
    /// Last used first.
    pub rows: Vec<SessionRow>,
}

#[derive(Template)]
#[template(path = "parts/session_list.html")]
struct SessionListPart<'a> {
    sessions: &'a SessionList,
    view: View,
}

impl SessionList {
    /// Where the form that ends one is sent.
    pub fn action(&self, session: &SessionRow) -> String {
        match &self.owner {
            Some(owner) => super::user_href(owner),
            None => format!("/settings/sessions/{}/revoke", crate::text::encode(&session.id)),
        }
    }

    /// How many of them are not the one that this page is shown in.
    pub fn others(&self) -> usize {
        self.rows.iter().filter(|session| !session.current).count()
    }

    /// The list as it replaces the one in the page (`session-list`).
    pub fn fragment(&self, view: View) -> Fragment {
        Fragment::morph("session-list", &SessionListPart { sessions: self, view })
    }
}
