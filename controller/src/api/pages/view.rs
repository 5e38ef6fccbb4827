//! From what the controller knows to what the pages show.

use hms_proto::{
    controller::v1::{App, AppState as State, AuditRecord, Host, HostState as Link, Warning},
    fault::Fault,
    host::v1::Unit,
};
use hms_web::frame::Tone;
use hms_web::parts::{
    ActionOutcome, Activity, AppRow, AppState, Attention, AttentionItem, Disk, HostCard, HostRow, HostState,
    OutcomeKind, Sparkline,
};

use super::{view_apps, view_jobs};
use crate::{
    api::grpc,
    fleet::{self, Fleet, Picture, Point},
    sight::Sight,
};

/// A file system fuller than this needs somebody.
const NEARLY_FULL: f64 = 0.9;
/// A unit that systemd started again this often does not stay up.
const RESTART_LOOP: u32 = 3;
/// More warnings would hide the rest of the dashboard.
const MOST_WARNINGS: usize = 20;

/// A time that may not be there.
pub(super) fn some(usec: i64) -> Option<i64> {
    (usec > 0).then_some(usec)
}

pub(super) fn app_row(fleet: &Fleet, app: &App) -> AppRow {
    let unit = app.unit.as_ref();
    let running = matches!(app.state(), State::Running | State::Starting);
    let line = |of: fn(&Point) -> f32| unit_line(fleet, app, of).unwrap_or_default();
    AppRow {
        key: app.key.clone(),
        name: app.name.clone(),
        host: app.host.clone(),
        domain: app.domain.clone(),
        unit: app.unit_name.clone(),
        state: app_state(app.state()),
        detail: unit.map(|u| detail(app.state(), u)).unwrap_or_default(),
        up_since_us: unit.filter(|_| app.state() == State::Running).and_then(|u| some(u.active_since_usec)),
        seen_us: some(app.seen_usec),
        cpu: app.metrics.as_ref().filter(|_| running).map(|m| m.cpu),
        cpu_line: if running { line(|p| p.cpu) } else { Sparkline::default() },
        memory: app.metrics.as_ref().filter(|_| running).map(|m| m.memory_bytes),
        memory_line: if running { line(|p| p.memory) } else { Sparkline::default() },
        restarts: unit.map_or(0, |u| u.restarts),
        live: app.live.as_ref().map(view_apps::live),
        work: app
            .work
            .as_ref()
            .map(view_apps::deployment_row)
            .map(|row| (row.href(), row.kind.doing().into())),
        outcome: None,
    }
}

fn unit_line(fleet: &Fleet, app: &App, of: fn(&Point) -> f32) -> Option<Sparkline> {
    fleet
        .host(&app.host)?
        .look(|p| p.unit_history.get(&app.unit_name).map(|points| Sparkline::new(values(points, of))))
}

fn values<'a>(points: impl IntoIterator<Item = &'a Point>, of: fn(&Point) -> f32) -> Vec<f64> {
    points.into_iter().map(|p| f64::from(of(p))).collect()
}

pub(super) fn app_state(state: State) -> AppState {
    match state {
        State::Unspecified => AppState::Unknown,
        State::Running => AppState::Running,
        State::Starting => AppState::Starting,
        State::Stopping => AppState::Stopping,
        State::Stopped => AppState::Stopped,
        State::Failed => AppState::Failed,
        State::Unreachable => AppState::Unreachable,
        State::NotInstalled => AppState::NotInstalled,
    }
}

/// More about a state that is not plain "running".
fn detail(state: State, unit: &Unit) -> String {
    match state {
        State::Failed if unit.killed_by_signal => format!("killed by signal {}", unit.exit_status),
        State::Failed if unit.result == "exit-code" => format!("exit status {}", unit.exit_status),
        State::Failed => unit.result.clone(),
        State::Starting if unit.sub_state == "auto-restart" => "waits to be started again".into(),
        _ => String::new(),
    }
}

pub(super) fn host_card(host: &fleet::Host, apps: u32) -> HostCard {
    let shown = grpc::fleet::host(host);
    host.look(|picture| card(&shown, picture, apps))
}

fn card(host: &Host, picture: &Picture, apps: u32) -> HostCard {
    let metrics = host.metrics.as_ref();
    let line = |of: fn(&Point) -> f32| values(&picture.history, of);
    let total = metrics.map_or(0, |m| m.memory_total_bytes);
    let facts = host.facts.as_ref();
    HostCard {
        name: host.name.clone(),
        state: link(host),
        state_since_us: some(host.state_since_usec),
        reason: host.state_reason.clone(),
        os: facts.map(|f| f.os.clone()).unwrap_or_default(),
        agent_version: facts.map(|f| f.agent_version.clone()).unwrap_or_default(),
        booted_us: facts.and_then(|f| some(f.booted_usec)),
        cpus: facts.map_or(0, |f| f.cpus),
        cpu: metrics.map(|m| m.cpu),
        cpu_line: Sparkline::up_to(1.0, line(|p| p.cpu)),
        load: metrics.map(|m| [m.load1, m.load5, m.load15]),
        load_line: Sparkline::new(line(|p| p.load)),
        memory_used: metrics.map_or(0, |m| m.memory_used_bytes),
        memory_total: total,
        memory_line: Sparkline::up_to(total as f64, line(|p| p.memory)),
        disks: metrics.map(disks).unwrap_or_default(),
        labels: host.labels.clone(),
        apps,
    }
}

fn disks(metrics: &hms_proto::host::v1::Metrics) -> Vec<Disk> {
    let disk = |f: &hms_proto::host::v1::Filesystem| Disk {
        mount: f.mount_point.clone(),
        used: f.used_bytes,
        total: f.total_bytes,
    };
    metrics.filesystems.iter().map(disk).collect()
}

pub(super) fn link(host: &Host) -> HostState {
    match host.state() {
        Link::Connected => HostState::Connected,
        Link::Unreachable => HostState::Unreachable,
        Link::Pending | Link::Unspecified => HostState::Pending,
    }
}

pub(super) fn host_row(host: &Host) -> HostRow {
    let facts = host.facts.as_ref();
    HostRow {
        name: host.name.clone(),
        address: host.address.clone(),
        state: link(host),
        state_since_us: some(host.state_since_usec),
        reason: host.state_reason.clone(),
        agent_version: facts.map(|f| f.agent_version.clone()).unwrap_or_default(),
        os: facts.map(|f| f.os.clone()).unwrap_or_default(),
        certificate_expires_us: some(host.certificate_expires_usec),
        labels: host.labels.clone(),
    }
}

/// What needs somebody, worst first.
pub(super) fn attention(seen: Sight<'_>, warnings: &[Warning]) -> Attention {
    let hosts = seen.hosts();
    let mut items: Vec<_> = hosts.iter().filter_map(|h| unreachable(h)).collect();
    items.extend(grpc::apps::list(seen).iter().filter_map(troubled));
    items.extend(hosts.iter().flat_map(|h| nearly_full(h)));
    items.extend(warnings.iter().take(MOST_WARNINGS).map(view_jobs::warning));
    items.extend(left_out(warnings.len()));
    items.sort_by_key(|item| item.tone != Tone::Bad);
    Attention { items }
}

fn left_out(warnings: usize) -> Option<AttentionItem> {
    let more = warnings.checked_sub(MOST_WARNINGS).filter(|more| *more > 0)?;
    Some(AttentionItem {
        tone: Tone::Warn,
        title: format!("{more} more warnings of checks"),
        detail: "Run the checks to see all of them.".into(),
        href: "/scripts?q=check".into(),
        link: "Checks".into(),
        since_us: None,
    })
}

fn unreachable(host: &fleet::Host) -> Option<AttentionItem> {
    let shown = grpc::fleet::host(host);
    (shown.state() == Link::Unreachable).then(|| AttentionItem {
        tone: Tone::Bad,
        title: format!("{} is unreachable", shown.name),
        detail: shown.state_reason.clone(),
        href: "/hosts".into(),
        link: "Hosts".into(),
        since_us: some(shown.state_since_usec),
    })
}

fn troubled(app: &App) -> Option<AttentionItem> {
    let unit = app.unit.as_ref()?;
    let (tone, title) = match app.state() {
        State::Failed => (Tone::Bad, format!("{} failed", app.key)),
        State::Running | State::Starting if unit.restarts >= RESTART_LOOP => {
            (Tone::Warn, format!("{} was started again {} times", app.key, unit.restarts))
        }
        _ => return None,
    };
    let href = format!("/logs?source=app:{}&lines=200", app.key);
    Some(AttentionItem {
        tone,
        title,
        detail: detail(app.state(), unit),
        href,
        link: "Logs".into(),
        since_us: None,
    })
}

fn nearly_full(host: &fleet::Host) -> Vec<AttentionItem> {
    let metrics = host.look(|p| p.metrics.clone()).unwrap_or_default();
    let full = disks(&metrics).into_iter().filter(|d| d.share() > NEARLY_FULL);
    full.map(|disk| AttentionItem {
        tone: Tone::Warn,
        title: format!(
            "{} on {} is {} full",
            disk.mount,
            host.row.name,
            hms_web::text::percent(disk.share())
        ),
        detail: format!("{} left", hms_web::text::bytes(disk.total.saturating_sub(disk.used))),
        ..AttentionItem::default()
    })
    .collect()
}

pub(super) fn activity(record: AuditRecord) -> Activity {
    Activity {
        seq: record.seq,
        at_us: record.time_usec,
        actor: record.actor,
        source: record.source,
        address: record.address,
        method: record.method,
        target: record.target,
        host: record.host,
        params: record.params,
        outcome: OutcomeKind::from_word(&record.outcome),
        detail: record.detail,
        took_ms: record.took_ms.into(),
        request_id: record.request_id,
        before: record.before,
        after: record.after,
    }
}

/// What became of an action, for the row of its app.
pub(super) fn outcome(verb: &str, result: Result<u32, &Fault>, request_id: uuid::Uuid) -> ActionOutcome {
    let at = ActionOutcome {
        verb: verb.into(),
        at_us: fleet::now_usec(),
        request_id: request_id.to_string(),
        ..ActionOutcome::default()
    };
    let fault = match result {
        Ok(took_ms) => return ActionOutcome { kind: OutcomeKind::Ok, took_ms: took_ms.into(), ..at },
        Err(fault) => fault,
    };
    let unit = fault.unit.as_ref();
    ActionOutcome {
        kind: OutcomeKind::from_word(fault.row().outcome),
        message: fault.message.clone(),
        hint: fault.next().to_owned(),
        result: unit.map(|u| u.result.clone()).unwrap_or_default(),
        exit_status: unit.map(|u| u.exit_status),
        killed_by_signal: unit.is_some_and(|u| u.killed_by_signal),
        log_lines: unit.map(|u| u.log_lines.clone()).unwrap_or_default(),
        ..at
    }
}
