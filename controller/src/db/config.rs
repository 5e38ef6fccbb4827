//! The one row of configuration.

use sqlx::{FromRow, PgExecutor, PgPool};
use uuid::Uuid;

use super::Result;

/// What the controller itself needs of it.
#[derive(Clone, FromRow)]
pub(crate) struct Config {
    /// The installation, as certificates and tokens name it.
    pub(crate) install_id: Uuid,
    /// Key that signs access tokens, sealed.
    pub(crate) jwt_secret: Option<String>,
}

/// Reads it.
pub(crate) async fn get(db: impl PgExecutor<'_>) -> Result<Config> {
    Ok(sqlx::query_as("SELECT install_id, jwt_secret FROM hms_config").fetch_one(db).await?)
}

/// Keeps the key for access tokens unless there is one, and returns the one that is kept.
pub(crate) async fn keep_jwt_secret(pool: &PgPool, sealed: &str) -> Result<String> {
    let sql = "UPDATE hms_config SET jwt_secret = coalesce(jwt_secret, $1), updated_at = now() RETURNING jwt_secret";
    Ok(sqlx::query_scalar(sql).bind(sealed).fetch_one(pool).await?)
}
