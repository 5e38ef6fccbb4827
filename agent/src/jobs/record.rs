//! A job on the disk: what was asked for before it starts, its output, and how it ended.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use hms_proto::{
    host::v1::{Job, JobKind, JobState},
    names::JobId,
};
use rustix::fs::{CWD, RenameFlags};
use serde::{Deserialize, Serialize};

use super::progress::Progress;
use crate::{
    exec::launch::{LAUNCH, Notes, SCRIPT},
    files,
};

const FOLDER: &str = "jobs";
const JOB: &str = "job.json";
const RESULT: &str = "result.json";
const OUTPUT: &str = "output";
const NOTES: &str = "notes";
const CANCELED: &str = "canceled";
const PROGRESS: &str = "progress.json";
/// What is to be done for an app.
pub(crate) const REQUEST: &str = "request.json";
/// Files with this ending are sealed by systemd-creds(1).
pub(crate) const SEALED: &str = ".cred";
/// Twenty parameters at their longest, several times over.
const JSON_MOST: u64 = 4 * 1024 * 1024;
const NOTES_MOST: u64 = 64 * 1024;
/// Folders that are being made or removed begin with this; no job's does.
const UNFINISHED: &str = "new-";

/// What is written down before a job starts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Record {
    /// The job as it begins.
    pub(crate) job: Job,
    /// The boot that it runs in.
    pub(crate) boot_id: String,
    /// Whether its script changes something.
    pub(crate) mutates: bool,
    /// Seconds that it may take.
    pub(crate) timeout_s: u32,
    /// Memory that it may use, in bytes.
    pub(crate) memory_limit: u64,
}

/// All that is on the disk about one job.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Entry {
    /// From before it started.
    pub(crate) record: Record,
    /// What was noted in its unit.
    pub(crate) notes: Notes,
    /// How far its steps are.
    pub(crate) progress: Progress,
    /// How it ended. `None`: nobody has said so yet.
    pub(crate) ended: Option<Job>,
    /// Bytes of its output.
    pub(crate) output_bytes: u64,
}

impl Entry {
    /// The job as people see it.
    pub(crate) fn job(&self) -> Job {
        match &self.ended {
            // A host that lost its power may have lost output that was there.
            Some(ended) => Job { output_bytes: self.output_bytes, ..ended.clone() },
            None => Job {
                state: JobState::Running.into(),
                started_usec: self.notes.began.unwrap_or(0),
                output_bytes: self.output_bytes,
                output_truncated: self.notes.dropping.is_some(),
                ..self.progress.on(self.record.job.clone())
            },
        }
    }

    /// Whether it works on an app.
    pub(crate) fn is_of_app(&self) -> bool {
        self.record.job.kind() != JobKind::Script
    }

    /// The unit that it runs as.
    pub(crate) fn unit(&self) -> String {
        JobId::try_from(self.record.job.id.as_str()).map(|id| id.unit()).unwrap_or_default()
    }
}

/// The folder with all jobs.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    folder: PathBuf,
}

impl Store {
    /// Below this state folder.
    pub(crate) fn new(state: &Path) -> Self {
        Self { folder: state.join(FOLDER) }
    }

    /// The state folder.
    pub(crate) fn state(&self) -> &Path {
        self.folder.parent().unwrap_or(&self.folder)
    }

    /// Makes the folder, and clears away what a run that was killed left half done.
    pub(crate) fn prepare(&self) -> io::Result<()> {
        files::make_folder(&self.folder)?;
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
                files::remove_folder(&entry.path())?;
            }
        }
        Ok(())
    }

    /// The file with this name in a job's folder.
    fn path(&self, id: &JobId, name: &str) -> PathBuf {
        self.folder.join(id.as_str()).join(name)
    }

    /// What the launcher of a job is told.
    pub(crate) fn launch_path(&self, id: &JobId) -> PathBuf {
        self.path(id, LAUNCH)
    }

    /// The script as it was checked.
    pub(crate) fn script_path(&self, id: &JobId) -> PathBuf {
        self.path(id, SCRIPT)
    }

    /// A file of a job.
    pub(crate) fn file(&self, id: &JobId, name: &str) -> PathBuf {
        self.path(id, name)
    }

    /// Writes down a new job, with the files that only its start needs. It is on the disk as a whole, or not at all.
    pub(crate) fn create(&self, id: &JobId, record: &Record, own: &[(&str, &[u8])]) -> io::Result<()> {
        let staged = self.folder.join(format!("{UNFINISHED}{id}"));
        files::remove_folder(&staged)?;
        files::make_folder(&staged)?;
        files::write_new(&staged.join(JOB), &serde_json::to_vec(record)?)?;
        for (name, content) in own {
            files::write_new(&staged.join(name), content)?;
        }
        files::write_new(&staged.join(OUTPUT), b"")?;
        files::write_new(&staged.join(NOTES), b"")?;
        files::sync_folder(&staged)?;
        rustix::fs::renameat_with(CWD, &staged, CWD, self.folder.join(id.as_str()), RenameFlags::NOREPLACE)?;
        files::sync_folder(&self.folder)
    }

    /// The job's output and its launcher's notes, to be written to.
    pub(crate) fn streams(&self, id: &JobId) -> io::Result<(File, File)> {
        let open = |name| OpenOptions::new().append(true).mode(0o600).open(self.path(id, name));
        Ok((open(OUTPUT)?, open(NOTES)?))
    }

    /// The job's output, to be read.
    pub(crate) fn output(&self, id: &JobId) -> io::Result<File> {
        File::open(self.path(id, OUTPUT))
    }

    /// Everything about a job. `None`: there is no such job.
    pub(crate) fn read(&self, id: &JobId) -> io::Result<Option<Entry>> {
        let Some(record) = files::read_if_there(&self.path(id, JOB), JSON_MOST)? else { return Ok(None) };
        // First, so that the rest is not older than it.
        let ended = files::read_if_there(&self.path(id, RESULT), JSON_MOST)?;
        Ok(Some(Entry {
            record: serde_json::from_slice(&record)?,
            ended: ended.map(|text| serde_json::from_slice(&text)).transpose()?,
            notes: self.notes(id)?,
            progress: self.progress(id)?,
            output_bytes: fs::metadata(self.path(id, OUTPUT)).map_or(0, |about| about.len()),
        }))
    }

    /// Whether the job has ended, as far as the disk tells.
    pub(crate) fn is_over(&self, id: &JobId) -> io::Result<bool> {
        Ok(self.has_result(id) || self.notes(id)?.over.is_some())
    }

    fn has_result(&self, id: &JobId) -> bool {
        self.path(id, RESULT).exists()
    }

    /// How far the steps of a job are. Nothing, for a job that has none.
    pub(crate) fn progress(&self, id: &JobId) -> io::Result<Progress> {
        let text = files::read_if_there(&self.path(id, PROGRESS), JSON_MOST)?;
        Ok(text.map(|text| serde_json::from_slice(&text)).transpose()?.unwrap_or_default())
    }

    /// Writes down how far the steps of a job are.
    pub(crate) fn set_progress(&self, id: &JobId, progress: &Progress) -> io::Result<()> {
        files::replace(&self.path(id, PROGRESS), &serde_json::to_vec(progress)?)
    }

    /// What is to be done for an app.
    pub(crate) fn request(&self, id: &JobId) -> io::Result<Option<Vec<u8>>> {
        files::read_if_there(&self.path(id, REQUEST), JSON_MOST)
    }

    fn notes(&self, id: &JobId) -> io::Result<Notes> {
        let text = files::read_if_there(&self.path(id, NOTES), NOTES_MOST)?;
        Ok(Notes::parse(&text.unwrap_or_default()))
    }

    /// The ids of all jobs, newest first.
    pub(crate) fn ids(&self) -> io::Result<Vec<JobId>> {
        let mut ids = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            ids.extend(JobId::try_from(entry?.file_name().to_string_lossy().as_ref()).ok());
        }
        ids.sort_by(|a, b| b.as_str().cmp(a.as_str()));
        Ok(ids)
    }

    /// The jobs that nobody has written an end of.
    pub(crate) fn open_jobs(&self) -> io::Result<Vec<Entry>> {
        let open = self.ids()?.into_iter().filter(|id| !self.has_result(id));
        Ok(open.filter_map(|id| self.read_or_warn(&id)).collect())
    }

    /// A job; one that cannot be read is told to the log and left out, as it must not hide the others.
    pub(crate) fn read_or_warn(&self, id: &JobId) -> Option<Entry> {
        self.read(id).unwrap_or_else(|error| {
            tracing::warn!(%error, %id, "cannot read a job");
            None
        })
    }

    /// Writes down how a job ended, once: whoever is first decides.
    pub(crate) fn end(&self, id: &JobId, job: &Job) -> io::Result<()> {
        // Only its start needed them. Before the write: on a full disk this is the room for it.
        for name in [LAUNCH, SCRIPT] {
            drop(fs::remove_file(self.path(id, name)));
        }
        for file in fs::read_dir(self.folder.join(id.as_str())).into_iter().flatten().flatten() {
            if file.file_name().to_string_lossy().ends_with(SEALED) {
                drop(fs::remove_file(file.path()));
            }
        }
        files::write_once(&self.path(id, RESULT), &serde_json::to_vec(job)?).map(drop)
    }

    /// Writes down that somebody asked for the job's end, and who.
    pub(crate) fn cancel(&self, id: &JobId, actor: &str) -> io::Result<()> {
        files::write_once(&self.path(id, CANCELED), actor.as_bytes()).map(drop)
    }

    /// Who asked for the job's end.
    pub(crate) fn canceled_by(&self, id: &JobId) -> io::Result<Option<String>> {
        let read = files::read_if_there(&self.path(id, CANCELED), 1024)?;
        Ok(read.map(|name| String::from_utf8_lossy(&name).into_owned()))
    }

    /// Bytes that a job takes on the disk.
    pub(crate) fn size(&self, id: &JobId) -> u64 {
        let entries = fs::read_dir(self.folder.join(id.as_str())).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.metadata().ok()).map(|about| about.len()).sum()
    }

    /// Removes a job.
    pub(crate) fn remove(&self, id: &JobId) -> io::Result<()> {
        // Renamed first, so that it is never there in part.
        let gone = self.folder.join(format!("{UNFINISHED}{id}"));
        fs::rename(self.folder.join(id.as_str()), &gone)?;
        files::remove_folder(&gone)
    }

    /// Bytes that are free where jobs are kept.
    pub(crate) fn free(&self) -> io::Result<u64> {
        let about = rustix::fs::statvfs(&self.folder)?;
        Ok(about.f_bavail * about.f_frsize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_there_as_a_whole_and_ends_once() {
        let state = tempfile::tempdir().unwrap();
        let store = Store::new(state.path());
        store.prepare().unwrap();
        let id = JobId::new();
        assert_eq!(store.read(&id).unwrap(), None);
        let job = Job { id: id.to_string(), script: "x".into(), ..Job::default() };
        let record = Record { job: job.clone(), boot_id: "b".into(), ..Record::default() };
        store.create(&id, &record, &[(SCRIPT, b"#!/bin/sh\n"), ("env.cred", b"x")]).unwrap();
        assert!(store.create(&id, &record, &[]).is_err());
        let running = store.read(&id).unwrap().unwrap();
        assert_eq!((running.job().state(), &running.record), (JobState::Running, &record));
        let end = |state: JobState| Job { state: state.into(), ..job.clone() };
        store.end(&id, &end(JobState::Succeeded)).unwrap();
        store.end(&id, &end(JobState::Lost)).unwrap();
        assert_eq!(store.read(&id).unwrap().unwrap().job().state(), JobState::Succeeded);
        assert!(store.open_jobs().unwrap().is_empty());
        assert!(!store.script_path(&id).exists() && !store.file(&id, "env.cred").exists());
        // As a killed run would leave it.
        fs::create_dir(state.path().join("jobs/new-x")).unwrap();
        store.prepare().unwrap();
        assert_eq!(store.ids().unwrap(), std::slice::from_ref(&id));
        store.remove(&id).unwrap();
        assert_eq!(fs::read_dir(state.path().join("jobs")).unwrap().count(), 0);
    }
}
