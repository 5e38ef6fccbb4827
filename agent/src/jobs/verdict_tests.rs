//! Every way a job can end.

use super::*;
use crate::{
    exec::launch::{End, Notes, Over},
    jobs::record::Record,
};

fn entry(notes: Notes) -> Entry {
    let record =
        Record { boot_id: "this".into(), timeout_s: 60, memory_limit: 64 << 20, ..Record::default() };
    Entry { record, notes, output_bytes: 5, ..Entry::default() }
}

fn noted(status: i32, killed_by_signal: bool, at: i64) -> Notes {
    let end = End { at, status, killed_by_signal, peak_memory: 4096, cpu_usec: 7 };
    Notes { began: Some(0), ended: Some(end), ..Notes::default() }
}

fn unit(result: &str, code: &str, status: &str) -> Over {
    Over { at: 9, result: result.into(), code: code.into(), status: status.into(), ..Over::default() }
}

/// What the job looks like to people: state, status, reason.
fn seen(notes: Notes, unit: &Over) -> (JobState, i32, String) {
    let job = ended(&entry(notes), unit, None);
    assert_eq!((job.ended_usec, job.output_bytes), (9, 5));
    (job.state(), job.exit_status, job.reason)
}

#[test]
fn how_a_job_ended_is_told_apart() {
    let began = Notes { began: Some(0), ..Notes::default() };
    let failed = Notes { failed: Some("cannot start /bin/x".into()), ..began.clone() };
    let hour = 3_600_000_000;
    let cases = [
        (noted(0, false, 1), unit("success", "exited", "0"), JobState::Succeeded, 0, ""),
        (noted(3, false, 1), unit("exit-code", "exited", "3"), JobState::Failed, 3, "exit status 3"),
        (noted(9, true, 1), unit("exit-code", "exited", "137"), JobState::Failed, 9, "by signal 9"),
        (noted(15, true, 1), unit("exit-code", "exited", "143"), JobState::Failed, 15, "by signal 15"),
        (noted(15, true, hour), unit("timeout", "exited", "143"), JobState::TimedOut, 15, "longer than 60 s"),
        (began.clone(), unit("timeout", "killed", "KILL"), JobState::TimedOut, 9, "longer than 60 s"),
        (noted(0, false, 1), unit("timeout", "exited", "0"), JobState::Succeeded, 0, "left behind"),
        (began.clone(), unit("oom-kill", "killed", "KILL"), JobState::Failed, 9, "its 64 MiB"),
        (began.clone(), unit("signal", "killed", "SEGV"), JobState::Failed, 11, "by signal 11"),
        (began, unit("success", "killed", "TERM"), JobState::Failed, 15, "not come from HMS"),
        (failed, unit("exit-code", "exited", "127"), JobState::Failed, 127, "cannot start /bin/x"),
        (Notes::default(), unit("exit-code", "exited", "226"), JobState::Failed, 226, "its sandbox"),
    ];
    for (notes, unit, state, status, reason) in cases {
        let seen = seen(notes, &unit);
        assert_eq!((seen.0, seen.1), (state, status), "{unit:?}");
        assert!(seen.2.contains(reason) && seen.2.is_empty() == reason.is_empty(), "{unit:?}: {}", seen.2);
    }
}

#[test]
fn who_ended_a_job_is_said_whatever_it_did_about_it() {
    let job = ended(&entry(noted(0, false, 1)), &unit("timeout", "exited", "0"), Some("ada"));
    assert_eq!((job.state(), job.reason.as_str()), (JobState::Canceled, "ada ended it"));
}

#[test]
fn a_job_without_an_end_is_lost_with_the_reason() {
    let reason = |notes: Notes, boot: &str| {
        let job = lost(&entry(notes), boot, 9);
        assert_eq!(job.state(), JobState::Lost);
        job.reason
    };
    let began = Notes { began: Some(1), ..Notes::default() };
    assert_eq!(reason(began.clone(), "other"), "the host was restarted while it ran");
    assert!(reason(began, "this").contains("not recorded"));
    assert!(reason(Notes::default(), "this").contains("not started"));
}

#[test]
fn what_was_used_is_told_with_its_source() {
    let job = ended(&entry(noted(0, false, 1)), &unit("success", "exited", "0"), None);
    assert_eq!((job.peak_memory_bytes, job.peak_memory_source.as_str()), (4096, "largest process"));
    assert_eq!(job.cpu_usec, 7);
    let counted = Over { peak_memory: Some(8192), cpu_usec: Some(11), ..unit("success", "exited", "0") };
    let job = ended(&entry(noted(0, false, 1)), &counted, None);
    assert_eq!((job.peak_memory_bytes, job.peak_memory_source.as_str(), job.cpu_usec), (8192, "cgroup", 11));
    let dropped = Notes { dropping: Some("no space".into()), ..noted(0, false, 1) };
    let job = ended(&entry(dropped), &counted, None);
    assert!(job.output_truncated && job.reason.contains("no space"));
}

#[test]
fn what_became_of_an_app_decides_however_the_process_ended() {
    use crate::jobs::{Outcome, Progress};
    let seen = |outcome: Option<(bool, &str)>, unit: &Over, canceled| {
        let outcome = outcome.map(|(good, reason)| Outcome { good, reason: reason.into() });
        let entry =
            Entry { progress: Progress { outcome, ..Progress::default() }, ..entry(Notes::default()) };
        let job = app_ended(&entry, unit, canceled);
        (job.state(), job.reason)
    };
    let (well, killed) = (unit("success", "exited", "0"), unit("signal", "killed", "KILL"));
    let put_back = Some((false, "it was put back"));
    assert_eq!(seen(Some((true, "")), &well, false), (JobState::Succeeded, String::new()));
    // It was live and well already.
    assert_eq!(seen(Some((true, "late")), &killed, true), (JobState::Succeeded, "late".into()));
    assert_eq!(seen(put_back, &killed, false), (JobState::Failed, "it was put back".into()));
    assert_eq!(seen(put_back, &unit("exit-code", "exited", "1"), true).0, JobState::Canceled);
    assert_eq!(seen(put_back, &unit("timeout", "killed", "TERM"), false).0, JobState::TimedOut);
    assert_eq!(seen(None, &well, false).0, JobState::Lost);
}
