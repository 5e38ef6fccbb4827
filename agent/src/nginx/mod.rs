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
mod tree;
mod upstream;
mod uris;
mod url;
mod view;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
};

use hms_proto::fault::{ConfigProblem, Fault, FaultKind};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::{blocking, systemd::Bus};
use folder::Folder;
use record::Records;
use rooted::Rooted;

/// One change at a time. Whoever holds it may write to /etc/nginx. After the host has joined anew, timers of the service
/// before may still run: it is one lock for all.
static WRITER: LazyLock<Arc<Mutex<()>>> = LazyLock::new(Arc::default);

/// The service. Clones share one host's nginx.
#[derive(Debug, Clone)]
pub(crate) struct Nginx(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    bus: Arc<Bus>,
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
        let records = Records::open(&state.join("nginx"))?;
        stage::clear(records.folder());
        let nginx = Self(Arc::new(Inner {
            bus,
            records,
            own_name,
            tested: Mutex::default(),
            version: Mutex::default(),
        }));
        tokio::spawn(recover::recover(nginx.clone()));
        Ok(nginx)
    }

    async fn write_lock(&self) -> OwnedMutexGuard<()> {
        WRITER.clone().lock_owned().await
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
