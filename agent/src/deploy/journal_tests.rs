//! What there is to do, for every place at which a job can have been killed.

use super::*;

fn lines() -> Vec<Line> {
    let before = Before { release: "20261125T100001-aaaaaa1".into(), was_running: true, ..Before::default() };
    let step = |name: &str| Line::Step(name.into());
    vec![
        Line::Begin { job: "7".into(), kind: JobKind::Deploy },
        step("prepare"),
        Line::Done("prepare".into()),
        step("checkout"),
        Line::Making("20261125T100002-aaaaaa2".into()),
        Line::Done("checkout".into()),
        step("release"),
        Line::Migrating(vec!["1_a.rb".into()]),
        Line::Done("release".into()),
        step("switch"),
        Line::Switching(Box::new(before)),
        Line::Done("switch".into()),
        step("restart"),
        Line::Restarting,
        Line::Done("restart".into()),
        step("site"),
        Line::Site(Some("server {}".into())),
        Line::Committed { release: "20261125T100002-aaaaaa2".into(), live_usec: 9 },
        Line::Done("site".into()),
        Line::End,
    ]
}

/// What a journal with these lines says, after it was on the disk.
fn left(lines: &[Line]) -> Left {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(folder.path()).unwrap();
    lines.iter().for_each(|line| journal.write(line).unwrap());
    Journal::read(folder.path()).unwrap()
}

/// Security case 71: what was intended is put back, from the moment it was intended on; after the commit, nothing is.
#[test]
fn for_each_line_that_was_written_there_is_one_thing_more_to_put_back() {
    let all = lines();
    for length in 0..=all.len() {
        let left = left(&all[..length]);
        let wrote = |wanted: fn(&Line) -> bool| all[..length].iter().any(wanted);
        assert_eq!(left.job.is_empty(), length == 0, "{length}");
        assert_eq!(left.made.is_some(), wrote(|l| matches!(l, Line::Making(_))), "{length}");
        assert_eq!(!left.migrated.is_empty(), wrote(|l| matches!(l, Line::Migrating(_))), "{length}");
        assert_eq!(left.before.is_some(), wrote(|l| matches!(l, Line::Switching(_))), "{length}");
        assert_eq!(left.restarted, wrote(|l| matches!(l, Line::Restarting)), "{length}");
        assert_eq!(left.site.is_some(), wrote(|l| matches!(l, Line::Site(_))), "{length}");
        assert_eq!(left.committed.is_some(), wrote(|l| matches!(l, Line::Committed { .. })), "{length}");
        assert_eq!(left.is_over, length == all.len(), "{length}");
    }
    assert_eq!(left(&all).before.unwrap().release, "20261125T100001-aaaaaa1");
}

#[test]
fn what_was_there_first_is_what_is_put_back() {
    let switching =
        |release: &str| Line::Switching(Box::new(Before { release: release.into(), ..Before::default() }));
    let left =
        left(&[switching("first"), switching("second"), Line::Site(None), Line::Site(Some("x".into()))]);
    assert_eq!((left.before.unwrap().release.as_str(), left.site), ("first", Some(None)));
}

#[test]
fn a_line_that_was_cut_short_had_not_begun_and_takes_none_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let mut journal = Journal::begin(folder.path(), "7", JobKind::Deploy).unwrap();
    journal.write(&Line::Restarting).unwrap();
    let text = std::fs::read(&path).unwrap();
    for end in 0..text.len() {
        std::fs::write(&path, &text[..end]).unwrap();
        assert!(!Journal::read(folder.path()).unwrap().restarted, "{end}");
        Journal::open(folder.path()).unwrap().write(&Line::Site(None)).unwrap();
        assert_eq!(Journal::read(folder.path()).unwrap().site, Some(None), "{end}");
    }
}

#[test]
fn a_new_job_begins_with_an_empty_journal() {
    let folder = tempfile::tempdir().unwrap();
    Journal::begin(folder.path(), "7", JobKind::Deploy).unwrap().write(&Line::Restarting).unwrap();
    Journal::begin(folder.path(), "8", JobKind::Apply).unwrap();
    let left = Journal::read(folder.path()).unwrap();
    assert_eq!((left.job.as_str(), left.kind, left.restarted), ("8", JobKind::Apply, false));
}
