//! Codes with which somebody chooses a password, and logins that wait for their second factor.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use super::{Result, users::User};

/// How long an invitation holds.
pub(crate) const HOLDS: TimeDelta = TimeDelta::hours(24);
/// How long a login waits for its second factor, and how often it may be tried.
const STEP: TimeDelta = TimeDelta::minutes(5);
const TRIES: i32 = 5;

/// Keeps a new invitation in the place of the one before, and says until when it holds.
pub(crate) async fn put(
    db: impl PgExecutor<'_>,
    user: Uuid,
    hash: &[u8; 32],
    now: DateTime<Utc>,
) -> Result<DateTime<Utc>> {
    let sql = "INSERT INTO invitations (user_id, code_hash, created_at, expires_at) VALUES ($1, $2, $3, $4)
        ON CONFLICT (user_id) DO UPDATE SET code_hash = $2, created_at = $3, expires_at = $4";
    sqlx::query(sql).bind(user).bind(hash.as_slice()).bind(now).bind(now + HOLDS).execute(db).await?;
    Ok(now + HOLDS)
}

/// Whose invitation this is. Everybody else who asks for it waits until the transaction ends.
pub(crate) async fn lock(tx: &mut PgConnection, hash: &[u8; 32], now: DateTime<Utc>) -> Result<Option<User>> {
    let sql = "SELECT u.* FROM invitations i JOIN users u ON u.id = i.user_id
        WHERE i.code_hash = $1 AND i.expires_at > $2 AND u.disabled_at IS NULL FOR UPDATE OF i";
    Ok(sqlx::query_as(sql).bind(hash.as_slice()).bind(now).fetch_optional(tx).await?)
}

/// Uses an invitation up.
pub(crate) async fn remove(db: impl PgExecutor<'_>, user: Uuid) -> Result<()> {
    sqlx::query("DELETE FROM invitations WHERE user_id = $1").bind(user).execute(db).await?;
    Ok(())
}

/// Begins to wait for somebody's second factor.
pub(crate) async fn begin_step(
    db: impl PgExecutor<'_>,
    user: Uuid,
    hash: &[u8; 32],
    now: DateTime<Utc>,
) -> Result<()> {
    let sql = "INSERT INTO login_steps (token_hash, user_id, expires_at) VALUES ($1, $2, $3)";
    sqlx::query(sql).bind(hash.as_slice()).bind(user).bind(now + STEP).execute(db).await?;
    Ok(())
}

/// The name of whose login waits here.
pub(crate) async fn waits(
    db: impl PgExecutor<'_>,
    hash: &[u8; 32],
    now: DateTime<Utc>,
) -> Result<Option<String>> {
    let sql = "SELECT u.username FROM login_steps s JOIN users u ON u.id = s.user_id
        WHERE s.token_hash = $1 AND s.expires_at > $2 AND s.tries < $3";
    Ok(sqlx::query_scalar(sql).bind(hash.as_slice()).bind(now).bind(TRIES).fetch_optional(db).await?)
}

/// Whose login waits here, counting the attempt. The step and the account are of one moment: with another password there would be no
/// step.
pub(crate) async fn try_step(
    db: impl PgExecutor<'_>,
    hash: &[u8; 32],
    now: DateTime<Utc>,
) -> Result<Option<User>> {
    let sql = "UPDATE login_steps s SET tries = tries + 1 FROM users u
        WHERE u.id = s.user_id AND s.token_hash = $1 AND s.expires_at > $2 AND s.tries < $3
        RETURNING u.*";
    Ok(sqlx::query_as(sql).bind(hash.as_slice()).bind(now).bind(TRIES).fetch_optional(db).await?)
}

/// Uses a step up, and with it all other waiting logins of its user. False when it was used up in the meantime.
pub(crate) async fn use_step(
    tx: &mut PgConnection,
    user: Uuid,
    hash: &[u8; 32],
    now: DateTime<Utc>,
) -> Result<bool> {
    let sql = "DELETE FROM login_steps WHERE token_hash = $1";
    let used = sqlx::query(sql).bind(hash.as_slice()).execute(&mut *tx).await?;
    end_steps(&mut *tx, user, now).await?;
    Ok(used.rows_affected() > 0)
}

/// Ends all waiting logins of somebody, and those of everybody that waited for too long.
pub(crate) async fn end_steps(db: impl PgExecutor<'_>, user: Uuid, now: DateTime<Utc>) -> Result<()> {
    let sql = "DELETE FROM login_steps WHERE user_id = $1 OR expires_at <= $2";
    sqlx::query(sql).bind(user).bind(now).execute(db).await?;
    Ok(())
}
