//! Entries on their way out: packed into chunks, through a bounded channel that a slow reader fills.

use std::{mem, sync::Arc};

use hms_proto::host::v1::{LogChunk, LogEntry, LogGap};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tonic::Status;

use super::entry;

const ENTRIES: usize = 512;
const BYTES: usize = 256 * 1024;
/// The first chunk is small, so that a page has something to show at once.
const FIRST_ENTRIES: usize = 32;

/// The reader has gone.
#[derive(Debug)]
pub(crate) struct Gone;

/// Packs entries.
#[derive(Debug)]
pub(crate) struct Chunks {
    to: mpsc::Sender<Result<LogChunk, Status>>,
    pending: Vec<LogEntry>,
    bytes: usize,
    most: usize,
    _permit: Arc<OwnedSemaphorePermit>,
}

impl Chunks {
    /// Sends to this channel; holds the permit as long as it lives.
    pub(crate) fn new(to: mpsc::Sender<Result<LogChunk, Status>>, permit: OwnedSemaphorePermit) -> Self {
        Self { to, pending: Vec::new(), bytes: 0, most: FIRST_ENTRIES, _permit: Arc::new(permit) }
    }

    /// Adds an entry, and sends a chunk when one is full.
    pub(crate) async fn push(&mut self, entry: LogEntry) -> Result<(), Gone> {
        self.bytes += entry::size(&entry);
        self.pending.push(entry);
        if self.pending.len() >= self.most || self.bytes >= BYTES { self.flush().await } else { Ok(()) }
    }

    /// Sends what there is.
    pub(crate) async fn flush(&mut self) -> Result<(), Gone> {
        if self.pending.is_empty() {
            return Ok(());
        }
        self.most = ENTRIES;
        self.bytes = 0;
        let entries = mem::take(&mut self.pending);
        self.send(LogChunk { entries, ..LogChunk::default() }).await
    }

    /// Says that entries are missing here.
    pub(crate) async fn gap(&mut self, reason: &str, count: u64) -> Result<(), Gone> {
        self.flush().await?;
        let gap = LogGap { reason: reason.to_owned(), count };
        self.send(LogChunk { gap: Some(gap), ..LogChunk::default() }).await
    }

    /// Says that the past is complete, with the last of it.
    pub(crate) async fn caught_up(&mut self) -> Result<(), Gone> {
        self.bytes = 0;
        let entries = mem::take(&mut self.pending);
        self.send(LogChunk { entries, caught_up: true, ..LogChunk::default() }).await
    }

    /// Ends the stream with an error.
    pub(crate) async fn fail(self, status: Status) {
        drop(self.to.send(Err(status)).await);
    }

    /// Resolves when nobody reads any more.
    pub(crate) fn closed(&self) -> impl Future<Output = ()> + Send + 'static {
        let to = self.to.clone();
        async move { to.closed().await }
    }

    async fn send(&self, chunk: LogChunk) -> Result<(), Gone> {
        self.to.send(Ok(chunk)).await.map_err(|_| Gone)
    }
}
