//! Contexts: where one logged in, as whom, and with which key. Kept in files that only their owner can read.

use std::{
    collections::BTreeMap,
    fs, io,
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use hms_proto::{
    controller::v1::{Host, TrustBundle},
    fault::{Fault, FaultKind},
    identity::{Credentials, Trust},
};
use serde::{Deserialize, Serialize};

use crate::{
    failure::{Failure, Result},
    output::measure::now_usec,
    trouble,
};

/// What is known of one context.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) url: String,
    /// Address of the controller's mTLS port.
    pub(crate) grpc: String,
    pub(crate) username: String,
    pub(crate) role: String,
    pub(crate) expires_usec: i64,
}

/// The file that lists the contexts.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Config {
    pub(crate) current: String,
    pub(crate) contexts: BTreeMap<String, Entry>,
}

/// A host as the controller last told of it, so that `--direct` works while the controller is away.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct KnownHost {
    pub(crate) id: String,
    pub(crate) address: String,
}

/// A context that can be used.
pub(crate) struct Context {
    pub(crate) name: String,
    pub(crate) entry: Entry,
    pub(crate) trust: Trust,
    pub(crate) credentials: Credentials,
    store: Store,
}

/// The folder with everything in it.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    folder: PathBuf,
}

const IDENTITY: &str = "identity.pem";
const TRUST: &str = "trust.toml";
const HOSTS: &str = "hosts.toml";

impl Store {
    /// `$HMS_CONFIG_DIR`, else `hms` in the user's configuration folder.
    pub(crate) fn open() -> Result<Self> {
        let set = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let folder = set("HMS_CONFIG_DIR")
            .or_else(|| set("XDG_CONFIG_HOME").map(|path| path.join("hms")))
            .or_else(|| set("HOME").map(|path| path.join(".config/hms")));
        let nowhere = || {
            Failure::from(
                Fault::invalid("there is no place for the configuration").hint("set HMS_CONFIG_DIR"),
            )
        };
        Ok(Self { folder: folder.ok_or_else(nowhere)? })
    }

    #[cfg(test)]
    pub(crate) fn at(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    fn config_file(&self) -> PathBuf {
        self.folder.join("config.toml")
    }

    fn folder_of(&self, name: &str) -> PathBuf {
        self.folder.join("contexts").join(name)
    }

    /// The list of contexts; an empty one where there is none yet.
    pub(crate) fn config(&self) -> Result<Config> {
        match fs::read_to_string(self.config_file()) {
            Ok(text) => toml::from_str(&text).map_err(|e| unreadable(&self.config_file(), &e)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Config::default()),
            Err(error) => Err(unreadable(&self.config_file(), &error)),
        }
    }

    pub(crate) fn save_config(&self, config: &Config) -> Result<()> {
        write_toml(&self.config_file(), config)
    }

    /// Keeps a login and makes it the current one.
    pub(crate) fn save(&self, name: &str, entry: Entry, identity: &str, trust: &TrustBundle) -> Result<()> {
        let folder = self.folder_of(name);
        // Key and certificate share a file: they change together or not at all.
        write_private(&folder.join(IDENTITY), identity)?;
        write_toml(&folder.join(TRUST), trust)?;
        let mut config = self.config()?;
        config.current = name.to_owned();
        config.contexts.insert(name.to_owned(), entry);
        self.save_config(&config)
    }

    /// Forgets a context with its key.
    pub(crate) fn remove(&self, name: &str) -> Result<()> {
        let mut config = self.config()?;
        if config.contexts.remove(name).is_none() {
            return Err(no_context(name, &config));
        }
        if config.current == name {
            config.current.clear();
        }
        match fs::remove_dir_all(self.folder_of(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Failure::local(format!("cannot delete the key of {name}: {error}")))
            }
            _ => self.save_config(&config),
        }
    }

    /// The trust bundle of a context.
    pub(crate) fn trust_of(&self, name: &str) -> Result<TrustBundle> {
        let file = self.folder_of(name).join(TRUST);
        let text = fs::read_to_string(&file).map_err(|e| unreadable(&file, &e))?;
        toml::from_str(&text).map_err(|e| unreadable(&file, &e))
    }

    /// The named context, or the current one, ready for use.
    pub(crate) fn context(&self, name: Option<&str>) -> Result<Context> {
        let config = self.config()?;
        let name = name.unwrap_or(&config.current);
        if name.is_empty() {
            return Err(Fault::new(FaultKind::Unauthenticated, "you are not logged in anywhere")
                .hint("hmsctl login https://CONTROLLER:8443 --username NAME --ca-file FILE")
                .into());
        }
        let entry = config.contexts.get(name).ok_or_else(|| no_context(name, &config))?.clone();
        if entry.expires_usec <= now_usec() {
            return Err(trouble::login_ended(entry.expires_usec, &entry.url).into());
        }
        let file = self.folder_of(name).join(IDENTITY);
        let pem = fs::read_to_string(&file).map_err(|e| unreadable(&file, &e))?;
        let credentials = Credentials::from_pem(&pem, &pem).map_err(|e| unreadable(&file, &e))?;
        let trust = Trust::new(credentials.identity.install, &self.trust_of(name)?);
        let trust = trust.map_err(|e| unreadable(&self.folder_of(name).join(TRUST), &e))?;
        Ok(Context { name: name.to_owned(), entry, trust, credentials, store: self.clone() })
    }
}

impl Context {
    fn known_hosts(&self) -> BTreeMap<String, KnownHost> {
        let text = fs::read_to_string(self.store.folder_of(&self.name).join(HOSTS));
        text.ok().and_then(|text| toml::from_str(&text).ok()).unwrap_or_default()
    }

    /// What the controller last said of a host.
    pub(crate) fn known_host(&self, name: &str) -> Option<KnownHost> {
        self.known_hosts().remove(name)
    }

    /// Remembers the hosts for a time without the controller. That this fails is no reason to fail.
    pub(crate) fn remember_hosts(&self, hosts: &[Host]) {
        let known: BTreeMap<&str, KnownHost> = hosts
            .iter()
            .map(|h| (h.name.as_str(), KnownHost { id: h.id.clone(), address: h.address.clone() }))
            .collect();
        drop(write_toml(&self.store.folder_of(&self.name).join(HOSTS), &known));
    }
}

fn no_context(name: &str, config: &Config) -> Failure {
    let names: Vec<&str> = config.contexts.keys().map(String::as_str).collect();
    let fault = Fault::not_found("context", name);
    let hint =
        if names.is_empty() { "hmsctl login".into() } else { format!("there are: {}", names.join(", ")) };
    fault.hint(hint).into()
}

fn unreadable(file: &Path, error: &dyn std::fmt::Display) -> Failure {
    let what = format!("cannot read {}: {error}", file.display());
    Fault::new(FaultKind::Failed, what).hint("log in again to write it anew").into()
}

fn write_toml(file: &Path, value: &impl Serialize) -> Result<()> {
    let text = toml::to_string(value)
        .map_err(|e| Failure::local(format!("cannot write {}: {e}", file.display())))?;
    write_private(file, &text)
}

/// Writes a file that only its owner can read, so that there is always either the old or the new one.
fn write_private(file: &Path, text: &str) -> Result<()> {
    let attempt = || -> io::Result<()> {
        let folder = file.parent().unwrap_or(Path::new("."));
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let new = folder.join(format!(".{}.new", uuid::Uuid::new_v4()));
        let written = (|| {
            let mut to = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
            to.write_all(text.as_bytes())?;
            to.sync_all()?;
            fs::rename(&new, file)
        })();
        written.inspect_err(|_| drop(fs::remove_file(&new)))
    };
    attempt().map_err(|e| Failure::local(format!("cannot write {}: {e}", file.display())))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn entry(expires_usec: i64) -> Entry {
        let text = String::from;
        Entry {
            url: text("https://a:8443"),
            grpc: text("a:9443"),
            username: text("ada"),
            role: text("admin"),
            expires_usec,
        }
    }

    #[test]
    fn a_login_is_kept_from_others_and_becomes_current() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(&folder.path().join("hms"));
        store.save("a", entry(1), "pem", &TrustBundle::default()).unwrap();
        assert_eq!(store.config().unwrap().current, "a");
        let mode = |path: &str| fs::metadata(folder.path().join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode("hms"), 0o700);
        assert_eq!(mode("hms/contexts/a"), 0o700);
        assert_eq!(mode("hms/contexts/a/identity.pem"), 0o600);
        assert_eq!(mode("hms/config.toml"), 0o600);
        store.remove("a").unwrap();
        assert!(!folder.path().join("hms/contexts/a").exists());
        assert!(store.config().unwrap().current.is_empty());
    }

    #[test]
    fn without_a_login_or_with_an_ended_one_it_says_how_to_log_in() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(folder.path());
        assert_eq!(store.context(None).err().unwrap().exit_code(), 4);
        store.save("a", entry(now_usec() - 10_800_000_000), "pem", &TrustBundle::default()).unwrap();
        let Some(Failure::Fault(fault)) = store.context(None).err() else { panic!("a fault") };
        assert_eq!(fault.message, "your login ended 3 h ago");
        assert_eq!(fault.hint, "hmsctl login https://a:8443");
        assert_eq!(store.context(Some("b")).err().unwrap().exit_code(), 1);
    }
}
