//! `/config-versions/{id}`: one version of an nginx file, and what it changed.

use crate::frame::Place;
use crate::parts::config_samples::SAMPLE_DIFF;
use crate::parts::{ConfigVersion, DiffLine, SiteTemplate, config_href};
use crate::{Frame, Template};

/// One version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Template)]
#[template(path = "pages/config_version.html")]
pub struct ConfigVersionPage {
    /// What surrounds it.
    pub frame: Frame,
    /// Which.
    pub version: ConfigVersion,
    /// From the version before.
    pub diff: Vec<DiffLine>,
    /// Its text.
    pub content: String,
}

impl ConfigVersionPage {
    /// The file as it is now.
    pub fn file_href(&self) -> String {
        config_href(&self.version.host, &self.version.path)
    }

    /// The editor with the text of this version.
    pub fn restore_href(&self) -> String {
        format!("{}?version={}", self.file_href(), self.version.id)
    }

    /// The text, fit to be shown.
    pub fn shown(&self) -> String {
        self.content.lines().map(crate::text::plain).collect::<Vec<_>>().join("\n")
    }

    /// A change.
    pub fn sample() -> Self {
        Self {
            frame: Frame::sample(Place::Configs, "Version 48"),
            version: ConfigVersion::samples().remove(0),
            diff: DiffLine::of(SAMPLE_DIFF),
            content: SiteTemplate::of("rails").text("cigar"),
        }
    }
}
