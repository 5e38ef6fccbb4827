//! Jobs that work on an app: what they are sent with, and what their end means.

use hms_proto::{
    fault::{Fault, FaultKind},
    host::v1::{self, AppOnHost, JobKind, JobState},
    names::AppKey,
};

use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use super::worker::{Next, OneJob, Step};
use crate::{
    apps::{self, request, settings},
    audit::Changed,
    auth::{Caller, Source},
    db::{
        self,
        audit::Intent,
        deployments::{self, Deployment},
        jobs::{self, Job},
    },
    fleet::Host,
    state::State,
};

/// What is sent: settings and secrets, or only which release to go back to.
enum Sent {
    Start(Box<v1::StartAppRequest>),
    Rollback(v1::RollbackAppRequest),
}

impl OneJob<'_> {
    /// Sends the work to the host of the app, through the gate, on behalf of who asked.
    pub(super) async fn send_app_work(&self, caller: &Caller) -> Step {
        let Some(deployment) = deployments::get(&self.state.db, self.job.id).await? else {
            return self.not_begun(&Fault::new(FaultKind::Internal, "the deployment is gone")).await;
        };
        self.note_what_is_live(&deployment).await?;
        let sent = match self.prepare(&deployment).await {
            Ok(sent) => sent,
            Err(fault) => return self.not_begun(&fault).await,
        };
        if jobs::attempt(&self.state.db, self.job.id).await?.is_none() {
            return Ok(Next::GoOn);
        }
        let answer = match sent {
            Sent::Start(request) => self.state.gate.work_on_apps(caller, &self.name()).start(*request).await,
            Sent::Rollback(request) => {
                self.state.gate.host_apps(caller, &self.name()).rollback(request).await
            }
        };
        let answer = answer.map(tonic::Response::into_inner).map_err(|status| Fault::from_status(&status));
        self.answered(answer).await
    }

    async fn prepare(&self, deployment: &Deployment) -> Result<Sent, Fault> {
        if deployment.job.kind() == JobKind::Rollback {
            return Ok(Sent::Rollback(request::rollback(deployment)));
        }
        let key = AppKey::try_from(deployment.app_key.as_str())?;
        let app = apps::find(self.state, &key).await?;
        if app.deployed_server.as_deref() != Some(self.job.host.as_str()) {
            let said = format!("{key} was moved away from {} after this was asked for", self.job.host);
            return Err(Fault::new(FaultKind::Conflict, said));
        }
        let spec = settings::complete_spec(&app)?;
        let latest = apps::secrets::latest(self.state, &key).await?;
        let version = i32::try_from(latest.version()).unwrap_or(i32::MAX);
        let pinned = deployments::pin(&self.state.db, deployment.job.id, version).await?;
        // A start that is asked for again brings what the first one would have brought.
        let set = match pinned == version {
            true => latest,
            false => apps::secrets::at(self.state, &key, u32::try_from(pinned).unwrap_or_default()).await?,
        };
        Ok(Sent::Start(Box::new(request::start(deployment, spec, &set))))
    }

    /// For the history. The host knows best: it may have gone back while the controller was away.
    async fn note_what_is_live(&self, deployment: &Deployment) -> db::Result<()> {
        let Some(there) = ask(&self.host, &deployment.app_key).await else { return Ok(()) };
        let Some(live) = there.releases.iter().find(|release| release.live) else { return Ok(()) };
        deployments::from(&self.state.db, self.job.id, &live.id, &live.commit).await?;
        match self.job.kind() {
            JobKind::Apply => {
                deployments::told(
                    &self.state.db,
                    self.job.id,
                    &v1::Release { secrets_version: 0, ..live.clone() },
                )
                .await
            }
            _ => Ok(()),
        }
    }
}

/// What the host has of the app; none where it cannot say now.
async fn ask(host: &Host, key: &str) -> Option<AppOnHost> {
    apps::host::get(host, key)
        .await
        .inspect_err(
            |fault| tracing::debug!(host = %host.row.name, reason = %fault.message, "cannot look at an app"),
        )
        .ok()
}

/// Writes the end down; an app that was taken away is forgotten with it.
pub(super) async fn finish(state: &State, job: &Job, end: &v1::Job) -> db::Result<()> {
    note_release(state, job, &end.release).await?;
    let mut tx = state.db.begin().await?;
    let is_first = jobs::end(&mut *tx, job.id, end).await?;
    let removed = is_first && job.kind() == JobKind::Remove && end.state() == JobState::Succeeded;
    if removed {
        forget(&mut tx, job).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// The record is written with the removal, or neither is.
async fn forget(tx: &mut PgConnection, job: &Job) -> db::Result<()> {
    let Some(row) = db::apps::get(&mut *tx, &job.app).await? else { return Ok(()) };
    let intent = Intent {
        request_id: Uuid::now_v7(),
        actor: job.actor.clone(),
        user_id: Some(job.user_id).filter(|id| !id.is_nil()),
        source: Source::of_run(&job.source),
        address: None,
        method: "/hms.controller.v1.AppService/Remove".into(),
        host: job.host.clone(),
        target: job.app.clone(),
        params: json!({ "key": job.app, "deployment_id": job.id }),
    };
    db::audit::intent(&mut *tx, &intent).await?;
    db::apps::remove(&mut *tx, &job.app).await?;
    let changed = Changed::of(Some(&settings::told(&settings::of(&row))), None);
    db::audit::outcome_with(&mut *tx, intent.request_id, "ok", "", 0, Some(&changed)).await
}

/// Notes what the host tells of a release as soon as there is one: of a deployment that fails, nothing of it is left later.
pub(super) fn note_soon(state: &State, job: &Job, release: &str) {
    let (state, job, release) = (state.clone(), job.clone(), release.to_owned());
    tokio::spawn(async move {
        if let Err(error) = note_release(&state, &job, &release).await {
            tracing::debug!(%error, job = %job.id, "cannot note what was deployed");
        }
    });
}

/// What the commit was, and which secrets the release has.
async fn note_release(state: &State, job: &Job, release: &str) -> db::Result<()> {
    let known = state.fleet.host(&job.host).filter(|host| host.row.id == job.host_id);
    let Some(host) = known.filter(|_| !release.is_empty()) else { return Ok(()) };
    let Some(there) = ask(&host, &job.app).await else { return Ok(()) };
    match there.releases.iter().find(|known| known.id == release) {
        Some(release) => deployments::told(&state.db, job.id, release).await,
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use sqlx::PgPool;

    use super::*;
    use crate::jobs::tests::controller;

    type Test = anyhow::Result<()>;

    /// An app that is about to be gone from its host, and how that ended.
    async fn removal(state: &State) -> anyhow::Result<(Job, v1::Job)> {
        let app = db::apps::sample("cigar");
        db::apps::add(&mut *state.db.acquire().await?, &app).await?;
        let host = db::hosts::get_by_name(&state.db, &"web1".try_into()?).await?.unwrap();
        let wanted = deployments::NewDeployment {
            id: Uuid::now_v7(),
            app: "cigar".into(),
            kind: JobKind::Remove,
            host: (host.id, host.name),
            wanted: deployments::Wanted::default(),
            actor: "ada".into(),
            user_id: Uuid::from_u128(9),
            source: Source::Web,
        };
        deployments::begin(&state.db, &wanted).await?;
        let job = deployments::get(&state.db, wanted.id).await?.unwrap().job;
        Ok((job, v1::Job { state: JobState::Succeeded.into(), ..v1::Job::default() }))
    }

    /// Security case 114.
    #[sqlx::test(migrations = "../migrations")]
    async fn an_app_that_is_gone_from_its_host_is_forgotten_once_with_a_record(pool: PgPool) -> Test {
        let state = controller(&pool).await?;
        let (job, end) = removal(&state).await?;
        finish(&state, &job, &end).await?;
        finish(&state, &job, &end).await?;
        anyhow::ensure!(db::apps::get(&pool, "cigar").await?.is_none());
        let records = db::audit::recent(&pool, 9).await?;
        let [record] = records.as_slice() else { anyhow::bail!("{records:?}") };
        let about = (record.actor.as_str(), record.source.as_str(), record.target.as_str());
        anyhow::ensure!(about == ("ada", "web", "cigar") && record.outcome == "ok", "{record:?}");
        anyhow::ensure!(record.before.contains("git.example") && record.after == "null", "{record:?}");
        Ok(())
    }

    /// Security case 111.
    #[sqlx::test(migrations = "../migrations")]
    async fn an_app_is_not_forgotten_while_that_cannot_be_recorded(pool: PgPool) -> Test {
        let state = controller(&pool).await?;
        let (job, end) = removal(&state).await?;
        db::audit::refuse(&pool, "53100").await?;
        anyhow::ensure!(finish(&state, &job, &end).await.is_err());
        anyhow::ensure!(db::apps::get(&pool, "cigar").await?.is_some(), "it is there");
        db::audit::refuse(&pool, "").await?;
        finish(&state, &job, &end).await?;
        anyhow::ensure!(db::apps::get(&pool, "cigar").await?.is_none());
        Ok(())
    }
}
