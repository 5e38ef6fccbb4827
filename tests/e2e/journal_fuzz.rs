//! hms-journal on damaged files: whatever is in them, it comes to an end, and takes no more memory than there is.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use hms_journal::{Cursor, Filter, Journal, Step};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tempfile::TempDir;

use crate::journal::small_journals;

/// Entries of each file: few, so that there are many executions.
const ENTRIES: u32 = 24;
/// More steps than any of these files can have: it goes round in a circle.
const STEPS_MAX: u32 = 200_000;
/// How long the short form goes on.
const SHORT: Duration = Duration::from_secs(20);

/// One file in one of the forms that journald writes, to be damaged.
struct Sound {
    folder: TempDir,
    path: PathBuf,
    content: Vec<u8>,
    /// Where there is anything but zeroes, and where objects begin.
    spots: Vec<u64>,
    cursors: Vec<Cursor>,
}

impl Sound {
    fn new(form: &[(&str, &str)]) -> Result<Self> {
        let made = small_journals(form, ENTRIES)?;
        // In memory: each execution writes to it.
        let folder = TempDir::new_in("/dev/shm")?;
        let path = folder.path().join("system.journal");
        fs::copy(made.path().join("file0.journal"), &path)?;
        let content = fs::read(&path)?;
        let words = content.chunks_exact(8).enumerate();
        let spots =
            words.filter(|(_, word)| word.iter().any(|b| *b != 0)).map(|(n, _)| n as u64 * 8).collect();
        let mut journal = Journal::open(vec![folder.path().to_owned()], Filter::All);
        let steps = std::iter::from_fn(|| journal.next());
        let cursors = steps.filter_map(|step| if let Step::Entry(e) = step { Some(e.cursor) } else { None });
        let cursors = cursors.collect();
        Ok(Self { folder, path, content, spots, cursors })
    }

    /// Damages the file, reads it in every way, and mends it.
    fn execute(&self, file: &File, seed: u64) -> Result<()> {
        let mut random = StdRng::seed_from_u64(seed);
        let mut damaged = Vec::new();
        for _ in 0..random.random_range(1..6) {
            let at = self.spots[random.random_range(0..self.spots.len())];
            let at = if random.random_bool(0.2) { random.random_range(0..272) } else { at };
            let bytes = self.damage(&mut random, at);
            file.write_all_at(&bytes, at)?;
            damaged.push((at, bytes.len()));
        }
        let is_cut = random.random_bool(0.02);
        if is_cut {
            file.set_len(random.random_range(0..self.content.len() as u64))?;
        }
        let read = catch_unwind(AssertUnwindSafe(|| self.read(&mut random)));
        file.set_len(self.content.len() as u64)?;
        if is_cut {
            file.write_all_at(&self.content, 0)?;
        }
        for (at, length) in damaged {
            let end = (at as usize + length).min(self.content.len());
            file.write_all_at(&self.content[at as usize..end], at)?;
        }
        match read {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(error.context(format!("seed {seed}"))),
            Err(_) => bail!("seed {seed}: it panicked"),
        }
    }

    /// What is written over a place: noise, one bit, an offset of something else, or an extreme.
    fn damage(&self, random: &mut StdRng, at: u64) -> Vec<u8> {
        let old = self.content[at as usize..].first_chunk::<8>().copied().unwrap_or_default();
        let old = u64::from_le_bytes(old);
        let spot = self.spots[random.random_range(0..self.spots.len())];
        match random.random_range(0..7) {
            0 => vec![random.random(); random.random_range(1..64)],
            1 => (old ^ (1 << random.random_range(0..64))).to_le_bytes().to_vec(),
            2 => spot.to_le_bytes().to_vec(),
            3 => (spot as u32).to_le_bytes().to_vec(),
            4 => [u64::MAX, u64::MAX - 7, 1 << 63, 1 << 40, 0, 1][random.random_range(0..6)]
                .to_le_bytes()
                .to_vec(),
            5 => old.wrapping_add(random.random_range(0..128)).wrapping_sub(64).to_le_bytes().to_vec(),
            _ => random.random::<u64>().to_le_bytes().to_vec(),
        }
    }

    fn read(&self, random: &mut StdRng) -> Result<()> {
        let filter = match random.random_range(0..4) {
            0 => Filter::unit("puma-cigar.service"),
            1 => Filter::And(vec![Filter::unit("nginx.service"), Filter::priority(4)]),
            2 => Filter::field("_UID", "0"),
            _ => Filter::All,
        };
        let mut journal = Journal::open(vec![self.folder.path().to_owned()], filter);
        walk(&mut journal, true)?;
        match random.random_range(0..4) {
            0 => {
                journal.seek_tail();
                walk(&mut journal, false)?;
            }
            1 if !self.cursors.is_empty() => {
                let cursor = self.cursors[random.random_range(0..self.cursors.len())];
                journal.seek_cursor(&cursor);
                walk(&mut journal, random.random())?;
                journal.seek_after(&cursor);
                walk(&mut journal, random.random())?;
            }
            2 => {
                journal.span();
                let times: Vec<u64> = (0..8).map(|n| 1_790_000_000_000_000 + n * 1_000_000).collect();
                journal.count(&times, &[Filter::priority(3), Filter::All]);
                journal.newest(u64::MAX);
            }
            _ => {
                journal.refresh();
                walk(&mut journal, true)?;
            }
        }
        Ok(())
    }
}

fn walk(journal: &mut Journal, forward: bool) -> Result<()> {
    let mut scratch = Vec::new();
    for _ in 0..STEPS_MAX {
        let Some(step) = (if forward { journal.next() } else { journal.previous() }) else { return Ok(()) };
        if let Step::Entry(entry) = step {
            journal.fields(&entry, |_, _| {}).ok();
            journal.field(&entry, b"MESSAGE", &mut scratch).ok();
        }
    }
    bail!("it goes round in a circle")
}

fn corpus() -> Result<Vec<Sound>> {
    let forms: [&[(&str, &str)]; 5] = [
        &[],
        &[("SYSTEMD_JOURNAL_KEYED_HASH", "0")],
        &[("SYSTEMD_JOURNAL_COMPACT", "0")],
        &[("SYSTEMD_JOURNAL_COMPRESS", "LZ4")],
        &[("SYSTEMD_JOURNAL_COMPRESS", "XZ")],
    ];
    forms.into_iter().map(Sound::new).collect()
}

/// Executions from a seed on, until this says that it is enough. Gives how many there were.
fn run(first: u64, mut is_enough: impl FnMut(u64) -> bool) -> Result<u64> {
    let corpus = corpus()?;
    let open = |sound: &Sound| OpenOptions::new().write(true).open(&sound.path).context("the file");
    let files = corpus.iter().map(open).collect::<Result<Vec<_>>>()?;
    let mut count = 0;
    while !is_enough(count) {
        let seed = first + count;
        let which = (seed % corpus.len() as u64) as usize;
        corpus[which].execute(&files[which], seed)?;
        count += 1;
    }
    Ok(count)
}

#[test]
fn damage_of_every_kind_is_survived() -> Result<()> {
    let begun = Instant::now();
    let count = run(0, |_| begun.elapsed() > SHORT)?;
    eprintln!("{count} executions");
    Ok(())
}

/// The long form: as many executions as `HMS_FUZZ_EXECUTIONS` says, on all processors. 100,000,000 take hours.
#[test]
#[ignore = "takes as long as it is told to"]
fn damage_of_every_kind_is_survived_for_hours() -> Result<()> {
    let wanted: u64 =
        std::env::var("HMS_FUZZ_EXECUTIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(100_000_000);
    let threads = std::thread::available_parallelism()?.get() as u64;
    let share = wanted.div_ceil(threads);
    std::thread::scope(|scope| {
        let work = |thread: u64| move || run(1_000_000_000 * (thread + 1), |count| count >= share);
        let all: Vec<_> = (0..threads).map(|thread| scope.spawn(work(thread))).collect();
        let mut count = 0;
        for one in all {
            count += one.join().map_err(|_| anyhow::anyhow!("a thread panicked"))??;
        }
        eprintln!("{count} executions on {threads} processors");
        Ok(())
    })
}
