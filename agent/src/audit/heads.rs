//! Heads of the controller's audit chain that this host has seen. They are only ever added: who writes the controller's
//! database anew, or cuts it, has these against them.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use hms_proto::host::v1::ChainHead;
use serde::{Deserialize, Serialize};

use super::now_usec;

/// Of more heads than this, the older half is thinned out.
const MOST: usize = 2_000;
/// Alarms beyond these say nothing new.
const ALARMS: usize = 64;
/// More is no file of ours.
const FILE_MAX: u64 = 4 * 1024 * 1024;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    seq: i64,
    hash: String,
    time_usec: u64,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    alarm: String,
}

/// The heads, oldest first, and the file that they are in.
#[derive(Debug)]
pub(super) struct Heads {
    path: PathBuf,
    heads: Vec<Head>,
}

impl Heads {
    /// Reads what was kept. A line that a crash cut short is passed over.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        let path = folder.join("heads.jsonl");
        let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&path)?;
        let lines = BufReader::new(file).take(FILE_MAX).split(b'\n');
        let heads = lines.filter_map(|line| serde_json::from_slice(&line.ok()?).ok()).collect();
        let mut heads = Self { path, heads };
        // What is added next must not go on in a line that was cut short.
        heads.rewrite()?;
        Ok(heads)
    }

    /// Keeps a head, on the disk. The answer says why it contradicts an earlier one; empty: it does not.
    pub(super) fn keep(&mut self, seq: i64, hash: &str) -> io::Result<String> {
        let alarm = self.contradiction(seq, hash).unwrap_or_default();
        if self.heads.iter().any(|head| head.seq == seq && head.hash == hash) {
            return Ok(alarm);
        }
        if !alarm.is_empty() && self.heads.iter().filter(|head| !head.alarm.is_empty()).count() >= ALARMS {
            return Ok(alarm);
        }
        let head = Head { seq, hash: hash.to_owned(), time_usec: now_usec(), alarm: alarm.clone() };
        let mut file = OpenOptions::new().append(true).open(&self.path)?;
        write(&mut file, &head)?;
        file.sync_data()?;
        self.heads.push(head);
        if self.heads.len() > MOST {
            self.thin_out();
            self.rewrite()?;
        }
        Ok(alarm)
    }

    fn contradiction(&self, seq: i64, hash: &str) -> Option<String> {
        let sound = || self.heads.iter().filter(|head| head.alarm.is_empty());
        if sound().any(|head| head.seq == seq && head.hash != hash) {
            return Some(format!("row {seq} had another hash: the chain was made anew"));
        }
        let newest = sound().map(|head| head.seq).max().filter(|newest| *newest > seq)?;
        Some(format!("the chain went up to row {newest} already, and now ends at {seq}"))
    }

    /// Alarms stay, and of the older half of the others each second one.
    fn thin_out(&mut self) {
        let half = self.heads.len() / 2;
        let mut index = 0;
        self.heads.retain(|head| {
            index += 1;
            index > half || !head.alarm.is_empty() || index % 2 == 0
        });
    }

    fn rewrite(&mut self) -> io::Result<()> {
        let new = self.path.with_extension("new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        self.heads.iter().try_for_each(|head| write(&mut file, head))?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        match self.path.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }

    /// The newest ones first.
    pub(super) fn newest(&self, limit: usize) -> Vec<ChainHead> {
        let told = |head: &Head| ChainHead {
            seq: head.seq,
            hash: head.hash.clone(),
            time_usec: i64::try_from(head.time_usec).unwrap_or(i64::MAX),
            alarm: head.alarm.clone(),
        };
        self.heads.iter().rev().take(limit).map(told).collect()
    }
}

fn write(file: &mut File, head: &Head) -> io::Result<()> {
    let mut line = serde_json::to_vec(head)?;
    line.push(b'\n');
    file.write_all(&line)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Security case 113: a chain that was cut or made anew is an alarm, and takes nothing away.
    #[test]
    fn a_head_that_contradicts_is_kept_as_an_alarm() {
        let folder = tempfile::tempdir().unwrap();
        let mut heads = Heads::open(folder.path()).unwrap();
        assert_eq!(heads.keep(5, "a").unwrap(), "");
        assert_eq!(heads.keep(9, "b").unwrap(), "");
        assert_eq!(heads.keep(9, "b").unwrap(), "", "the same again is no news");
        assert!(heads.keep(9, "x").unwrap().contains("made anew"));
        assert!(heads.keep(7, "c").unwrap().contains("up to row 9"));
        assert!(heads.keep(7, "c").unwrap().contains("up to row 9"), "the alarm is given again");
        fs::write(folder.path().join("tail"), "").unwrap();
        let mut torn = OpenOptions::new().append(true).open(folder.path().join("heads.jsonl")).unwrap();
        torn.write_all(b"{\"seq\":99").unwrap();
        let mut heads = Heads::open(folder.path()).unwrap();
        assert_eq!(heads.keep(10, "d").unwrap(), "");
        let seen: Vec<_> = heads.newest(9).into_iter().map(|h| (h.seq, h.hash, h.alarm.is_empty())).collect();
        let expected = [(10, "d", true), (7, "c", false), (9, "x", false), (9, "b", true), (5, "a", true)];
        assert_eq!(seen, expected.map(|(seq, hash, sound)| (seq, hash.to_owned(), sound)));
    }

    #[test]
    fn the_file_is_bounded_and_the_newest_heads_stay() {
        let folder = tempfile::tempdir().unwrap();
        let mut heads = Heads::open(folder.path()).unwrap();
        heads.heads =
            (1..=2_000).map(|seq| Head { seq, hash: "h".into(), time_usec: 1, alarm: "".into() }).collect();
        heads.keep(2_001, "h").unwrap();
        assert!(heads.heads.len() < 1_600);
        let again = Heads::open(folder.path()).unwrap();
        assert_eq!(again.heads, heads.heads);
        assert_eq!(again.newest(1)[0].seq, 2_001);
    }
}
