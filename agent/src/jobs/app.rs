//! Work on an app as a job: written down, started, and taken up again when the host lost its power in the middle of it.

use hms_proto::{
    fault::{Fault, FaultKind},
    host::v1::{Job, JobKind, JobState, JobStep},
    names::{AppKey, JobId},
};

use super::{
    Jobs, app_unit,
    manager::{boot_id, broken},
    record::{Entry, REQUEST, Record},
    start,
};
use crate::{blocking, internal, now_usec, systemd::transient};

/// Memory for the job's own process; its steps have units of their own.
const MEMORY: u64 = 512 * 1024 * 1024;

/// What is to be done for an app. Nothing in it is a secret in plain text.
#[derive(Debug)]
pub(crate) struct AppWork {
    /// The job.
    pub(crate) id: JobId,
    /// What kind of work it is.
    pub(crate) kind: JobKind,
    /// The app.
    pub(crate) app: AppKey,
    /// What the job's process is told.
    pub(crate) request: Vec<u8>,
    /// Files for its start: their names end with [`SEALED`](super::SEALED).
    pub(crate) sealed: Vec<(String, Vec<u8>)>,
    /// The steps that it will have.
    pub(crate) steps: Vec<String>,
    /// The release to go back to.
    pub(crate) release: String,
    /// Its commit.
    pub(crate) commit: String,
    /// Seconds that it may take.
    pub(crate) timeout_s: u32,
}

impl Jobs {
    /// A job with this id, if there is one.
    pub(crate) async fn known(&self, id: &JobId) -> Result<Option<Job>, Fault> {
        Ok(self.find(id).await?.map(|entry| entry.job()))
    }

    /// The job that works on an app now.
    pub(crate) async fn on_app(&self, app: &AppKey) -> Result<Option<Job>, Fault> {
        let running = self.running().await?;
        Ok(running.iter().find(|entry| entry.record.job.app == app.as_str()).map(Entry::job))
    }

    /// Starts work on an app, unless the job is known already. One job works on an app at a time.
    pub(crate) async fn start_app(&self, work: AppWork, actor: &str) -> Result<Job, Fault> {
        let _turn = self.turn.lock().await;
        if let Some(known) = self.known(&work.id).await? {
            return Ok(known);
        }
        let session = self.bus.session().await?;
        let running = self.running().await?;
        start::not_too_many(&running)?;
        is_free(&work.app, &running)?;
        let record = self.record_of(&work, actor)?;
        let starting = self.starting(&work.id);
        let (store, id) = (self.store.clone(), work.id.clone());
        let properties = blocking(move || {
            start::room(store.free().map_err(broken)?)?;
            let sealed = work.sealed.iter().map(|(name, content)| (name.as_str(), content.as_slice()));
            let own: Vec<_> = std::iter::once((REQUEST, work.request.as_slice())).chain(sealed).collect();
            store.create(&work.id, &record, &own).map_err(broken)?;
            Ok(app_unit::properties(&store, &work.id, &record))
        });
        let properties = properties.await?;
        self.launch(&session, &id, properties).await?;
        drop(starting);
        self.get(&id).await
    }

    fn record_of(&self, work: &AppWork, actor: &str) -> Result<Record, Fault> {
        let step = |name: &String| JobStep { name: name.clone(), ..JobStep::default() };
        let job = Job {
            id: work.id.to_string(),
            state: JobState::Running.into(),
            kind: work.kind.into(),
            app: work.app.to_string(),
            release: work.release.clone(),
            commit: work.commit.clone(),
            steps: work.steps.iter().map(step).collect(),
            host: self.host.clone(),
            actor: actor.to_owned(),
            created_usec: now_usec(),
            ..Job::default()
        };
        let boot_id = boot_id().map_err(broken)?;
        Ok(Record { job, boot_id, mutates: true, timeout_s: work.timeout_s, memory_limit: MEMORY })
    }

    /// Starts the unit of a job again that ended without having put right what it left: its host lost power, or was shut
    /// down. `false`: there is nothing to take up.
    pub(super) async fn resume(&self, entry: &Entry) -> Result<bool, Fault> {
        let id = JobId::try_from(entry.record.job.id.as_str())?;
        if !entry.is_of_app() {
            return Ok(false);
        }
        // Read again: the end is noted before the unit is gone, but perhaps after it was read.
        let now = self.read(&id).await?.unwrap_or_default();
        if now.ended.is_some() || now.notes.over.is_some() || now.notes.began.is_none() {
            return Ok(false);
        }
        tracing::warn!(%id, app = entry.record.job.app, "taking up what a job left half done");
        let session = self.bus.session().await?;
        let (store, record, own) = (self.store.clone(), entry.record.clone(), id.clone());
        let properties = blocking(move || app_unit::properties(&store, &own, &record)).await?;
        match transient::start(&session, &id.unit(), properties).await {
            Ok(_) => Ok(true),
            // Somebody else was quicker, or systemd is busy with something else: whoever looks next tries again.
            Err(fault) => {
                tracing::warn!(%id, reason = fault.message, "cannot take up a job yet");
                Ok(true)
            }
        }
    }
}

fn is_free(app: &AppKey, running: &[Entry]) -> Result<(), Fault> {
    let other = running.iter().map(|entry| &entry.record.job).find(|job| job.app == app.as_str());
    let Some(job) = other else { return Ok(()) };
    let verb = match job.kind() {
        JobKind::Deploy => "is being deployed",
        JobKind::Rollback => "is being rolled back",
        JobKind::Apply => "is getting new settings",
        JobKind::Remove => "is being removed",
        JobKind::Script => return Err(internal("a script works on an app")),
    };
    let message = format!("`{app}` {verb} already: job {}, started by {}", job.id, job.actor);
    Err(Fault::new(FaultKind::Conflict, message)
        .hint(format!("Wait for it to end, or end it: `hmsctl jobs cancel {}`.", job.id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Security case 73.
    #[test]
    fn one_job_works_on_an_app_at_a_time() {
        let job = |app: &str, kind: JobKind| {
            let job = Job {
                id: "7".into(),
                app: app.into(),
                kind: kind.into(),
                actor: "ada".into(),
                ..Job::default()
            };
            Entry { record: Record { job, ..Record::default() }, ..Entry::default() }
        };
        let cigar = AppKey::try_from("cigar").unwrap();
        let running = [job("", JobKind::Script), job("cigar", JobKind::Deploy)];
        let fault = is_free(&cigar, &running).unwrap_err();
        assert_eq!(fault.kind(), FaultKind::Conflict);
        assert_eq!(fault.message, "`cigar` is being deployed already: job 7, started by ada");
        assert!(is_free(&AppKey::try_from("tobacco").unwrap(), &running).is_ok());
    }
}
