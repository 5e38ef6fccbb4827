//! What the launcher of a script is told, and what is noted down in a job's unit: two small formats between the agent and
//! what runs there.

use std::io;

use serde::{Deserialize, Serialize};

/// The credential with a [`Launch`].
pub(crate) const LAUNCH: &str = "launch";
/// The credential with the script itself.
pub(crate) const SCRIPT: &str = "script";

/// How a script is to be run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Launch {
    /// The job.
    pub(crate) id: String,
    /// The host, as HMS knows it.
    pub(crate) host: String,
    /// The script's name.
    pub(crate) script: String,
    /// The hash that its content must have.
    pub(crate) sha256: String,
    /// Its arguments.
    pub(crate) arguments: Vec<String>,
    /// Its part of the environment.
    pub(crate) environment: Vec<(String, String)>,
    /// How much of its output is kept, in bytes.
    pub(crate) output_limit: u64,
}

/// One line of the notes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Note {
    /// The script is about to be started. Microseconds since the epoch.
    Began(i64),
    /// From here on, output is not kept. Says why, unless there was just too much of it.
    Dropping(String),
    /// The script could not be run. Says why.
    Failed(String),
    /// The script has ended.
    Ended(End),
    /// The unit is over: the last process of the job is gone.
    Over(Over),
}

/// How a script ended, as its parent saw it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct End {
    /// When, in microseconds since the epoch.
    pub(crate) at: i64,
    /// Exit status, or the signal.
    pub(crate) status: i32,
    /// Whether it was a signal.
    pub(crate) killed_by_signal: bool,
    /// Memory of its largest process, in bytes.
    pub(crate) peak_memory: u64,
    /// CPU time of all its processes, in microseconds.
    pub(crate) cpu_usec: u64,
}

/// What systemd tells about the end of a unit (systemd.exec(5), `$SERVICE_RESULT`), and what its cgroup counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Over {
    /// When, in microseconds since the epoch.
    pub(crate) at: i64,
    /// success, exit-code, signal, timeout, oom-kill, ...
    pub(crate) result: String,
    /// exited, killed, dumped.
    pub(crate) code: String,
    /// Exit status, or the signal's name.
    pub(crate) status: String,
    /// Most memory in use at one time, where the kernel counts it.
    pub(crate) peak_memory: Option<u64>,
    /// CPU time, where the kernel counts it.
    pub(crate) cpu_usec: Option<u64>,
}

/// The notes of one job, as far as they were written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Notes {
    /// When the script was started. `None`: the launcher did not come so far.
    pub(crate) began: Option<i64>,
    /// Set when output was dropped.
    pub(crate) dropping: Option<String>,
    /// Set when the script could not be run.
    pub(crate) failed: Option<String>,
    /// Set when it has ended.
    pub(crate) ended: Option<End>,
    /// Set when nothing of the job is left.
    pub(crate) over: Option<Over>,
}

impl Notes {
    /// Reads notes. A line that was cut short, or is not a note, says nothing; of two, the first counts.
    pub(crate) fn parse(text: &[u8]) -> Self {
        let mut notes = Self::default();
        for line in text.split(|b| *b == b'\n') {
            match serde_json::from_slice(line) {
                Ok(Note::Began(at)) => drop(notes.began.get_or_insert(at)),
                Ok(Note::Dropping(why)) => drop(notes.dropping.get_or_insert(why)),
                Ok(Note::Failed(why)) => drop(notes.failed.get_or_insert(why)),
                Ok(Note::Ended(end)) => drop(notes.ended.get_or_insert(end)),
                Ok(Note::Over(over)) => drop(notes.over.get_or_insert(over)),
                Err(_) => {}
            }
        }
        notes
    }
}

/// Takes notes, one a line.
pub(crate) struct Notebook<W>(pub(crate) W);

impl<W: io::Write> Notebook<W> {
    /// Takes one. On a full disk there is nobody to tell.
    pub(crate) fn write(&mut self, note: &Note) {
        let Ok(mut line) = serde_json::to_vec(note) else { return };
        line.push(b'\n');
        drop(self.0.write_all(&line).and_then(|()| self.0.flush()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_read_as_far_as_they_were_written() {
        let end = End { status: 3, cpu_usec: 5, ..End::default() };
        let mut text = Vec::new();
        for note in [Note::Began(7), Note::Dropping(String::new()), Note::Ended(end)] {
            text.extend(serde_json::to_vec(&note).unwrap());
            text.push(b'\n');
        }
        let all = Notes::parse(&text);
        assert_eq!((all.began, all.dropping.as_deref(), all.ended), (Some(7), Some(""), Some(end)));
        let cut = Notes::parse(&text[..text.len() - 5]);
        assert_eq!((cut.began, cut.ended), (Some(7), None));
        assert_eq!(Notes::parse(b"\xff\n{}\nnull\n"), Notes::default());
    }
}
