//! API tokens, of which only hashes are kept.

use chrono::{DateTime, TimeDelta, Utc};
use hms_proto::{Role, access, controller::v1};
use sqlx::{FromRow, PgExecutor, PgPool};
use uuid::Uuid;

use super::Result;
use crate::auth::{Limit, Scope};

/// How exact the time of last use is.
const TOUCH: TimeDelta = TimeDelta::seconds(60);

/// A token to make.
#[derive(Debug)]
pub(crate) struct NewToken<'a> {
    pub(crate) user: Uuid,
    pub(crate) name: &'a str,
    pub(crate) hash: [u8; 32],
    pub(crate) begins: &'a str,
    pub(crate) role: Role,
    pub(crate) limit: &'a Limit,
    pub(crate) now: DateTime<Utc>,
    pub(crate) expires: DateTime<Utc>,
}

/// A token with its owner as the database has them at this moment.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct Token {
    pub(crate) id: Uuid,
    pub(crate) user_id: Uuid,
    pub(crate) username: String,
    name: String,
    begins: String,
    role: String,
    user_role: String,
    scope_all: bool,
    scope_hosts: Vec<String>,
    scope_apps: Vec<String>,
    user_all: bool,
    user_hosts: Vec<String>,
    user_apps: Vec<String>,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    last_used_at: Option<DateTime<Utc>>,
    last_address: String,
}

impl Token {
    /// What it may do: at most what its owner may.
    pub(crate) fn role(&self) -> Role {
        let role = |word: &str| access::role_from_word(word).unwrap_or_default();
        role(&self.role).min(role(&self.user_role))
    }

    /// What it may act on: what its own limit and that of its owner have in common.
    pub(crate) fn scope(&self) -> Scope {
        Scope::within([self.limit(), Limit::of_row(self.user_all, &self.user_hosts, &self.user_apps)])
    }

    fn limit(&self) -> Limit {
        Limit::of_row(self.scope_all, &self.scope_hosts, &self.scope_apps)
    }

    /// As the contract has it.
    pub(crate) fn to_proto(&self) -> v1::Token {
        v1::Token {
            id: self.id.to_string(),
            name: self.name.clone(),
            username: self.username.clone(),
            role: self.role.clone(),
            scope: Some(self.limit().to_proto()),
            begins: self.begins.clone(),
            created_usec: self.created_at.timestamp_micros(),
            expires_usec: self.expires_at.timestamp_micros(),
            last_used_usec: self.last_used_at.map_or(0, |at| at.timestamp_micros()),
            last_address: self.last_address.clone(),
        }
    }
}

macro_rules! select_where {
    ($condition:literal) => {
        concat!(
            "SELECT t.*, u.username, u.role AS user_role, u.scope_all AS user_all, u.scope_hosts AS user_hosts,
                u.scope_apps AS user_apps
            FROM api_tokens t JOIN users u ON u.id = t.user_id
            WHERE t.revoked_at IS NULL AND ",
            $condition
        )
    };
}

/// Keeps a new token and returns it.
pub(crate) async fn add(pool: &PgPool, new: &NewToken<'_>) -> Result<Token> {
    let (all, hosts, apps) = new.limit.to_row();
    let id = Uuid::now_v7();
    let sql = "INSERT INTO api_tokens (id, user_id, name, token_hash, begins, role, scope_all, scope_hosts, scope_apps,
            created_at, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    sqlx::query(sql)
        .bind(id)
        .bind(new.user)
        .bind(new.name)
        .bind(new.hash.as_slice())
        .bind(new.begins)
        .bind(access::role_word(new.role))
        .bind(all)
        .bind(hosts)
        .bind(apps)
        .bind(new.now)
        .bind(new.expires)
        .execute(pool)
        .await?;
    Ok(sqlx::query_as(select_where!("t.id = $1")).bind(id).fetch_one(pool).await?)
}

/// The token with this hash, if it counts now and so does its owner.
pub(crate) async fn by_hash(pool: &PgPool, hash: &[u8; 32], now: DateTime<Utc>) -> Result<Option<Token>> {
    let sql = select_where!("t.token_hash = $1 AND t.expires_at > $2 AND u.disabled_at IS NULL");
    Ok(sqlx::query_as(sql).bind(hash.as_slice()).bind(now).fetch_optional(pool).await?)
}

/// The same by its id.
pub(crate) async fn by_id(pool: &PgPool, id: Uuid, now: DateTime<Utc>) -> Result<Option<Token>> {
    let sql = select_where!("t.id = $1 AND t.expires_at > $2 AND u.disabled_at IS NULL");
    Ok(sqlx::query_as(sql).bind(id).bind(now).fetch_optional(pool).await?)
}

/// Notes that a token was used, and from where.
pub(crate) async fn touch(pool: &PgPool, token: &Token, address: &str, now: DateTime<Utc>) -> Result<()> {
    if token.last_used_at.is_some_and(|at| now - at < TOUCH) && token.last_address == address {
        return Ok(());
    }
    let sql = "UPDATE api_tokens SET last_used_at = $2, last_address = $3 WHERE id = $1";
    sqlx::query(sql).bind(token.id).bind(now).bind(address).execute(pool).await?;
    Ok(())
}

/// Those of a user, or of everybody; also those that have ended, for a month. The newest first.
pub(crate) async fn list(pool: &PgPool, user: Option<Uuid>, now: DateTime<Utc>) -> Result<Vec<Token>> {
    let sql = select_where!(
        "($1::uuid IS NULL OR t.user_id = $1) AND t.expires_at > $2 ORDER BY t.created_at DESC, t.id LIMIT 1000"
    );
    Ok(sqlx::query_as(sql).bind(user).bind(now - TimeDelta::days(30)).fetch_all(pool).await?)
}

/// Revokes a token, of this user where one is named. False when there is none.
pub(crate) async fn revoke(
    db: impl PgExecutor<'_>,
    user: Option<Uuid>,
    id: Uuid,
    now: DateTime<Utc>,
) -> Result<bool> {
    let sql = "UPDATE api_tokens SET revoked_at = $3
        WHERE id = $2 AND ($1::uuid IS NULL OR user_id = $1) AND revoked_at IS NULL";
    Ok(sqlx::query(sql).bind(user).bind(id).bind(now).execute(db).await?.rows_affected() > 0)
}
