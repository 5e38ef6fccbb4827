//! Which jobs of a run are next: a decision, and nothing else.

use hms_proto::host::v1::JobState;
use uuid::Uuid;

use crate::db::runs::Limits;

/// What to do with the jobs of a run.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Step {
    /// These begin.
    pub(super) begin: Vec<Uuid>,
    /// These will not, and this is how they end and why.
    pub(super) drop: Vec<Uuid>,
    pub(super) as_state: JobState,
    pub(super) because: String,
    /// Nothing is left to do.
    pub(super) ended: bool,
}

/// Decides it for jobs in the order in which they are to begin.
pub(super) fn step(limits: &Limits, jobs: &[(Uuid, JobState)]) -> Step {
    let count = |which: fn(JobState) -> bool| jobs.iter().filter(|(_, state)| which(*state)).count();
    let waiting: Vec<Uuid> = jobs.iter().filter(|(_, s)| *s == JobState::Queued).map(|(id, _)| *id).collect();
    let failed = count(|state| {
        use JobState::{Canceled, Failed, Lost, TimedOut};
        matches!(state, Failed | Canceled | TimedOut | Lost)
    });
    if limits.canceled {
        return drop_all(waiting, jobs, JobState::Canceled, "the run was canceled before it began".into());
    }
    if limits.max_failures > 0 && failed >= limits.max_failures as usize {
        let hosts = if failed == 1 { "1 host".into() } else { format!("{failed} hosts") };
        let because = format!("not begun, because it did not succeed on {hosts}");
        return drop_all(waiting, jobs, JobState::Skipped, because);
    }
    // A host that is away does not hold up the others, unless what may be running there changes something.
    let running = count(|s| s == JobState::Running)
        + if limits.mutates { count(|s| s == JobState::Unknown) } else { 0 };
    let room = usize::try_from(limits.batch).unwrap_or(1).saturating_sub(running);
    Step { begin: waiting.into_iter().take(room).collect(), ended: is_over(jobs, &[]), ..Step::default() }
}

fn drop_all(waiting: Vec<Uuid>, jobs: &[(Uuid, JobState)], as_state: JobState, because: String) -> Step {
    Step { ended: is_over(jobs, &waiting), drop: waiting, as_state, because, begin: Vec::new() }
}

/// Whether every job has ended, or does now.
fn is_over(jobs: &[(Uuid, JobState)], dropped: &[Uuid]) -> bool {
    use JobState::{Queued, Running, Unknown};
    jobs.iter().all(|(id, state)| dropped.contains(id) || !matches!(state, Queued | Running | Unknown))
}

#[cfg(test)]
mod tests {
    use JobState::{Failed, Lost, Queued, Running, Succeeded, TimedOut, Unknown};
    use proptest::prelude::*;

    use super::*;

    fn limits(batch: i32, max_failures: i32) -> Limits {
        Limits { batch, max_failures, mutates: false, canceled: false }
    }

    fn jobs(states: &[JobState]) -> Vec<(Uuid, JobState)> {
        (1..).map(Uuid::from_u128).zip(states.iter().copied()).collect()
    }

    fn ids(numbers: &[u128]) -> Vec<Uuid> {
        numbers.iter().map(|n| Uuid::from_u128(*n)).collect()
    }

    #[test]
    fn no_more_begin_than_the_batch_has_room_for() {
        assert_eq!(step(&limits(2, 0), &jobs(&[Queued, Queued, Queued])).begin, ids(&[1, 2]));
        assert_eq!(step(&limits(2, 0), &jobs(&[Succeeded, Running, Queued])).begin, ids(&[3]));
        assert!(step(&limits(1, 0), &jobs(&[Running, Queued])).begin.is_empty());
        assert!(step(&limits(1, 0), &jobs(&[Running, Running, Queued])).begin.is_empty());
    }

    #[test]
    fn a_lost_host_holds_its_place_only_when_something_changes_there() {
        let one = jobs(&[Unknown, Queued]);
        assert_eq!(step(&limits(1, 0), &one).begin, ids(&[2]));
        assert!(step(&Limits { mutates: true, ..limits(1, 0) }, &one).begin.is_empty());
    }

    #[test]
    fn after_so_many_failures_the_rest_is_skipped() {
        let states = jobs(&[Failed, Succeeded, TimedOut, Running, Queued, Queued]);
        let stopped = step(&limits(9, 2), &states);
        assert_eq!((stopped.drop, stopped.as_state), (ids(&[5, 6]), JobState::Skipped));
        assert_eq!(stopped.because, "not begun, because it did not succeed on 2 hosts");
        assert!(!stopped.ended, "one still runs");
        assert_eq!(step(&limits(9, 3), &states).begin, ids(&[5, 6]));
        assert!(step(&limits(9, 1), &jobs(&[Lost, Queued])).ended);
    }

    #[test]
    fn a_canceled_run_begins_nothing() {
        let canceled = Limits { canceled: true, ..limits(9, 1) };
        let stopped = step(&canceled, &jobs(&[Failed, Queued]));
        assert_eq!((stopped.drop, stopped.as_state, stopped.ended), (ids(&[2]), JobState::Canceled, true));
    }

    proptest! {
        /// Whatever happens, it goes on or is over: no run stands still for ever.
        #[test]
        fn a_run_always_goes_on(states in proptest::collection::vec(1..=9, 1..20), batch in 1..5, most in 0..4, mutates: bool, canceled: bool) {
            let states: Vec<JobState> = states.into_iter().filter_map(|n| JobState::try_from(n).ok()).collect();
            let step = step(&Limits { batch, max_failures: most, mutates, canceled }, &jobs(&states));
            let under_way = states.iter().any(|s| matches!(s, Running | Unknown));
            prop_assert!(under_way || step.ended || !step.begin.is_empty());
            prop_assert!(!step.ended || (!under_way && step.begin.is_empty()));
            prop_assert!(step.begin.is_empty() || step.drop.is_empty());
        }
    }
}
