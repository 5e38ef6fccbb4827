//! `hmsctl deployments`: work on apps, and what became of it.

mod cancel;
mod follow;
mod list;
mod show;
mod work;

use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCompleter;
use hms_proto::names::JobId;

pub(crate) use follow::{Watch, begin, follow};
pub(crate) use work::Work;

use crate::{attach::Interrupts, complete, failure::Result, session::Session};

/// List, watch and end deployments, rollbacks and other work on apps
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hmsctl deployments
  hmsctl deployments cigar -n 10
  hmsctl deployments follow 0193f0a2-5b7e-7c3a-9d41-2f6d1c0e8a55
  hmsctl --direct asterra deployments   (with the controller down)")]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Deployments {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    wanted: list::Wanted,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List deployments, newest first
    #[command(after_help = "Example:\n  hmsctl deployments list cigar -o json")]
    List(list::Wanted),
    /// Show a deployment with its steps
    #[command(after_help = "Example:\n  hmsctl deployments show 0193f0a2-5b7e-7c3a-9d41-2f6d1c0e8a55")]
    Show(One),
    /// Watch steps and output of a deployment, from its beginning to its end
    #[command(after_help = "Example:
  hmsctl deployments follow 0193f0a2-5b7e-7c3a-9d41-2f6d1c0e8a55

Ctrl-C lets go of it again. The exit code tells how it ended.")]
    Follow(Follow),
    /// End a deployment; what it had changed is put back
    #[command(after_help = "Example:\n  hmsctl deployments cancel 0193f0a2-5b7e-7c3a-9d41-2f6d1c0e8a55")]
    Cancel(One),
}

#[derive(Debug, Args)]
struct One {
    /// Id of the deployment
    #[arg(value_name = "ID", add = ArgValueCompleter::new(complete::deployments))]
    id: JobId,
}

#[derive(Debug, Args)]
struct Follow {
    #[command(flatten)]
    one: One,
    /// Control characters as they are: the output may then act on your terminal
    #[arg(long)]
    raw: bool,
}

impl Deployments {
    pub(crate) async fn run(self, session: &Session) -> Result<()> {
        match self.verb.unwrap_or(Verb::List(self.wanted)) {
            Verb::List(wanted) => wanted.run(session).await,
            Verb::Show(one) => show::run(session, &one.id).await,
            Verb::Cancel(one) => cancel::run(session, &one.id).await,
            Verb::Follow(asked) => {
                let interrupts = Interrupts::listen()?;
                let link = session.link()?;
                let work = Work::find(session, &link, &asked.one.id).await?;
                follow(session, &link, work, asked.raw, interrupts).await
            }
        }
    }
}
