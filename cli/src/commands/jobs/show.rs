//! A run or a job in full.

use std::collections::BTreeMap;

use hms_proto::{controller::v1::Run, host::v1::Job, names::JobId};

use super::{Thing, find, list::hosts_words, outcome};
use crate::{
    commands::scripts::target_words,
    failure::Result,
    output::{
        measure::{full, now_usec, relative, size, span, took},
        state,
        table::{Cell, Look, Table},
    },
    session::Session,
};

pub(super) async fn run(session: &Session, id: &JobId) -> Result<()> {
    let link = session.link()?;
    let thing = find(&link, id).await?;
    let told = match &thing {
        Thing::Run(run) => session.out.data(run)?,
        Thing::Job(job) => session.out.data(job)?,
    };
    if told {
        return Ok(());
    }
    let (width, colour, now) = (session.out.width, session.out.colour, now_usec());
    session.out.write(&match &thing {
        Thing::Run(run) => {
            format!(
                "{}\n{}",
                of_run(run, now).render(width, colour),
                outcome::table(&run.jobs, true, now).render(width, colour)
            )
        }
        Thing::Job(job) => of_job(job, now).render(width, colour),
    })
}

fn of_run(run: &Run, now: i64) -> Table {
    let mut table = Table::new(&["", ""]);
    let mut say = |what: &str, cell: Cell| table.row(vec![Cell::new(what, Look::Faint), cell]);
    say("run", Cell::new(&run.id, Look::Strong));
    say("script", run.script.as_str().into());
    say("state", state::of_job(run.state()));
    say("hosts", hosts_words(run).into());
    say("on", run.target.as_ref().map(target_words).unwrap_or_default().into());
    asked(&mut say, &run.parameters, run.json);
    say("began by", format!("{} ({})", run.actor, run.source).into());
    times(&mut say, [("began", run.created_usec), ("ended", run.ended_usec)], now);
    if run.batch > 0 {
        say("at a time", run.batch.to_string().into());
    }
    if run.max_failures > 0 {
        say("stops after", format!("{} failed", run.max_failures).into());
    }
    if !run.schedule_id.is_empty() {
        say("schedule", run.schedule_id.as_str().into());
    }
    table
}

fn of_job(job: &Job, now: i64) -> Table {
    let mut table = Table::new(&["", ""]);
    let mut say = |what: &str, cell: Cell| table.row(vec![Cell::new(what, Look::Faint), cell]);
    say("job", Cell::new(&job.id, Look::Strong));
    say("script", job.script.as_str().into());
    say("host", job.host.as_str().into());
    say("state", state::of_job(job.state()));
    if !job.reason.is_empty() {
        say("why", job.reason.as_str().into());
    }
    if outcome::has_exit(job) {
        say("exit", outcome::exit_cell(job));
    }
    asked(&mut say, &job.parameters, job.json);
    say("began by", job.actor.as_str().into());
    times(&mut say, [("began", job.started_usec), ("ended", job.ended_usec)], now);
    if job.started_usec > 0 {
        say("took", outcome::took_cell(job.started_usec, job.ended_usec, now));
    }
    let more = if job.output_truncated { ", the rest was dropped" } else { "" };
    say("output", format!("{}{more}", size(job.output_bytes)).into());
    if job.peak_memory_bytes > 0 {
        let most = match job.peak_memory_source.as_str() {
            "" => size(job.peak_memory_bytes),
            source => format!("{} ({source})", size(job.peak_memory_bytes)),
        };
        say("most memory", most.into());
    }
    if job.cpu_usec > 0 {
        say("CPU time", cpu(job.cpu_usec).into());
    }
    table
}

fn cpu(usec: u64) -> String {
    match u32::try_from(usec / 1000) {
        Ok(ms) => took(ms),
        Err(_) => span(i64::try_from(usec).unwrap_or(i64::MAX)),
    }
}

fn asked(say: &mut impl FnMut(&str, Cell), parameters: &BTreeMap<String, String>, json: bool) {
    for (name, value) in parameters {
        say("with", format!("{name}={value}").into());
    }
    if json {
        say("with", "JSON output".into());
    }
}

fn times(say: &mut impl FnMut(&str, Cell), times: [(&str, i64); 2], now: i64) {
    for (what, usec) in times.into_iter().filter(|(_, usec)| *usec > 0) {
        say(what, format!("{} ({})", full(usec), relative(usec, now)).into());
    }
}

#[cfg(test)]
mod tests {
    use hms_proto::{controller::v1::Target, host::v1::JobState};

    use super::*;

    #[test]
    fn a_run_and_a_job_in_full() {
        let now = 1_764_010_000_000_000;
        let job = Job {
            id: "0193f0a2-5b7e-7c3a-9d41-2f6d1c0e8a55".into(),
            script: "parse_logs".into(),
            host: "asterra".into(),
            state: JobState::TimedOut.into(),
            reason: "it took longer than 30 s\x1b[2J".into(),
            result: "timeout".into(),
            exit_status: 15,
            killed_by_signal: true,
            parameters: BTreeMap::from([("pattern".into(), "a b".into())]),
            json: true,
            actor: "ada".into(),
            output_bytes: 8 << 20,
            output_truncated: true,
            peak_memory_bytes: 12 << 20,
            peak_memory_source: "cgroup".into(),
            cpu_usec: 1_420_000,
            ..Job::default()
        };
        let run = Run {
            id: "0193f0a2-0000-7c3a-9d41-2f6d1c0e8a55".into(),
            script: "parse_logs".into(),
            state: JobState::TimedOut.into(),
            failed: 1,
            target: Some(Target { hosts: vec!["asterra".into()], ..Target::default() }),
            actor: "ada".into(),
            source: "cli".into(),
            batch: 10,
            max_failures: 1,
            jobs: vec![job.clone()],
            ..Run::default()
        };
        let mut all = of_run(&run, now).render(None, false) + "\n";
        all += &outcome::table(&run.jobs, true, now).render(None, false);
        all += "\n";
        all += &of_job(&job, now).render(None, false);
        insta::assert_snapshot!(all);
    }
}
