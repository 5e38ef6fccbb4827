//! `/configs/{host}/{path}`: one nginx file in the editor.

use crate::frame::{PaletteEntry, Place};
use crate::parts::{
    Accept, ConfigFile, ConfigPending, ConfigProblem, ConfigResult, ConfigVersion, config_href, host_href,
};
use crate::{Frame, Role, Template};

/// The editor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Template)]
#[template(path = "pages/config.html")]
pub struct ConfigPage {
    /// What surrounds it.
    pub frame: Frame,
    /// For the styles that the editor makes itself.
    pub nonce: String,
    /// On which host.
    pub host: String,
    /// The file as it is; of a new one only the path.
    pub file: ConfigFile,
    /// There is no such file yet.
    pub is_new: bool,
    /// The text that is edited.
    pub content: String,
    /// The hash that the text began with; empty: a new file.
    pub expected: String,
    /// The text is not the one of the host: a template, an older version, or typed already.
    pub is_draft: bool,
    /// The version that the text is of; 0: none.
    pub version: i64,
    /// As typed.
    pub reason: String,
    /// Seconds within which it is to be confirmed.
    pub confirm_s: u32,
    /// New or disabled sites: whether it is enabled in the same step.
    pub enable: bool,
    /// Directives to accept.
    pub accepts: Vec<Accept>,
    /// What is wrong with the text.
    pub problems: Vec<ConfigProblem>,
    /// Whether the text was tested.
    pub tested: bool,
    /// What became of what was just done.
    pub result: Option<ConfigResult>,
    /// A change that waits to be confirmed.
    pub pending: Option<ConfigPending>,
    /// Newest first.
    pub versions: Vec<ConfigVersion>,
}

/// Seconds to confirm, and their words.
const WINDOWS: [(u32, &str); 5] = [
    (0, "Not needed: it stands at once"),
    (30, "Put back unless confirmed in 30 s"),
    (60, "Put back unless confirmed in 1 min"),
    (300, "Put back unless confirmed in 5 min"),
    (1_800, "Put back unless confirmed in 30 min"),
];

impl ConfigPage {
    /// Where it is, and where its form is sent.
    pub fn action(&self) -> String {
        config_href(&self.host, &self.file.path)
    }

    /// The configs of its host.
    pub fn back(&self) -> String {
        host_href(&self.host)
    }

    /// Why it cannot be changed here; empty: it can.
    pub fn locked(&self) -> String {
        match (self.file.locked.as_str(), self.frame.view.role) {
            ("", Role::Admin) => String::new(),
            ("", Role::Operator) => "You may read and test. Changing nginx needs the role admin.".into(),
            ("", Role::Viewer) => {
                "You may read. Testing needs the role operator, changing the role admin.".into()
            }
            (why, _) => format!("It cannot be changed here: {why}."),
        }
    }

    /// Whether the text may be changed, at least to test it.
    pub fn can_test(&self) -> bool {
        self.file.locked.is_empty() && self.frame.view.role.operates()
    }

    /// Whether it may be applied.
    pub fn can_apply(&self) -> bool {
        self.file.locked.is_empty() && self.frame.view.role.administers()
    }

    /// Whether enabling it in the same step is on offer.
    pub fn can_enable(&self) -> bool {
        self.file.is_site && !self.file.enabled && self.can_apply()
    }

    /// The windows to confirm: seconds, words, whether it is chosen.
    pub fn windows(&self) -> Vec<(u32, &'static str, bool)> {
        WINDOWS.iter().map(|(seconds, words)| (*seconds, *words, *seconds == self.confirm_s)).collect()
    }

    /// A site, opened.
    pub fn sample() -> Self {
        let mut frame = Frame::sample(Place::Configs, "cigar");
        frame.events = "/events?view=config&host=asterra".into();
        Self {
            frame,
            nonce: "c2FtcGxl".into(),
            host: "asterra".into(),
            file: ConfigFile::sample("cigar"),
            content: crate::parts::SiteTemplate::of("rails").text("cigar"),
            expected: "4d1a".repeat(16),
            versions: ConfigVersion::samples(),
            ..Self::default()
        }
    }

    /// It was tested, and does not pass.
    pub fn sample_tested() -> Self {
        let problems = ConfigProblem::samples();
        Self { accepts: Accept::of(&problems, &[]), problems, tested: true, is_draft: true, ..Self::sample() }
    }

    /// It was applied, and waits to be confirmed. The site is the one of HMS.
    pub fn sample_applied() -> Self {
        let mut page = Self::sample();
        page.file.is_own = true;
        page.confirm_s = 60;
        page.reason = "larger uploads".into();
        page.result = Some(ConfigResult::sample());
        page.pending = Some(ConfigPending::sample());
        page
    }

    /// nginx did not take it.
    pub fn sample_failed() -> Self {
        Self { result: Some(ConfigResult::sample_failed()), is_draft: true, ..Self::sample() }
    }

    /// Somebody else was faster.
    pub fn sample_conflict() -> Self {
        Self { result: Some(ConfigResult::sample_conflict()), is_draft: true, ..Self::sample() }
    }

    /// A new site.
    pub fn sample_new() -> Self {
        Self {
            file: ConfigFile { path: "sites-available/pipe".into(), is_site: true, ..ConfigFile::default() },
            content: crate::parts::SiteTemplate::of("static").text("pipe"),
            expected: String::new(),
            is_new: true,
            is_draft: true,
            enable: true,
            versions: vec![],
            ..Self::sample()
        }
    }

    /// What a viewer sees.
    pub fn sample_viewer() -> Self {
        let mut page = Self::sample();
        page.frame.view.role = Role::Viewer;
        page.frame.palette.retain(|entry| matches!(entry, PaletteEntry::Go { .. }));
        page
    }

    /// A link out of the tree.
    pub fn sample_locked() -> Self {
        let mut page = Self::sample();
        page.file.locked = "is a link out of /etc/nginx".into();
        page.content = String::new();
        page
    }

    /// Text that wants to be more than text.
    pub fn sample_hostile() -> Self {
        let evil = "</textarea><script>alert('x')</script>\"onload=\"x";
        let mut page = Self::sample_tested();
        page.host = evil.into();
        page.file.path = format!("sites-available/{evil}");
        page.content = evil.into();
        page.reason = evil.into();
        page.problems[0].message = evil.into();
        page.accepts[0].directive = evil.into();
        page.versions[0].author = evil.into();
        page.versions[0].reason = evil.into();
        page.result = Some(ConfigResult { title: evil.into(), ..ConfigResult::sample_conflict() });
        if let Some(conflict) = page.result.as_mut().and_then(|r| r.conflict.as_mut()) {
            conflict.author = evil.into();
            conflict.theirs[0].text = evil.into();
        }
        page
    }
}
