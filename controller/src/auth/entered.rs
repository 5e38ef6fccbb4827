//! Sessions without passwords, for tests of other parts.

use anyhow::Result;

use super::*;
use crate::db::sessions::{self, NewSession, Proof};

impl Auth {
    async fn entered(&self, user: Uuid, proof: Proof) -> Result<Uuid> {
        let now = self.clock.now();
        let session =
            NewSession { user, proof, now, expires: now + ABSOLUTE, address: String::new(), user_agent: "" };
        Ok(sessions::begin(&self.db, &session).await?)
    }

    /// The access token of somebody who has just logged in.
    pub(crate) async fn entered_by_rest(&self, user: Uuid) -> Result<String> {
        let session = self.entered(user, Proof::Rest).await?;
        Ok(self.signer.access(user, session, self.clock.now())?)
    }

    /// The cookie of somebody who has just logged in.
    pub(crate) async fn entered_by_web(&self, user: Uuid) -> Result<String> {
        let secret = new_secret();
        self.entered(user, Proof::Web(hash_of(&secret))).await?;
        Ok(format!("__Host-hms={secret}"))
    }
}
