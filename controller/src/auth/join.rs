//! Join tokens: `hms1.<host uuid>.<secret>.<sha256 of the root>`. A person carries one to a host, once.

use chrono::{DateTime, TimeDelta, Utc};
use hms_proto::fault::{Fault, FaultKind};
use sqlx::PgPool;
use uuid::Uuid;

use super::{hash_of, new_secret};
use crate::{db, pki::Authority};

/// Long enough to walk over to the host.
const LIFE: TimeDelta = TimeDelta::minutes(15);

/// A new token.
pub(crate) struct JoinToken {
    /// As it is shown, once.
    pub(crate) text: String,
    pub(crate) expires: DateTime<Utc>,
}

/// A token that somebody showed: well-formed, and nothing more is known of it.
#[derive(Clone, Copy)]
pub(crate) struct Shown {
    pub(crate) host: Uuid,
    pub(crate) hash: [u8; 32],
}

impl JoinToken {
    /// Makes a token for a host. Those made before and not used are void.
    pub(crate) async fn issue(db: &PgPool, host: Uuid, pki: &Authority) -> Result<Self, Fault> {
        let (secret, now) = (new_secret(), Utc::now());
        let expires = now + LIFE;
        db::join_tokens::create(db, host, &hash_of(&secret), now, expires).await?;
        Ok(Self { text: format!("hms1.{host}.{secret}.{}", hex::encode(pki.root_hash())), expires })
    }

    /// Reads a token. One that was made elsewhere says so, because that is a mistake people make.
    pub(crate) fn read(text: &str, pki: &Authority) -> Result<Shown, Fault> {
        let malformed = || Fault::invalid("this is not a join token").hint("Copy it whole: hms1.….….…");
        let parts: Vec<&str> = text.trim().split('.').collect();
        let ["hms1", host, secret, root] = parts.as_slice() else { return Err(malformed()) };
        let host = Uuid::try_parse(host).map_err(|_| malformed())?;
        if secret.len() != 43 {
            return Err(malformed());
        }
        if *root != hex::encode(pki.root_hash()) {
            return Err(Fault::new(FaultKind::Unauthenticated, "the join token is of another installation")
                .hint("Make one here with `hmsctl host token`."));
        }
        Ok(Shown { host, hash: hash_of(secret) })
    }
}
