//! hms-journal against journalctl, on journals that systemd itself wrote: the same entries, in the same order, with the same
//! cursors. And on damaged ones: no panic, no hang.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use hms_journal::{Filter, Journal, Step};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tempfile::TempDir;

const UNITS: [&str; 6] =
    ["puma-cigar.service", "nginx.service", "cron.service", "ssh.service", "init.scope", "x@1.service"];

/// Journals of several boots in several files, made by systemd-journal-remote from its export format.
fn journals(form: &[(&str, &str)]) -> Result<TempDir> {
    let folder = tempfile::tempdir()?;
    let mut random = StdRng::seed_from_u64(7);
    let mut clock = 1_790_000_000_000_000_u64;
    for file in 0..3 {
        let mut export = Vec::new();
        let (boot, mut monotonic) = (random.random::<u128>(), 1_000_000_u64);
        for _ in 0..700 {
            let step = random.random_range(1..400_000);
            clock += step;
            monotonic += step;
            entry(&mut export, &mut random, boot, (clock, monotonic))?;
        }
        let path = folder.path().join(format!("file{file}.journal"));
        let mut command = Command::new("/usr/lib/systemd/systemd-journal-remote");
        command.args(["-o", &path.to_string_lossy(), "-"]).envs(form.iter().copied());
        let mut child = command.stdin(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        child.stdin.take().context("stdin")?.write_all(&export)?;
        ensure!(child.wait()?.success(), "systemd-journal-remote failed");
    }
    Ok(folder)
}

fn entry(out: &mut Vec<u8>, random: &mut StdRng, boot: u128, (clock, monotonic): (u64, u64)) -> Result<()> {
    let unit = UNITS[random.random_range(0..UNITS.len())];
    let mut text =
        format!("__REALTIME_TIMESTAMP={clock}\n__MONOTONIC_TIMESTAMP={monotonic}\n_BOOT_ID={boot:032x}\n");
    writeln!(
        text,
        "PRIORITY={}\n_PID={}\n_UID={}",
        random.random_range(0..8),
        random.random_range(1..3),
        random.random_range(0..2)
    )?;
    writeln!(text, "_SYSTEMD_UNIT={unit}\nSYSLOG_IDENTIFIER={unit}")?;
    if random.random_bool(0.1) {
        writeln!(text, "UNIT={}", UNITS[random.random_range(0..UNITS.len())])?;
    }
    if random.random_bool(0.05) {
        writeln!(text, "OBJECT_SYSTEMD_UNIT={}", UNITS[random.random_range(0..UNITS.len())])?;
    }
    out.extend_from_slice(text.as_bytes());
    let length = *[3_usize, 40, 700, 9000].get(random.random_range(0..4)).context("length")?;
    // Not UTF-8, with a line break: the export format has the length of such a field in front.
    let message: Vec<u8> =
        (0..length).map(|n| if n % 50 == 49 { b'\n' } else { random.random_range(30..=255) }).collect();
    out.extend_from_slice(b"MESSAGE\n");
    out.extend_from_slice(&(message.len() as u64).to_le_bytes());
    out.extend_from_slice(&message);
    out.extend_from_slice(b"\n\n");
    Ok(())
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
