//! A whole HMS: controller, agents and Rails apps, installed on real hosts as an administrator would.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use hms_tests::world::World;
//! let world = World::pair().await?;
//! let apps = world.hmsctl(&["apps", "-o", "json"]).await?;
//! let page = world.client()?.get(format!("{}/login", world.url())).send().await?;
//! # Ok(()) }
//! ```

mod agent;
mod client;
mod controller;
mod state;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use futures_util::future::try_join_all;
use tempfile::TempDir;

use crate::paths;
use crate::rails::RailsApp;
use crate::testbed::{Bind, Host, HostOptions, Testbed};

pub use client::Hmsctl;

/// The first account, made while the controller is installed.
pub const ADMIN: &str = "admin";

/// Where programs in a host leave their coverage, when it is measured.
const COVERAGE: &str = "/var/lib/hms-coverage";

/// Which hosts there are and which apps run on them; the first host also has the controller.
#[derive(Clone, Debug)]
pub struct Plan {
    hosts: Vec<(String, Vec<String>)>,
    state: Option<PathBuf>,
    binaries: PathBuf,
}

impl Plan {
    /// No hosts yet.
    #[must_use]
    pub fn new() -> Self {
        Self { hosts: Vec::new(), state: None, binaries: paths::binaries() }
    }

    /// Adds a host with these apps.
    #[must_use]
    pub fn host(mut self, name: &str, apps: &[&str]) -> Self {
        self.hosts.push((name.to_owned(), apps.iter().map(|app| (*app).to_owned()).collect()));
        self
    }

    /// Keeps what belongs to the world in this folder, so that the next start can go on with it.
    #[must_use]
    pub fn kept_in(mut self, folder: PathBuf) -> Self {
        self.state = Some(folder);
        self
    }

    /// Takes the programs from this folder.
    #[must_use]
    pub fn binaries(mut self, folder: PathBuf) -> Self {
        self.binaries = folder;
        self
    }
}

impl Default for Plan {
    fn default() -> Self {
        Self::new()
    }
}

/// A running HMS; dropping it takes its hosts down.
pub struct World {
    hosts: Vec<Arc<Host>>,
    apps: Vec<(Arc<Host>, RailsApp)>,
    password: String,
    binaries: PathBuf,
    folder: PathBuf,
    // Deleted with the world, when it is not kept.
    _temporary: Option<TempDir>,
}

impl World {
    /// One host, `asterra`, with controller, agent and the app `cigar`.
    pub async fn single() -> Result<Self> {
        Self::start(&Testbed::new().await?, &Plan::new().host("asterra", &["cigar"]), &|_| {}).await
    }

    /// Two hosts: `asterra` as in [`single`](Self::single), and `borealis` with an agent and `tobacco`.
    pub async fn pair() -> Result<Self> {
        let plan = Plan::new().host("asterra", &["cigar"]).host("borealis", &["tobacco"]);
        Self::start(&Testbed::new().await?, &plan, &|_| {}).await
    }

    /// Boots the hosts of a plan and installs everything, or goes on where a kept world stopped.
    pub async fn start(bed: &Testbed, plan: &Plan, report: &(dyn Fn(&str) + Sync)) -> Result<Self> {
        let (folder, temporary) = match &plan.state {
            Some(folder) => (folder.clone(), None),
            None => {
                let temporary = tempfile::tempdir()?;
                (temporary.path().to_path_buf(), Some(temporary))
            }
        };
        let fingerprint = state::fingerprint(bed, plan)?;
        let resumes = state::is_complete(&folder, &fingerprint);
        if !resumes && plan.state.is_some() {
            crate::testbed::remove_kept_disks()?;
        }
        std::fs::create_dir_all(&folder)?;
        report("booting hosts");
        let hosts = boot(bed, plan).await?;
        let mut world = Self {
            hosts,
            apps: Vec::new(),
            password: String::new(),
            binaries: plan.binaries.clone(),
            folder,
            _temporary: temporary,
        };
        if resumes {
            world.resume(plan, report).await?;
        } else {
            world.install(plan, report).await?;
            state::mark_complete(&world.folder, &fingerprint)?;
        }
        Ok(world)
    }

    /// What docs/install.md tells an administrator to do, step by step.
    async fn install(&mut self, plan: &Plan, report: &(dyn Fn(&str) + Sync)) -> Result<()> {
        report("installing the controller and the apps");
        let controller = async {
            controller::install(self.controller_host()).await?;
            controller::add_admin(self.controller_host()).await
        };
        let (password, apps) = tokio::try_join!(controller, install_apps(&self.hosts, plan))?;
        self.password = password;
        self.apps = apps;
        std::fs::write(self.password_file(), &self.password)?;
        self.wait_until_ready().await?;
        std::fs::write(self.ca_file(), controller::root_certificate(self.controller_host()).await?)?;
        report("joining the hosts");
        self.log_in().await?;
        for host in &self.hosts {
            agent::install(host).await?;
            let token = self.admin().join_token(host).await?;
            agent::join(host, self.controller_host(), &token).await?;
        }
        report("adding the apps");
        for (host, app) in &self.apps {
            self.admin().add_app(host, app).await?;
        }
        self.wait_until_agents_are_connected().await
    }

    /// The disks hold everything: the services have come up by themselves.
    async fn resume(&mut self, plan: &Plan, report: &(dyn Fn(&str) + Sync)) -> Result<()> {
        report("waiting for the services");
        self.password = std::fs::read_to_string(self.password_file())?;
        for (host, (_, keys)) in self.hosts.iter().zip(&plan.hosts) {
            for key in keys {
                let app = RailsApp::known(key);
                app.wait_until_up(host).await?;
                self.apps.push((host.clone(), app));
            }
        }
        self.wait_until_ready().await?;
        self.log_in().await?;
        self.wait_until_agents_are_connected().await
    }

    /// Delivers the scripts of this repository to all hosts; tests that need other ones deliver those.
    pub async fn sync_scripts(&self) -> Result<()> {
        let folder = paths::repository().join("remote_cli_tools");
        self.admin().run(&["scripts", "sync", &folder.to_string_lossy(), "--yes"]).await?;
        Ok(())
    }

    /// The host with the controller on it.
    #[must_use]
    pub fn controller_host(&self) -> &Host {
        &self.hosts[0]
    }

    /// All hosts, the controller's first.
    #[must_use]
    pub fn hosts(&self) -> &[Arc<Host>] {
        &self.hosts
    }

    /// A host by its name.
    pub fn host(&self, name: &str) -> Result<&Host> {
        let found = self.hosts.iter().find(|host| host.name() == name);
        found.map(Arc::as_ref).with_context(|| format!("there is no host {name}"))
    }

    /// All apps, each with the host it runs on.
    pub fn apps(&self) -> impl Iterator<Item = (&Host, &RailsApp)> {
        self.apps.iter().map(|(host, app)| (host.as_ref(), app))
    }

    /// An app by its key, with the host it runs on.
    pub fn app(&self, key: &str) -> Result<(&Host, &RailsApp)> {
        let found = self.apps.iter().find(|(_, app)| app.key() == key);
        found.map(|(host, app)| (host.as_ref(), app)).with_context(|| format!("there is no app {key}"))
    }

    /// Where the web interface and the REST interface are.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}:8443", self.controller_host().address())
    }

    /// Where the controller speaks gRPC.
    #[must_use]
    pub fn grpc(&self) -> String {
        format!("https://{}:9443", self.controller_host().address())
    }

    /// The password of [`ADMIN`].
    #[must_use]
    pub fn password(&self) -> &str {
        &self.password
    }

    /// The root certificate of this installation.
    #[must_use]
    pub fn ca_file(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// A file with the password of [`ADMIN`], for `hmsctl login --password-file`.
    #[must_use]
    pub fn password_file(&self) -> PathBuf {
        self.folder.join("password")
    }

    /// The folder with everything that belongs to this world.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Shuts all hosts down in order, so that kept disks can be started from again.
    pub async fn shut_down(self) -> Result<()> {
        try_join_all(self.hosts.iter().map(|host| host.shut_down())).await?;
        Ok(())
    }

    /// Leaves the hosts running when this process ends.
    pub fn detach(self) {
        // Not dropped: neither the hosts nor what they share is taken down.
        std::mem::forget(self);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for host in self.hosts.iter().filter(|host| host.is_up()) {
            if std::env::var_os("HMS_COVERAGE_DIR").is_some() {
                // Programs report coverage when they end in order.
                host.run_blocking(&["systemctl", "stop", "hms-agent.service", "hms-controller.service"]).ok();
            }
            // A test runner shows this only for a test that failed.
            if std::thread::current().name().is_some_and(|name| name != "main") {
                let log =
                    ["journalctl", "--no-pager", "--unit=hms-*", "--lines=80", "--output=short-precise"];
                eprintln!("--- {}\n{}", host.name(), host.run_blocking(&log).unwrap_or_default());
            }
        }
    }
}

async fn boot(bed: &Testbed, plan: &Plan) -> Result<Vec<Arc<Host>>> {
    let mut starts = Vec::new();
    for (index, (name, _)) in plan.hosts.iter().enumerate() {
        let programs: &[&str] = match index {
            0 => &["hms-controller", "hms-agent", "hms-exec", "hmsctl", "hms-dev"],
            _ => &["hms-agent", "hms-exec", "hmsctl", "hms-dev"],
        };
        let mut binds: Vec<Bind> = programs
            .iter()
            .filter(|program| **program != "hms-dev" || plan.state.is_some())
            .map(|program| Bind::read_only(plan.binaries.join(program), format!("/usr/bin/{program}")))
            .collect();
        if let Some(folder) = std::env::var_os("HMS_COVERAGE_DIR") {
            binds.push(Bind::writable(folder, COVERAGE));
        }
        starts.push(bed.boot_with(name, HostOptions { binds }));
    }
    Ok(try_join_all(starts).await?.into_iter().map(Arc::new).collect())
}

async fn install_apps(hosts: &[Arc<Host>], plan: &Plan) -> Result<Vec<(Arc<Host>, RailsApp)>> {
    let installs = hosts.iter().zip(&plan.hosts).map(|(host, (_, keys))| async move {
        let mut apps = Vec::new();
        for key in keys {
            apps.push((host.clone(), RailsApp::install(host, key).await?));
        }
        anyhow::Ok(apps)
    });
    Ok(try_join_all(installs).await?.into_iter().flatten().collect())
}

/// Makes a service of ours report coverage, when it is measured.
async fn measure_coverage(host: &Host, unit: &str) -> Result<()> {
    if std::env::var_os("HMS_COVERAGE_DIR").is_none() {
        return Ok(());
    }
    let id = uuid::Uuid::new_v4().simple();
    // `%%` is systemd's `%`: a service that is restarted adds to what it reported before.
    let drop_in = format!(
        "[Service]\nEnvironment=LLVM_PROFILE_FILE={COVERAGE}/{}-{id}-%%8m.profraw\nReadWritePaths={COVERAGE}\n",
        host.name()
    );
    host.write_file(format!("/etc/systemd/system/{unit}.d/90-coverage.conf"), drop_in).await
}
