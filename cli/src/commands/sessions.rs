//! `hmsctl sessions` and `hmsctl whoami`: who is logged in, and from where.

use clap::{Args, Subcommand};
use hms_proto::controller::v1::{
    ListSessionsRequest, ListSessionsResponse, RevokeSessionRequest, Session as Login, WhoAmIRequest,
};

use crate::{
    connect::Pace,
    failure::Result,
    output::{
        escape::inline,
        measure::{full, now_usec, relative},
        table::{Cell, Look, Table},
    },
    session::Session,
};

/// List and end your own logins
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hmsctl sessions
  hmsctl sessions revoke 0193f5c2-7e1a-7000-8000-000000000001")]
pub(crate) struct Sessions {
    #[command(subcommand)]
    verb: Option<SessionsVerb>,
}

#[derive(Debug, Subcommand)]
enum SessionsVerb {
    /// List your logins, in browsers, over REST and in terminals
    #[command(after_help = "Example:\n  hmsctl sessions list -o json")]
    List,
    /// End one of your logins
    #[command(after_help = "Example:\n  hmsctl sessions revoke 0193f5c2-7e1a-7000-8000-000000000001")]
    Revoke(Revoke),
}

#[derive(Debug, Args)]
struct Revoke {
    /// Id of the login, from the list
    #[arg(value_name = "ID")]
    id: String,
}

impl Sessions {
    pub(crate) async fn run(self, session: &Session) -> Result<()> {
        let link = session.controller()?;
        let mut client = link.sessions(None, Pace::Look);
        match self.verb.unwrap_or(SessionsVerb::List) {
            SessionsVerb::List => {
                let list = link.answer(Pace::Look, client.list(ListSessionsRequest {})).await?;
                show(session, &list)
            }
            SessionsVerb::Revoke(revoke) => {
                let request = RevokeSessionRequest { id: revoke.id.clone() };
                let done = link.answer(Pace::Look, client.revoke(request)).await?;
                if session.out.data(&done)? {
                    return Ok(());
                }
                session.out.line(&format!("ended {}", inline(&revoke.id)))
            }
        }
    }
}

/// Logins as data or as a table.
pub(super) fn show(session: &Session, list: &ListSessionsResponse) -> Result<()> {
    if session.out.data(list)? {
        return Ok(());
    }
    session.out.table(&table(&list.sessions, now_usec()), "No logins.")
}

fn table(sessions: &[Login], now: i64) -> Table {
    let mut table = Table::new(&["ID", "KIND", "BEGAN", "LAST SEEN", "ENDS", "ADDRESS", "WITH"]);
    for login in sessions {
        let kind = if login.current { format!("{} (this)", login.kind) } else { login.kind.clone() };
        table.row(vec![
            Cell::new(&login.id, if login.current { Look::Strong } else { Look::Plain }),
            kind.into(),
            relative(login.created_usec, now).into(),
            relative(login.last_seen_usec, now).into(),
            relative(login.expires_usec, now).into(),
            login.address.as_str().into(),
            login.user_agent.as_str().into(),
        ]);
    }
    table
}

/// Show as whom you are logged in
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  hmsctl whoami")]
pub(crate) struct WhoAmI {}

impl WhoAmI {
    pub(crate) async fn run(self, session: &Session) -> Result<()> {
        let link = session.controller()?;
        let who = link.answer(Pace::Look, link.sessions(None, Pace::Look).who_am_i(WhoAmIRequest {})).await?;
        if session.out.data(&who)? {
            return Ok(());
        }
        let (ends, at) = (relative(who.expires_usec, now_usec()), full(who.expires_usec));
        let reach = super::reach::words(who.scope.as_ref());
        let (name, role) = (inline(&who.username), inline(&who.role));
        session.out.line(&format!("{name} ({role}, {}), ends {ends} ({at})", inline(&reach)))
    }
}
