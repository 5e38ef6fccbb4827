//! What a job intends to change on the host and has changed: one line each, on the disk before it is done. Whoever finds an open
//! journal knows what there is to put back.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use hms_proto::host::v1::JobKind;
use serde::{Deserialize, Serialize};

use super::state::Before;
use crate::files;

/// Several times what a job writes.
const MOST: u64 = 64 * 1024 * 1024;

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Line {
    /// This job works on the app.
    Begin {
        /// Its id.
        job: String,
        /// What kind of work it does.
        kind: JobKind,
    },
    /// A step is about to begin.
    Step(String),
    /// And has ended well.
    Done(String),
    /// The folder of this release is about to be made.
    Making(String),
    /// Tasks of the release that change the database are about to run.
    Migrating(Vec<String>),
    /// Files and `current` are about to be changed. They were like this.
    Switching(Box<Before>),
    /// The app is about to be restarted.
    Restarting,
    /// The nginx site is about to be changed. It was like this; `None`: there was none.
    Site(Option<String>),
    /// Everything is well: from here on nothing is put back.
    Committed {
        /// The release that is live.
        release: String,
        /// Since when, in microseconds since the epoch.
        live_usec: i64,
    },
    /// Nothing is left to do.
    End,
}

/// What there is to do about a journal.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Left {
    /// The job that wrote it; empty: there is none.
    pub(crate) job: String,
    /// What kind of work it does.
    pub(crate) kind: JobKind,
    /// The step it was at.
    pub(crate) step: String,
    /// A release that was made, or half of it.
    pub(crate) made: Option<String>,
    /// Migrations that may have run.
    pub(crate) migrated: Vec<String>,
    /// What there was before files were changed.
    pub(crate) before: Option<Box<Before>>,
    /// Whether the app may have been restarted.
    pub(crate) restarted: bool,
    /// The site as it was before it was changed.
    pub(crate) site: Option<Option<String>>,
    /// The release that is live, and since when: nothing is put back.
    pub(crate) committed: Option<(String, i64)>,
    /// Whether everything was done about it.
    is_over: bool,
}

impl Left {
    /// Reads lines. One that was cut short stands for something that had not begun.
    fn parse(text: &[u8]) -> Self {
        let mut left = Self::default();
        let whole = text.iter().rposition(|b| *b == b'\n').map_or(&[][..], |end| &text[..end]);
        for line in whole.split(|b| *b == b'\n') {
            if let Ok(line) = serde_json::from_slice(line) {
                left.take(line);
            }
        }
        left
    }

    fn take(&mut self, line: Line) {
        match line {
            Line::Begin { job, kind } => *self = Self { job, kind, ..Self::default() },
            Line::Step(step) => self.step = step,
            Line::Done(_) => {}
            Line::Making(release) => self.made = Some(release),
            Line::Migrating(names) => self.migrated = names,
            Line::Switching(before) => drop(self.before.get_or_insert(before)),
            Line::Restarting => self.restarted = true,
            Line::Site(site) => drop(self.site.get_or_insert(site)),
            Line::Committed { release, live_usec } => self.committed = Some((release, live_usec)),
            Line::End => self.is_over = true,
        }
    }
}

/// The journal of an app.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
}

impl Journal {
    /// Where it is, in the folder with what the agent knows of the app.
    fn path(folder: &Path) -> PathBuf {
        folder.join("journal")
    }

    /// Begins a new one. What the last one says is over.
    pub(crate) fn begin(folder: &Path, job: &str, kind: JobKind) -> io::Result<Self> {
        files::replace(&Self::path(folder), b"")?;
        let mut journal = Self::open(folder)?;
        journal.write(&Line::Begin { job: job.to_owned(), kind })?;
        Ok(journal)
    }

    /// Goes on with the one that is there.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        let path = Self::path(folder);
        let cut =
            files::read_if_there(&path, MOST)?.is_some_and(|text| text.last().is_some_and(|b| *b != b'\n'));
        let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        if cut {
            // What was cut short must not take the next line with it.
            file.write_all(b"\n")?;
        }
        Ok(Self { file })
    }

    /// Writes a line, and waits until it is on the disk.
    pub(crate) fn write(&mut self, line: &Line) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.file.write_all(&text)?;
        self.file.sync_data()
    }

    /// What there is to do about it.
    pub(crate) fn read(folder: &Path) -> io::Result<Left> {
        Ok(Left::parse(&files::read_if_there(&Self::path(folder), MOST)?.unwrap_or_default()))
    }
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
