//! `hmsctl scripts`: the troubleshooting scripts, and running them.

mod aim;
mod catalogue;
mod direct;
mod launch;
mod run;
mod sync;

use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCompleter;
use hms_proto::names::ScriptName;

pub(crate) use aim::{Aim, Given, target_words};
pub(crate) use catalogue::one;
pub(crate) use launch::{Manner, jobs_command, launch, let_go_early, maybe_begun, surely};

use crate::{complete, failure::Result, session::Session};

/// List, show and run troubleshooting scripts
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hmsctl scripts
  hmsctl scripts show check_disk_space
  hmsctl scripts run check_disk_space --all
  hmsctl scripts run parse_logs --param app=cigar --param since=2h
  hmsctl --direct asterra scripts run check_status   (with the controller down)")]
pub(crate) struct Scripts {
    #[command(subcommand)]
    verb: Option<ScriptsVerb>,
}

#[derive(Debug, Subcommand)]
enum ScriptsVerb {
    /// List all scripts
    #[command(after_help = "Example:\n  hmsctl scripts list -o json")]
    List,
    /// Show one script: what it does, its parameters, what it may do
    #[command(after_help = "Examples:
  hmsctl scripts show parse_logs
  hmsctl scripts show parse_logs --source > parse_logs.sh")]
    Show(ShowScript),
    /// Run a script on one host or on many, and watch its output
    #[command(after_help = "Examples:
  hmsctl scripts run check_status --host asterra
  hmsctl scripts run check_disk_space --all --param warning=85
  hmsctl scripts run parse_logs --param app=cigar --json | jq .
  hmsctl scripts run restart_service --label web --batch 1 --max-failures 1 --param unit=nginx.service
  hmsctl scripts run check_status --all --detach
  hmsctl scripts run restart_service --host asterra --param unit=nginx.service --dry-run

Ctrl-C lets go of the run, which goes on; `hmsctl jobs cancel RUN` ends it.
Without --host, --label or --all it runs on the host of the app that is named, or on the only one there is.")]
    Run(Box<run::RunScript>),
    /// Make the scripts of a folder those of the installation
    #[command(after_help = "Examples:
  hmsctl scripts sync
  hmsctl scripts sync ~/scripts --dry-run

Each folder in it is one script: manifest.toml and the script itself. Others are removed.")]
    Sync(sync::SyncScripts),
}

#[derive(Debug, Args)]
struct ShowScript {
    /// Name of the script
    #[arg(value_name = "NAME", add = ArgValueCompleter::new(complete::scripts))]
    name: ScriptName,
    /// Only its text
    #[arg(long)]
    source: bool,
}

impl Scripts {
    pub(crate) async fn run(self, session: &Session) -> Result<()> {
        match self.verb.unwrap_or(ScriptsVerb::List) {
            ScriptsVerb::List => catalogue::list(session).await,
            ScriptsVerb::Show(show) => catalogue::show(session, &show.name, show.source).await,
            ScriptsVerb::Run(run) => run.run(session).await,
            ScriptsVerb::Sync(sync) => sync.run(session).await,
        }
    }
}
