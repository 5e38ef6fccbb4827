//! Starting, stopping and restarting the units of apps.

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use futures_util::future::join_all;
use hms_proto::names::AppKey;

use crate::{
    commands::action::{self, Verb},
    complete,
    failure::Result,
    output::confirm,
    session::Session,
};

#[derive(Debug, Args)]
pub(super) struct Keys {
    /// Keys of the apps
    #[arg(value_name = "KEY", required = true, add = ArgValueCompleter::new(complete::apps))]
    pub(super) keys: Vec<AppKey>,
}

#[derive(Debug, Args)]
pub(super) struct StopApps {
    #[command(flatten)]
    apps: Keys,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

impl StopApps {
    pub(super) async fn run(self, session: &Session) -> Result<()> {
        let names: Vec<&str> = self.apps.keys.iter().map(AppKey::as_str).collect();
        let question = format!("Stop {}? Nobody can use it until it is started again.", names.join(", "));
        if !confirm(&question, self.yes, false)? {
            session.out.note("nothing was stopped");
            return Ok(());
        }
        act(session, Verb::Stop, self.apps.keys).await
    }
}

pub(super) async fn act(session: &Session, verb: Verb, mut keys: Vec<AppKey>) -> Result<()> {
    let mut seen = std::collections::HashSet::new();
    keys.retain(|key| seen.insert(key.clone()));
    let link = session.link()?;
    let targets = keys.iter().map(|key| async { (key.to_string(), session.place_of(&link, key).await) });
    action::run(session, &link, verb, join_all(targets).await).await
}
