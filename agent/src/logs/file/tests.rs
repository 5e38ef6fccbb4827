//! Numbered lines through everything that happens to a log: each arrives once and in order, or a gap is told where it is missing.

use std::{
    collections::HashSet,
    fs::{self, File, OpenOptions},
    io::Write as _,
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
    sync::Arc,
    thread,
    time::Duration,
};

use hms_journal::Direction;
use hms_proto::host::v1::{LogKind, LogQuery};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tempfile::TempDir;

use super::*;
use crate::logs::{
    filter::Filter,
    place::{Part, Place},
    source::{Found, Step, Wanted, What},
};

/// A second before the first line; each line is a second later. Seconds since the epoch.
const FIRST: i64 = 1_700_000_000;

/// A log and who writes it.
struct Written {
    folder: TempDir,
    file: File,
    /// Lines so far.
    count: u64,
    /// Files that were copied: once they are compressed, nothing tells that what they were copied from was cut off.
    copies: HashSet<u64>,
}

impl Written {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = append(folder.path().join("a.log"));
        Self { folder, file, count: 0, copies: HashSet::new() }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn line(&mut self) -> String {
        self.count += 1;
        let time = chrono::DateTime::from_timestamp(FIRST + self.count as i64, 0).unwrap();
        let time = time.format("%Y-%m-%dT%H:%M:%SZ");
        format!("{time} number {} {}\n", self.count, "x".repeat((self.count * 37 % 90) as usize))
    }

    fn write(&mut self, lines: u64) {
        let text: String = (0..lines).map(|_| self.line()).collect();
        self.file.write_all(text.as_bytes()).unwrap();
    }

    /// Moves each rotated file one number up.
    fn shift(&self, keep: u32) {
        for number in (1..=keep).rev() {
            for end in ["", ".gz"] {
                let from = self.at(&format!("a.log.{number}{end}"));
                match number == keep {
                    true => drop(fs::remove_file(from)),
                    false => drop(fs::rename(from, self.at(&format!("a.log.{}{end}", number + 1)))),
                }
            }
        }
    }

    /// logrotate with `create`; its writer goes on with the old file for a moment.
    fn create(&mut self, keep: u32, late: u64) {
        self.shift(keep);
        fs::rename(self.at("a.log"), self.at("a.log.1")).unwrap();
        let new = append(self.at("a.log"));
        self.write(late);
        self.file = new;
    }

    fn copytruncate(&mut self, keep: u32, between: u64) {
        // Clocks of files are coarse: within one tick, the copy would be as old as what it is copied from.
        thread::sleep(Duration::from_millis(10));
        self.shift(keep);
        fs::copy(self.at("a.log"), self.at("a.log.1")).unwrap();
        self.copies.insert(fs::metadata(self.at("a.log.1")).unwrap().ino());
        self.write(between);
        self.file.set_len(0).unwrap();
    }

    fn delete(&mut self) {
        fs::remove_file(self.at("a.log")).unwrap();
        self.file = append(self.at("a.log"));
    }

    /// Compresses a rotated file, as gzip does: it keeps the time of the last change.
    fn compress(&self, number: u32) {
        let (from, to) = (self.at(&format!("a.log.{number}")), self.at(&format!("a.log.{number}.gz")));
        let Ok(content) = fs::read(&from) else { return };
        if self.copies.contains(&fs::metadata(&from).unwrap().ino()) {
            return;
        }
        let mut out = flate2::write::GzEncoder::new(File::create(&to).unwrap(), flate2::Compression::fast());
        out.write_all(&content).unwrap();
        out.finish().unwrap().set_modified(fs::metadata(&from).unwrap().modified().unwrap()).unwrap();
        fs::remove_file(from).unwrap();
    }

    fn open(&self) -> FileLog {
        self.filtered(LogQuery::default())
    }

    fn filtered(&self, query: LogQuery) -> FileLog {
        let name = LogName {
            id: "app/cigar/a.log".into(),
            kind: LogKind::App,
            folder: Folder::new(self.folder.path(), &[]),
            name: "a.log".into(),
            identifier: "cigar".into(),
        };
        let filter = Arc::new(Filter::try_from(&query).unwrap());
        FileLog::open(name, filter, Wanted::new(|| true)).unwrap()
    }
}

fn append(path: PathBuf) -> File {
    OpenOptions::new().create(true).append(true).open(path).unwrap()
}

/// What arrived: numbers, and gaps in between.
#[derive(Debug, PartialEq, Clone)]
enum Arrived {
    Line(u64),
    Gap(String),
}

fn arrived(step: Step) -> Arrived {
    match step {
        Step::Gap(gap) => Arrived::Gap(gap.reason),
        Step::Found(Found { what: What::Entry(entry), .. }) => {
            Arrived::Line(entry.message.split(' ').nth(2).and_then(|n| n.parse().ok()).unwrap_or(0))
        }
        Step::Found(found) => panic!("{found:?}"),
    }
}

fn drain(log: &mut FileLog, into: &mut Vec<Arrived>) {
    into.extend(std::iter::from_fn(|| log.next(Direction::Forward)).map(arrived));
}

fn poll(log: &mut FileLog, into: &mut Vec<Arrived>) {
    // A file that is gone is looked for only now and then.
    for _ in 0..3 {
        if log.refresh().unwrap() {
            drain(log, into);
        }
    }
}

/// As a reader does after its agent was started anew: all that is left is the place, as text.
fn restarted(written: &Written, log: &mut FileLog) -> FileLog {
    let place = Place(log.place(None, Direction::Forward).unwrap().into_iter().map(Part::File).collect());
    let Some(place) = Place::parse(&place.to_string()).unwrap() else { return written.open() };
    let places = place.0.into_iter().filter_map(|part| match part {
        Part::File(place) => Some(place),
        Part::Journal(..) => None,
    });
    let mut log = written.open();
    log.seek(&places.collect::<Vec<_>>(), Direction::Forward).unwrap();
    log
}

/// Checks that lines are in order, and that a gap is told wherever one is missing.
fn check(all: &[Arrived], count: u64, what: &str) {
    let (mut last, mut gap) = (0, false);
    for one in all {
        match one {
            Arrived::Gap(_) => gap = true,
            Arrived::Line(number) => {
                assert!(*number > last, "{what}: {number} comes after {last}");
                assert!(
                    *number == last + 1 || gap,
                    "{what}: {last} is followed by {number}, and nothing is said"
                );
                (last, gap) = (*number, false);
            }
        }
    }
    assert!(last == count || gap, "{what}: the last is {last} of {count}");
}

fn gaps(all: &[Arrived]) -> usize {
    all.iter().filter(|one| matches!(one, Arrived::Gap(_))).count()
}

fn lines(from: u64, to: u64) -> Vec<Arrived> {
    (from..=to).map(Arrived::Line).collect()
}

#[test]
fn rotation_by_create_loses_nothing_and_says_nothing() {
    let mut written = Written::new();
    let (mut log, mut all) = (written.open(), Vec::new());
    log.seek_head().unwrap();
    written.write(10);
    poll(&mut log, &mut all);
    written.create(9, 3);
    written.write(2);
    poll(&mut log, &mut all);
    // Twice while nobody looks; the one in between is read, too.
    written.write(4);
    written.create(9, 1);
    written.write(4);
    written.create(9, 0);
    written.write(1);
    poll(&mut log, &mut all);
    assert_eq!(all, lines(1, written.count));
}

#[test]
fn who_still_writes_to_a_rotated_file_is_heard() {
    let mut written = Written::new();
    let (mut log, mut all) = (written.open(), Vec::new());
    log.seek_head().unwrap();
    written.write(2);
    poll(&mut log, &mut all);
    written.create(9, 0);
    written.write(1);
    poll(&mut log, &mut all);
    let mut old = append(written.at("a.log.1"));
    old.write_all(written.line().as_bytes()).unwrap();
    let mut again = restarted(&written, &mut log);
    poll(&mut log, &mut all);
    assert_eq!(all, lines(1, 4));
    let mut rest = Vec::new();
    drain(&mut again, &mut rest);
    assert_eq!(rest, lines(4, 4));
}

#[test]
fn files_that_were_compressed_meanwhile_are_gone_on_with() {
    let mut written = Written::new();
    let (mut log, mut all) = (written.open(), Vec::new());
    log.seek_head().unwrap();
    written.write(20);
    poll(&mut log, &mut all);
    written.write(5);
    written.create(9, 0);
    written.compress(1);
    written.write(5);
    written.create(9, 0);
    written.write(5);
    let mut again = restarted(&written, &mut log);
    let mut rest = Vec::new();
    drain(&mut again, &mut rest);
    assert_eq!(rest, lines(21, 35));
    poll(&mut log, &mut all);
    assert_eq!(all, lines(1, 35));
}

#[test]
fn copytruncate_is_told_and_loses_only_what_was_in_no_file() {
    let mut written = Written::new();
    let (mut log, mut all) = (written.open(), Vec::new());
    log.seek_head().unwrap();
    written.write(10);
    poll(&mut log, &mut all);
    written.write(3);
    written.copytruncate(9, 2);
    // As long as it was before: only its content tells that it is another one.
    written.write(30);
    let mut again = restarted(&written, &mut log);
    poll(&mut log, &mut all);
    let wanted = [lines(1, 13), vec![Arrived::Gap("truncated".into())], lines(16, 45)].concat();
    assert_eq!(all, wanted);
    let mut rest = Vec::new();
    drain(&mut again, &mut rest);
    assert_eq!(rest, wanted[10..]);
}

/// logrotate with `copytruncate` and `compress`, seen only when it was done.
#[test]
fn a_copy_that_was_compressed_is_gone_on_with_and_told() {
    let mut written = Written::new();
    let (mut log, mut all) = (written.open(), Vec::new());
    log.seek_head().unwrap();
    written.write(10);
    poll(&mut log, &mut all);
    written.write(3);
    written.copytruncate(9, 2);
    written.copies.clear();
    written.compress(1);
    written.write(30);
    let mut again = restarted(&written, &mut log);
    poll(&mut log, &mut all);
    let wanted = [lines(1, 13), vec![Arrived::Gap("truncated".into())], lines(16, 45)].concat();
    assert_eq!(all, wanted);
    let mut rest = Vec::new();
    drain(&mut again, &mut rest);
    assert_eq!(rest, wanted[10..]);
    // Nothing was read of the log that was cut off: the time of the copy tells that it was.
    let copy = File::options().append(true).open(written.at("a.log.1.gz")).unwrap();
    copy.set_modified(std::time::SystemTime::now() + Duration::from_secs(3600)).unwrap();
    let opened = written.open();
    assert!(opened.is_cut(1) && !opened.is_cut(0));
}

#[test]
fn a_log_that_is_deleted_is_read_to_its_end_by_who_has_it_open() {
    let mut written = Written::new();
    let (mut log, mut all) = (written.open(), Vec::new());
    log.seek_head().unwrap();
    written.write(10);
    poll(&mut log, &mut all);
    written.write(5);
    let mut again = restarted(&written, &mut log);
    written.delete();
    written.write(5);
    let gap = || vec![Arrived::Gap("deleted".into())];
    poll(&mut log, &mut all);
    assert_eq!(all, [lines(1, 15), gap(), lines(16, 20)].concat());
    // Who has only the place finds neither the file nor what came next in it.
    let mut late = restarted(&written, &mut again);
    let mut rest = Vec::new();
    drain(&mut late, &mut rest);
    check(&[lines(1, 10), rest].concat(), 20, "after a deletion");
}

#[test]
fn what_is_longer_than_a_line_may_be_is_cut_and_says_so() {
    let mut written = Written::new();
    let long = "é".repeat(900_000);
    for text in ["first\n", &long, "\n", "\u{0}\x1b[31m\n", "last\n"] {
        written.file.write_all(text.as_bytes()).unwrap();
    }
    written.file.write_all(b"not \xff UTF-8\n").unwrap();
    for way in [Direction::Forward, Direction::Backward] {
        let mut log = written.open();
        match way {
            Direction::Forward => log.seek_head().unwrap(),
            Direction::Backward => log.seek_tail().unwrap(),
        }
        let mut found = Vec::new();
        while let Some(Step::Found(Found { what: What::Entry(entry), .. })) = log.next(way) {
            found.push((entry.message.len(), entry.truncated_bytes, entry.message));
        }
        if way == Direction::Backward {
            found.reverse();
        }
        let (length, cut) = (found[1].0 as u64, found[1].1);
        assert!(length <= 1 << 20 && length + cut >= 1_800_000, "{way:?}: {length} and {cut}");
        let texts: Vec<_> = found.iter().map(|(_, _, text)| text.as_str()).collect();
        assert_eq!((found.len(), texts[0], texts[2]), (5, "first", "\u{0}\x1b[31m"));
        assert_eq!(texts[3..], ["last", "not \u{fffd} UTF-8"]);
    }
}

#[test]
fn a_line_is_given_once_it_has_its_end() {
    let mut written = Written::new();
    let (mut log, mut all) = (written.open(), Vec::new());
    log.seek_head().unwrap();
    let line = written.line();
    let (first, second) = line.split_at(25);
    written.file.write_all(first.as_bytes()).unwrap();
    poll(&mut log, &mut all);
    assert_eq!(all, []);
    let mut again = restarted(&written, &mut log);
    written.file.write_all(second.as_bytes()).unwrap();
    for log in [&mut log, &mut again] {
        let mut all = Vec::new();
        poll(log, &mut all);
        assert_eq!(all, lines(1, 1));
    }
    // Whoever died in the middle of a line will not end it.
    written.file.write_all(b"torn").unwrap();
    let long_ago = std::time::SystemTime::now() - Duration::from_secs(60);
    written.file.set_modified(long_ago).unwrap();
    let mut all = Vec::new();
    poll(&mut log, &mut all);
    assert_eq!(all, [Arrived::Line(0)]);
}

#[test]
fn backward_is_forward_from_behind_over_all_files() {
    let mut written = Written::new();
    for _ in 0..4 {
        written.write(3_000);
        written.create(9, 0);
        written.compress(2);
    }
    written.write(3_000);
    let mut log = written.open();
    let mut forward = Vec::new();
    drain(&mut log, &mut forward);
    assert_eq!(forward, lines(1, 15_000));
    log.seek_tail().unwrap();
    let mut backward: Vec<_> = std::iter::from_fn(|| log.next(Direction::Backward)).map(arrived).collect();
    backward.reverse();
    assert_eq!(backward, forward);
    // And from a place in the middle, in both directions.
    for start in [1, 2_999, 3_000, 3_001, 9_000, 14_999] {
        let mut log = written.open();
        let mut place = None;
        for _ in 0..start {
            if let Some(Step::Found(Found { part: Part::File(at), .. })) = log.next(Direction::Forward) {
                place = Some(at);
            }
        }
        let place = [place.unwrap()];
        log.seek(&place, Direction::Forward).unwrap();
        assert_eq!(log.next(Direction::Forward).map(arrived), Some(Arrived::Line(start + 1)));
        log.seek(&place, Direction::Backward).unwrap();
        assert_eq!(log.next(Direction::Backward).map(arrived), lines(1, start - 1).last().cloned());
    }
}

#[test]
fn a_range_of_time_is_found_and_nothing_beside_it() {
    let mut written = Written::new();
    for _ in 0..3 {
        written.write(20_000);
        written.create(9, 0);
    }
    let usec = |line: i64| (FIRST + line) * 1_000_000;
    for (from, to) in [(1, 10), (19_990, 20_010), (40_000, 40_001), (55_555, 60_000)] {
        let query = LogQuery { since_usec: usec(from), until_usec: usec(to), ..LogQuery::default() };
        let mut log = written.filtered(query);
        let wanted = lines(from as u64, to as u64);
        log.seek_time(usec(from) as u64).unwrap();
        let mut found = Vec::new();
        drain(&mut log, &mut found);
        assert_eq!(found, wanted);
        log.seek_back_from(usec(to) as u64 + 1).unwrap();
        let mut found: Vec<_> = std::iter::from_fn(|| log.next(Direction::Backward)).map(arrived).collect();
        found.reverse();
        assert_eq!(found, wanted);
    }
}

#[test]
fn a_damaged_compressed_file_gives_what_is_sound_and_says_the_rest() {
    let mut written = Written::new();
    written.write(5_000);
    written.create(9, 0);
    written.compress(1);
    written.write(1);
    let path = written.at("a.log.1.gz");
    let length = fs::metadata(&path).unwrap().len();
    OpenOptions::new().write(true).open(&path).unwrap().set_len(length / 2).unwrap();
    let mut all = Vec::new();
    drain(&mut written.open(), &mut all);
    assert_eq!(gaps(&all), 1);
    check(&all, 5_001, "damaged");
    assert!(all.len() > 1_000, "{} lines", all.len());
}

/// Writes, rotates in every way, reads and restarts, as a seed has it.
fn storm(seed: u64, breaks: u32, most_lines: u64) -> u64 {
    let mut random = StdRng::seed_from_u64(seed);
    let mut written = Written::new();
    let (mut log, mut all) = (written.open(), Vec::new());
    for _ in 0..breaks {
        for _ in 0..random.random_range(1..4) {
            written.write(random.random_range(0..=most_lines));
            if random.random_bool(0.6) {
                poll(&mut log, &mut all);
            }
        }
        match random.random_range(0..7) {
            0 | 1 => written.create(6, random.random_range(0..3)),
            2 => {
                written.create(6, 0);
                written.compress(1);
            }
            3 => {
                written.create(6, 0);
                written.write(random.random_range(0..=most_lines));
                written.create(6, 1);
                written.compress(2);
            }
            4 => written.copytruncate(6, random.random_range(0..3)),
            5 => {
                // A file that came and went while nobody looked leaves no trace.
                poll(&mut log, &mut all);
                written.write(random.random_range(0..3));
                written.delete();
            }
            _ => {}
        }
        if random.random_bool(0.5) {
            poll(&mut log, &mut all);
        }
        if random.random_bool(0.4) {
            log = restarted(&written, &mut log);
            drain(&mut log, &mut all);
        }
    }
    // A gap is told with what comes after it.
    written.write(1);
    poll(&mut log, &mut all);
    check(&all, written.count, &format!("seed {seed}"));
    let got = all.iter().filter(|one| matches!(one, Arrived::Line(_))).count() as u64;
    assert!(got > written.count / 2, "seed {seed}: {got} of {}", written.count);
    written.count
}

/// Security cases 126 and 127, for files.
#[test]
fn whatever_happens_each_line_arrives_once_or_a_gap_is_told() {
    for seed in 0..30 {
        storm(seed, 25, 60);
    }
}

/// The long form: a million lines and 200 breaks.
#[test]
#[ignore = "takes minutes"]
fn a_million_lines_through_two_hundred_breaks() {
    let lines = storm(4711, 200, 5_000);
    assert!(lines > 900_000, "{lines}");
}
