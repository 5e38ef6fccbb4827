//! Refresh tokens: each is used once, and what it was exchanged for is known.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use super::Result;

/// A refresh token.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct Token {
    pub(crate) session_id: Uuid,
    pub(crate) used_at: Option<DateTime<Utc>>,
    pub(crate) used_by: Option<String>,
    /// Whether its successor was used too.
    pub(crate) successor_used: bool,
}

/// Keeps a new token.
pub(crate) async fn add(
    tx: &mut PgConnection,
    hash: &[u8; 32],
    session: Uuid,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query("INSERT INTO refresh_tokens (token_hash, session_id, created_at) VALUES ($1, $2, $3)")
        .bind(hash.as_slice())
        .bind(session)
        .bind(now)
        .execute(tx)
        .await?;
    Ok(())
}

/// The token with this hash. Everybody else who asks for it waits until the transaction ends.
pub(crate) async fn lock(tx: &mut PgConnection, hash: &[u8; 32]) -> Result<Option<Token>> {
    let sql = "SELECT t.session_id, t.used_at, t.used_by,
            EXISTS (SELECT FROM refresh_tokens n WHERE n.token_hash = t.successor_hash AND n.used_at IS NOT NULL)
                AS successor_used
        FROM refresh_tokens t WHERE t.token_hash = $1 FOR UPDATE OF t";
    Ok(sqlx::query_as(sql).bind(hash.as_slice()).fetch_optional(tx).await?)
}

/// Notes by whom a token was used, and its successor.
pub(crate) async fn used(
    tx: &mut PgConnection,
    hash: &[u8; 32],
    by: &str,
    successor: &[u8; 32],
    now: DateTime<Utc>,
) -> Result<()> {
    let sql =
        "UPDATE refresh_tokens SET used_at = $4, used_by = $2, successor_hash = $3 WHERE token_hash = $1";
    sqlx::query(sql).bind(hash.as_slice()).bind(by).bind(successor.as_slice()).bind(now).execute(tx).await?;
    Ok(())
}
