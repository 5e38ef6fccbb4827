//! The people who may log in.

use chrono::{DateTime, Utc};
use hms_proto::{Role, access};
use sqlx::{FromRow, PgPool};
use uuid::Uuid;

use super::{Error, Result};
use crate::auth::Limit;

/// A person.
#[derive(Clone, FromRow)]
pub(crate) struct User {
    pub(crate) id: Uuid,
    pub(crate) username: String,
    role: String,
    /// None: whoever has the invitation chooses one.
    pub(crate) password_hash: Option<String>,
    pub(crate) disabled_at: Option<DateTime<Utc>>,
    scope_all: bool,
    scope_hosts: Vec<String>,
    scope_apps: Vec<String>,
}

impl User {
    /// What the user may do.
    pub(crate) fn role(&self) -> Role {
        access::role_from_word(&self.role).unwrap_or_default()
    }

    /// What the user may act on.
    pub(crate) fn limit(&self) -> Limit {
        Limit::of_row(self.scope_all, &self.scope_hosts, &self.scope_apps)
    }
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User").field("username", &self.username).field("role", &self.role).finish()
    }
}

/// The user of this name, disabled or not.
pub(crate) async fn get_by_name(pool: &PgPool, name: &str) -> Result<Option<User>> {
    Ok(sqlx::query_as("SELECT * FROM users WHERE username = $1").bind(name).fetch_optional(pool).await?)
}

/// The user with this id, disabled or not.
pub(crate) async fn get_by_id(pool: &PgPool, id: Uuid) -> Result<Option<User>> {
    Ok(sqlx::query_as("SELECT * FROM users WHERE id = $1").bind(id).fetch_optional(pool).await?)
}

/// Adds a user.
pub(crate) async fn add(pool: &PgPool, name: &str, role: Role, password_hash: &str) -> Result<User, Error> {
    let sql = "INSERT INTO users (username, role, password_hash) VALUES ($1, $2, $3) RETURNING *";
    Ok(sqlx::query_as(sql)
        .bind(name)
        .bind(access::role_word(role))
        .bind(password_hash)
        .fetch_one(pool)
        .await?)
}

/// All users, by name.
pub(crate) async fn list(pool: &PgPool) -> Result<Vec<User>> {
    Ok(sqlx::query_as("SELECT * FROM users ORDER BY username").fetch_all(pool).await?)
}

/// Changes what a user may do, from their next request on. False when there is no such user.
pub(crate) async fn set_role(pool: &PgPool, name: &str, role: Role) -> Result<bool> {
    let sql = "UPDATE users SET role = $2 WHERE username = $1";
    let done = sqlx::query(sql).bind(name).bind(access::role_word(role)).execute(pool).await?;
    Ok(done.rows_affected() > 0)
}

/// Locks a user out, or lets them in again. All their sessions end. False when there is no such user.
pub(crate) async fn set_disabled(pool: &PgPool, name: &str, disabled: bool) -> Result<bool> {
    let sql = "UPDATE users SET disabled_at = CASE WHEN $2 THEN now() END WHERE username = $1 RETURNING id";
    change(pool, sqlx::query_scalar(sql).bind(name).bind(disabled)).await
}

/// Gives a user a new password. All their sessions end. False when there is no such user.
pub(crate) async fn set_password(pool: &PgPool, name: &str, password_hash: &str) -> Result<bool> {
    let sql =
        "UPDATE users SET password_hash = $2, password_changed_at = now() WHERE username = $1 RETURNING id";
    change(pool, sqlx::query_scalar(sql).bind(name).bind(password_hash)).await
}

type ReturnsId<'q> = sqlx::query::QueryScalar<'q, sqlx::Postgres, Uuid, sqlx::postgres::PgArguments>;

async fn change(pool: &PgPool, update: ReturnsId<'_>) -> Result<bool> {
    let mut tx = pool.begin().await?;
    let Some(id) = update.fetch_optional(&mut *tx).await? else { return Ok(false) };
    sqlx::query("UPDATE sessions SET revoked_at = now() WHERE user_id = $1 AND revoked_at IS NULL")
        .bind(id)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Test = std::result::Result<(), Box<dyn std::error::Error>>;

    #[sqlx::test(migrations = "../migrations")]
    async fn a_user_name_belongs_to_one_user_and_is_never_two_lines(pool: PgPool) -> Test {
        let ada = add(&pool, "ada", Role::Operator, "x").await?;
        assert_eq!(ada.role(), Role::Operator);
        assert!(matches!(add(&pool, "ada", Role::Admin, "y").await, Err(Error::Conflict)));
        for bad in ["ada\nhasroot=1", "Ada", "", "a b"] {
            assert!(add(&pool, bad, Role::Viewer, "x").await.is_err(), "{bad:?}");
        }
        assert!(add(&pool, "eve", Role::Unspecified, "x").await.is_err(), "a user has a role");
        assert!(set_role(&pool, "ada", Role::Viewer).await?);
        assert_eq!(get_by_name(&pool, "ada").await?.unwrap().role(), Role::Viewer);
        assert!(!set_disabled(&pool, "nobody", true).await?);
        assert!(!format!("{ada:?}").contains("password"));
        Ok(())
    }
}
