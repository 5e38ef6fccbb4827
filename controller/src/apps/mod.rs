//! Apps as data: what they are, their secrets, and the work on them that somebody asks for. Hosts are touched only by jobs.
//!
//! # Layout
//! - [`settings`]: a row of `apps` as the contract's settings, and back; [`shared`]: what two apps of a host cannot both have.
//! - [`secrets`]: versions of secrets, sealed; [`keys`]: ssh keys.
//! - [`deploy`]: work on an app is asked for; [`request`]: what its host is sent.
//! - [`host`]: looks at what hosts have of apps.

pub(crate) mod deploy;
pub(crate) mod host;
mod keys;
pub(crate) mod request;
pub(crate) mod secrets;
pub(crate) mod settings;
mod shared;

use hms_proto::{fault::Fault, names::AppKey};

use crate::{db, state::Core};

/// The app with this key.
pub(crate) async fn find(core: &Core, key: &AppKey) -> Result<db::apps::App, Fault> {
    let app = db::apps::get(&core.db, key.as_str()).await?;
    app.ok_or_else(|| no_app(key))
}

pub(crate) fn no_app(key: &AppKey) -> Fault {
    Fault::not_found("app", key.as_str()).hint("`hmsctl apps` shows the apps.")
}

#[cfg(test)]
mod tests;
