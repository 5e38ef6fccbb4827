//! What work on an app would do: the changes of its files, the restart that follows, and what would refuse it.

use std::{path::Path, sync::Arc};

use hms_proto::{
    fault::Fault,
    host::v1::{AppPlan, JobKind, PlanAppRequest, RestartKind},
    names::AppKey,
};

use super::{
    prepare, releases,
    releases::Record,
    restart::{self, Choice, Need},
    site, work,
};
use crate::{
    apps::{self, App, Facts, Files, plan},
    systemd::{Bus, Session},
};

/// Makes the plan. Nothing is changed.
pub(crate) async fn plan(bus: &Arc<Bus>, state: &Path, request: PlanAppRequest) -> Result<AppPlan, Fault> {
    let kind = match request.kind() {
        JobKind::Script => JobKind::Apply,
        kind => kind,
    };
    let app = app_of(&request, state)?;
    let session = bus.session().await?;
    let records = releases::all(&app)?;
    let live = releases::live(&app);
    let live_record = records.iter().find(|r| live.as_ref().is_some_and(|id| r.release.id == id.as_str()));
    let target = match kind {
        JobKind::Rollback => Some(releases::target(&records, live.as_ref(), &request.release)?),
        _ => live_record.cloned(),
    };
    let app = match (&target, kind) {
        (Some(target), JobKind::Rollback) => App::new(target.spec.clone(), state)?,
        _ => app,
    };
    let look = Look {
        session: &session,
        app: &app,
        live: live_record,
        target: target.as_ref(),
        kind,
        request: &request,
    };
    let mut made = look.plan().await?;
    look.add_restart(&mut made).await?;
    look.add_target(&mut made)?;
    look.add_refusals(&mut made, bus, state)?;
    made.sha256 = plan::hash(&made);
    Ok(made)
}

fn app_of(request: &PlanAppRequest, state: &Path) -> Result<App, Fault> {
    if let Some(spec) = &request.spec {
        return App::new(spec.clone(), state);
    }
    let key = AppKey::try_from(request.key.as_str())?;
    App::load(&key, state)?.ok_or_else(|| Fault::not_found("app", key.as_str()).hint("Deploy it first."))
}

struct Look<'a> {
    session: &'a Session,
    app: &'a App,
    live: Option<&'a Record>,
    target: Option<&'a Record>,
    kind: JobKind,
    request: &'a PlanAppRequest,
}

impl Look<'_> {
    fn version(&self) -> u32 {
        match (self.kind, self.target) {
            (JobKind::Rollback, Some(target)) => target.release.secrets_version,
            (JobKind::Remove, _) => 0,
            _ => self.request.secrets_version,
        }
    }

    async fn files(&self) -> Result<Files, Fault> {
        match (self.kind, self.target) {
            (JobKind::Remove, _) => Ok(Files::default()),
            (JobKind::Rollback, Some(target)) => Ok(target.files.clone()),
            (_, target) => {
                let facts = Facts::of_host(self.session).await?;
                let facts = match target {
                    Some(target) => Facts { notify: target.notify, ..facts },
                    None => facts,
                };
                apps::files(self.app, &facts, self.version())
            }
        }
    }

    async fn plan(&self) -> Result<AppPlan, Fault> {
        let names = match self.kind {
            JobKind::Rollback => {
                let installed = apps::installed::read(self.app)?;
                installed.secret_names.get(&self.version()).cloned().unwrap_or_default()
            }
            _ => self.request.secret_names.clone(),
        };
        plan::plan(self.session, self.app, &self.files().await?, self.version(), &names).await
    }

    async fn need(&self) -> Result<Need, Fault> {
        let Some(target) = self.target else { return Ok(Need::default()) };
        let need =
            work::need(self.session, self.app, self.live, target, &self.files().await?, self.version())
                .await?;
        // Which commit it will be, nobody knows yet: it is taken for one with the same gems.
        Ok(Need { code: need.code || self.kind == JobKind::Deploy, ..need })
    }

    async fn add_restart(&self, plan: &mut AppPlan) -> Result<(), Fault> {
        if self.kind == JobKind::Remove {
            plan.set_restart(RestartKind::Full);
            plan.restart_reason = "it is stopped for good".into();
            plan.impact = "Visitors find nothing any more.".into();
            return Ok(());
        }
        if self.target.is_none() && self.kind == JobKind::Apply {
            plan.set_restart(RestartKind::None);
            plan.restart_reason = "no release is live".into();
            plan.impact = restart::impact(RestartKind::None).into();
            return Ok(());
        }
        match restart::choose(self.request.restart(), &self.need().await?) {
            Ok(Choice { kind, reason }) => {
                let if_same = self.kind == JobKind::Deploy && kind == RestartKind::Phased;
                plan.set_restart(kind);
                plan.restart_reason =
                    if if_same { format!("{reason}; if its Gemfile.lock stays the same") } else { reason };
                plan.impact = restart::impact(kind).into();
            }
            Err(fault) => plan.refusals.push(fault.message),
        }
        Ok(())
    }

    fn add_target(&self, plan: &mut AppPlan) -> Result<(), Fault> {
        let (JobKind::Rollback, Some(target)) = (self.kind, self.target) else { return Ok(()) };
        let ran = releases::unknown_to(target, &releases::migrated(self.app)?);
        plan.target = Some(target.release.clone());
        plan.migrations = ran.iter().map(|m| m.name.clone()).collect();
        plan.destructive_migrations =
            ran.iter().filter(|m| m.is_destructive).map(|m| m.name.clone()).collect();
        let names: Vec<_> = plan.destructive_migrations.iter().map(String::as_str).collect();
        if !names.is_empty() {
            plan.refusals.push(prepare::destroyed(&target.release.id, &names).message);
        }
        Ok(())
    }

    fn add_refusals(&self, plan: &mut AppPlan, bus: &Arc<Bus>, state: &Path) -> Result<(), Fault> {
        if self.kind != JobKind::Remove {
            let drifted: Vec<_> =
                plan.changes.iter().filter(|c| !c.drift.is_empty()).map(|c| c.subject.clone()).collect();
            if !drifted.is_empty() {
                plan.refusals.push(format!("not written by HMS: {}", drifted.join(", ")));
            }
        }
        if !self.app.spec().server_names.is_empty() && site::is_installed() {
            plan.refusals.extend(site::is_free(&work::nginx(bus, state)?).err().map(|fault| fault.message));
        }
        Ok(())
    }
}
