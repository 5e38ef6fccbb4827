//! The end of a job, and the way back. It runs when the job's process is gone, in the job's own unit: nothing else works on the
//! app meanwhile. All it needs is in the journal, and each part of it may be done twice.

use std::path::Path;

use hms_proto::{fault::Fault, host::v1::JobKind, names::ReleaseId};

use super::{
    fail, health,
    journal::{Journal, Left, Line},
    live, releases,
    restart::Restart,
    site,
    state::Before,
    steps::{Done, Step},
    work::{self, Opened},
};
use crate::{
    apps::{App, installed, provision},
    jobs::{self, Outcome},
    systemd::transient,
};

/// What switches visitors over, and is put back. Before, nothing that runs is touched.
const PUT_BACK: [Step; 4] = [Step::Switch, Step::Restart, Step::Health, Step::Site];
/// What makes a release, which is removed.
const REMOVED: [Step; 5] = [Step::Checkout, Step::Bundle, Step::Assets, Step::Release, Step::Trial];

/// Decides what became of a job, after everything is as it should be.
pub(crate) async fn end(id: &str, state: &Path) -> Result<(), Fault> {
    let mut opened = Opened::open(id, state).await?;
    stop_steps(&opened).await?;
    if opened.steps.outcome().is_none() {
        opened.settle(state).await?;
    }
    opened.forget_if_gone();
    Ok(())
}

/// Units of steps end with the job's, which is still there.
async fn stop_steps(opened: &Opened) -> Result<(), Fault> {
    let prefix = format!("hms-job-{}-", opened.id);
    let manager = &opened.session.manager;
    let units = manager.list_units_by_patterns(Vec::new(), vec![format!("{prefix}*")]).await;
    let units = units.map_err(|e| crate::systemd::fault_of(&e, &prefix))?;
    for (name, ..) in units {
        transient::stop(&opened.session, &name, transient::STOP).await?;
    }
    Ok(())
}

impl Opened {
    async fn settle(&mut self, state: &Path) -> Result<(), Fault> {
        let folder = self.app.folder().to_owned();
        let broken = |e: std::io::Error| crate::internal(format!("cannot read the journal of the app: {e}"));
        let left = Journal::read(&folder).map_err(broken)?;
        let cause = self.cause()?;
        let outcome = if left.job != self.id.as_str() {
            Outcome { good: false, reason: cause }
        } else if let Some((release, live_usec)) = &left.committed {
            live::finish(&self.app, release, *live_usec)?;
            self.close(&cause);
            Outcome { good: true, reason: format!("it is live and well; after that, {cause}") }
        } else {
            self.steps.fail(&cause);
            self.undo(&left, state).await?
        };
        fail::point("undo-decided");
        self.steps.decide(outcome)?;
        Journal::open(&folder).and_then(|mut journal| journal.write(&Line::End)).map_err(broken)
    }

    /// What was live before the process was gone stays so.
    fn close(&mut self, cause: &str) {
        self.steps.end_running(&[
            (Step::Site, Done::Well("well".to_owned())),
            (Step::Prune, Done::Skipped(cause.to_owned())),
        ]);
    }

    /// Why the process ended before its work was done.
    fn cause(&self) -> Result<String, Fault> {
        let broken = |e: std::io::Error| crate::internal(format!("cannot read the job: {e}"));
        if let Some(actor) = self.store.canceled_by(&self.id).map_err(broken)? {
            return Ok(format!("{actor} ended it"));
        }
        if let Some((_, why)) = self.steps.failed() {
            return Ok(why);
        }
        let entry = self.store.read(&self.id).map_err(broken)?.unwrap_or_default();
        if jobs::boot_id().map_err(broken)? != entry.record.boot_id {
            return Ok("the host was restarted while it ran".to_owned());
        }
        let said = |name: &str| std::env::var(name).unwrap_or_default();
        Ok(match said("SERVICE_RESULT").as_str() {
            "timeout" => format!("it took longer than {} s", entry.record.timeout_s),
            "oom-kill" => "its process needed more memory than there is for it".to_owned(),
            "signal" | "core-dump" => format!("its process was ended by signal {}", said("EXIT_STATUS")),
            _ => {
                entry.notes.failed.unwrap_or_else(|| "its process ended before its work was done".to_owned())
            }
        })
    }

    /// Puts everything back, and says so.
    async fn undo(&mut self, left: &Left, state: &Path) -> Result<Outcome, Fault> {
        fail::point("undo-begun");
        if left.kind == JobKind::Remove {
            self.settle_site(left, state).await?;
            let (step, why) = self.steps.failed().unwrap_or_default();
            return Ok(reason(
                &step,
                &why,
                "what was removed stays removed; remove the app again for the rest",
            ));
        }
        self.settle_site(left, state).await?;
        fail::point("undo-site");
        let mut said = "what runs was not touched".to_owned();
        if let Some(before) = &left.before {
            said = self.put_back(before, left.restarted, state).await?;
            self.steps.undone(&PUT_BACK);
        }
        fail::point("undo-put-back");
        if let Some(made) = &left.made {
            let app = self.app.clone();
            let id = ReleaseId::try_from(made.as_str())?;
            crate::blocking(move || releases::remove(&app, &id)).await?;
            self.steps.undone(&REMOVED);
        }
        fail::point("undo-removed");
        if !left.migrated.is_empty() {
            said.push_str(&format!(
                "; these migrations may have run, and stay: {}",
                left.migrated.join(", ")
            ));
        }
        let (step, why) = self.steps.failed().unwrap_or_default();
        Ok(reason(&step, &why, &said))
    }

    async fn settle_site(&self, left: &Left, state: &Path) -> Result<(), Fault> {
        if !site::is_installed() || (left.site.is_none() && left.step != Step::Site.name()) {
            return Ok(());
        }
        let nginx = work::nginx(&self.bus, state)?;
        nginx.settle().await?;
        if let Some(before) = &left.site {
            let id = site::set(&nginx, &self.app, &self.request.actor, before.as_deref()).await?;
            if let Some(id) = id {
                nginx.keep(&self.request.actor, &id).await?;
            }
        }
        Ok(())
    }

    /// Files, link and process become what they were.
    async fn put_back(&self, before: &Before, restarted: bool, state: &Path) -> Result<String, Fault> {
        let app = match &before.spec {
            Some(spec) => App::new(spec.clone(), state)?,
            None => self.app.clone(),
        };
        let restart = Restart { bus: &self.bus, session: &self.session, app: &app };
        let live = ReleaseId::try_from(before.release.as_str()).ok();
        if !before.had_service() {
            restart.stop().await?;
            provision::remove_units(&self.session, &app).await?;
            fail::point("undo-files");
            releases::set_live(&app, live.as_ref())?;
            self.note_as_before(&app, before)?;
            return Ok("what was set up for it is removed".to_owned());
        }
        app.save()?;
        provision::put(&self.session, &app, &before.files).await?;
        fail::point("undo-files");
        releases::set_live(&app, live.as_ref())?;
        fail::point("undo-linked");
        self.note_as_before(&app, before)?;
        if !restarted {
            return Ok("everything was put back; what runs was not touched".to_owned());
        }
        if !before.was_running {
            restart.stop().await?;
            return Ok("everything was put back".to_owned());
        }
        self.run_again(&app, &restart, before).await
    }

    fn note_as_before(&self, app: &App, before: &Before) -> Result<(), Fault> {
        installed::change(app, |installed| {
            // Names of secrets are those of what the host has: that has become no less.
            let secret_names = std::mem::take(&mut installed.secret_names);
            *installed = before.installed.clone();
            installed.secret_names.extend(secret_names);
        })?;
        Ok(())
    }

    /// The release from before serves again; whether it is well is told, and is not in our hands.
    async fn run_again(&self, app: &App, restart: &Restart<'_>, before: &Before) -> Result<String, Fault> {
        let back = format!("everything was put back, and release {} serves again", before.release);
        if let Err(fault) = restart.again().await {
            // A host that shuts down starts nothing any more: when it is up again, this is done again.
            if self.is_stopping().await {
                return Err(fault);
            }
            return Ok(format!(
                "the files were put back, but the app does not start with them: {}",
                fault.message
            ));
        }
        fail::point("undo-restarted");
        let version = before.installed.secrets_version;
        live::note_running(&self.session, app, &before.release, version, false).await?;
        match health::on_socket(app, &app.socket(), async || Ok(())).await {
            Ok(_) => Ok(back),
            Err(fault) => Ok(format!(
                "everything was put back, but the app is not well as it was before: {}",
                fault.message
            )),
        }
    }

    async fn is_stopping(&self) -> bool {
        self.session.manager.system_state().await.is_ok_and(|state| state == "stopping")
    }

    /// Of an app that was deleted nothing stays, not even its lock.
    fn forget_if_gone(&self) {
        let is_good = self.steps.outcome().is_some_and(|outcome| outcome.good);
        if is_good && self.request.kind() == JobKind::Remove && self.request.asked.delete_data {
            drop(crate::files::remove_folder(self.app.folder()));
        }
    }
}

/// One text: which step, why, what was done about it; then the last words.
fn reason(step: &str, why: &str, done: &str) -> Outcome {
    let (first, rest) = why.split_once('\n').unwrap_or((why, ""));
    let place = if step.is_empty() { String::new() } else { format!("`{step}` failed: ") };
    let rest = if rest.is_empty() { String::new() } else { format!("\n{rest}") };
    Outcome { good: false, reason: format!("{place}{first}; {done}{rest}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_where_why_and_what_was_done_about_it() {
        let outcome = reason(
            "bundle",
            "`bundle install` ended with exit status 7\nline\nlast",
            "what runs was not touched",
        );
        assert_eq!(
            outcome.reason,
            "`bundle` failed: `bundle install` ended with exit status 7; what runs was not touched\nline\nlast"
        );
        assert_eq!(reason("", "it was lost", "nothing").reason, "it was lost; nothing");
    }
}
