//! Deployments as a list; on an agent that is asked itself, its jobs that work on apps.

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use hms_proto::{
    controller::v1::{Deployment, ListDeploymentsRequest, ListDeploymentsResponse},
    host::v1::{Job, JobKind, ListJobsRequest, ListJobsResponse},
    names::AppKey,
};

use super::work::{Work, noun};
use crate::{
    commands::{jobs::took_cell, pages},
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

#[derive(Debug, Args)]
pub(super) struct Wanted {
    /// Only of this app
    #[arg(value_name = "KEY", add = ArgValueCompleter::new(complete::apps))]
    key: Option<AppKey>,
    /// At most so many
    #[arg(short = 'n', long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

/// The most that an agent tells.
const ON_HOST: u32 = 1_000;
const EMPTY: &str = "No deployments yet. Begin one: hmsctl apps deploy KEY";

impl Wanted {
    pub(super) async fn run(self, session: &Session) -> Result<()> {
        let link = session.link()?;
        if link.is_direct() {
            return self.on_host(session, &link).await;
        }
        let list = self.all(&link).await?;
        if session.out.data(&list)? {
            return Ok(());
        }
        let works: Vec<Work> = list.deployments.into_iter().map(Work::of).collect();
        session.out.table(&table(&works, now_usec()), EMPTY)
    }

    async fn all(&self, link: &Connection) -> Result<ListDeploymentsResponse> {
        let key = self.key.as_ref().map(ToString::to_string).unwrap_or_default();
        let page = async |limit, cursor| {
            let request = ListDeploymentsRequest { key: key.clone(), limit, cursor };
            let mut deployments = link.deployments(None, Pace::Look);
            let page = link.answer(Pace::Look, deployments.list(request)).await?;
            Ok((page.deployments, page.next_cursor))
        };
        let (deployments, next_cursor) = pages::up_to(self.limit, page).await?;
        Ok(ListDeploymentsResponse { deployments, next_cursor })
    }

    async fn on_host(&self, session: &Session, link: &Connection) -> Result<()> {
        let request = ListJobsRequest { running: false, limit: ON_HOST };
        let mut list: ListJobsResponse =
            link.answer(Pace::Look, link.host_jobs(None, Pace::Look).list(request)).await?;
        let fits = |job: &Job| self.key.as_ref().is_none_or(|key| key.as_str() == job.app);
        list.jobs.retain(|job| job.kind() != JobKind::Script && fits(job));
        list.jobs.truncate(usize::try_from(self.limit).unwrap_or(usize::MAX));
        if session.out.data(&list)? {
            return Ok(());
        }
        let works: Vec<Work> = list.jobs.into_iter().map(|job| Work::of_job(session, job)).collect();
        session.out.table(&table(&works, now_usec()), EMPTY)
    }
}

fn table(works: &[Work], now: i64) -> Table {
    let mut table =
        Table::new(&["!DEPLOYMENT", "APP", "KIND", "!STATE", "WHAT", "HOST", "WHO", "BEGAN", ">TOOK"]);
    for work in works {
        let job = work.job();
        let began = if job.started_usec > 0 { job.started_usec } else { job.created_usec };
        let who = work.deployment().map_or(job.actor.as_str(), |deployment| deployment.actor.as_str());
        table.row(vec![
            Cell::new(&job.id, Look::Faint),
            Cell::new(&job.app, Look::Strong),
            short(job.kind()).into(),
            state::of_job(job.state()),
            what(work).into(),
            job.host.as_str().into(),
            who.into(),
            relative(began, now).into(),
            took_cell(began, job.ended_usec, now),
        ]);
    }
    table
}

fn short(kind: JobKind) -> &'static str {
    match kind {
        JobKind::Deploy => "deploy",
        JobKind::Apply => "apply",
        JobKind::Remove => "remove",
        other => noun(other),
    }
}

/// `main 1a2b3c4 Fix the login`; of what is no deployment the release, where one is known.
fn what(work: &Work) -> String {
    let job = work.job();
    let empty = Deployment::default();
    let deployment = work.deployment().unwrap_or(&empty);
    let commit: String = job.commit.chars().take(7).collect();
    let release = if job.release.is_empty() { &deployment.release } else { &job.release };
    let words = match job.kind() {
        JobKind::Deploy => vec![deployment.branch.as_str(), &commit, &deployment.subject],
        _ => vec![release.as_str()],
    };
    words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use hms_proto::host::v1::JobState;

    use super::*;

    const NOW: i64 = 1_764_010_000_000_000;

    #[test]
    fn deployments_as_a_table() {
        let work = |kind: JobKind, state: JobState, ended: i64| {
            let job = Job {
                state: state.into(),
                commit: "1a2b3c4d".repeat(5),
                release: "20261125T101502-1a2b3c4".into(),
                created_usec: NOW - 126_000_000,
                started_usec: NOW - 125_000_000,
                ended_usec: ended,
                ..Job::default()
            };
            Work::of(Deployment {
                id: "0193f0a2-5b7e-7c3a-9d41-2f6d1c0e8a55".into(),
                key: "cigar".into(),
                host: "asterra".into(),
                kind: kind.into(),
                branch: "main".into(),
                subject: "Fix the login".into(),
                actor: "ada".into(),
                job: Some(job),
                ..Deployment::default()
            })
        };
        let works = [
            work(JobKind::Deploy, JobState::Running, 0),
            work(JobKind::Rollback, JobState::Failed, NOW - 53_000_000),
            work(JobKind::Apply, JobState::Succeeded, NOW - 124_660_000),
        ];
        insta::assert_snapshot!(table(&works, NOW).render(None, false));
    }
}
