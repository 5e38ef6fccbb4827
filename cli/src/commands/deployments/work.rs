//! One piece of work on an app: a deployment as the controller knows it, or a job as its host does.

use hms_proto::{
    controller::v1::{Deployment, GetDeploymentRequest},
    fault::Fault,
    host::v1::{GetJobRequest, Job, JobKind},
    names::JobId,
};

use crate::{
    connect::{Connection, Pace},
    failure::Result,
    output::escape::inline,
    session::Session,
};

/// One piece of work on an app.
pub(crate) struct Work {
    /// `None`: an agent was asked itself.
    deployment: Option<Deployment>,
    job: Job,
}

impl Work {
    /// As the controller knows it.
    pub(crate) fn of(deployment: Deployment) -> Self {
        let mut job = deployment.job.clone().unwrap_or_default();
        for (field, known) in [
            (&mut job.id, &deployment.id),
            (&mut job.app, &deployment.key),
            (&mut job.host, &deployment.host),
        ] {
            if field.is_empty() {
                field.clone_from(known);
            }
        }
        job.kind = deployment.kind;
        Self { deployment: Some(deployment), job }
    }

    /// As its host knows it.
    pub(crate) fn of_job(session: &Session, mut job: Job) -> Self {
        if job.host.is_empty() {
            job.host = session.global.direct.clone().unwrap_or_default();
        }
        Self { deployment: None, job }
    }

    /// Finds it where the connection goes.
    pub(super) async fn find(session: &Session, link: &Connection, id: &JobId) -> Result<Self> {
        let id = id.to_string();
        if !link.is_direct() {
            let mut deployments = link.deployments(None, Pace::Look);
            return Ok(Self::of(
                link.answer(Pace::Look, deployments.get(GetDeploymentRequest { id })).await?,
            ));
        }
        let job = link.answer(Pace::Look, link.host_jobs(None, Pace::Look).get(GetJobRequest { id })).await?;
        match job.kind() {
            JobKind::Script => {
                let what = format!("{} is a script", inline(&job.id));
                Err(Fault::invalid(what).hint("`hmsctl jobs` is for scripts").into())
            }
            _ => Ok(Self::of_job(session, job)),
        }
    }

    pub(crate) fn id(&self) -> &str {
        &self.job.id
    }

    pub(super) fn job(&self) -> &Job {
        &self.job
    }

    pub(super) fn deployment(&self) -> Option<&Deployment> {
        self.deployment.as_ref()
    }

    /// The same, with its job as it is now.
    pub(super) fn with(self, job: Job) -> Self {
        let host = self.job.host.clone();
        let job = Job { host, app: self.job.app.clone(), kind: self.job.kind, ..job };
        let deployment =
            self.deployment.map(|deployment| Deployment { job: Some(job.clone()), ..deployment });
        Self { deployment, job }
    }

    /// `the deployment of cigar`.
    pub(super) fn noun(&self) -> String {
        format!("the {} of {}", noun(self.job.kind()), inline(&self.job.app))
    }

    /// `deploying cigar on asterra`.
    pub(super) fn doing(&self) -> String {
        let doing = match self.job.kind() {
            JobKind::Deploy => "deploying",
            JobKind::Rollback => "going back with",
            JobKind::Apply => "applying settings of",
            JobKind::Remove => "removing",
            JobKind::Script => "running",
        };
        format!("{doing} {} on {}", inline(&self.job.app), inline(&self.job.host))
    }

    /// In the form that a program asked for.
    pub(super) fn data(&self, session: &Session) -> Result<bool> {
        match &self.deployment {
            Some(deployment) => session.out.data(deployment),
            None => session.out.data(&self.job),
        }
    }
}

pub(super) fn noun(kind: JobKind) -> &'static str {
    match kind {
        JobKind::Deploy => "deployment",
        JobKind::Rollback => "rollback",
        JobKind::Apply => "application of settings",
        JobKind::Remove => "removal",
        JobKind::Script => "script",
    }
}

/// A command of `hmsctl deployments`, as one would type it.
pub(super) fn command(session: &Session, verb: &str, id: &str) -> String {
    match &session.global.direct {
        Some(host) => format!("hmsctl --direct {} deployments {verb} {id}", inline(host)),
        None => format!("hmsctl deployments {verb} {id}"),
    }
}
