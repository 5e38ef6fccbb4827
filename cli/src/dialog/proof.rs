//! What is delicate asks for a confirmation: the password of whoever is logged in, once in some minutes.

use std::path::PathBuf;

use clap::Args;
use clap_complete::engine::{ArgValueCompleter, PathCompleter};
use hms_proto::{controller::v1::ConfirmRequest, fault::FaultKind};

use super::secret;
use crate::{
    connect::{Connection, Pace},
    failure::{Failure, Result},
    session::Session,
};

/// Where the password comes from, should it be needed.
#[derive(Debug, Args)]
pub(crate) struct Proof {
    /// Read your password from a file, should it be asked for; `-` is stdin
    #[arg(long = "password-file", value_name = "FILE", add = ArgValueCompleter::new(PathCompleter::file()))]
    file: Option<PathBuf>,
}

impl Proof {
    /// Makes a call. Where it needs a confirmation, that is given first, and the call made once more.
    pub(crate) async fn with<T>(
        &self,
        session: &Session,
        link: &Connection,
        call: impl AsyncFn() -> Result<T>,
    ) -> Result<T> {
        match call().await {
            Err(Failure::Fault(fault)) if fault.kind() == FaultKind::ProofNeeded => {
                self.give(session, link).await?;
                call().await
            }
            answer => answer,
        }
    }

    /// Confirms that it is whoever is logged in.
    pub(crate) async fn give(&self, session: &Session, link: &Connection) -> Result<()> {
        give(link, self.password(session)?).await
    }

    /// The password, from the file or typed.
    pub(crate) fn password(&self, session: &Session) -> Result<String> {
        secret::password(session, self.file.as_deref())
    }
}

/// Confirms with a password that is known already.
pub(crate) async fn give(link: &Connection, password: String) -> Result<()> {
    let proof = ConfirmRequest { password, ..ConfirmRequest::default() };
    link.answer(Pace::Act, link.account(None, Pace::Act).confirm(proof)).await?;
    Ok(())
}
