//! REST: a login gives an access token and a refresh token; each refresh token is used once.

use std::net::IpAddr;

use chrono::{DateTime, TimeDelta, Utc};
use hms_proto::fault::Fault;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    ABSOLUTE, Attempt, Auth, Caller, Password, Source, TOUCH, api, hash_of, not_logged_in,
    tokens::{ACCESS, Signer},
};
use crate::db::{
    self, refresh,
    sessions::{NewSession, Proof},
};

/// For so long the same client may ask again with a token it used: the answer may have been lost on its way.
const GRACE: TimeDelta = TimeDelta::seconds(30);

/// What a client gets.
pub(crate) struct Tokens {
    pub(crate) access: String,
    pub(crate) refresh: String,
    /// How many seconds the access token holds.
    pub(crate) expires_in: i64,
}

/// What became of a refresh token.
enum Turn {
    /// It was exchanged.
    Next { user: Uuid, session: Uuid },
    /// It was used before, and not by the same client just now: somebody has a copy.
    Reused { user: Uuid, session: Uuid },
    /// It is none of ours, or its session has ended.
    Nothing,
}

impl Auth {
    /// Trades a password for tokens.
    pub(crate) async fn rest_login(
        &self,
        username: &str,
        password: &Password,
        code: Option<&str>,
        address: IpAddr,
        user_agent: &str,
    ) -> Result<Tokens, Fault> {
        let attempt = Attempt { username, password, code, address, source: Source::Rest };
        self.enter(attempt, async |proved| {
            let user = proved.all()?;
            let (now, first) = (self.clock.now(), Signer::first_refresh());
            let session = NewSession {
                user: user.id,
                proof: Proof::Rest,
                now,
                expires: now + ABSOLUTE,
                address: address.to_canonical().to_string(),
                user_agent,
            };
            let mut tx = self.held(&user).await?;
            let id = db::sessions::begin(&mut *tx, &session).await?;
            refresh::add(&mut tx, &hash_of(&first), id, now).await?;
            tx.commit().await.map_err(db::Error::from)?;
            self.tokens(user.id, id, first, now)
        })
        .await
    }

    /// Trades a refresh token for new tokens. One that was used before ends the session, unless it is the same client
    /// asking again at once: that one gets the same successor again.
    pub(crate) async fn rest_refresh(
        &self,
        token: &str,
        address: IpAddr,
        user_agent: &str,
    ) -> Result<Tokens, Fault> {
        if !Signer::is_refresh(token) {
            return Err(not_logged_in());
        }
        let (now, next) = (self.clock.now(), self.signer.next_refresh(token));
        let client = hex::encode(hash_of(&format!("{}\n{user_agent}", address.to_canonical())));
        let mut tx = self.db.begin().await.map_err(db::Error::from)?;
        let turn = turn(&mut tx, token, &next, &client, now).await?;
        if let Turn::Reused { user, session } = turn {
            db::sessions::revoke(&mut *tx, user, session, now).await?;
            tracing::warn!(%session, %address, "a refresh token was used twice; its session was ended");
        }
        tx.commit().await.map_err(db::Error::from)?;
        match turn {
            Turn::Next { user, session } => self.tokens(user, session, next, now),
            Turn::Reused { .. } | Turn::Nothing => Err(not_logged_in()),
        }
    }

    /// Who shows this access token, or this token for machines.
    pub(crate) async fn bearer(&self, token: &str, address: Option<IpAddr>) -> Result<Caller, Fault> {
        if api::is_token(token) {
            return self.machine(token, address).await;
        }
        let now = self.clock.now();
        let access = self.signer.read(token, now).ok_or_else(not_logged_in)?;
        let live = db::sessions::rest(&self.db, access.session, now).await?.ok_or_else(not_logged_in)?;
        if live.user_id != access.user {
            return Err(not_logged_in());
        }
        if now - live.last_seen_at > TOUCH {
            db::sessions::touch(&self.db, live.id, now).await?;
        }
        Ok(Self::caller(&live, Source::Rest, address, now))
    }

    /// The session that an access token is of, by the token alone: it may have ended since.
    pub(crate) fn signed_session(&self, token: &str) -> Option<Uuid> {
        self.signer.read(token, self.clock.now()).map(|access| access.session)
    }

    fn tokens(
        &self,
        user: Uuid,
        session: Uuid,
        refresh: String,
        now: DateTime<Utc>,
    ) -> Result<Tokens, Fault> {
        let access = self.signer.access(user, session, now)?;
        Ok(Tokens { access, refresh, expires_in: ACCESS.num_seconds() })
    }
}

async fn turn(
    tx: &mut PgConnection,
    token: &str,
    next: &str,
    client: &str,
    now: DateTime<Utc>,
) -> Result<Turn, Fault> {
    let hash = hash_of(token);
    let Some(known) = refresh::lock(&mut *tx, &hash).await? else { return Ok(Turn::Nothing) };
    let Some(live) = db::sessions::rest(&mut *tx, known.session_id, now).await? else {
        return Ok(Turn::Nothing);
    };
    let (user, session) = (live.user_id, live.id);
    let Some(used_at) = known.used_at else {
        refresh::add(&mut *tx, &hash_of(next), session, now).await?;
        refresh::used(&mut *tx, &hash, client, &hash_of(next), now).await?;
        return Ok(Turn::Next { user, session });
    };
    let same_client = known.used_by.as_deref() == Some(client);
    match same_client && now - used_at <= GRACE && !known.successor_used {
        true => Ok(Turn::Next { user, session }),
        false => Ok(Turn::Reused { user, session }),
    }
}
