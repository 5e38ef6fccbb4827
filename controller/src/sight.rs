//! What of the fleet somebody sees: what is within their scope.

use std::sync::Arc;

use hms_proto::{fault::Fault, names::AppKey};

use crate::{
    auth::{Caller, Scope},
    fleet::{App, Fleet, Host},
};

/// The fleet, without what is beyond a scope.
#[derive(Clone, Copy)]
pub(crate) struct Sight<'a> {
    /// All of it, for what is known of something that is seen.
    pub(crate) fleet: &'a Fleet,
    scope: &'a Scope,
}

impl Fleet {
    /// What the caller sees of it.
    pub(crate) fn seen_by<'a>(&'a self, caller: &'a Caller) -> Sight<'a> {
        Sight { fleet: self, scope: &caller.scope }
    }
}

impl Sight<'_> {
    /// The hosts that are theirs as a whole, by name.
    pub(crate) fn hosts(&self) -> Vec<Arc<Host>> {
        let mut hosts = self.fleet.hosts();
        hosts.retain(|host| self.scope.has_host(&host.row.name));
        hosts
    }

    /// Their host with this name. One beyond the scope is as one that is not there.
    pub(crate) fn host(&self, name: &str) -> Result<Arc<Host>, Fault> {
        let host = self.fleet.host(name).filter(|host| self.scope.has_host(&host.row.name));
        host.ok_or_else(|| Fault::not_found("host", name))
    }

    /// Their apps, by key.
    pub(crate) fn apps(&self) -> Vec<Arc<App>> {
        let apps = self.fleet.apps();
        apps.iter().filter(|app| self.scope.has_app(app.key.as_str(), app.host())).cloned().collect()
    }

    /// Their app with this key. One beyond the scope is as one that is not there.
    pub(crate) fn app(&self, key: &AppKey) -> Result<Arc<App>, Fault> {
        let apps = self.fleet.apps();
        let app = apps.iter().find(|app| app.key == *key);
        let app = app.filter(|app| self.scope.has_app(app.key.as_str(), app.host()));
        app.cloned()
            .ok_or_else(|| Fault::not_found("app", key.as_str()).hint("`hmsctl apps` shows the apps."))
    }
}
