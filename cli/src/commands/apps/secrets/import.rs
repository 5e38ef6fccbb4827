//! Secrets from a `.env` file.

use std::path::PathBuf;

use clap::Args;
use clap_complete::engine::{ArgValueCompleter, PathCompleter};
use hms_proto::{
    controller::v1::{ImportSecretsRequest, SecretsChange},
    dotenv,
};

use super::change::{done, is_empty, told};
use crate::{
    commands::apps::OneApp,
    connect::{Connection, Pace},
    dialog::file::read_text,
    failure::Result,
    output::confirm,
    session::Session,
};

#[derive(Debug, Args)]
pub(super) struct ImportSecrets {
    #[command(flatten)]
    app: OneApp,
    /// The file; `-` is stdin
    #[arg(value_name = "FILE", add = ArgValueCompleter::new(PathCompleter::file()))]
    file: PathBuf,
    /// Take away what is not in the file; never what HMS made, nor what the code is fetched with
    #[arg(long)]
    replace: bool,
    /// Only show what would change
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

impl ImportSecrets {
    pub(super) async fn run(self, session: &Session) -> Result<()> {
        let text = read_text(session, &self.file)?;
        // A line that cannot be read is told before anything is sent.
        dotenv::parse(&text)?;
        let key = &self.app.key;
        let link = session.controller()?;
        let request =
            ImportSecretsRequest { key: key.to_string(), text, replace: self.replace, dry_run: true };
        let wanted = ask(&link, request.clone()).await?;
        if self.dry_run || is_empty(&wanted) {
            if !session.out.data(&wanted)? {
                session.out.write(&told(&wanted, session.out.colour))?;
                session.out.note(if is_empty(&wanted) {
                    "nothing would change"
                } else {
                    "nothing was changed"
                });
            }
            return Ok(());
        }
        if !self.yes && !session.out.is_data() {
            session.out.say(told(&wanted, session.out.colour).trim_end());
        }
        if !confirm(&format!("Change the secrets of {key} so?"), self.yes, false)? {
            session.out.note("nothing was changed");
            return Ok(());
        }
        done(session, key, &ask(&link, ImportSecretsRequest { dry_run: false, ..request }).await?)
    }
}

async fn ask(link: &Connection, request: ImportSecretsRequest) -> Result<SecretsChange> {
    link.answer(Pace::Look, link.secrets(None, Pace::Look).import(request)).await
}
