//! `hmsctl apps`: the Rails apps of this installation.
//!
//! # Layout
//! - `list`: how they are; `unit`: starting and stopping; `given`, `text`: settings as flags and as YAML; `change`, `edit`: changing them.
//! - `plan`: what would change on the host; `deploy`, `rollback`, `remove`: what changes it; `releases`: what is there.
//! - `secrets`: secrets and the deploy key; `transfer`: export and import.

mod change;
mod deploy;
mod edit;
mod given;
mod list;
mod plan;
mod releases;
mod remove;
mod rollback;
mod secrets;
mod text;
mod transfer;
mod unit;

use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCompleter;
use hms_proto::names::AppKey;

pub(crate) use list::table;
pub(crate) use releases::on_host;

use super::action::Verb;
use crate::{complete, failure::Result, session::Session};

/// Set up, deploy, start and stop apps
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hmsctl apps
  hmsctl apps add cigar --host asterra --git-url git@git.example.org:cigar.git
  hmsctl apps deploy cigar
  hmsctl apps rollback cigar
  hmsctl apps secrets set cigar SMTP_PASSWORD
  hmsctl apps restart cigar tobacco")]
pub(crate) struct Apps {
    #[command(subcommand)]
    verb: Option<AppsVerb>,
}

#[derive(Debug, Subcommand)]
enum AppsVerb {
    /// List all apps with their state
    #[command(after_help = "Example:\n  hmsctl apps list -o json")]
    List,
    /// Show one app: how it is, and its settings
    #[command(after_help = "Examples:
  hmsctl apps show cigar
  hmsctl apps show cigar --settings -o yaml")]
    Show(list::ShowApp),
    /// Add an app; its host is not changed before the first deployment
    #[command(after_help = "Examples:
  hmsctl apps add cigar --host asterra --git-url git@git.example.org:team/cigar.git \\
    --git-known-hosts known_hosts --database cigar --release-tasks db:migrate
  hmsctl apps add --file cigar.yaml --host borealis
  hmsctl apps add cigar --host asterra     (one that already runs there as puma-cigar.service)

What is left out gets a sensible value; `hmsctl apps show KEY --settings` shows all of them.")]
    Add(Box<change::AddApp>),
    /// Change settings, by options or in your editor; they reach the host with `apply` or the next deployment
    #[command(after_help = "Examples:
  hmsctl apps edit cigar
  hmsctl apps edit cigar --workers 4 --threads 5
  hmsctl apps edit cigar --env TZ=UTC --unset-env DEBUG
  hmsctl apps edit cigar --file cigar.yaml

Without options $VISUAL or $EDITOR is used. What you typed is kept until it is saved.")]
    Edit(Box<change::EditApp>),
    /// Show what would change on the host, and how the app would be restarted; changes nothing
    #[command(after_help = "Examples:
  hmsctl apps plan cigar
  hmsctl apps plan cigar --for rollback --release 20261125T101502-1a2b3c4
  hmsctl apps plan cigar --exit-code

Exit codes: 0 it could be done, 1 it would be refused; with --exit-code, 6 something would change.")]
    Plan(plan::PlanApp),
    /// Bring settings and secrets to the host, with the release that is live
    #[command(after_help = "Examples:
  hmsctl apps apply cigar
  hmsctl apps apply cigar --yes --restart full
  hmsctl apps apply cigar --revert-drift")]
    Apply(deploy::ApplyApp),
    /// Take over a file that was changed by hand on the host
    #[command(after_help = "Example:\n  hmsctl apps adopt cigar service")]
    Adopt(change::AdoptFile),
    /// Make a release from a branch and go live with it
    #[command(after_help = "Examples:
  hmsctl apps deploy cigar
  hmsctl apps deploy cigar --branch release/1.2
  hmsctl apps deploy cigar --commit 1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d --no-wait

A release that does not boot never goes live. Ctrl-C lets go of the deployment, which goes on.")]
    Deploy(deploy::DeployApp),
    /// Go back to an earlier release
    #[command(after_help = "Examples:
  hmsctl apps rollback cigar
  hmsctl apps rollback cigar 20261125T101502-1a2b3c4
  hmsctl --direct asterra apps rollback cigar   (with the controller down)

Without RELEASE: the last one before the live one that was live and well. The database is left as it is.")]
    Rollback(rollback::RollbackApp),
    /// List the releases on the host
    #[command(after_help = "Examples:
  hmsctl apps releases cigar
  hmsctl --direct asterra apps releases cigar   (with the controller down)")]
    Releases(releases::Releases),
    /// Forget an app; its host is left as it is unless that is asked for
    #[command(after_help = "Examples:
  hmsctl apps remove cigar
  hmsctl apps remove cigar --from-host
  hmsctl apps remove cigar --from-host --delete-data --yes")]
    Remove(remove::RemoveApp),
    /// Show and change secrets
    Secrets(secrets::Secrets),
    /// Print the public key with which the code is fetched; one is made where there is none
    #[command(after_help = "Examples:
  hmsctl apps deploy-key cigar
  hmsctl apps deploy-key cigar --new

Add it at the git server, as a key that may only read.")]
    DeployKey(secrets::DeployKey),
    /// Write settings to standard output, with names or sealed values of secrets
    #[command(after_help = "Examples:
  hmsctl apps export > apps.yaml
  hmsctl apps export cigar --secrets sealed > cigar.yaml

Sealed secrets can be opened by this installation alone, and only for the same app.")]
    Export(transfer::Export),
    /// Add and change apps as a file says
    #[command(after_help = "Examples:
  hmsctl apps import apps.yaml --dry-run
  hmsctl apps import - --yes < apps.yaml

Apps that the file does not name are left as they are.")]
    Import(transfer::Import),
    /// Start apps
    #[command(after_help = "Examples:
  hmsctl apps start cigar
  hmsctl --direct asterra apps start cigar   (with the controller down)")]
    Start(unit::Keys),
    /// Stop apps
    #[command(after_help = "Example:\n  hmsctl apps stop cigar --yes")]
    Stop(unit::StopApps),
    /// Restart apps; one that is not running is started
    #[command(after_help = "Examples:
  hmsctl apps restart cigar
  hmsctl apps restart cigar tobacco -o json
  hmsctl --direct asterra apps restart cigar   (with the controller down)")]
    Restart(unit::Keys),
}

#[derive(Debug, Args)]
struct OneApp {
    /// Key of the app
    #[arg(value_name = "KEY", add = ArgValueCompleter::new(complete::apps))]
    key: AppKey,
}

impl Apps {
    pub(crate) async fn run(self, session: &Session) -> Result<()> {
        use AppsVerb as V;
        match self.verb.unwrap_or(V::List) {
            V::List => list::run(session).await,
            V::Show(show) => show.run(session).await,
            V::Add(add) => add.run(session).await,
            V::Edit(edit) => edit.run(session).await,
            V::Plan(plan) => plan.run(session).await,
            V::Apply(apply) => apply.run(session).await,
            V::Adopt(adopt) => adopt.run(session).await,
            V::Deploy(deploy) => deploy.run(session).await,
            V::Rollback(rollback) => rollback.run(session).await,
            V::Releases(releases) => releases.run(session).await,
            V::Remove(remove) => remove.run(session).await,
            V::Secrets(secrets) => secrets.run(session).await,
            V::DeployKey(key) => key.run(session).await,
            V::Export(export) => export.run(session).await,
            V::Import(import) => import.run(session).await,
            V::Start(apps) => unit::act(session, Verb::Start, apps.keys).await,
            V::Restart(apps) => unit::act(session, Verb::Restart, apps.keys).await,
            V::Stop(stop) => stop.run(session).await,
        }
    }
}
