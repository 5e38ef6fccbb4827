//! nginx: its configuration as a tree of files, and the one way in which it changes.
//!
//! # Layout
//! - `lex`, `tree`, `directives`, `rules`, `upstream`, `uris`, `lint`: what a configuration says, and what it must not say.
//! - `paths`, `folder`, `rooted`: the files, in memory and below one descriptor.
//! - `change`: what was asked for, as files that differ. `check`, `stage`, `said`: nginx's own test in a sandbox.
//!   `prove`: lint and test together.
//! - `pipeline`, `reload`, `probe`: swapping the files, and whether nginx lives up to them. `record`: what is on the disk
//!   about that. `recover`: what is done with it after a restart, and when nobody confirmed.
//! - `route`, `url`, `flat`, `servers`: which server and location answers a URL. `view`: what the lists show.

#[cfg(test)]
mod attack_tests;
mod change;
mod check;
#[cfg(test)]
mod corpus_tests;
mod directives;
mod fail;
mod flat;
mod folder;
mod lex;
mod lint;
mod paths;
mod pipeline;
mod probe;
mod prove;
mod record;
mod recover;
mod reload;
mod rooted;
mod route;
mod rules;
mod said;
mod servers;
mod service;
mod stage;
pub(crate) mod tree;
mod upstream;
mod uris;
mod url;
mod view;

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
    time::Duration,
};

use hms_proto::{
    fault::{ConfigProblem, Fault, FaultKind},
    host::v1::{ApplyNginxRequest, ApplyNginxResponse},
};
use rustix::fs::FlockOperation;
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::{blocking, systemd::Bus};
use folder::Folder;
pub(crate) use probe::connect;
use record::Records;
use rooted::Rooted;

/// One change at a time. Whoever holds it may write to /etc/nginx. After the host has joined anew, timers of the service
/// before may still run: it is one lock for all.
static WRITER: LazyLock<Arc<Mutex<()>>> = LazyLock::new(Arc::default);

/// How often it is looked whether another process is done.
const LOOK: Duration = Duration::from_millis(50);

/// Nobody else changes the configuration, until it is dropped.
struct Writing {
    nginx: Nginx,
    _turn: OwnedMutexGuard<()>,
}

impl Drop for Writing {
    fn drop(&mut self) {
        rustix::fs::flock(&self.nginx.0.lock, FlockOperation::Unlock).ok();
    }
}

/// The service. Clones share one host's nginx.
#[derive(Debug, Clone)]
pub(crate) struct Nginx(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    bus: Arc<Bus>,
    /// Locked by the process that changes something: work on an app has one of its own.
    lock: File,
    records: Records,
    /// The name or address that HMS itself is reached by.
    own_name: String,
    /// What nginx said of the live tree, by its hash.
    tested: Mutex<Option<(String, Vec<ConfigProblem>)>>,
    /// Version of nginx, by when its program was changed.
    version: Mutex<Option<(i64, String)>>,
}

impl Nginx {
    /// Keeps its records below the state folder. What a run before this one left unfinished is put right first.
    /// `own_name` is how HMS itself is reached.
    pub(crate) fn new(bus: Arc<Bus>, state: &Path, own_name: String) -> std::io::Result<Self> {
        let nginx = Self::beside(bus, state, own_name)?;
        stage::clear(nginx.0.records.folder());
        tokio::spawn(recover::recover(nginx.clone()));
        Ok(nginx)
    }

    /// The same, for a process beside the agent, which clears nothing away.
    pub(crate) fn beside(bus: Arc<Bus>, state: &Path, own_name: String) -> std::io::Result<Self> {
        let records = Records::open(&state.join("nginx"))?;
        let lock = crate::files::private_file(
            &records.folder().join("lock"),
            std::fs::OpenOptions::new().create(true).truncate(false),
        )?;
        let (tested, version) = (Mutex::default(), Mutex::default());
        Ok(Self(Arc::new(Inner { bus, lock, records, own_name, tested, version })))
    }

    async fn write_lock(&self) -> Writing {
        let turn = WRITER.clone().lock_owned().await;
        loop {
            match rustix::fs::flock(&self.0.lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(rustix::io::Errno::WOULDBLOCK) => tokio::time::sleep(LOOK).await,
                Err(error) => {
                    tracing::error!(%error, "cannot lock /etc/nginx against other processes of HMS");
                    break;
                }
            }
        }
        Writing { nginx: self.clone(), _turn: turn }
    }

    /// Makes a change for somebody, as `Apply` does.
    pub(crate) async fn change(
        &self,
        actor: &str,
        request: &ApplyNginxRequest,
    ) -> Result<ApplyNginxResponse, Fault> {
        pipeline::apply(self, actor, request).await
    }

    /// Fails while a change of somebody else waits to be confirmed.
    pub(crate) fn is_free(&self) -> Result<(), Fault> {
        pipeline::is_free(self)
    }

    /// Keeps a change, if it waits to be confirmed.
    pub(crate) async fn keep(&self, actor: &str, id: &str) -> Result<(), Fault> {
        match self.0.records.change()?.filter(|change| change.id == id) {
            Some(_) => recover::confirm(self, actor, id).await,
            None => Ok(()),
        }
    }

    /// The text of a file below /etc/nginx, and whether it is a site that is enabled. `None`: there is none.
    pub(crate) async fn text(&self, path: &str) -> Result<Option<(String, bool)>, Fault> {
        let live = self.live().await?;
        let Some(folder::Node::File(content)) = live.entries.get(path).map(|entry| entry.node.clone()) else {
            return Ok(None);
        };
        let link = path.replacen("sites-available/", "sites-enabled/", 1);
        let is_enabled = live.entries.contains_key(&link);
        Ok(Some((String::from_utf8_lossy(&content).into_owned(), is_enabled)))
    }

    /// Puts back what a process that was killed left in the middle of a change.
    pub(crate) async fn settle(&self) -> Result<(), Fault> {
        let _writing = self.write_lock().await;
        recover::settle_swap(self).await
    }

    /// The tree as it is on the disk.
    async fn live(&self) -> Result<Folder, Fault> {
        blocking(|| rooted()?.read().map_err(|e| unreadable(&e))).await
    }
}

fn rooted() -> Result<Rooted, Fault> {
    Rooted::open(Path::new(paths::ROOT)).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => {
            Fault::new(FaultKind::NotFound, "nginx is not installed on this host: there is no /etc/nginx")
                .hint("Install it, then restart hms-agent so that it may write there.")
        }
        _ => unreadable(&e),
    })
}

fn unreadable(error: &std::io::Error) -> Fault {
    Fault::new(FaultKind::Failed, format!("/etc/nginx cannot be read: {error}"))
}

/// A point in time for messages, in UTC.
fn time_text(usec: i64) -> String {
    let time = chrono::DateTime::from_timestamp_micros(usec).unwrap_or_default();
    time.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// Where the records are, for what needs only the folder.
fn state_of(nginx: &Nginx) -> PathBuf {
    nginx.0.records.folder().to_owned()
}

/// What is wrong with a site, in an otherwise usual configuration.
#[cfg(test)]
pub(crate) fn problems_of_site(text: &str) -> Vec<ConfigProblem> {
    let mut folder = Folder::default();
    let main = "user www-data;\nevents {}\nhttp { include sites-enabled/*; }\n";
    folder.entries.insert("nginx.conf".into(), folder::Entry::file(main));
    folder.entries.insert("sites-available/x".into(), folder::Entry::file(text));
    folder.entries.insert("sites-enabled/x".into(), folder::Entry::link("../sites-available/x"));
    lint::lint(&folder).problems
}
