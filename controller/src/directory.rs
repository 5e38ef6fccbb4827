//! Keeps the fleet in step with the database: which hosts and apps there are, what was deployed, and which certificates were
//! revoked.

use std::{collections::HashMap, sync::Arc, time::Duration};

use chrono::Utc;
use hms_proto::{fault::Fault, host::v1::RevokedCertificate};
use sqlx::{PgPool, postgres::PgListener};

use crate::{
    db,
    fleet::{Change, Deployed},
    state::Core,
};

/// Told by triggers on `hosts`, `apps` and `deployments` (migrations). The payload says nothing that the tables do not say better.
const CHANNEL: &str = "hms_directory";
/// Told by triggers on `sessions`.
const REVOKED: &str = "hms_revoked";
/// What agents take (`RevocationService.Put`).
const MOST_REVOKED: usize = 10_000;
/// Between two attempts to reach the database.
const RETRY: Duration = Duration::from_secs(1);

impl Core {
    /// Takes over hosts and apps from the database.
    pub(crate) async fn reload(&self) -> Result<(), Fault> {
        let hosts = db::hosts::list(&self.db).await?;
        let apps = db::apps::list(&self.db).await?;
        let deployed = deployed(&self.db).await?;
        self.fleet.reconcile(hosts, apps, deployed).map_err(|error| {
            tracing::error!(%error, "a host in the database cannot be used");
            Fault::new(hms_proto::fault::FaultKind::Internal, "a host in the database cannot be used")
        })
    }
}

/// Tells the agents who may not call them any more.
async fn reload_revoked(core: &Core) -> Result<(), Fault> {
    let mut rows = db::sessions::revoked_certificates(&core.db, Utc::now(), MOST_REVOKED + 1).await?;
    if rows.len() > MOST_REVOKED {
        tracing::error!(
            most = MOST_REVOKED,
            "too many certificates were revoked for the agents to know them all"
        );
        rows.truncate(MOST_REVOKED);
    }
    let told = rows
        .into_iter()
        .map(|(serial, ends)| RevokedCertificate { serial, ends_usec: ends.timestamp_micros() });
    core.fleet.revoke(told.collect());
    Ok(())
}

async fn deployed(pool: &PgPool) -> db::Result<HashMap<String, Deployed>> {
    let mut all: HashMap<String, Deployed> = HashMap::new();
    for live in db::deployments::live(pool).await? {
        all.entry(live.app_key.clone()).or_default().live = Some(live.to_proto());
    }
    for work in db::deployments::all_at_work(pool).await? {
        all.entry(work.app_key.clone()).or_default().work = Some(work.to_proto());
    }
    Ok(all)
}

/// Follows the database for ever. While it is away the last picture stays.
pub(crate) async fn follow(core: Arc<Core>) {
    loop {
        if let Err(error) = following(&core).await {
            core.set_database_up(false);
            tracing::warn!(%error, "lost the database, trying again");
            core.fleet.tell(Change::Activity);
        }
        tokio::time::sleep(RETRY).await;
    }
}

async fn following(core: &Core) -> anyhow::Result<()> {
    let mut listener = PgListener::connect_with(&core.db).await?;
    listener.listen_all([CHANNEL, REVOKED]).await?;
    // Before there are links, which tell it first.
    reload_revoked(core).await?;
    core.reload().await?;
    // Outcomes that could not be written while the database was away stay open until a start closes them.
    core.set_database_up(true);
    core.fleet.tell(Change::Directory);
    loop {
        match listener.try_recv().await? {
            Some(told) if told.channel() == REVOKED => reload_revoked(core).await?,
            Some(_) => core.reload().await?,
            // The connection was lost: what was said meanwhile is gone.
            None => anyhow::bail!("the listening connection was lost"),
        }
    }
}
