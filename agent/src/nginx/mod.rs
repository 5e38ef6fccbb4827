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
    time::{SystemTime, UNIX_EPOCH},
};

use hms_proto::fault::{ConfigProblem, Fault, FaultKind};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::systemd::Bus;
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
    /// What nginx said of the live tree, by its hash.
    tested: Mutex<Option<(String, Vec<ConfigProblem>)>>,
    /// Version of nginx, by when its program was changed.
    version: Mutex<Option<(i64, String)>>,
}

impl Nginx {
    /// Keeps its records below the state folder. What a run before this one left unfinished is put right first.
    pub(crate) fn new(bus: Arc<Bus>, state: &Path) -> std::io::Result<Self> {
        let records = Records::open(&state.join("nginx"))?;
        stage::clear(records.folder());
        let nginx =
            Self(Arc::new(Inner { bus, records, tested: Mutex::default(), version: Mutex::default() }));
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

/// Runs what waits for the disk.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work).await.map_err(|e| crate::internal(format!("a task failed: {e}")))?
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

fn now_usec() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_micros()).unwrap_or(i64::MAX)
}

/// A point in time for messages, in UTC.
fn time_text(usec: i64) -> String {
    let seconds = usec.div_euclid(1_000_000);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days to a date of the Gregorian calendar (Hinnant, chrono-compatible date algorithms).
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day = shifted.rem_euclid(146_097);
    let year_of_era = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_shifted = (5 * of_year + 2) / 153;
    let month = if month_shifted < 10 { month_shifted + 3 } else { month_shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let date = of_year - (153 * month_shifted + 2) / 5 + 1;
    format!(
        "{year:04}-{month:02}-{date:02} {:02}:{:02}:{:02} UTC",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

/// Where the records are, for what needs only the folder.
fn state_of(nginx: &Nginx) -> PathBuf {
    nginx.0.records.folder().to_owned()
}

#[cfg(test)]
mod tests {
    #[test]
    fn times_are_dates() {
        assert_eq!(super::time_text(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(super::time_text(1_709_210_096_000_000), "2024-02-29 12:34:56 UTC");
        assert_eq!(super::time_text(1_795_563_000_000_000), "2026-11-24 23:30:00 UTC");
    }
}
