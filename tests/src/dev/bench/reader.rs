//! `./dev bench reader`: hms-journal in this process against journalctl, on the same files. What is lost on the way to a client
//! is in the rows of the whole path.

use std::hint::black_box;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use hms_journal::{Filter, Journal, Search, Step};

use super::million::{self, UNIT};
use super::table::{Table, median};

const HOUR: u64 = 3_600_000_000;
const RARE: &[u8] = b"PaymentGatewayTimeout";
const RUNS: usize = 5;

/// Reads the same in both ways.
pub(crate) fn run() -> Result<()> {
    let (folder, end) = million::journal()?;
    let mut table = Table::default();
    let since = end - 72 * HOUR;
    let at = |usec: u64| format!("@{}.{:06}", usec / 1_000_000, usec % 1_000_000);
    let (from, to) = (at(since), at(since + HOUR));
    let unit = ["--unit", UNIT];
    let mut row = |work: &str, ours: &mut dyn FnMut(&Path) -> u64, theirs: &[&str]| -> Result<()> {
        let (mut a, mut b) = (Vec::new(), Vec::new());
        for number in 0..=RUNS {
            let begun = Instant::now();
            ensure!(black_box(ours(&folder)) > 0, "{work}: nothing was found");
            let one = begun.elapsed();
            let other = journalctl(&folder, theirs)?;
            if number > 0 {
                a.push(one);
                b.push(other);
            }
        }
        table.compare(&format!("the reader alone: {work}"), median(a), "journalctl -o json", median(b));
        Ok(())
    };
    row("the last 100 of a unit", &mut |f| last(f, 100), &[&unit[..], &["-n", "100"]].concat())?;
    let mut hour = |folder: &Path| {
        let mut journal = open(folder, Filter::unit(UNIT));
        journal.seek_time(since);
        read(&mut journal, since + HOUR)
    };
    row("one hour of a unit", &mut hour, &[&unit[..], &["--since", &from, "--until", &to]].concat())?;
    let pattern = ["--grep", "PaymentGatewayTimeout"];
    row("a rare pattern in a unit", &mut |f| search(f, Filter::unit(UNIT)), &[unit, pattern].concat())?;
    row("a rare pattern in everything", &mut |f| search(f, Filter::All), &pattern)?;
    row("all 306,000 of a unit", &mut |f| read(&mut open(f, Filter::unit(UNIT)), u64::MAX), &unit)?;
    let counted = [&unit[..], &["--output-fields=PRIORITY"]].concat();
    row("a histogram of a unit", &mut |f| count(f, end), &counted)?;
    table.publish()
}

fn journalctl(folder: &Path, arguments: &[&str]) -> Result<Duration> {
    let begun = Instant::now();
    let mut command = Command::new("journalctl");
    command.arg(format!("--directory={}", folder.display())).args(["--quiet", "--no-pager", "-o", "json"]);
    // Into a pipe that is read: /dev/null would spare it the writing.
    let mut child = command.args(arguments).stdout(Stdio::piped()).spawn()?;
    if let Some(mut out) = child.stdout.take() {
        std::io::copy(&mut out, &mut std::io::sink())?;
    }
    ensure!(child.wait()?.success(), "journalctl {arguments:?} failed");
    Ok(begun.elapsed())
}

fn open(folder: &Path, filter: Filter) -> Journal {
    Journal::open(vec![folder.to_owned()], filter)
}

/// Reads the fields that are shown; gives how many bytes they have.
fn read(journal: &mut Journal, until: u64) -> u64 {
    static NAMES: [&[u8]; 5] = [b"MESSAGE", b"PRIORITY", b"_PID", b"SYSLOG_IDENTIFIER", b"_SYSTEMD_UNIT"];
    let mut bytes = 0;
    while let Some(step) = journal.next() {
        let Step::Entry(entry) = step else { continue };
        if entry.cursor.realtime > until {
            break;
        }
        journal.fields_of(&entry, &NAMES, |_, value| bytes += value.len() as u64).ok();
        bytes += black_box(entry.cursor.to_string()).len() as u64;
    }
    bytes
}

fn last(folder: &Path, most: usize) -> u64 {
    let mut journal = open(folder, Filter::unit(UNIT));
    journal.seek_tail();
    let mut first = None;
    for _ in 0..most {
        if let Some(Step::Entry(entry)) = journal.previous() {
            first = Some(entry.cursor);
        }
    }
    if let Some(first) = first {
        journal.seek_before(&first);
    }
    read(&mut journal, u64::MAX)
}

fn search(folder: &Path, filter: Filter) -> u64 {
    let mut journal = open(folder, filter);
    let finder = memchr::memmem::Finder::new(RARE).into_owned();
    journal.search(Search::new(move |message| finder.find(message).is_some(), || true));
    journal.seek_tail();
    std::iter::from_fn(|| journal.previous()).count() as u64
}

fn count(folder: &Path, end: u64) -> u64 {
    let start = end - 7 * 24 * HOUR;
    let times: Vec<u64> = (0..=60).map(|n| start + n * 7 * 24 * HOUR / 60).collect();
    let kinds: Vec<_> =
        (0..8).map(|p| Filter::field("PRIORITY", &p.to_string())).chain([Filter::All]).collect();
    let (counts, _) = open(folder, Filter::unit(UNIT)).count(&times, &kinds);
    counts.iter().filter_map(|of| of.last()).sum()
}
