//! From what is known of nginx to what the pages show.

use hms_proto::{
    controller::v1::{NginxDrift, NginxVersion},
    fault::{ConfigProblem as Problem, Fault, FaultKind},
    host::v1::{ApplyNginxResponse, NginxFile, NginxFileKind, NginxOutcome, NginxStep, RouteNginxResponse},
};
use hms_web::{
    frame::{Notice, Tone},
    parts::{
        AttentionItem, ConfigDrift, ConfigFile, ConfigHost, ConfigList, ConfigOutcome, ConfigPending,
        ConfigProbe, ConfigProblem, ConfigResult, ConfigRoute, ConfigStep, ConfigVersion, DiffLine,
        OutcomeKind, RoutePlace, host_href,
    },
};

use crate::{
    auth::Caller,
    fleet::{LinkState, now_usec},
    nginx::Picture,
    state::Core,
};

fn some(usec: i64) -> Option<i64> {
    (usec > 0).then_some(usec)
}

pub(super) fn problem(problem: Problem) -> ConfigProblem {
    ConfigProblem {
        path: problem.path,
        line: problem.line,
        column: problem.column,
        severity: problem.severity,
        message: problem.message,
        hint: problem.hint,
        source: problem.source,
        directive: problem.directive,
    }
}

pub(super) fn problems(problems: Vec<Problem>) -> Vec<ConfigProblem> {
    problems.into_iter().map(problem).collect()
}

/// Whether a file serves a name that HMS is reached by: exact, or by a wildcard in front.
pub(super) fn is_own(core: &Core, file: &NginxFile, asked: &str) -> bool {
    let names = [core.reach.name.as_str(), asked];
    let mine = |served: &str| {
        let tail = served.strip_prefix('*').filter(|t| t.starts_with('.'));
        names.iter().filter(|n| !n.is_empty()).any(|name| {
            served.eq_ignore_ascii_case(name)
                || tail.is_some_and(|t| name.to_lowercase().ends_with(&t.to_lowercase()))
        })
    };
    file.kind() == NginxFileKind::Site && file.server_names.iter().any(|served| mine(served))
}

pub(super) fn file(core: &Core, picture: &Picture, file: &NginxFile, asked: &str) -> ConfigFile {
    let drift = picture.drifts.iter().find(|d| d.path == file.path);
    let own = file.problems.iter().chain(picture.tree.problems.iter().filter(|p| p.path == file.path));
    let mut problems: Vec<Problem> = own.cloned().collect();
    problems.dedup();
    ConfigFile {
        path: file.path.clone(),
        is_site: file.kind() == NginxFileKind::Site,
        enabled: file.enabled,
        quarantined: file.quarantined,
        names: file.server_names.clone(),
        listens: file.listens.clone(),
        included_by: file.included_by.clone(),
        sha256: file.sha256.clone(),
        size: file.size_bytes,
        modified_us: file.modified_usec,
        locked: file.locked.clone(),
        drift: drift.map(|d| d.kind.clone()).unwrap_or_default(),
        problems: self::problems(problems),
        is_own: is_own(core, file, asked),
    }
}

pub(super) fn drift(drift: NginxDrift) -> ConfigDrift {
    ConfigDrift {
        diff: DiffLine::of(&drift.diff),
        path: drift.path,
        kind: drift.kind,
        modified_us: some(drift.modified_usec),
        owner_uid: drift.owner_uid,
        noticed_us: drift.noticed_usec,
    }
}

pub(super) fn version(version: NginxVersion) -> ConfigVersion {
    ConfigVersion {
        id: version.id,
        host: version.host,
        path: version.path,
        sha256: version.sha256,
        at_us: version.time_usec,
        author: version.author,
        reason: version.reason,
        event: version.event,
        request_id: version.request_id,
    }
}

fn outcome(last: &NginxOutcome) -> ConfigOutcome {
    ConfigOutcome {
        actor: last.actor.clone(),
        reason: last.reason.clone(),
        paths: last.paths.clone(),
        at_us: last.time_usec,
        result: last.result.clone(),
        detail: last.detail.clone(),
    }
}

/// A change that waits to be confirmed on this host.
pub(in super::super) fn pending(core: &Core, host: &str) -> Option<ConfigPending> {
    let id = core.fleet.host(host)?.row.id;
    let waiting = core.nginx.of(id).tree.pending.clone()?;
    Some(ConfigPending {
        host: host.to_owned(),
        id: waiting.id,
        actor: waiting.actor,
        reason: waiting.reason,
        paths: waiting.paths,
        deadline_us: waiting.deadline_usec,
    })
}

/// All that is known of nginx on this host.
pub(in super::super) fn list(core: &Core, host: &str) -> ConfigList {
    let Some(known) = core.fleet.host(host) else { return ConfigList::default() };
    let picture = core.nginx.of(known.row.id);
    let tree = &picture.tree;
    ConfigList {
        host: host.to_owned(),
        version: tree.version.clone(),
        running: tree.running,
        seen_us: some(picture.seen_usec).filter(|_| picture.fault.is_none() || !tree.version.is_empty()),
        stale: stale(&known.look(|p| p.link.clone()), &picture, host),
        problems: problems(tree.problems.clone()),
        last: tree.last.as_ref().filter(|last| !last.result.is_empty()).map(outcome),
        drifts: picture.drifts.iter().cloned().map(drift).collect(),
        files: tree.files.iter().map(|f| file(core, &picture, f, "")).collect(),
    }
}

fn stale(link: &LinkState, picture: &Picture, host: &str) -> Option<Notice> {
    let why = match (link, &picture.fault) {
        (LinkState::Unreachable(reason), _) => format!("{host} cannot be reached: {reason}."),
        (LinkState::Pending, _) => format!("The agent of {host} has not joined yet."),
        (_, Some(fault)) => {
            format!("nginx on {host} could not be looked at: {}.", fault.message.trim_end_matches('.'))
        }
        _ => return None,
    };
    let hint = match picture.tree.version.is_empty() {
        true => "",
        false => "nginx there may well be running. This is what was last seen.",
    };
    Some(Notice { tone: Tone::Warn, message: why, hint: hint.into() })
}

/// The hosts to choose from, with what is to be seen there.
pub(super) fn hosts(core: &Core, caller: &Caller, chosen: &str) -> Vec<ConfigHost> {
    let mark = |picture: &Picture| match () {
        () if picture.tree.pending.is_some() => "waits",
        () if picture.tree.problems.iter().any(|p| p.severity != "warning") => "broken",
        () if !picture.drifts.is_empty() => "drift",
        () => "",
    };
    let hosts = core.fleet.seen_by(caller).hosts();
    hosts
        .iter()
        .map(|h| ConfigHost {
            name: h.row.name.clone(),
            mark: mark(&core.nginx.of(h.row.id)),
            chosen: h.row.name == chosen,
        })
        .collect()
}

/// What of nginx on one host needs somebody.
pub(super) fn attention(host: &str, picture: &Picture) -> Vec<AttentionItem> {
    let item = |tone, title, detail, link: &str, since_us| AttentionItem {
        tone,
        title,
        detail,
        href: host_href(host),
        link: link.into(),
        since_us,
    };
    let mut items = Vec::new();
    if let Some(waiting) = &picture.tree.pending {
        let title = format!("A change of nginx on {host} waits to be confirmed");
        let detail = format!("{} changed {}", waiting.actor, waiting.paths.join(", "));
        items.push(item(Tone::Warn, title, detail, "Confirm", some(waiting.applied_usec)));
    }
    if let Some(broken) = picture.tree.problems.iter().find(|p| p.severity != "warning") {
        let title = format!("nginx on {host} would not take its files");
        let place = problem(broken.clone()).place();
        items.push(item(Tone::Bad, title, format!("{place} {}", broken.message), "Mend", None));
    }
    if let Some(first) = picture.drifts.first() {
        let files = picture.drifts.len();
        let title = match files {
            1 => format!("An nginx file on {host} was changed outside HMS"),
            _ => format!("{files} nginx files on {host} were changed outside HMS"),
        };
        items.push(item(Tone::Warn, title, first.path.clone(), "Look", some(first.noticed_usec)));
    }
    items
}

pub(super) fn route(route: RouteNginxResponse) -> ConfigRoute {
    let place = |p: hms_proto::host::v1::NginxPlace| RoutePlace { text: p.text, path: p.path, line: p.line };
    ConfigRoute {
        server: route.server.map(place),
        server_reason: route.server_reason,
        location: route.location.map(place),
        location_reason: route.location_reason,
        actions: route.actions.into_iter().map(place).collect(),
        listen: route.listen,
        considered: route.considered.into_iter().map(place).collect(),
    }
}

fn step(step: NginxStep) -> ConfigStep {
    ConfigStep { name: step.name, took_ms: step.took_ms.into(), detail: step.detail }
}

/// What became of a change that was made.
pub(super) fn done(caller: &Caller, host: &str, title: String, applied: ApplyNginxResponse) -> ConfigResult {
    let probe =
        |p: hms_proto::host::v1::NginxProbe| ConfigProbe { url: p.url, before: p.before, after: p.after };
    ConfigResult {
        kind: OutcomeKind::Ok,
        title,
        took_ms: applied.took_ms.into(),
        steps: applied.steps.into_iter().map(step).collect(),
        probes: applied.probes.into_iter().map(probe).collect(),
        problems: problems(applied.problems),
        ..blank(caller, host)
    }
}

/// What became of one that was not.
pub(super) fn failed(caller: &Caller, host: &str, title: &str, fault: &Fault) -> ConfigResult {
    let hint = match fault.kind() {
        // Its general advice, to look at the difference, is what the panel does.
        FaultKind::Conflict => fault.hint.clone(),
        _ => fault.next().to_owned(),
    };
    ConfigResult {
        kind: OutcomeKind::from_word(fault.row().outcome),
        title: title.to_owned(),
        message: fault.message.clone(),
        hint,
        problems: problems(fault.problems.clone()),
        ..blank(caller, host)
    }
}

pub(super) fn blank(caller: &Caller, host: &str) -> ConfigResult {
    ConfigResult {
        at_us: now_usec(),
        request_id: caller.request_id.to_string(),
        host: host.to_owned(),
        ..ConfigResult::default()
    }
}
