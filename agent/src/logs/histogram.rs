//! How many entries there are in each part of the time, by severity.

use hms_journal::{Direction, Filter as F};
use hms_proto::{
    fault::Fault,
    host::v1::{LogBucket, LogGap, LogHistogram},
};

use super::{
    entry::Read,
    file::FileLog,
    journal::JournalLog,
    query::Ask,
    source::{Seek, Source, Step, Wanted, What},
};

const BUCKETS: u32 = 60;
const BUCKETS_MAX: u32 = 500;
/// Entries that are read one by one, at most.
const READ_MAX: u64 = 20_000_000;
const SEVERITIES: usize = 8;
/// What has no priority is as severe as what printf wrote.
const INFO: usize = 6;

/// Counts being made.
#[derive(Debug)]
struct Counts {
    start: u64,
    width: u64,
    buckets: Vec<[u64; SEVERITIES]>,
    gaps: Vec<LogGap>,
    read: u64,
}

/// Counts the entries of a query.
pub(crate) fn histogram(ask: &Ask, buckets: u32, wanted: &Wanted) -> Result<LogHistogram, Fault> {
    if buckets > BUCKETS_MAX {
        return Err(Fault::invalid(format!("{buckets} buckets are more than {BUCKETS_MAX}")));
    }
    let buckets = u64::from(if buckets == 0 { BUCKETS } else { buckets });
    let mut sources = ask.names.open(&ask.filter, wanted)?;
    let Some((start, end)) = span(&mut sources, ask) else { return Ok(LogHistogram::default()) };
    let width = (end - start) / buckets + 1;
    let mut counts =
        Counts { start, width, buckets: vec![[0; SEVERITIES]; buckets as usize], gaps: Vec::new(), read: 0 };
    for source in &mut sources {
        match source {
            Source::Journal(journal) if ask.filter.is_looked_up() => counts.look_up(journal, end),
            Source::File(log) if !ask.filter.has_conditions() => counts.glance(log),
            other => counts.read(other, start),
        }
    }
    Ok(counts.told())
}

/// From when to when: as the query says, or from the first entry to the last.
fn span(sources: &mut [Source], ask: &Ask) -> Option<(u64, u64)> {
    let (since, until) = (ask.filter.since, ask.filter.until);
    if let (Some(since), Some(until)) = (since, until) {
        return (since <= until).then_some((since, until));
    }
    let spans = sources.iter_mut().filter_map(|source| match source {
        Source::Journal(journal) => journal.span(),
        Source::File(log) => {
            let span = log.span();
            log.or_broken(span).flatten()
        }
    });
    let (first, last) = spans.reduce(|(first, last), (a, b)| (first.min(a), last.max(b)))?;
    let (start, end) = (since.unwrap_or(first), until.unwrap_or(last));
    (start <= end).then_some((start, end))
}

impl Counts {
    fn add(&mut self, time: u64, priority: u32) -> bool {
        let bucket = time.checked_sub(self.start).map(|after| after / self.width);
        if let Some(counts) = bucket.and_then(|bucket| self.buckets.get_mut(usize::try_from(bucket).ok()?)) {
            counts[(priority as usize).min(SEVERITIES - 1)] += 1;
        }
        self.read += 1;
        if self.read == READ_MAX {
            self.gaps.push(LogGap { reason: "limit".into(), ..LogGap::default() });
        }
        self.read < READ_MAX
    }

    /// The journal's own lists tell all.
    fn look_up(&mut self, journal: &mut JournalLog, end: u64) {
        let edge = |bucket: u64| self.start.saturating_add(self.width.saturating_mul(bucket)).min(end + 1);
        let edges: Vec<u64> = (0..=self.buckets.len() as u64).map(edge).collect();
        let kinds = (0..SEVERITIES).map(|p| F::field("PRIORITY", &p.to_string())).chain([F::All]);
        let (counts, gaps) = journal.count(&edges, &kinds.collect::<Vec<_>>());
        for (bucket, counts) in self.buckets.iter_mut().zip(counts) {
            let all = counts[SEVERITIES];
            let named: u64 = counts[..SEVERITIES].iter().sum();
            bucket.iter_mut().zip(&counts).for_each(|(bucket, count)| *bucket += count);
            bucket[INFO] += all.saturating_sub(named);
        }
        self.gaps.extend(gaps);
    }

    /// Of each line, its time and its severity.
    fn glance(&mut self, log: &mut FileLog) {
        let start = self.start;
        let done = log.seek_time(start).and_then(|()| log.count(|time, priority| self.add(time, priority)));
        if log.or_broken(done).is_none()
            && let Some(Step::Gap(gap)) = log.next(Direction::Forward)
        {
            self.gaps.push(gap);
        }
    }

    /// Each entry has to be read.
    fn read(&mut self, source: &mut Source, start: u64) {
        source.seek(&Seek::Time(start), Direction::Forward);
        while let Some(step) = source.next(Direction::Forward) {
            let found = match step {
                Step::Gap(gap) => {
                    self.gaps.push(gap);
                    continue;
                }
                Step::Found(found) => found,
            };
            let priority = match (&found.what, &mut *source) {
                (What::Entry(entry), _) => entry.priority,
                (What::Handle(handle), Source::Journal(journal)) => match journal.read(handle) {
                    Some(Read::Entry(entry)) => entry.priority,
                    _ => continue,
                },
                (What::Handle(_), Source::File(_)) => continue,
            };
            if !self.add(found.time, priority) {
                return;
            }
        }
    }

    fn told(self) -> LogHistogram {
        LogHistogram {
            start_usec: i64::try_from(self.start).unwrap_or(i64::MAX),
            width_usec: i64::try_from(self.width).unwrap_or(i64::MAX),
            total: self.buckets.iter().flatten().sum(),
            buckets: self.buckets.into_iter().map(|counts| LogBucket { counts: counts.to_vec() }).collect(),
            gaps: self.gaps,
        }
    }
}

impl JournalLog {
    /// A gap for each file that is damaged.
    fn count(&mut self, edges: &[u64], kinds: &[F]) -> (Vec<Vec<u64>>, Vec<LogGap>) {
        let (counts, damage) = self.journal.count(edges, kinds);
        (counts, damage.iter().map(|damage| self.damaged(damage)).collect())
    }

    fn span(&mut self) -> Option<(u64, u64)> {
        self.journal.span()
    }
}
