//! A person's own sessions.

use hms_proto::{controller::v1::Session, fault::Fault};
use uuid::Uuid;

use super::{Auth, Caller, IDLE, unknown};
use crate::db;

impl Auth {
    /// Those that live, the one used last first.
    pub(crate) async fn sessions(&self, caller: &Caller) -> Result<Vec<Session>, Fault> {
        let listed = db::sessions::list(&self.db, caller.id, self.clock.now(), IDLE).await?;
        Ok(listed.iter().map(|session| session.to_proto(caller.session)).collect())
    }

    /// Ends one of the caller's own. Those of others are as if they were not there.
    pub(crate) async fn revoke(&self, caller: &Caller, id: &str) -> Result<(), Fault> {
        let unknown = || unknown("session", id);
        let id = Uuid::try_parse(id).map_err(|_| unknown())?;
        match db::sessions::revoke(&self.db, caller.id, id, self.clock.now()).await? {
            true => Ok(()),
            false => Err(unknown()),
        }
    }

    /// When the session that the caller came with ends, in microseconds since the epoch.
    pub(crate) async fn ends(&self, caller: &Caller) -> Result<i64, Fault> {
        let sessions = self.sessions(caller).await?;
        Ok(sessions.iter().find(|s| s.current).map_or(0, |s| s.expires_usec))
    }

    /// Whether the session that the caller came with still lives, with all that it could do. Does not count as its use: for
    /// streams that are open.
    pub(crate) async fn holds(&self, caller: &Caller) -> Result<bool, Fault> {
        let now = self.clock.now();
        let live = match (caller.token, caller.session) {
            (Some(token), _) => {
                db::tokens::by_id(&self.db, token, now).await?.map(|token| (token.role(), token.scope()))
            }
            (None, Some(session)) => {
                let live = db::sessions::lives(&self.db, session, now, IDLE).await?;
                live.map(|live| (live.role(), live.scope()))
            }
            (None, None) => None,
        };
        Ok(live.is_some_and(|(role, scope)| role >= caller.role && scope == caller.scope))
    }
}

/// Forgets sessions that ended more than a month ago, once an hour.
pub(super) async fn tidy(db: sqlx::PgPool) {
    let mut hour = tokio::time::interval(std::time::Duration::from_secs(3600));
    loop {
        hour.tick().await;
        match db::sessions::forget_old(&db, chrono::Utc::now()).await {
            Ok(0) => {}
            Ok(sessions) => tracing::info!(sessions, "forgot old sessions"),
            Err(error) => tracing::warn!(%error, "cannot forget old sessions"),
        }
    }
}
