//! Secrets of apps, sealed. Each change makes the next version of the whole set.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection, PgExecutor};

use super::{Result, audit::text};

/// The plan's columns of `apps` that hold a secret, with its name. Each holds the latest value.
pub(crate) const COLUMNS: [(&str, &str); 5] = [
    ("database_password", "DATABASE_PASSWORD"),
    ("secret_key_base", "SECRET_KEY_BASE"),
    ("api_token", "API_TOKEN"),
    ("json_api_url", "JSON_API_URL"),
    ("openrouter_api_key", "OPENROUTER_API_KEY"),
];

/// A secret, sealed.
#[derive(FromRow)]
pub(crate) struct Secret {
    pub(crate) name: String,
    /// The version of the set that it came with.
    pub(crate) version: i32,
    pub(crate) value: String,
    /// Of the value that is sealed, in bytes.
    pub(crate) length: i32,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) created_by: String,
}

/// The secrets of an app at a version, by name.
pub(crate) async fn at(db: impl PgExecutor<'_>, app: &str, version: i32) -> Result<Vec<Secret>> {
    let sql = "SELECT * FROM (SELECT DISTINCT ON (name) name, version, value, length, created_at, created_by
            FROM app_secrets WHERE app_key = $1 AND version <= $2 ORDER BY name, version DESC) s
        WHERE value IS NOT NULL ORDER BY name COLLATE \"C\"";
    Ok(sqlx::query_as(sql).bind(app).bind(version).fetch_all(db).await?)
}

/// Whether an app ever had this version.
pub(crate) async fn has_version(db: impl PgExecutor<'_>, app: &str, version: i32) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT FROM app_secrets WHERE app_key = $1 AND version = $2)";
    Ok(sqlx::query_scalar(sql).bind(app).bind(version).fetch_one(db).await?)
}

/// The latest version, while nobody else can make another. None: there is no such app.
pub(crate) async fn lock(db: &mut PgConnection, app: &str) -> Result<Option<i32>> {
    let sql = "SELECT secrets_version FROM apps WHERE app_key = $1 FOR UPDATE";
    Ok(sqlx::query_scalar(sql).bind(app).fetch_optional(db).await?)
}

/// One change of a new version: sealed for its place, with its length; or removed.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) name: String,
    pub(crate) value: Option<(String, usize)>,
}

/// Writes the next version. The caller holds the lock.
pub(crate) async fn put(
    db: &mut PgConnection,
    app: &str,
    version: i32,
    changes: &[Change],
    by: &str,
) -> Result<()> {
    let sql = "INSERT INTO app_secrets (app_key, name, version, value, length, created_by)
        VALUES ($1, $2, $3, $4, $5, $6)";
    for change in changes {
        let (value, length) = change.value.as_ref().map_or((None, 0), |(text, n)| (Some(text), *n));
        sqlx::query(sql)
            .bind(app)
            .bind(&change.name)
            .bind(version)
            .bind(value)
            .bind(i32::try_from(length).unwrap_or(i32::MAX))
            .bind(text(by))
            .execute(&mut *db)
            .await?;
    }
    let sql = "UPDATE apps SET secrets_version = $2 WHERE app_key = $1";
    sqlx::query(sql).bind(app).bind(version).execute(db).await?;
    Ok(())
}

/// The plan's columns as they are, by name of the secret; without those that are empty.
pub(crate) async fn columns(db: impl PgExecutor<'_>, app: &str) -> Result<BTreeMap<&'static str, String>> {
    let list = COLUMNS.map(|(column, _)| format!("coalesce({column}, '')")).join(", ");
    let sql = format!("SELECT array[{list}]::text[] FROM apps WHERE app_key = $1");
    let values: Option<Vec<String>> =
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).bind(app).fetch_optional(db).await?;
    let named = COLUMNS.iter().map(|(_, name)| *name).zip(values.unwrap_or_default());
    Ok(named.filter(|(_, value)| !value.is_empty()).collect())
}

/// Sets one of the plan's columns to a sealed text; empty where the secret was removed.
pub(crate) async fn set_column(
    db: &mut PgConnection,
    app: &str,
    column: &'static str,
    sealed: &str,
) -> Result<()> {
    // The name is one of COLUMNS, and no text of anybody's.
    let sql = format!("UPDATE apps SET {column} = $2 WHERE app_key = $1");
    sqlx::query(sqlx::AssertSqlSafe(sql)).bind(app).bind(sealed).execute(db).await?;
    Ok(())
}

#[cfg(test)]
#[path = "secrets_tests.rs"]
mod tests;
