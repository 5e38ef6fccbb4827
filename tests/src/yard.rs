//! Apps that HMS sets up and deploys: what tests ask for, and what they look at afterwards.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use hms_proto::controller::v1::{
    AppSettings, DeployRequest, Deployment, GetDeploymentRequest, ReleasesRequest,
    app_service_client::AppServiceClient, deployment_service_client::DeploymentServiceClient,
    job_service_client::JobServiceClient, secret_service_client::SecretServiceClient,
};
use hms_proto::fault::Fault;
use hms_proto::host::v1::{AppOnHost, AppSpec, Gems, JobOutputRequest, JobState, JobStep, StepState};
use hms_proto::identity::Kind;
use reqwest::StatusCode;
use tokio::time::{Instant, sleep};
use tonic::transport::Channel;
use uuid::Uuid;

use crate::people::{Party, log_in_as_admin};
use crate::repository::Repository;
use crate::testbed::{Host, Testbed};
use crate::visitor::{Answer, Load, Visiting};
use crate::world::{Plan, World};

/// From the first step to the last, on a busy machine.
const DEPLOYMENT_LIMIT: Duration = Duration::from_secs(240);

/// How often it is asked what became of a deployment; each time costs the controller something.
const GLANCE: Duration = Duration::from_millis(100);

/// Visitors wait while an app restarts, and longer on a busy machine; nginx gives up after a minute.
const VISIT_LIMIT: Duration = Duration::from_secs(65);

/// An installation without an app yet, and an administrator's clients.
pub struct Yard {
    world: World,
    host: String,
    admin: Party,
    channel: Channel,
    web: reqwest::Client,
}

impl Yard {
    /// One host, `asterra`, with controller and agent.
    pub async fn new() -> Result<Self> {
        let plan = Plan::new().host("asterra", &[]);
        Self::on(World::start(&Testbed::new().await?, &plan, &|_| {}).await?, "asterra").await
    }

    /// Two hosts; apps are on `borealis`, and the controller is on the other one.
    pub async fn apart() -> Result<Self> {
        let plan = Plan::new().host("asterra", &[]).host("borealis", &[]);
        Self::on(World::start(&Testbed::new().await?, &plan, &|_| {}).await?, "borealis").await
    }

    /// Any world. Its hosts get ready for apps with databases; this is the one that apps are on.
    pub async fn on(world: World, host: &str) -> Result<Self> {
        let admin = log_in_as_admin(&world).await?;
        let channel = admin.channel(&world.grpc(), Kind::Controller)?;
        let web = reqwest::Client::builder().pool_max_idle_per_host(0).timeout(VISIT_LIMIT);
        // The controller's has its database, and all have nginx.
        for host in world.hosts().iter().skip(1) {
            host.run(&["systemctl", "enable", "--now", "postgresql.service"]).await?;
        }
        world.wait_until_agents_are_connected().await?;
        world.host(host)?;
        Ok(Self { world, host: host.to_owned(), admin, channel, web: web.build()? })
    }

    /// The installation.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Gives the installation back.
    #[must_use]
    pub fn into_world(self) -> World {
        self.world
    }

    /// The administrator.
    #[must_use]
    pub fn admin(&self) -> &Party {
        &self.admin
    }

    /// The host that apps are on.
    #[must_use]
    pub fn host(&self) -> &Host {
        self.world.host(&self.host).unwrap_or_else(|_| self.world.controller_host())
    }

    /// Apps and their settings.
    #[must_use]
    pub fn apps(&self) -> AppServiceClient<Channel> {
        AppServiceClient::new(self.channel.clone())
    }

    /// Deployments.
    #[must_use]
    pub fn deployments(&self) -> DeploymentServiceClient<Channel> {
        DeploymentServiceClient::new(self.channel.clone())
    }

    /// Secrets.
    #[must_use]
    pub fn secrets(&self) -> SecretServiceClient<Channel> {
        SecretServiceClient::new(self.channel.clone())
    }

    /// Jobs and their output.
    #[must_use]
    pub fn jobs(&self) -> JobServiceClient<Channel> {
        JobServiceClient::new(self.channel.clone())
    }

    /// Makes a repository with one of the apps in tests/rails, and tells HMS of it. Nothing is deployed.
    pub async fn add(&self, key: &str, app: &str, edit: impl FnOnce(&mut AppSpec)) -> Result<Repository> {
        let repository = Repository::of_app(self.host(), key, app).await?;
        let mut spec = spec(key, app, &repository.url());
        edit(&mut spec);
        self.apps().add(settings(key, self.host().name(), spec)).await?;
        Ok(repository)
    }

    /// Changes the specification of an app.
    pub async fn edit(&self, key: &str, edit: impl FnOnce(&mut AppSpec)) -> Result<()> {
        let request = hms_proto::controller::v1::GetAppRequest { key: key.into() };
        let mut settings = self.apps().get_settings(request).await?.into_inner();
        edit(settings.spec.get_or_insert_default());
        self.apps().edit(settings).await?;
        Ok(())
    }

    /// Begins a deployment.
    pub async fn begin(&self, request: DeployRequest) -> Result<Deployment, Fault> {
        let answer =
            self.deployments().deploy(request).await.map_err(|status| Fault::from_status(&status))?;
        Ok(answer.into_inner())
    }

    /// Deploys what the app's branch points at, and waits for the end, good or bad.
    pub async fn deploy(&self, key: &str) -> Result<Deployment> {
        let begun = self.begin(DeployRequest { key: key.into(), ..DeployRequest::default() }).await?;
        self.end(&begun.id).await
    }

    /// Deploys, which must succeed.
    pub async fn deploy_well(&self, key: &str) -> Result<Deployment> {
        let deployment = self.deploy(key).await?;
        self.must_be(&deployment, JobState::Succeeded).await?;
        Ok(deployment)
    }

    /// A deployment as it is now.
    pub async fn get(&self, id: &str) -> Result<Deployment> {
        Ok(self.deployments().get(GetDeploymentRequest { id: id.into() }).await?.into_inner())
    }

    /// Waits until a deployment has ended; the controller may be away meanwhile.
    pub async fn end(&self, id: &str) -> Result<Deployment> {
        let is_over = |deployment: &Deployment| deployment.job.as_ref().is_some_and(|job| job.ended_usec > 0);
        self.until(id, is_over).await
    }

    /// Waits until a step of a deployment runs, or is over.
    pub async fn reach(&self, id: &str, name: &str) -> Result<Deployment> {
        let begun = |step: &JobStep| step.name == name && step.state() != StepState::Waiting;
        let is_there = |deployment: &Deployment| {
            deployment.job.as_ref().is_some_and(|job| job.ended_usec > 0 || job.steps.iter().any(begun))
        };
        self.until(id, is_there).await
    }

    async fn until(&self, id: &str, fits: impl Fn(&Deployment) -> bool) -> Result<Deployment> {
        let deadline = Instant::now() + DEPLOYMENT_LIMIT;
        loop {
            let now = self.get(id).await;
            if let Ok(deployment) = &now
                && fits(deployment)
            {
                return now;
            }
            if Instant::now() > deadline {
                bail!("not in time: {now:?}\n{}", self.output(id).await.unwrap_or_default());
            }
            sleep(GLANCE).await;
        }
    }

    /// Fails, with all that is known, unless the deployment ended so.
    pub async fn must_be(&self, deployment: &Deployment, state: JobState) -> Result<()> {
        let job = deployment.job.as_ref().context("a deployment without a job")?;
        if job.state() != state {
            let output = self.output(&deployment.id).await.unwrap_or_default();
            bail!(
                "it ended as {:?}, not {state:?}: {}\n{}\n{output}",
                job.state(),
                job.reason,
                steps(&job.steps)
            );
        }
        Ok(())
    }

    /// All output of a deployment.
    pub async fn output(&self, id: &str) -> Result<String> {
        let request = JobOutputRequest { id: id.into(), ..JobOutputRequest::default() };
        let mut stream = self.jobs().output(request).await?.into_inner();
        let mut output = Vec::new();
        while let Some(piece) = stream.message().await? {
            output.extend(piece.data);
        }
        Ok(String::from_utf8_lossy(&output).into_owned())
    }

    /// What the app's host has of it.
    pub async fn on_host(&self, key: &str) -> Result<AppOnHost> {
        Ok(self.deployments().releases(ReleasesRequest { key: key.into() }).await?.into_inner())
    }

    /// The release that is live, as its host says it.
    pub async fn live_release(&self, key: &str) -> Result<String> {
        let link =
            self.host().run(&["readlink", "--canonicalize-existing", &format!("/srv/{key}/current")]).await?;
        Ok(link.trim().rsplit('/').next().unwrap_or_default().to_owned())
    }

    /// Asks the app for a page, through nginx.
    pub async fn ask(&self, key: &str, path: &str) -> Result<(StatusCode, String)> {
        let url = format!("http://{}{path}", self.host().address());
        let answer = self.web.get(url).header("Host", format!("{key}.test")).send().await?;
        Ok((answer.status(), answer.text().await?))
    }

    /// Which code answers.
    pub async fn answer(&self, key: &str) -> Result<Answer> {
        let (status, body) = self.ask(key, "/version").await?;
        ensure!(status == StatusCode::OK, "{status}: {body}");
        Answer::read(&body)
    }

    /// Asks the app over and over, each time on a new connection, until somebody wants to know.
    #[must_use]
    pub fn load(&self, key: &str) -> Load {
        self.visit(key, Visiting::Densely)
    }

    /// Like [`load`](Self::load), with fewer visits: each costs what a request to Rails costs.
    #[must_use]
    pub fn trickle(&self, key: &str) -> Load {
        self.visit(key, Visiting::Sparsely)
    }

    fn visit(&self, key: &str, visiting: Visiting) -> Load {
        let url = format!("http://{}/version", self.host().address());
        Load::start(self.web.clone(), url, format!("{key}.test"), visiting)
    }
}

/// What an app from tests/rails needs on a test host.
#[must_use]
pub fn spec(key: &str, app: &str, git_url: &str) -> AppSpec {
    let has_assets = app == "cigar";
    AppSpec {
        key: key.into(),
        git_url: git_url.into(),
        gems: Gems::System.into(),
        threads_min: 1,
        threads_max: 3,
        health_timeout_s: 60,
        asset_tasks: if has_assets { vec!["assets:precompile".into()] } else { Vec::new() },
        release_tasks: vec!["db:migrate".into()],
        database_name: key.replace('-', "_"),
        ..AppSpec::default()
    }
}

/// The settings of an app that answers to `KEY.test`.
#[must_use]
pub fn settings(key: &str, host: &str, spec: AppSpec) -> AppSettings {
    AppSettings {
        key: key.into(),
        host: host.into(),
        subdomain: key.into(),
        domain: "test".into(),
        spec: Some(spec),
        enabled: true,
        ..AppSettings::default()
    }
}

/// A new id for a deployment.
#[must_use]
pub fn new_id() -> String {
    Uuid::now_v7().to_string()
}

/// Steps for a person who looks at a test that failed.
#[must_use]
pub fn steps(steps: &[JobStep]) -> String {
    let line = |step: &JobStep| {
        let ms = (step.ended_usec - step.started_usec).max(0) / 1000;
        format!("{:<9} {:?} {ms} ms  {}", step.name, step.state(), step.detail)
    };
    steps.iter().map(line).collect::<Vec<_>>().join("\n")
}
