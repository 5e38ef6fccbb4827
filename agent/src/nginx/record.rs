//! What the agent remembers of changes, on its disk: the one under way or waiting, how the last ones ended, and the last
//! configuration that was good.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use hms_proto::{
    fault::{Fault, FaultKind},
    host::v1::{NginxOutcome, PendingNginx},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    change::Edit,
    folder::{Entry, Folder, Node},
};

const OUTCOMES_MAX: usize = 200;

/// How far a change is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Phase {
    /// Files may be old or new.
    Swapping,
    /// All are new, and somebody has to confirm.
    Waiting,
}

/// A change that is not over.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Change {
    pub(crate) id: String,
    pub(crate) actor: String,
    pub(crate) reason: String,
    pub(crate) phase: Phase,
    pub(crate) began_usec: i64,
    /// For `Waiting`.
    pub(crate) deadline_usec: i64,
    /// Whether nginx ran before.
    pub(crate) was_running: bool,
    pub(crate) edits: Vec<Saved>,
}

/// One edit, with both sides.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Saved {
    path: String,
    before: Option<SavedNode>,
    after: Option<SavedNode>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SavedNode {
    File { text: String, mode: u32 },
    Link { target: String },
}

impl SavedNode {
    fn of(entry: &Entry) -> Result<Self, Fault> {
        match &entry.node {
            Node::File(content) => match String::from_utf8(content.to_vec()) {
                Ok(text) => Ok(Self::File { text, mode: entry.mode }),
                Err(_) => Err(Fault::invalid("a file that is not text in UTF-8 cannot be changed here")),
            },
            Node::Link(target) => Ok(Self::Link { target: target.clone() }),
            Node::Other => Err(Fault::invalid("only files and links can be changed here")),
        }
    }

    fn entry(&self) -> Entry {
        match self {
            Self::File { text, mode } => Entry { mode: *mode, ..Entry::file(text.as_bytes()) },
            Self::Link { target } => Entry::link(target.clone()),
        }
    }
}

impl Saved {
    /// As it is written down.
    pub(crate) fn of(edit: &Edit) -> Result<Self, Fault> {
        let node = |entry: &Option<Entry>| entry.as_ref().map(SavedNode::of).transpose();
        Ok(Self { path: edit.path.clone(), before: node(&edit.before)?, after: node(&edit.after)? })
    }
}

impl Change {
    /// The edits.
    pub(crate) fn edits(&self) -> Vec<Edit> {
        let entry = |node: &Option<SavedNode>| node.as_ref().map(SavedNode::entry);
        let edit =
            |s: &Saved| Edit { path: s.path.clone(), before: entry(&s.before), after: entry(&s.after) };
        self.edits.iter().map(edit).collect()
    }

    /// Paths that it touches.
    pub(crate) fn paths(&self) -> Vec<String> {
        self.edits.iter().map(|s| s.path.clone()).collect()
    }

    /// As the contract has it.
    pub(crate) fn pending(&self) -> PendingNginx {
        PendingNginx {
            id: self.id.clone(),
            actor: self.actor.clone(),
            reason: self.reason.clone(),
            paths: self.paths(),
            applied_usec: self.began_usec,
            deadline_usec: self.deadline_usec,
        }
    }

    /// How it ended.
    pub(crate) fn outcome(&self, result: &str, detail: impl Into<String>) -> Outcome {
        Outcome {
            id: self.id.clone(),
            actor: self.actor.clone(),
            reason: self.reason.clone(),
            paths: self.paths(),
            time_usec: crate::now_usec(),
            result: result.to_owned(),
            detail: detail.into().chars().take(2000).collect(),
        }
    }
}

/// How a change ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) id: String,
    pub(crate) actor: String,
    pub(crate) reason: String,
    pub(crate) paths: Vec<String>,
    pub(crate) time_usec: i64,
    pub(crate) result: String,
    pub(crate) detail: String,
}

impl Outcome {
    /// As the contract has it.
    pub(crate) fn message(&self) -> NginxOutcome {
        NginxOutcome {
            id: self.id.clone(),
            actor: self.actor.clone(),
            reason: self.reason.clone(),
            paths: self.paths.clone(),
            time_usec: self.time_usec,
            result: self.result.clone(),
            detail: self.detail.clone(),
        }
    }
}

/// The last configuration that nginx took without complaint.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Good {
    pub(crate) sha256: String,
    /// Texts by path.
    pub(crate) files: BTreeMap<String, String>,
}

/// The folder with these records.
#[derive(Debug, Clone)]
pub(crate) struct Records {
    folder: PathBuf,
}

impl Records {
    /// Below this folder, which is made.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// Where they are.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The change that is not over.
    pub(crate) fn change(&self) -> Result<Option<Change>, Fault> {
        self.read("change.json")
    }

    /// Writes it down before its first step.
    pub(crate) fn set_change(&self, change: &Change) -> Result<(), Fault> {
        self.write("change.json", change)
    }

    /// Writes how the change under way ended; after this there is none.
    pub(crate) fn end(&self, outcome: Outcome) -> Result<(), Fault> {
        self.add(outcome)?;
        super::fail::point("outcome");
        self.forget()
    }

    /// Removes the change under way: its outcome is known.
    pub(crate) fn forget(&self) -> Result<(), Fault> {
        let removed = match fs::remove_file(self.folder.join("change.json")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => File::open(&self.folder).and_then(|folder| folder.sync_all()),
        };
        removed.map_err(|e| disk(&e))
    }

    /// Adds an outcome.
    pub(crate) fn add(&self, outcome: Outcome) -> Result<(), Fault> {
        let mut all = self.outcomes()?;
        all.push(outcome);
        let surplus = all.len().saturating_sub(OUTCOMES_MAX);
        all.drain(..surplus);
        self.write("outcomes.json", &all)
    }

    /// How the last changes ended, oldest first.
    pub(crate) fn outcomes(&self) -> Result<Vec<Outcome>, Fault> {
        Ok(self.read("outcomes.json")?.unwrap_or_default())
    }

    /// The last good configuration.
    pub(crate) fn good(&self) -> Option<Good> {
        self.read("good.json").ok().flatten()
    }

    /// Takes this configuration as the last good one. Without it nothing is lost but the way back.
    pub(crate) fn set_good(&self, folder: &Folder) {
        let texts = folder.entries.iter().filter(|(_, entry)| !super::view::is_secret(entry)).filter_map(
            |(path, entry)| Some((path.clone(), String::from_utf8(entry.content()?.to_vec()).ok()?)),
        );
        let good = Good { sha256: folder.sha256(), files: texts.collect() };
        if let Err(fault) = self.write("good.json", &good) {
            tracing::warn!(reason = fault.message, "cannot keep the last good configuration");
        }
    }

    /// Files that were moved out of nginx's sight.
    pub(crate) fn quarantined(&self) -> BTreeSet<String> {
        self.read("quarantined.json").ok().flatten().unwrap_or_default()
    }

    /// Notes them.
    pub(crate) fn set_quarantined(&self, paths: &BTreeSet<String>) -> Result<(), Fault> {
        self.write("quarantined.json", paths)
    }

    /// Keeps a text that would be lost otherwise, and says where.
    pub(crate) fn keep(&self, id: &str, path: &str, text: &[u8]) -> Option<PathBuf> {
        let folder = self.folder.join("kept");
        DirBuilder::new().recursive(true).mode(0o700).create(&folder).ok()?;
        let file = folder.join(format!("{id}-{}", path.replace('/', "-")));
        fs::write(&file, text).ok()?;
        Some(file)
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Fault> {
        match fs::read(self.folder.join(name)) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|e| disk(&io::Error::other(format!("{name}: {e}")))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(disk(&error)),
        }
    }

    fn write<T: Serialize>(&self, name: &str, value: &T) -> Result<(), Fault> {
        self.replace(name, value).map_err(|e| disk(&e))
    }

    fn replace<T: Serialize>(&self, name: &str, value: &T) -> io::Result<()> {
        let bytes = serde_json::to_vec(value)?;
        let temporary = self.folder.join(format!("{name}.new"));
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        let written = file.write_all(&bytes).and_then(|()| file.sync_all());
        if let Err(error) = written {
            drop(fs::remove_file(&temporary));
            return Err(error);
        }
        fs::rename(&temporary, self.folder.join(name))?;
        File::open(&self.folder)?.sync_all()
    }
}

fn disk(error: &io::Error) -> Fault {
    Fault::new(
        FaultKind::Unavailable,
        format!("the agent's records below /var/lib/hms-agent/nginx cannot be used: {error}"),
    )
    .hint("Is the disk full?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_survives_the_way_to_the_disk_and_back() {
        let folder = tempfile::tempdir().unwrap();
        let records = Records::open(folder.path()).unwrap();
        assert!(records.change().unwrap().is_none());
        let edit = Edit {
            path: "sites-enabled/x".into(),
            before: Some(Entry::file("a\u{1f980}")),
            after: Some(Entry::link("../sites-available/x")),
        };
        let change = Change {
            id: "i".into(),
            actor: "ada".into(),
            reason: String::new(),
            phase: Phase::Swapping,
            began_usec: 1,
            deadline_usec: 0,
            was_running: true,
            edits: vec![Saved::of(&edit).unwrap()],
        };
        records.set_change(&change).unwrap();
        assert_eq!(records.change().unwrap().unwrap().edits(), [edit]);
        records.end(change.outcome("applied", "")).unwrap();
        assert!(records.change().unwrap().is_none());
        assert_eq!(records.outcomes().unwrap().len(), 1);
        for _ in 0..OUTCOMES_MAX {
            records.add(change.outcome("applied", "")).unwrap();
        }
        assert_eq!(records.outcomes().unwrap().len(), OUTCOMES_MAX);
    }
}
