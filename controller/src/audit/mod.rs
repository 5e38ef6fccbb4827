//! The audit beyond its table: the controller verifies the chain as it grows, gives its head to the agents, and takes over
//! what was done on hosts directly.

mod changed;
mod collect;
mod heads;
mod target;
#[cfg(test)]
mod tests;
mod whole;
#[cfg(test)]
mod whole_tests;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

pub(crate) use changed::Changed;
use hms_proto::{
    chain::{self, Broken, Kept, Verifier},
    controller::v1::AuditRow,
    fault::{Fault, FaultKind},
};
use sqlx::PgPool;
pub(crate) use target::target;
use uuid::Uuid;

use crate::{
    db::{self, audit::Intent},
    fleet::{Host, LinkState},
    state::Core,
};

/// Records an intent. What it speaks of must not be done unless this succeeded, whatever the reason.
pub(crate) async fn begin(db: &PgPool, intent: &Intent) -> Result<(), Fault> {
    db::audit::intent(db, intent).await.map(drop).map_err(|error| {
        tracing::error!(%error, request_id = %intent.request_id, "cannot record an intent");
        Fault::new(FaultKind::Unavailable, "the audit cannot be written, so nothing was done")
            .hint("Check that PostgreSQL runs and has space; HMS reconnects by itself.")
    })
}

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
    verified: Mutex<Verified>,
}

#[derive(Debug, Default)]
struct Verified {
    /// None until it is known where to go on.
    verifier: Option<Verifier>,
    /// Up to which row that is kept for the next start.
    kept: i64,
    /// The first row that something is wrong with, whoever found it.
    broken: Option<Broken>,
}

impl Watched {
    /// The head that this host holds, if it was given one.
    pub(crate) fn held_by(&self, host: Uuid) -> Option<Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).get(&host).cloned()
    }

    /// Up to which row the chain was verified, and what is wrong with the one after it.
    pub(crate) fn verified(&self) -> (i64, String) {
        let verified = self.look();
        match &verified.broken {
            Some(broken) => ((broken.seq - 1).max(0), broken.to_string()),
            None => (verified.verifier.as_ref().map_or(0, |verifier| verifier.seq), String::new()),
        }
    }

    fn look(&self) -> MutexGuard<'_, Verified> {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks after the chain until the controller stops.
pub(crate) async fn follow(core: Arc<Core>) {
    tokio::spawn(whole::follow(core.clone()));
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

/// Goes on after a row that was verified before. Where that is not as it was, all is verified, and held against it.
async fn resume(core: &Core, verified: Option<(i64, String)>) -> db::Result<Verifier> {
    let Some((seq, hash)) = verified.filter(|(seq, _)| *seq > 0) else { return Ok(Verifier::default()) };
    let row = db::audit_chain::rows(&core.db, seq, seq, 1).await?.pop();
    Ok(match row.is_some_and(|row| row.seq == seq && row.hash == hash && chain::hash(&row) == hash) {
        true => Verifier::after(seq, hash),
        false => Verifier::default().with([Kept { by: "the controller itself".into(), seq, hash }]),
    })
}

/// Verifies the rows that came since. A chain that was found broken stays so until somebody has looked, and started anew.
async fn verify(core: &Core) -> db::Result<()> {
    if core.audit.look().verifier.is_none() {
        let verifier = resume(core, db::audit_chain::verified(&core.db).await?).await?;
        core.audit.look().verifier = Some(verifier);
    }
    loop {
        let (from, broken) = core.audit.verified();
        if !broken.is_empty() {
            return Ok(());
        }
        let rows = db::audit_chain::rows(&core.db, from + 1, 0, AT_ONCE).await?;
        core.audit.look().take(&rows);
        if rows.is_empty() {
            return keep(core).await;
        }
    }
}

impl Verified {
    /// Verifies the next rows; none: the chain ends here.
    fn take(&mut self, rows: &[AuditRow]) {
        let Some(verifier) = &mut self.verifier else { return };
        let found = match rows {
            [] => verifier.end(),
            rows => rows.iter().try_for_each(|row| verifier.check(row)),
        };
        if let Err(broken) = found {
            self.found(broken);
        }
    }

    /// Of several rows the first is told.
    fn found(&mut self, broken: Broken) {
        tracing::error!(%broken, "the chain of the audit is broken");
        if self.broken.as_ref().is_none_or(|known| broken.seq < known.seq) {
            self.broken = Some(broken);
        }
    }

    /// What the next start should know and does not yet.
    fn news(&self) -> Option<(i64, String)> {
        let verifier = self.verifier.as_ref()?;
        (self.broken.is_none() && verifier.seq > self.kept).then(|| (verifier.seq, verifier.hash.clone()))
    }
}

/// The next start goes on from here.
async fn keep(core: &Core) -> db::Result<()> {
    let Some((seq, hash)) = core.audit.look().news() else { return Ok(()) };
    db::audit_chain::set_verified(&core.db, seq, &hash).await?;
    core.audit.look().kept = seq;
    Ok(())
}
