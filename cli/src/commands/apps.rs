//! `hmsctl apps`: the Rails apps of this installation.

use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCompleter;
use futures_util::future::join_all;
use hms_proto::{
    controller::v1::{AddAppRequest, App, AppState, GetAppRequest, ListAppsRequest, RemoveAppRequest},
    names::{AppKey, HostName},
};

use super::action::{self, Verb};
use crate::{
    complete,
    connect::Pace,
    failure::Result,
    output::{
        confirm,
        escape::inline,
        measure::{full, now_usec, percent, relative, size, span},
        state,
        table::{Cell, Look, Table},
    },
    session::Session,
};

/// Show, start, stop and restart apps
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hmsctl apps
  hmsctl apps show cigar
  hmsctl apps restart cigar tobacco
  hmsctl apps -o json")]
pub(crate) struct Apps {
    #[command(subcommand)]
    verb: Option<AppsVerb>,
}

#[derive(Debug, Subcommand)]
enum AppsVerb {
    /// List all apps with their state
    #[command(after_help = "Example:\n  hmsctl apps list -o json")]
    List,
    /// Show one app
    #[command(after_help = "Example:\n  hmsctl apps show cigar")]
    Show(OneApp),
    /// Add an app that already runs on a host as puma-KEY.service
    #[command(after_help = "Example:\n  hmsctl apps add cigar --host asterra --domain example.org")]
    Add(AddApp),
    /// Forget an app; nothing on its host is changed
    #[command(after_help = "Example:\n  hmsctl apps remove cigar --yes")]
    Remove(RemoveApp),
    /// Start apps
    #[command(after_help = "Examples:
  hmsctl apps start cigar
  hmsctl --direct asterra apps start cigar   (with the controller down)")]
    Start(Keys),
    /// Stop apps
    #[command(after_help = "Example:\n  hmsctl apps stop cigar --yes")]
    Stop(StopApps),
    /// Restart apps; one that is not running is started
    #[command(after_help = "Examples:
  hmsctl apps restart cigar
  hmsctl apps restart cigar tobacco -o json
  hmsctl --direct asterra apps restart cigar   (with the controller down)")]
    Restart(Keys),
}

#[derive(Debug, Args)]
struct OneApp {
    /// Key of the app
    #[arg(value_name = "KEY", add = ArgValueCompleter::new(complete::apps))]
    key: AppKey,
}

#[derive(Debug, Args)]
struct Keys {
    /// Keys of the apps
    #[arg(value_name = "KEY", required = true, add = ArgValueCompleter::new(complete::apps))]
    keys: Vec<AppKey>,
}

#[derive(Debug, Args)]
struct StopApps {
    #[command(flatten)]
    apps: Keys,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

#[derive(Debug, Args)]
struct RemoveApp {
    #[command(flatten)]
    app: OneApp,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

#[derive(Debug, Args)]
struct AddApp {
    /// Key of the app: lower-case letters, digits and dashes
    #[arg(value_name = "KEY")]
    key: AppKey,
    /// The host it runs on
    #[arg(long, add = ArgValueCompleter::new(complete::hosts))]
    host: HostName,
    /// What people call it; by default the key with a capital
    #[arg(long, default_value = "", hide_default_value = true)]
    name: String,
    /// By default the key
    #[arg(long, default_value = "", hide_default_value = true)]
    subdomain: String,
    /// By default that of the installation
    #[arg(long, default_value = "", hide_default_value = true)]
    domain: String,
    /// Where its code comes from
    #[arg(long, default_value = "", hide_default_value = true, value_name = "URL")]
    git_url: String,
}

impl Apps {
    pub(crate) async fn run(self, session: &Session) -> Result<()> {
        match self.verb.unwrap_or(AppsVerb::List) {
            AppsVerb::List => list(session).await,
            AppsVerb::Show(app) => show(session, &app.key).await,
            AppsVerb::Add(add) => add.run(session).await,
            AppsVerb::Remove(remove) => remove.run(session).await,
            AppsVerb::Start(apps) => act(session, Verb::Start, apps.keys).await,
            AppsVerb::Restart(apps) => act(session, Verb::Restart, apps.keys).await,
            AppsVerb::Stop(stop) => {
                let names: Vec<&str> = stop.apps.keys.iter().map(AppKey::as_str).collect();
                let question =
                    format!("Stop {}? Nobody can use it until it is started again.", names.join(", "));
                if !confirm(&question, stop.yes, false)? {
                    session.out.note("nothing was stopped");
                    return Ok(());
                }
                act(session, Verb::Stop, stop.apps.keys).await
            }
        }
    }
}

async fn act(session: &Session, verb: Verb, mut keys: Vec<AppKey>) -> Result<()> {
    let mut seen = std::collections::HashSet::new();
    keys.retain(|key| seen.insert(key.clone()));
    let link = session.link()?;
    let targets = keys.iter().map(|key| async { (key.to_string(), session.place_of(&link, key).await) });
    action::run(session, &link, verb, join_all(targets).await).await
}

async fn list(session: &Session) -> Result<()> {
    let link = session.controller()?;
    let list = link.answer(Pace::Look, link.apps(None, Pace::Look).list(ListAppsRequest {})).await?;
    if session.out.data(&list)? {
        return Ok(());
    }
    let empty = "There are no apps yet. Add one that runs on a host: hmsctl apps add KEY --host NAME";
    session.out.table(&table(&list.apps, now_usec()), empty)
}

/// Apps as a table.
pub(crate) fn table(apps: &[App], now: i64) -> Table {
    let mut table = Table::new(&["APP", "!STATE", "HOST", ">UPTIME", ">MEMORY", ">CPU", ">RESTARTS"]);
    for app in apps {
        let lives = app.state() == AppState::Running;
        let since = app.unit.as_ref().map_or(0, |u| u.active_since_usec);
        let metrics = app.metrics.as_ref().filter(|_| lives);
        let dash = || Cell::new("–", Look::Faint);
        table.row(vec![
            Cell::new(&app.key, Look::Strong),
            state::of_app(app.state()),
            app.host.as_str().into(),
            if lives && since > 0 { span(now - since).into() } else { dash() },
            metrics.map_or_else(dash, |m| size(m.memory_bytes).into()),
            metrics.map_or_else(dash, |m| percent(m.cpu).into()),
            app.unit.as_ref().map_or_else(dash, |u| u.restarts.to_string().into()),
        ]);
    }
    table
}

async fn show(session: &Session, key: &AppKey) -> Result<()> {
    let link = session.controller()?;
    let request = GetAppRequest { key: key.to_string() };
    let app = link.answer(Pace::Look, link.apps(None, Pace::Look).get(request)).await?;
    if session.out.data(&app)? {
        return Ok(());
    }
    session.out.write(&details(&app, now_usec()).render(session.out.width, session.out.colour))
}

fn details(app: &App, now: i64) -> Table {
    let mut table = Table::new(&["", ""]);
    let mut say = |what: &str, cell: Cell| table.row(vec![Cell::new(what, Look::Faint), cell]);
    say("key", Cell::new(&app.key, Look::Strong));
    say("name", app.name.as_str().into());
    say("state", state::of_app(app.state()));
    say("host", app.host.as_str().into());
    say("domain", app.domain.as_str().into());
    say("unit", app.unit_name.as_str().into());
    if let Some(unit) = &app.unit {
        say("systemd", format!("{} ({})", unit.active_state, unit.sub_state).into());
        if unit.main_pid > 0 {
            say("pid", unit.main_pid.to_string().into());
        }
        if unit.active_since_usec > 0 {
            say(
                "since",
                format!("{} ({})", full(unit.active_since_usec), relative(unit.active_since_usec, now))
                    .into(),
            );
        }
        say("restarts", unit.restarts.to_string().into());
    }
    if let Some(metrics) = &app.metrics {
        say("memory", size(metrics.memory_bytes).into());
        say("cpu", percent(metrics.cpu).into());
        say("processes", metrics.processes.to_string().into());
    }
    if app.seen_usec > 0 {
        say("last seen", relative(app.seen_usec, now).into());
    }
    table
}

impl AddApp {
    async fn run(self, session: &Session) -> Result<()> {
        let link = session.controller()?;
        let request = AddAppRequest {
            key: self.key.to_string(),
            host: self.host.to_string(),
            name: self.name,
            subdomain: self.subdomain,
            domain: self.domain,
            git_url: self.git_url,
        };
        let app = link.answer(Pace::Look, link.apps(None, Pace::Look).add(request)).await?;
        if session.out.data(&app)? {
            return Ok(());
        }
        session.out.line(&format!("added {} on {} ({})", app.key, inline(&app.host), inline(&app.unit_name)))
    }
}

impl RemoveApp {
    async fn run(self, session: &Session) -> Result<()> {
        let key = self.app.key;
        if !confirm(&format!("Forget the app {key}? Its host is left as it is."), self.yes, true)? {
            session.out.note("nothing was removed");
            return Ok(());
        }
        let link = session.controller()?;
        let request = RemoveAppRequest { key: key.to_string() };
        let done = link.answer(Pace::Look, link.apps(None, Pace::Look).remove(request)).await?;
        if session.out.data(&done)? {
            return Ok(());
        }
        session.out.line(&format!("removed {key}"))
    }
}

#[cfg(test)]
mod tests {
    use hms_proto::host::v1::{Unit, UnitMetrics};

    use super::*;

    const NOW: i64 = 1_764_010_000_000_000;

    fn app(key: &str, state: AppState) -> App {
        App {
            key: key.into(),
            name: "Cigar".into(),
            host: "asterra".into(),
            domain: "cigar.example.org".into(),
            unit_name: format!("puma-{key}.service"),
            state: state as i32,
            unit: Some(Unit {
                active_state: "active".into(),
                sub_state: "running".into(),
                main_pid: 812,
                restarts: 2,
                active_since_usec: NOW - 273_600_000_000,
                ..Unit::default()
            }),
            metrics: Some(UnitMetrics {
                memory_bytes: 432_013_312,
                cpu: 0.124,
                processes: 3,
                ..Default::default()
            }),
            seen_usec: NOW - 1_000_000,
        }
    }

    #[test]
    fn apps_as_a_table() {
        let states = [
            AppState::Running,
            AppState::Starting,
            AppState::Stopped,
            AppState::Failed,
            AppState::Unreachable,
            AppState::NotInstalled,
        ];
        let apps: Vec<App> = states
            .iter()
            .zip(["cigar", "tobacco", "pipe", "snuff", "shisha", "matches"])
            .map(|(s, k)| app(k, *s))
            .collect();
        insta::assert_snapshot!(table(&apps, NOW).render(None, false));
        insta::assert_snapshot!(table(&apps, NOW).render(Some(60), false));
    }

    #[test]
    fn the_json_form_has_words_for_states() {
        let list =
            hms_proto::controller::v1::ListAppsResponse { apps: vec![app("cigar", AppState::Running)] };
        insta::assert_snapshot!(serde_json::to_string_pretty(&list).unwrap());
    }
}
