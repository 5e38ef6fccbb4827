//! Entries on their way out: packed into chunks, through a bounded channel that a slow reader fills.

use std::mem;

use hms_journal::{Damage, Journal, Step};
use hms_proto::host::v1::{LogChunk, LogEntry, LogGap};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tonic::Status;

use super::entry::{self, Read};

const ENTRIES: usize = 512;
const BYTES: usize = 256 * 1024;
/// The first chunk is small, so that a page has something to show at once.
const FIRST_ENTRIES: usize = 32;

/// The reader has gone.
#[derive(Debug)]
pub(crate) struct Gone;

/// Packs entries. Its calls block while the reader is slow.
#[derive(Debug)]
pub(crate) struct Chunks {
    to: mpsc::Sender<Result<LogChunk, Status>>,
    pending: Vec<LogEntry>,
    bytes: usize,
    most: usize,
    _permit: OwnedSemaphorePermit,
}

impl Chunks {
    /// Sends to this channel; holds the permit as long as it lives.
    pub(crate) fn new(to: mpsc::Sender<Result<LogChunk, Status>>, permit: OwnedSemaphorePermit) -> Self {
        Self { to, pending: Vec::new(), bytes: 0, most: FIRST_ENTRIES, _permit: permit }
    }

    /// Reads an entry and adds it, or what there is to say instead of it.
    pub(crate) fn read(&mut self, journal: &mut Journal, entry: &hms_journal::Entry) -> Result<(), Gone> {
        match entry::read(journal, entry) {
            Some(Read::Entry(entry)) => self.push(entry),
            Some(Read::Gap(gap)) => self.gap(&gap.reason, gap.count),
            None => self.gap("corrupt", 1),
        }
    }

    /// An entry out of a step. Damage is told on the way.
    pub(crate) fn take(&mut self, step: Step) -> Result<Option<hms_journal::Entry>, Gone> {
        match step {
            Step::Entry(entry) => Ok(Some(entry)),
            Step::Damage(Damage { path, error }) => {
                tracing::warn!(path = %path.display(), %error, "left out the rest of a journal file");
                self.gap("corrupt", 0)?;
                Ok(None)
            }
        }
    }

    /// Adds an entry, and sends a chunk when one is full.
    fn push(&mut self, entry: LogEntry) -> Result<(), Gone> {
        self.bytes += entry::size(&entry);
        self.pending.push(entry);
        if self.pending.len() >= self.most || self.bytes >= BYTES { self.flush() } else { Ok(()) }
    }

    /// Sends what there is.
    pub(crate) fn flush(&mut self) -> Result<(), Gone> {
        if self.pending.is_empty() {
            return Ok(());
        }
        self.most = ENTRIES;
        self.bytes = 0;
        let entries = mem::take(&mut self.pending);
        self.send(Ok(LogChunk { entries, ..LogChunk::default() }))
    }

    /// Says that entries are missing here.
    pub(crate) fn gap(&mut self, reason: &str, count: u64) -> Result<(), Gone> {
        self.flush()?;
        let gap = LogGap { reason: reason.to_owned(), count };
        self.send(Ok(LogChunk { gap: Some(gap), ..LogChunk::default() }))
    }

    /// Says that the past is complete, with the last of it.
    pub(crate) fn caught_up(&mut self) -> Result<(), Gone> {
        self.bytes = 0;
        let entries = mem::take(&mut self.pending);
        self.send(Ok(LogChunk { entries, caught_up: true, ..LogChunk::default() }))
    }

    /// Ends the stream with an error.
    pub(crate) fn fail(&mut self, status: Status) {
        // A reader that has gone misses nothing.
        drop(self.flush().and_then(|()| self.send(Err(status))));
    }

    /// An error when nobody reads any more.
    pub(crate) fn is_wanted(&self) -> Result<(), Gone> {
        if self.to.is_closed() { Err(Gone) } else { Ok(()) }
    }

    fn send(&self, chunk: Result<LogChunk, Status>) -> Result<(), Gone> {
        self.to.blocking_send(chunk).map_err(|_| Gone)
    }
}
