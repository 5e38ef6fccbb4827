//! `hmsctl apps secrets`: names and versions, and changing values, which are never arguments.

mod change;
mod import;
mod key;
mod list;

use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCompleter;
use hms_proto::{app::check_value, fault::Fault, names::AppKey, names::EnvName};

pub(super) use change::{set, told};
pub(super) use key::DeployKey;

use super::OneApp;
use crate::{complete, failure::Result, session::Session};

/// With which the code is fetched. They are no variables.
const GIT_KEY: &str = "git-private-key";
const GIT_TOKEN: &str = "git-token";

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hmsctl apps secrets cigar
  hmsctl apps secrets set cigar SMTP_PASSWORD
  hmsctl apps secrets import cigar .env.production
  hmsctl apps secrets rotate cigar SECRET_KEY_BASE

Each change makes a new version of the whole set, which reaches the host with `apply` or the next deployment.")]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
pub(super) struct Secrets {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// Key of the app whose secrets are listed
    #[arg(value_name = "KEY", add = ArgValueCompleter::new(complete::apps))]
    key: Option<AppKey>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List names and versions; no values
    #[command(after_help = "Example:\n  hmsctl apps secrets list cigar --version 3")]
    List(list::ListSecrets),
    /// Set one; its value is asked for, or read from a file or standard input
    #[command(after_help = "Examples:
  hmsctl apps secrets set cigar SMTP_PASSWORD
  pass show smtp | hmsctl apps secrets set cigar SMTP_PASSWORD
  hmsctl apps secrets set cigar TLS_KEY --file key.pem
  hmsctl apps secrets set cigar git-token

The newline at the end of a file or of standard input is not part of the value, unless --exact is given.")]
    Set(change::SetSecret),
    /// Take some away
    #[command(after_help = "Example:\n  hmsctl apps secrets unset cigar OLD_TOKEN")]
    Unset(change::UnsetSecrets),
    /// Read many from a .env file, after showing by name what would change
    #[command(after_help = "Examples:
  hmsctl apps secrets import cigar .env.production
  hmsctl apps secrets import cigar - --replace --yes < .env

Values may be quoted, also over several lines. Where readers of such files differ, the line is refused.")]
    Import(import::ImportSecrets),
    /// Make a new random value of SECRET_KEY_BASE, API_TOKEN or DATABASE_PASSWORD, or a new git-private-key
    #[command(after_help = "Example:\n  hmsctl apps secrets rotate cigar API_TOKEN --yes")]
    Rotate(change::RotateSecret),
    /// Print one value; asks for your password, and is recorded
    #[command(after_help = "Examples:
  hmsctl apps secrets reveal cigar SMTP_PASSWORD
  hmsctl apps secrets reveal cigar SMTP_PASSWORD --version 3")]
    Reveal(change::RevealSecret),
}

#[derive(Debug, Args)]
struct OneSecret {
    #[command(flatten)]
    app: OneApp,
    /// Name of the secret
    #[arg(value_name = "NAME", value_parser = name, add = ArgValueCompleter::new(complete::secrets))]
    name: String,
}

/// A variable, or one of those with which the code is fetched.
fn name(text: &str) -> Result<String, String> {
    match text {
        GIT_KEY | GIT_TOKEN => Ok(text.to_owned()),
        text => EnvName::try_from(text).map(|name| name.to_string()).map_err(|error| error.to_string()),
    }
}

/// Refuses here what the controller would refuse, so that it is not sent.
fn fits(name: &str, value: &str) -> Result<()> {
    match value {
        "" if [GIT_KEY, GIT_TOKEN].contains(&name) => Err(Fault::invalid(format!("{name} is empty")).into()),
        value => Ok(check_value(name, value)?),
    }
}

/// What it takes for a change to reach the app.
fn next(session: &Session, key: &AppKey) {
    session.out.note(&format!("it reaches the app with: hmsctl apps apply {key}"));
}

impl Secrets {
    pub(super) async fn run(self, session: &Session) -> Result<()> {
        let verb = match (self.verb, self.key) {
            (Some(verb), _) => verb,
            (None, Some(key)) => Verb::List(list::ListSecrets::latest(key)),
            (None, None) => return Err(Fault::invalid("which app?").hint("hmsctl apps secrets KEY").into()),
        };
        match verb {
            Verb::List(list) => list.run(session).await,
            Verb::Set(set) => set.run(session).await,
            Verb::Unset(unset) => unset.run(session).await,
            Verb::Import(import) => import.run(session).await,
            Verb::Rotate(rotate) => rotate.run(session).await,
            Verb::Reveal(reveal) => reveal.run(session).await,
        }
    }
}
