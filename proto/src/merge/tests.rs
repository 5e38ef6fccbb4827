//! Many logs in one order: nothing lost, nothing twice, whatever comes when.

use std::time::{Duration, Instant};

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    host::v1::{LogChunk, LogDirection},
    names::{Cursor, HostName},
};

fn host(index: usize) -> HostName {
    HostName::try_from(["asterra", "borealis", "cygnus"][index]).unwrap()
}

/// The log of a host: the n-th entry has the cursor `s=N`; the place after n entries is `s=N;a=2`.
#[derive(Debug, Clone)]
struct Log(Vec<i64>);

impl Log {
    fn entry(&self, n: usize) -> LogEntry {
        LogEntry { cursor: format!("s={n:x}"), time_usec: self.0[n], ..LogEntry::default() }
    }

    /// Entries `from..to` in chunks of some size, forward or back.
    fn chunks(&self, from: usize, to: usize, size: usize, back: bool) -> Vec<LogChunk> {
        let mut indexes: Vec<usize> = (from..to).collect();
        if back {
            indexes.reverse();
        }
        let chunk = |part: &[usize]| LogChunk {
            entries: part.iter().map(|n| self.entry(*n)).collect(),
            place: place(part[part.len() - 1] + usize::from(!back)),
            ..LogChunk::default()
        };
        indexes.chunks(size).map(chunk).collect()
    }

    fn at(&self, spot: Option<&Spot>, otherwise: usize) -> usize {
        match spot.map(|spot| &spot.at) {
            Some(At::Place(cursor)) => {
                let digits = cursor.as_str().trim_start_matches("s=").trim_end_matches(";a=2");
                usize::from_str_radix(digits, 16).unwrap()
            }
            _ => otherwise,
        }
    }
}

fn place(n: usize) -> String {
    format!("s={n:x};a=2")
}

fn logs() -> impl Strategy<Value = Vec<Log>> {
    let log = vec(0i64..40, 0..30).prop_map(|mut times| {
        times.sort_unstable();
        Log(times)
    });
    vec(log, 1..4)
}

fn of(row: &Row) -> (usize, String) {
    (row.lane, row.entry().unwrap().cursor.clone())
}

fn times(rows: &[Row]) -> Vec<i64> {
    rows.iter().map(|row| row.entry().unwrap().time_usec).collect()
}

/// One page of these logs from these places on.
fn read(logs: &[Log], places: &Places, direction: LogDirection, most: u32, size: usize) -> Page {
    let reading = |(index, log): (usize, &Log)| {
        let spot = places.get(&host(index)).cloned();
        let most = (most + spot.as_ref().map_or(0, |s| s.skip)) as usize;
        let mut reading = Reading::new(host(index), spot.clone());
        let end = log.0.len();
        let chunks = match direction {
            LogDirection::Newest => {
                let mut chunks = log.chunks(end.saturating_sub(most), end, size, false);
                if let Some(first) = chunks.first_mut() {
                    first.start = place(end.saturating_sub(most));
                }
                chunks
            }
            LogDirection::Forward => {
                let from = log.at(spot.as_ref(), 0);
                let mut chunks = log.chunks(from, end.min(from + most), size, false);
                if let Some(first) = chunks.first_mut() {
                    first.start = place(from);
                }
                chunks
            }
            LogDirection::Backward => {
                let to = log.at(spot.as_ref(), end);
                log.chunks(to.saturating_sub(most), to, size, true)
            }
        };
        chunks.into_iter().for_each(|chunk| reading.push(chunk));
        reading
    };
    page(logs.iter().enumerate().map(reading).collect(), direction, most)
}

proptest! {
    /// From the newest page back to the beginning, and from there forward to the end: each entry once, in order.
    #[test]
    fn pages_give_every_entry_once_in_both_directions(logs in logs(), most in 1u32..9, size in 1usize..6) {
        let total: usize = logs.iter().map(|log| log.0.len()).sum();
        let first = read(&logs, &Places::default(), LogDirection::Newest, most, size);
        let newest = first.after.clone();
        let mut back = first.rows.clone();
        let mut before = first.before;
        while back.len() < total {
            let page = read(&logs, &before, LogDirection::Backward, most, size);
            prop_assert!(!page.rows.is_empty(), "{} of {total}, {before}", back.len());
            let mut rows = page.rows.clone();
            rows.extend(back);
            back = rows;
            before = page.before;
        }
        prop_assert!(times(&back).is_sorted(), "{:?}", times(&back));
        let mut seen: Vec<_> = back.iter().map(of).collect();
        seen.sort();
        seen.dedup();
        prop_assert_eq!(seen.len(), total);

        let (mut forward, mut after) = (Vec::new(), Places::default());
        loop {
            let page = read(&logs, &after, LogDirection::Forward, most, size);
            if page.rows.is_empty() { break }
            forward.extend(page.rows);
            after = page.after;
        }
        prop_assert!(times(&forward).is_sorted());
        prop_assert_eq!(forward.len(), total);
        prop_assert!(read(&logs, &newest, LogDirection::Forward, most, size).rows.is_empty(), "nothing is behind the newest");
    }

    /// One page forward and one back end where they began.
    #[test]
    fn a_page_knows_the_way_back(logs in logs(), most in 1u32..9, size in 1usize..6) {
        let begin: Places = (0..logs.len()).map(|i| (host(i), Spot::place(Cursor::try_from(place(0).as_str()).unwrap()))).collect();
        let one = read(&logs, &begin, LogDirection::Forward, most, size);
        let two = read(&logs, &one.after, LogDirection::Forward, most, size);
        let again = read(&logs, &two.before, LogDirection::Backward, most, size);
        let rows = |page: &Page| { let mut rows: Vec<_> = page.rows.iter().map(of).collect(); rows.sort(); rows };
        prop_assert_eq!(rows(&again), rows(&one));
    }

    /// However chunks arrive, and wherever the reader breaks off and goes on: each entry once; of the past, in order.
    #[test]
    fn streams_give_every_entry_once_over_a_break(
        logs in logs(), size in 1usize..6, pushes in vec(0usize..3, 0..60), live in any::<bool>(), cut in 0usize..60,
    ) {
        let begin = Instant::now();
        let mut rows = Vec::new();
        let mut places = Places::default();
        for (attempt, pushes) in [&pushes[..cut.min(pushes.len())], &[0, 1, 2].repeat(40)].into_iter().enumerate() {
            let spot = |i: usize| places.get(&host(i)).cloned().unwrap_or(Spot::time(0));
            let from: Vec<_> = (0..logs.len()).map(|i| (host(i), Some(spot(i)))).collect();
            let mut waiting: Vec<Vec<LogChunk>> = logs.iter().enumerate().map(|(i, log)| {
                let mut chunks = log.chunks(log.at(Some(&spot(i)), 0), log.0.len(), size, false);
                chunks.reverse();
                chunks
            }).collect();
            let mut merge = Merge::new(from, begin);
            let mut now = begin;
            if live {
                (0..logs.len()).for_each(|lane| merge.push(lane, LogChunk { caught_up: true, ..LogChunk::default() }, now));
            }
            for lane in pushes.iter().filter(|lane| **lane < logs.len()) {
                now += Duration::from_millis(100);
                match waiting[*lane].pop() {
                    Some(chunk) => merge.push(*lane, chunk, now),
                    None => merge.ended(*lane),
                }
                rows.extend(merge.take(now));
            }
            if attempt == 1 {
                now += Duration::from_secs(60);
                rows.extend(merge.take(now));
            }
            places = Places::parse(&merge.places().to_string()).unwrap();
        }
        let mut seen: Vec<_> = rows.iter().map(of).collect();
        let total: usize = logs.iter().map(|log| log.0.len()).sum();
        prop_assert_eq!(seen.len(), total);
        seen.sort();
        seen.dedup();
        prop_assert_eq!(seen.len(), total);
        prop_assert!(live || times(&rows).is_sorted(), "{:?}", times(&rows));
    }

    #[test]
    fn places_survive_their_text(skips in vec(0u32..1000, 3), usec in 0i64..i64::MAX) {
        let spots = [
            Spot { skip: skips[0], ..Spot::time(usec) },
            Spot { skip: skips[1], ..Spot::place(Cursor::try_from("s=1f;i=2;a=2~f=nginx-access/access.log;d=1;i=2;o=3;n=0;h=4;t=5").unwrap()) },
            Spot { skip: skips[2], ..Spot::place(Cursor::try_from("s=0").unwrap()) },
        ];
        let places: Places = spots.into_iter().enumerate().map(|(i, spot)| (host(i), spot)).collect();
        prop_assert_eq!(Places::parse(&places.to_string()).unwrap(), places);
    }

    #[test]
    fn no_text_makes_places_panic(text in "[a-z0-9@:,*;=~./]{0,60}") {
        let _ = Places::parse(&text);
    }
}

fn chunk(times: &[i64]) -> LogChunk {
    let entry =
        |time: &i64| LogEntry { cursor: format!("s={time:x}"), time_usec: *time, ..LogEntry::default() };
    LogChunk { entries: times.iter().map(entry).collect(), ..LogChunk::default() }
}

const LIVE: LogChunk =
    LogChunk { gap: None, entries: Vec::new(), caught_up: true, place: String::new(), start: String::new() };

#[test]
fn a_quiet_or_broken_host_holds_nobody_up_for_long() {
    let start = Instant::now();
    let mut merge = Merge::new((0..2).map(|i| (host(i), None)), start);
    merge.push(0, chunk(&[1, 2]), start);
    assert!(merge.take(start).is_empty(), "the past of the other is waited for");
    let woken = merge.wake_at(start).unwrap();
    assert_eq!(times(&merge.take(woken)), [1, 2]);
    merge.push(0, chunk(&[3]), woken);
    merge.push(1, LIVE, woken);
    assert_eq!(times(&merge.take(woken)), [3], "one that has no past is not waited for");
    merge.broke(1);
    merge.push(0, chunk(&[4]), woken);
    assert_eq!(times(&merge.take(woken)), [4]);
}

#[test]
fn lines_of_the_present_wait_a_moment_for_older_ones() {
    let start = Instant::now();
    let mut merge = Merge::new((0..2).map(|i| (host(i), None)), start);
    merge.push(0, LIVE, start);
    merge.push(1, LIVE, start);
    merge.push(0, chunk(&[10, 20]), start);
    assert!(merge.take(start).is_empty());
    merge.push(1, chunk(&[5, 15, 25]), start + Duration::from_millis(300));
    let due = merge.wake_at(start).unwrap();
    assert!(merge.take(due - Duration::from_millis(1)).is_empty());
    assert_eq!(times(&merge.take(due)), [5, 10, 15, 20, 25]);
    assert_eq!(merge.places().to_string(), "asterra:s=14,borealis:s=19");
}

#[test]
fn gaps_stand_before_the_entries_of_their_chunk() {
    let gap = LogGap { reason: "vacuumed".into(), ..LogGap::default() };
    let mut merge = Merge::new([(host(0), None)], Instant::now());
    merge.push(0, LogChunk { gap: Some(gap.clone()), ..chunk(&[7, 8]) }, Instant::now());
    let rows = merge.take(Instant::now());
    assert_eq!(rows[0].piece, Piece::Gap(gap));
    assert_eq!(times(&rows[1..]), [7, 8]);
}

#[test]
fn texts_that_are_no_places_are_refused() {
    for bad in [
        "asterra",
        "asterra:",
        "asterra:s=zz",
        "Asterra:s=1",
        "asterra:s=1*0",
        "asterra:s=1*-1",
        "asterra:s=1*99999999",
        "asterra:@-1",
        "asterra:s=1,asterra:s=2",
        "asterra:s=1,",
        ",",
    ] {
        assert!(Places::parse(bad).is_err(), "{bad}");
    }
    assert!(Places::parse("").unwrap().is_empty());
}

#[test]
fn what_came_without_a_place_does_not_come_twice() {
    let now = Instant::now();
    let mut merge =
        Merge::new([(host(0), Some(Spot { skip: 3, ..Spot::place("s=1".parse().unwrap()) }))], now);
    let of_files = |times: &[i64]| {
        let mut chunk = chunk(times);
        chunk.entries.iter_mut().for_each(|entry| entry.source = "app/cigar/a.log".into());
        chunk
    };
    merge.push(0, of_files(&[1, 2]), now);
    assert!(merge.take(now).is_empty(), "they were given out before");
    assert_eq!(merge.broke(0).unwrap().to_string(), "s=1*3");
    merge.push(0, of_files(&[1, 2, 3, 4]), now);
    assert_eq!(times(&merge.take(now)), [4]);
    assert_eq!(merge.places().to_string(), "asterra:s=1*4");
    assert_eq!(merge.broke(0).unwrap().to_string(), "s=1*4");
}
