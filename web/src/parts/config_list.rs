//! nginx of one host: its state, what drifted, its sites and other files.

use super::{ConfigDrift, ConfigFile, ConfigOutcome, ConfigPending, ConfigProblem};
use crate::frame::Notice;
use crate::{Fragment, Template, View};

/// A host to choose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigHost {
    /// Its name.
    pub name: String,
    /// What is to be seen there: `broken`, `waits`, `drift`; empty: nothing.
    pub mark: &'static str,
    /// Whether it is the one that is shown.
    pub chosen: bool,
}

/// All that is known of nginx on one host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigList {
    /// Its name.
    pub host: String,
    /// `nginx/1.22.1`; empty: nginx is not installed.
    pub version: String,
    /// Whether nginx runs.
    pub running: bool,
    /// When it was seen, in microseconds since the epoch; none: never.
    pub seen_us: Option<i64>,
    /// Why this is old, or nothing.
    pub stale: Option<Notice>,
    /// What nginx says of the tree as it is.
    pub problems: Vec<ConfigProblem>,
    /// The last change made through HMS.
    pub last: Option<ConfigOutcome>,
    /// Edits made past HMS.
    pub drifts: Vec<ConfigDrift>,
    /// All files, by path.
    pub files: Vec<ConfigFile>,
}

#[derive(Template)]
#[template(path = "parts/config_list.html")]
struct ConfigListPart<'a> {
    list: &'a ConfigList,
    view: View,
}

impl ConfigList {
    /// The list as it replaces the one in the page (`configs`).
    pub fn fragment(&self, view: View) -> Fragment {
        Fragment::morph("configs", &ConfigListPart { list: self, view })
    }

    /// The sites.
    pub fn sites(&self) -> impl Iterator<Item = &ConfigFile> {
        self.files.iter().filter(|f| f.is_site)
    }

    /// All other files: nginx.conf first, and what nothing includes last.
    pub fn others(&self) -> Vec<&ConfigFile> {
        let mut files: Vec<_> = self.files.iter().filter(|f| !f.is_site).collect();
        files.sort_by_key(|f| (f.path != "nginx.conf", !f.enabled, !f.path.contains(".d/"), f.path.clone()));
        files
    }

    /// Whether the tree as it is would not be taken by nginx.
    pub fn is_broken(&self) -> bool {
        self.problems.iter().any(ConfigProblem::is_error)
    }

    /// Where actions of the host are sent.
    pub fn action(&self) -> String {
        format!("/configs/{}", crate::text::encode(&self.host))
    }
}

#[derive(Template)]
#[template(path = "parts/config_pending.html")]
struct ConfigPendingPart<'a> {
    pending: &'a Option<ConfigPending>,
    view: View,
}

impl ConfigPending {
    /// The banner as it replaces the one in the page (`config-pending`); empty when nothing waits.
    pub fn fragment(pending: &Option<Self>, view: View) -> Fragment {
        Fragment::morph("config-pending", &ConfigPendingPart { pending, view })
    }

    /// Where its buttons are sent.
    pub fn action(&self) -> String {
        format!("/configs/{}", crate::text::encode(&self.host))
    }

    /// Seconds that are left.
    pub fn left(&self, now_us: impl crate::text::Value<i64>) -> String {
        let seconds = ((self.deadline_us - now_us.value()) / 1_000_000).max(0);
        format!("{}:{:02}", seconds / 60, seconds % 60)
    }
}
