//! Apps as a list, and one of them in full.

use clap::Args;
use hms_proto::{
    controller::v1::{App, AppSettings, AppState, Deployment, GetAppRequest, ListAppsRequest},
    host::v1::Job,
    names::AppKey,
};

use super::{OneApp, text};
use crate::{
    connect::{Connection, Pace},
    failure::Result,
    output::{
        measure::{full, now_usec, percent, relative, size, span},
        state,
        table::{Cell, Look, Table},
    },
    session::Session,
};

#[derive(Debug, Args)]
pub(super) struct ShowApp {
    #[command(flatten)]
    app: OneApp,
    /// All of its settings, in the form that `edit --file` takes
    #[arg(long)]
    settings: bool,
}

/// An app as the controller knows it.
pub(super) async fn get(link: &Connection, key: &AppKey) -> Result<App> {
    let request = GetAppRequest { key: key.to_string() };
    link.answer(Pace::Look, link.apps(None, Pace::Look).get(request)).await
}

/// Its settings.
pub(super) async fn settings(link: &Connection, key: &AppKey) -> Result<AppSettings> {
    let request = GetAppRequest { key: key.to_string() };
    link.answer(Pace::Look, link.apps(None, Pace::Look).get_settings(request)).await
}

pub(super) async fn run(session: &Session) -> Result<()> {
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

impl ShowApp {
    pub(super) async fn run(self, session: &Session) -> Result<()> {
        let link = session.controller()?;
        if self.settings {
            let settings = settings(&link, &self.app.key).await?;
            return match session.out.data(&settings)? {
                true => Ok(()),
                false => session.out.write(&text::whole(&settings)?),
            };
        }
        let app = get(&link, &self.app.key).await?;
        if session.out.data(&app)? {
            return Ok(());
        }
        session.out.write(&details(&app, now_usec()).render(session.out.width, session.out.colour))
    }
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
    if let Some(live) = &app.live {
        say("release", live_words(live, now).into());
    }
    if let Some(job) = app.work.as_ref().and_then(|work| work.job.as_ref()) {
        say("under way", state::of_job(job.state()).and(&job.id));
    }
    if app.secrets_version > 0 {
        say("secrets", secrets_words(app).into());
    }
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

/// `20261125T101502-1a2b3c4, 3 h ago by ada: Fix the login`.
fn live_words(live: &Deployment, now: i64) -> String {
    let job = live.job.clone().unwrap_or_default();
    let Job { release, ended_usec, .. } = &job;
    let subject = if live.subject.is_empty() { String::new() } else { format!(": {}", live.subject) };
    format!("{release}, {} by {}{subject}", relative(*ended_usec, now), live.actor)
}

fn secrets_words(app: &App) -> String {
    let latest = app.secrets_version;
    match app.live.as_ref().map(|live| live.secrets_version) {
        Some(live) if live != latest => format!("version {latest}; version {live} is live"),
        _ => format!("version {latest}"),
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
            ..App::default()
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
    fn an_app_in_full() {
        let live = Deployment {
            subject: "Fix the login\x1b[2J".into(),
            actor: "ada".into(),
            secrets_version: 4,
            job: Some(Job {
                release: "20261125T101502-1a2b3c4".into(),
                ended_usec: NOW - 9_000_000_000,
                ..Job::default()
            }),
            ..Deployment::default()
        };
        let work = Deployment {
            job: Some(Job { id: "0193f0a2".into(), state: 2, ..Job::default() }),
            ..Deployment::default()
        };
        let mut shown = app("cigar", AppState::Running);
        (shown.live, shown.work, shown.secrets_version) = (Some(live), Some(work), 5);
        shown.unit.as_mut().unwrap().active_since_usec = 0;
        insta::assert_snapshot!(details(&shown, NOW).render(None, false));
    }

    #[test]
    fn the_json_form_has_words_for_states() {
        let list =
            hms_proto::controller::v1::ListAppsResponse { apps: vec![app("cigar", AppState::Running)] };
        insta::assert_snapshot!(serde_json::to_string_pretty(&list).unwrap());
    }
}
