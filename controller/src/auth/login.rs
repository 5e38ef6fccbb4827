//! A user name and a password, whichever face they came through.

use std::net::{IpAddr, Ipv4Addr};

use hms_proto::{
    fault::{Fault, FaultKind},
    names::UserName,
};
use uuid::Uuid;

use super::{Auth, Caller, Password, Record, Source, throttle::Counted};
use crate::db::{self, audit::Intent, users::User};

/// One attempt to log in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt<'a> {
    pub(crate) username: &'a str,
    pub(crate) password: &'a Password,
    pub(crate) address: IpAddr,
    pub(crate) source: Source,
}

/// The method that audits name for logins of all faces.
const METHOD: &str = "/hms.controller.v1.EnrollmentService/Login";

/// One answer for all that is wrong: it does not tell which users there are.
fn wrong() -> Fault {
    Fault::new(FaultKind::Unauthenticated, "the user name or the password is wrong")
        .hint("Check both and try again.")
}

impl Auth {
    /// Checks a password, and then does what follows from it: `act` begins the session. Both are audited.
    pub(super) async fn enter<T, F>(
        &self,
        attempt: Attempt<'_>,
        act: impl FnOnce(User) -> F,
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
        let record = Record::open(&self.db, &intent(&attempt, user.as_ref())).await?;
        let user = user.filter(|user| fits && user.disabled_at.is_none());
        let result = match user {
            Some(user) => {
                self.throttle.forgive(&counted);
                act(user).await
            }
            None => Err(wrong()),
        };
        record.close(&self.db, result).await
    }

    /// Checks the password of somebody who is logged in, where that is not enough. It counts as an attempt to log in.
    pub(crate) async fn confirm(&self, caller: &Caller, password: &Password) -> Result<(), Fault> {
        let counted = self.count(&caller.name, caller.address.unwrap_or(Ipv4Addr::UNSPECIFIED.into()))?;
        let user = db::users::get_by_id(&self.db, caller.id).await?.filter(|user| user.disabled_at.is_none());
        let hash = user.as_ref().and_then(|user| user.password_hash.as_deref());
        if !self.passwords.fits(password, hash).await? {
            return Err(Fault::new(FaultKind::Denied, "the password is wrong")
                .hint("It is your own, with which you log in."));
        }
        self.throttle.forgive(&counted);
        Ok(())
    }

    fn count(&self, username: &str, address: IpAddr) -> Result<Counted, Fault> {
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
fn intent(attempt: &Attempt<'_>, user: Option<&User>) -> Intent {
    Intent {
        request_id: Uuid::now_v7(),
        actor: user.map_or_else(|| "(unknown)".into(), |user| user.username.clone()),
        user_id: user.map(|user| user.id),
        source: attempt.source,
        address: Some(attempt.address),
        method: METHOD.into(),
        host: String::new(),
        target: String::new(),
        params: serde_json::json!({}),
    }
}
