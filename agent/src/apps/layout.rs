//! An app on this host: its specification, and every path and name that follows from it.

use std::path::{Path, PathBuf};

use hms_proto::{
    app,
    fault::{Fault, FaultKind},
    host::v1::{AppSpec, SecretDelivery},
    names::{AppKey, RelPath, ReleaseId},
};

use super::emit::Item;
use crate::files;

/// Below the agent's state folder.
const FOLDER: &str = "apps";
const SPEC: &str = "spec.json";
const SPEC_MOST: u64 = 4 * 1024 * 1024;
/// Where answers to challenges of certificate authorities are put. nginx serves it for each site.
pub(crate) const CHALLENGES: &str = "/var/lib/hms-acme";

/// An app with its specification, which is complete and was checked.
#[derive(Debug, Clone)]
pub(crate) struct App {
    key: AppKey,
    user: String,
    spec: AppSpec,
    folder: PathBuf,
}

impl App {
    /// Checks what was sent, whoever sent it.
    pub(crate) fn new(spec: AppSpec, state: &Path) -> Result<Self, Fault> {
        let spec = app::complete(spec)?;
        let key = AppKey::try_from(spec.key.as_str())?;
        let folder = folder_of(state, &key);
        Ok(Self { user: key.user(), key, spec, folder })
    }

    /// The app as it was last applied. `None`: this host has none with this key.
    pub(crate) fn load(key: &AppKey, state: &Path) -> Result<Option<Self>, Fault> {
        let path = folder_of(state, key).join(SPEC);
        let text = files::read_if_there(&path, SPEC_MOST).map_err(|e| unreadable(&path, &e))?;
        let Some(text) = text else { return Ok(None) };
        let spec = serde_json::from_slice(&text).map_err(|e| unreadable(&path, &e))?;
        Self::new(spec, state).map(Some)
    }

    /// All apps that were applied on this host.
    pub(crate) fn all(state: &Path) -> Result<Vec<Self>, Fault> {
        let folder = state.join(FOLDER);
        let names = match std::fs::read_dir(&folder) {
            Ok(names) => names.flatten().map(|entry| entry.file_name()).collect(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(unreadable(&folder, &error)),
        };
        let mut keys: Vec<AppKey> =
            names.iter().filter_map(|name| AppKey::try_from(name.to_string_lossy().as_ref()).ok()).collect();
        keys.sort();
        Ok(keys
            .iter()
            .map(|key| Self::load(key, state))
            .collect::<Result<Vec<_>, _>>()?
            .into_iter()
            .flatten()
            .collect())
    }

    /// Writes its specification down, as the one that is applied.
    pub(crate) fn save(&self) -> Result<(), Fault> {
        let write = || {
            files::make_folder(&self.folder)?;
            files::replace(&self.folder.join(SPEC), &serde_json::to_vec_pretty(&self.spec)?)
        };
        write().map_err(|e| unwritable(&self.folder.join(SPEC), &e))
    }

    /// Its key.
    pub(crate) fn key(&self) -> &AppKey {
        &self.key
    }

    /// The system user, and group, that it runs as.
    pub(crate) fn user(&self) -> &str {
        &self.user
    }

    /// What it is.
    pub(crate) fn spec(&self) -> &AppSpec {
        &self.spec
    }

    /// Holds all that is its own.
    pub(crate) fn root(&self) -> PathBuf {
        PathBuf::from(&self.spec.root)
    }

    /// Holds its releases. The folder is root's, what is in it the app's.
    pub(crate) fn releases(&self) -> PathBuf {
        self.root().join("releases")
    }

    /// A release.
    pub(crate) fn release(&self, id: &ReleaseId) -> PathBuf {
        self.releases().join(id.as_str())
    }

    /// Holds what releases have in common.
    pub(crate) fn shared(&self) -> PathBuf {
        self.root().join("shared")
    }

    /// The link to the release that is live.
    pub(crate) fn current(&self) -> PathBuf {
        self.root().join("current")
    }

    /// The mirror of its repository.
    pub(crate) fn repo(&self) -> PathBuf {
        self.root().join("repo")
    }

    /// The agent's own folder for it.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Held by the one that works on it.
    pub(crate) fn lock(&self) -> PathBuf {
        self.folder.join("lock")
    }

    /// What is known of a release.
    pub(crate) fn record(&self, id: &ReleaseId) -> PathBuf {
        self.folder.join("releases").join(format!("{id}.json"))
    }

    /// The secrets of a version, sealed.
    pub(crate) fn sealed(&self, version: u32) -> PathBuf {
        self.folder.join(format!("secrets-{version}.cred"))
    }

    /// What runs it.
    pub(crate) fn service(&self) -> String {
        format!("puma-{}.service", self.key)
    }

    /// What holds its socket.
    pub(crate) fn socket_unit(&self) -> String {
        format!("puma-{}.socket", self.key)
    }

    /// What writes its secrets to memory before it starts, where they are delivered as environment.
    pub(crate) fn environment_unit(&self) -> String {
        format!("hms-environment-{}.service", self.key)
    }

    /// Whether systemd shows its secrets, as was asked for.
    pub(crate) fn has_plain_environment(&self) -> bool {
        self.spec.secret_delivery() == SecretDelivery::Environment
    }

    /// The lines with its secrets, in memory: with delivery as environment.
    pub(crate) fn environment_drop_in(&self) -> PathBuf {
        PathBuf::from(format!("/run/systemd/system/{}.d/50-hms-secrets.conf", self.service()))
    }

    /// Where it answers.
    pub(crate) fn socket(&self) -> PathBuf {
        PathBuf::from(format!("/run/puma-{}/puma.sock", self.key))
    }

    /// Where puma tells how it is.
    pub(crate) fn control(&self) -> PathBuf {
        PathBuf::from(format!("/run/{}/control.sock", self.control_folder()))
    }

    /// The folder of that socket, below /run.
    pub(crate) fn control_folder(&self) -> String {
        format!("puma-{}-control", self.key)
    }

    /// How puma is set up.
    pub(crate) fn puma_config(&self) -> PathBuf {
        self.shared().join("config/puma.rb")
    }

    /// Its site, relative to /etc/nginx.
    pub(crate) fn site(&self) -> String {
        format!("sites-available/{}", self.key)
    }

    /// Where a file that HMS writes for it is.
    pub(crate) fn path_of(&self, item: Item) -> PathBuf {
        let unit = |name: String| PathBuf::from("/etc/systemd/system").join(name);
        match item {
            Item::Sysusers => self.folder.join("user.conf"),
            Item::Socket => unit(self.socket_unit()),
            Item::Service => unit(self.service()),
            Item::Secrets => unit(format!("{}.d/50-hms-secrets.conf", self.service())),
            Item::Environment => unit(self.environment_unit()),
            Item::Puma => self.puma_config(),
            Item::Logrotate => PathBuf::from(format!("/etc/logrotate.d/hms-{}", self.key)),
            Item::Site => Path::new("/etc/nginx").join(self.site()),
        }
    }

    /// What each release links to shared/: `tmp`, `log`, and what the specification names. None is below another one.
    pub(crate) fn shared_paths(&self) -> Vec<RelPath> {
        // A running app writes to shared/ and nowhere else, so that it cannot change its own code; and it needs a tmp.
        let own = ["tmp", "log"].into_iter();
        let mut paths: Vec<&str> = own.chain(self.spec.shared_paths.iter().map(String::as_str)).collect();
        paths.sort_unstable();
        paths.dedup();
        let all = paths.clone();
        paths.retain(|path| {
            !all.iter().any(|other| path.strip_prefix(other).is_some_and(|rest| rest.starts_with('/')))
        });
        paths.into_iter().filter_map(|path| RelPath::try_from(path).ok()).collect()
    }
}

fn folder_of(state: &Path, key: &AppKey) -> PathBuf {
    state.join(FOLDER).join(key.as_str())
}

/// A file of an app that cannot be read.
pub(super) fn unreadable(path: &Path, why: &dyn std::fmt::Display) -> Fault {
    Fault::new(FaultKind::Failed, format!("`{}` cannot be read: {why}", path.display()))
}

/// A file of an app that cannot be written.
pub(super) fn unwritable(path: &Path, why: &dyn std::fmt::Display) -> Fault {
    Fault::new(FaultKind::Failed, format!("`{}` cannot be written: {why}", path.display()))
        .hint("Look at the space that is left on the host: `df -h`.")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An app with these fields, and the usual ones besides.
    pub(crate) fn app(spec: AppSpec) -> App {
        App::new(AppSpec { key: "cigar".into(), ..spec }, Path::new("/var/lib/hms-agent")).unwrap()
    }

    #[test]
    fn what_is_shared_is_never_below_something_else_that_is() {
        let shared_paths = ["tmp/pids", "storage", "public/uploads", "log"].map(str::to_owned).to_vec();
        let paths = app(AppSpec { shared_paths, ..AppSpec::default() }).shared_paths();
        let paths: Vec<&str> = paths.iter().map(RelPath::as_str).collect();
        assert_eq!(paths, ["log", "public/uploads", "storage", "tmp"]);
    }

    #[test]
    fn a_specification_is_read_as_it_was_saved() {
        let state = tempfile::tempdir().unwrap();
        let spec = AppSpec { key: "cigar".into(), workers: 3, ..AppSpec::default() };
        let app = App::new(spec, state.path()).unwrap();
        let key = app.key().clone();
        assert!(App::load(&key, state.path()).unwrap().is_none());
        assert!(App::all(state.path()).unwrap().is_empty());
        app.save().unwrap();
        assert_eq!(App::load(&key, state.path()).unwrap().unwrap().spec(), app.spec());
        assert_eq!(App::all(state.path()).unwrap().len(), 1);
        // The folder of another app cannot be reached with a key.
        assert!(AppKey::try_from("../cigar").is_err());
    }
}
