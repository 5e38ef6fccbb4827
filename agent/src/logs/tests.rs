//! Queries over several logs in files, as callers see them.

use std::{fs, io::Write as _, path::PathBuf};

use hms_proto::host::v1::{AppSpec, LogChunk, LogDirection, LogEntry, LogKind, LogQuery, LogSource};
use tempfile::TempDir;
use tokio::sync::{Semaphore, mpsc};
use tonic::Status;

use super::{
    chunks::Chunks,
    follow::follow,
    histogram::histogram,
    query::{Ask, query},
    source::Wanted,
};

/// A second before the first line; seconds since the epoch.
const FIRST: i64 = 1_700_000_000;

/// An app with logs: a.log has the odd lines, b.log the even ones.
struct App {
    state: TempDir,
    root: TempDir,
}

impl App {
    fn new(lines: u32) -> Self {
        let app = Self { state: tempfile::tempdir().unwrap(), root: tempfile::tempdir().unwrap() };
        fs::create_dir_all(app.root.path().join("shared/log")).unwrap();
        let folder = app.state.path().join("apps/cigar");
        fs::create_dir_all(&folder).unwrap();
        let spec = AppSpec { root: app.root.path().to_str().unwrap().into(), ..AppSpec::default() };
        fs::write(folder.join("spec.json"), serde_json::to_vec(&spec).unwrap()).unwrap();
        (1..=lines).for_each(|number| app.write(number));
        app
    }

    fn log(&self, number: u32) -> PathBuf {
        let name = if number % 2 == 1 { "a.log" } else { "b.log" };
        self.root.path().join("shared/log").join(name)
    }

    fn write(&self, number: u32) {
        let time = chrono::DateTime::from_timestamp(FIRST + i64::from(number), 0).unwrap();
        let level = if number.is_multiple_of(10) { "ERROR" } else { "INFO" };
        let line = format!("{} {level} number {number}\n", time.format("%Y-%m-%dT%H:%M:%SZ"));
        let mut file = fs::OpenOptions::new().create(true).append(true).open(self.log(number)).unwrap();
        file.write_all(line.as_bytes()).unwrap();
    }

    fn ask(&self, query: LogQuery) -> Ask {
        let source = LogSource { kind: LogKind::App.into(), app: "cigar".into(), name: String::new() };
        Ask::parse(&LogQuery { sources: vec![source], ..query }, self.state.path()).unwrap()
    }

    fn query(&self, asked: LogQuery) -> Answer {
        let (to, mut from) = mpsc::channel(10_000);
        let ask = self.ask(asked);
        let places = std::sync::Arc::new(Semaphore::new(1));
        query(&ask, &mut Chunks::new(to, places.try_acquire_owned().unwrap())).unwrap();
        let mut answer = Answer::default();
        while let Ok(chunk) = from.try_recv() {
            answer.take(chunk);
        }
        answer
    }
}

#[derive(Default, Debug)]
struct Answer {
    entries: Vec<LogEntry>,
    gaps: Vec<String>,
    start: String,
    place: String,
}

impl Answer {
    fn take(&mut self, chunk: Result<LogChunk, Status>) -> bool {
        let chunk = chunk.unwrap();
        self.gaps.extend(chunk.gap.map(|gap| gap.reason));
        self.entries.extend(chunk.entries);
        if !chunk.start.is_empty() {
            self.start = chunk.start;
        }
        if !chunk.place.is_empty() {
            self.place = chunk.place;
        }
        chunk.caught_up
    }

    fn numbers(&self) -> Vec<u32> {
        let number =
            |entry: &LogEntry| entry.message.rsplit(' ').next().and_then(|n| n.parse().ok()).unwrap();
        self.entries.iter().map(number).collect()
    }
}

fn limited(limit: u32) -> LogQuery {
    LogQuery { limit, ..LogQuery::default() }
}

fn directed(limit: u32, direction: LogDirection) -> LogQuery {
    LogQuery { limit, direction: direction.into(), ..LogQuery::default() }
}

#[test]
fn several_logs_are_one_in_the_order_of_time() {
    let app = App::new(2_000);
    let all: Vec<u32> = (1..=2_000).collect();
    assert_eq!(app.query(limited(0)).numbers(), all);
    assert_eq!(app.query(limited(700)).numbers(), all[1_300..]);
    assert_eq!(app.query(directed(700, LogDirection::Forward)).numbers(), all[..700]);
    let back: Vec<u32> = all.iter().rev().take(700).copied().collect();
    assert_eq!(app.query(directed(700, LogDirection::Backward)).numbers(), back);
}

#[test]
fn one_loads_earlier_and_later_from_where_an_answer_begins_and_ends() {
    let app = App::new(1_000);
    let newest = app.query(limited(101));
    assert_eq!(newest.numbers(), (900..=1_000).collect::<Vec<_>>());
    let earlier = app.query(LogQuery { before_cursor: newest.start, ..limited(101) });
    assert_eq!(earlier.numbers(), (799..=899).collect::<Vec<_>>());
    let later = LogQuery { after_cursor: earlier.place, ..directed(55, LogDirection::Forward) };
    let later = app.query(later);
    assert_eq!(later.numbers(), (900..=954).collect::<Vec<_>>());
    app.write(1_001);
    let rest = app.query(LogQuery { after_cursor: later.place, ..limited(0) });
    assert_eq!(rest.numbers(), (955..=1_001).collect::<Vec<_>>());
    let (mut back, mut all) = (directed(64, LogDirection::Backward), Vec::new());
    loop {
        let answer = app.query(back.clone());
        if answer.entries.is_empty() {
            break;
        }
        all.extend(answer.numbers());
        back.before_cursor = answer.place;
    }
    assert_eq!(all, (1..=1_001).rev().collect::<Vec<_>>());
    // With an old-fashioned limit, the newest behind a place.
    let newest = app.query(LogQuery { after_cursor: newest.place, ..limited(10) });
    assert_eq!(newest.numbers(), [1_001]);
}

#[test]
fn an_entry_is_shown_with_what_surrounds_it() {
    let app = App::new(300);
    let found = app.query(LogQuery { grep: "number 150$".into(), ..limited(5) });
    assert_eq!(found.numbers(), [150]);
    let around = LogQuery { around_cursor: found.entries[0].cursor.clone(), ..limited(7) };
    assert_eq!(app.query(around).numbers(), (143..=157).collect::<Vec<_>>());
}

#[test]
fn filters_leave_only_what_is_meant() {
    let app = App::new(500);
    let errors = app.query(LogQuery { priority: Some(3), ..limited(0) });
    assert_eq!(errors.numbers(), (1..=50).map(|n| n * 10).collect::<Vec<_>>());
    let of_source = LogQuery {
        r#where: vec!["source=app/cigar/a.log".into(), "message~number 1\\d$".into()],
        ..limited(0)
    };
    assert_eq!(app.query(of_source).numbers(), [11, 13, 15, 17, 19]);
    let usec = |number: i64| (FIRST + number) * 1_000_000;
    let range = LogQuery { since_usec: usec(100), until_usec: usec(110), ..limited(0) };
    assert_eq!(app.query(range).numbers(), (100..=110).collect::<Vec<_>>());
    assert!(app.query(LogQuery { since_usec: usec(9_999), ..limited(0) }).entries.is_empty());
}

#[test]
fn a_histogram_counts_each_line_once() {
    let app = App::new(1_000);
    for query in [LogQuery::default(), LogQuery { grep: "number".into(), ..LogQuery::default() }] {
        let told = histogram(&app.ask(query), 10, &Wanted::new(|| true)).unwrap();
        let sums: Vec<u64> = told.buckets.iter().map(|bucket| bucket.counts.iter().sum()).collect();
        let errors: u64 = told.buckets.iter().map(|bucket| bucket.counts[3]).sum();
        assert_eq!((told.total, errors, sums.len(), told.gaps.len()), (1_000, 100, 10, 0));
        assert!(sums.iter().all(|sum| (99..=101).contains(sum)), "{sums:?}");
    }
    // Conditions make it read each line in full: the same comes out.
    let conditions = LogQuery { r#where: vec!["priority<=3".into()], ..LogQuery::default() };
    let told = histogram(&app.ask(conditions), 10, &Wanted::new(|| true)).unwrap();
    assert_eq!((told.total, told.buckets[0].counts[3]), (100, 10));
    assert!(histogram(&app.ask(LogQuery::default()), 501, &Wanted::new(|| true)).is_err());
}

/// A follower that is cut off again and again goes on from the last place that it was told.
#[tokio::test]
async fn followers_that_are_cut_off_miss_nothing_and_see_nothing_twice() {
    let app = std::sync::Arc::new(App::new(50));
    let mut answer = Answer::default();
    let mut next = 51;
    for round in 0..12 {
        let (to, mut from) = mpsc::channel(2);
        let query = if round == 0 { limited(50) } else { limited(0) };
        let ask = app.ask(LogQuery { after_cursor: answer.place.clone(), ..query });
        let places = std::sync::Arc::new(Semaphore::new(1));
        let following = tokio::task::spawn_blocking(move || {
            follow(ask, &mut Chunks::new(to, places.try_acquire_owned().unwrap())).ok()
        });
        while !answer.take(from.recv().await.unwrap()) {}
        for _ in 0..3 {
            (next..next + 7).for_each(|number| app.write(number));
            next += 7;
            // What was sent and not read before the cut comes again.
            while round % 3 != 2 && answer.entries.len() < next as usize - 1 {
                answer.take(from.recv().await.unwrap());
            }
        }
        drop(from);
        following.await.unwrap();
    }
    let ask = app.ask(LogQuery { after_cursor: answer.place.clone(), ..limited(0) });
    let (to, mut from) = mpsc::channel(100);
    let places = std::sync::Arc::new(Semaphore::new(1));
    tokio::task::spawn_blocking(move || {
        query(&ask, &mut Chunks::new(to, places.try_acquire_owned().unwrap())).ok()
    });
    while let Some(chunk) = from.recv().await {
        answer.take(chunk);
    }
    let mut numbers = answer.numbers();
    // Lines of one second in two logs have no order; here each has its own.
    numbers.sort_unstable();
    assert_eq!(numbers, (1..next).collect::<Vec<_>>());
    assert_eq!(answer.gaps, Vec::<String>::new());
}

/// A reader that takes nothing while much is written: it costs a bounded number of entries, and is told how many it has missed.
#[tokio::test]
async fn a_slow_reader_sees_how_much_it_has_missed() {
    const LINES: u32 = 30_000;
    let app = App::new(1);
    let (to, mut from) = mpsc::channel(2);
    let ask = app.ask(limited(1));
    let places = std::sync::Arc::new(Semaphore::new(1));
    let following = tokio::task::spawn_blocking(move || {
        follow(ask, &mut Chunks::new(to, places.try_acquire_owned().unwrap())).ok()
    });
    let mut answer = Answer::default();
    while !answer.take(from.recv().await.unwrap()) {}
    let line = |number: u32| {
        let time = chrono::DateTime::from_timestamp(FIRST + i64::from(number), 0).unwrap();
        format!("{} INFO number {number}\n", time.format("%Y-%m-%dT%H:%M:%SZ"))
    };
    let text: String = (2..=LINES).map(line).collect();
    let mut file = fs::OpenOptions::new().append(true).open(app.log(1)).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    let mut missed = None;
    while answer.numbers().last() != Some(&LINES) {
        let chunk = from.recv().await.unwrap();
        missed = chunk.as_ref().unwrap().gap.clone().or(missed);
        answer.take(chunk);
    }
    let missed = missed.unwrap();
    assert_eq!((missed.reason.as_str(), answer.gaps.len()), ("slow", 1));
    // Before the gap, and behind it, all is there.
    let numbers = answer.numbers();
    let holes: Vec<_> = numbers.windows(2).filter(|pair| pair[1] != pair[0] + 1).collect();
    assert_eq!(holes.len(), 1);
    let (last, next) = (i64::from(holes[0][0]), i64::from(holes[0][1]));
    assert_eq!(missed.count, (next - last - 1) as u64);
    let usec = |number: i64| (FIRST + number) * 1_000_000;
    assert_eq!((missed.from_usec, missed.to_usec), (usec(last + 1), usec(next - 1)));
    drop(from);
    following.await.unwrap();
}
