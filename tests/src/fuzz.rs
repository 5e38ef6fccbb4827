//! hms-journal on damaged journals: whatever is in them, it comes to an end, and takes no more memory than there is.
//!
//! Everything is in memory: an execution damages a few words, reads the journal in every way, and mends it.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use hms_journal::{Cursor, Filter, Journal, Search, Step};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

use crate::journals;

/// Entries of each journal: few, so that there are many executions.
const ENTRIES: u32 = 6;
/// More steps than any of these journals can have: it goes round in a circle.
const STEPS_MAX: u32 = 200_000;
/// The head of a file and the first table, which everything else depends on; bytes.
const HEAD: usize = 272;

/// One journal in one of the forms that journald writes, to be damaged.
struct Sound {
    content: Vec<u8>,
    /// The same, damaged and mended.
    damaged: Arc<Vec<u8>>,
    /// Where there is anything but zeroes.
    spots: Vec<usize>,
    cursors: Vec<Cursor>,
}

impl Sound {
    fn new(form: &[(&str, &str)]) -> Result<Self> {
        let made = journals::small(form, ENTRIES)?;
        let mut content = fs::read(made.path().join("file0.journal"))?;
        // Behind the last object there is only room for more.
        let used = content.iter().rposition(|byte| *byte != 0).context("a journal")?;
        content.truncate((used + 64).min(content.len()));
        let words = content.chunks_exact(8).enumerate();
        let spots = words.filter(|(_, word)| word.iter().any(|b| *b != 0)).map(|(n, _)| n * 8).collect();
        let damaged = Arc::new(content.clone());
        let mut journal = Journal::in_memory(vec![damaged.clone()], Filter::All);
        let steps = std::iter::from_fn(|| journal.next());
        let cursors = steps.filter_map(|step| if let Step::Entry(e) = step { Some(e.cursor) } else { None });
        let cursors: Vec<_> = cursors.collect();
        anyhow::ensure!(cursors.len() as u32 == ENTRIES, "{} entries of {form:?} are read", cursors.len());
        Ok(Self { content, damaged, spots, cursors })
    }

    /// Damages the journal, reads it in every way, and mends it.
    fn execute(&mut self, seed: u64) -> Result<()> {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut places = Vec::with_capacity(6);
        let mut image = std::mem::take(&mut self.damaged);
        let bytes = Arc::get_mut(&mut image).context("nobody else reads it")?;
        for _ in 0..random.random_range(1..6) {
            let at = self.spots[random.random_range(0..self.spots.len())];
            let at = if random.random_bool(0.2) { random.random_range(0..HEAD) } else { at };
            let noise = self.damage(&mut random, at);
            let end = (at + noise.len()).min(bytes.len());
            bytes[at..end].copy_from_slice(&noise[..end - at]);
            places.push(at..end);
        }
        if random.random_bool(0.02) {
            bytes.truncate(random.random_range(0..self.content.len()));
        }
        let read = catch_unwind(AssertUnwindSafe(|| self.read(&image, &mut random)));
        let bytes = Arc::get_mut(&mut image).context("nobody reads it any more")?;
        if bytes.len() < self.content.len() {
            bytes.clone_from(&self.content);
        }
        places.into_iter().for_each(|place| bytes[place.clone()].copy_from_slice(&self.content[place]));
        self.damaged = image;
        match read {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(error.context(format!("seed {seed}"))),
            Err(_) => bail!("seed {seed}: it panicked"),
        }
    }

    /// What is written over a place: noise, one bit, an offset of something else, or an extreme.
    fn damage(&self, random: &mut SmallRng, at: usize) -> Vec<u8> {
        let old = self.content[at..].first_chunk::<8>().copied().unwrap_or_default();
        let old = u64::from_le_bytes(old);
        let spot = self.spots[random.random_range(0..self.spots.len())] as u64;
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

    fn read(&self, image: &Arc<Vec<u8>>, random: &mut SmallRng) -> Result<()> {
        let filter = match random.random_range(0..4) {
            0 => Filter::unit("puma-cigar.service"),
            1 => Filter::And(vec![Filter::unit("nginx.service"), Filter::priority(4)]),
            2 => Filter::field("_UID", "0"),
            _ => Filter::All,
        };
        let mut journal = Journal::in_memory(vec![image.clone()], filter);
        if random.random_bool(0.2) {
            let search = Search::new(|message| message.contains(&b'7'), || true);
            journal.search(if random.random() { search.of_whole_files() } else { search });
        }
        walk(&mut journal, true)?;
        let cursor = self.cursors[random.random_range(0..self.cursors.len())];
        match random.random_range(0..4) {
            0 => {
                journal.seek_tail();
                walk(&mut journal, false)?;
            }
            1 => {
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
    static NAMES: [&[u8]; 2] = [b"MESSAGE", b"_SYSTEMD_UNIT"];
    let mut scratch = Vec::new();
    for number in 0..STEPS_MAX {
        let Some(step) = (if forward { journal.next() } else { journal.previous() }) else { return Ok(()) };
        let Step::Entry(entry) = step else { continue };
        // Each is a way of its own through the same objects.
        match number % 3 {
            0 => journal.fields(&entry, |_, _| {}).ok(),
            1 => journal.fields_of(&entry, &NAMES, |_, _| {}).ok(),
            _ => journal.field(&entry, b"MESSAGE", &mut scratch).ok().map(drop),
        };
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
///
/// # Errors
/// When the reader panics or goes round in a circle; says for which seed.
pub fn run(first: u64, mut is_enough: impl FnMut(u64) -> bool) -> Result<u64> {
    let mut corpus = corpus()?;
    let kinds = corpus.len() as u64;
    let mut count = 0;
    while !is_enough(count) {
        let seed = first + count;
        corpus[(seed % kinds) as usize].execute(seed)?;
        count += 1;
    }
    Ok(count)
}

/// So many executions, on all processors.
///
/// # Errors
/// The first thing that goes wrong.
pub fn run_on_all_processors(executions: u64, first: u64) -> Result<u64> {
    let threads = std::thread::available_parallelism()?.get() as u64;
    let share = executions.div_ceil(threads);
    std::thread::scope(|scope| {
        let work = |thread: u64| move || run(first + share * thread, |count| count >= share);
        let all: Vec<_> = (0..threads).map(|thread| scope.spawn(work(thread))).collect();
        let mut count = 0;
        for one in all {
            count += one.join().map_err(|_| anyhow::anyhow!("a thread panicked"))??;
        }
        Ok(count)
    })
}
