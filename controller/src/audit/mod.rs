//! The audit beyond its table: the controller verifies the chain as it grows, gives its head to the agents, and takes over
//! what was done on hosts directly.

mod changed;
mod collect;
mod heads;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

pub(crate) use changed::Changed;
use hms_proto::chain::Verifier;
use uuid::Uuid;

use crate::{
    db,
    fleet::{Host, LinkState},
    state::Core,
};

/// How often it is looked who is connected.
const LOOK: Duration = Duration::from_secs(5);
/// How often a host is visited while it stays connected.
const VISIT: Duration = Duration::from_secs(60);
/// Rows that are verified between two looks at everything else.
const AT_ONCE: i64 = 500;

/// A head that an agent holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) seq: i64,
    /// When it was given to it, in microseconds since the epoch.
    pub(crate) time_usec: i64,
    /// Why the agent says that it contradicts what it had. Empty: it does not.
    pub(crate) alarm: String,
}

/// What is known of the chain. After a restart it is found out again.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    held: Mutex<HashMap<Uuid, Held>>,
    verified: Mutex<(Verifier, String)>,
}

impl Watched {
    /// The head that this host holds, if it was given one.
    pub(crate) fn held_by(&self, host: Uuid) -> Option<Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).get(&host).cloned()
    }

    /// Up to which row the chain was verified, and what is wrong with the one after it.
    pub(crate) fn verified(&self) -> (i64, String) {
        let verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        (verified.0.seq, verified.1.clone())
    }
}

/// Looks after the chain until the controller stops.
pub(crate) async fn follow(core: Arc<Core>) {
    let mut visited: HashMap<Uuid, Instant> = HashMap::new();
    let mut tick = tokio::time::interval(LOOK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while core.stop.run_until_cancelled(tick.tick()).await.is_some() {
        if let Err(error) = verify(&core).await {
            tracing::warn!(%error, "cannot read the audit");
            continue;
        }
        let connected: Vec<_> = core.fleet.hosts().into_iter().filter(|host| is_connected(host)).collect();
        visited.retain(|id, _| connected.iter().any(|host| host.row.id == *id));
        for host in connected {
            let due = visited.get(&host.row.id).is_none_or(|last| last.elapsed() >= VISIT);
            if due {
                visited.insert(host.row.id, Instant::now());
                tokio::spawn(visit(core.clone(), host));
            }
        }
    }
}

fn is_connected(host: &Host) -> bool {
    host.look(|picture| picture.link == LinkState::Connected)
}

/// What was done there first, so that the head speaks of it.
async fn visit(core: Arc<Core>, host: Arc<Host>) {
    if let Err(fault) = collect::collect(&core, &host).await {
        tracing::warn!(host = %host.row.name, reason = %fault, "cannot collect what was done there directly");
    }
    if let Err(fault) = heads::give(&core, &host).await {
        tracing::warn!(host = %host.row.name, reason = %fault, "cannot give it the head of the audit");
    }
}

/// Verifies the rows that came since. A chain that was found broken stays so until somebody has looked, and started anew.
async fn verify(core: &Core) -> db::Result<()> {
    loop {
        let (from, broken) = core.audit.verified();
        if !broken.is_empty() {
            return Ok(());
        }
        let rows = db::audit_chain::rows(&core.db, from + 1, 0, AT_ONCE).await?;
        let mut verified = core.audit.verified.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(broken) = rows.iter().try_for_each(|row| verified.0.check(row)) {
            tracing::error!(%broken, "the chain of the audit is broken");
            verified.1 = broken.to_string();
        }
        if rows.is_empty() {
            return Ok(());
        }
    }
}
