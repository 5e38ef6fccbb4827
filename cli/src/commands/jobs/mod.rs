//! `hmsctl jobs`: runs of scripts, their jobs and outputs.

mod cancel;
mod list;
mod outcome;
mod show;

use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCompleter;
use hms_proto::{
    controller::v1::{GetJobRequest, GetRunRequest, Run, RunRequest, Target},
    fault::{Fault, FaultKind},
    host::v1::{self as host, Job},
    names::{HostName, JobId},
};

pub(crate) use list::table;
pub(crate) use outcome::{attach_to, fault_of, took_cell};

use super::scripts::{Manner, launch};
use crate::{
    attach::{Interrupts, Wish},
    complete,
    connect::{Connection, Pace},
    failure::{Failure, Result},
    session::Session,
};

/// List, watch and end runs of scripts
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hmsctl jobs
  hmsctl jobs --state running
  hmsctl jobs attach 0193f0a2-5b7e-7c3a-9d41-2f6d1c0e8a55
  hmsctl --direct asterra jobs   (with the controller down)

A run is one script on some hosts; each host's part of it is a job. Where one is asked for, the id of either will do.")]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Jobs {
    #[command(subcommand)]
    verb: Option<JobsVerb>,
    #[command(flatten)]
    wanted: list::Wanted,
}

#[derive(Debug, Subcommand)]
enum JobsVerb {
    /// List runs, newest first
    #[command(after_help = "Examples:
  hmsctl jobs list --script check_disk_space -n 10
  hmsctl jobs list --host asterra --state failed
  hmsctl jobs list --actor ada -o json")]
    List(list::Wanted),
    /// Show a run or a job: how it is on each host
    #[command(after_help = "Example:\n  hmsctl jobs show 0193f0a2-5b7e-7c3a-9d41-2f6d1c0e8a55")]
    Show(One),
    /// Watch the output of a run or a job, from its beginning
    #[command(after_help = "Examples:
  hmsctl jobs attach 0193f0a2-5b7e-7c3a-9d41-2f6d1c0e8a55
  hmsctl jobs attach 0193f0a2-5b7e-7c3a-9d41-2f6d1c0e8a55 --host asterra

Ctrl-C lets go of it again.")]
    Attach(Outputs),
    /// Print the output that there is; of one host to a file or a pipe byte by byte
    #[command(after_help = "Example:
  hmsctl jobs output 0193f0a2-5b7e-7c3a-9d41-2f6d1c0e8a55 --host asterra > output.txt")]
    Output(Outputs),
    /// End a run or a job, wait until it has ended, and say what became of it
    #[command(after_help = "Example:\n  hmsctl jobs cancel 0193f0a2-5b7e-7c3a-9d41-2f6d1c0e8a55")]
    Cancel(One),
    /// Run again on the hosts on which it did not succeed
    #[command(after_help = "Example:\n  hmsctl jobs retry 0193f0a2-5b7e-7c3a-9d41-2f6d1c0e8a55")]
    Retry(Retry),
}

#[derive(Debug, Args)]
struct One {
    /// Id of the run or the job
    #[arg(value_name = "RUN|JOB", add = ArgValueCompleter::new(complete::runs))]
    id: JobId,
}

#[derive(Debug, Args)]
struct Outputs {
    #[command(flatten)]
    one: One,
    /// Only of this host; may be repeated
    #[arg(long = "host", value_name = "HOST", value_delimiter = ',', add = ArgValueCompleter::new(complete::hosts))]
    hosts: Vec<HostName>,
    /// Control characters as they are: the output may then act on your terminal
    #[arg(long)]
    raw: bool,
}

#[derive(Debug, Args)]
struct Retry {
    /// Id of the run
    #[arg(value_name = "RUN", add = ArgValueCompleter::new(complete::runs))]
    id: JobId,
    #[command(flatten)]
    manner: Manner,
}

/// What an id stands for.
pub(crate) enum Thing {
    Run(Box<Run>),
    Job(Box<Job>),
}

impl Thing {
    pub(crate) fn id(&self) -> &str {
        match self {
            Self::Run(run) => &run.id,
            Self::Job(job) => &job.id,
        }
    }

    fn script(&self) -> &str {
        let script = match self {
            Self::Run(run) => &run.script,
            Self::Job(job) => &job.script,
        };
        // Work on apps has none; `hmsctl deployments` says more of it.
        if script.is_empty() { "the work on its app" } else { script }
    }

    fn jobs(&self) -> &[Job] {
        match self {
            Self::Run(run) => &run.jobs,
            Self::Job(job) => std::slice::from_ref(job),
        }
    }
}

impl Jobs {
    pub(crate) async fn run(self, session: &Session) -> Result<()> {
        match self.verb.unwrap_or(JobsVerb::List(self.wanted)) {
            JobsVerb::List(wanted) => wanted.run(session).await,
            JobsVerb::Show(one) => show::run(session, &one.id).await,
            JobsVerb::Attach(outputs) => outputs.run(session, true).await,
            JobsVerb::Output(outputs) => outputs.run(session, false).await,
            JobsVerb::Cancel(one) => cancel::run(session, &one.id).await,
            JobsVerb::Retry(retry) => retry.run(session).await,
        }
    }
}

/// Finds a run or, where there is none with this id, a job. An agent knows of jobs alone.
async fn find(link: &Connection, id: &JobId) -> Result<Thing> {
    let id = id.to_string();
    if link.is_direct() {
        let mut jobs = link.host_jobs(None, Pace::Look);
        let job = link.answer(Pace::Look, jobs.get(host::GetJobRequest { id })).await?;
        return Ok(Thing::Job(Box::new(job)));
    }
    let mut jobs = link.jobs(None, Pace::Look);
    match link.answer(Pace::Look, jobs.get_run(GetRunRequest { id: id.clone() })).await {
        Ok(run) => return Ok(Thing::Run(Box::new(run))),
        Err(Failure::Fault(fault)) if fault.kind() == FaultKind::NotFound => {}
        Err(failure) => return Err(failure),
    }
    match link.answer(Pace::Look, jobs.get_job(GetJobRequest { id: id.clone() })).await {
        Ok(job) => Ok(Thing::Job(Box::new(job))),
        Err(Failure::Fault(fault)) if fault.kind() == FaultKind::NotFound => {
            Err(Fault::not_found("run or job", &id).hint("`hmsctl jobs` shows the runs").into())
        }
        Err(failure) => Err(failure),
    }
}

impl Outputs {
    async fn run(self, session: &Session, follow: bool) -> Result<()> {
        if session.out.is_data() {
            return Err(Fault::invalid("an output has its own form")
                .hint("leave out -o; `hmsctl jobs show` has a JSON form")
                .into());
        }
        let interrupts = if follow { Interrupts::listen()? } else { Interrupts::none() };
        let link = session.link()?;
        let mut thing = find(&link, &self.one.id).await?;
        self.narrow(&mut thing)?;
        let wish = Wish { follow, raw: self.raw, show: true };
        attach_to(session, &link, thing, wish, interrupts).await
    }

    /// Leaves only the hosts that were asked for.
    fn narrow(&self, thing: &mut Thing) -> Result<()> {
        let known = |host: &HostName| thing.jobs().iter().any(|job| job.host == host.as_str());
        if let Some(unknown) = self.hosts.iter().find(|host| !known(host)) {
            let names: Vec<&str> = thing.jobs().iter().map(|job| job.host.as_str()).collect();
            return Err(Fault::invalid(format!("it does not run on {unknown}"))
                .hint(format!("its hosts are: {}", names.join(", ")))
                .into());
        }
        if let Thing::Run(run) = thing
            && !self.hosts.is_empty()
        {
            run.jobs.retain(|job| self.hosts.iter().any(|host| host.as_str() == job.host));
        }
        Ok(())
    }
}

impl Retry {
    async fn run(self, session: &Session) -> Result<()> {
        let link = session.controller()?;
        let request = GetRunRequest { id: self.id.to_string() };
        let run = link.answer(Pace::Look, link.jobs(None, Pace::Look).get_run(request)).await?;
        let request = RunRequest {
            script: run.script,
            target: Some(Target { failed_of: run.id, ..Target::default() }),
            parameters: run.parameters,
            json: run.json,
            timeout_s: run.timeout_s,
            batch: run.batch,
            max_failures: run.max_failures,
            id: JobId::new().to_string(),
        };
        launch(session, &link, request, run.mutates, self.manner).await
    }
}
