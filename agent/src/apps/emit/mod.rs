//! The files that HMS writes for an app. Each is made from typed parts, and read back: what cannot be read as what it was
//! meant to say is not written.

mod logrotate;
mod puma;
mod ruby;
mod site;
mod sysusers;
mod text;
mod unit;
mod units;

use std::{collections::BTreeMap, path::Path};

use hms_proto::fault::Fault;
use serde::{Deserialize, Serialize};

use super::{App, Facts};

pub(crate) use puma::trial as trial_puma;
pub(crate) use sysusers::file as sysusers;
pub(crate) use units::environment_drop_in;

/// A file of an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Item {
    /// Its user.
    Sysusers,
    /// What holds its socket.
    Socket,
    /// What runs it.
    Service,
    /// The drop-in with where its secrets are, sealed.
    Secrets,
    /// What writes its secrets to memory, with delivery as environment.
    Environment,
    /// How puma is set up.
    Puma,
    /// How its logs are rotated.
    Logrotate,
    /// Its site. It goes to the host through nginx's own pipeline.
    Site,
}

impl Item {
    /// All there are, in the order in which they are written.
    pub(crate) const ALL: [Self; 8] = [
        Self::Sysusers,
        Self::Puma,
        Self::Environment,
        Self::Secrets,
        Self::Service,
        Self::Socket,
        Self::Logrotate,
        Self::Site,
    ];

    /// As the contract calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sysusers => "user",
            Self::Socket => "socket",
            Self::Service => "service",
            Self::Secrets => "secrets",
            Self::Environment => "environment",
            Self::Puma => "puma",
            Self::Logrotate => "logrotate",
            Self::Site => "site",
        }
    }

    /// Permission bits of the file.
    pub(crate) fn mode(self) -> u32 {
        match self {
            Self::Secrets | Self::Environment => 0o600,
            _ => 0o644,
        }
    }
}

/// The texts of an app's files. One that is left out is not there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Files(BTreeMap<Item, String>);

impl Files {
    /// The text of a file.
    pub(crate) fn get(&self, item: Item) -> Option<&str> {
        self.0.get(&item).map(String::as_str)
    }

    /// Sets, or takes away, the text of a file.
    pub(crate) fn set(&mut self, item: Item, text: Option<String>) {
        match text {
            Some(text) => drop(self.0.insert(item, text)),
            None => drop(self.0.remove(&item)),
        }
    }
}

/// All files of an app that has this version of its secrets; 0: it has none.
pub(crate) fn files(app: &App, facts: &Facts, secrets_version: u32) -> Result<Files, Fault> {
    let mut files = Files::default();
    let own = |item: Item| app.spec().overrides.get(item.name()).cloned();
    let mut add = |item: Item, text: Result<String, Fault>| -> Result<(), Fault> {
        files.set(item, Some(own(item).map_or(text, Ok)?));
        Ok(())
    };
    add(Item::Sysusers, sysusers(app, facts))?;
    add(Item::Puma, puma::file(app))?;
    add(Item::Service, units::service(app, facts, secrets_version))?;
    add(Item::Socket, units::socket(app, facts))?;
    if facts.logrotate {
        add(Item::Logrotate, logrotate::file(app))?;
    }
    if secrets_version > 0 && app.has_plain_environment() {
        add(Item::Environment, units::environment(app, secrets_version))?;
    } else if secrets_version > 0 {
        add(Item::Secrets, units::secrets(app, secrets_version))?;
    }
    if !app.spec().server_names.is_empty() {
        add(Item::Site, site::file(app, facts))?;
    }
    for item in [Item::Service, Item::Socket] {
        unit::parse(files.get(item).unwrap_or_default()).map_err(|why| {
            Fault::invalid(format!("the text for `{}` is no unit file: {why}", item.name()))
        })?;
    }
    Ok(files)
}

/// What did not come out as it went in. It is a mistake of HMS, and nothing was written.
fn differs(what: &str) -> Fault {
    crate::internal(format!("{what} would not say what it was meant to say"))
}

/// A path as text. Those of apps have plain characters only.
fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests;
