//! What the controller remembers of nginx: the tree of each host as it was last seen, and every version of its files.
//!
//! Versions are recorded by looking at the tree, not by listening to calls: so an edit made on the host, a change made
//! past the controller, and one that the agent put back by itself are all found. A call that passes the gate says who
//! did it and why ([`Changing`]).

mod act;
mod changed;
mod judge;
mod sync;
mod text;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use hms_proto::{controller::v1::NginxDrift, fault::Fault, host::v1::NginxTree};
use tokio::sync::OwnedMutexGuard;
use uuid::Uuid;

pub(crate) use act::Changing;
pub(crate) use sync::{follow, look_again, sync};
pub(crate) use text::{diff, merge};

/// nginx of one host as it was last seen.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Picture {
    pub(crate) tree: NginxTree,
    /// Without their diffs.
    pub(crate) drifts: Vec<NginxDrift>,
    /// When it was seen, in microseconds since the epoch; 0: never.
    pub(crate) seen_usec: i64,
    /// Why it was not seen the last time.
    pub(crate) fault: Option<Fault>,
}

/// The pictures of all hosts. After a restart they are drawn anew from the agents and the database.
#[derive(Debug, Default)]
pub(crate) struct Pictures {
    hosts: RwLock<HashMap<Uuid, Arc<Picture>>>,
    /// One look or change of a host's tree at a time: a look in the middle of a change would take it for somebody else's.
    turns: Mutex<HashMap<Uuid, Arc<tokio::sync::Mutex<()>>>>,
}

impl Pictures {
    /// What was last seen of this host.
    pub(crate) fn of(&self, host: Uuid) -> Arc<Picture> {
        self.hosts.read().unwrap_or_else(PoisonError::into_inner).get(&host).cloned().unwrap_or_default()
    }

    /// Whether anything but the time differs from what was there.
    fn put(&self, host: Uuid, picture: Picture) -> bool {
        let mut hosts = self.hosts.write().unwrap_or_else(PoisonError::into_inner);
        let old = hosts.insert(host, Arc::new(picture.clone())).unwrap_or_default();
        Picture { seen_usec: old.seen_usec, ..picture } != *old
    }

    async fn turn(&self, host: Uuid) -> OwnedMutexGuard<()> {
        let turn = self.turns.lock().unwrap_or_else(PoisonError::into_inner).entry(host).or_default().clone();
        turn.lock_owned().await
    }

    fn keep_only(&self, hosts: &[Uuid]) {
        self.hosts.write().unwrap_or_else(PoisonError::into_inner).retain(|id, _| hosts.contains(id));
        self.turns.lock().unwrap_or_else(PoisonError::into_inner).retain(|id, _| hosts.contains(id));
    }
}
