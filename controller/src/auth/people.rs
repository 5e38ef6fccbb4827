//! The accounts of everybody, as admins handle them.

use hms_proto::{
    Role,
    access::role_from_word,
    controller::v1,
    fault::{Fault, FaultKind},
    names::UserName,
};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Auth, IDLE, Limit, hash_of, new_secret, unknown};
use crate::db::{self, users::User};

/// What a change of an account was before and after, for the audit.
pub(crate) struct Edited {
    pub(crate) before: v1::User,
    pub(crate) after: v1::User,
}

impl Auth {
    /// All accounts, by name.
    pub(crate) async fn users(&self) -> Result<Vec<v1::User>, Fault> {
        let users = db::users::list(&self.db, None, self.clock.now()).await?;
        Ok(users.iter().map(db::users::Listed::to_proto).collect())
    }

    /// One account.
    pub(crate) async fn user(&self, name: &str) -> Result<v1::User, Fault> {
        let name = UserName::try_from(name)?;
        told(&mut *self.db.acquire().await.map_err(db::Error::from)?, &name, self.clock.now()).await
    }

    /// Makes an account without a password, and the code with which one is chosen. `at` is where people reach the web pages.
    pub(crate) async fn invite(
        &self,
        asked: &v1::InviteUserRequest,
        at: &str,
    ) -> Result<v1::Invitation, Fault> {
        let name = UserName::try_from(asked.username.as_str())?;
        let role = role_from_word(&asked.role).ok_or_else(|| no_role(&asked.role))?;
        let scope = asked.scope.as_ref().ok_or_else(|| Fault::invalid("the scope is missing"))?;
        let limit = Limit::parse(scope)?;
        let mut tx = self.db.begin().await.map_err(db::Error::from)?;
        let added = db::users::invite(&mut tx, name.as_str(), role, &limit).await;
        let user = added.map_err(|error| not_added(error, name.as_str()))?;
        let invitation = self.invitation(&mut tx, &user, at).await?;
        tx.commit().await.map_err(db::Error::from)?;
        Ok(invitation)
    }

    /// Takes somebody's password away, and the second factor where that is asked for, and makes a code for a new one.
    pub(crate) async fn reset(
        &self,
        asked: &v1::ResetUserRequest,
        at: &str,
    ) -> Result<v1::Invitation, Fault> {
        let mut tx = self.db.begin().await.map_err(db::Error::from)?;
        let user = locked(&mut tx, &asked.username).await?;
        stays_in_charge(&mut tx, &user, "reset").await?;
        db::users::set_password(&mut tx, &user.username, None).await?;
        if asked.totp {
            db::users::forget_totp(&mut tx, user.id).await?;
        }
        let invitation = self.invitation(&mut tx, &user, at).await?;
        tx.commit().await.map_err(db::Error::from)?;
        Ok(invitation)
    }

    async fn invitation(
        &self,
        tx: &mut PgConnection,
        user: &User,
        at: &str,
    ) -> Result<v1::Invitation, Fault> {
        let (code, now) = (new_secret(), self.clock.now());
        let expires = db::invitations::put(&mut *tx, user.id, &hash_of(&code), now).await?;
        let name = UserName::try_from(user.username.as_str())?;
        Ok(v1::Invitation {
            user: Some(told(tx, &name, now).await?),
            url: format!("{at}/login/invitation#{code}"),
            code,
            expires_usec: expires.timestamp_micros(),
        })
    }

    /// Changes role and scope. What terminals hold may say too much then: those logins end.
    pub(crate) async fn edit(&self, asked: &v1::EditUserRequest) -> Result<Edited, Fault> {
        let mut tx = self.db.begin().await.map_err(db::Error::from)?;
        let user = locked(&mut tx, &asked.username).await?;
        let role = match asked.role.as_str() {
            "" => user.role(),
            word => role_from_word(word).ok_or_else(|| no_role(word))?,
        };
        let limit = asked.scope.as_ref().map_or_else(|| Ok(user.limit()), Limit::parse)?;
        if role != Role::Admin || limit != Limit::Everything {
            stays_in_charge(&mut tx, &user, "changed to that").await?;
        }
        let name = UserName::try_from(user.username.as_str())?;
        let before = told(&mut tx, &name, self.clock.now()).await?;
        db::users::edit(&mut *tx, user.id, role, &limit).await?;
        if role < user.role() || limit != user.limit() {
            db::sessions::end_terminals(&mut *tx, user.id).await?;
        }
        let after = told(&mut tx, &name, self.clock.now()).await?;
        tx.commit().await.map_err(db::Error::from)?;
        Ok(Edited { before, after })
    }

    /// Locks an account, or unlocks it.
    pub(crate) async fn set_disabled(&self, username: &str, disabled: bool) -> Result<Edited, Fault> {
        let mut tx = self.db.begin().await.map_err(db::Error::from)?;
        let user = locked(&mut tx, username).await?;
        if disabled {
            stays_in_charge(&mut tx, &user, "locked").await?;
        }
        let name = UserName::try_from(user.username.as_str())?;
        let before = told(&mut tx, &name, self.clock.now()).await?;
        if disabled != user.disabled_at.is_some() {
            db::users::set_disabled(&mut tx, &user.username, disabled).await?;
        }
        let after = told(&mut tx, &name, self.clock.now()).await?;
        tx.commit().await.map_err(db::Error::from)?;
        Ok(Edited { before, after })
    }

    /// Removes an account, with its sessions and tokens.
    pub(crate) async fn remove_user(&self, username: &str) -> Result<(), Fault> {
        let mut tx = self.db.begin().await.map_err(db::Error::from)?;
        let user = locked(&mut tx, username).await?;
        stays_in_charge(&mut tx, &user, "removed").await?;
        db::users::remove(&mut *tx, user.id).await?;
        tx.commit().await.map_err(db::Error::from)?;
        Ok(())
    }

    /// The live sessions of a user.
    pub(crate) async fn sessions_of(&self, username: &str) -> Result<Vec<v1::Session>, Fault> {
        let id = self.id_of(username).await?;
        let listed = db::sessions::list(&self.db, id, self.clock.now(), IDLE).await?;
        Ok(listed.iter().map(|session| session.to_proto(None)).collect())
    }

    /// Ends a session of a user, or all, and says how many ended.
    pub(crate) async fn end_sessions(&self, username: &str, session: &str) -> Result<u32, Fault> {
        let user = self.id_of(username).await?;
        if session.is_empty() {
            let ended = db::sessions::end_all(&self.db, user, None).await?;
            return Ok(u32::try_from(ended).unwrap_or(u32::MAX));
        }
        let unknown = || unknown("session", session);
        let id = Uuid::try_parse(session).map_err(|_| unknown())?;
        match db::sessions::revoke(&self.db, user, id, self.clock.now()).await? {
            true => Ok(1),
            false => Err(unknown()),
        }
    }

    /// The tokens of a user, or of everybody where none is named.
    pub(crate) async fn tokens_of_user(&self, username: &str) -> Result<Vec<v1::Token>, Fault> {
        let user = if username.is_empty() { None } else { Some(self.id_of(username).await?) };
        self.tokens_by(user).await
    }

    async fn id_of(&self, username: &str) -> Result<Uuid, Fault> {
        let name = UserName::try_from(username)?;
        let user = db::users::get_by_name(&self.db, name.as_str()).await?;
        Ok(user.ok_or_else(|| Fault::not_found("user", name.as_str()))?.id)
    }
}

/// Why an account was not added: mostly there is one of that name.
pub(crate) fn not_added(error: db::Error, name: &str) -> Fault {
    match error {
        db::Error::Conflict => Fault::new(FaultKind::Conflict, format!("there is a user `{name}` already")),
        error => error.into(),
    }
}

pub(super) fn no_role(word: &str) -> Fault {
    let word: String = word.chars().take(32).flat_map(char::escape_debug).collect();
    Fault::invalid(format!("`{word}` is no role")).hint("A role is viewer, operator or admin.")
}

async fn locked(tx: &mut PgConnection, username: &str) -> Result<User, Fault> {
    let name = UserName::try_from(username)?;
    let user = db::users::lock(tx, name.as_str()).await?;
    user.ok_or_else(|| Fault::not_found("user", name.as_str()))
}

async fn told(
    db: &mut PgConnection,
    name: &UserName,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<v1::User, Fault> {
    let listed = db::users::list(db, Some(name.as_str()), now).await?;
    listed.first().map(db::users::Listed::to_proto).ok_or_else(|| Fault::not_found("user", name.as_str()))
}

/// Somebody must be left who can undo it. Holds only while the table is locked.
async fn stays_in_charge(tx: &mut PgConnection, user: &User, what: &str) -> Result<(), Fault> {
    let in_charge = user.role() == Role::Admin
        && user.limit() == Limit::Everything
        && user.disabled_at.is_none()
        && user.password_hash.is_some();
    if !in_charge || db::users::has_another_admin(tx, user.id).await? {
        return Ok(());
    }
    let fault = Fault::new(
        FaultKind::Conflict,
        format!("{} is the last admin of the whole installation, and cannot be {what}", user.username),
    );
    Err(fault.hint("Make somebody else an admin of everything first."))
}
