//! The people who may log in.

use chrono::{DateTime, Utc};
use hms_proto::{Role, access, controller::v1};
use sqlx::{Connection as _, FromRow, PgConnection, PgExecutor, PgPool};
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
    /// Sealed.
    pub(crate) totp_secret: Option<String>,
    /// Since when the second factor is asked for.
    pub(crate) totp_since: Option<DateTime<Utc>>,
    pub(crate) totp_step: i64,
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

/// A user with what the list of users tells of them.
#[derive(Debug, FromRow)]
pub(crate) struct Listed {
    #[sqlx(flatten)]
    pub(crate) user: User,
    created_at: DateTime<Utc>,
    seen_at: Option<DateTime<Utc>>,
    password_changed_at: DateTime<Utc>,
    sessions: i64,
    tokens: i64,
    invited_until: Option<DateTime<Utc>>,
}

impl Listed {
    /// As the contract has it.
    pub(crate) fn to_proto(&self) -> v1::User {
        let usec = |at: Option<DateTime<Utc>>| at.map_or(0, |at| at.timestamp_micros());
        let state = match (self.user.disabled_at, &self.user.password_hash) {
            (Some(_), _) => "disabled",
            (None, None) => "invited",
            (None, Some(_)) => "active",
        };
        v1::User {
            username: self.user.username.clone(),
            role: self.user.role.clone(),
            scope: Some(self.user.limit().to_proto()),
            state: state.into(),
            totp: self.user.totp_since.is_some(),
            created_usec: self.created_at.timestamp_micros(),
            last_seen_usec: usec(self.seen_at),
            password_changed_usec: self
                .user
                .password_hash
                .as_ref()
                .map_or(0, |_| usec(Some(self.password_changed_at))),
            sessions: u32::try_from(self.sessions).unwrap_or(u32::MAX),
            tokens: u32::try_from(self.tokens).unwrap_or(u32::MAX),
            invited_until_usec: usec(self.invited_until),
        }
    }
}

/// All users, or the one with this name, by name.
pub(crate) async fn list(
    db: impl PgExecutor<'_>,
    name: Option<&str>,
    now: DateTime<Utc>,
) -> Result<Vec<Listed>> {
    let sql =
        "SELECT u.*, greatest(u.last_seen_at, s.seen, t.used) AS seen_at, coalesce(s.live, 0) AS sessions,
            coalesce(t.live, 0) AS tokens, i.expires_at AS invited_until
        FROM users u
        LEFT JOIN (SELECT user_id, max(last_seen_at) AS seen, count(*) FILTER (WHERE revoked_at IS NULL
                AND expires_at > $2 AND (kind <> 'web' OR last_seen_at > $3)) AS live
            FROM sessions GROUP BY user_id) s ON s.user_id = u.id
        LEFT JOIN (SELECT user_id, max(last_used_at) AS used, count(*) FILTER (WHERE revoked_at IS NULL
                AND expires_at > $2) AS live
            FROM api_tokens GROUP BY user_id) t ON t.user_id = u.id
        LEFT JOIN invitations i ON i.user_id = u.id AND i.expires_at > $2
        WHERE $1::text IS NULL OR u.username = $1
        ORDER BY u.username";
    Ok(sqlx::query_as(sql).bind(name).bind(now).bind(now - crate::auth::IDLE).fetch_all(db).await?)
}

/// Whether an account is as it was when its password was looked at: not locked, and with the same password. Whoever changes that
/// waits until the transaction ends, and then ends what was begun in it.
pub(crate) async fn hold(tx: &mut PgConnection, user: &User) -> Result<bool> {
    let sql = "SELECT id FROM users WHERE id = $1 AND password_hash = $2 AND disabled_at IS NULL FOR SHARE";
    let held: Option<Uuid> =
        sqlx::query_scalar(sql).bind(user.id).bind(&user.password_hash).fetch_optional(tx).await?;
    Ok(held.is_some())
}

/// Adds a user without a password.
pub(crate) async fn invite(tx: &mut PgConnection, name: &str, role: Role, limit: &Limit) -> Result<User> {
    let (all, hosts, apps) = limit.to_row();
    let sql = "INSERT INTO users (username, role, scope_all, scope_hosts, scope_apps)
        VALUES ($1, $2, $3, $4, $5) RETURNING *";
    Ok(sqlx::query_as(sql)
        .bind(name)
        .bind(access::role_word(role))
        .bind(all)
        .bind(hosts)
        .bind(apps)
        .fetch_one(tx)
        .await?)
}

/// The user of this name; everybody else who changes accounts waits until the transaction ends.
pub(crate) async fn lock(tx: &mut PgConnection, name: &str) -> Result<Option<User>> {
    sqlx::query("LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE").execute(&mut *tx).await?;
    Ok(sqlx::query_as("SELECT * FROM users WHERE username = $1").bind(name).fetch_optional(tx).await?)
}

/// Whether somebody else is an admin of the whole installation and can log in.
pub(crate) async fn has_another_admin(db: impl PgExecutor<'_>, besides: Uuid) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT FROM users WHERE id <> $1 AND role = 'admin' AND scope_all
        AND disabled_at IS NULL AND password_hash IS NOT NULL)";
    Ok(sqlx::query_scalar(sql).bind(besides).fetch_one(db).await?)
}

/// Changes what a user may do and to what, from their next request on.
pub(crate) async fn edit(db: impl PgExecutor<'_>, user: Uuid, role: Role, limit: &Limit) -> Result<()> {
    let (all, hosts, apps) = limit.to_row();
    let sql = "UPDATE users SET role = $2, scope_all = $3, scope_hosts = $4, scope_apps = $5 WHERE id = $1";
    let role = access::role_word(role);
    sqlx::query(sql).bind(user).bind(role).bind(all).bind(hosts).bind(apps).execute(db).await?;
    Ok(())
}

/// Changes what a user may do, from their next request on. What terminals hold may say too much then: those logins end. False when
/// there is no such user.
pub(crate) async fn set_role(pool: &PgPool, name: &str, role: Role) -> Result<bool> {
    let mut tx = pool.begin().await?;
    let Some(user) = lock(&mut tx, name).await? else { return Ok(false) };
    edit(&mut *tx, user.id, role, &user.limit()).await?;
    if role < user.role() {
        super::sessions::end_terminals(&mut *tx, user.id).await?;
    }
    tx.commit().await?;
    Ok(true)
}

/// Locks a user out, or lets them in again. All their sessions end, and an invitation of before; one that was made while they were
/// locked out holds from then on. False when there is no such user.
pub(crate) async fn set_disabled(db: &mut PgConnection, name: &str, disabled: bool) -> Result<bool> {
    if disabled {
        let sql = "UPDATE users SET disabled_at = now() WHERE username = $1 RETURNING id";
        return end_with_sessions(db, sqlx::query_scalar(sql).bind(name)).await;
    }
    let sql = "UPDATE users SET disabled_at = NULL WHERE username = $1";
    Ok(sqlx::query(sql).bind(name).execute(db).await?.rows_affected() > 0)
}

/// Gives a user a new password, or takes it away. All their sessions end, and an invitation is used up. False when there is no
/// such user.
pub(crate) async fn set_password(
    db: &mut PgConnection,
    name: &str,
    password_hash: Option<&str>,
) -> Result<bool> {
    let sql =
        "UPDATE users SET password_hash = $2, password_changed_at = now() WHERE username = $1 RETURNING id";
    end_with_sessions(db, sqlx::query_scalar(sql).bind(name).bind(password_hash)).await
}

/// Gives a user a new password, and nothing else. False when the one before is not the one that was looked at any more, or the user
/// is locked out: nothing is changed then.
pub(crate) async fn keep_password(db: impl PgExecutor<'_>, user: &User, password_hash: &str) -> Result<bool> {
    let sql = "UPDATE users SET password_hash = $2, password_changed_at = now()
        WHERE id = $1 AND password_hash = $3 AND disabled_at IS NULL";
    let kept = sqlx::query(sql).bind(user.id).bind(password_hash).bind(&user.password_hash).execute(db);
    Ok(kept.await?.rows_affected() > 0)
}

/// Removes a user, with all sessions and tokens.
pub(crate) async fn remove(db: impl PgExecutor<'_>, user: Uuid) -> Result<()> {
    sqlx::query("DELETE FROM users WHERE id = $1").bind(user).execute(db).await?;
    Ok(())
}

/// Keeps a secret for the second factor, which waits for its first code.
pub(crate) async fn begin_totp(db: impl PgExecutor<'_>, user: Uuid, sealed: &str) -> Result<()> {
    let sql = "UPDATE users SET totp_secret = $2, totp_since = NULL, totp_step = 0 WHERE id = $1";
    sqlx::query(sql).bind(user).bind(sealed).execute(db).await?;
    Ok(())
}

/// Notes that a code of this step was taken. False when one of it or of a later step was before.
pub(crate) async fn use_totp(db: impl PgExecutor<'_>, user: Uuid, step: i64) -> Result<bool> {
    let sql = "UPDATE users SET totp_step = $2 WHERE id = $1 AND totp_step < $2";
    Ok(sqlx::query(sql).bind(user).bind(step).execute(db).await?.rows_affected() > 0)
}

/// From now on the second factor is asked for.
pub(crate) async fn enable_totp(db: impl PgExecutor<'_>, user: Uuid, now: DateTime<Utc>) -> Result<()> {
    sqlx::query("UPDATE users SET totp_since = $2 WHERE id = $1").bind(user).bind(now).execute(db).await?;
    Ok(())
}

/// Forgets the second factor. What waits for a code of it waits for nothing any more.
pub(crate) async fn forget_totp(tx: &mut PgConnection, user: Uuid) -> Result<()> {
    let sql = "UPDATE users SET totp_secret = NULL, totp_since = NULL, totp_step = 0 WHERE id = $1";
    sqlx::query(sql).bind(user).execute(&mut *tx).await?;
    super::invitations::end_steps(&mut *tx, user, Utc::now()).await?;
    put_recovery_codes(tx, user, &[]).await
}

/// Replaces the recovery codes.
pub(crate) async fn put_recovery_codes(tx: &mut PgConnection, user: Uuid, hashes: &[[u8; 32]]) -> Result<()> {
    sqlx::query("DELETE FROM recovery_codes WHERE user_id = $1").bind(user).execute(&mut *tx).await?;
    let hashes: Vec<&[u8]> = hashes.iter().map(<[u8; 32]>::as_slice).collect();
    let sql = "INSERT INTO recovery_codes (user_id, code_hash) SELECT $1, unnest($2::bytea[])";
    sqlx::query(sql).bind(user).bind(hashes).execute(tx).await?;
    Ok(())
}

/// Uses a recovery code up. False when there is none like it.
pub(crate) async fn use_recovery_code(db: impl PgExecutor<'_>, user: Uuid, hash: &[u8; 32]) -> Result<bool> {
    let sql = "DELETE FROM recovery_codes WHERE user_id = $1 AND code_hash = $2";
    Ok(sqlx::query(sql).bind(user).bind(hash.as_slice()).execute(db).await?.rows_affected() > 0)
}

/// How many recovery codes are left.
pub(crate) async fn recovery_codes_left(db: impl PgExecutor<'_>, user: Uuid) -> Result<i64> {
    let sql = "SELECT count(*) FROM recovery_codes WHERE user_id = $1";
    Ok(sqlx::query_scalar(sql).bind(user).fetch_one(db).await?)
}

type ReturnsId<'q> = sqlx::query::QueryScalar<'q, sqlx::Postgres, Uuid, sqlx::postgres::PgArguments>;

async fn end_with_sessions(db: &mut PgConnection, update: ReturnsId<'_>) -> Result<bool> {
    let mut tx = db.begin().await?;
    let Some(id) = update.fetch_optional(&mut *tx).await? else { return Ok(false) };
    super::sessions::end_all(&mut *tx, id, None).await?;
    super::invitations::remove(&mut *tx, id).await?;
    super::invitations::end_steps(&mut *tx, id, Utc::now()).await?;
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
        assert!(!set_disabled(&mut *pool.acquire().await?, "nobody", true).await?);
        assert!(!format!("{ada:?}").contains("password"));
        Ok(())
    }
}
