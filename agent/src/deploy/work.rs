//! One job's work on an app: what it knows, and the steps one after the other. It only goes forward: when a step fails, or the
//! process is killed, what there is to put back is put back by `recover`, which systemd runs when the process is gone.

use std::{fs::File, io::Read as _, os::fd::OwnedFd, path::Path, sync::Arc, time::Duration};

use hms_proto::{
    fault::{Fault, FaultKind},
    host::v1::JobKind,
    names::{JobId, ReleaseId},
};
use rustix::fs::{FlockOperation, Mode, OFlags, ResolveFlags};
use tokio_util::sync::CancellationToken;

use super::{
    fail,
    journal::{Journal, Line},
    output::Output,
    releases::{self, Record},
    request::Request,
    restart::{self, Choice, Need, Restart},
    sandbox::Confined,
    steps::{self, Done, Step, Steps},
};
use crate::{
    apps::{self, App, Facts, Files, Item, installed},
    internal,
    jobs::Store,
    nginx::Nginx,
    systemd::{Bus, Session},
};

/// Gemfile.lock, and what else of a release is read as a whole.
const FILE_MOST: u64 = 4 * 1024 * 1024;

/// The work, as far as it has come.
pub(super) struct Work {
    pub(super) id: JobId,
    pub(super) request: Request,
    pub(super) app: App,
    pub(super) bus: Arc<Bus>,
    pub(super) session: Arc<Session>,
    pub(super) store: Store,
    pub(super) steps: Steps,
    pub(super) output: Output,
    pub(super) journal: Journal,
    pub(super) facts: Facts,
    /// The variables of the app that are secret.
    pub(super) secrets: Vec<(String, String)>,
    /// All releases that the host had when this began.
    pub(super) records: Vec<Record>,
    /// The one that was live.
    pub(super) live: Option<Record>,
    /// The one that will be.
    pub(super) target: Option<Record>,
    /// How the app is restarted.
    pub(super) choice: Option<Choice>,
    /// Nobody else works on this app.
    _lock: File,
}

/// What belongs to a job, and can be had without changing anything.
pub(super) struct Opened {
    pub(super) id: JobId,
    pub(super) request: Request,
    pub(super) app: App,
    pub(super) bus: Arc<Bus>,
    pub(super) session: Arc<Session>,
    pub(super) store: Store,
    pub(super) steps: Steps,
    pub(super) output: Output,
    pub(super) lock: File,
}

impl Opened {
    /// Reads what was asked for, and takes the app's lock.
    pub(super) async fn open(id: &str, state: &Path) -> Result<Self, Fault> {
        let id = JobId::try_from(id)?;
        let store = Store::new(state);
        let broken = |e: std::io::Error| internal(format!("cannot read what is to be done: {e}"));
        let text = store.request(&id).map_err(broken)?.unwrap_or_default();
        let request: Request = serde_json::from_slice(&text).map_err(|e| broken(e.into()))?;
        let app = App::new(request.spec.clone(), state)?;
        crate::files::make_folder(app.folder()).map_err(broken)?;
        let lock = lock(&app)?;
        let output = Output::of_job().map_err(broken)?;
        let steps = Steps::load(&store, &id, request.kind())?;
        let bus = Arc::new(Bus::default());
        let session = bus.session().await?;
        Ok(Self { id, request, app, bus, session, store, steps, output, lock })
    }
}

/// One process works on an app. The kernel forgets this when the process is gone.
fn lock(app: &App) -> Result<File, Fault> {
    let path = app.lock();
    let mut options = std::fs::OpenOptions::new();
    let file = crate::files::private_file(&path, options.create(true).truncate(false));
    let file = file.map_err(|e| internal(format!("cannot open `{}`: {e}", path.display())))?;
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
        Fault::new(FaultKind::Conflict, format!("another process works on `{}`", app.key()))
            .hint("`hmsctl apps show` says which job it is.")
    })?;
    Ok(file)
}

impl Work {
    /// Begins the work.
    pub(super) async fn begin(opened: Opened) -> Result<Self, Fault> {
        let Opened { id, request, app, bus, session, store, steps, output, lock } = opened;
        let broken = |e: std::io::Error| internal(format!("cannot write down what is done: {e}"));
        let journal = Journal::begin(app.folder(), id.as_str(), request.kind()).map_err(broken)?;
        let records = releases::all(&app)?;
        let live = releases::live(&app);
        let live = live.and_then(|id| records.iter().find(|r| r.release.id == id.as_str()).cloned());
        let target = match request.kind() {
            JobKind::Rollback => {
                Some(releases::target(&records, live_id(live.as_ref()).as_ref(), &request.release)?)
            }
            JobKind::Apply => live.clone(),
            _ => None,
        };
        let facts = Facts::of_host(&session).await?;
        let secrets = secrets()?;
        let work = Self {
            id,
            request,
            app,
            bus,
            session,
            store,
            steps,
            output,
            journal,
            facts,
            secrets,
            records,
            live,
            target,
            choice: None,
            _lock: lock,
        };
        Ok(work)
    }

    /// Does all steps, until one fails or somebody wants an end of it.
    pub(super) async fn run(&mut self, stop: &CancellationToken) -> Result<(), Fault> {
        for step in steps::of(self.request.kind()) {
            fail::point(&format!("before-{}", step.name()));
            self.output.say(&format!("== {}", step.name()));
            self.steps.begin(*step, &self.output);
            self.note(&Line::Step(step.name().to_owned()))?;
            let done = tokio::select! {
                // First: what is over is not stopped any more.
                biased;
                done = self.step(*step) => done?,
                () = stop.cancelled() => return Err(stopped()),
            };
            let (Done::Well(said) | Done::Skipped(said)) = &done;
            self.output.say(said);
            fail::point(&format!("during-{}", step.name()));
            self.note(&Line::Done(step.name().to_owned()))?;
            self.steps.end(*step, &done);
            fail::point(&format!("after-{}", step.name()));
        }
        Ok(())
    }

    async fn step(&mut self, step: Step) -> Result<Done, Fault> {
        match step {
            Step::Prepare => self.prepare().await,
            Step::Check => self.check().await,
            Step::Fetch => self.fetch().await,
            Step::Checkout => self.checkout().await,
            Step::Bundle => self.bundle().await,
            Step::Assets => self.assets().await,
            Step::Release => self.release_tasks().await,
            Step::Trial => self.trial().await,
            Step::Switch => self.switch().await,
            Step::Restart => self.restart().await,
            Step::Health => self.health().await,
            Step::Site if self.request.kind() == JobKind::Remove => self.remove_site().await,
            Step::Site => self.site().await,
            Step::Prune => self.prune().await,
            Step::Stop => self.stop().await,
            Step::Units => self.remove_units().await,
            Step::Data => self.remove_data().await,
        }
    }

    /// Whether somebody asked for an end of it.
    pub(super) fn is_canceled(&self) -> bool {
        self.store.canceled_by(&self.id).is_ok_and(|actor| actor.is_some())
    }

    /// Writes a line of the journal.
    pub(super) fn note(&mut self, line: &Line) -> Result<(), Fault> {
        self.journal.write(line).map_err(|e| {
            Fault::new(FaultKind::Failed, format!("what is done cannot be written down: {e}"))
                .hint("Free space below /var/lib/hms-agent.")
        })
    }

    /// The release that will be live.
    pub(super) fn target(&self) -> Result<&Record, Fault> {
        self.target.as_ref().ok_or_else(|| internal("there is no release to work on"))
    }

    /// The version of the secrets that will be delivered.
    pub(super) fn secrets_version(&self) -> u32 {
        match (self.request.kind(), &self.target) {
            (JobKind::Rollback, Some(target)) => target.release.secrets_version,
            _ => self.request.asked.secrets_version,
        }
    }

    /// The files that the target is to run with.
    pub(super) fn wanted_files(&self) -> Result<Files, Fault> {
        let target = self.target()?;
        if self.request.kind() == JobKind::Rollback {
            return Ok(target.files.clone());
        }
        let facts = Facts { notify: target.notify, ..self.facts.clone() };
        apps::files(&self.app, &facts, self.secrets_version())
    }

    /// What restarts the app.
    pub(super) fn restarter(&self) -> Restart<'_> {
        Restart { bus: &self.bus, session: &self.session, app: &self.app }
    }

    /// What a restart has to bring about, for the app to run with these files.
    pub(super) async fn need(&self, files: &Files) -> Result<Need, Fault> {
        need(&self.session, &self.app, self.live.as_ref(), self.target()?, files, self.secrets_version())
            .await
    }

    /// nginx, as changed by this job.
    pub(super) fn nginx(&self) -> Result<Nginx, Fault> {
        nginx(&self.bus, self.store.state())
    }

    /// A unit for a step, with what all of them have in common.
    pub(super) fn confined(&self, step: &str) -> Confined {
        let own = self.app.key();
        let others = App::all(self.store.state()).unwrap_or_default();
        let hidden = others.iter().filter(|other| other.key() != own).map(|other| other.spec().root.clone());
        Confined {
            unit: step_unit(&self.id, step),
            job: self.id.unit(),
            description: format!("HMS job {}, app {own}, {step}", self.id),
            user: self.app.user().to_owned(),
            folder: self.app.root(),
            root: self.app.root(),
            hidden: hidden.collect(),
            limit: Duration::from_secs(self.app.spec().timeout_s.into()),
            memory: self.app.spec().memory_max_bytes,
            ..Confined::default()
        }
    }

    /// A fault of a step, with the last words of what it ran.
    pub(super) fn with_last_words(&self, fault: Fault) -> Fault {
        match self.output.last_words() {
            words if words.is_empty() => fault,
            words => Fault { message: format!("{}\n{}", fault.message, words.join("\n")), ..fault },
        }
    }
}

/// The units of a job's steps begin with its name.
pub(super) fn step_unit(id: &JobId, step: &str) -> String {
    format!("hms-job-{id}-{step}.service")
}

/// Somebody wants an end of it; systemd knows why.
pub(super) fn stopped() -> Fault {
    Fault::new(FaultKind::Failed, "it was stopped")
}

/// nginx, for a process beside the agent.
pub(super) fn nginx(bus: &Arc<Bus>, state: &Path) -> Result<Nginx, Fault> {
    let own = crate::identity::load(state).ok().flatten().and_then(|identity| identity.check().ok());
    let own_name = own.map(|own| own.controller.host().to_owned()).unwrap_or_default();
    Nginx::beside(bus.clone(), state, own_name)
        .map_err(|e| internal(format!("cannot read what is known of nginx: {e}")))
}

/// What a restart has to bring about.
pub(super) async fn need(
    session: &Session,
    app: &App,
    live: Option<&Record>,
    target: &Record,
    files: &Files,
    secrets_version: u32,
) -> Result<Need, Fault> {
    let installed = installed::read(app)?;
    let service = restart::unit(session, &app.service()).await?;
    let socket = restart::unit(session, &app.socket_unit()).await?;
    let differs = |item: Item| installed.files.get(item) != files.get(item);
    let running = restart::running(session, app, &installed).await?.unwrap_or_default();
    let spec = app.spec();
    Ok(Need {
        is_running: restart::is_up(&service) && restart::is_up(&socket),
        is_cluster: spec.workers > 0,
        preloads: spec.preload,
        code: running.release != target.release.id,
        gems: live.is_none_or(|live| live.release.lockfile_sha256 != target.release.lockfile_sha256),
        service: differs(Item::Service),
        secrets: running.secrets_version != secrets_version
            || differs(Item::Secrets)
            || differs(Item::Environment),
        puma: differs(Item::Puma),
        socket: differs(Item::Socket),
    })
}

/// The id of a release.
pub(super) fn live_id(record: Option<&Record>) -> Option<ReleaseId> {
    record.and_then(|record| record.id().ok())
}

/// The secrets that systemd has opened for this process. None, where there are none.
fn secrets() -> Result<Vec<(String, String)>, Fault> {
    let folder = std::env::var_os("CREDENTIALS_DIRECTORY").map(std::path::PathBuf::from).unwrap_or_default();
    let path = folder.join(apps::secrets::CREDENTIAL);
    let read = crate::files::read_if_there(&path, 2 * 1024 * 1024);
    let bytes = read.map_err(|e| internal(format!("cannot read the secrets of the app: {e}")))?;
    apps::secrets::read(&bytes.unwrap_or_default())
}

/// The content of a file of a release; empty when there is none. It is the app's: no link is followed.
pub(super) fn read_in(release: &Path, path: &str) -> Result<Vec<u8>, Fault> {
    let read = || {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let root: OwnedFd = rustix::fs::open(release, flags, Mode::empty())?;
        let inside = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::openat2(&root, path, flags, Mode::empty(), inside) {
            Err(rustix::io::Errno::NOENT) => return Ok(Vec::new()),
            other => File::from(other?),
        };
        if !file.metadata()?.is_file() {
            return Err(std::io::Error::other("it is no file"));
        }
        let mut content = Vec::new();
        file.take(FILE_MOST).read_to_end(&mut content)?;
        Ok(content)
    };
    read().map_err(|e| Fault::new(FaultKind::Failed, format!("`{path}` of the release cannot be read: {e}")))
}
