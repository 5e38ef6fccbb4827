//! How many entries there are in each part of the time, from the lists of entries alone.

use std::cmp::Ordering;

use crate::{Filter, Result, file::JournalFile, journal::Damage, list::List};

/// How many entries of some files pass a filter, and one of `kinds` besides, between each two of `times`; and what is damaged.
pub(crate) fn of_files(
    files: &mut [&mut JournalFile],
    filter: &Filter,
    times: &[u64],
    kinds: &[Filter],
) -> (Vec<Vec<u64>>, Vec<Damage>) {
    let mut counts = vec![vec![0; kinds.len()]; times.len().saturating_sub(1)];
    let mut damage = Vec::new();
    for file in files {
        if let Err(error) = of_file(file, filter, times, kinds, &mut counts) {
            damage.push(Damage { path: file.path.clone(), error });
        }
    }
    (counts, damage)
}

/// Adds the entries of a file that pass a filter, and one of `kinds` besides, to the counts between each two of `times`.
fn of_file(
    file: &mut JournalFile,
    filter: &Filter,
    times: &[u64],
    kinds: &[Filter],
    counts: &mut [Vec<u64>],
) -> Result<()> {
    let edges = edges(file, times)?;
    let (Some(first), Some(last)) = (edges.first(), edges.last()) else { return Ok(()) };
    if first == last {
        return Ok(());
    }
    let passing = offsets(file, filter)?;
    for (kind, filter) in kinds.iter().enumerate() {
        let of_kind = match (&passing, offsets(file, filter)?) {
            (None, of_kind) => of_kind,
            (some, None) => some.clone(),
            (Some(passing), Some(of_kind)) => Some(both(passing, &of_kind)),
        };
        let of_kind = match of_kind {
            Some(offsets) => offsets,
            None => List::of_file(file)?.offsets(file)?,
        };
        for (part, edges) in edges.windows(2).enumerate() {
            let below = |edge: u64| of_kind.partition_point(|offset| *offset < edge);
            counts[part][kind] += (below(edges[1]) - below(edges[0])) as u64;
        }
    }
    Ok(())
}

/// For each time, the offset of the first entry that is as late.
fn edges(file: &mut JournalFile, times: &[u64]) -> Result<Vec<u64>> {
    let all = List::of_file(file)?;
    let mut edges = Vec::with_capacity(times.len());
    for time in times {
        let index = all.bisect(file, |file, at| Ok(file.entry(at)?.realtime < *time))?;
        edges.push(if index < all.length() { all.get(file, index)? } else { u64::MAX });
    }
    Ok(edges)
}

/// The offsets of the entries that pass a filter, ascending. `None`: all do.
fn offsets(file: &mut JournalFile, filter: &Filter) -> Result<Option<Vec<u64>>> {
    match filter {
        Filter::All => Ok(None),
        Filter::Field(data) => List::of_data(file, data)?.offsets(file).map(Some),
        Filter::And(filters) => {
            let mut passing: Option<Vec<u64>> = None;
            for filter in filters {
                let these = offsets(file, filter)?;
                passing = match (passing, these) {
                    (Some(a), Some(b)) => Some(both(&a, &b)),
                    (a, b) => a.or(b),
                };
            }
            Ok(passing)
        }
        Filter::Or(filters) => {
            let mut passing = Vec::new();
            for filter in filters {
                match offsets(file, filter)? {
                    Some(these) => passing = either(passing, these),
                    None => return Ok(None),
                }
            }
            Ok(Some(passing))
        }
    }
}

/// What stands in at least one of two ascending lists.
fn either(a: Vec<u64>, b: Vec<u64>) -> Vec<u64> {
    let (mut all, more) = if a.len() < b.len() { (b, a) } else { (a, b) };
    if !more.is_empty() {
        all.extend(more);
        // Two runs that are sorted already: this merges them.
        all.sort();
        all.dedup();
    }
    all
}

/// What two ascending lists have in common.
fn both(a: &[u64], b: &[u64]) -> Vec<u64> {
    let (mut common, mut i, mut j) = (Vec::new(), 0, 0);
    while i < a.len() && j < b.len() {
        match a[i].cmp(&b[j]) {
            Ordering::Less => i += 1,
            Ordering::Greater => j += 1,
            Ordering::Equal => {
                common.push(a[i]);
                (i, j) = (i + 1, j + 1);
            }
        }
    }
    common
}
