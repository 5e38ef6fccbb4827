//! `/settings`: the user's own sessions, and how the page looks.

use crate::frame::Place;
use crate::parts::{SessionList, SessionRow};
use crate::{Frame, Template};

/// The settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Template)]
#[template(path = "pages/settings.html")]
pub struct SettingsPage {
    /// What surrounds it.
    pub frame: Frame,
    /// The user's own sessions.
    pub sessions: SessionList,
    /// Version of the controller.
    pub version: String,
}

impl SettingsPage {
    /// A browser and a terminal are logged in.
    pub fn sample() -> Self {
        Self {
            frame: Frame::sample(Place::Settings, "Settings"),
            sessions: SessionList { rows: SessionRow::samples() },
            version: "0.1.0".into(),
        }
    }
}
