//! What two apps cannot both have: names, ports, folders and databases.

use std::path::Path;

use hms_proto::fault::{Fault, FaultKind};

use super::settings::complete_spec;
use crate::db::apps::App;

/// Refuses an app that would take what another one has. Itself, in an earlier form, is no other.
pub(super) fn check(new: &App, all: &[App]) -> Result<(), Fault> {
    let mut others =
        all.iter().filter(|app| app.app_key != new.app_key && app.deployed_server == new.deployed_server);
    others.try_for_each(|other| differ(new, other))
}

fn differ(new: &App, other: &App) -> Result<(), Fault> {
    let mine = complete_spec(new)?;
    // One that cannot be deployed takes nothing.
    let Ok(theirs) = complete_spec(other) else { return Ok(()) };
    let taken = |what: String| {
        let host = new.deployed_server.as_deref().unwrap_or_default();
        Err(Fault::new(FaultKind::Conflict, format!("{what} is that of {} on {host} already", other.app_key)))
    };
    if let Some(name) = mine.server_names.iter().find(|name| theirs.server_names.contains(name)) {
        return taken(format!("the name {name}"));
    }
    if mine.port != 0 && mine.port == theirs.port {
        return taken(format!("port {}", mine.port));
    }
    let (root, its) = (Path::new(&mine.root), Path::new(&theirs.root));
    if root.starts_with(its) || its.starts_with(root) {
        return taken(format!("the folder {}", mine.root));
    }
    if !mine.database_name.is_empty() && mine.database_name == theirs.database_name {
        return taken(format!("the database {}", mine.database_name));
    }
    Ok(())
}
