//! The releases of an app that are on its host.

use crate::frame::SAMPLE_NOW_US;
use crate::{Fragment, Template, View, text};

/// One release.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReleaseRow {
    /// `20261125T101502-1a2b3c4`
    pub id: String,
    /// The whole commit id.
    pub commit: String,
    /// From which branch; may be empty.
    pub branch: String,
    /// First line of the commit's message.
    pub subject: String,
    /// Who wrote it.
    pub author: String,
    /// When it was built, in microseconds since the epoch.
    pub created_us: i64,
    /// When it last went live.
    pub live_us: Option<i64>,
    /// The deployment that made it; may be empty.
    pub deployment: String,
    /// Who asked for it.
    pub actor: String,
    /// Version of the secrets that it is tied to; 0: none.
    pub secrets_version: u32,
    /// Whether it was ever live and well.
    pub healthy: bool,
    /// Whether it is live.
    pub live: bool,
}

#[derive(Template)]
#[template(path = "parts/release_list.html")]
struct ReleaseListPart<'a> {
    key: &'a str,
    host: &'a str,
    releases: &'a [ReleaseRow],
    releases_problem: &'a str,
    view: View,
}

/// The releases of an app as they replace those in the page (`releases`); `problem` says why they cannot be told.
pub fn release_list_fragment(
    key: &str,
    host: &str,
    told: Result<&[ReleaseRow], &str>,
    view: View,
) -> Fragment {
    let (releases, releases_problem) = told.map_or_else(|why| (&[][..], why), |releases| (releases, ""));
    Fragment::morph("releases", &ReleaseListPart { key, host, releases, releases_problem, view })
}

impl ReleaseRow {
    /// Its id in the page.
    pub fn row_id(&self) -> String {
        format!("release-{}", super::slug(&self.id))
    }

    /// As people read a commit.
    pub fn short_commit(&self) -> &str {
        self.commit.get(..7).unwrap_or(&self.commit)
    }

    /// The commit's message, fit to be shown.
    pub fn shown_subject(&self) -> String {
        text::plain(if self.subject.is_empty() { &self.id } else { &self.subject })
    }

    /// The page that asks before it is gone back to.
    pub fn rollback_href(&self, app: &str) -> String {
        format!("{}?release={}", super::app_href(app, "rollback"), text::encode(&self.id))
    }

    /// Where it was made; empty when that is not known.
    pub fn made_href(&self) -> String {
        if self.deployment.is_empty() {
            String::new()
        } else {
            format!("/deployments/{}", text::encode(&self.deployment))
        }
    }

    /// Three of them, newest first.
    pub fn samples() -> Vec<Self> {
        let release = |id: &str, subject: &str, hours: i64, healthy, live| Self {
            id: id.into(),
            commit: format!("{}d9be04c7785a1f0f3c2ab61d2e9057731", &id[16..]),
            branch: "main".into(),
            subject: subject.into(),
            author: "Ada Lind".into(),
            created_us: SAMPLE_NOW_US - hours * 3_600_000_000,
            live_us: Some(SAMPLE_NOW_US - hours * 3_600_000_000).filter(|_| healthy),
            deployment: "0193a5c4-7be1-7cc2-9d6e-000000000301".into(),
            actor: "henrik".into(),
            secrets_version: 3,
            healthy,
            live,
        };
        vec![
            release(
                "20261124T183512-8f3c2a1",
                "Show the humidor's temperature on the front page",
                3,
                true,
                true,
            ),
            release("20261123T091144-1a2b3c4", "Let members book a table", 33, true, false),
            release(
                "20261122T160903-77aa01b",
                "Count cigars twice <script>alert(1)</script>",
                51,
                false,
                false,
            ),
        ]
    }
}
