//! `hmsctl nginx`: the configuration of nginx on a host, its history, and what it does with a URL.
//!
//! # Layout
//! - `show`: how it is; `put`, `edit`: changes; `history`: versions and drift; `folder`: trees of files on this machine.
//! - `change`: test, difference, apply and outcome of every change; `pending`: changes that wait to be confirmed.
//! - `target`: which host is meant; `path`, `problem`: names and problems.

mod change;
mod complete;
mod edit;
mod folder;
mod history;
mod path;
mod pending;
mod problem;
mod put;
mod show;
mod target;

use std::io::{self, IsTerminal as _};

use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCompleter;
use hms_proto::names::HostName;

use crate::{failure::Result, session::Session};
use target::Target;

/// Look at, test and change nginx configurations
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hmsctl nginx
  hmsctl nginx edit cigar --confirm 60s --wait
  hmsctl nginx put cigar cigar.conf --reason 'longer timeout'
  hmsctl nginx route https://cigars.example.org/posts

`cigar` is sites-available/cigar; other files have their path below /etc/nginx: conf.d/gzip.conf.
--host may be left out where there is only one host.")]
pub(crate) struct Nginx {
    /// The host that is meant
    #[arg(long, global = true, value_name = "NAME", add = ArgValueCompleter::new(crate::complete::hosts))]
    host: Option<HostName>,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the files, and how nginx is
    #[command(after_help = "Examples:
  hmsctl nginx list --host asterra
  hmsctl nginx list --problems")]
    List(show::ListFiles),
    /// Print a file
    #[command(after_help = "Examples:
  hmsctl nginx get cigar
  hmsctl nginx get nginx.conf > nginx.conf")]
    Get(show::GetFile),
    /// Change a file in your editor: it is tested, shown as a diff, and applied
    #[command(after_help = "Examples:
  hmsctl nginx edit cigar
  hmsctl nginx edit snippets/tls.conf --confirm 2min --wait --reason 'only TLS 1.3'

$VISUAL or $EDITOR is used. What you typed is kept until it is applied.")]
    Edit(edit::EditFile),
    /// Give a file another content
    #[command(after_help = "Examples:
  hmsctl nginx put cigar cigar.conf
  hmsctl nginx get cigar | sed 's/60s/90s/' | hmsctl nginx put cigar
  hmsctl nginx put cigar cigar.conf --dry-run")]
    Put(put::PutFile),
    /// Show how a file would change
    #[command(after_help = "Examples:
  hmsctl nginx diff cigar cigar.conf
  generate-site | hmsctl nginx diff cigar -")]
    Diff(put::DiffFile),
    /// Test the configuration as it is, or as it would be; changes nothing
    #[command(after_help = "Examples:
  hmsctl nginx test
  hmsctl nginx test cigar cigar.conf -o json")]
    Test(put::TestFiles),
    /// Apply several files as one change: all of them, or none
    #[command(after_help = "Examples:
  hmsctl nginx apply ./tree --dry-run
  hmsctl nginx apply sites-available/cigar snippets/tls.conf
  hmsctl nginx apply conf.d/gzip.conf=gzip.conf --confirm 60s

Nothing is removed: files that are only on the host stay.")]
    Apply(put::ApplyFiles),
    /// Enable a site
    #[command(after_help = "Example:\n  hmsctl nginx enable cigar")]
    Enable(put::OneSite),
    /// Disable a site; its file stays
    #[command(after_help = "Example:\n  hmsctl nginx disable cigar --confirm 60s")]
    Disable(put::OneSite),
    /// Make a site; it is an error when there is one of this name
    #[command(after_help = "Examples:
  hmsctl nginx new cigar cigar.conf --enable
  generate-site | hmsctl nginx new cigar")]
    New(put::NewSite),
    /// Remove a file, and the link to it
    #[command(after_help = "Example:\n  hmsctl nginx rm cigar --yes --reason 'moved to borealis'")]
    Rm(put::RemoveFile),
    /// Keep the change that waits to be confirmed
    #[command(after_help = "Example:\n  hmsctl nginx confirm")]
    Confirm(Pending),
    /// Put back what the change that waits to be confirmed replaced
    #[command(after_help = "Example:\n  hmsctl nginx revert")]
    Revert(Pending),
    /// Test the configuration as it is and have nginx read it again
    #[command(after_help = "Example:\n  hmsctl nginx reload --host asterra")]
    Reload,
    /// List versions, newest first
    #[command(after_help = "Examples:
  hmsctl nginx history
  hmsctl nginx history cigar -n 5")]
    History(history::History),
    /// Show a version, or what it changed
    #[command(after_help = "Examples:
  hmsctl nginx show 112
  hmsctl nginx show 112 --diff")]
    Show(history::ShowVersion),
    /// Apply an earlier version of a file
    #[command(after_help = "Example:\n  hmsctl nginx restore cigar --version 112 --confirm 60s")]
    Restore(history::Restore),
    /// List what was changed on the host outside HMS
    #[command(after_help = "Examples:
  hmsctl nginx drift
  hmsctl nginx drift --diff")]
    Drift(history::Drift),
    /// Take what is on the host as the known state
    #[command(after_help = "Example:\n  hmsctl nginx adopt cigar --reason 'fixed by hand at night'")]
    Adopt(history::Adopt),
    /// Copy all files into a folder of this machine
    #[command(after_help = "Example:\n  hmsctl nginx export ./asterra-nginx --host asterra")]
    Export(folder::Export),
    /// Move a broken file out of nginx's sight, so that others can be applied
    #[command(after_help = "Example:\n  hmsctl nginx quarantine old --reason 'its certificate is gone'")]
    Quarantine(put::OneSite),
    /// Move a file back from quarantine
    #[command(after_help = "Example:\n  hmsctl nginx unquarantine old")]
    Unquarantine(put::OneSite),
    /// Tell which server and location answer a URL, and what they do
    #[command(after_help = "Example:\n  hmsctl nginx route 'https://cigars.example.org/posts?id=1'")]
    Route(show::Route),
}

#[derive(Debug, Args)]
struct Pending {
    /// Id of the change; by default the one that waits
    #[arg(value_name = "ID")]
    id: Option<String>,
}

impl Nginx {
    pub(crate) async fn run(self, session: &Session) -> Result<()> {
        let target = Target::open(session, self.host.as_ref()).await?;
        match self.verb.unwrap_or_else(|| Verb::List(show::ListFiles::default())) {
            Verb::List(list) => list.run(&target).await,
            Verb::Get(get) => get.run(&target).await,
            Verb::Edit(edit) => edit.run(&target).await,
            Verb::Put(put) => put.run(&target).await,
            Verb::Diff(diff) => diff.run(&target).await,
            Verb::Test(test) => test.run(&target).await,
            Verb::Apply(apply) => apply.run(&target).await,
            Verb::Enable(site) => site.enable(&target, true).await,
            Verb::Disable(site) => site.enable(&target, false).await,
            Verb::New(new) => new.run(&target).await,
            Verb::Rm(remove) => remove.run(&target).await,
            Verb::Confirm(pending) => pending::confirm(&target, pending.id).await,
            Verb::Revert(pending) => pending::revert(&target, pending.id).await,
            Verb::Reload => show::reload(&target).await,
            Verb::History(history) => history.run(&target).await,
            Verb::Show(show) => show.run(&target).await,
            Verb::Restore(restore) => restore.run(&target).await,
            Verb::Drift(drift) => drift.run(&target).await,
            Verb::Adopt(adopt) => adopt.run(&target).await,
            Verb::Export(export) => export.run(&target).await,
            Verb::Quarantine(site) => site.quarantine(&target, true).await,
            Verb::Unquarantine(site) => site.quarantine(&target, false).await,
            Verb::Route(route) => route.run(&target).await,
        }
    }
}

/// Whether a person sees stdout.
fn on_terminal() -> bool {
    io::stdout().is_terminal()
}
