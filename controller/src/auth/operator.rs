//! Terminals: an operator certificate, and the row of its session.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use hms_proto::{
    Role,
    fault::{Fault, FaultKind},
    identity::Kind,
    transport::Peer,
};
use sqlx::PgPool;

use super::{Attempt, Auth, Caller, Limit, Password, Source, TOUCH, not_logged_in};
use crate::{
    db::{
        self,
        sessions::{NewSession, Proof},
    },
    pki::{Authority, Issued},
};

/// What a terminal gets when it logs in.
#[derive(Debug)]
pub(crate) struct Terminal {
    pub(crate) issued: Issued,
    pub(crate) role: Role,
}

impl Auth {
    /// Trades a password for an operator certificate.
    pub(crate) async fn cli_login(
        &self,
        pki: &Authority,
        (username, password, code): (&str, &Password, Option<&str>),
        csr: &str,
        address: IpAddr,
        user_agent: &str,
    ) -> Result<Terminal, Fault> {
        let attempt = Attempt { username, password, code, address, source: Source::Cli };
        self.enter(attempt, async |proved| {
            let user = proved.all()?;
            let now = self.clock.now();
            // Agents know of no scopes: who has a part of the installation only gets to hosts through the controller.
            let directly = if user.limit() == Limit::Everything { user.role() } else { Role::Unspecified };
            let issued = pki.issue_operator(csr, user.id, directly, now)?;
            let session = NewSession {
                user: user.id,
                proof: Proof::Cli(issued.serial.clone()),
                now,
                expires: issued.expires,
                address: address.to_canonical().to_string(),
                user_agent,
            };
            let mut tx = self.held(&user).await?;
            db::sessions::begin(&mut *tx, &session).await?;
            tx.commit().await.map_err(db::Error::from)?;
            Ok(Terminal { issued, role: user.role() })
        })
        .await
    }
}

/// Whose terminal this is. The certificate alone is not enough: its session must live, and so must its user.
pub(crate) async fn operator(db: &PgPool, peer: &Peer) -> Result<Caller, Fault> {
    operator_at(db, peer, Utc::now()).await
}

pub(super) async fn operator_at(db: &PgPool, peer: &Peer, now: DateTime<Utc>) -> Result<Caller, Fault> {
    if peer.identity.kind != Kind::Operator {
        return Err(Fault::new(FaultKind::Denied, "this needs the certificate of a person")
            .hint("Log in with `hmsctl login`."));
    }
    let ended = || not_logged_in().hint("Log in with `hmsctl login`.");
    let live = db::sessions::by_serial(db, &peer.certificate_serial, now).await?.ok_or_else(ended)?;
    if live.user_id != peer.identity.id {
        return Err(ended());
    }
    if now - live.last_seen_at > TOUCH {
        db::sessions::touch(db, live.id, now).await?;
    }
    let mut caller = Auth::caller(&live, Source::Cli, Some(peer.address.ip().to_canonical()), now);
    // A role that was raised needs a new login; one that was lowered holds at once.
    if let Some(role) = peer.identity.role.filter(|role| *role != Role::Unspecified) {
        caller.role = caller.role.min(role);
    }
    Ok(caller)
}
