//! Entries on their way out: packed into chunks, through a bounded channel that a slow reader fills.

use std::{
    mem,
    time::{Duration, Instant},
};

use hms_proto::host::v1::{LogChunk, LogEntry, LogGap};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tonic::Status;

use super::{
    entry::{self, Read},
    place::Place,
    source::{JOURNAL, Wanted},
};

/// A chunk fits into what the reader takes unasked (the window of its stream), so that the next one is made meanwhile.
const ENTRIES: usize = 256;
const BYTES: usize = 64 * 1024;
/// The first chunk is small, so that a page has something to show at once.
const FIRST_ENTRIES: usize = 32;

/// A reader that takes nothing for so long is late.
const PATIENCE: Duration = Duration::from_secs(3);

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
    /// Where the first entry begins, until it is told.
    start: String,
    /// The place that was told last.
    place: String,
    /// The reader took so long to take a chunk that it may be too far behind.
    is_late: bool,
    _permit: OwnedSemaphorePermit,
}

impl Chunks {
    /// Sends to this channel; holds the permit as long as it lives.
    pub(crate) fn new(to: mpsc::Sender<Result<LogChunk, Status>>, permit: OwnedSemaphorePermit) -> Self {
        Self {
            to,
            pending: Vec::new(),
            bytes: 0,
            most: FIRST_ENTRIES,
            start: String::new(),
            place: String::new(),
            is_late: false,
            _permit: permit,
        }
    }

    /// Adds what was read, or what there is to say instead of it. Says whether a chunk is full.
    pub(crate) fn add(&mut self, read: Option<Read>) -> Result<bool, Gone> {
        match read {
            Some(Read::Entry(entry)) => {
                self.bytes += entry::size(&entry);
                self.pending.push(*entry);
            }
            Some(Read::Gap(gap)) => self.gap(gap)?,
            None => self.gap(LogGap {
                reason: "corrupt".into(),
                count: 1,
                source: JOURNAL.into(),
                ..LogGap::default()
            })?,
        }
        Ok(self.pending.len() >= self.most || self.bytes >= BYTES)
    }

    /// Whether entries wait to be sent.
    pub(crate) fn has_entries(&self) -> bool {
        !self.pending.is_empty()
    }

    /// The place before the first entry, which goes with it.
    pub(crate) fn begin(&mut self, start: &Place) {
        self.start = start.to_string();
    }

    /// Sends what there is, and where the reading stands behind it.
    pub(crate) fn flush(&mut self, place: Option<&Place>) -> Result<(), Gone> {
        let place = self.moved(place);
        if self.pending.is_empty() && place.is_empty() {
            return Ok(());
        }
        let chunk = self.chunk(place);
        self.send(Ok(chunk))
    }

    /// A place, unless it was told already.
    fn moved(&mut self, place: Option<&Place>) -> String {
        let place = place.map(ToString::to_string).filter(|place| *place != self.place);
        place.inspect(|place| self.place.clone_from(place)).unwrap_or_default()
    }

    fn chunk(&mut self, place: String) -> LogChunk {
        (self.most, self.bytes) = (ENTRIES, 0);
        let entries = mem::take(&mut self.pending);
        let start = if entries.is_empty() { String::new() } else { mem::take(&mut self.start) };
        LogChunk { entries, place, start, ..LogChunk::default() }
    }

    /// Says that entries are missing here.
    pub(crate) fn gap(&mut self, gap: LogGap) -> Result<(), Gone> {
        self.flush(None)?;
        self.send(Ok(LogChunk { gap: Some(gap), ..LogChunk::default() }))
    }

    /// Says that the past is complete, with the last of it.
    pub(crate) fn caught_up(&mut self, place: &Place) -> Result<(), Gone> {
        let place = self.moved(Some(place));
        let chunk = LogChunk { caught_up: true, ..self.chunk(place) };
        self.send(Ok(chunk))
    }

    /// Ends the stream with an error.
    pub(crate) fn fail(&mut self, status: Status) {
        // A reader that has gone misses nothing.
        drop(self.flush(None).and_then(|()| self.send(Err(status))));
    }

    /// An error when nobody reads any more.
    pub(crate) fn is_wanted(&self) -> Result<(), Gone> {
        if self.to.is_closed() { Err(Gone) } else { Ok(()) }
    }

    /// The same question, for those who read in between.
    pub(crate) fn wanted(&self) -> Wanted {
        let to = self.to.clone();
        Wanted::new(move || !to.is_closed())
    }

    fn send(&mut self, chunk: Result<LogChunk, Status>) -> Result<(), Gone> {
        let begun = Instant::now();
        self.to.blocking_send(chunk).map_err(|_| Gone)?;
        self.is_late |= begun.elapsed() > PATIENCE;
        Ok(())
    }

    /// Whether the reader was late since this was asked last.
    pub(crate) fn was_late(&mut self) -> bool {
        mem::take(&mut self.is_late)
    }
}
