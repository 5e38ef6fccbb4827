//! What an app was like on its host before a job changed it: all that is needed to put it back. No secret is in it.

use hms_proto::{fault::Fault, host::v1::AppSpec};
use serde::{Deserialize, Serialize};

use super::{releases, restart};
use crate::{
    apps::{
        App, Files, Item,
        installed::{self, Installed},
        provision,
    },
    systemd::Session,
};

/// An app as it was.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Before {
    /// The release that was live; empty: none.
    pub(crate) release: String,
    /// The specification that was applied. `None`: none ever was.
    pub(crate) spec: Option<AppSpec>,
    /// The files that were there.
    pub(crate) files: Files,
    /// What HMS knew of them.
    pub(crate) installed: Installed,
    /// Whether the service ran.
    pub(crate) was_running: bool,
}

impl Before {
    /// An app as it is now.
    pub(crate) async fn of(session: &Session, app: &App, state: &std::path::Path) -> Result<Self, Fault> {
        let applied = App::load(app.key(), state)?;
        let release =
            releases::live(applied.as_ref().unwrap_or(app)).map(|id| id.to_string()).unwrap_or_default();
        let spec = applied.map(|app| app.spec().clone());
        let was_running = restart::is_up(&restart::unit(session, &app.service()).await?);
        Ok(Self {
            release,
            spec,
            files: provision::on_host(app)?,
            installed: installed::read(app)?,
            was_running,
        })
    }

    /// Whether there was something to run.
    pub(crate) fn had_service(&self) -> bool {
        self.files.get(Item::Service).is_some()
    }
}
