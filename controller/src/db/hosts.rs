//! The hosts of the installation.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgExecutor, PgPool};
use uuid::Uuid;

use super::{Error, Result};

/// A host.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct Host {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    /// Where its agent listens, as `host:port`.
    pub(crate) address: String,
    pub(crate) created_at: DateTime<Utc>,
    /// When its agent joined first.
    pub(crate) joined_at: Option<DateTime<Utc>>,
    /// Of its newest certificate, lower-case hex.
    pub(crate) certificate_serial: Option<String>,
    pub(crate) certificate_expires_at: Option<DateTime<Utc>>,
}

/// All hosts, by name.
pub(crate) async fn list(pool: &PgPool) -> Result<Vec<Host>> {
    Ok(sqlx::query_as("SELECT * FROM hosts ORDER BY name").fetch_all(pool).await?)
}

/// The host of this name.
pub(crate) async fn get_by_name(pool: &PgPool, name: &str) -> Result<Option<Host>> {
    Ok(sqlx::query_as("SELECT * FROM hosts WHERE name = $1").bind(name).fetch_optional(pool).await?)
}

/// The host with this id.
pub(crate) async fn get_by_id(pool: &PgPool, id: Uuid) -> Result<Option<Host>> {
    Ok(sqlx::query_as("SELECT * FROM hosts WHERE id = $1").bind(id).fetch_optional(pool).await?)
}

/// Adds a host. It gets an id that no host ever had, so a name that is used again inherits nothing.
pub(crate) async fn add(pool: &PgPool, name: &str, address: &str) -> Result<Host, Error> {
    let sql = "INSERT INTO hosts (name, address) VALUES ($1, $2) RETURNING *";
    Ok(sqlx::query_as(sql).bind(name).bind(address).fetch_one(pool).await?)
}

/// Forgets a host and its tokens. False when there was none.
pub(crate) async fn remove(pool: &PgPool, name: &str) -> Result<bool> {
    let done = sqlx::query("DELETE FROM hosts WHERE name = $1").bind(name).execute(pool).await?;
    Ok(done.rows_affected() > 0)
}

/// Notes the certificate that a host got. None when the host was removed meanwhile.
pub(crate) async fn joined(
    db: impl PgExecutor<'_>,
    id: Uuid,
    serial: &str,
    expires: DateTime<Utc>,
) -> Result<Option<Host>> {
    let sql = "UPDATE hosts SET joined_at = coalesce(joined_at, now()),
            certificate_serial = $2, certificate_expires_at = $3
        WHERE id = $1 RETURNING *";
    Ok(sqlx::query_as(sql).bind(id).bind(serial).bind(expires).fetch_optional(db).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Test = std::result::Result<(), Box<dyn std::error::Error>>;

    #[sqlx::test(migrations = "../migrations")]
    async fn a_host_is_added_once_found_joined_and_removed(pool: PgPool) -> Test {
        let host = add(&pool, "asterra", "10.0.0.1:9444").await?;
        assert!(host.joined_at.is_none());
        assert!(matches!(add(&pool, "asterra", "10.0.0.2:9444").await, Err(Error::Conflict)));
        let joined = joined(&pool, host.id, "0a", Utc::now()).await?.unwrap();
        assert_eq!(joined.certificate_serial.as_deref(), Some("0a"));
        assert_eq!(get_by_name(&pool, "asterra").await?.unwrap().id, host.id);
        assert!(get_by_id(&pool, host.id).await?.unwrap().joined_at.is_some());
        assert!(remove(&pool, "asterra").await? && !remove(&pool, "asterra").await?);
        assert!(super::joined(&pool, host.id, "0b", Utc::now()).await?.is_none());
        Ok(())
    }

    /// Security case 94.
    #[sqlx::test(migrations = "../migrations")]
    async fn a_host_of_the_same_name_is_another_host(pool: PgPool) -> Test {
        let first = add(&pool, "asterra", "a:1").await?;
        remove(&pool, "asterra").await?;
        let second = add(&pool, "asterra", "a:1").await?;
        assert_ne!(first.id, second.id);
        assert!(second.joined_at.is_none());
        Ok(())
    }
}
