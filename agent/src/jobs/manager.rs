//! Looks at the jobs of this host, decides what became of those that nobody wrote the end of, and ends them.

use std::{
    collections::HashSet,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hms_proto::{
    fault::{Fault, FaultKind},
    host::v1::{Job, JobKind, JobState},
    names::JobId,
};

use super::{
    record::{Entry, Store},
    retention, verdict,
};
use crate::{
    blocking, internal, now_usec,
    scripts::Scripts,
    systemd::{Bus, transient},
};

const HOUSEKEEPING: Duration = Duration::from_secs(3600);

/// The jobs of this host.
#[derive(Debug)]
pub(crate) struct Jobs {
    pub(super) host: String,
    pub(super) state: PathBuf,
    pub(super) store: Store,
    pub(super) bus: Arc<Bus>,
    pub(super) scripts: Arc<Scripts>,
    /// One job starts at a time: whether it may depends on those that run.
    pub(super) turn: tokio::sync::Mutex<()>,
    /// Written down, but perhaps not known to systemd yet.
    starting: Mutex<HashSet<JobId>>,
}

/// Says that a job is being started, until it is dropped.
pub(super) struct Starting<'a> {
    jobs: &'a Jobs,
    id: JobId,
}

impl Drop for Starting<'_> {
    fn drop(&mut self) {
        self.jobs.starting.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

impl Jobs {
    /// The jobs below this state folder.
    pub(crate) fn open(host: String, state: &Path, bus: Arc<Bus>, scripts: Arc<Scripts>) -> io::Result<Self> {
        let store = Store::new(state);
        store.prepare()?;
        let (turn, starting) = (tokio::sync::Mutex::default(), Mutex::default());
        Ok(Self { host, state: state.to_owned(), store, bus, scripts, turn, starting })
    }

    /// Decides at once about jobs that ended while no agent was there, and each hour which ones are forgotten.
    pub(crate) async fn keep_house(self: Arc<Self>) {
        loop {
            if let Err(fault) = self.tidy_up().await {
                tracing::warn!(reason = fault.message, "cannot look after jobs");
            }
            tokio::time::sleep(HOUSEKEEPING).await;
        }
    }

    async fn tidy_up(&self) -> Result<(), Fault> {
        self.running().await?;
        let store = self.store.clone();
        let removed = blocking(move || retention::remove_surplus(&store, now_usec()).map_err(broken)).await?;
        if removed > 0 {
            tracing::info!(removed, "forgot old jobs");
        }
        Ok(())
    }

    /// Says that this job is being started.
    pub(super) fn starting(&self, id: &JobId) -> Starting<'_> {
        self.starting.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone());
        Starting { jobs: self, id: id.clone() }
    }

    /// A job as it is now.
    pub(crate) async fn get(&self, id: &JobId) -> Result<Job, Fault> {
        let entry = self.find(id).await?;
        let entry = entry.ok_or_else(|| {
            Fault::not_found("job", id.as_str())
                .hint("This host may have forgotten it: ended jobs are kept for 14 days.")
        })?;
        Ok(entry.job())
    }

    /// A job that may not be there.
    pub(super) async fn find(&self, id: &JobId) -> Result<Option<Entry>, Fault> {
        let Some(entry) = self.read(id).await? else { return Ok(None) };
        self.settle(vec![entry]).await.map(|mut entries| entries.pop())
    }

    pub(super) async fn read(&self, id: &JobId) -> Result<Option<Entry>, Fault> {
        let (store, id) = (self.store.clone(), id.clone());
        blocking(move || store.read(&id).map_err(broken)).await
    }

    /// So many jobs, newest first.
    pub(crate) async fn list(&self, most: usize) -> Result<Vec<Job>, Fault> {
        let store = self.store.clone();
        let read = move || {
            let ids = store.ids().map_err(broken)?;
            Ok(ids.iter().filter_map(|id| store.read_or_warn(id)).take(most).collect())
        };
        let entries = self.settle(blocking(read).await?).await?;
        Ok(entries.iter().map(Entry::job).collect())
    }

    /// The jobs that run now, newest first.
    pub(crate) async fn running(&self) -> Result<Vec<Entry>, Fault> {
        let store = self.store.clone();
        let open = blocking(move || store.open_jobs().map_err(broken)).await?;
        let entries = self.settle(open).await?;
        Ok(entries.into_iter().filter(|entry| entry.ended.is_none()).collect())
    }

    /// Writes down what became of jobs that have no end yet and are over.
    async fn settle(&self, entries: Vec<Entry>) -> Result<Vec<Entry>, Fault> {
        let open = |entry: &&Entry| entry.ended.is_none() && entry.notes.over.is_none();
        let units: Vec<_> = entries.iter().filter(open).map(Entry::unit).collect();
        let alive = match units.is_empty() {
            true => HashSet::new(),
            false => transient::alive(&*self.bus.session().await?, units).await?,
        };
        let mut settled = Vec::with_capacity(entries.len());
        for entry in entries {
            let goes_on = open(&&entry) && (alive.contains(&entry.unit()) || self.is_starting(&entry));
            if entry.ended.is_some() || goes_on || self.resume(&entry).await? {
                settled.push(entry);
                continue;
            }
            let store = self.store.clone();
            settled.push(blocking(move || settle_one(&store, entry).map_err(broken)).await?);
        }
        Ok(settled)
    }

    fn is_starting(&self, entry: &Entry) -> bool {
        let starting = self.starting.lock().unwrap_or_else(PoisonError::into_inner);
        starting.iter().any(|id| id.as_str() == entry.record.job.id)
    }

    /// Ends a job with everything in it. Returns when nothing of it is left.
    pub(crate) async fn cancel(&self, id: &JobId, actor: &str) -> Result<Job, Fault> {
        let job = self.get(id).await?;
        if job.state() != JobState::Running {
            return Ok(job);
        }
        let (store, marked, actor) = (self.store.clone(), id.clone(), actor.to_owned());
        // First, so that whoever looks at the end knows.
        blocking(move || store.cancel(&marked, &actor).map_err(broken)).await?;
        let session = self.bus.session().await?;
        let limit = if job.kind() == JobKind::Script { transient::STOP } else { transient::STOP_LONG };
        transient::stop(&session, &id.unit(), limit).await?;
        let job = self.get(id).await?;
        if job.state() == JobState::Running {
            return Err(Fault::new(
                FaultKind::Unknown,
                format!("the job {id} was told to end, and has not yet"),
            )
            .hint("Look at the job again in a moment."));
        }
        Ok(job)
    }
}

/// Decides about a job whose unit is gone, and writes that down: from then on there is one answer.
fn settle_one(store: &Store, entry: Entry) -> io::Result<Entry> {
    let id = JobId::try_from(entry.record.job.id.as_str()).map_err(io::Error::other)?;
    // Read again: the end is noted before the unit is gone, but perhaps after it was read.
    let entry = store.read(&id)?.unwrap_or(entry);
    if entry.ended.is_some() {
        return Ok(entry);
    }
    let job = match &entry.notes.over {
        Some(over) if entry.is_of_app() => {
            verdict::app_ended(&entry, over, store.canceled_by(&id)?.is_some())
        }
        Some(over) => verdict::ended(&entry, over, store.canceled_by(&id)?.as_deref()),
        None => verdict::lost(&entry, &boot_id()?, now_usec()),
    };
    if job.state() == JobState::Lost {
        tracing::warn!(%id, reason = job.reason, "a job was lost");
    }
    if let Err(error) = store.end(&id, &job) {
        tracing::warn!(%error, %id, "cannot write down how a job ended");
        return Ok(Entry { ended: Some(job), ..entry });
    }
    Ok(store.read(&id)?.unwrap_or(entry))
}

/// Names the boot that this is.
pub(crate) fn boot_id() -> io::Result<String> {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned())
}

/// A fault of the place where jobs are kept.
pub(super) fn broken(error: io::Error) -> Fault {
    internal(format!("cannot use the folder with the jobs: {error}"))
}
