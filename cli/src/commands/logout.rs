//! `hmsctl logout`: ends a login, here and at the controller.

use std::time::Duration;

use clap::Args;
use hms_proto::controller::v1::{ListSessionsRequest, RevokeSessionRequest};

use crate::{
    connect::{Connection, Pace},
    context::Store,
    failure::{Failure, Result},
    output::escape::inline,
    session::Session,
};

/// Log out: end this login and delete its key
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hmsctl logout")]
pub(crate) struct Logout {}

impl Logout {
    pub(crate) async fn run(self, session: &Session) -> Result<()> {
        let store = Store::open()?;
        let config = store.config()?;
        let name = session.global.context.clone().unwrap_or(config.current);
        if name.is_empty() {
            session.out.note("you are not logged in");
            return Ok(());
        }
        // A login that has ended has nothing to be revoked.
        if let Ok(context) = store.context(Some(&name))
            && let Err(Failure::Fault(fault)) = revoke(&context).await
        {
            let why = inline(&fault.message).into_owned();
            session.out.say(&format!(
                "warning: the controller could not be told, so the login ends by itself: {why}"
            ));
        }
        store.remove(&name)?;
        session.out.note(&format!("logged out of {}", inline(&name)));
        Ok(())
    }
}

async fn revoke(context: &crate::context::Context) -> Result<()> {
    let link = Connection::to_controller(context, Some(Duration::from_secs(5)))?;
    let mut sessions = link.sessions(None, Pace::Look);
    let list = link.answer(Pace::Look, sessions.list(ListSessionsRequest {})).await?;
    if let Some(own) = list.sessions.into_iter().find(|s| s.current) {
        link.answer(Pace::Look, sessions.revoke(RevokeSessionRequest { id: own.id })).await?;
    }
    Ok(())
}
