//! Audit of calls that make their caller known themselves, and so come before the gate: logins, joins, renewals.

use std::time::Instant;

use hms_proto::fault::Fault;
use sqlx::PgPool;
use uuid::Uuid;

use crate::{
    audit::{self, Changed},
    db::{self, audit::Intent},
};

/// An intent that was recorded, and has no outcome yet.
pub(crate) struct Record {
    request_id: Uuid,
    begun: Instant,
}

impl Record {
    /// Records an intent. Without it nothing may be done.
    pub(crate) async fn open(db: &PgPool, intent: &Intent) -> Result<Self, Fault> {
        audit::begin(db, intent).await?;
        Ok(Self { request_id: intent.request_id, begun: Instant::now() })
    }

    /// Records how it ended, and hands the result on.
    pub(crate) async fn close<T>(self, db: &PgPool, result: Result<T, Fault>) -> Result<T, Fault> {
        self.write(db, result.as_ref().err(), None).await;
        result
    }

    /// The same, with what it changed.
    pub(crate) async fn close_with<T>(
        self,
        db: &PgPool,
        result: Result<(T, Changed), Fault>,
    ) -> Result<T, Fault> {
        let changed = result.as_ref().ok().map(|(_, changed)| changed);
        self.write(db, result.as_ref().err(), changed).await;
        result.map(|(value, _)| value)
    }

    async fn write(self, db: &PgPool, fault: Option<&Fault>, changed: Option<&Changed>) {
        let (outcome, detail) =
            fault.map_or(("ok", ""), |fault| (fault.row().outcome, fault.message.as_str()));
        let took_ms = u32::try_from(self.begun.elapsed().as_millis()).unwrap_or(u32::MAX);
        let written = db::audit::outcome_with(db, self.request_id, outcome, detail, took_ms, changed).await;
        if let Err(error) = written {
            // The next start closes it as "unknown".
            tracing::error!(%error, request_id = %self.request_id, outcome, "cannot record an outcome");
        }
    }
}
