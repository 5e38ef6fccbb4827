//! `hmsctl apps deploy-key`: the key with which an app's code is fetched.

use clap::Args;
use serde::Serialize;

use super::{GIT_KEY, change, list};
use crate::{
    commands::apps::OneApp,
    failure::{Failure, Result},
    output::{confirm, escape::inline},
    session::Session,
};

#[derive(Debug, Args)]
pub(in crate::commands::apps) struct DeployKey {
    #[command(flatten)]
    app: OneApp,
    /// Make a new one in place of the one that is there
    #[arg(long)]
    new: bool,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

/// As programs read it.
#[derive(Serialize)]
struct PublicKey<'a> {
    key: &'a str,
    git_public_key: &'a str,
}

impl DeployKey {
    pub(in crate::commands::apps) async fn run(self, session: &Session) -> Result<()> {
        let key = &self.app.key;
        let link = session.controller()?;
        let mut secrets = list::ask(&link, key, 0).await?;
        let question =
            format!("Make a new key? The code of {key} cannot be fetched until the git server has it.");
        let is_there = secrets.secrets.iter().any(|secret| secret.name == GIT_KEY);
        if is_there && self.new && !confirm(&question, self.yes, false)? {
            session.out.note("nothing was changed");
            return Ok(());
        }
        if !is_there || self.new {
            change::rotate(&link, key, GIT_KEY).await?;
            secrets = list::ask(&link, key, 0).await?;
            session.out.note("a new key: add it at the git server, as one that may only read");
        }
        let public = secrets.git_public_key.trim_end();
        if public.is_empty() {
            return Err(Failure::local(format!("the public part of the key of {key} is not known")));
        }
        match session.out.data(&PublicKey { key: key.as_str(), git_public_key: public })? {
            true => Ok(()),
            false => session.out.line(&inline(public)),
        }
    }
}
