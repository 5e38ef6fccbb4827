//! Where entries come from: the journal, or a log in files; each gives them one by one, in either direction.

use std::{fmt, io, ops::Deref, sync::Arc};

use hms_journal::Direction;
use hms_proto::host::v1::{LogEntry, LogGap};

use super::{
    file::FileLog,
    journal::JournalLog,
    place::{FilePlace, Part, Place},
};

/// The journal, as entries name their source.
pub(crate) const JOURNAL: &str = "journal";

/// Tells whether anybody still waits for what is read.
#[derive(Clone)]
pub(crate) struct Wanted(Arc<dyn Fn() -> bool + Send + Sync>);

impl Wanted {
    pub(crate) fn new(ask: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(ask))
    }
}

impl Deref for Wanted {
    type Target = dyn Fn() -> bool + Send + Sync;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl fmt::Debug for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wanted")
    }
}

/// A step of a source.
#[derive(Debug)]
pub(crate) enum Step {
    Found(Found),
    /// Entries are missing here.
    Gap(LogGap),
}

/// An entry that matches.
#[derive(Debug)]
pub(crate) struct Found {
    /// Microseconds since the epoch.
    pub(crate) time: u64,
    /// Its own place.
    pub(crate) part: Part,
    pub(crate) what: What,
}

/// What is known of it.
#[derive(Debug)]
pub(crate) enum What {
    /// Where to read it, in the journal.
    Handle(hms_journal::Entry),
    /// All.
    Entry(Box<LogEntry>),
}

/// Where to stand.
#[derive(Debug, Clone)]
pub(crate) enum Seek {
    Head,
    Tail,
    /// Microseconds since the epoch. Forward, before the first entry as late; backward, behind the last one that is earlier.
    Time(u64),
    Place(Place),
}

/// A source.
#[derive(Debug)]
pub(crate) enum Source {
    Journal(Box<JournalLog>),
    File(Box<FileLog>),
}

impl Source {
    pub(crate) fn next(&mut self, way: Direction) -> Option<Step> {
        match self {
            Self::Journal(journal) => journal.next(way),
            Self::File(log) => log.next(way),
        }
    }

    /// Stands somewhere. What is missing there is told by the next step.
    pub(crate) fn seek(&mut self, seek: &Seek, way: Direction) {
        match self {
            Self::Journal(journal) => journal.seek(seek, way),
            Self::File(log) => {
                let done = seek_file(log, seek, way);
                log.or_broken(done);
            }
        }
    }

    /// Backward, nothing from before this place is given.
    pub(crate) fn set_floor(&mut self, place: &Place) {
        match self {
            Self::Journal(journal) => journal.set_floor(&place.0),
            Self::File(log) => {
                let done = log.set_floor(&files(place));
                log.or_broken(done);
            }
        }
    }

    /// Looks for what was written since.
    pub(crate) fn refresh(&mut self) -> bool {
        match self {
            Self::Journal(journal) => journal.refresh(),
            Self::File(log) => {
                let done = log.refresh();
                log.or_broken(done).unwrap_or(true)
            }
        }
    }

    /// Where it stands, when `head` was found and not given.
    pub(crate) fn place(&mut self, head: Option<&Found>, way: Direction) -> Vec<Part> {
        match self {
            Self::Journal(journal) => journal.place(head, way).into_iter().collect(),
            Self::File(log) => {
                let head = head.and_then(|found| match &found.part {
                    Part::File(place) => Some(place),
                    Part::Journal(..) => None,
                });
                // Without a place, one goes on by the time of the others.
                let places = log.place(head, way).unwrap_or_default();
                places.into_iter().map(Part::File).collect()
            }
        }
    }

    /// All that there is was given.
    pub(crate) fn rest(&mut self) {
        if let Self::Journal(journal) = self {
            journal.rest();
        }
    }
}

fn files(place: &Place) -> Vec<FilePlace> {
    let files = place.0.iter().filter_map(|part| match part {
        Part::File(place) => Some(place.clone()),
        Part::Journal(..) => None,
    });
    files.collect()
}

fn seek_file(log: &mut FileLog, seek: &Seek, way: Direction) -> io::Result<()> {
    match seek {
        Seek::Head => log.seek_head(),
        Seek::Tail => log.seek_tail(),
        Seek::Time(time) if way == Direction::Forward => log.seek_time(*time),
        Seek::Time(time) => log.seek_back_from(*time),
        Seek::Place(place) => {
            let own: Vec<_> = files(place).into_iter().filter(|file| file.log == log.id()).collect();
            if own.is_empty() { log.seek_beside(place.time(), way) } else { log.seek(&own, way) }
        }
    }
}
