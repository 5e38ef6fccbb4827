//! A person's own account: password, second factor, recovery codes, and invitations that become passwords.

use std::net::IpAddr;

use hms_proto::{
    access::role_word,
    controller::v1::{Account, BeginTotpResponse, RecoveryCodes},
    fault::{Fault, FaultKind},
};

use super::{
    Auth, Caller, Password, Record, Source, hash_of, login, not_logged_in,
    totp::{self, Secret, Typed},
};
use crate::{
    db::{self, users::User},
    seal::Place,
};

/// As authenticators show it.
const ISSUER: &str = "HMS";

impl Auth {
    /// The caller's own account.
    pub(crate) async fn account(&self, caller: &Caller) -> Result<Account, Fault> {
        let user = self.own(caller).await?;
        let left = db::users::recovery_codes_left(&self.db, user.id).await?;
        let listed = db::users::list(&self.db, Some(&user.username), self.clock.now()).await?;
        let told = listed.first().map(db::users::Listed::to_proto).unwrap_or_default();
        Ok(Account {
            username: user.username.clone(),
            role: role_word(caller.role).into(),
            scope: Some(caller.scope.to_proto()),
            totp: user.totp_since.is_some(),
            recovery_codes_left: u32::try_from(left).unwrap_or(u32::MAX),
            password_changed_usec: told.password_changed_usec,
            confirmed_usec: caller.confirmed.map_or(0, |until| until.timestamp_micros()),
            created_usec: told.created_usec,
        })
    }

    /// Gives the caller a new password. All their other sessions end.
    pub(crate) async fn change_password(
        &self,
        caller: &Caller,
        current: &Password,
        new: &Password,
    ) -> Result<(), Fault> {
        let user = self.own(caller).await?;
        self.check_own(&user, current).await?;
        new.check_new(&user.username, user.totp_since.is_some())?;
        let hash = self.passwords.hash(new).await?;
        let mut tx = self.db.begin().await.map_err(db::Error::from)?;
        if !db::users::keep_password(&mut *tx, &user, &hash).await? {
            return Err(not_logged_in());
        }
        db::sessions::end_all(&mut *tx, user.id, caller.session).await?;
        db::invitations::end_steps(&mut *tx, user.id, self.clock.now()).await?;
        tx.commit().await.map_err(db::Error::from)?;
        Ok(())
    }

    /// Makes a secret for an authenticator. It counts once [`Auth::enable_totp`] has seen a code of it.
    pub(crate) async fn begin_totp(&self, caller: &Caller) -> Result<BeginTotpResponse, Fault> {
        let user = self.own(caller).await?;
        if user.totp_since.is_some() {
            return Err(Fault::new(FaultKind::Conflict, "there is a second factor already")
                .hint("Turn it off first, to set up another authenticator."));
        }
        let secret = Secret::new();
        let id = user.id.to_string();
        let sealed = self.sealer.seal(place(&id), secret.bytes()).map_err(|error| broken(&error))?;
        db::users::begin_totp(&self.db, user.id, &sealed).await?;
        Ok(BeginTotpResponse { secret: secret.base32(), uri: secret.uri(ISSUER, &user.username) })
    }

    /// Asks for the second factor from now on, once a code shows that the authenticator works.
    pub(crate) async fn enable_totp(&self, caller: &Caller, code: &str) -> Result<RecoveryCodes, Fault> {
        let user = self.own(caller).await?;
        let begin = "Begin with a new secret.";
        let secret = match (user.totp_since, self.totp_of(&user)?) {
            (Some(_), _) => return Err(Fault::new(FaultKind::Conflict, "the second factor is on already")),
            (None, None) => {
                return Err(Fault::new(FaultKind::Conflict, "no authenticator was set up").hint(begin));
            }
            (None, Some(secret)) => secret,
        };
        let step = match totp::typed(code) {
            Some(Typed::Totp(code)) => secret.step_of(&code, self.clock.now(), user.totp_step),
            _ => None,
        };
        let step = step.ok_or_else(|| {
            Fault::invalid("that is not the code of this authenticator now")
                .hint("Check that the clock of the device is right, and type the code that it shows now.")
        })?;
        let (codes, hashes) = recovery_codes();
        let mut tx = self.db.begin().await.map_err(db::Error::from)?;
        db::users::use_totp(&mut *tx, user.id, step).await?;
        db::users::enable_totp(&mut *tx, user.id, self.clock.now()).await?;
        db::users::put_recovery_codes(&mut tx, user.id, &hashes).await?;
        tx.commit().await.map_err(db::Error::from)?;
        Ok(codes)
    }

    /// Asks for no second factor any more; the password must be long enough to be the only proof.
    pub(crate) async fn disable_totp(&self, caller: &Caller, password: &Password) -> Result<(), Fault> {
        let user = self.own(caller).await?;
        self.check_own(&user, password).await?;
        password.check_new(&user.username, false).map_err(|fault| {
            Fault::new(FaultKind::Conflict, format!("without a second factor, {}", fault.message))
                .hint("Set a longer password first.")
        })?;
        let mut tx = self.db.begin().await.map_err(db::Error::from)?;
        db::users::forget_totp(&mut tx, user.id).await?;
        tx.commit().await.map_err(db::Error::from)?;
        Ok(())
    }

    /// Ten new recovery codes; those before are void.
    pub(crate) async fn new_recovery_codes(&self, caller: &Caller) -> Result<RecoveryCodes, Fault> {
        let user = self.own(caller).await?;
        if user.totp_since.is_none() {
            return Err(Fault::new(FaultKind::Conflict, "there is no second factor that they could replace"));
        }
        let (codes, hashes) = recovery_codes();
        let mut tx = self.db.begin().await.map_err(db::Error::from)?;
        db::users::put_recovery_codes(&mut tx, user.id, &hashes).await?;
        tx.commit().await.map_err(db::Error::from)?;
        Ok(codes)
    }

    /// Uses an invitation up: whoever has it chooses the password. A code that is wrong, was used or has ended gets one answer.
    pub(crate) async fn accept_invitation(
        &self,
        code: &str,
        password: &Password,
        source: Source,
        address: IpAddr,
    ) -> Result<String, Fault> {
        // One code is one account here; a stranger who tries others only fills the bucket of their network.
        let bucket: String = code.chars().take(12).collect();
        let counted = self.count(&format!("invitation {bucket}"), address)?;
        let now = self.clock.now();
        let mut tx = self.db.begin().await.map_err(db::Error::from)?;
        let found = db::invitations::lock(&mut tx, &hash_of(code), now).await?;
        let method = "/hms.controller.v1.EnrollmentService/AcceptInvitation";
        let record = Record::open(&self.db, &login::intent(method, source, address, found.as_ref())).await?;
        let result = match found {
            None => Err(Fault::new(
                FaultKind::Unauthenticated,
                "this invitation was used, has ended, or never was",
            )
            .hint("Ask for a new one.")),
            Some(user) => match password.check_new(&user.username, user.totp_since.is_some()) {
                Err(weak) => Err(weak),
                Ok(()) => {
                    let hash = self.passwords.hash(password).await?;
                    db::users::set_password(&mut tx, &user.username, Some(&hash)).await?;
                    tx.commit().await.map_err(db::Error::from)?;
                    self.throttle.forgive(&counted);
                    Ok(user.username)
                }
            },
        };
        record.close(&self.db, result).await
    }

    /// The secret of somebody's authenticator, in use or waiting for its first code.
    pub(super) fn totp_of(&self, user: &User) -> Result<Option<Secret>, Fault> {
        let Some(sealed) = &user.totp_secret else { return Ok(None) };
        let id = user.id.to_string();
        let bytes = self.sealer.open(place(&id), sealed).map_err(|error| broken(&error))?;
        Ok(Some(Secret::of_bytes(&bytes)))
    }

    async fn own(&self, caller: &Caller) -> Result<User, Fault> {
        let user = db::users::get_by_id(&self.db, caller.id).await?;
        user.ok_or_else(|| Fault::new(FaultKind::Denied, "this is not the call of a person"))
    }

    async fn check_own(&self, user: &User, password: &Password) -> Result<(), Fault> {
        if password.is_empty() {
            return Err(Fault::invalid("the password is missing"));
        }
        match self.passwords.fits(password, user.password_hash.as_deref()).await? {
            true => Ok(()),
            false => Err(login::not_yours("the password is wrong")),
        }
    }
}

fn place(id: &str) -> Place<'_> {
    Place { table: "users", column: "totp_secret", row: id }
}

fn recovery_codes() -> (RecoveryCodes, Vec<[u8; 32]>) {
    let codes: Vec<String> = (0..totp::RECOVERY).map(|_| totp::recovery_code()).collect();
    let hashes = codes.iter().map(|code| hash_of(&code.replace('-', ""))).collect();
    (RecoveryCodes { codes }, hashes)
}

fn broken(error: &dyn std::fmt::Display) -> Fault {
    tracing::error!(%error, "the secret of a second factor cannot be used");
    Fault::new(FaultKind::Internal, "something went wrong inside HMS")
}
