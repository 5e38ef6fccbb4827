//! `hmsctl context`: the installations one is logged in to.

use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCompleter;
use hms_proto::fault::Fault;
use serde::Serialize;

use crate::{
    complete,
    context::{Entry, Store},
    failure::Result,
    output::{
        confirm,
        escape::inline,
        measure::{full, now_usec, relative},
        table::{Cell, Look, Table},
    },
    session::Session,
};

/// List, choose and remove logins kept on this machine
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hmsctl context list
  hmsctl context use staging
  hmsctl --context staging status")]
pub(crate) struct Contexts {
    #[command(subcommand)]
    verb: Option<ContextsVerb>,
}

#[derive(Debug, Subcommand)]
enum ContextsVerb {
    /// List contexts
    #[command(after_help = "Example:\n  hmsctl context list")]
    List,
    /// Make a context the current one
    #[command(name = "use", after_help = "Example:\n  hmsctl context use staging")]
    Choose(Name),
    /// Show a context; without a name, the current one
    #[command(after_help = "Example:\n  hmsctl context show")]
    Show(MaybeName),
    /// Delete a context with its key, without telling the controller
    #[command(after_help = "Example:\n  hmsctl context remove staging --yes")]
    Remove(Remove),
}

#[derive(Debug, Args)]
struct Name {
    /// Name of the context
    #[arg(value_name = "NAME", add = ArgValueCompleter::new(complete::contexts))]
    name: String,
}

#[derive(Debug, Args)]
struct MaybeName {
    /// Name of the context
    #[arg(value_name = "NAME", add = ArgValueCompleter::new(complete::contexts))]
    name: Option<String>,
}

#[derive(Debug, Args)]
struct Remove {
    #[command(flatten)]
    context: Name,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

#[derive(Serialize)]
struct Shown {
    name: String,
    current: bool,
    #[serde(flatten)]
    entry: Entry,
}

#[derive(Serialize)]
struct List {
    contexts: Vec<Shown>,
}

impl Contexts {
    pub(crate) fn run(self, session: &Session) -> Result<()> {
        let store = Store::open()?;
        match self.verb.unwrap_or(ContextsVerb::List) {
            ContextsVerb::List => list(session, &store),
            ContextsVerb::Choose(one) => {
                let mut config = store.config()?;
                if !config.contexts.contains_key(&one.name) {
                    return Err(Fault::not_found("context", &one.name).hint("hmsctl context list").into());
                }
                config.current.clone_from(&one.name);
                store.save_config(&config)?;
                session.out.note(&format!("now using {}", inline(&one.name)));
                Ok(())
            }
            ContextsVerb::Show(one) => show(session, &store, one.name),
            ContextsVerb::Remove(remove) => {
                let name = remove.context.name;
                if confirm(&format!("Delete the context {} with its key?", inline(&name)), remove.yes, true)?
                {
                    store.remove(&name)?;
                    session.out.note(&format!("removed {}", inline(&name)));
                }
                Ok(())
            }
        }
    }
}

fn all(store: &Store) -> Result<Vec<Shown>> {
    let config = store.config()?;
    let current = config.current;
    Ok(config
        .contexts
        .into_iter()
        .map(|(name, entry)| Shown { current: name == current, name, entry })
        .collect())
}

fn list(session: &Session, store: &Store) -> Result<()> {
    let list = List { contexts: all(store)? };
    if session.out.data(&list)? {
        return Ok(());
    }
    let mut table = Table::new(&["", "CONTEXT", "URL", "USER", "ROLE", "LOGIN ENDS"]);
    for shown in &list.contexts {
        let ended = shown.entry.expires_usec <= now_usec();
        let ends = relative(shown.entry.expires_usec, now_usec());
        table.row(vec![
            if shown.current { "*".into() } else { "".into() },
            Cell::new(&shown.name, Look::Strong),
            shown.entry.url.as_str().into(),
            shown.entry.username.as_str().into(),
            shown.entry.role.as_str().into(),
            Cell::new(&ends, if ended { Look::Bad } else { Look::Plain }),
        ]);
    }
    session.out.table(&table, "You are not logged in anywhere: hmsctl login https://CONTROLLER:8443")
}

fn show(session: &Session, store: &Store, name: Option<String>) -> Result<()> {
    let wanted = name.or_else(|| session.global.context.clone());
    let found = all(store)?.into_iter().find(|c| wanted.as_ref().map_or(c.current, |name| *name == c.name));
    let Some(shown) = found else {
        let name = wanted.unwrap_or_else(|| "(current)".into());
        return Err(Fault::not_found("context", &name).hint("hmsctl context list").into());
    };
    if session.out.data(&shown)? {
        return Ok(());
    }
    let mut table = Table::new(&["", ""]);
    let mut say = |what: &str, text: &str| table.row(vec![Cell::new(what, Look::Faint), text.into()]);
    say("name", &shown.name);
    say("url", &shown.entry.url);
    say("grpc", &shown.entry.grpc);
    say("user", &shown.entry.username);
    say("role", &shown.entry.role);
    let ends = shown.entry.expires_usec;
    say("login ends", &format!("{} ({})", full(ends), relative(ends, now_usec())));
    session.out.table(&table, "")
}
