//! Logins that have not ended, of all three kinds.

use chrono::{DateTime, TimeDelta, Utc};
use hms_proto::{Role, access, controller::v1::Session as PbSession};
use sqlx::{FromRow, PgExecutor, PgPool};
use uuid::Uuid;

use super::Result;
use crate::auth::{Limit, Scope};

/// How a session is proved.
#[derive(Debug, Clone)]
pub(crate) enum Proof {
    /// By a cookie, whose token has this hash.
    Web([u8; 32]),
    /// By access tokens, which name the session.
    Rest,
    /// By an operator certificate with this serial.
    Cli(String),
}

impl Proof {
    fn kind(&self) -> &'static str {
        match self {
            Self::Web(_) => "web",
            Self::Rest => "rest",
            Self::Cli(_) => "cli",
        }
    }
}

/// A session to begin.
#[derive(Debug, Clone)]
pub(crate) struct NewSession<'a> {
    pub(crate) user: Uuid,
    pub(crate) proof: Proof,
    pub(crate) now: DateTime<Utc>,
    pub(crate) expires: DateTime<Utc>,
    pub(crate) address: String,
    pub(crate) user_agent: &'a str,
}

/// A live session with its user as the database has them at this moment.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct Live {
    pub(crate) id: Uuid,
    pub(crate) user_id: Uuid,
    pub(crate) username: String,
    role: String,
    pub(crate) last_seen_at: DateTime<Utc>,
    pub(crate) confirmed_at: DateTime<Utc>,
    scope_all: bool,
    scope_hosts: Vec<String>,
    scope_apps: Vec<String>,
}

impl Live {
    /// What the user may do.
    pub(crate) fn role(&self) -> Role {
        access::role_from_word(&self.role).unwrap_or_default()
    }

    /// What the user may act on.
    pub(crate) fn scope(&self) -> Scope {
        Scope::within([Limit::of_row(self.scope_all, &self.scope_hosts, &self.scope_apps)])
    }
}

/// A session as its owner sees it.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct Listed {
    pub(crate) id: Uuid,
    kind: String,
    created_at: DateTime<Utc>,
    last_seen_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    address: String,
    user_agent: String,
}

impl Listed {
    /// As the contract has it.
    pub(crate) fn to_proto(&self, current: Option<Uuid>) -> PbSession {
        PbSession {
            id: self.id.to_string(),
            kind: self.kind.clone(),
            created_usec: self.created_at.timestamp_micros(),
            last_seen_usec: self.last_seen_at.timestamp_micros(),
            expires_usec: self.expires_at.timestamp_micros(),
            address: self.address.clone(),
            user_agent: self.user_agent.clone(),
            current: current == Some(self.id),
        }
    }
}

/// Begins a session and returns its id, which is new.
pub(crate) async fn begin(db: impl PgExecutor<'_>, new: &NewSession<'_>) -> Result<Uuid> {
    let id = Uuid::now_v7();
    let (token, serial) = match &new.proof {
        Proof::Web(hash) => (Some(hash.as_slice()), None),
        Proof::Rest => (None, None),
        Proof::Cli(serial) => (None, Some(serial)),
    };
    // Long enough for every real browser, and what is longer is of no use to a reader.
    let user_agent: String = new.user_agent.chars().filter(|c| !c.is_control()).take(200).collect();
    let sql =
        "INSERT INTO sessions (id, user_id, kind, token_hash, certificate_serial, created_at, last_seen_at,
            confirmed_at, expires_at, address, user_agent)
        VALUES ($1, $2, $3, $4, $5, $6, $6, $6, $7, $8, $9)";
    sqlx::query(sql)
        .bind(id)
        .bind(new.user)
        .bind(new.proof.kind())
        .bind(token)
        .bind(serial)
        .bind(new.now)
        .bind(new.expires)
        .bind(&new.address)
        .bind(user_agent)
        .execute(db)
        .await?;
    Ok(id)
}

macro_rules! live_where {
    ($condition:literal) => {
        concat!(
            "SELECT s.id, s.user_id, u.username, u.role, s.last_seen_at, s.confirmed_at, u.scope_all, u.scope_hosts,
                u.scope_apps
            FROM sessions s JOIN users u ON u.id = s.user_id
            WHERE s.revoked_at IS NULL AND u.disabled_at IS NULL AND s.expires_at > $2 AND ",
            $condition
        )
    };
}

/// The live browser session of this token, unless it was idle for too long.
pub(crate) async fn by_token(
    pool: &PgPool,
    hash: &[u8; 32],
    now: DateTime<Utc>,
    idle: TimeDelta,
) -> Result<Option<Live>> {
    let sql = live_where!("s.kind = 'web' AND s.token_hash = $1 AND s.last_seen_at > $3");
    Ok(sqlx::query_as(sql).bind(hash.as_slice()).bind(now).bind(now - idle).fetch_optional(pool).await?)
}

/// The live terminal's session of this certificate.
pub(crate) async fn by_serial(pool: &PgPool, serial: &str, now: DateTime<Utc>) -> Result<Option<Live>> {
    let sql = live_where!("s.kind = 'cli' AND s.certificate_serial = $1");
    Ok(sqlx::query_as(sql).bind(serial).bind(now).fetch_optional(pool).await?)
}

/// The live REST session with this id.
pub(crate) async fn rest(db: impl PgExecutor<'_>, id: Uuid, now: DateTime<Utc>) -> Result<Option<Live>> {
    let sql = live_where!("s.kind = 'rest' AND s.id = $1");
    Ok(sqlx::query_as(sql).bind(id).bind(now).fetch_optional(db).await?)
}

/// A session of any kind that still lives, without counting as its use: for streams that are open.
pub(crate) async fn lives(
    pool: &PgPool,
    id: Uuid,
    now: DateTime<Utc>,
    idle: TimeDelta,
) -> Result<Option<Live>> {
    let sql = live_where!("s.id = $1 AND (s.kind <> 'web' OR s.last_seen_at > $3)");
    Ok(sqlx::query_as(sql).bind(id).bind(now).bind(now - idle).fetch_optional(pool).await?)
}

/// Notes that its owner proved again who they are.
pub(crate) async fn confirm(pool: &PgPool, id: Uuid, now: DateTime<Utc>) -> Result<()> {
    sqlx::query("UPDATE sessions SET confirmed_at = $2 WHERE id = $1")
        .bind(id)
        .bind(now)
        .execute(pool)
        .await?;
    Ok(())
}

/// Notes that a session was used.
pub(crate) async fn touch(pool: &PgPool, id: Uuid, now: DateTime<Utc>) -> Result<()> {
    sqlx::query("UPDATE sessions SET last_seen_at = $2 WHERE id = $1 AND last_seen_at < $2")
        .bind(id)
        .bind(now)
        .execute(pool)
        .await?;
    Ok(())
}

/// The live sessions of a user, the one used last first.
pub(crate) async fn list(
    pool: &PgPool,
    user: Uuid,
    now: DateTime<Utc>,
    idle: TimeDelta,
) -> Result<Vec<Listed>> {
    let sql = "SELECT * FROM sessions WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > $2
            AND (kind <> 'web' OR last_seen_at > $3)
        ORDER BY last_seen_at DESC, id LIMIT 200";
    Ok(sqlx::query_as(sql).bind(user).bind(now).bind(now - idle).fetch_all(pool).await?)
}

/// Ends one of a user's own sessions. False when the user has no such session.
pub(crate) async fn revoke(
    db: impl PgExecutor<'_>,
    user: Uuid,
    id: Uuid,
    now: DateTime<Utc>,
) -> Result<bool> {
    let sql = "UPDATE sessions SET revoked_at = $3 WHERE id = $2 AND user_id = $1 AND revoked_at IS NULL";
    let done = sqlx::query(sql).bind(user).bind(id).bind(now).execute(db).await?;
    Ok(done.rows_affected() > 0)
}

/// Ends all sessions of a user but this one, and says how many.
pub(crate) async fn end_all(db: impl PgExecutor<'_>, user: Uuid, but: Option<Uuid>) -> Result<u64> {
    let sql = "UPDATE sessions SET revoked_at = now()
        WHERE user_id = $1 AND revoked_at IS NULL AND ($2::uuid IS NULL OR id <> $2)";
    Ok(sqlx::query(sql).bind(user).bind(but).execute(db).await?.rows_affected())
}

/// Ends the sessions of a user's terminals: their certificates say what is not true any more.
pub(crate) async fn end_terminals(db: impl PgExecutor<'_>, user: Uuid) -> Result<()> {
    let sql =
        "UPDATE sessions SET revoked_at = now() WHERE user_id = $1 AND revoked_at IS NULL AND kind = 'cli'";
    sqlx::query(sql).bind(user).execute(db).await?;
    Ok(())
}

/// Certificates that were revoked and have not ended by themselves, with their ends; those that last longest first. The rest is
/// dropped.
pub(crate) async fn revoked_certificates(
    pool: &PgPool,
    now: DateTime<Utc>,
    most: usize,
) -> Result<Vec<(String, DateTime<Utc>)>> {
    sqlx::query("DELETE FROM revoked_certificates WHERE ends_at <= $1").bind(now).execute(pool).await?;
    let sql = "SELECT serial, ends_at FROM revoked_certificates ORDER BY ends_at DESC, serial LIMIT $1";
    Ok(sqlx::query_as(sql).bind(i64::try_from(most).unwrap_or(i64::MAX)).fetch_all(pool).await?)
}

/// Removes sessions that ended more than a month ago.
pub(crate) async fn forget_old(pool: &PgPool, now: DateTime<Utc>) -> Result<u64> {
    let sql = "DELETE FROM sessions WHERE least(expires_at, coalesce(revoked_at, expires_at)) < $1";
    Ok(sqlx::query(sql).bind(now - TimeDelta::days(30)).execute(pool).await?.rows_affected())
}
