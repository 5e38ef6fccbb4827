//! Having nginx read its configuration again, and whether it did: new workers, and nothing in its error log.

use std::{collections::BTreeSet, fs, os::unix::fs::MetadataExt as _, time::Duration};

use hms_proto::{
    fault::{Fault, FaultKind, UnitFailure},
    host::v1::Unit,
};
use tokio::time::Instant;

use super::{Nginx, lint::Linted, paths::is_in};
use crate::systemd::{
    Session, fault_of, path_of_name, read_unit,
    transient::job_ended,
    work::{Work, run},
};

/// nginx's unit, as Debian and nginx.org name it.
pub(crate) const UNIT: &str = "nginx.service";
/// nginx tries for 2.5 s to get a port that is in use.
const GENERATION: Duration = Duration::from_secs(10);
/// Workers that cannot work end within a moment.
const MOMENT: Duration = Duration::from_millis(300);
const POLL: Duration = Duration::from_millis(100);
const STARTING: Duration = Duration::from_secs(20);
const LOG_MAX: u64 = 64 * 1024;
const LOG_LINES: usize = 20;

/// The unit; `None` when there is none.
pub(crate) async fn state(session: &Session) -> Result<Option<Unit>, Fault> {
    let path = path_of_name(UNIT);
    read_unit(session, &path).await.map_err(|e| fault_of(&e, UNIT))
}

/// Whether nginx runs. One that is about to start or to reload is waited for.
pub(crate) async fn is_running(session: &Session) -> Result<bool, Fault> {
    let end = Instant::now() + STARTING;
    loop {
        let state = state(session).await?.unwrap_or_default().active_state;
        match state.as_str() {
            "active" => return Ok(true),
            "activating" | "reloading" | "deactivating" if Instant::now() < end => {
                tokio::time::sleep(POLL).await
            }
            _ => return Ok(false),
        }
    }
}

/// Reloads, and waits for the new workers.
pub(crate) async fn reload(session: &Session, logs: &BTreeSet<String>) -> Result<String, Fault> {
    let before = state(session).await?.unwrap_or_default();
    let old = workers(before.main_pid);
    let log = Logs::now(logs);
    job(session, true).await?;
    let began = Instant::now();
    loop {
        let fresh: BTreeSet<u32> = workers(before.main_pid).difference(&old).copied().collect();
        if !fresh.is_empty() {
            return settle(session, before.main_pid, fresh, &log).await;
        }
        let said = log.news(session).await;
        let gave_up = said.iter().any(|l| is_fatal(l) && !l.contains("bind() to"));
        if gave_up || began.elapsed() > GENERATION {
            let why = said
                .iter()
                .find(|l| l.contains("bind() to"))
                .or_else(|| said.iter().rev().find(|l| is_fatal(l)))
                .map_or("no new worker appeared within 10 s".to_owned(), |l| message_of(l));
            return Err(failed(format!("nginx did not take over the configuration: {why}"), said));
        }
        tokio::time::sleep(POLL).await;
    }
}

async fn settle(session: &Session, main: u32, fresh: BTreeSet<u32>, log: &Logs) -> Result<String, Fault> {
    tokio::time::sleep(MOMENT).await;
    let said = log.news(session).await;
    if let Some(line) = said.iter().find(|l| is_fatal(l)) {
        return Err(failed(format!("nginx complains after the reload: {}", message_of(line)), said.clone()));
    }
    if workers(main).is_disjoint(&fresh) {
        return Err(failed("nginx's new workers ended right after they were started".to_owned(), said));
    }
    Ok(format!("{} new workers", fresh.len()))
}

/// Starts nginx, which ran before and does not now.
pub(crate) async fn start(session: &Session) -> Result<(), Fault> {
    job(session, false).await
}

async fn job(session: &Session, reload: bool) -> Result<(), Fault> {
    let mut signals = session.signals();
    let mode = "replace".to_owned();
    let job = if reload {
        session.manager.reload_unit(UNIT.to_owned(), mode).await
    } else {
        session.manager.start_unit(UNIT.to_owned(), mode).await
    };
    let job = job.map_err(|e| fault_of(&e, UNIT))?;
    let result = job_ended(&mut signals, &job, Duration::from_secs(60)).await?;
    if result == "done" {
        return Ok(());
    }
    let name = hms_proto::names::UnitName::try_from(UNIT)?;
    let lines = crate::logs::last_words(&name, crate::now_usec() - 60_000_000, 20).await;
    Err(failed(
        format!("systemd could not {} nginx: {result}", if reload { "reload" } else { "start" }),
        lines,
    ))
}

fn failed(message: String, log_lines: Vec<String>) -> Fault {
    let unit = UnitFailure { unit: UNIT.to_owned(), log_lines, ..UnitFailure::default() };
    Fault { unit: Some(unit), ..Fault::new(FaultKind::Failed, message) }
}

/// Workers of this master that take requests.
fn workers(main: u32) -> BTreeSet<u32> {
    let Ok(main) = i32::try_from(main) else { return BTreeSet::new() };
    let Ok(all) = procfs::process::all_processes() else { return BTreeSet::new() };
    let of_main = all.flatten().filter(|p| main > 0 && p.stat().is_ok_and(|s| s.ppid == main));
    let working = of_main.filter(|p| {
        let title = fs::read(format!("/proc/{}/cmdline", p.pid)).unwrap_or_default();
        let title = String::from_utf8_lossy(&title);
        title.starts_with("nginx: worker process") && !title.contains("shutting down")
    });
    working.filter_map(|p| u32::try_from(p.pid).ok()).collect()
}

/// Whether a line of the error log says that something does not work at all.
fn is_fatal(line: &str) -> bool {
    ["[emerg]", "[alert]", "[crit]"].iter().any(|level| line.contains(level))
        // Clients and upstreams cause these, not the configuration.
        && !["SSL_do_handshake", "client:", "while SSL handshaking", "ignore long locked inactive cache entry"].iter().any(|w| line.contains(w))
}

/// Without the time and the process.
fn message_of(line: &str) -> String {
    let text = line.split_once("] ").map_or(line, |(_, rest)| rest);
    let text = text.split_once(": ").filter(|(id, _)| id.contains('#')).map_or(text, |(_, rest)| rest);
    super::tree::shown(text)
}

/// The files of the top level's error_log.
pub(crate) fn error_logs(linted: &Linted) -> BTreeSet<String> {
    let mut logs: BTreeSet<String> = linted
        .files
        .get("nginx.conf")
        .into_iter()
        .flat_map(|f| &f.directives)
        .filter(|d| d.name.value == "error_log" && is_in(d.arg(0), "/var/log"))
        .map(|d| d.arg(0).to_owned())
        .collect();
    if logs.is_empty() {
        logs.insert("/var/log/nginx/error.log".to_owned());
    }
    logs
}

/// Error logs, with how far they had been written at some point.
struct Logs(Vec<(String, u64, u64)>);

impl Logs {
    fn now(paths: &BTreeSet<String>) -> Self {
        Self(
            paths
                .iter()
                .map(|p| fs::metadata(p).map_or((p.clone(), 0, 0), |m| (p.clone(), m.ino(), m.len())))
                .collect(),
        )
    }

    /// What was written since. The logs belong to nginx's user: a unit that may read all files reads them.
    async fn news(&self, session: &Session) -> Vec<String> {
        let mut lines = Vec::new();
        for (path, inode, length) in &self.0 {
            let Ok(now) = fs::metadata(path) else { continue };
            let from = if now.ino() == *inode { *length } else { 0 };
            let grown = now.len().saturating_sub(from).min(LOG_MAX);
            if grown > 0 {
                lines.extend(tail(session, path, grown).await.unwrap_or_default().lines().map(str::to_owned));
            }
        }
        let surplus = lines.len().saturating_sub(LOG_LINES);
        lines.split_off(surplus)
    }
}

async fn tail(session: &Session, path: &str, bytes: u64) -> Result<String, Fault> {
    let argv = ["/usr/bin/tail", "-c", &bytes.to_string(), "--", path].map(str::to_owned).to_vec();
    let work = Work {
        unit: format!("hms-nginx-log-{}.service", uuid::Uuid::new_v4().simple()),
        description: "HMS reads nginx's error log".to_owned(),
        command: argv,
        capabilities: &[2],
        limit: Duration::from_secs(5),
        ..Work::default()
    };
    Ok(run(session, &work).await?.output)
}

impl Nginx {
    /// `nginx/1.22.1`; empty where nginx is not installed.
    pub(crate) async fn version(&self) -> String {
        let Ok(program) = fs::metadata("/usr/sbin/nginx") else { return String::new() };
        let mut known = self.0.version.lock().await;
        if let Some((changed, version)) = &*known
            && *changed == program.mtime()
        {
            return version.clone();
        }
        let work = Work {
            unit: format!("hms-nginx-version-{}.service", uuid::Uuid::new_v4().simple()),
            description: "HMS asks nginx for its version".to_owned(),
            command: ["/usr/sbin/nginx", "-v"].map(str::to_owned).to_vec(),
            limit: Duration::from_secs(5),
            ..Work::default()
        };
        let Ok(session) = self.0.bus.session().await else { return "nginx".to_owned() };
        let said = run(&session, &work).await.map(|done| done.output).unwrap_or_default();
        let version = said
            .split_once("version: ")
            .map_or("nginx", |(_, v)| v.lines().next().unwrap_or("nginx"))
            .trim()
            .to_owned();
        *known = Some((program.mtime(), version.clone()));
        version
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_configuration_causes_is_fatal() {
        assert!(is_fatal(
            "2026/11/24 10:00:00 [emerg] 12#12: bind() to 0.0.0.0:81 failed (98: Address already in use)"
        ));
        assert!(!is_fatal("2026/11/24 10:00:00 [error] 12#12: *1 connect() failed"));
        assert!(!is_fatal(
            "2026/11/24 10:00:00 [crit] 12#12: *1 SSL_do_handshake() failed while SSL handshaking, client: 1.2.3.4"
        ));
        assert_eq!(
            message_of("2026/11/24 10:00:00 [emerg] 12#12: still could not bind()"),
            "still could not bind()"
        );
    }
}
