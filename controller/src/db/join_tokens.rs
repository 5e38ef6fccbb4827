//! Tokens with which a host joins: short-lived, good for one join of one host, kept as a hash.

use chrono::{DateTime, Utc};
use sqlx::{PgExecutor, PgPool};
use uuid::Uuid;

use super::Result;

/// Keeps a new token of a host. Those it had before and did not use are void from now on.
pub(crate) async fn create(
    pool: &PgPool,
    host: Uuid,
    secret_hash: &[u8; 32],
    now: DateTime<Utc>,
    expires: DateTime<Utc>,
) -> Result<()> {
    let mut tx = pool.begin().await?;
    sqlx::query("DELETE FROM join_tokens WHERE host_id = $1 AND used_at IS NULL")
        .bind(host)
        .execute(&mut *tx)
        .await?;
    sqlx::query(
        "INSERT INTO join_tokens (secret_hash, host_id, created_at, expires_at) VALUES ($1, $2, $3, $4)",
    )
    .bind(secret_hash.as_slice())
    .bind(host)
    .bind(now)
    .bind(expires)
    .execute(&mut *tx)
    .await?;
    Ok(tx.commit().await?)
}

/// Uses a token up. True for exactly one of all who try, and only in time and for the host it was made for.
pub(crate) async fn take(
    db: impl PgExecutor<'_>,
    host: Uuid,
    secret_hash: &[u8; 32],
    now: DateTime<Utc>,
) -> Result<bool> {
    let sql = "UPDATE join_tokens SET used_at = $3
        WHERE secret_hash = $2 AND host_id = $1 AND used_at IS NULL AND expires_at > $3";
    let done = sqlx::query(sql).bind(host).bind(secret_hash.as_slice()).bind(now).execute(db).await?;
    Ok(done.rows_affected() == 1)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use hms_proto::names::{Address, HostName};

    use super::*;
    use crate::db::hosts;

    type Test = std::result::Result<(), Box<dyn std::error::Error>>;

    async fn host(pool: &PgPool, name: &str) -> Uuid {
        let (name, address) = (HostName::try_from(name).unwrap(), Address::try_from("a:1").unwrap());
        hosts::add(pool, &name, &address).await.unwrap().id
    }

    #[sqlx::test(migrations = "../migrations")]
    async fn a_token_works_once_in_time_and_for_its_host_only(pool: PgPool) -> Test {
        let (now, minute) = (Utc::now(), TimeDelta::minutes(1));
        let (host, other) = (host(&pool, "asterra").await, host(&pool, "borealis").await);
        create(&pool, host, &[1; 32], now, now + minute * 15).await?;
        assert!(!take(&pool, other, &[1; 32], now).await?, "another host");
        assert!(!take(&pool, host, &[2; 32], now).await?, "another secret");
        assert!(!take(&pool, host, &[1; 32], now + minute * 15).await?, "too late");
        assert!(take(&pool, host, &[1; 32], now).await?);
        assert!(!take(&pool, host, &[1; 32], now).await?, "again");
        create(&pool, host, &[3; 32], now, now + minute).await?;
        create(&pool, host, &[4; 32], now, now + minute).await?;
        assert!(!take(&pool, host, &[3; 32], now).await?, "replaced by a newer one");
        assert!(create(&pool, host, &[5; 32], now, now + minute * 61).await.is_err(), "longer than an hour");
        Ok(())
    }

    /// Security case 90.
    #[sqlx::test(migrations = "../migrations")]
    async fn of_a_thousand_who_race_for_a_token_one_gets_it(pool: PgPool) -> Test {
        let now = Utc::now();
        let host = host(&pool, "asterra").await;
        create(&pool, host, &[1; 32], now, now + TimeDelta::minutes(15)).await?;
        let tries = (0..1000).map(|_| take(&pool, host, &[1; 32], now));
        let won = futures_util::future::try_join_all(tries).await?.into_iter().filter(|won| *won).count();
        assert_eq!(won, 1);
        Ok(())
    }
}
