//! The slow pass: all rows are verified again, page by page, so that an edit of an old row is noticed without anybody asking.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use hms_proto::{
    chain::{Kept, Verifier},
    host::v1::{HeadsRequest, audit_service_client::AuditServiceClient},
};

use super::{is_connected, resume};
use crate::{
    db,
    fleet::{as_controller, in_time},
    state::Core,
};

/// From a start to its pass, and from a failure to the next attempt.
const FIRST: Duration = Duration::from_secs(5 * 60);
/// From one pass to the next.
const AGAIN: Duration = Duration::from_secs(24 * 60 * 60);
/// Rows that are read at once.
const PAGE: i64 = 200;
/// For each moment of work so many of rest: a pass takes a tenth of one connection to the database at most.
const RESTS: u32 = 9;
/// Heads that each host is asked for: its newest.
const HEADS: u32 = 100;

/// Passes over the chain until the controller stops. One that was interrupted, or found something, goes on at once.
pub(super) async fn follow(core: Arc<Core>) {
    let under_way = db::audit_chain::pass(&core.db).await;
    let mut wait = if matches!(under_way, Ok(Some(_))) { Duration::ZERO } else { FIRST };
    let stop = core.stop.clone();
    while stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_some() {
        wait = match stop.run_until_cancelled(pass(&core, PAGE)).await {
            Some(Ok(())) => AGAIN,
            Some(Err(error)) => {
                tracing::warn!(%error, "cannot verify the whole audit");
                FIRST
            }
            None => return,
        };
    }
}

/// Verifies all rows, or those that an interrupted pass had left.
pub(super) async fn pass(core: &Core, page: i64) -> db::Result<()> {
    let mut pass = Pass::open(core).await?;
    loop {
        let begun = Instant::now();
        if !pass.step(core, page).await? {
            return Ok(());
        }
        tokio::time::sleep(begun.elapsed() * RESTS).await;
    }
}

/// A pass that is under way.
pub(super) struct Pass {
    verifier: Verifier,
    /// How far it is, as the database has it. Whoever moves that on leads; another controller stops.
    place: i64,
}

impl Pass {
    pub(super) async fn open(core: &Core) -> db::Result<Self> {
        db::audit_chain::begin_pass(&core.db).await?;
        // Heads first: rows that come meanwhile are beyond them.
        let mut kept = of_hosts(core).await;
        if let Some((seq, hash)) = db::audit_chain::verified(&core.db).await? {
            kept.push(Kept { by: "the controller itself".into(), seq, hash });
        }
        let place = db::audit_chain::pass(&core.db).await?;
        let at = place.as_ref().map_or(0, |(seq, _)| *seq);
        Ok(Self { verifier: resume(core, place).await?.with(kept), place: at })
    }

    /// Verifies a page. False: there is nothing left to do.
    pub(super) async fn step(&mut self, core: &Core, page: i64) -> db::Result<bool> {
        let rows = db::audit_chain::rows(&core.db, self.verifier.seq + 1, 0, page).await?;
        let found = match rows.as_slice() {
            [] => self.verifier.end(),
            rows => rows.iter().try_for_each(|row| self.verifier.check(row)),
        };
        if let Err(broken) = found {
            core.audit.look().found(broken);
            return Ok(false);
        }
        if rows.is_empty() {
            tracing::info!(rows = self.verifier.seq, "verified the whole audit");
            db::audit_chain::end_pass(&core.db, self.place).await?;
            return Ok(false);
        }
        self.advance(core).await
    }

    async fn advance(&mut self, core: &Core) -> db::Result<bool> {
        let Verifier { seq, hash, .. } = &self.verifier;
        // A place that was not as it was is behind until all before it is verified.
        if *seq <= self.place {
            return Ok(true);
        }
        let leads = db::audit_chain::advance_pass(&core.db, self.place, *seq, hash).await?;
        self.place = *seq;
        Ok(leads)
    }
}

/// What the hosts that are connected have seen of the chain.
async fn of_hosts(core: &Core) -> Vec<Kept> {
    let mut kept = Vec::new();
    for host in core.fleet.hosts().into_iter().filter(|host| is_connected(host)) {
        let mut client = AuditServiceClient::new(host.channel.clone());
        match in_time(client.heads(as_controller(HeadsRequest { limit: HEADS }))).await {
            Ok(answer) => {
                // What was wrong with a head when it was given was told then.
                let sound = answer.into_inner().heads.into_iter().filter(|head| head.alarm.is_empty());
                kept.extend(sound.map(|head| Kept {
                    by: host.row.name.clone(),
                    seq: head.seq,
                    hash: head.hash,
                }));
            }
            Err(status) => {
                tracing::debug!(host = %host.row.name, reason = status.message(), "cannot ask for its heads of the audit");
            }
        }
    }
    kept
}
