//! Runs and their jobs, from the database alone: whatever stops at whatever moment, a start goes on where it was.
//!
//! # Layout
//! - [`request`]: what was asked for becomes a run, or is refused.
//! - [`plan`], [`engine`]: which jobs of a run are next.
//! - [`worker`], [`begin`], [`collect`]: one job on its host, from the start to its end; [`findings`]: what a check's end means.
//! - [`app_work`]: what is different where a job works on an app; [`adopt`]: such work that a host was asked for directly.
//! - [`deliver`]: the scripts on the hosts.
//! - [`cron`], [`schedule`]: runs that begin by themselves.
//! - [`tell`]: what changed, for everybody who watches; [`tidy`]: what is kept.

mod adopt;
mod app_work;
mod begin;
mod collect;
pub(crate) mod cron;
pub(crate) mod deliver;
mod engine;
mod findings;
mod plan;
pub(crate) mod request;
pub(crate) mod schedule;
mod tell;
mod tidy;
mod worker;

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::{Notify, broadcast};
use uuid::Uuid;

use crate::state::State;
use deliver::Deliveries;
pub(crate) use tell::Told;

/// Between two attempts when the database is away.
const RETRY: Duration = Duration::from_secs(1);

/// What this process knows of runs and jobs besides the database.
#[derive(Debug)]
pub(crate) struct Jobs {
    told: broadcast::Sender<Told>,
    /// Jobs that are looked after.
    in_hand: Mutex<HashSet<Uuid>>,
    pub(crate) deliveries: Deliveries,
    /// The scripts of the installation changed.
    synced: Notify,
}

impl Default for Jobs {
    fn default() -> Self {
        let (told, _) = broadcast::channel(4096);
        Self { told, in_hand: Mutex::default(), deliveries: Deliveries::default(), synced: Notify::new() }
    }
}

impl Jobs {
    /// What changes from now on.
    pub(crate) fn told(&self) -> broadcast::Receiver<Told> {
        self.told.subscribe()
    }

    /// Brings the scripts to the hosts soon.
    pub(crate) fn scripts_changed(&self) {
        self.synced.notify_one();
    }

    /// Takes a job in hand, unless it is.
    fn take(&self, id: Uuid) -> bool {
        self.in_hand.lock().unwrap_or_else(PoisonError::into_inner).insert(id)
    }

    fn let_go(&self, id: Uuid) {
        self.in_hand.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }
}

/// Starts everything; it ends when the controller stops.
pub(crate) fn start(state: &State) {
    let stop = state.stop.clone();
    let go = |work: futures_util::future::BoxFuture<'static, ()>| {
        tokio::spawn(stop.clone().run_until_cancelled_owned(work));
    };
    go(Box::pin(tell::follow(state.clone())));
    go(Box::pin(engine::run(state.clone())));
    go(Box::pin(deliver::run(state.clone())));
    go(Box::pin(adopt::run(state.clone())));
    go(Box::pin(schedule::run(state.clone())));
    go(Box::pin(tidy::run(state.clone())));
}

#[cfg(test)]
pub(crate) mod tests;
