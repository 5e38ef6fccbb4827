//! hms-journal against journalctl, on journals that systemd itself wrote: the same entries, in the same order, with the same
//! cursors. And on damaged ones: no panic, no hang.

use std::collections::HashSet;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use hms_journal::{Filter, Journal, Search, Step};
use hms_tests::journals::{self, UNITS, write};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tempfile::TempDir;

/// Journals of several boots in several files.
fn journals(form: &[(&str, &str)]) -> Result<TempDir> {
    journals::small(form, 700)
}

/// What journalctl gives: cursors.
fn journalctl(folder: &Path, arguments: &[&str]) -> Result<Vec<String>> {
    let output = Command::new("journalctl")
        .arg(format!("--directory={}", folder.display()))
        .args(["--output=json", "--output-fields=PRIORITY", "--no-pager", "--quiet"])
        .args(arguments)
        .output()?;
    let lines = output.stdout.split(|b| *b == b'\n').filter(|line| !line.is_empty());
    let cursor = |line: &[u8]| -> Result<String> {
        let entry: serde_json::Value = serde_json::from_slice(line)?;
        Ok(entry["__CURSOR"].as_str().context("a cursor")?.to_owned())
    };
    lines.map(cursor).collect()
}

fn forward(journal: &mut Journal) -> Vec<String> {
    std::iter::from_fn(|| journal.next()).filter_map(cursor).collect()
}

fn backward(journal: &mut Journal) -> Vec<String> {
    std::iter::from_fn(|| journal.previous()).filter_map(cursor).collect()
}

fn cursor(step: Step) -> Option<String> {
    match step {
        Step::Entry(entry) => Some(entry.cursor.to_string()),
        Step::Damage(_) => None,
    }
}

/// Says where two lists begin to differ, rather than all of them.
fn same_cursors(ours: &[String], theirs: &[String]) -> Result<()> {
    let differs = (0..ours.len().max(theirs.len())).find(|n| ours.get(*n) != theirs.get(*n));
    match differs {
        None => Ok(()),
        Some(n) => bail!(
            "entry {n} of {} is {:?}, and {:?} of {} for journalctl",
            ours.len(),
            ours.get(n),
            theirs.get(n),
            theirs.len()
        ),
    }
}

fn open(folder: &Path, filter: Filter) -> Journal {
    Journal::open(vec![folder.to_owned()], filter)
}

#[test]
fn the_same_entries_in_the_same_order_with_the_same_cursors_as_journalctl() -> Result<()> {
    for form in [
        &[][..],
        &[("SYSTEMD_JOURNAL_KEYED_HASH", "0")],
        &[("SYSTEMD_JOURNAL_COMPACT", "0")],
        &[("SYSTEMD_JOURNAL_COMPRESS", "LZ4")],
        &[("SYSTEMD_JOURNAL_COMPRESS", "XZ")],
    ] {
        let folder = journals(form)?;
        let at = folder.path();
        let all = journalctl(at, &[])?;
        ensure!(all.len() == 2100, "{form:?}: journalctl gives {}", all.len());
        same_cursors(&forward(&mut open(at, Filter::All)), &all).with_context(|| format!("{form:?}"))?;
        let mut back = open(at, Filter::All);
        back.seek_tail();
        let mut turned = backward(&mut back);
        turned.reverse();
        same_cursors(&turned, &all).with_context(|| format!("{form:?}"))?;
        for unit in UNITS {
            let same = journalctl(at, &["--unit", unit])?;
            same_cursors(&forward(&mut open(at, Filter::unit(unit))), &same)
                .with_context(|| format!("{unit} {form:?}"))?;
        }
        let severe = Filter::And(vec![Filter::unit(UNITS[0]), Filter::priority(3)]);
        let same = journalctl(at, &["--unit", UNITS[0], "--priority=3"])?;
        same_cursors(&forward(&mut open(at, severe)), &same).with_context(|| format!("{form:?}"))?;
        let (mut after, of_unit) = (open(at, Filter::unit(UNITS[1])), journalctl(at, &["--unit", UNITS[1]])?);
        for index in [0, 1, 699, 700, 1400, 2099] {
            ensure!(after.seek_cursor(&all[index].parse()?), "{} is there", all[index]);
            // `--after-cursor` itself leaves out the first match when the cursor's entry is not one.
            let behind: HashSet<_> = all[index + 1..].iter().collect();
            let same: Vec<_> = of_unit.iter().filter(|cursor| behind.contains(cursor)).cloned().collect();
            same_cursors(&forward(&mut after), &same).with_context(|| format!("after {index} {form:?}"))?;
        }
        let mut since = open(at, Filter::All);
        since.seek_time(1_790_000_200_000_000);
        same_cursors(&forward(&mut since), &journalctl(at, &["--since=@1790000200"])?)
            .with_context(|| format!("{form:?}"))?;
    }
    Ok(())
}

/// The whole message, whatever it is made of and however it is stored.
#[test]
fn messages_are_read_as_they_were_written() -> Result<()> {
    for form in ["ZSTD", "LZ4", "XZ"] {
        let folder = journals(&[("SYSTEMD_JOURNAL_COMPRESS", form)])?;
        let output = Command::new("journalctl")
            .arg(format!("--directory={}", folder.path().display()))
            .args(["--output=export", "--no-pager", "--quiet", "--output-fields=MESSAGE"])
            .output()?;
        let mut journal = open(folder.path(), Filter::All);
        let (mut rest, mut message, mut count) = (output.stdout.as_slice(), Vec::new(), 0);
        while let Some(Step::Entry(entry)) = journal.next() {
            let found = journal.field(&entry, b"MESSAGE", &mut message)?.context("a message")?;
            let mark =
                rest.windows(8).position(|w| w == b"MESSAGE\n" || w == b"MESSAGE=").context("a message")?;
            rest = &rest[mark + 8..];
            let wanted = match rest.split_first_chunk::<8>() {
                Some((length, text)) if !rest.starts_with(found) => {
                    text.get(..u64::from_le_bytes(*length) as usize).context("the message")?
                }
                _ => rest.get(..found.len()).context("the message")?,
            };
            ensure!(found == wanted, "{form}: entry {count} has another message");
            rest = &rest[found.len()..];
            count += 1;
        }
        assert_eq!(count, 2100);
    }
    Ok(())
}

/// Numbered entries of one boot, of which many have the same time, as journald writes what it takes at once.
fn numbered(numbers: std::ops::Range<u64>) -> Result<Vec<u8>> {
    let mut export = Vec::new();
    for number in numbers {
        let moment = number / 7;
        writeln!(export, "__REALTIME_TIMESTAMP={}", 1_790_000_000_000_000 + moment)?;
        writeln!(export, "__MONOTONIC_TIMESTAMP={}", 1_000_000 + moment)?;
        writeln!(export, "_BOOT_ID={:032x}\nPRIORITY={}\nMESSAGE=number {number}\n", 7, number % 8)?;
    }
    Ok(export)
}

fn numbers(journal: &mut Journal) -> Vec<u64> {
    let mut message = Vec::new();
    let mut numbers = Vec::new();
    while let Some(step) = journal.next() {
        let Step::Entry(entry) = step else { continue };
        let text = journal.field(&entry, b"MESSAGE", &mut message).ok().flatten().unwrap_or_default();
        numbers.extend(
            String::from_utf8_lossy(text).strip_prefix("number ").and_then(|n| n.parse::<u64>().ok()),
        );
    }
    numbers
}

/// When journald flushes /run to /var, it writes entries anew, with other numbers, in another file.
#[test]
fn entries_that_journald_copied_are_given_once() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (run, var) = (folder.path().join("run"), folder.path().join("var"));
    fs::create_dir(&run)?;
    fs::create_dir(&var)?;
    write(&run.join("system.journal"), &numbered(0..300)?, &[])?;
    let all: Vec<u64> = (0..300).collect();
    let both = || Journal::open(vec![var.clone(), run.clone()], Filter::All);
    for given in [1, 3, 7, 150, 298, 300] {
        // It follows, and has read so far, when the copy appears beside what it was made from.
        let mut follower = both();
        let mut cursors = Vec::new();
        for _ in 0..given {
            if let Some(Step::Entry(entry)) = follower.next() {
                cursors.push(entry.cursor);
            }
        }
        write(&var.join("system.journal"), &numbered(0..310)?, &[])?;
        let last = *cursors.last().context("an entry")?;
        let wanted: Vec<u64> = (given..310).collect();
        let rest = until_quiet(&mut follower);
        ensure!(rest == wanted, "after {given}, a follower got {rest:?}");
        // Somebody who has only the cursor, with both files there and with the copy alone.
        let mut resumed = both();
        ensure!(resumed.seek_cursor(&last), "the entry {given} is there");
        ensure!(numbers(&mut resumed) == wanted, "resumed after {given}, with both files");
        let mut alone = Journal::open(vec![var.clone()], Filter::All);
        ensure!(alone.seek_cursor(&last), "the copy of the entry {given} counts");
        ensure!(numbers(&mut alone) == wanted, "resumed after {given}, with the copy alone");
        ensure!(numbers(&mut both()) == (0..310).collect::<Vec<_>>(), "read anew");
        fs::remove_file(var.join("system.journal"))?;
    }
    ensure!(numbers(&mut both()) == all, "the first file alone");
    Ok(())
}

/// What is given after a look at the folders; those are not looked at each time.
fn until_quiet(journal: &mut Journal) -> Vec<u64> {
    let mut rest = numbers(journal);
    for _ in 0..600 {
        if journal.refresh() {
            rest.extend(numbers(journal));
        }
    }
    rest
}

#[test]
fn counts_from_the_lists_are_those_of_the_entries() -> Result<()> {
    for form in [&[][..], &[("SYSTEMD_JOURNAL_COMPACT", "0")], &[("SYSTEMD_JOURNAL_KEYED_HASH", "0")]] {
        let folder = journals(form)?;
        for filter in [
            Filter::All,
            Filter::unit(UNITS[0]),
            Filter::And(vec![Filter::unit(UNITS[1]), Filter::priority(4)]),
            Filter::field("_UID", "0"),
            Filter::field("_UID", "none"),
        ] {
            let mut journal = open(folder.path(), filter.clone());
            let (first, last) = journal.span().unwrap_or((1_790_000_000_000_000, 1_790_000_000_000_001));
            let width = (last - first) / 37 + 1;
            let times: Vec<u64> = (0..=37).map(|n| first + n * width).collect();
            let kinds: Vec<_> =
                (0..8).map(|p| Filter::field("PRIORITY", &p.to_string())).chain([Filter::All]).collect();
            let (counts, damage) = journal.count(&times, &kinds);
            ensure!(damage.is_empty(), "{damage:?}");
            let mut wanted = vec![vec![0_u64; 9]; 37];
            journal.seek_head();
            let mut priority = Vec::new();
            while let Some(step) = journal.next() {
                let Step::Entry(entry) = step else { bail!("{step:?}") };
                let bucket = ((entry.cursor.realtime - first) / width) as usize;
                let found = journal.field(&entry, b"PRIORITY", &mut priority)?.context("a priority")?;
                wanted[bucket][usize::from(found[0] - b'0')] += 1;
                wanted[bucket][8] += 1;
            }
            assert_eq!(counts, wanted, "{filter:?} {form:?}");
        }
    }
    Ok(())
}

/// However it is searched, by entries or by whole files, forward or backward: what is found is what each entry says.
#[test]
fn a_search_finds_the_entries_whose_message_matches() -> Result<()> {
    for form in [&[][..], &[("SYSTEMD_JOURNAL_COMPACT", "0")], &[("SYSTEMD_JOURNAL_COMPRESS", "LZ4")]] {
        let folder = journals(form)?;
        let says = |rare: bool| {
            move |message: &[u8]| message.windows(2).any(|w| w[0] == b'7' && (!rare || w[1] == b'e'))
        };
        for (filter, rare) in [
            (Filter::All, true),
            (Filter::All, false),
            (Filter::unit(UNITS[0]), true),
            (Filter::priority(2), false),
        ] {
            let (mut journal, mut wanted, mut message) =
                (open(folder.path(), filter.clone()), Vec::new(), Vec::new());
            while let Some(Step::Entry(entry)) = journal.next() {
                let text = journal.field(&entry, b"MESSAGE", &mut message)?.context("a message")?;
                if says(rare)(text) {
                    wanted.push(entry.cursor.to_string());
                }
            }
            ensure!(!wanted.is_empty() && wanted.len() < 2100, "{} are found", wanted.len());
            for whole in [false, true] {
                let search = Search::new(says(rare), || true);
                let search = if whole { search.of_whole_files() } else { search };
                let mut journal = open(folder.path(), filter.clone());
                journal.search(search);
                same_cursors(&forward(&mut journal), &wanted)
                    .with_context(|| format!("{filter:?} {whole}"))?;
                journal.seek_tail();
                let mut turned = backward(&mut journal);
                turned.reverse();
                same_cursors(&turned, &wanted).with_context(|| format!("{filter:?} {whole} backward"))?;
                let middle = wanted.len() / 2;
                ensure!(journal.seek_cursor(&wanted[middle].parse()?), "it is there");
                same_cursors(&forward(&mut journal), &wanted[middle + 1..])?;
            }
        }
    }
    Ok(())
}

/// A reader walks through any file to an end, and what it gives before the damage is right.
#[test]
fn damaged_files_end_with_a_word_and_never_with_a_panic() -> Result<()> {
    let folder = journals(&[])?;
    let whole = forward(&mut open(folder.path(), Filter::All));
    let path: PathBuf = folder.path().join("file1.journal");
    let sound = fs::read(&path)?;
    let used = sound.iter().rposition(|b| *b != 0).context("content")?;
    let mut random = StdRng::seed_from_u64(11);
    for round in 0..80 {
        let file = fs::OpenOptions::new().write(true).open(&path)?;
        match round % 4 {
            0 => file.set_len(random.random_range(0..used as u64))?,
            // Heads of objects and offsets are mostly hit where zeroes and small numbers are.
            1 => file.write_all_at(&random.random::<[u8; 8]>(), random.random_range(0..512))?,
            _ => {
                for _ in 0..random.random_range(1..200) {
                    let at = random.random_range(0..used as u64) & !7;
                    let value = if random.random() {
                        random.random::<u64>()
                    } else {
                        random.random_range(0..used as u64) & !7
                    };
                    file.write_all_at(&value.to_le_bytes(), at)?;
                }
            }
        }
        drop(file);
        let mut journal = open(folder.path(), Filter::unit(UNITS[0]));
        let mut scratch = Vec::new();
        while let Some(step) = journal.next() {
            if let Step::Entry(entry) = step {
                journal.fields(&entry, |_, _| {}).ok();
                journal.field(&entry, b"MESSAGE", &mut scratch).ok();
            }
        }
        journal.seek_tail();
        let back = backward(&mut journal);
        ensure!(back.len() <= whole.len(), "round {round}: more entries than there are");
        fs::write(&path, &sound)?;
    }
    assert_eq!(forward(&mut open(folder.path(), Filter::All)), whole, "the sound files are as before");
    Ok(())
}
