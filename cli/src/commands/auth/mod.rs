//! `hmsctl auth`: one's own account, and what one may do.

mod may;
mod second_factor;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use clap_complete::engine::{ArgValueCompleter, PathCompleter};
use hms_proto::controller::v1::{Account, ChangePasswordRequest, GetAccountRequest};

use self::{
    may::Question,
    second_factor::{Codes, Disable, Enable},
};
use super::reach;
use crate::{
    connect::Pace,
    dialog::{
        proof::{self, Proof},
        secret,
    },
    failure::Result,
    output::{
        escape::inline,
        measure::{now_usec, relative},
    },
    session::Session,
};

/// Show and change your own account, and ask what you may do
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hmsctl auth
  hmsctl auth can-i restart app/cigar
  hmsctl auth why deploy app/tobacco
  hmsctl auth second-factor enable")]
pub(crate) struct Auth {
    #[command(subcommand)]
    verb: Option<AuthVerb>,
}

#[derive(Debug, Subcommand)]
enum AuthVerb {
    /// Show your account
    #[command(after_help = "Example:\n  hmsctl auth show -o json")]
    Show,
    /// Say whether you may do something: exit code 0 for yes, 4 for no
    #[command(after_help = may::EXAMPLES)]
    CanI(Question),
    /// Say why you may, or may not, do something
    #[command(after_help = may::EXAMPLES)]
    Why(Question),
    /// Confirm that it is you, for the next five minutes
    #[command(after_help = "Examples:
  hmsctl auth confirm
  hmsctl auth confirm --password-file - < secret")]
    Confirm(Proof),
    /// Change your password; your other logins end
    #[command(after_help = "Examples:
  hmsctl auth password
  hmsctl auth password --current-file old --new-file new")]
    Password(Password),
    /// Ask for a code of an authenticator at each login
    #[command(after_help = "Examples:
  hmsctl auth second-factor enable
  hmsctl auth second-factor recovery-codes > codes")]
    SecondFactor(SecondFactor),
}

#[derive(Debug, Args)]
struct Password {
    /// Read your password from a file
    #[arg(long, value_name = "FILE", add = ArgValueCompleter::new(PathCompleter::file()))]
    current_file: Option<PathBuf>,
    /// Read the new password from a file; `-` is stdin
    #[arg(long, value_name = "FILE", add = ArgValueCompleter::new(PathCompleter::file()))]
    new_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct SecondFactor {
    #[command(subcommand)]
    verb: SecondFactorVerb,
}

#[derive(Debug, Subcommand)]
enum SecondFactorVerb {
    /// Set up an authenticator
    #[command(after_help = "Example:\n  hmsctl auth second-factor enable")]
    Enable(Enable),
    /// Ask for no code any more
    #[command(after_help = "Example:\n  hmsctl auth second-factor disable")]
    Disable(Disable),
    /// Make ten new recovery codes; those before are void
    #[command(after_help = "Example:\n  hmsctl auth second-factor recovery-codes > codes")]
    RecoveryCodes(Codes),
}

impl Auth {
    pub(crate) async fn run(self, session: &Session) -> Result<()> {
        match self.verb.unwrap_or(AuthVerb::Show) {
            AuthVerb::Show => {
                let link = session.controller()?;
                let mut account = link.account(None, Pace::Look);
                let account = link.answer(Pace::Look, account.get(GetAccountRequest {})).await?;
                show(session, &account)
            }
            AuthVerb::CanI(question) => question.answer(session).await,
            AuthVerb::Why(question) => question.explain(session).await,
            AuthVerb::Confirm(proof) => {
                let link = session.controller()?;
                proof.give(session, &link).await?;
                session.out.note("confirmed for five minutes");
                Ok(())
            }
            AuthVerb::Password(password) => password.run(session).await,
            AuthVerb::SecondFactor(second) => match second.verb {
                SecondFactorVerb::Enable(enable) => enable.run(session).await,
                SecondFactorVerb::Disable(disable) => disable.run(session).await,
                SecondFactorVerb::RecoveryCodes(codes) => codes.run(session).await,
            },
        }
    }
}

fn show(session: &Session, account: &Account) -> Result<()> {
    if session.out.data(account)? {
        return Ok(());
    }
    session.out.write(&told(account, now_usec()))
}

fn told(account: &Account, now: i64) -> String {
    let factor = match (account.totp, account.recovery_codes_left) {
        (false, _) => "off; turn it on with `hmsctl auth second-factor enable`".to_owned(),
        (true, 1) => "on, 1 recovery code left".to_owned(),
        (true, left) => format!("on, {left} recovery codes left"),
    };
    let confirmed = match account.confirmed_usec > now {
        true => format!("yes, ends {}", relative(account.confirmed_usec, now)),
        false => "no".to_owned(),
    };
    format!(
        "user           {} ({})\nmay act on     {}\npassword       set {}\nsecond factor  {factor}\nconfirmed      {confirmed}\n",
        inline(&account.username),
        inline(&account.role),
        inline(&reach::words(account.scope.as_ref())),
        relative(account.password_changed_usec, now),
    )
}

impl Password {
    async fn run(self, session: &Session) -> Result<()> {
        let link = session.controller()?;
        let current = secret::password(session, self.current_file.as_deref())?;
        let new = secret::read(session, "New password", self.new_file.as_deref(), false)?;
        // What is typed here is the confirmation, too.
        proof::give(&link, current.clone()).await?;
        let request = ChangePasswordRequest { current, new };
        let done = link.answer(Pace::Act, link.account(None, Pace::Act).change_password(request)).await?;
        if session.out.data(&done)? {
            return Ok(());
        }
        session.out.note("you have a new password; your other logins ended");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use hms_proto::controller::v1::Scope;

    use super::*;

    #[test]
    fn an_account_in_words() {
        let now = 1_800_000_000_000_000;
        let account = Account {
            username: "ada".into(),
            role: "admin".into(),
            scope: Some(Scope { all: true, ..Scope::default() }),
            password_changed_usec: now - 86_400_000_000 * 9,
            confirmed_usec: now + 240_000_000,
            ..Account::default()
        };
        let with = Account { totp: true, recovery_codes_left: 9, confirmed_usec: 0, ..account.clone() };
        insta::assert_snapshot!(format!("{}\n{}", told(&account, now), told(&with, now)));
    }
}
