//! A person's own sessions.

use hms_proto::{controller::v1::Session, fault::Fault};
use uuid::Uuid;

use super::{Auth, Caller, IDLE};
use crate::db;

impl Auth {
    /// Those that live, the one used last first.
    pub(crate) async fn sessions(&self, caller: &Caller) -> Result<Vec<Session>, Fault> {
        let listed = db::sessions::list(&self.db, caller.id, self.clock.now(), IDLE).await?;
        Ok(listed.iter().map(|session| session.to_proto(caller.session)).collect())
    }

    /// Ends one of the caller's own. Those of others are as if they were not there.
    pub(crate) async fn revoke(&self, caller: &Caller, id: &str) -> Result<(), Fault> {
        let unknown = || {
            Fault::not_found("session", &id.chars().take(36).flat_map(char::escape_debug).collect::<String>())
        };
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

    /// Forgets sessions that ended long ago, now and then.
    pub(crate) async fn tidy(&self) -> Result<u64, Fault> {
        Ok(db::sessions::forget_old(&self.db, self.clock.now()).await?)
    }
}
