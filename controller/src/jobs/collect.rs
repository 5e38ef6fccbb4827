//! Takes over the output of a job, piece by piece, and its end.

use std::time::Duration;

use hms_proto::{
    fault::{Fault, FaultKind},
    host::v1::{self, JobOutput, JobOutputRequest, job_service_client::JobServiceClient},
};
use tonic::Streaming;

use super::{
    app_work,
    worker::{Next, OneJob, Step},
};
use crate::{
    db::{self, jobs, output},
    fleet::as_controller,
};

/// Small pieces that come within this time are kept as one.
const TOGETHER: Duration = Duration::from_millis(100);
/// The first answer of an agent has to come within this time.
const PATIENCE: Duration = Duration::from_secs(10);

/// Follows the output from where it is kept to, until the job has ended or the stream breaks.
pub(super) async fn collect(one: &OneJob<'_>) -> Step {
    let have = one.job.output_bytes();
    let mut stream = match open(one, have).await {
        Ok(stream) => stream,
        Err(fault) if fault.kind() == FaultKind::NotFound => return one.lost().await,
        Err(fault) => return one.cannot_say(&fault).await,
    };
    let mut kept = Kept { one, at: have, waiting: Vec::new(), release: String::new() };
    match kept.read(&mut stream).await? {
        Ok(end) => one.finish(end).await,
        Err(fault) => {
            tracing::debug!(job = %one.job.id, host = %one.job.host, reason = %fault.message, "an output broke off");
            let went_on = kept.at > have;
            // A stream that brought something is resumed at once; one that did not, after a while.
            match one.cannot_say(&fault).await? {
                _ if went_on => Ok(Next::GoOn),
                next => Ok(next),
            }
        }
    }
}

async fn open(one: &OneJob<'_>, offset: u64) -> Result<Streaming<JobOutput>, Fault> {
    let mut client = JobServiceClient::new(one.host.channel.clone());
    let request = JobOutputRequest { id: one.job.id.to_string(), offset, follow: true };
    match tokio::time::timeout(PATIENCE, client.output(as_controller(request))).await {
        Ok(Ok(stream)) => Ok(stream.into_inner()),
        Ok(Err(status)) => Err(Fault::from_status(&status)),
        Err(_) => Err(Fault::new(FaultKind::Unreachable, "the agent did not answer within 10 s")),
    }
}

/// What is kept of the output, and what is on its way there.
struct Kept<'a> {
    one: &'a OneJob<'a>,
    /// Where the kept output ends.
    at: u64,
    /// Follows it; less than two pieces.
    waiting: Vec<u8>,
    /// The release that was noted.
    release: String,
}

impl Kept<'_> {
    /// Reads to the end of the job. The inner error: the stream broke.
    async fn read(&mut self, stream: &mut Streaming<JobOutput>) -> db::Result<Result<v1::Job, Fault>> {
        loop {
            // Nothing is read while something is being written: a slow database slows the agent down.
            let message = match self.waiting.is_empty() {
                true => stream.message().await,
                false => match tokio::time::timeout(TOGETHER, stream.message()).await {
                    Ok(message) => message,
                    Err(_) => {
                        self.write().await?;
                        continue;
                    }
                },
            };
            let broken = match message {
                Ok(Some(message)) => match self.take(message).await? {
                    Ok(None) => continue,
                    Ok(Some(end)) => return Ok(Ok(end)),
                    Err(fault) => fault,
                },
                Ok(None) => Fault::new(FaultKind::Unreachable, "the agent ended the stream"),
                Err(status) => Fault::from_status(&status),
            };
            self.write().await?;
            return Ok(Err(broken));
        }
    }

    /// The end, when the message has it.
    async fn take(&mut self, message: JobOutput) -> db::Result<Result<Option<v1::Job>, Fault>> {
        let expected = self.at + self.waiting.len() as u64;
        if !message.data.is_empty() {
            if message.offset != expected {
                let said = format!("the agent sent output from {}, not from {expected}", message.offset);
                return Ok(Err(Fault::new(FaultKind::Internal, said)));
            }
            self.waiting.extend_from_slice(&message.data);
            if self.waiting.len() >= output::PIECE {
                self.write().await?;
            }
        }
        let Some(job) = message.job else { return Ok(Ok(None)) };
        self.write().await?;
        match job.state() {
            v1::JobState::Running
            | v1::JobState::Queued
            | v1::JobState::Unknown
            | v1::JobState::Unspecified => {
                jobs::progress(&self.one.state.db, self.one.job.id, &job).await?;
                if self.release != job.release {
                    app_work::note_soon(self.one.state, &self.one.job, &job.release);
                    self.release = job.release;
                }
                Ok(Ok(None))
            }
            _ => Ok(Ok(Some(job))),
        }
    }

    async fn write(&mut self) -> db::Result<()> {
        let pool = &self.one.state.db;
        while !self.waiting.is_empty() {
            let piece = &self.waiting[..self.waiting.len().min(output::PIECE)];
            let length = piece.len();
            if !append(self.one, self.at, piece).await? {
                // Somebody else keeps it too: what they have is as good.
                let now = jobs::get(pool, self.one.job.id).await?.map_or(0, |job| job.output_bytes());
                if now < self.at + length as u64 {
                    return Err(db::Error::Conflict);
                }
            }
            self.at += length as u64;
            self.waiting.drain(..length);
        }
        Ok(())
    }
}

/// Adds a piece; waits for the database when it is away: the stream stays open meanwhile, and loses nothing.
async fn append(one: &OneJob<'_>, at: u64, piece: &[u8]) -> db::Result<bool> {
    loop {
        match output::append(&one.state.db, one.job.id, at, piece).await {
            Err(db::Error::Unavailable(error)) => {
                tracing::debug!(%error, "output waits for the database");
                tokio::time::sleep(super::RETRY).await;
            }
            done => return done,
        }
    }
}
