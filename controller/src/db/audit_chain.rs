//! The chain of the audit as it is stored.

use hms_proto::controller::v1::AuditRow;
use sqlx::{FromRow, PgExecutor, PgPool};

use super::Result;

/// The newest row and its hash in hex; 0 and zeros when there is none.
pub(crate) async fn head(pool: &PgPool) -> Result<(i64, String)> {
    Ok(sqlx::query_as("SELECT seq, encode(hash, 'hex') FROM audit_head").fetch_one(pool).await?)
}

/// Rows as they are stored, oldest first: from this number on, up to that one (0: to the end), at most `limit`. From the first on
/// is from whatever is there: a row that somebody put before it is read as well.
pub(crate) async fn rows(db: impl PgExecutor<'_>, from: i64, to: i64, limit: i64) -> Result<Vec<AuditRow>> {
    let sql = "SELECT seq, (extract(epoch FROM time) * 1000000)::bigint AS time_usec,
            request_id::text AS request_id, phase, actor, user_id::text AS user_id, source, address, method, host,
            target, params::text AS params, outcome, detail, took_ms, before::text AS before,
            after::text AS after, before_hash, after_hash,
            encode(prev_hash, 'hex') AS prev_hash, encode(hash, 'hex') AS hash
        FROM audit WHERE (seq >= $1 OR $1 = 1) AND ($2 <= 0 OR seq <= $2) ORDER BY seq LIMIT $3";
    let rows: Vec<Row> = sqlx::query_as(sql).bind(from).bind(to).bind(limit).fetch_all(db).await?;
    Ok(rows.into_iter().map(AuditRow::from).collect())
}

/// The row up to which the controller has verified the chain, and its hash in hex.
pub(crate) async fn verified(pool: &PgPool) -> Result<Option<(i64, String)>> {
    let sql = "SELECT seq, encode(hash, 'hex') FROM audit_verified";
    Ok(sqlx::query_as(sql).fetch_optional(pool).await?)
}

/// Remembers that row. It never goes back.
pub(crate) async fn set_verified(pool: &PgPool, seq: i64, hash: &str) -> Result<()> {
    let sql = "INSERT INTO audit_verified (seq, hash) VALUES ($1, decode($2, 'hex'))
        ON CONFLICT (one) DO UPDATE SET seq = excluded.seq, hash = excluded.hash
        WHERE audit_verified.seq < excluded.seq";
    sqlx::query(sql).bind(seq).bind(hash).execute(pool).await?;
    Ok(())
}

/// Where the slow pass over the whole chain is that is under way: the last row that it verified, and its hash in hex.
pub(crate) async fn pass(pool: &PgPool) -> Result<Option<(i64, String)>> {
    let sql = "SELECT seq, encode(hash, 'hex') FROM audit_pass WHERE ended_at IS NULL";
    Ok(sqlx::query_as(sql).fetch_optional(pool).await?)
}

/// Begins a pass, unless one is under way.
pub(crate) async fn begin_pass(pool: &PgPool) -> Result<()> {
    let sql = "INSERT INTO audit_pass (seq, hash) VALUES (0, decode(repeat('00', 32), 'hex'))
        ON CONFLICT (one) DO UPDATE SET seq = excluded.seq, hash = excluded.hash, ended_at = NULL
        WHERE audit_pass.ended_at IS NOT NULL";
    sqlx::query(sql).execute(pool).await?;
    Ok(())
}

/// Moves the pass on, from this row to that one. False: another controller has done it.
pub(crate) async fn advance_pass(pool: &PgPool, from: i64, seq: i64, hash: &str) -> Result<bool> {
    let sql = "UPDATE audit_pass SET seq = $2, hash = decode($3, 'hex') WHERE ended_at IS NULL AND seq = $1";
    let done = sqlx::query(sql).bind(from).bind(seq).bind(hash).execute(pool).await?;
    Ok(done.rows_affected() > 0)
}

/// The pass came to the end of the chain, after this row.
pub(crate) async fn end_pass(pool: &PgPool, seq: i64) -> Result<()> {
    let sql = "UPDATE audit_pass SET ended_at = now() WHERE ended_at IS NULL AND seq = $1";
    sqlx::query(sql).bind(seq).execute(pool).await?;
    Ok(())
}

#[derive(FromRow)]
struct Row {
    seq: i64,
    time_usec: i64,
    request_id: String,
    phase: String,
    actor: String,
    user_id: Option<String>,
    source: String,
    address: String,
    method: String,
    host: String,
    target: String,
    params: String,
    outcome: Option<String>,
    detail: String,
    took_ms: Option<i64>,
    before: Option<String>,
    after: Option<String>,
    before_hash: Option<String>,
    after_hash: Option<String>,
    prev_hash: String,
    hash: String,
}

impl From<Row> for AuditRow {
    fn from(row: Row) -> Self {
        Self {
            seq: row.seq,
            time_usec: row.time_usec,
            request_id: row.request_id,
            phase: row.phase,
            actor: row.actor,
            user_id: row.user_id,
            source: row.source,
            address: row.address,
            method: row.method,
            host: row.host,
            target: row.target,
            params: row.params,
            outcome: row.outcome,
            detail: row.detail,
            took_ms: row.took_ms,
            before: row.before,
            after: row.after,
            before_hash: row.before_hash,
            after_hash: row.after_hash,
            prev_hash: row.prev_hash,
            hash: row.hash,
        }
    }
}

#[cfg(test)]
#[path = "audit_chain_tests.rs"]
mod tests;
