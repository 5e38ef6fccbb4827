//! What HMS wrote for an app, and what runs: kept beside the app, so that what others changed can be told from it.

use std::collections::BTreeMap;

use hms_proto::fault::Fault;
use serde::{Deserialize, Serialize};

use super::{
    App,
    emit::Files,
    layout::{unreadable, unwritable},
};
use crate::files;

const FILE: &str = "installed.json";
const MOST: u64 = 4 * 1024 * 1024;

/// What HMS wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Installed {
    /// The texts of its files.
    pub(crate) files: Files,
    /// The version of the secrets that its units deliver; 0: none.
    pub(crate) secrets_version: u32,
    /// The names in each version of the secrets that the host has.
    pub(crate) secret_names: BTreeMap<u32, Vec<String>>,
    /// The release that is live; empty: none.
    pub(crate) release: String,
    /// What was started last.
    pub(crate) running: Option<Running>,
}

/// A start of the service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Running {
    /// systemd's name for this run of the service, in hex.
    pub(crate) invocation_id: String,
    /// The version of the secrets that it was started with.
    pub(crate) secrets_version: u32,
    /// The release that it serves.
    pub(crate) release: String,
}

/// What was noted; nothing, for an app that is new.
pub(crate) fn read(app: &App) -> Result<Installed, Fault> {
    let path = app.folder().join(FILE);
    let text = files::read_if_there(&path, MOST).map_err(|e| unreadable(&path, &e))?;
    let Some(text) = text else { return Ok(Installed::default()) };
    serde_json::from_slice(&text).map_err(|e| unreadable(&path, &e))
}

/// Changes what is noted. It is on the disk when this returns.
pub(crate) fn change(app: &App, change: impl FnOnce(&mut Installed)) -> Result<Installed, Fault> {
    let mut installed = read(app)?;
    let before = installed.clone();
    change(&mut installed);
    if installed == before {
        return Ok(installed);
    }
    let path = app.folder().join(FILE);
    let write = || {
        files::make_folder(app.folder())?;
        files::replace(&path, &serde_json::to_vec(&installed)?)
    };
    write().map_err(|e| unwritable(&path, &e))?;
    Ok(installed)
}

#[cfg(test)]
mod tests {
    use hms_proto::host::v1::AppSpec;

    use super::*;

    #[test]
    fn what_was_noted_is_read_again() {
        let state = tempfile::tempdir().unwrap();
        let app = App::new(AppSpec { key: "cigar".into(), ..AppSpec::default() }, state.path()).unwrap();
        assert_eq!(read(&app).unwrap(), Installed::default());
        let noted = change(&app, |installed| {
            installed.secrets_version = 3;
            installed.secret_names.insert(3, vec!["API_TOKEN".into()]);
            installed.files.set(super::super::Item::Puma, Some("x".into()));
        });
        assert_eq!(read(&app).unwrap(), noted.unwrap());
        std::fs::write(app.folder().join(FILE), "{").unwrap();
        assert!(read(&app).is_err(), "what cannot be read must not pass for nothing");
    }
}
