//! AppService: parse, act, answer.

use std::{path::PathBuf, sync::Arc};

use hms_proto::{
    fault::{Fault, FaultKind},
    host::v1::{
        AppOnHost, AppPlan, GetAppRequest, Job, JobKind, PlanAppRequest, Release, RollbackAppRequest,
        StartAppRequest, app_service_server::AppService,
    },
    names::{AppKey, JobId},
};
use tonic::{Request as Asked, Response, Status};

use super::{
    git, planned, prepare,
    releases::{self, Record},
    request::{ENV, GIT_KEY, GIT_TOKEN, Request},
    restart, steps,
};
use crate::{
    access::Caller,
    apps::{App, Item, installed, plan, secrets},
    blocking,
    jobs::{AppWork, Jobs},
    systemd::{Bus, Session},
};

/// A key of RSA with 16,384 bits has 13 KiB.
const GIT_SECRET_MOST: usize = 64 * 1024;

/// The service.
#[derive(Debug)]
pub(crate) struct Apps {
    jobs: Arc<Jobs>,
    bus: Arc<Bus>,
    state: PathBuf,
}

impl Apps {
    /// Whose work is done by these jobs.
    pub(crate) fn new(jobs: Arc<Jobs>, bus: Arc<Bus>, state: PathBuf) -> Self {
        Self { jobs, bus, state }
    }

    async fn begin(&self, asked: StartAppRequest, actor: &str) -> Result<Job, Fault> {
        let id = JobId::try_from(asked.id.as_str())?;
        if !matches!(asked.kind(), JobKind::Deploy | JobKind::Apply | JobKind::Remove) {
            return Err(Fault::invalid("only to deploy, apply or remove an app can be asked for here"));
        }
        if let Some(known) = self.jobs.known(&id).await? {
            return Ok(known);
        }
        let spec = asked.spec.clone().ok_or_else(|| Fault::invalid("the app has no specification"))?;
        let app = App::new(spec, &self.state)?;
        let session = self.bus.session().await?;
        let sealed = sealed(&session, &app, &asked).await?;
        let request = Request {
            spec: app.spec().clone(),
            asked: without_secrets(asked),
            actor: actor.to_owned(),
            ..Request::default()
        };
        self.start(id, &app, request, sealed, None, actor).await
    }

    async fn back(&self, asked: RollbackAppRequest, actor: &str) -> Result<Job, Fault> {
        let id = JobId::try_from(asked.id.as_str())?;
        if let Some(known) = self.jobs.known(&id).await? {
            return Ok(known);
        }
        let app = self.known_app(&asked.key)?;
        let target = releases::target(&releases::all(&app)?, releases::live(&app).as_ref(), &asked.release)?;
        refuse_destructive(&app, &target, asked.accept_destructive)?;
        let mut request = Request {
            spec: target.spec.clone(),
            release: target.release.id.clone(),
            accept_destructive: asked.accept_destructive,
            actor: actor.to_owned(),
            asked: StartAppRequest {
                id: asked.id.clone(),
                restart: asked.restart,
                revert_drift: asked.revert_drift,
                secrets_version: target.release.secrets_version,
                ..StartAppRequest::default()
            },
        };
        request.asked.set_kind(JobKind::Rollback);
        self.start(id, &app, request, Vec::new(), Some(&target), actor).await
    }

    async fn start(
        &self,
        id: JobId,
        app: &App,
        request: Request,
        sealed: Vec<(String, Vec<u8>)>,
        target: Option<&Record>,
        actor: &str,
    ) -> Result<Job, Fault> {
        let text = serde_json::to_vec(&request);
        let text = text.map_err(|e| crate::internal(format!("cannot write down what is to be done: {e}")))?;
        let kind = request.kind();
        let release = target.map(|record| record.release.clone()).unwrap_or_default();
        let work = AppWork {
            id,
            kind,
            app: app.key().clone(),
            request: text,
            sealed,
            steps: steps::of(kind).iter().map(|step| step.name().to_owned()).collect(),
            release: release.id,
            commit: release.commit,
            timeout_s: request.spec.timeout_s,
        };
        self.jobs.start_app(work, actor).await
    }

    fn known_app(&self, key: &str) -> Result<App, Fault> {
        let key = AppKey::try_from(key)?;
        let app = App::load(&key, &self.state)?;
        app.ok_or_else(|| Fault::not_found("app", key.as_str()).hint("It was not deployed on this host."))
    }

    async fn look(&self, key: &str) -> Result<AppOnHost, Fault> {
        let key = AppKey::try_from(key)?;
        let work = self.jobs.on_app(&key).await?;
        let none = AppOnHost { key: key.to_string(), work: work.clone(), ..AppOnHost::default() };
        let Some(app) = App::load(&key, &self.state)? else { return Ok(none) };
        let noted = installed::read(&app)?;
        let session = self.bus.session().await?;
        let running = restart::running(&session, &app, &noted).await?;
        let delivered_secrets_version = noted.secrets_version;
        let is_installed = noted.files.get(Item::Service).is_some();
        let read = move || Ok((releases::all(&app)?, releases::live(&app), plan::drift(&app)?));
        let (records, live, drift) = blocking(read).await?;
        let live = live.map(|id| id.to_string()).unwrap_or_default();
        let release = |record: Record| Release { live: record.release.id == live, ..record.release };
        Ok(AppOnHost {
            key: key.to_string(),
            installed: is_installed,
            releases: records.into_iter().map(release).collect(),
            running_secrets_version: running.map_or(0, |running| running.secrets_version),
            delivered_secrets_version,
            work,
            drift,
        })
    }
}

/// A rollback that would be refused is refused at once.
fn refuse_destructive(app: &App, target: &Record, accept: bool) -> Result<(), Fault> {
    let ran = releases::unknown_to(target, &releases::migrated(app)?);
    let destructive: Vec<_> = ran.iter().filter(|m| m.is_destructive).map(|m| m.name.as_str()).collect();
    match destructive.is_empty() || accept {
        true => Ok(()),
        false => Err(prepare::destroyed(&target.release.id, &destructive)),
    }
}

/// The secrets of a request as the host keeps them: they are in plain text on no disk.
async fn sealed(
    session: &Session,
    app: &App,
    asked: &StartAppRequest,
) -> Result<Vec<(String, Vec<u8>)>, Fault> {
    let mut sealed = Vec::new();
    if asked.kind() == JobKind::Remove {
        return Ok(sealed);
    }
    if asked.secrets_version == 0 && !asked.secrets.is_empty() {
        return Err(Fault::invalid("the secrets have no version"));
    }
    if asked.secrets_version > 0 {
        let plain = secrets::environment(app, &asked.secrets)?;
        sealed.push((ENV.to_owned(), secrets::seal(session, secrets::CREDENTIAL, &plain).await?));
    }
    for (file, name, value) in
        [(GIT_KEY, git::KEY, &asked.git_private_key), (GIT_TOKEN, git::TOKEN, &asked.git_token)]
    {
        if value.is_empty() {
            continue;
        }
        if value.len() > GIT_SECRET_MOST || value.contains('\0') {
            return Err(Fault::invalid(format!("{name} is too long, or has a NUL in it")));
        }
        // ssh wants a key to end with the end of a line.
        let plain = format!("{}\n", value.trim_end_matches('\n'));
        sealed.push((file.to_owned(), secrets::seal(session, name, plain.as_bytes()).await?));
    }
    Ok(sealed)
}

fn without_secrets(asked: StartAppRequest) -> StartAppRequest {
    StartAppRequest {
        secrets: Vec::new(),
        git_private_key: String::new(),
        git_token: String::new(),
        spec: None,
        ..asked
    }
}

fn actor<T>(request: &Asked<T>) -> Result<String, Fault> {
    let caller = request.extensions().get::<Caller>();
    let unknown = || Fault::new(FaultKind::Internal, "the caller is not known");
    caller.map(|c| c.actor.clone()).ok_or_else(unknown)
}

#[tonic::async_trait]
impl AppService for Apps {
    async fn plan(&self, request: Asked<PlanAppRequest>) -> Result<Response<AppPlan>, Status> {
        Ok(Response::new(planned::plan(&self.bus, &self.state, request.into_inner()).await?))
    }

    async fn get(&self, request: Asked<GetAppRequest>) -> Result<Response<AppOnHost>, Status> {
        Ok(Response::new(self.look(&request.get_ref().key).await?))
    }

    async fn start(&self, request: Asked<StartAppRequest>) -> Result<Response<Job>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(self.begin(request.into_inner(), &actor).await?))
    }

    async fn rollback(&self, request: Asked<RollbackAppRequest>) -> Result<Response<Job>, Status> {
        let actor = actor(&request)?;
        Ok(Response::new(self.back(request.into_inner(), &actor).await?))
    }
}

#[cfg(test)]
mod tests {
    use hms_proto::host::v1::Secret;

    use super::*;

    /// Security case 78.
    #[test]
    fn what_is_written_down_of_a_request_holds_no_secret() {
        let asked = StartAppRequest {
            secrets: vec![Secret { name: "A".into(), value: "canary-1".into() }],
            git_private_key: "canary-2".into(),
            git_token: "canary-3".into(),
            commit: "kept".into(),
            ..StartAppRequest::default()
        };
        let text = serde_json::to_string(&without_secrets(asked)).unwrap();
        assert!(text.contains("kept") && !text.contains("canary"), "{text}");
    }
}
