//! From runs, jobs and schedules to what the pages show.

use std::collections::BTreeMap;

use hms_proto::{
    controller::v1::{Run, Schedule, Target, Warning},
    host::v1::{Job, JobState as State, RunAs, Script},
};
use hms_web::{
    frame::Tone,
    pages::Fact,
    parts::{AttentionItem, Counts, JobRow, JobState, RunCard, RunRow, ScheduleRow},
    text::{bytes, duration, encode},
};

use super::view::some;

/// On so many hosts at a time a run goes unless somebody says otherwise.
const BATCH: u32 = crate::jobs::request::BATCH;
/// So many hosts are named one by one.
const NAMED: usize = 3;
/// Memory and processes unless the manifest says otherwise (the contract of `Script`).
const MEMORY: u64 = 512 << 20;
const TASKS: u32 = 64;

pub(super) fn job_state(state: State) -> JobState {
    match state {
        State::Queued => JobState::Queued,
        State::Running => JobState::Running,
        State::Unknown | State::Unspecified => JobState::Unknown,
        State::Succeeded => JobState::Succeeded,
        State::Failed => JobState::Failed,
        State::Canceled => JobState::Canceled,
        State::TimedOut => JobState::TimedOut,
        State::Lost => JobState::Lost,
        State::Skipped => JobState::Skipped,
    }
}

pub(super) fn run_row(run: &Run) -> RunRow {
    RunRow {
        id: run.id.clone(),
        script: run.script.clone(),
        state: job_state(run.state()),
        target: target(run.target.as_ref()),
        parameters: in_words(&run.parameters),
        counts: counts(run),
        actor: run.actor.clone(),
        source: run.source.clone(),
        created_us: run.created_usec,
        ended_us: some(run.ended_usec),
    }
}

fn counts(run: &Run) -> Counts {
    Counts { succeeded: run.succeeded, failed: run.failed, running: run.running, waiting: run.waiting }
}

/// By name, and fit to be shown.
fn parameters(given: &BTreeMap<String, String>) -> Vec<(String, String)> {
    given.iter().map(|(name, value)| (name.clone(), hms_web::text::plain(value))).collect()
}

fn in_words(given: &BTreeMap<String, String>) -> String {
    let words: Vec<String> =
        parameters(given).iter().map(|(name, value)| format!("{name}={value}")).collect();
    words.join(" ")
}

/// Where, in a few words.
fn target(target: Option<&Target>) -> String {
    let Some(target) = target else { return String::new() };
    match target {
        Target { all: true, .. } => "all hosts".into(),
        Target { label, .. } if !label.is_empty() => format!("label {label}"),
        Target { failed_of, .. } if !failed_of.is_empty() => "where it failed before".into(),
        Target { hosts, .. } if hosts.len() > NAMED => format!("{} hosts", hosts.len()),
        Target { hosts, .. } => hosts.join(", "),
    }
}

/// A run with the output of one job: the one that is asked for, or the one that needs most attention.
pub(super) fn run_card(run: &Run, wanted: &str) -> RunCard {
    let jobs: Vec<JobRow> = run.jobs.iter().map(job_row).collect();
    let chosen = jobs.iter().find(|job| job.id == wanted).or_else(|| most_urgent(&jobs));
    RunCard {
        id: run.id.clone(),
        script: run.script.clone(),
        mutates: run.mutates,
        parameters: parameters(&run.parameters),
        target: target(run.target.as_ref()),
        manner: manner(run),
        actor: run.actor.clone(),
        source: run.source.clone(),
        created_us: run.created_usec,
        ended_us: some(run.ended_usec),
        state: job_state(run.state()),
        counts: counts(run),
        chosen: chosen.map(|job| job.id.clone()).unwrap_or_default(),
        jobs,
        again_href: again(run),
        problem: String::new(),
    }
}

fn most_urgent(jobs: &[JobRow]) -> Option<&JobRow> {
    let order = |job: &&JobRow| match job.state {
        JobState::Failed | JobState::TimedOut | JobState::Lost => 0,
        JobState::Unknown => 1,
        JobState::Running => 2,
        JobState::Succeeded | JobState::Canceled => 3,
        JobState::Queued | JobState::Skipped => 4,
    };
    jobs.iter().min_by_key(order)
}

fn manner(run: &Run) -> String {
    let mut words = Vec::new();
    if run.jobs.len() > 1 && run.batch != BATCH {
        words.push(format!("{} at a time", run.batch));
    }
    match run.max_failures {
        0 => {}
        1 => words.push("stops after 1 failure".into()),
        n => words.push(format!("stops after {n} failures")),
    }
    if run.timeout_s > 0 {
        words.push(format!("ends after {}", duration(run.timeout_s.into())));
    }
    if run.json {
        words.push("as JSON".into());
    }
    words.join(", ")
}

/// The form with the same parameters on the same hosts.
fn again(run: &Run) -> String {
    let mut fields: Vec<(String, String)> =
        run.parameters.iter().map(|(name, value)| (format!("p.{name}"), value.clone())).collect();
    let mut add = |name: &str, value: String| fields.push((name.into(), value));
    match run.target.clone().unwrap_or_default() {
        Target { all: true, .. } => add("on", "all".into()),
        Target { label, .. } if !label.is_empty() => {
            add("on", "label".into());
            add("label", label);
        }
        Target { failed_of, .. } if !failed_of.is_empty() => {
            run.jobs.iter().for_each(|job| add("host", job.host.clone()))
        }
        Target { hosts, .. } => hosts.into_iter().for_each(|host| add("host", host)),
    }
    for (name, value, usual) in
        [("batch", run.batch, BATCH), ("max_failures", run.max_failures, 0), ("json", run.json.into(), 0)]
    {
        if value != usual {
            add(name, value.to_string());
        }
    }
    if run.timeout_s > 0 {
        add("timeout", format!("{}s", run.timeout_s));
    }
    let query: Vec<String> =
        fields.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    format!("/scripts/{}?{}", run.script, query.join("&"))
}

fn job_row(job: &Job) -> JobRow {
    JobRow {
        id: job.id.clone(),
        host: job.host.clone(),
        state: job_state(job.state()),
        started_us: some(job.started_usec),
        ended_us: some(job.ended_usec),
        exit_status: job.exit_status,
        killed_by_signal: job.killed_by_signal,
        result: job.result.clone(),
        reason: job.reason.clone(),
        output_bytes: job.output_bytes,
        truncated: job.output_truncated,
        peak_memory: job.peak_memory_bytes,
        cpu_ms: job.cpu_usec / 1000,
    }
}

/// Why there can be no output; empty where there can.
pub(super) fn why_no_output(job: &JobRow) -> String {
    match (job.state, job.started_us) {
        (JobState::Queued, _) => "It waits for its turn.".into(),
        (state, None) if state.is_over() => "It was not started.".into(),
        _ => String::new(),
    }
}

pub(super) fn schedule_row(schedule: &Schedule) -> ScheduleRow {
    ScheduleRow {
        id: schedule.id.clone(),
        script: schedule.script.clone(),
        target: target(schedule.target.as_ref()),
        parameters: in_words(&schedule.parameters),
        cron: schedule.cron.clone(),
        words: schedule.words.clone(),
        paused: schedule.paused,
        created_by: schedule.created_by.clone(),
        next_us: schedule.next_usec.iter().take(3).copied().collect(),
        last: some(schedule.last_usec).map(|at| (at, job_state(schedule.last_state()))),
        last_run: schedule.last_run_id.clone(),
        missed: schedule.missed,
        missed_since_us: schedule.missed_since_usec,
    }
}

/// What a check found, for the strip of the dashboard.
pub(super) fn warning(found: &Warning) -> AttentionItem {
    AttentionItem {
        tone: if found.level == "critical" { Tone::Bad } else { Tone::Warn },
        title: format!("{} on {}", found.subject, found.host),
        detail: found.message.clone(),
        href: format!("/runs/{}?job={}", found.run_id, found.job_id),
        link: found.script.clone(),
        since_us: some(found.since_usec),
    }
}

/// What a script may and may not do, in words.
pub(super) fn facts(script: &Script) -> Vec<Fact> {
    let list = |words: &[String]| words.join(", ");
    let mut facts: Vec<(&str, String)> = vec![(
        "Runs as",
        match script.run_as() {
            RunAs::Nobody => "a user made for this one run".into(),
            RunAs::Root => "root, in a sandbox".into(),
        },
    )];
    if !script.groups.is_empty() {
        facts.push(("Groups", list(&script.groups)));
    }
    if !script.capabilities.is_empty() {
        facts.push(("Capabilities", list(&script.capabilities)));
    }
    facts.push(("Network", if script.network { "yes" } else { "none" }.into()));
    facts.push((
        "Writes to",
        if script.write_paths.is_empty() { "its own /tmp only".into() } else { list(&script.write_paths) },
    ));
    facts.push(("Ends after", duration(script.timeout_s.into())));
    facts.push((
        "Memory",
        format!(
            "at most {}",
            bytes(if script.memory_limit_bytes == 0 { MEMORY } else { script.memory_limit_bytes })
        ),
    ));
    facts.push((
        "Processes",
        format!("at most {}", if script.tasks_limit == 0 { TASKS } else { script.tasks_limit }),
    ));
    facts.push(("Output kept", bytes(script.output_limit_bytes)));
    if !script.tools.is_empty() {
        facts.push(("Calls", list(&script.tools)));
    }
    facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_can_be_asked_for_again_as_it_was() {
        let run = Run {
            script: "parse_logs".into(),
            parameters: [("pattern".to_owned(), "a&b=c d".to_owned())].into(),
            target: Some(Target { hosts: vec!["asterra".into(), "borealis".into()], ..Target::default() }),
            batch: 2,
            timeout_s: 30,
            json: true,
            ..Run::default()
        };
        let wanted = "/scripts/parse_logs?p.pattern=a%26b%3Dc%20d&host=asterra&host=borealis&batch=2&json=1&timeout=30s";
        assert_eq!(run_card(&run, "").again_href, wanted);
    }

    #[test]
    fn the_job_that_needs_most_attention_is_shown_first() {
        let job = |id: &str, state: State| Job { id: id.into(), state: state.into(), ..Job::default() };
        let run = Run {
            jobs: vec![job("a", State::Succeeded), job("b", State::Running), job("c", State::Failed)],
            ..Run::default()
        };
        assert_eq!(run_card(&run, "").chosen, "c");
        assert_eq!(run_card(&run, "b").chosen, "b");
        assert_eq!(run_card(&run, "of another run").chosen, "c");
    }

    #[test]
    fn places_are_told_in_a_few_words() {
        let hosts =
            |n: usize| Target { hosts: (0..n).map(|n| format!("h{n}")).collect(), ..Target::default() };
        assert_eq!(target(Some(&hosts(2))), "h0, h1");
        assert_eq!(target(Some(&hosts(9))), "9 hosts");
        assert_eq!(target(Some(&Target { label: "web".into(), ..Target::default() })), "label web");
    }
}
