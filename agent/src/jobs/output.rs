//! Streams what a job prints: from an offset, in pieces, and then how it ended.

use std::{fs::File, io, os::unix::fs::FileExt as _, sync::Arc, time::Duration};

use hms_proto::{
    fault::Fault,
    host::v1::{Job, JobOutput},
    names::JobId,
};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tonic::Status;

use super::{Jobs, manager::broken, progress::Progress};
use crate::blocking;

const PIECE: usize = 64 * 1024;
/// How often the file is looked at while a job runs: two system calls.
const GLANCE: Duration = Duration::from_millis(100);
/// How often systemd is asked whether the job still runs, in case its end was not noted.
const LOOK: Duration = Duration::from_secs(5);

/// Pieces on their way to a reader.
pub(super) type Pieces = mpsc::Sender<Result<JobOutput, Status>>;

/// The reader went away.
struct Gone;

/// Sends the output, until the job ends if it is to be followed.
pub(super) async fn send(jobs: &Jobs, id: &JobId, offset: u64, follow: bool, to: &Pieces) {
    if let Err(fault) = stream(jobs, id, offset, follow, to).await {
        drop(to.send(Err(fault.into())).await);
    }
}

async fn stream(jobs: &Jobs, id: &JobId, mut offset: u64, follow: bool, to: &Pieces) -> Result<(), Fault> {
    jobs.get(id).await?;
    let file = Arc::new(jobs.store.output(id).map_err(broken)?);
    let (mut looked, mut told) = (Instant::now(), Progress::default());
    loop {
        // Before reading: once the end is noted, all of the output is there.
        let ended = jobs.store.is_over(id).map_err(broken)?;
        if send_rest(&file, &mut offset, to).await?.is_err() {
            return Ok(());
        }
        let progress = jobs.store.progress(id).map_err(broken)?;
        if progress != told && !ended && follow {
            told = progress;
            last(offset, jobs.get(id).await?, to).await?;
        }
        if ended || !follow {
            return last(offset, jobs.get(id).await?, to).await;
        }
        if looked.elapsed() > LOOK {
            looked = Instant::now();
            jobs.get(id).await?;
        }
        tokio::time::sleep(GLANCE).await;
    }
}

/// Sends what there is from here on.
async fn send_rest(file: &Arc<File>, offset: &mut u64, to: &Pieces) -> Result<Result<(), Gone>, Fault> {
    loop {
        let (from, at) = (file.clone(), *offset);
        let data = blocking(move || read_at(&from, at).map_err(broken)).await?;
        if data.is_empty() {
            return Ok(Ok(()));
        }
        let length = data.len() as u64;
        let piece = JobOutput { offset: *offset, data, job: None };
        if to.send(Ok(piece)).await.is_err() {
            return Ok(Err(Gone));
        }
        *offset += length;
    }
}

fn read_at(file: &File, offset: u64) -> io::Result<Vec<u8>> {
    let mut data = vec![0; PIECE];
    let length = file.read_at(&mut data, offset)?;
    data.truncate(length);
    Ok(data)
}

async fn last(offset: u64, job: Job, to: &Pieces) -> Result<(), Fault> {
    drop(to.send(Ok(JobOutput { offset, job: Some(job), ..JobOutput::default() })).await);
    Ok(())
}
