//! The first step: what can be known to stand in the way is found before anything is built, and what the host lacks is made.

use std::path::Path;

use hms_proto::{
    fault::{Fault, FaultKind},
    host::v1::JobKind,
};

use super::{
    releases, restart, site,
    steps::{Done, well},
    work::{Work, live_id},
};
use crate::{
    apps::{App, Item, installed, provision, secrets},
    files,
};

/// Below this, a host has other troubles than a deployment.
const FREE_LEAST: u64 = 64 * 1024 * 1024;
const ENV_MOST: u64 = 4 * 1024 * 1024;
const PROGRAMS: [&str; 2] = ["/usr/bin/git", secrets::HMS_EXEC];

impl Work {
    /// Checks, and makes what is missing.
    pub(super) async fn prepare(&mut self) -> Result<Done, Fault> {
        self.has_programs()?;
        self.has_room()?;
        self.stays_in_its_folder()?;
        self.site_can_change()?;
        self.is_as_hms_left_it()?;
        if self.request.kind() == JobKind::Apply && self.live.is_some() {
            // Refused before anything is changed, when what was wished for cannot be.
            restart::choose(self.request.asked.restart(), &self.need(&self.wanted_files()?).await?)?;
        }
        self.keep_secrets()?;
        let password = secrets::database_password(&self.secrets);
        let did = provision::prepare(&self.session, &self.app, &self.facts, password).await?;
        super::fail::point("prepared");
        well(if did.is_empty() { "everything is there".to_owned() } else { did.join("; ") })
    }

    /// ROLLBACK: checks whether the target can be gone back to.
    pub(super) async fn check(&mut self) -> Result<Done, Fault> {
        self.has_programs()?;
        self.site_can_change()?;
        self.is_as_hms_left_it()?;
        let target = self.target()?;
        let id = target.id()?;
        if !self.app.release(&id).is_dir() {
            let message = format!("the folder of the release {id} is not there any longer");
            return Err(Fault::new(FaultKind::Failed, message).hint("Deploy its commit again."));
        }
        if target.files.get(Item::Service).is_none() {
            return Err(Fault::new(FaultKind::Failed, format!("the release {id} was never live"))
                .hint("`hmsctl apps releases` shows which ones were live and well."));
        }
        let version = target.release.secrets_version;
        if version > 0 && !self.app.sealed(version).is_file() {
            let message = format!("the host does not have version {version} of the secrets any longer");
            return Err(Fault::new(FaultKind::Failed, message)
                .hint("Deploy its commit again, with the secrets of today."));
        }
        let ran = releases::unknown_to(target, &releases::migrated(&self.app)?);
        let destructive: Vec<_> = ran.iter().filter(|m| m.is_destructive).map(|m| m.name.as_str()).collect();
        if !destructive.is_empty() && !self.request.accept_destructive {
            return Err(destroyed(id.as_str(), &destructive));
        }
        restart::choose(self.request.asked.restart(), &self.need(&target.files).await?)?;
        let from = live_id(self.live.as_ref()).map(|id| id.to_string()).unwrap_or_default();
        let (commit, target_id) = (target.release.commit.clone(), id.to_string());
        let said = match ran.len() {
            0 => format!("from {from} to {id}"),
            count => format!("from {from} to {id}; migrations that stay: {count}"),
        };
        self.steps.is_about(&commit, &target_id);
        well(said)
    }

    fn has_programs(&self) -> Result<(), Fault> {
        let ruby = &self.app.spec().ruby_path;
        let own = [format!("{ruby}/ruby"), format!("{ruby}/bundle")];
        let mut all = PROGRAMS.map(str::to_owned).into_iter().chain(own);
        match all.find(|program| !Path::new(program).is_file()) {
            None => Ok(()),
            Some(missing) => Err(Fault::new(FaultKind::Failed, format!("`{missing}` is not on this host"))
                .hint("Install git, Ruby and Bundler; or name the folder with Ruby in the app's settings.")),
        }
    }

    /// A release needs about as much room as the one before.
    fn has_room(&self) -> Result<(), Fault> {
        let root = self.app.root();
        let place = root.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("/"));
        let about = rustix::fs::statvfs(place);
        let about = about.map_err(|e| crate::internal(format!("cannot see how much room there is: {e}")))?;
        let free = about.f_bavail * about.f_frsize;
        let before = live_id(self.live.as_ref()).map_or(0, |id| size(&self.app.release(&id)));
        let needed = FREE_LEAST + before;
        if free >= needed {
            return Ok(());
        }
        let (free, needed) = (free / 1024 / 1024, needed / 1024 / 1024);
        let message =
            format!("only {free} MiB are free at {}; a release needs {needed} MiB", place.display());
        Err(Fault::new(FaultKind::Failed, message).hint("Free space, or keep fewer releases."))
    }

    /// What is in the old folder would be nobody's.
    fn stays_in_its_folder(&self) -> Result<(), Fault> {
        match App::load(self.app.key(), self.store.state())?.map(|applied| applied.root()) {
            Some(root) if root != self.app.root() && root.join("releases").is_dir() => {
                let message = format!(
                    "the app is in `{}`, and cannot move to `{}`",
                    root.display(),
                    self.app.root().display()
                );
                Err(Fault::new(FaultKind::Failed, message)
                    .hint("Leave its root as it is; or remove the app from its host first."))
            }
            _ => Ok(()),
        }
    }

    fn site_can_change(&self) -> Result<(), Fault> {
        if self.app.spec().server_names.is_empty() {
            return Ok(());
        }
        if !site::is_installed() {
            return Err(Fault::new(
                FaultKind::Failed,
                "the app has a site, and nginx is not installed on this host",
            )
            .hint("Install nginx, or take the names of the site out of the app's settings."));
        }
        site::is_free(&self.nginx()?)
    }

    /// What somebody changed by hand is not overwritten silently.
    fn is_as_hms_left_it(&self) -> Result<(), Fault> {
        let drift = drifted(&self.app)?;
        if drift.is_empty() || self.request.asked.revert_drift {
            return Ok(());
        }
        let paths: Vec<_> = drift.iter().map(|item| self.app.path_of(*item).display().to_string()).collect();
        Err(Fault::new(FaultKind::Conflict, format!("not written by HMS: {}", paths.join(", ")))
            .hint("Look at the plan. Adopt what is there, or revert it with `--revert-drift`."))
    }

    /// The sealed secrets move to where the units look for them.
    fn keep_secrets(&self) -> Result<(), Fault> {
        let version = self.secrets_version();
        let own = self.store.file(&self.id, super::request::ENV);
        let keep = || {
            let Some(sealed) = files::read_if_there(&own, ENV_MOST)? else { return Ok(()) };
            files::replace(&self.app.sealed(version), &sealed)
        };
        if version > 0 {
            keep().map_err(|e: std::io::Error| {
                crate::internal(format!("cannot keep the secrets of the app: {e}"))
            })?;
            let names = self.secrets.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
            installed::change(&self.app, |installed| drop(installed.secret_names.insert(version, names)))?;
        }
        Ok(())
    }
}

/// Why a release cannot be gone back to just so.
pub(super) fn destroyed(id: &str, migrations: &[&str]) -> Fault {
    let message =
        format!("migrations that ran after {id} may have destroyed what it needs: {}", migrations.join(", "));
    Fault::new(FaultKind::Failed, message)
        .hint("Look at them. If the release can live with the database of today: `--accept-destructive`.")
}

/// The files that are not, or not any longer, as HMS wrote them; nor as somebody said that they are to be.
pub(super) fn drifted(app: &App) -> Result<Vec<Item>, Fault> {
    let (wrote, there) = (installed::read(app)?.files, provision::on_host(app)?);
    let adopted = |item: Item| app.spec().overrides.get(item.name()).map(String::as_str) == there.get(item);
    let differs =
        |item: &Item| wrote.get(*item) != there.get(*item) && !(there.get(*item).is_some() && adopted(*item));
    Ok(Item::ALL.into_iter().filter(differs).collect())
}

/// Bytes of a folder. Links are not followed.
fn size(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(about) if about.is_dir() => size(&entry.path()),
        Ok(about) => about.len(),
        Err(_) => 0,
    };
    entries.map(size).sum()
}
