//! `hmsctl status`: the whole installation on one screen.

use clap::Args;
use hms_proto::controller::v1::{
    App, AppState, Host, HostState, ListAppsRequest, ListRunsRequest, Run, Warning,
};
use serde::Serialize;

use super::{apps, host, jobs, warnings};
use crate::{
    connect::Pace,
    failure::Result,
    output::{
        escape::inline,
        measure::{now_usec, percent, relative},
        table::Look,
    },
    session::Session,
};

/// Show the whole installation on one screen, what needs attention first
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hmsctl status
  hmsctl status -o json")]
pub(crate) struct Status {}

#[derive(Serialize)]
struct Overview {
    hosts: Vec<Host>,
    apps: Vec<App>,
    warnings: Vec<Warning>,
    /// Those that have not ended.
    runs: Vec<Run>,
}

impl Status {
    pub(crate) async fn run(self, session: &Session) -> Result<()> {
        let link = session.controller()?;
        let (mut app_list, mut run_list) = (link.apps(None, Pace::Look), link.jobs(None, Pace::Look));
        let running = ListRunsRequest { state: "running".into(), ..ListRunsRequest::default() };
        let (apps, hosts, warnings, runs) = tokio::join!(
            link.answer(Pace::Look, app_list.list(ListAppsRequest {})),
            session.hosts(&link),
            warnings::all(&link, String::new()),
            link.answer(Pace::Look, run_list.list_runs(running))
        );
        let overview =
            Overview { hosts: hosts?.hosts, apps: apps?.apps, warnings: warnings?, runs: runs?.runs };
        if session.out.data(&overview)? {
            return Ok(());
        }
        session.out.write(&render(&overview, now_usec(), session.out.width, session.out.colour))
    }
}

fn render(overview: &Overview, now: i64, width: Option<usize>, colour: bool) -> String {
    let Overview { hosts, apps, runs, .. } = overview;
    let mut text = String::new();
    let troubles = troubles(overview, now);
    if troubles.is_empty() {
        let what = format!("● all is well: {}, {}", count(hosts.len(), "host"), count(apps.len(), "app"));
        text += &format!("{}\n", Look::Good.paint(&what, colour));
    } else {
        text += &format!("{}\n", Look::Strong.paint("Needs attention", colour));
        for trouble in troubles {
            text += &format!("  {}\n", Look::Bad.paint(&trouble, colour));
        }
    }
    if !apps.is_empty() {
        text += &format!("\n{}", apps::table(apps, now).render(width, colour));
    }
    if !hosts.is_empty() {
        text += &format!("\n{}", host::table(hosts, now).render(width, colour));
    }
    if !runs.is_empty() {
        text += &format!("\n{}", jobs::table(runs, now).render(width, colour));
    }
    text
}

fn count(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

/// What needs attention, the worst first.
fn troubles(overview: &Overview, now: i64) -> Vec<String> {
    let hosts = overview.hosts.iter().filter_map(|host| of_host(host, now));
    let apps = overview.apps.iter().filter_map(|app| of_app(app, now));
    let checks = overview.warnings.iter().map(of_check);
    hosts.chain(apps).chain(overview.hosts.iter().flat_map(of_disks)).chain(checks).collect()
}

fn of_check(warning: &Warning) -> String {
    let symbol = if warning.level == "critical" { "▲" } else { "◐" };
    let (host, subject) = (inline(&warning.host), inline(&warning.subject));
    format!("{symbol} {subject} on {host}: {} ({})", inline(&warning.message), inline(&warning.script))
}

fn of_host(host: &Host, now: i64) -> Option<String> {
    let name = inline(&host.name);
    match host.state() {
        HostState::Unreachable => {
            let since = relative(host.state_since_usec, now);
            let why = match host.state_reason.as_str() {
                "" => String::new(),
                why => format!(": {}", inline(why)),
            };
            Some(format!("? host {name} unreachable since {since}{why}"))
        }
        HostState::Pending => Some(format!("◐ host {name} has not joined: hmsctl host token {name}")),
        _ => None,
    }
}

/// A young process that was started again before is in a loop, or was a moment ago.
const YOUNG_USEC: i64 = 600_000_000;

fn of_app(app: &App, now: i64) -> Option<String> {
    let (key, host) = (inline(&app.key), inline(&app.host));
    match app.state() {
        AppState::Failed => Some(format!("▲ app {key} failed on {host}: hmsctl logs --app {key}")),
        AppState::NotInstalled => {
            Some(format!("▲ app {key} has no unit {} on {host}", inline(&app.unit_name)))
        }
        AppState::Running => {
            let unit = app.unit.as_ref()?;
            let looping = unit.restarts > 0 && now - unit.active_since_usec < YOUNG_USEC;
            let times = count(unit.restarts as usize, "time");
            looping.then(|| format!("◐ app {key} on {host} was started again {times}, just now"))
        }
        _ => None,
    }
}

fn of_disks(host: &Host) -> Vec<String> {
    let live = host.metrics.as_ref().filter(|_| host.state() == HostState::Connected);
    let disks = live.into_iter().flat_map(|m| &m.filesystems);
    let shares = disks.map(|d| (d, host::share(d.used_bytes, d.total_bytes)));
    let full = shares.filter(|(_, share)| *share >= 0.9);
    full.map(|(d, s)| {
        format!("▲ {} on {} is {} full", inline(&d.mount_point), inline(&host.name), percent(s))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use hms_proto::host::v1::{Filesystem, JobState, Metrics, Unit};

    use super::*;

    #[test]
    fn what_needs_attention_is_first() {
        let now = 7_201_000_000;
        let host = |name: &str, state: HostState, used: u64| Host {
            name: name.into(),
            address: "10.213.0.10:9444".into(),
            state: state as i32,
            state_since_usec: 1_000_000,
            state_reason: "connection refused".into(),
            metrics: Some(Metrics {
                filesystems: vec![Filesystem {
                    mount_point: "/".into(),
                    total_bytes: 100 << 30,
                    used_bytes: used << 30,
                }],
                ..Metrics::default()
            }),
            ..Host::default()
        };
        let app = |key: &str, state: AppState, restarts| App {
            key: key.into(),
            host: "asterra".into(),
            state: state as i32,
            unit: Some(Unit { restarts, active_since_usec: now - 30_000_000, ..Unit::default() }),
            ..App::default()
        };
        let mut overview = Overview {
            hosts: vec![
                host("asterra", HostState::Connected, 96),
                host("borealis", HostState::Unreachable, 99),
            ],
            apps: vec![
                app("cigar", AppState::Running, 4),
                app("tobacco", AppState::Failed, 0),
                app("pipe", AppState::Unreachable, 0),
            ],
            warnings: vec![Warning {
                host: "asterra".into(),
                script: "check_certificates".into(),
                level: "warning".into(),
                subject: "cigar.example.org".into(),
                message: "the certificate ends in 6 days".into(),
                ..Warning::default()
            }],
            runs: vec![Run {
                id: "0193f0a2-5b7e-7c3a-9d41-2f6d1c0e8a55".into(),
                script: "parse_logs".into(),
                state: JobState::Running.into(),
                actor: "ada".into(),
                source: "web".into(),
                created_usec: now - 5_000_000,
                running: 2,
                ..Run::default()
            }],
        };
        insta::assert_snapshot!(render(&overview, now, Some(100), false));
        overview.hosts = vec![host("asterra", HostState::Connected, 10)];
        overview.apps = vec![app("cigar", AppState::Running, 0)];
        (overview.warnings, overview.runs) = (Vec::new(), Vec::new());
        insta::assert_snapshot!(render(&overview, now, Some(100), false));
    }
}
