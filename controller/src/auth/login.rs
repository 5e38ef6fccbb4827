//! A user name, a password and where there is one the second factor, whichever face they came through.

use std::net::{IpAddr, Ipv4Addr};

use hms_proto::{
    fault::{Fault, FaultKind},
    names::UserName,
};
use sqlx::{Postgres, Transaction};
use uuid::Uuid;

use super::{
    Auth, CONFIRMED, Caller, Password, Record, Source, hash_of,
    throttle::Counted,
    totp::{self, Typed},
};
use crate::db::{self, audit::Intent, users::User};

/// One attempt to log in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt<'a> {
    pub(crate) username: &'a str,
    pub(crate) password: &'a Password,
    /// Of the second factor.
    pub(crate) code: Option<&'a str>,
    pub(crate) address: IpAddr,
    pub(crate) source: Source,
}

/// What somebody proved.
pub(super) enum Proved {
    /// Who they are.
    All(User),
    /// Their password; the second factor is still to come.
    Password(User),
}

impl Proved {
    /// The user, where nothing is missing.
    pub(super) fn all(self) -> Result<User, Fault> {
        match self {
            Self::All(user) => Ok(user),
            Self::Password(_) => Err(Fault::new(
                FaultKind::ProofNeeded,
                "this account also asks for a code of its second factor",
            )
            .hint("Send the six digits that the authenticator shows, or a recovery code.")),
        }
    }
}

/// The method that audits name for logins of all faces.
pub(super) const METHOD: &str = "/hms.controller.v1.EnrollmentService/Login";

/// One answer for all that is wrong: it does not tell which users there are.
fn wrong() -> Fault {
    Fault::new(FaultKind::Unauthenticated, "the user name or the password is wrong")
        .hint("Check both and try again.")
}

/// Somebody who is logged in did not prove it once more.
pub(super) fn not_yours(what: &str) -> Fault {
    Fault::new(FaultKind::Denied, what).hint("It is your own, with which you log in.")
}

pub(super) fn wrong_code() -> Fault {
    Fault::new(FaultKind::Unauthenticated, "the code is wrong, or was used before")
        .hint("Wait for the next code of the authenticator, or use a recovery code.")
}

impl Auth {
    /// Checks a password, and a code where there is one, and then does what follows from it: `act` begins the session. All of it is
    /// audited.
    pub(super) async fn enter<T, F>(
        &self,
        attempt: Attempt<'_>,
        act: impl FnOnce(Proved) -> F,
    ) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        let counted = self.count(attempt.username, attempt.address)?;
        // A name that is none is looked up like the others, and takes as long.
        let name = UserName::try_from(attempt.username);
        let user = db::users::get_by_name(&self.db, name.as_ref().map_or("", |n| n.as_str())).await?;
        let hash = user.as_ref().and_then(|user| user.password_hash.as_deref());
        let fits = self.passwords.fits(attempt.password, hash).await?;
        let intent = intent(METHOD, attempt.source, attempt.address, user.as_ref());
        let record = Record::open(&self.db, &intent).await?;
        let user = user.filter(|user| fits && user.disabled_at.is_none());
        let result = match user {
            Some(user) => match self.second(user, attempt.code).await {
                Ok(proved) => {
                    let whole = matches!(proved, Proved::All(_));
                    let done = act(proved).await;
                    if whole && done.is_ok() {
                        self.throttle.forgive(&counted);
                    }
                    done
                }
                Err(fault) => Err(fault),
            },
            None => Err(wrong()),
        };
        record.close(&self.db, result).await
    }

    /// A transaction in which somebody who proved who they are begins something. Without it a login that was on its way while the
    /// password was taken away would go on as if it had not been.
    pub(super) async fn held(&self, user: &User) -> Result<Transaction<'static, Postgres>, Fault> {
        let mut tx = self.db.begin().await.map_err(db::Error::from)?;
        match db::users::hold(&mut tx, user).await? {
            true => Ok(tx),
            false => Err(wrong()),
        }
    }

    async fn second(&self, user: User, code: Option<&str>) -> Result<Proved, Fault> {
        match (user.totp_since, code) {
            (None, _) => Ok(Proved::All(user)),
            (Some(_), None) => Ok(Proved::Password(user)),
            (Some(_), Some(code)) if self.fits_code(&user, code).await? => Ok(Proved::All(user)),
            (Some(_), Some(_)) => Err(wrong_code()),
        }
    }

    /// Whether this is a code of somebody's second factor, or one of their recovery codes; it is used up. An authenticator that is
    /// only being set up is none.
    pub(super) async fn fits_code(&self, user: &User, code: &str) -> Result<bool, Fault> {
        if user.totp_since.is_none() {
            return Ok(false);
        }
        Ok(match totp::typed(code) {
            Some(Typed::Totp(code)) => {
                let Some(secret) = self.totp_of(user)? else { return Ok(false) };
                match secret.step_of(&code, self.clock.now(), user.totp_step) {
                    Some(step) => db::users::use_totp(&self.db, user.id, step).await?,
                    None => false,
                }
            }
            Some(Typed::Recovery(code)) => {
                db::users::use_recovery_code(&self.db, user.id, &hash_of(&code)).await?
            }
            None => false,
        })
    }

    /// Proves again who somebody is, for a while, where a login is not enough. It counts as an attempt to log in.
    pub(crate) async fn confirm(
        &self,
        caller: &Caller,
        password: Option<&Password>,
        code: Option<&str>,
    ) -> Result<i64, Fault> {
        let Some(session) = caller.session else {
            return Err(Fault::new(
                FaultKind::Denied,
                "only a person who is logged in can confirm, a token cannot",
            ));
        };
        let counted = self.count(&caller.name, caller.address.unwrap_or(Ipv4Addr::UNSPECIFIED.into()))?;
        let user = db::users::get_by_id(&self.db, caller.id).await?.filter(|user| user.disabled_at.is_none());
        let proved = match (&user, password, code) {
            (Some(user), Some(password), None) => {
                self.passwords.fits(password, user.password_hash.as_deref()).await?
            }
            (Some(user), None, Some(code)) if user.totp_since.is_some() => self.fits_code(user, code).await?,
            (Some(_), _, _) => {
                return Err(Fault::invalid(
                    "confirm with your password, or with a code of your second factor",
                ));
            }
            (None, _, _) => false,
        };
        if !proved {
            return Err(match password {
                Some(_) => not_yours("the password is wrong"),
                None => Fault::new(FaultKind::Denied, "the code is wrong, or was used before")
                    .hint("Wait for the next code of the authenticator, or use your password."),
            });
        }
        self.throttle.forgive(&counted);
        let now = self.clock.now();
        db::sessions::confirm(&self.db, session, now).await?;
        Ok((now + CONFIRMED).timestamp_micros())
    }

    pub(super) fn count(&self, username: &str, address: IpAddr) -> Result<Counted, Fault> {
        self.throttle.count(username, address, self.clock.now()).map_err(|wait| {
            tracing::warn!(%address, wait, "too many attempts");
            Fault {
                retry_after_s: wait,
                ..Fault::new(FaultKind::Throttled, "there were too many attempts to log in")
            }
            .hint(format!("Try again in {wait} s."))
        })
    }
}

/// Names of nobody are not recorded: people type passwords there.
pub(super) fn intent(method: &str, source: Source, address: IpAddr, user: Option<&User>) -> Intent {
    Intent {
        request_id: Uuid::now_v7(),
        actor: user.map_or_else(|| "(unknown)".into(), |user| user.username.clone()),
        user_id: user.map(|user| user.id),
        source,
        address: Some(address),
        method: method.into(),
        host: String::new(),
        target: String::new(),
        params: serde_json::json!({}),
    }
}
