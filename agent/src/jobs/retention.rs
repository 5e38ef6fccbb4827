//! Which ended jobs are forgotten: by age, then the oldest of too many. Jobs that have not ended are never among them.

use std::io;

use hms_proto::names::JobId;

use super::record::Store;

const AGE_USEC: i64 = 14 * 86_400 * 1_000_000;
const MOST: usize = 500;
const MOST_BYTES: u64 = 512 * 1024 * 1024;

/// A job that has ended.
#[derive(Debug, Clone)]
struct Past {
    id: JobId,
    ended_usec: i64,
    bytes: u64,
}

/// Removes them, and says how many there were.
pub(super) fn remove_surplus(store: &Store, now_usec: i64) -> io::Result<usize> {
    let mut past = Vec::new();
    for id in store.ids()? {
        let Some(ended) = store.read_or_warn(&id).and_then(|entry| entry.ended) else { continue };
        past.push(Past { bytes: store.size(&id), ended_usec: ended.ended_usec, id });
    }
    let surplus = surplus(past, now_usec);
    for id in &surplus {
        store.remove(id)?;
    }
    Ok(surplus.len())
}

fn surplus(mut past: Vec<Past>, now_usec: i64) -> Vec<JobId> {
    past.sort_by_key(|job| std::cmp::Reverse(job.ended_usec));
    let (mut kept, mut bytes) = (0, 0);
    let mut full = false;
    past.retain(|job| {
        (kept, bytes) = (kept + 1, bytes + job.bytes);
        // Whatever is older than one that does not fit goes, too: what is kept has no holes.
        full |= kept > MOST || bytes > MOST_BYTES || now_usec - job.ended_usec > AGE_USEC;
        full
    });
    past.into_iter().map(|job| job.id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn past(count: usize, bytes: u64) -> Vec<Past> {
        (0..count).map(|n| Past { id: JobId::new(), ended_usec: n as i64, bytes }).collect()
    }

    #[test]
    fn the_oldest_of_too_many_go() {
        let jobs = past(503, 1);
        let oldest: Vec<_> = jobs[..3].iter().rev().map(|job| job.id.clone()).collect();
        assert_eq!(surplus(jobs, 1000), oldest);
        assert!(surplus(past(500, 1), 1000).is_empty());
    }

    #[test]
    fn what_takes_too_much_room_goes() {
        let jobs = past(9, 64 << 20);
        assert_eq!(surplus(jobs.clone(), 1000), [jobs[0].id.clone()]);
    }

    #[test]
    fn after_fourteen_days_a_job_is_forgotten() {
        let jobs = past(2, 1);
        assert_eq!(surplus(jobs.clone(), AGE_USEC + 1), [jobs[0].id.clone()]);
        assert!(surplus(jobs, AGE_USEC).is_empty());
    }
}
