//! Who is calling: passwords, sessions, tokens and operator certificates. All of them are rows that can be revoked, and
//! all are looked up at each call.

mod account;
mod api;
mod caller;
mod clock;
mod join;
mod login;
mod operator;
pub(crate) mod password;
mod people;
mod record;
mod rest;
mod scope;
mod sessions;
mod throttle;
mod tokens;
mod totp;
pub(crate) mod web;

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use hms_proto::fault::{Fault, FaultKind};
use sqlx::PgPool;
use uuid::Uuid;

pub(crate) use caller::{Caller, Source};
pub(crate) use join::{JoinToken, Shown};
pub(crate) use login::Attempt;
pub(crate) use operator::operator;
pub(crate) use password::{Password, Passwords};
pub(crate) use people::{Edited, not_added};
pub(crate) use record::Record;
pub(crate) use rest::Tokens;
pub(crate) use scope::{Limit, Scope};

use crate::{db, pki::Authority, seal::Sealer};
use clock::Clock;
use throttle::Throttle;
use tokens::Signer;

/// A login lasts no longer, whatever is done with it.
const ABSOLUTE: TimeDelta = TimeDelta::hours(12);
/// A browser that asks for nothing for so long is logged out.
pub(crate) const IDLE: TimeDelta = TimeDelta::minutes(15);
/// For so long it counts as proved who somebody is, where a login is not enough.
const CONFIRMED: TimeDelta = TimeDelta::minutes(5);
/// How exact the time of last use is: not every call is a write.
const TOUCH: TimeDelta = TimeDelta::seconds(30);

/// Decides who somebody is.
pub(crate) struct Auth {
    db: PgPool,
    passwords: Passwords,
    throttle: Throttle,
    signer: Signer,
    sealer: Arc<Sealer>,
    clock: Clock,
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Auth")
    }
}

impl Auth {
    /// Reads the key for access tokens from the database, or makes it at the first start.
    pub(crate) async fn open(db: &PgPool, pki: &Arc<Authority>) -> Result<Self, Fault> {
        let auth = Self::with(db, pki.sealer().clone(), Clock::real()).await?;
        tokio::spawn(sessions::tidy(db.clone()));
        Ok(auth)
    }

    async fn with(db: &PgPool, sealer: Arc<Sealer>, clock: Clock) -> Result<Self, Fault> {
        let config = db::config::get(db).await?;
        let signer = Signer::open(db, &sealer, &config).await?;
        let passwords = Passwords::new().await?;
        Ok(Self { db: db.clone(), passwords, throttle: Throttle::default(), signer, sealer, clock })
    }

    /// What there is to say about somebody whose session was found.
    fn caller(
        live: &db::sessions::Live,
        source: Source,
        address: Option<std::net::IpAddr>,
        now: DateTime<Utc>,
    ) -> Caller {
        let confirmed = live.confirmed_at + CONFIRMED;
        Caller {
            id: live.user_id,
            name: live.username.clone(),
            role: live.role(),
            scope: live.scope(),
            confirmed: Some(confirmed).filter(|until| now < *until),
            source,
            address,
            session: Some(live.id),
            token: None,
            request_id: Uuid::now_v7(),
            is_recorded: Arc::default(),
        }
    }
}

/// What is told when the proof that was shown proves nothing. It never says why: that is for who has the right one.
fn not_logged_in() -> Fault {
    Fault::new(FaultKind::Unauthenticated, "you are not logged in, or your login has ended")
}

/// There is no such thing, or it is somebody else's. What was asked for is shown, and may be anything.
fn unknown(what: &str, id: &str) -> Fault {
    Fault::not_found(what, &id.chars().take(36).flat_map(char::escape_debug).collect::<String>())
}

/// 256 random bits as text that goes into headers, cookies and JSON as it is.
pub(crate) fn new_secret() -> String {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

/// What is kept of a secret. It has 256 random bits, so a plain hash is enough.
pub(crate) fn hash_of(secret: &str) -> [u8; 32] {
    use sha2::{Digest as _, Sha256};
    Sha256::digest(secret.as_bytes()).into()
}

#[cfg(test)]
mod accounts_tests;
#[cfg(test)]
mod at_once_tests;
#[cfg(test)]
mod bad_tokens_tests;
#[cfg(test)]
mod entered;
#[cfg(test)]
mod forge;
#[cfg(test)]
mod guesses_tests;
#[cfg(test)]
mod machine_tests;
#[cfg(test)]
mod tests;
