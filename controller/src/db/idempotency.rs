//! Requests that a client may send again, and what was answered.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{FromRow, PgPool};
use uuid::Uuid;

use super::Result;

/// For so long a request is known again.
const KEPT: TimeDelta = TimeDelta::hours(24);
/// So many of one caller are kept.
const MOST: i64 = 10_000;

/// A request to remember.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// The session or the token of the caller.
    pub(crate) owner: Uuid,
    pub(crate) key: String,
    pub(crate) fingerprint: [u8; 32],
    pub(crate) request_id: Uuid,
    /// The process that acts on it.
    pub(crate) instance: Uuid,
}

/// A request that came before with the same key.
#[derive(Debug, FromRow)]
pub(crate) struct Before {
    pub(crate) fingerprint: Vec<u8>,
    pub(crate) request_id: Uuid,
    pub(crate) instance: Uuid,
    /// Sealed. None: not yet. Empty: too large to be kept.
    pub(crate) answer: Option<String>,
}

/// What there is to do about a request.
#[derive(Debug)]
pub(crate) enum Turn {
    /// It is the first, and is written down: act.
    First,
    Again(Before),
    /// The caller has too many keys.
    Full,
}

/// Writes a request down before it is acted on, unless it is there already.
pub(crate) async fn begin(pool: &PgPool, asked: &Asked, now: DateTime<Utc>) -> Result<Turn> {
    // A few old ones each time: more go than come.
    let forget = "DELETE FROM idempotency_keys WHERE (owner, key) IN (
        SELECT owner, key FROM idempotency_keys WHERE created_at < $1 ORDER BY created_at LIMIT 100
        FOR UPDATE SKIP LOCKED)";
    sqlx::query(forget).bind(now - KEPT).execute(pool).await?;
    let add = "INSERT INTO idempotency_keys (owner, key, fingerprint, request_id, instance, created_at)
        SELECT $1, $2, $3, $4, $5, $6 WHERE $7 >
            (SELECT count(*) FROM (SELECT 1 FROM idempotency_keys WHERE owner = $1 LIMIT $7) own)
        ON CONFLICT (owner, key) DO UPDATE SET fingerprint = EXCLUDED.fingerprint,
            request_id = EXCLUDED.request_id, instance = EXCLUDED.instance,
            created_at = EXCLUDED.created_at, answer = NULL
        WHERE idempotency_keys.created_at < $8";
    let added = sqlx::query(add)
        .bind(asked.owner)
        .bind(&asked.key)
        .bind(asked.fingerprint.as_slice())
        .bind(asked.request_id)
        .bind(asked.instance)
        .bind(now)
        .bind(MOST)
        .bind(now - KEPT)
        .execute(pool)
        .await?;
    if added.rows_affected() > 0 {
        return Ok(Turn::First);
    }
    let before = "SELECT fingerprint, request_id, instance, answer FROM idempotency_keys
        WHERE owner = $1 AND key = $2";
    let before = sqlx::query_as(before).bind(asked.owner).bind(&asked.key).fetch_optional(pool).await?;
    Ok(before.map_or(Turn::Full, Turn::Again))
}

/// Keeps the answer of a request.
pub(crate) async fn answered(pool: &PgPool, asked: &Asked, answer: &str) -> Result<()> {
    let keep = "UPDATE idempotency_keys SET answer = $3 WHERE owner = $1 AND key = $2 AND request_id = $4";
    let keep = sqlx::query(keep).bind(asked.owner).bind(&asked.key).bind(answer).bind(asked.request_id);
    keep.execute(pool).await?;
    Ok(())
}

/// Forgets a request on which nothing was done: it may come again.
pub(crate) async fn forget(pool: &PgPool, asked: &Asked) -> Result<()> {
    let forget = "DELETE FROM idempotency_keys WHERE owner = $1 AND key = $2 AND request_id = $3";
    sqlx::query(forget).bind(asked.owner).bind(&asked.key).bind(asked.request_id).execute(pool).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Test = std::result::Result<(), Box<dyn std::error::Error>>;

    fn asked(key: &str) -> Asked {
        let (owner, instance) = (Uuid::from_u128(1), Uuid::from_u128(2));
        Asked { owner, key: key.into(), fingerprint: [7; 32], request_id: Uuid::now_v7(), instance }
    }

    #[sqlx::test(migrations = "../migrations")]
    async fn of_many_at_once_one_is_the_first(pool: PgPool) -> Test {
        let now = Utc::now();
        let turns = futures_util::future::join_all((0..16).map(|_| {
            let (pool, asked) = (pool.clone(), asked("a"));
            async move { begin(&pool, &asked, now).await }
        }));
        let mut first = 0;
        for turn in turns.await {
            first += usize::from(matches!(turn?, Turn::First));
        }
        assert_eq!(first, 1);
        Ok(())
    }

    #[sqlx::test(migrations = "../migrations")]
    async fn a_request_is_known_for_a_day_and_a_caller_has_only_so_many(pool: PgPool) -> Test {
        let (now, asked) = (Utc::now(), asked("a"));
        begin(&pool, &asked, now).await?;
        answered(&pool, &asked, "sealed").await?;
        let hours = |n| now + TimeDelta::hours(n);
        let again = begin(&pool, &asked, hours(23)).await?;
        assert!(matches!(again, Turn::Again(Before { answer: Some(text), .. }) if text == "sealed"));
        assert!(matches!(begin(&pool, &asked, hours(25)).await?, Turn::First));
        let fill = "INSERT INTO idempotency_keys SELECT $1, n::text, $2, $1, $1, $3, NULL
            FROM generate_series(1, 10000) n";
        sqlx::query(fill).bind(asked.owner).bind([7u8; 32].as_slice()).bind(hours(25)).execute(&pool).await?;
        assert!(matches!(begin(&pool, &self::asked("b"), hours(25)).await?, Turn::Full));
        assert!(matches!(begin(&pool, &asked, hours(25)).await?, Turn::Again(_)));
        let other = Asked { owner: Uuid::from_u128(9), ..self::asked("b") };
        assert!(matches!(begin(&pool, &other, hours(25)).await?, Turn::First));
        Ok(())
    }
}
