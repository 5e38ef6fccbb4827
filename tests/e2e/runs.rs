//! Runs over hosts, while everything that can stop does: each job ends exactly once, with all of its output.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use hms_proto::controller::v1::{
    CancelRequest, GetRunRequest, Run, RunRequest, SyncScriptsRequest, Target,
    job_service_client::JobServiceClient, script_service_client::ScriptServiceClient,
};
use hms_proto::host::v1::{JobOutputRequest, JobState, ScriptFile};
use hms_proto::identity::Kind;
use hms_proto::names::JobId;
use hms_proto::script;
use hms_tests::people::log_in_as_admin;
use hms_tests::testbed::Host;
use hms_tests::world::World;
use tonic::transport::Channel;

use crate::support::eventually;

const SOON: Duration = Duration::from_secs(60);

/// Counts to `n`, one line each 10 ms, and leaves a mark for each time it was started.
const COUNT: &str = "#!/bin/bash\nset -eu\nn=10; fail=false\nfor a in \"$@\"; do case \"$a\" in --n=*) n=${a#*=};; --fail=*) fail=${a#*=};; esac; done\n\
    echo \"$HMS_JOB\" >> /var/lib/count/started\nfor ((i = 1; i <= n; i++)); do echo \"line $i\"; echo; sleep 0.01; done\n\
    if [ \"$fail\" = \"$HMS_HOST\" ]; then echo 'told to fail'; exit 7; fi\n";
const MANIFEST: &str = "title = \"Count\"\ndescription = \"Counts.\"\ntimeout = \"5min\"\nrun_as = \"root\"\nwrite_paths = [\"/var/lib/count\"]\n\
    [[parameters]]\nname = \"n\"\nlabel = \"How far\"\nkind = \"int\"\n[[parameters]]\nname = \"fail\"\nlabel = \"Host to fail on\"\nkind = \"host\"\n";

struct Runs {
    jobs: JobServiceClient<Channel>,
    scripts: ScriptServiceClient<Channel>,
}

impl Runs {
    /// An administrator's clients, and the script on every host.
    async fn of(world: &World) -> Result<Self> {
        let channel = log_in_as_admin(world).await?.channel(&world.grpc(), Kind::Controller)?;
        let mut runs =
            Self { jobs: JobServiceClient::new(channel.clone()), scripts: ScriptServiceClient::new(channel) };
        for host in world.hosts() {
            host.run(&["mkdir", "-p", "/var/lib/count"]).await?;
        }
        runs.sync(vec![script::read("count", MANIFEST, COUNT.into())?]).await?;
        Ok(runs)
    }

    async fn sync(&mut self, scripts: Vec<ScriptFile>) -> Result<()> {
        self.scripts.sync(SyncScriptsRequest { scripts, dry_run: false }).await?;
        Ok(())
    }

    /// Begins a run; asks again with the same id until there is an answer.
    async fn begin(&mut self, request: RunRequest) -> Result<Run> {
        let request = RunRequest { id: JobId::new().to_string(), script: "count".into(), ..request };
        eventually(SOON, async || Ok(self.jobs.clone().run(request.clone()).await?.into_inner())).await
    }

    async fn get(&self, id: &str) -> Result<Run> {
        Ok(self.jobs.clone().get_run(GetRunRequest { id: id.into() }).await?.into_inner())
    }

    /// Waits until every job has ended.
    async fn end(&self, id: &str) -> Result<Run> {
        eventually(Duration::from_secs(120), async || {
            let run = self.get(id).await?;
            ensure!(run.ended_usec > 0, "{run:?}");
            Ok(run)
        })
        .await
    }

    /// Waits until every job of a run has this state.
    async fn reach(&self, id: &str, state: JobState) -> Result<Run> {
        eventually(SOON, async || {
            let run = self.get(id).await?;
            ensure!(run.jobs.iter().all(|job| job.state() == state), "{run:?}");
            Ok(run)
        })
        .await
    }

    /// Waits until every job of a run has printed something.
    async fn prints(&self, id: &str) -> Result<()> {
        eventually(SOON, async || {
            let run = self.get(id).await?;
            for job in &run.jobs {
                ensure!(!self.output(&job.id).await?.is_empty(), "{run:?}");
            }
            Ok(())
        })
        .await
    }

    async fn output(&self, job: &str) -> Result<String> {
        let request = JobOutputRequest { id: job.into(), offset: 0, follow: false };
        let mut stream = self.jobs.clone().output(request).await?.into_inner();
        let mut all = Vec::new();
        while let Some(piece) = stream.message().await? {
            if !piece.data.is_empty() {
                ensure!(
                    piece.offset == all.len() as u64,
                    "a piece at {} after {} bytes",
                    piece.offset,
                    all.len()
                );
                all.extend_from_slice(&piece.data);
            }
        }
        Ok(String::from_utf8(all)?)
    }
}

fn count(n: u32) -> BTreeMap<String, String> {
    BTreeMap::from([("n".to_owned(), n.to_string())])
}

fn all() -> Option<Target> {
    Some(Target { all: true, ..Target::default() })
}

fn on(hosts: &[&str]) -> Option<Target> {
    Some(Target { hosts: hosts.iter().map(|h| (*h).to_owned()).collect(), ..Target::default() })
}

fn counted(n: u32) -> String {
    (1..=n).map(|i| format!("line {i}\n\n")).collect()
}

async fn kill(host: &Host, unit: &str) -> Result<()> {
    host.run(&["systemctl", "kill", "--kill-who=main", "--signal=KILL", unit]).await?;
    Ok(())
}

/// How often the script was started on a host.
async fn starts(host: &Host) -> Result<usize> {
    Ok(host.run(&["sort", "/var/lib/count/started"]).await?.lines().count())
}

async fn no_job_is_left(host: &Host) -> Result<()> {
    eventually(SOON, async || {
        let units =
            host.run(&["systemctl", "list-units", "--all", "--plain", "--no-legend", "hms-job-*"]).await?;
        ensure!(units.trim().is_empty(), "{}: {units}", host.name());
        Ok(())
    })
    .await
}

/// Security cases 77, 122, 124 and 125, pitfall P11.
#[tokio::test]
async fn killing_anything_at_any_time_loses_no_line_and_starts_nothing_twice() -> Result<()> {
    let world = World::pair().await?;
    let mut runs = Runs::of(&world).await?;
    let (controller, borealis) = (world.controller_host(), world.host("borealis")?);
    let run =
        runs.begin(RunRequest { target: all(), parameters: count(700), ..RunRequest::default() }).await?;
    runs.prints(&run.id).await?;

    kill(controller, "hms-controller.service").await?;
    kill(borealis, "hms-agent.service").await?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    kill(controller, "hms-agent.service").await?;
    kill(controller, "postgresql@15-main.service").await?;
    controller.run(&["systemctl", "restart", "postgresql@15-main.service"]).await?;
    world.wait_until_ready().await?;
    borealis.partition()?;
    kill(controller, "hms-controller.service").await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    borealis.heal()?;

    let run = runs.end(&run.id).await?;
    assert_eq!((run.state(), run.succeeded), (JobState::Succeeded, 2), "{run:?}");
    for job in &run.jobs {
        assert_eq!(runs.output(&job.id).await?, counted(700), "on {}", job.host);
        let host = world.host(&job.host)?;
        assert_eq!(starts(host).await?, 1, "{} started it more than once", job.host);
        no_job_is_left(host).await?;
    }
    Ok(())
}

/// Security case 122: the controller is killed in every state that a job passes through.
#[tokio::test]
async fn a_controller_that_is_killed_around_a_start_starts_each_job_exactly_once() -> Result<()> {
    let world = World::single().await?;
    let mut runs = Runs::of(&world).await?;
    let host = world.controller_host();
    let mut ids = Vec::new();
    for delay_ms in [0, 5, 15, 30, 60, 120, 250, 500] {
        let request = RunRequest { target: all(), parameters: count(30), ..RunRequest::default() };
        ids.push(runs.begin(request).await?.id);
        tokio::time::sleep(Duration::from_millis(delay_ms)).await;
        kill(host, "hms-controller.service").await?;
        world.wait_until_ready().await?;
    }
    for id in &ids {
        let run = runs.end(id).await?;
        assert_eq!(run.state(), JobState::Succeeded, "{run:?}");
        assert_eq!(runs.output(&run.jobs[0].id).await?, counted(30));
    }
    assert_eq!(starts(host).await?, ids.len());
    no_job_is_left(host).await
}

/// A host that disappears is unknown until it is back; then the truth is told, and only it is run again.
#[tokio::test]
async fn a_host_that_disappears_during_a_run_is_unknown_until_it_returns() -> Result<()> {
    let world = World::pair().await?;
    let mut runs = Runs::of(&world).await?;
    let borealis = world.host("borealis")?;
    let request = RunRequest { target: on(&["borealis"]), parameters: count(6000), ..RunRequest::default() };
    let run = runs.begin(request).await?;
    runs.prints(&run.id).await?;
    borealis.power_cut().await?;
    let seen = runs.reach(&run.id, JobState::Unknown).await?;
    ensure!(seen.jobs[0].reason.contains("borealis"), "{}", seen.jobs[0].reason);
    // What waits on a host that is away does not hold up the others.
    let request = RunRequest { target: all(), parameters: count(3), ..RunRequest::default() };
    let other = runs.begin(request).await?;
    eventually(SOON, async || {
        let run = runs.get(&other.id).await?;
        ensure!(run.jobs.iter().any(|j| j.host == "asterra" && j.state() == JobState::Succeeded), "{run:?}");
        Ok(())
    })
    .await?;
    borealis.start().await?;
    let run = runs.end(&run.id).await?;
    assert_eq!(run.state(), JobState::Lost, "{run:?}");
    ensure!(!run.jobs[0].reason.is_empty());

    let failed = Target { failed_of: run.id.clone(), ..Target::default() };
    let request = RunRequest { target: Some(failed), parameters: count(3), ..RunRequest::default() };
    let again = runs.begin(request).await?;
    let again = runs.end(&again.id).await?;
    assert_eq!(again.jobs.iter().map(|j| j.host.as_str()).collect::<Vec<_>>(), ["borealis"]);
    assert_eq!(again.state(), JobState::Succeeded, "{again:?}");
    Ok(())
}

/// Fan-out: batches, stopping after failures, cancelling what waits and what runs.
#[tokio::test]
async fn a_run_keeps_to_its_batches_and_stops_after_failures() -> Result<()> {
    let world = World::pair().await?;
    let mut runs = Runs::of(&world).await?;
    let mut parameters = count(20);
    parameters.insert("fail".into(), "asterra".into());
    let request =
        RunRequest { target: all(), parameters, batch: 1, max_failures: 1, ..RunRequest::default() };
    let begun = runs.begin(request).await?;
    let run = runs.end(&begun.id).await?;
    let states: Vec<_> = run.jobs.iter().map(|j| (j.host.as_str(), j.state(), j.exit_status)).collect();
    assert_eq!(states[0], ("asterra", JobState::Failed, 7));
    assert_eq!((states[1].0, states[1].1), ("borealis", JobState::Skipped));
    ensure!(runs.output(&run.jobs[0].id).await?.ends_with("told to fail\n"));

    let request = RunRequest { target: all(), parameters: count(6000), batch: 1, ..RunRequest::default() };
    let run = runs.begin(request).await?;
    eventually(SOON, async || {
        let run = runs.get(&run.id).await?;
        ensure!(run.jobs[0].state() == JobState::Running, "{run:?}");
        ensure!(run.jobs[1].state() == JobState::Queued, "a batch of one: {run:?}");
        Ok(())
    })
    .await?;
    runs.jobs.cancel(CancelRequest { id: run.id.clone() }).await?;
    let run = runs.end(&run.id).await?;
    ensure!(run.jobs.iter().all(|j| j.state() == JobState::Canceled), "{run:?}");
    for host in world.hosts() {
        no_job_is_left(host).await?;
    }
    let asterra = world.host("asterra")?;
    let left = asterra.exec(&["pgrep", "--full", "run-script"]).await?;
    if left.success() {
        bail!("processes are left: {}", left.stdout);
    }
    Ok(())
}

/// Each start on each host has its record, by the person who asked.
#[tokio::test]
async fn every_start_of_a_run_is_in_the_audit() -> Result<()> {
    let world = World::single().await?;
    let mut runs = Runs::of(&world).await?;
    let run = runs.begin(RunRequest { target: all(), parameters: count(3), ..RunRequest::default() }).await?;
    runs.end(&run.id).await?;
    let said = world.hmsctl(&["audit", "--method", "JobService", "-o", "json"]).await?;
    let said: serde_json::Value = serde_json::from_str(&said.stdout).with_context(|| said.stderr.clone())?;
    let records = said["records"].as_array().context("records")?;
    let of = |method: &str| {
        records
            .iter()
            .filter(|r| r["method"] == method && r["outcome"] == "ok" && r["actor"] == "admin")
            .count()
    };
    assert_eq!(of("/hms.controller.v1.JobService/Run"), 1, "{said}");
    assert_eq!(of("/hms.host.v1.JobService/Start"), 1, "{said}");
    Ok(())
}
