//! The output of a job: what its steps print, as far as there is room for it, and their last words.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, Write as _},
    os::fd::AsFd as _,
    sync::{Arc, Mutex, PoisonError},
};

use crate::exec::launch::{Note, Notebook};

/// What a deployment prints at most; a task that prints more is talking to nobody.
const MOST: u64 = 16 * 1024 * 1024;
/// Lines that are kept for saying why something failed, and bytes of each.
const LAST_LINES: usize = 12;
const LAST_BYTES: usize = 300;
/// Of a backtrace, its first lines say where; the rest would push out what came before it.
const TRACE_LINES: usize = 3;

/// Where output goes. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Output(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    file: Option<File>,
    written: u64,
    most: u64,
    kept: Option<Vec<u8>>,
    last: VecDeque<String>,
    /// Lines of a backtrace since the last that is none.
    traced: usize,
    line: Vec<u8>,
}

impl Output {
    /// The standard output of this process, which is a job's output file.
    pub(crate) fn of_job() -> io::Result<Self> {
        let file = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        let written = file.metadata().map_or(0, |about| about.len());
        Ok(Self::new(Some(file), written, MOST, None))
    }

    /// Keeps so much of it in memory, for whoever started the program.
    pub(crate) fn kept(most: u64) -> Self {
        Self::new(None, 0, most, Some(Vec::new()))
    }

    fn new(file: Option<File>, written: u64, most: u64, kept: Option<Vec<u8>>) -> Self {
        let (last, line) = (VecDeque::new(), Vec::new());
        Self(Arc::new(Mutex::new(Inner { file, written, most, kept, last, traced: 0, line })))
    }

    /// Takes what was printed.
    pub(crate) fn take(&self, bytes: &[u8]) {
        self.with(|inner| inner.take(bytes));
    }

    /// Takes a line of the job itself.
    pub(crate) fn say(&self, line: &str) {
        self.take(format!("{line}\n").as_bytes());
    }

    /// Bytes so far.
    pub(crate) fn offset(&self) -> u64 {
        self.with(|inner| inner.written)
    }

    /// Forgets the last words: another program speaks from here on.
    pub(crate) fn forget(&self) {
        self.with(|inner| {
            inner.last.clear();
            inner.line.clear();
        });
    }

    /// The last lines.
    pub(crate) fn last_words(&self) -> Vec<String> {
        self.with(|inner| {
            inner.end_line();
            inner.last.iter().cloned().collect()
        })
    }

    /// What was kept in memory.
    pub(crate) fn into_kept(self) -> Vec<u8> {
        self.with(|inner| inner.kept.take().unwrap_or_default())
    }

    fn with<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Inner {
    fn take(&mut self, bytes: &[u8]) {
        let room = usize::try_from(self.most.saturating_sub(self.written)).unwrap_or(usize::MAX);
        let fits = &bytes[..bytes.len().min(room)];
        if fits.len() < bytes.len() && room > 0 {
            Notebook(io::stderr()).write(&Note::Dropping(String::new()));
        }
        self.written += fits.len() as u64;
        if let Some(file) = &mut self.file
            && let Err(error) = file.write_all(fits)
        {
            // The work goes on; its output cannot be kept: a full disk, most likely.
            self.most = 0;
            Notebook(io::stderr()).write(&Note::Dropping(error.to_string()));
        }
        if let Some(kept) = &mut self.kept {
            kept.extend_from_slice(fits);
        }
        for byte in bytes {
            match byte {
                b'\n' | b'\r' => self.end_line(),
                byte if self.line.len() < LAST_BYTES => self.line.push(*byte),
                _ => {}
            }
        }
    }

    fn end_line(&mut self) {
        let line: String =
            String::from_utf8_lossy(&self.line).chars().filter(|c| !c.is_control() || *c == '\t').collect();
        self.line.clear();
        if line.trim().is_empty() {
            return;
        }
        self.traced = if is_trace(&line) { self.traced + 1 } else { 0 };
        if self.traced > TRACE_LINES {
            return;
        }
        if self.last.len() == LAST_LINES {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }
}

/// Where Ruby was when it failed: "from /a/b.rb:7:in `c'".
fn is_trace(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("from ") || (line.starts_with('/') && line.contains(":in `"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_words_are_few_and_short() {
        let output = Output::kept(1024);
        for n in 0..30 {
            output.take(format!("line {n}\r\n\n").as_bytes());
        }
        output.take(&[b'x'; 1000]);
        let last = output.last_words();
        assert_eq!((last.len(), last[0].as_str(), last[11].len()), (12, "line 19", LAST_BYTES));
        output.forget();
        assert!(output.last_words().is_empty());
    }

    #[test]
    fn a_backtrace_does_not_push_out_what_it_is_about() {
        let output = Output::kept(10_000);
        output.take(b"oh no (RuntimeError)\n");
        for n in 0..50 {
            output.take(format!("\tfrom /srv/a/b.rb:{n}:in `c'\n").as_bytes());
        }
        output.take(b"it ends\n");
        let last = output.last_words();
        assert_eq!((last.len(), last[0].as_str(), last[4].as_str()), (5, "oh no (RuntimeError)", "it ends"));
    }

    #[test]
    fn no_more_is_kept_than_there_is_room_for() {
        let output = Output::kept(10);
        output.take(b"0123456");
        output.take(b"789abc");
        output.take(b"def");
        assert_eq!((output.offset(), output.into_kept()), (10, b"0123456789".to_vec()));
    }
}
