//! The steps that change what visitors get: switch, restart, health, site; and the clearing away after them.

use std::time::Duration;

use hms_proto::{
    fault::{Fault, FaultKind},
    host::v1::RestartKind,
    names::{ReleaseId, UnitName},
};

use super::{
    fail, health,
    journal::Line,
    releases::{self, Record},
    restart::{self, word},
    site,
    state::Before,
    steps::{Done, skipped, well},
    work::Work,
};
use crate::{
    apps::{App, Item, installed, provision},
    jobs::Outcome,
    logs::last_words,
    now_usec,
    systemd::Session,
};

/// Lines of the app's log that are told with a failure.
const LOG_LINES: u32 = 12;
/// journald may be a moment behind.
const LAST_WORDS: Duration = Duration::from_millis(200);

impl Work {
    fn is_nothing_live(&self) -> bool {
        self.target.is_none()
    }

    /// Files and `current` become those of the target. What runs is not touched yet.
    pub(super) async fn switch(&mut self) -> Result<Done, Fault> {
        if self.is_nothing_live() {
            self.app.save()?;
            return skipped("no release is live: the first deployment brings the rest");
        }
        let files = self.wanted_files()?;
        let choice = restart::choose(self.request.asked.restart(), &self.need(&files).await?)?;
        let id = self.target()?.id()?;
        let version = self.secrets_version();
        // As it is in the record: it is what a rollback comes back to.
        if let Some(target) = &mut self.target {
            target.files = files.clone();
            target.spec = self.app.spec().clone();
            target.release.secrets_version = version;
        }
        let before = Before::of(&self.session, &self.app, self.store.state()).await?;
        self.note(&Line::Switching(Box::new(before)))?;
        fail::point("switch-noted");
        self.app.save()?;
        fail::point("switch-spec");
        let changed = provision::put(&self.session, &self.app, &files).await?;
        fail::point("switch-files");
        releases::set_live(&self.app, Some(&id))?;
        fail::point("switch-linked");
        installed::change(&self.app, |installed| installed.release = id.to_string())?;
        let said = format!("release {id}{}", if changed { ", with new files" } else { "" });
        let plan = format!("; restart: {} ({})", word(choice.kind), choice.reason);
        self.choice = Some(choice);
        well(said + &plan)
    }

    /// What runs becomes the target.
    pub(super) async fn restart(&mut self) -> Result<Done, Fault> {
        let Some(choice) = self.choice.clone() else { return skipped("no release is live") };
        if choice.kind == RestartKind::None {
            return skipped(choice.reason);
        }
        self.note(&Line::Restarting)?;
        fail::point("restart-noted");
        let since = now_usec();
        let said = match self.restarter().run(&choice).await {
            Ok(said) => said,
            Err(fault) => return Err(self.with_log(fault, since).await),
        };
        let (release, version) = (self.target()?.release.id.clone(), self.secrets_version());
        note_running(&self.session, &self.app, &release, version, choice.kind == RestartKind::Phased).await?;
        well(said)
    }

    /// The app must be well, as itself.
    pub(super) async fn health(&mut self) -> Result<Done, Fault> {
        if self.is_nothing_live() {
            return skipped("no release is live");
        }
        let since = now_usec();
        let first = self.restarter().unit().await?;
        let alive = async || {
            let now = self.restarter().unit().await?;
            if now.restarts != first.restarts {
                return Err(Fault::new(FaultKind::Failed, "its process ended, and systemd started it again"));
            }
            match now.active_state.as_str() {
                "active" | "activating" | "reloading" => Ok(()),
                other => Err(Fault::new(FaultKind::Failed, format!("`{}` is {other}", self.app.service()))),
            }
        };
        match health::on_socket(&self.app, &self.app.socket(), alive).await {
            Ok(said) => well(said),
            Err(fault) => Err(self.with_log(fault, since - 5_000_000).await),
        }
    }

    /// A fault with what the app wrote last.
    async fn with_log(&self, fault: Fault, since: i64) -> Fault {
        tokio::time::sleep(LAST_WORDS).await;
        let lines = match &fault.unit {
            Some(unit) => unit.log_lines.clone(),
            None => match UnitName::try_from(self.app.service().as_str()) {
                Ok(name) => last_words(&name, since, LOG_LINES).await,
                Err(_) => Vec::new(),
            },
        };
        lines.iter().for_each(|line| self.output.say(line));
        if lines.is_empty() {
            return fault;
        }
        let first = lines.len().saturating_sub(LOG_LINES as usize);
        Fault { message: format!("{}\n{}", fault.message, lines[first..].join("\n")), ..fault }
    }

    /// The site becomes that of the target, and the app must be well as visitors see it. From here on it stays.
    pub(super) async fn site(&mut self) -> Result<Done, Fault> {
        if self.is_nothing_live() {
            return skipped("no release is live");
        }
        let wanted = self.target()?.files.get(Item::Site).map(str::to_owned);
        let nginx = self.nginx()?;
        let now = site::now(&nginx, &self.app).await?;
        let changes = now != wanted;
        let mut kept = None;
        if changes {
            self.note(&Line::Site(now))?;
            fail::point("site-noted");
            kept = site::set(&nginx, &self.app, &self.request.actor, wanted.as_deref()).await?;
            fail::point("site-changed");
        }
        installed::change(&self.app, |installed| installed.files.set(Item::Site, wanted.clone()))?;
        let said = match wanted {
            Some(_) if site::is_running(&self.session).await? => health::through_nginx(&self.app).await?,
            Some(_) => "nginx is not running: it serves the site when it starts".to_owned(),
            None => String::new(),
        };
        if let Some(id) = kept {
            nginx.keep(&self.request.actor, &id).await?;
        }
        self.commit()?;
        match (changes, said.is_empty()) {
            (true, true) => well("removed the site"),
            (true, false) => well(format!("changed the site; {said}")),
            (false, true) => skipped("the app has no site"),
            (false, false) => well(said),
        }
    }

    /// Everything is well: nothing is put back any more.
    fn commit(&mut self) -> Result<(), Fault> {
        let release = self.target()?.release.id.clone();
        // The record holds all that a rollback needs before anybody relies on it.
        releases::save(&self.app, self.target()?)?;
        fail::point("commit-recorded");
        let live_usec = now_usec();
        self.note(&Line::Committed { release: release.clone(), live_usec })?;
        fail::point("committed");
        finish(&self.app, &release, live_usec)
    }

    /// Removes releases that nobody goes back to, and secrets that no release has.
    pub(super) async fn prune(&mut self) -> Result<Done, Fault> {
        let keep = usize::try_from(self.app.spec().keep_releases).unwrap_or(usize::MAX);
        let app = self.app.clone();
        let pruned = crate::blocking(move || prune(&app, keep)).await;
        match pruned {
            Ok(ids) if ids.is_empty() => skipped(format!("there are not more than {keep} releases")),
            Ok(ids) => well(format!("removed {}", ids.join(", "))),
            // The release is live and well: that is what was asked for.
            Err(fault) => well(format!("not all old releases could be removed: {}", fault.message)),
        }
    }

    /// What became of it, when all steps are done.
    pub(super) fn outcome(&self) -> Outcome {
        Outcome { good: true, reason: String::new() }
    }
}

fn prune(app: &App, keep: usize) -> Result<Vec<String>, Fault> {
    let records = releases::all(app)?;
    let Some(live) = releases::live(app) else { return Ok(Vec::new()) };
    let surplus = releases::surplus(&records, &live, keep);
    for id in &surplus {
        releases::remove(app, &ReleaseId::try_from(id.as_str())?)?;
        fail::point("prune-one");
    }
    remove_strays(app, &records)?;
    remove_secrets(app)?;
    Ok(surplus)
}

/// Folders of releases that nothing is known of: what was left by a host that lost its power.
fn remove_strays(app: &App, records: &[Record]) -> Result<(), Fault> {
    for entry in std::fs::read_dir(app.releases()).into_iter().flatten().flatten() {
        let Ok(id) = ReleaseId::try_from(entry.file_name().to_string_lossy().as_ref()) else { continue };
        if !records.iter().any(|record| record.release.id == id.as_str()) {
            releases::remove(app, &id)?;
        }
    }
    Ok(())
}

/// Sealed secrets that neither a release nor the units refer to.
fn remove_secrets(app: &App) -> Result<(), Fault> {
    let mut needed: Vec<u32> =
        releases::all(app)?.iter().map(|record| record.release.secrets_version).collect();
    needed.push(installed::read(app)?.secrets_version);
    for entry in std::fs::read_dir(app.folder()).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let version = name.strip_prefix("secrets-").and_then(|rest| rest.strip_suffix(".cred")?.parse().ok());
        if version.is_some_and(|version: u32| !needed.contains(&version)) {
            drop(std::fs::remove_file(entry.path()));
        }
    }
    installed::change(app, |installed| installed.secret_names.retain(|version, _| needed.contains(version)))?;
    Ok(())
}

/// What is noted of a release once it is live and well. Done twice, it is the same.
pub(super) fn finish(app: &App, release: &str, live_usec: i64) -> Result<(), Fault> {
    let Some(mut record) = releases::all(app)?.into_iter().find(|r| r.release.id == release) else {
        return Ok(());
    };
    (record.release.healthy, record.release.live_usec) = (true, live_usec);
    releases::save(app, &record)
}

/// Notes what the process that runs now was started with. A phased restart leaves the master with its secrets.
pub(super) async fn note_running(
    session: &Session,
    app: &App,
    release: &str,
    version: u32,
    is_phased: bool,
) -> Result<(), Fault> {
    let invocation_id = restart::invocation(session, &app.service()).await?;
    installed::change(app, |installed| {
        let same = installed.running.as_ref().filter(|run| is_phased && run.invocation_id == invocation_id);
        let secrets_version = same.map_or(version, |run| run.secrets_version);
        installed.running =
            Some(installed::Running { invocation_id, secrets_version, release: release.to_owned() });
    })?;
    Ok(())
}
