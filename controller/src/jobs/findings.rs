//! What the end of a check means. A check that found something did what it is for: exit status 1 says that there are
//! warnings, 2 that something is critical, and anything else but 0 that it could not check.

use hms_proto::{
    host::v1::{self, JobState},
    report::{self, Finding, Level},
};

use crate::{
    db::{self, jobs::Job, output, warnings::Found},
    state::State,
};

/// A longer report is not read.
const LONGEST: u64 = 1 << 20;

/// How a job ended, all things considered.
#[derive(Debug)]
pub(super) struct Verdict {
    /// How it is recorded.
    pub(super) end: v1::Job,
    /// What the dashboard is to warn of from now on; none: what it warned of before stays.
    pub(super) found: Option<Vec<Found>>,
}

/// Looks at the end of a job, and at its report where it is one of a check.
pub(super) async fn judge(state: &State, job: &Job, end: v1::Job) -> db::Result<Verdict> {
    if !job.is_check {
        return Ok(Verdict { end, found: None });
    }
    let report = match job.json && did_check(&end) {
        true => Some(read(state, job, &end).await?),
        false => None,
    };
    let mut verdict = weigh(end, report);
    if !job.reports {
        verdict.found = None;
    }
    Ok(verdict)
}

async fn read(state: &State, job: &Job, end: &v1::Job) -> db::Result<Result<Vec<Finding>, String>> {
    let Some(now) = db::jobs::get(&state.db, job.id).await? else { return Ok(Err("it is gone".into())) };
    if end.output_truncated || now.output_bytes() > LONGEST {
        return Ok(Err("its report is longer than 1 MiB".into()));
    }
    let mut text = Vec::new();
    loop {
        let piece = output::read(&state.db, job.id, text.len() as u64).await?;
        if piece.is_empty() {
            return Ok(report::findings(&text));
        }
        text.extend(piece);
    }
}

/// Whether it ran through: by its exit status.
fn did_check(end: &v1::Job) -> bool {
    matches!(end.state(), JobState::Succeeded | JobState::Failed)
        && !end.killed_by_signal
        && (0..=2).contains(&end.exit_status)
        && end.ended_usec > 0
}

fn weigh(mut end: v1::Job, report: Option<Result<Vec<Finding>, String>>) -> Verdict {
    match (did_check(&end), report) {
        (true, Some(Ok(findings))) => {
            end.state = JobState::Succeeded.into();
            end.reason = told(&findings);
            let found = findings.into_iter().map(|f| Found {
                level: f.level,
                subject: f.subject,
                message: f.message,
            });
            Verdict { end, found: Some(found.collect()) }
        }
        (true, Some(Err(why))) => {
            could_not_check(v1::Job { state: JobState::Failed.into(), reason: why, ..end })
        }
        // A report for people: only the exit status is understood.
        (true, None) => {
            end.state = JobState::Succeeded.into();
            match end.exit_status {
                1 => end.reason = "found something to warn of".into(),
                2 => end.reason = "found something critical".into(),
                _ => {}
            }
            Verdict { end, found: None }
        }
        (false, _) => could_not_check(end),
    }
}

/// What counts as found then. Somebody who ended it, or a host that is away, says nothing about the host's state.
fn could_not_check(end: v1::Job) -> Verdict {
    if end.state() == JobState::Canceled || end.result == "unreachable" {
        return Verdict { end, found: None };
    }
    let why = match (end.reason.as_str(), end.killed_by_signal) {
        ("", true) => format!("it was killed by signal {}", end.exit_status),
        ("", false) => format!("exit status {}", end.exit_status),
        (reason, _) => reason.to_owned(),
    };
    let message = format!("the check could not run: {why}");
    let found = Found { level: Level::Warning, subject: "the check itself".into(), message };
    Verdict { end, found: Some(vec![found]) }
}

/// What was found, in a few words; empty when all is well.
fn told(findings: &[Finding]) -> String {
    let count = |level| findings.iter().filter(|f| f.level == level).count();
    let plural = |n: usize| if n == 1 { "" } else { "s" };
    match (count(Level::Critical), count(Level::Warning)) {
        (0, 0) => String::new(),
        (0, w) => format!("found {w} warning{}", plural(w)),
        (c, 0) => format!("found {c} critical problem{}", plural(c)),
        (c, w) => format!("found {c} critical problem{} and {w} warning{}", plural(c), plural(w)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(state: JobState, exit_status: i32) -> v1::Job {
        v1::Job { state: state.into(), exit_status, ended_usec: 1, ..v1::Job::default() }
    }

    fn finding(level: Level) -> Finding {
        Finding { level, subject: "/".into(), message: "91 % full".into() }
    }

    #[test]
    fn a_check_that_found_something_succeeded() {
        let verdict =
            weigh(end(JobState::Failed, 1), Some(Ok(vec![finding(Level::Warning), finding(Level::Ok)])));
        assert_eq!((verdict.end.state(), verdict.end.exit_status), (JobState::Succeeded, 1));
        assert_eq!(verdict.end.reason, "found 1 warning");
        assert_eq!(verdict.found.unwrap().len(), 2);
        let both = vec![finding(Level::Critical), finding(Level::Warning), finding(Level::Warning)];
        assert_eq!(
            weigh(end(JobState::Failed, 2), Some(Ok(both))).end.reason,
            "found 1 critical problem and 2 warnings"
        );
        let well = weigh(end(JobState::Succeeded, 0), Some(Ok(vec![])));
        assert_eq!((well.end.reason.as_str(), well.found), ("", Some(vec![])), "warnings of before are over");
    }

    #[test]
    fn a_check_for_people_leaves_the_dashboard_alone() {
        let verdict = weigh(end(JobState::Failed, 2), None);
        assert_eq!((verdict.end.state(), verdict.found), (JobState::Succeeded, None));
        assert_eq!(verdict.end.reason, "found something critical");
    }

    #[test]
    fn a_check_that_could_not_check_is_a_warning_itself() {
        let killed = v1::Job { killed_by_signal: true, ..end(JobState::Failed, 9) };
        for (end, report, why) in [
            (end(JobState::Failed, 3), None, "exit status 3"),
            (killed, None, "killed by signal 9"),
            (end(JobState::TimedOut, 0), None, "exit status 0"),
            (end(JobState::Failed, 2), Some(Err("the output is no report".into())), "no report"),
            (end(JobState::Succeeded, 0), Some(Err("the output is no report".into())), "no report"),
            (v1::Job { reason: "web1 was restarted".into(), ..end(JobState::Lost, 0) }, None, "restarted"),
        ] {
            let verdict = weigh(end, report);
            assert_ne!(verdict.end.state(), JobState::Succeeded);
            let found = verdict.found.unwrap();
            assert_eq!((found.len(), found[0].level), (1, Level::Warning));
            assert!(found[0].message.contains(why), "{}", found[0].message);
        }
    }

    #[test]
    fn who_ends_a_check_and_a_host_that_is_away_change_no_warning() {
        assert!(weigh(end(JobState::Canceled, 0), None).found.is_none());
        let away = v1::Job { result: "unreachable".into(), ..end(JobState::Failed, 0) };
        assert!(weigh(v1::Job { ended_usec: 0, ..away }, None).found.is_none());
    }
}
