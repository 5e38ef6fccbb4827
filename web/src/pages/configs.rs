//! `/configs`: nginx of a host.

use crate::frame::{Notice, PaletteEntry, Place, Tone};
use crate::parts::{
    ConfigHost, ConfigList, ConfigPending, ConfigResult, ConfigRoute, SITE_TEMPLATES, SiteTemplate,
};
use crate::{Frame, Role, Template};

/// The configs of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Template)]
#[template(path = "pages/configs.html")]
pub struct ConfigsPage {
    /// What surrounds it.
    pub frame: Frame,
    /// Hosts to choose from.
    pub hosts: Vec<ConfigHost>,
    /// The host that is shown; none: there is no host.
    pub list: Option<ConfigList>,
    /// A change that waits to be confirmed.
    pub pending: Option<ConfigPending>,
    /// What became of what was just done.
    pub result: Option<ConfigResult>,
    /// The URL that was asked about, as typed.
    pub url: String,
    /// Who answers it.
    pub route: Option<ConfigRoute>,
    /// Why that is not known.
    pub route_problem: Option<Notice>,
    /// Name of a new site that was refused, as typed.
    pub new_name: String,
    /// Why it was refused.
    pub new_problem: Option<Notice>,
}

impl ConfigsPage {
    /// What a new site may begin with.
    pub fn templates(&self) -> &'static [SiteTemplate] {
        &SITE_TEMPLATES
    }

    /// All is well.
    pub fn sample() -> Self {
        let host = |name: &str, mark, chosen| ConfigHost { name: name.into(), mark, chosen };
        let frame = Frame {
            events: "/events?view=configs&host=asterra".into(),
            ..Frame::sample(Place::Configs, "Configs")
        };
        Self {
            frame,
            hosts: vec![host("asterra", "", true), host("borealis", "drift", false)],
            list: Some(ConfigList::sample()),
            ..Self::default()
        }
    }

    /// All that can be wrong at once.
    pub fn sample_troubled() -> Self {
        Self {
            list: Some(ConfigList::sample_troubled()),
            pending: Some(ConfigPending::sample()),
            result: Some(ConfigResult::sample_failed()),
            ..Self::sample()
        }
    }

    /// A URL was asked about.
    pub fn sample_route() -> Self {
        Self {
            url: "https://cigars.example.org/posts?id=1".into(),
            route: Some(ConfigRoute::sample()),
            ..Self::sample()
        }
    }

    /// What a viewer sees.
    pub fn sample_viewer() -> Self {
        let mut page = Self::sample_troubled();
        page.frame.view.role = Role::Viewer;
        page.frame.palette.retain(|entry| matches!(entry, PaletteEntry::Go { .. }));
        page.result = None;
        page
    }

    /// The host does not answer.
    pub fn sample_unreachable() -> Self {
        let mut page = Self::sample();
        let notice = Notice {
            tone: Tone::Warn,
            message: "asterra cannot be reached: connection refused.".into(),
            hint: "nginx there may well be running. This is what was last seen.".into(),
        };
        page.list = page.list.map(|list| ConfigList { stale: Some(notice), ..list });
        page
    }

    /// nginx is not installed.
    pub fn sample_absent() -> Self {
        let list = ConfigList {
            host: "borealis".into(),
            seen_us: Some(crate::frame::SAMPLE_NOW_US),
            ..ConfigList::default()
        };
        Self { list: Some(list), ..Self::sample() }
    }

    /// There is no host.
    pub fn sample_empty() -> Self {
        Self { frame: Frame::sample(Place::Configs, "Configs"), ..Self::default() }
    }

    /// Text that wants to be more than text.
    pub fn sample_hostile() -> Self {
        let evil = "<script>alert('x')</script>\"onload=\"x";
        let mut page = Self::sample_troubled();
        page.url = evil.into();
        if let Some(list) = &mut page.list {
            list.host = evil.into();
            list.version = evil.into();
            list.files[3].path = format!("sites-available/{evil}");
            list.files[3].names = vec![evil.into(); 12];
            list.files[3].listens = vec![evil.into()];
            list.files[3].problems[0].message = evil.into();
            list.problems[0].message = format!("{evil}\u{1b}[31m");
            list.problems[0].path = evil.into();
            list.drifts[0].path = evil.into();
            list.drifts[0].diff[0].text = evil.into();
        }
        if let Some(pending) = &mut page.pending {
            (pending.actor, pending.reason, pending.host) = (evil.into(), evil.into(), evil.into());
        }
        if let Some(result) = &mut page.result {
            (result.title, result.message, result.hint) = (evil.into(), evil.into(), evil.into());
            result.steps[0].detail = evil.into();
            result.probes[0].url = evil.into();
        }
        page
    }
}
