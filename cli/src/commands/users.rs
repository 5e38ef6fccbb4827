//! `hmsctl users`: who may log in, and what they may do.

use clap::{Args, Subcommand, ValueEnum};
use hms_proto::{
    controller::v1::{
        EditUserRequest, EndSessionsRequest, GetUserRequest, Invitation, InviteUserRequest,
        ListUserTokensRequest, ListUsersRequest, ResetUserRequest, RevokeTokenRequest, User,
    },
    names::UserName,
};

use super::{
    reach::{self, Reach},
    sessions, tokens,
};
use crate::{
    connect::Pace,
    dialog::proof::Proof,
    failure::Result,
    output::{
        confirm,
        measure::{full, now_usec, relative},
        table::{Cell, Look, Table},
    },
    session::Session,
};

/// Invite people, say what they may do, and lock them out
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hmsctl users
  hmsctl users invite bob --role operator --on web1
  hmsctl users edit bob --role viewer
  hmsctl users disable bob

Changes ask for your password once in five minutes.")]
pub(crate) struct Users {
    #[command(subcommand)]
    verb: Option<UsersVerb>,
}

#[derive(Debug, Subcommand)]
enum UsersVerb {
    /// List the accounts
    #[command(after_help = "Example:\n  hmsctl users list -o json")]
    List,
    /// Show one account
    #[command(after_help = "Example:\n  hmsctl users show bob")]
    Show(OneUser),
    /// Make an account, and the code with which its owner chooses a password
    #[command(after_help = "Examples:
  hmsctl users invite bob --role operator --on web1 --on web2
  hmsctl users invite eve --role admin --all")]
    Invite(Invite),
    /// Change role and scope, from the next request on
    #[command(after_help = "Examples:
  hmsctl users edit bob --role admin
  hmsctl users edit bob --app cigar --app tobacco")]
    Edit(Edit),
    /// Lock an account; its logins end, and its tokens are refused
    #[command(after_help = "Example:\n  hmsctl users disable bob")]
    Disable(Change),
    /// Unlock an account
    #[command(after_help = "Example:\n  hmsctl users enable bob")]
    Enable(Change),
    /// Make a code for a new password; the old one and all logins end at once
    #[command(after_help = "Examples:
  hmsctl users reset bob
  hmsctl users reset bob --second-factor")]
    Reset(Reset),
    /// Remove an account; what it did stays in the audit
    #[command(after_help = "Example:\n  hmsctl users remove bob")]
    Remove(Remove),
    /// List the logins of a user
    #[command(after_help = "Example:\n  hmsctl users sessions bob")]
    Sessions(OneUser),
    /// End the logins of a user, or one of them
    #[command(after_help = "Examples:
  hmsctl users logout bob
  hmsctl users logout bob --session 0193f5c2-7e1a-7000-8000-000000000001")]
    Logout(End),
    /// List the API tokens of a user, or of everybody
    #[command(after_help = "Example:\n  hmsctl users tokens bob")]
    Tokens(SomeUser),
    /// Revoke a token of anybody
    #[command(after_help = "Example:\n  hmsctl users revoke-token 0193f5c2-7e1a-7000-8000-000000000001")]
    RevokeToken(TokenId),
}

#[derive(Debug, Args)]
struct OneUser {
    /// Name of the user
    #[arg(value_name = "NAME")]
    name: UserName,
}

#[derive(Debug, Args)]
struct SomeUser {
    /// Name of the user; everybody where none is given
    #[arg(value_name = "NAME")]
    name: Option<UserName>,
}

#[derive(Debug, Args)]
struct TokenId {
    /// Id of the token, from the list
    #[arg(value_name = "ID")]
    id: String,
}

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Role {
    /// May look at everything but secrets
    Viewer,
    /// May also start, stop, restart, deploy and run scripts
    Operator,
    /// May do everything
    Admin,
}

impl Role {
    /// As the contract has it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

#[derive(Debug, Args)]
struct Invite {
    #[command(flatten)]
    user: OneUser,
    /// What they may do
    #[arg(long, value_enum, default_value_t = Role::Viewer)]
    role: Role,
    #[command(flatten)]
    reach: Reach,
    #[command(flatten)]
    proof: Proof,
}

#[derive(Debug, Args)]
struct Edit {
    #[command(flatten)]
    user: OneUser,
    /// What they may do; as it is where it is not given
    #[arg(long, value_enum)]
    role: Option<Role>,
    #[command(flatten)]
    reach: Reach,
    #[command(flatten)]
    proof: Proof,
}

#[derive(Debug, Args)]
struct Change {
    #[command(flatten)]
    user: OneUser,
    #[command(flatten)]
    proof: Proof,
}

#[derive(Debug, Args)]
struct Reset {
    #[command(flatten)]
    user: OneUser,
    /// Also forget the second factor and the recovery codes
    #[arg(long)]
    second_factor: bool,
    #[command(flatten)]
    proof: Proof,
}

#[derive(Debug, Args)]
struct Remove {
    #[command(flatten)]
    user: OneUser,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    proof: Proof,
}

#[derive(Debug, Args)]
struct End {
    #[command(flatten)]
    user: OneUser,
    /// Only this one, from `hmsctl users sessions`
    #[arg(long, value_name = "ID")]
    session: Option<String>,
}

impl OneUser {
    fn request(&self) -> GetUserRequest {
        GetUserRequest { username: self.name.to_string() }
    }
}

impl Users {
    pub(crate) async fn run(self, session: &Session) -> Result<()> {
        match self.verb.unwrap_or(UsersVerb::List) {
            UsersVerb::List => list(session).await,
            UsersVerb::Show(user) => show(session, &user).await,
            UsersVerb::Invite(invite) => invite.run(session).await,
            UsersVerb::Edit(edit) => edit.run(session).await,
            UsersVerb::Disable(change) => change.run(session, true).await,
            UsersVerb::Enable(change) => change.run(session, false).await,
            UsersVerb::Reset(reset) => reset.run(session).await,
            UsersVerb::Remove(remove) => remove.run(session).await,
            UsersVerb::Sessions(user) => {
                let link = session.controller()?;
                let mut users = link.users(None, Pace::Look);
                let list = link.answer(Pace::Look, users.list_sessions(user.request())).await?;
                sessions::show(session, &list)
            }
            UsersVerb::Logout(end) => end.run(session).await,
            UsersVerb::Tokens(user) => {
                let link = session.controller()?;
                let username = user.name.map(|name| name.to_string()).unwrap_or_default();
                let mut users = link.users(None, Pace::Look);
                let request = ListUserTokensRequest { username };
                let list = link.answer(Pace::Look, users.list_tokens(request)).await?;
                tokens::show(session, &list, true)
            }
            UsersVerb::RevokeToken(token) => {
                let link = session.controller()?;
                let mut users = link.users(None, Pace::Act);
                let request = RevokeTokenRequest { id: token.id };
                let done = link.answer(Pace::Act, users.revoke_token(request)).await?;
                if session.out.data(&done)? { Ok(()) } else { session.out.line("revoked") }
            }
        }
    }
}

async fn list(session: &Session) -> Result<()> {
    let link = session.controller()?;
    let list = link.answer(Pace::Look, link.users(None, Pace::Look).list(ListUsersRequest {})).await?;
    if session.out.data(&list)? {
        return Ok(());
    }
    session.out.table(&table(&list.users, now_usec()), "No accounts.")
}

async fn show(session: &Session, user: &OneUser) -> Result<()> {
    let link = session.controller()?;
    let user = link.answer(Pace::Look, link.users(None, Pace::Look).get(user.request())).await?;
    told(session, &user)
}

/// One account, as it is now.
fn told(session: &Session, user: &User) -> Result<()> {
    if session.out.data(user)? {
        return Ok(());
    }
    session.out.table(&table(std::slice::from_ref(user), now_usec()), "")
}

impl Invite {
    async fn run(self, session: &Session) -> Result<()> {
        let link = session.controller()?;
        let scope = self.reach.asked().ok_or_else(|| {
            hms_proto::fault::Fault::invalid(format!("what may {} act on?", self.user.name))
                .hint("add --all for the whole installation, or --on HOST or --app KEY for a part of it")
        })?;
        let request = InviteUserRequest {
            username: self.user.name.to_string(),
            role: self.role.word().into(),
            scope: Some(scope),
        };
        let invited = self.proof.with(session, &link, async || {
            link.answer(Pace::Act, link.users(None, Pace::Act).invite(request.clone())).await
        });
        tell_code(session, &invited.await?)
    }
}

/// The address alone on stdout, so that it can be piped; what to do with it on stderr.
fn tell_code(session: &Session, invitation: &Invitation) -> Result<()> {
    if session.out.data(invitation)? {
        return Ok(());
    }
    session.out.line(&invitation.url)?;
    let name = invitation.user.as_ref().map_or("its owner", |user| user.username.as_str());
    let (ends, at) = (relative(invitation.expires_usec, now_usec()), full(invitation.expires_usec));
    session.out.note(&format!(
        "Give this address to {name} by a way that only {name} reads: who opens it first chooses the password."
    ));
    session.out.note(&format!("It is good once, and ends {ends} ({at})."));
    Ok(())
}

impl Edit {
    async fn run(self, session: &Session) -> Result<()> {
        let link = session.controller()?;
        let request = EditUserRequest {
            username: self.user.name.to_string(),
            role: self.role.map(Role::word).unwrap_or_default().into(),
            scope: self.reach.asked(),
        };
        if request.role.is_empty() && request.scope.is_none() {
            let fault = hms_proto::fault::Fault::invalid("what is to be changed?");
            return Err(fault.hint("add --role, or --all, --on HOST or --app KEY").into());
        }
        let user = self.proof.with(session, &link, async || {
            link.answer(Pace::Act, link.users(None, Pace::Act).edit(request.clone())).await
        });
        told(session, &user.await?)
    }
}

impl Change {
    async fn run(self, session: &Session, disable: bool) -> Result<()> {
        let link = session.controller()?;
        let user = self.proof.with(session, &link, async || {
            let mut users = link.users(None, Pace::Act);
            match disable {
                true => link.answer(Pace::Act, users.disable(self.user.request())).await,
                false => link.answer(Pace::Act, users.enable(self.user.request())).await,
            }
        });
        told(session, &user.await?)
    }
}

impl Reset {
    async fn run(self, session: &Session) -> Result<()> {
        let link = session.controller()?;
        let request = ResetUserRequest { username: self.user.name.to_string(), totp: self.second_factor };
        let made = self.proof.with(session, &link, async || {
            link.answer(Pace::Act, link.users(None, Pace::Act).reset(request.clone())).await
        });
        tell_code(session, &made.await?)
    }
}

impl Remove {
    async fn run(self, session: &Session) -> Result<()> {
        let name = &self.user.name;
        let question =
            format!("Remove the account {name}? Its logins and tokens end; the audit keeps its name.");
        if !confirm(&question, self.yes, true)? {
            session.out.note("nothing was removed");
            return Ok(());
        }
        let link = session.controller()?;
        let done = self.proof.with(session, &link, async || {
            link.answer(Pace::Act, link.users(None, Pace::Act).remove(self.user.request())).await
        });
        if session.out.data(&done.await?)? { Ok(()) } else { session.out.line(&format!("removed {name}")) }
    }
}

impl End {
    async fn run(self, session: &Session) -> Result<()> {
        let link = session.controller()?;
        let request =
            EndSessionsRequest { username: self.user.name.to_string(), id: self.session.unwrap_or_default() };
        let done = link.answer(Pace::Act, link.users(None, Pace::Act).end_sessions(request)).await?;
        if session.out.data(&done)? {
            return Ok(());
        }
        let logins = if done.ended == 1 { "login" } else { "logins" };
        session.out.line(&format!("ended {} {logins} of {}", done.ended, self.user.name))
    }
}

fn table(users: &[User], now: i64) -> Table {
    let heads = ["USER", "!STATE", "ROLE", "MAY ACT ON", "2ND FACTOR", "LAST SEEN", ">LOGINS", ">TOKENS"];
    let mut table = Table::new(&heads);
    for user in users {
        let never = || Cell::new("never", Look::Faint);
        let state = match user.state.as_str() {
            "active" => Cell::new("active", Look::Good),
            "invited" => Cell::new("invited", Look::Busy),
            other => Cell::new(other, Look::Bad),
        };
        table.row(vec![
            Cell::new(&user.username, Look::Strong),
            state,
            user.role.as_str().into(),
            reach::words(user.scope.as_ref()).into(),
            if user.totp { "yes".into() } else { Cell::new("no", Look::Faint) },
            if user.last_seen_usec == 0 { never() } else { relative(user.last_seen_usec, now).into() },
            user.sessions.to_string().into(),
            user.tokens.to_string().into(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use hms_proto::controller::v1::Scope;

    use super::*;

    #[test]
    fn accounts_as_a_table() {
        let now = 1_800_000_000_000_000;
        let scope = |all, hosts: &[&str], apps: &[&str]| {
            Some(Scope {
                all,
                hosts: hosts.iter().map(ToString::to_string).collect(),
                apps: apps.iter().map(ToString::to_string).collect(),
            })
        };
        let user = |username: &str, state: &str, role: &str, scope| User {
            username: username.into(),
            state: state.into(),
            role: role.into(),
            scope,
            ..User::default()
        };
        let users = [
            User {
                totp: true,
                last_seen_usec: now - 90_000_000,
                sessions: 2,
                tokens: 1,
                ..user("ada", "active", "admin", scope(true, &[], &[]))
            },
            user("bob", "invited", "operator", scope(false, &["web1"], &["cigar"])),
            User {
                last_seen_usec: now - 86_400_000_000,
                ..user("eve", "disabled", "viewer", scope(true, &[], &[]))
            },
        ];
        insta::assert_snapshot!(table(&users, now).render(None, false));
    }
}
