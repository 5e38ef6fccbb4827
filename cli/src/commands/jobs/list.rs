//! Runs as a list; on an agent that is asked itself, jobs.

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use hms_proto::{
    controller::v1::{ListRunsRequest, ListRunsResponse, Run},
    host::v1::{Job, ListJobsRequest, ListJobsResponse},
    names::{HostName, ScriptName, UserName},
};

use super::outcome::{exit_cell, took_cell};
use crate::{
    commands::pages,
    complete,
    connect::{Connection, Pace},
    failure::Result,
    output::{
        measure::{now_usec, relative},
        state,
        table::{Cell, Look, Table},
    },
    session::Session,
};

const STATES: [&str; 8] =
    ["queued", "running", "unknown", "succeeded", "failed", "canceled", "timed_out", "lost"];

#[derive(Debug, Args)]
pub(super) struct Wanted {
    /// Only of this script
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(complete::scripts))]
    script: Option<ScriptName>,
    /// Only on this host
    #[arg(long, add = ArgValueCompleter::new(complete::hosts))]
    host: Option<HostName>,
    /// Only in this state
    #[arg(long, value_parser = STATES)]
    state: Option<String>,
    /// Only what this user began
    #[arg(long, value_name = "USER")]
    actor: Option<UserName>,
    /// At most so many
    #[arg(short = 'n', long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

/// The most that an agent tells.
const ON_HOST: u32 = 1_000;

impl Wanted {
    pub(super) async fn run(self, session: &Session) -> Result<()> {
        let link = session.link()?;
        if link.is_direct() {
            return self.on_host(session, &link).await;
        }
        let list = self.runs(&link).await?;
        if session.out.data(&list)? {
            return Ok(());
        }
        let empty = "No such runs. Run a script: hmsctl scripts run NAME";
        session.out.table(&table(&list.runs, now_usec()), empty)
    }

    async fn runs(&self, link: &Connection) -> Result<ListRunsResponse> {
        let text = |name: Option<String>| name.unwrap_or_default();
        let wanted = ListRunsRequest {
            script: text(self.script.as_ref().map(ToString::to_string)),
            host: text(self.host.as_ref().map(ToString::to_string)),
            actor: text(self.actor.as_ref().map(ToString::to_string)),
            state: text(self.state.clone()),
            ..ListRunsRequest::default()
        };
        let page = async |limit, cursor| {
            let request = ListRunsRequest { limit, cursor, ..wanted.clone() };
            let page = link.answer(Pace::Look, link.jobs(None, Pace::Look).list_runs(request)).await?;
            Ok((page.runs, page.next_cursor))
        };
        let (runs, next_cursor) = pages::up_to(self.limit, page).await?;
        Ok(ListRunsResponse { runs, next_cursor })
    }

    async fn on_host(&self, session: &Session, link: &Connection) -> Result<()> {
        let (_, label) = session.host(self.host.as_ref())?;
        let request = ListJobsRequest { running: false, limit: ON_HOST };
        let mut list: ListJobsResponse =
            link.answer(Pace::Look, link.host_jobs(None, Pace::Look).list(request)).await?;
        list.jobs.retain(|job| self.fits(job));
        list.jobs.truncate(usize::try_from(self.limit).unwrap_or(usize::MAX));
        if session.out.data(&list)? {
            return Ok(());
        }
        session.out.table(&jobs_table(&list.jobs, now_usec()), &format!("No such jobs on {label}."))
    }

    fn fits(&self, job: &Job) -> bool {
        let word = job.state().as_str_name().trim_start_matches("JOB_STATE_").to_lowercase();
        self.script.as_ref().is_none_or(|name| name.as_str() == job.script)
            && self.actor.as_ref().is_none_or(|name| name.as_str() == job.actor)
            && self.state.as_ref().is_none_or(|state| *state == word)
    }
}

/// Runs as a table.
pub(crate) fn table(runs: &[Run], now: i64) -> Table {
    let mut table = Table::new(&["!RUN", "SCRIPT", "!STATE", "HOSTS", "WHO", "VIA", "BEGAN", ">TOOK"]);
    for run in runs {
        table.row(vec![
            Cell::new(&run.id, Look::Faint),
            Cell::new(&run.script, Look::Strong),
            state::of_job(run.state()),
            hosts_words(run).into(),
            run.actor.as_str().into(),
            run.source.as_str().into(),
            relative(run.created_usec, now).into(),
            took_cell(run.created_usec, run.ended_usec, now),
        ]);
    }
    table
}

/// `2 ok, 1 failed`.
pub(super) fn hosts_words(run: &Run) -> String {
    let counts =
        [(run.succeeded, "ok"), (run.failed, "failed"), (run.running, "running"), (run.waiting, "waiting")];
    let words = counts.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}"));
    words.collect::<Vec<_>>().join(", ")
}

fn jobs_table(jobs: &[Job], now: i64) -> Table {
    let mut table = Table::new(&["!JOB", "SCRIPT", "!STATE", ">EXIT", "WHO", "BEGAN", ">TOOK"]);
    for job in jobs {
        table.row(vec![
            Cell::new(&job.id, Look::Faint),
            Cell::new(&job.script, Look::Strong),
            state::of_job(job.state()),
            exit_cell(job),
            job.actor.as_str().into(),
            relative(job.created_usec, now).into(),
            took_cell(job.started_usec, job.ended_usec, now),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use hms_proto::host::v1::JobState;

    use super::*;

    const NOW: i64 = 1_764_010_000_000_000;

    #[test]
    fn runs_and_jobs_as_tables() {
        let run = |state: JobState, succeeded, failed, ended_usec| Run {
            id: "0193f0a2-5b7e-7c3a-9d41-2f6d1c0e8a55".into(),
            script: "check_disk_space".into(),
            state: state.into(),
            actor: "ada".into(),
            source: "cli".into(),
            created_usec: NOW - 125_000_000,
            ended_usec,
            succeeded,
            failed,
            waiting: u32::from(ended_usec == 0),
            ..Run::default()
        };
        let runs = [
            run(JobState::Running, 1, 0, 0),
            run(JobState::Failed, 2, 1, NOW - 123_600_000),
            run(JobState::Succeeded, 3, 0, NOW - 53_000_000),
        ];
        let job = Job {
            id: "0193f0a2-5b7e-7c3a-9d41-2f6d1c0e8a55".into(),
            script: "check_status".into(),
            state: JobState::Failed.into(),
            exit_status: 9,
            killed_by_signal: true,
            actor: "ada".into(),
            created_usec: NOW - 9_000_000,
            started_usec: NOW - 9_000_000,
            ended_usec: NOW - 8_660_000,
            ..Job::default()
        };
        let mut all = table(&runs, NOW).render(None, false);
        all += &jobs_table(&[job], NOW).render(None, false);
        all += &table(&runs[..1], NOW).render(Some(100), false);
        insta::assert_snapshot!(all);
    }
}
