//! Jobs on a real host, asked of its agent directly: what a script gets, what it can do to the host, and that it ends
//! once, with all of its output, whatever happens meanwhile.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures_util::future::{join_all, try_join_all};
use hms_proto::fault::{Fault, FaultKind};
use hms_proto::host::v1::{
    CancelJobRequest, GetJobRequest, InstallScriptsRequest, Job, JobOutputRequest, JobState, ListJobsRequest,
    ListScriptsRequest, Parameter, ParameterKind, RunAs, Script, ScriptFile, StartJobRequest,
    job_service_client::JobServiceClient, script_service_client::ScriptServiceClient,
};
use hms_proto::identity::Kind;
use hms_proto::names::JobId;
use hms_proto::script::sha256;
use hms_tests::people::log_in_as_admin;
use hms_tests::testbed::{Host, Testbed};
use hms_tests::world::{Plan, World};
use tonic::Status;
use tonic::transport::Channel;

use crate::support::eventually;

const SOON: Duration = Duration::from_secs(90);
const STATE: &str = "/var/lib/hms-agent";

async fn world() -> Result<World> {
    World::start(&Testbed::new().await?, &Plan::new().host("asterra", &[]), &|_| {}).await
}

/// A script with a usual manifest.
fn script(name: &str, text: &str) -> Script {
    Script {
        name: name.into(),
        title: "Test".into(),
        description: "Tests.".into(),
        timeout_s: 60,
        output_limit_bytes: 1 << 20,
        sha256: sha256(text.as_bytes()),
        ..Script::default()
    }
}

fn parameter(name: &str, kind: ParameterKind) -> Parameter {
    Parameter { name: name.into(), kind: kind.into(), ..Parameter::default() }
}

fn file(script: Script, text: &str) -> ScriptFile {
    ScriptFile { script: Some(script), content: text.as_bytes().to_vec() }
}

/// The agent of a host, as an administrator uses it without the controller.
#[derive(Clone)]
struct Agent {
    jobs: JobServiceClient<Channel>,
    scripts: ScriptServiceClient<Channel>,
}

impl Agent {
    async fn of(world: &World) -> Result<Self> {
        let address = format!("{}:9444", world.controller_host().address());
        let channel = log_in_as_admin(world).await?.channel(&address, Kind::Agent)?;
        Ok(Self { jobs: JobServiceClient::new(channel.clone()), scripts: ScriptServiceClient::new(channel) })
    }

    async fn install(&self, scripts: Vec<ScriptFile>) -> Result<()> {
        self.scripts.clone().install(InstallScriptsRequest { scripts }).await?;
        Ok(())
    }

    async fn start(&self, request: &StartJobRequest) -> Result<Job, Status> {
        Ok(self.jobs.clone().start(request.clone()).await?.into_inner())
    }

    async fn get(&self, id: &str) -> Result<Job, Status> {
        Ok(self.jobs.clone().get(GetJobRequest { id: id.into() }).await?.into_inner())
    }

    async fn cancel(&self, id: &str) -> Result<Job, Status> {
        Ok(self.jobs.clone().cancel(CancelJobRequest { id: id.into() }).await?.into_inner())
    }

    /// Reads on from what is there already; `Some` when the job has ended.
    async fn read_on(&self, id: &str, output: &mut Vec<u8>, follow: bool) -> Result<Option<Job>> {
        let request = JobOutputRequest { id: id.into(), offset: output.len() as u64, follow };
        let mut stream = self.jobs.clone().output(request).await?.into_inner();
        while let Some(piece) = stream.message().await? {
            ensure!(piece.offset == output.len() as u64, "a hole at {}: {}", output.len(), piece.offset);
            output.extend_from_slice(&piece.data);
            if let Some(job) = piece.job {
                return Ok((job.state() != JobState::Running).then_some(job));
            }
        }
        anyhow::bail!("the stream ended without the job")
    }

    /// Follows a job to its end, over restarts of the agent.
    async fn follow(&self, id: &str) -> Result<(Job, Vec<u8>)> {
        let mut output = Vec::new();
        let job =
            eventually(SOON, async || self.read_on(id, &mut output, true).await?.context("it has not ended"))
                .await?;
        ensure!(job.output_bytes == output.len() as u64, "{} bytes of {job:?}", output.len());
        Ok((job, output))
    }

    async fn run(&self, request: &StartJobRequest) -> Result<(Job, String)> {
        self.start(request).await?;
        let (job, output) = self.follow(&request.id).await?;
        Ok((job, String::from_utf8_lossy(&output).into_owned()))
    }
}

fn request(script: &str, parameters: &[(&str, &str)]) -> StartJobRequest {
    StartJobRequest {
        id: JobId::new().to_string(),
        script: script.into(),
        parameters: parameters.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        ..StartJobRequest::default()
    }
}

fn fault<T>(answer: Result<T, Status>) -> Result<Fault> {
    Ok(Fault::from_status(&answer.err().context("it was not refused")?))
}

/// Nothing of a job is left: no process that its script started, and no unit.
async fn ensure_nothing_left(host: &Host, marker: &str) -> Result<()> {
    let found = host.exec(&["pgrep", "--full", "--list-full", marker]).await?;
    ensure!(found.code == 1, "left behind: {}", found.stdout);
    // systemd may be a moment behind: what noted the end was its last process.
    eventually(SOON, async || {
        let units = host.run(&["systemctl", "list-units", "--all", "--no-legend", "hms-job-*"]).await?;
        ensure!(units.trim().is_empty(), "left behind: {units}");
        Ok(())
    })
    .await
}

const SHOW: &str = "#!/usr/bin/perl\nprint join(\"\\n\", 'uid=' . $<, @ARGV, map { \"$_=$ENV{$_}\" } sort keys %ENV), \"\\n\";\n";

/// Each of these must say `no` in the sandbox.
const PROBE: &str = "#!/bin/bash\n\
    try() { if \"$@\" >/dev/null 2>&1; then echo \"YES: $*\"; else echo \"no: $*\"; fi; }\n\
    try touch /etc/hms-probe\ntry touch /usr/bin/hms-probe\ntry touch /var/lib/hms-probe\ntry touch /root/hms-probe\n\
    try ls /var/lib/hms-agent/jobs\ntry cat /var/lib/hms-agent/identity/key.pem\ntry mknod /tmp/disk b 8 0\n\
    try mount -t tmpfs none /mnt\ntry unshare --user true\ntry chown 1 /tmp\ntry bash -c 'echo x > /dev/tcp/127.0.0.1/9444'\n\
    try hostname hacked\ntry chmod u+s /tmp/x\ntry cat /proc/sys/kernel/random/nothing\n";

/// Security cases 46, 47 and 49, through real units: exactly its arguments and its environment, inside its sandbox.
#[tokio::test]
async fn a_script_has_what_it_was_given_and_nothing_else() -> Result<()> {
    let world = world().await?;
    let (agent, host) = (Agent::of(&world).await?, world.controller_host());
    let show = Script {
        parameters: vec![parameter("n", ParameterKind::Int), parameter("text", ParameterKind::Text)],
        json: true,
        groups: vec!["adm".into(), "no-such-group".into()],
        ..script("show", SHOW)
    };
    let as_root = |s: Script| Script { run_as: RunAs::Root.into(), ..s };
    let writes = "#!/bin/bash\nset -eu\nid -un > /var/lib/out/me\ngrep CapEff /proc/self/status\n";
    let writer = Script {
        write_paths: vec!["/var/lib/out".into(), "/no/such/folder".into()],
        capabilities: vec!["CAP_DAC_READ_SEARCH".into()],
        ..as_root(script("writer", writes))
    };
    let reads = "#!/bin/bash\nset -eu\nhead -c 4 /etc/shadow >/dev/null && echo read\n";
    let reader = Script { capabilities: vec!["CAP_DAC_READ_SEARCH".into()], ..script("reader", reads) };
    let needs = Script { tools: vec!["no-such-tool".into()], ..script("needs", reads) };
    agent
        .install(vec![
            file(show, SHOW),
            file(script("probe", PROBE), PROBE),
            file(as_root(script("probe_root", PROBE)), PROBE),
            file(writer, writes),
            file(reader, reads),
            file(needs, reads),
        ])
        .await?;
    host.run(&["mkdir", "/var/lib/out"]).await?;

    let hostile = "$(touch /tmp/canary);`id`|&&>${IFS}*~!'\"\\ --help %n %h";
    let asked = StartJobRequest { json: true, ..request("show", &[("n", "7"), ("text", hostile)]) };
    let (job, output) = agent.run(&asked).await?;
    ensure!(job.state() == JobState::Succeeded, "{job:?}\n{output}");
    let mut lines = output.lines();
    let uid: u32 = lines.next().and_then(|l| l.strip_prefix("uid=")?.parse().ok()).context("no uid")?;
    ensure!(uid >= 61_184, "it ran as user {uid}");
    let expected = format!(
        "--n=7\n--json\nHMS_HOST=asterra\nHMS_JOB={}\nHMS_PARAM_TEXT={hostile}\nHOME=/\nLC_ALL=C.UTF-8\n\
         PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        asked.id
    );
    assert_eq!(lines.collect::<Vec<_>>().join("\n"), expected);
    ensure!(host.exec(&["ls", "/tmp/canary"]).await?.code != 0, "a value was carried out");
    ensure!(job.started_usec >= job.created_usec && job.ended_usec >= job.started_usec, "{job:?}");
    ensure!(job.peak_memory_bytes > 0 && !job.peak_memory_source.is_empty() && job.cpu_usec > 0, "{job:?}");
    ensure!(
        job.parameters.get("text").is_some_and(|v| v == hostile) && job.actor.contains("operator"),
        "{job:?}"
    );

    for name in ["probe", "probe_root"] {
        let (job, output) = agent.run(&request(name, &[])).await?;
        ensure!(job.state() == JobState::Succeeded && output.lines().count() == 14, "{job:?}\n{output}");
        ensure!(!output.contains("YES"), "{name} could do this:\n{output}");
    }
    let (job, output) = agent.run(&request("writer", &[])).await?;
    ensure!(job.state() == JobState::Succeeded && output.contains("0000000000000004"), "{job:?}\n{output}");
    assert_eq!(host.read_file("/var/lib/out/me").await?, "root\n");
    let (job, output) = agent.run(&request("reader", &[])).await?;
    ensure!(job.state() == JobState::Succeeded && output == "read\n", "{job:?}\n{output}");
    let refused = fault(agent.start(&request("needs", &[])).await)?;
    assert_eq!(refused.message, "`no-such-tool` is not installed on this host");
    ensure_nothing_left(host, "run-script").await
}

const COUNT: &str = "#!/bin/bash\nn=100\nfor a in \"$@\"; do n=${a#*=}; done\necho \"$HMS_JOB\" >> /var/lib/out/started\n\
    for ((i = 1; i <= n; i++)); do echo \"line $i\"; sleep 0.01; done\n";

fn counted(n: usize) -> String {
    (1..=n).map(|i| format!("line {i}\n")).collect()
}

/// Pitfall P11, security cases 77 and 125: an agent that is killed again and again costs no job its life, and no line.
#[tokio::test]
async fn killing_the_agent_loses_no_job_and_no_line() -> Result<()> {
    let world = world().await?;
    let (agent, host) = (Agent::of(&world).await?, world.controller_host());
    let count = Script {
        parameters: vec![parameter("n", ParameterKind::Int)],
        write_paths: vec!["/var/lib/out".into()],
        run_as: RunAs::Root.into(),
        ..script("count", COUNT)
    };
    agent.install(vec![file(count, COUNT)]).await?;
    host.run(&["mkdir", "/var/lib/out"]).await?;
    let kill = async || host.run(&["systemctl", "kill", "-s", "KILL", "--kill-whom=main", "hms-agent"]).await;
    // Asks again with the same id, as whoever lost the answer does.
    let insist =
        async |asked: &StartJobRequest| eventually(SOON, async || Ok(agent.start(asked).await?)).await;
    let lengths: [u32; 6] = [300, 301, 200, 100, 20, 1];
    let mut asked = Vec::new();
    for n in lengths {
        let one = request("count", &[("n", &n.to_string())]);
        let (job, killed) = tokio::join!(insist(&one), async {
            tokio::time::sleep(Duration::from_millis(u64::from(n) / 10)).await;
            kill().await
        });
        killed?;
        let job = job?;
        // Killed between writing down and starting, it never began; all others run.
        ensure!(job.state() != JobState::Lost || job.reason.contains("not started"), "{job:?}");
        asked.push((one, usize::try_from(n)?));
    }
    let reading = try_join_all(asked.iter().map(|(one, _)| agent.follow(&one.id)));
    let (read, killed) = tokio::join!(reading, async {
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(1300)).await;
            kill().await?;
        }
        anyhow::Ok(())
    });
    killed?;
    let started = host.read_file("/var/lib/out/started").await?;
    let mut lived = 0;
    for ((one, n), (job, output)) in asked.iter().zip(read?) {
        let starts = started.lines().filter(|line| **line == one.id).count();
        match job.state() {
            JobState::Lost => ensure!(starts == 0, "a job that was lost ran: {job:?}"),
            state => {
                lived += 1;
                ensure!(state == JobState::Succeeded && starts == 1, "{starts} starts: {job:?}");
                ensure!(String::from_utf8(output)? == counted(*n), "lines are missing or twice: {job:?}");
            }
        }
        assert_eq!(eventually(SOON, async || Ok(agent.get(&one.id).await?)).await?, job);
    }
    ensure!(lived >= 3, "only {lived} jobs lived, which proves little");

    // One that ends while there is no agent at all.
    let alone = request("count", &[("n", "50")]);
    insist(&alone).await?;
    host.run(&["systemctl", "stop", "hms-agent"]).await?;
    host.run(&["systemctl", "daemon-reload"]).await?;
    let unit = format!("hms-job-{}.service", alone.id);
    host.run_until(SOON, &["bash", "-c", &format!("! systemctl is-active --quiet {unit}")]).await?;
    host.run(&["systemctl", "start", "hms-agent"]).await?;
    let (job, output) = agent.follow(&alone.id).await?;
    ensure!(job.state() == JobState::Succeeded && output == counted(50).into_bytes(), "{job:?}");

    // Nothing half done is left, and the list knows each job once.
    let listed = agent.jobs.clone().list(ListJobsRequest::default()).await?.into_inner().jobs;
    let ids: BTreeMap<_, _> = listed.iter().map(|job| (job.id.clone(), job.state())).collect();
    ensure!(ids.len() == listed.len() && ids.len() == lengths.len() + 1, "{ids:?}");
    let left = host.run(&["find", &format!("{STATE}/jobs"), "-name", "*new*"]).await?;
    ensure!(left.is_empty(), "{left}");
    ensure_nothing_left(host, "run-script").await
}

const BOMB: &str = "#!/bin/bash\nbomb() { bomb 98765 | bomb 98765 & }\nbomb 2>/dev/null\nsleep 1\necho over\nexec sleep 98765\n";
const FLOOD: &str = "#!/bin/bash\necho first\nhead -c 10000000000 /dev/zero | tr '\\0' x\n";
const HANG: &str = "#!/bin/bash\necho hanging\nexec sleep 98765\n";
const DEAF: &str =
    "#!/bin/bash\ntrap '' TERM\necho deaf\nsleep 98765 &\nwhile true; do sleep 1 || true; done\n";
const SILENT: &str = "#!/bin/bash\necho before\nexec >&- 2>&-\nsleep 0.5\nexit 6\n";
const DAEMON: &str = "#!/bin/bash\n(setsid bash -c 'trap \"\" TERM HUP; sleep 98765 & sleep 98765 & wait; wait' &)\nsleep 1\necho left one\n";
const LAST: &str =
    "#!/bin/bash\ntrap 'echo last words; exit 0' TERM\necho ready\nwhile true; do sleep 0.1; done\n";

/// Security case 50 and pitfall P10: whatever a script does, its job ends, its output is bounded, nothing is left.
#[tokio::test]
async fn whatever_a_script_does_its_job_ends_and_leaves_nothing() -> Result<()> {
    let world = world().await?;
    let (agent, host) = (Agent::of(&world).await?, world.controller_host());
    let short = |timeout_s, s: Script| Script { timeout_s, ..s };
    let set = [
        (Script { tasks_limit: 30, ..short(4, script("bomb", BOMB)) }, BOMB),
        (short(120, script("flood", FLOOD)), FLOOD),
        (short(2, script("hang", HANG)), HANG),
        (short(2, script("deaf", DEAF)), DEAF),
        (script("silent", SILENT), SILENT),
        (script("daemon", DAEMON), DAEMON),
        (script("last", LAST), LAST),
        (script("long", DEAF), DEAF),
    ];
    agent.install(set.iter().map(|(s, text)| file(s.clone(), text)).collect()).await?;

    let run = async |name: &str| agent.run(&request(name, &[])).await;
    let (hang, deaf, silent, daemon) =
        tokio::try_join!(run("hang"), run("deaf"), run("silent"), run("daemon"))?;
    ensure!(hang.0.state() == JobState::TimedOut && hang.1 == "hanging\n", "{hang:?}");
    assert_eq!((hang.0.reason.as_str(), hang.0.result.as_str()), ("it took longer than 2 s", "timeout"));
    ensure!(deaf.0.state() == JobState::TimedOut && deaf.1 == "deaf\n", "{deaf:?}");
    ensure!(silent.0.state() == JobState::Failed && silent.0.exit_status == 6, "{silent:?}");
    assert_eq!(silent.1, "before\n");
    ensure!(daemon.0.state() == JobState::Succeeded && daemon.1 == "left one\n", "{daemon:?}");
    ensure!(daemon.0.reason.contains("left behind"), "{daemon:?}");
    ensure_nothing_left(host, "98765").await?;

    // Canceled: with its last words, at once; or killed, when it does not listen.
    let (last, long) = (request("last", &[]), request("long", &[]));
    for (asked, says) in [(&last, "ready\n"), (&long, "deaf\n")] {
        agent.start(asked).await?;
        eventually(SOON, async || {
            let mut output = Vec::new();
            agent.read_on(&asked.id, &mut output, false).await?;
            ensure!(output == says.as_bytes(), "not yet");
            Ok(())
        })
        .await?;
    }
    let ended = join_all([&last, &last, &long].map(|asked| agent.cancel(&asked.id))).await;
    for job in ended {
        let job = job?;
        ensure!(job.state() == JobState::Canceled && job.reason.contains("ended it"), "{job:?}");
    }
    ensure_nothing_left(host, "98765").await?;
    let said = agent.follow(&last.id).await?.1;
    ensure!(said.starts_with(b"ready\n") && said.ends_with(b"last words\n"), "{}", said.escape_ascii());
    assert_eq!(agent.cancel(&last.id).await?, agent.get(&last.id).await?);
    let unknown = fault(agent.cancel(JobId::new().as_str()).await)?;
    assert_eq!(unknown.kind(), FaultKind::NotFound);

    let (job, _) = run("bomb").await?;
    ensure!(job.state() == JobState::TimedOut, "{job:?}");
    ensure_nothing_left(host, "98765").await?;

    let (job, output) = run("flood").await?;
    ensure!(job.state() == JobState::Succeeded && job.output_truncated, "{job:?}");
    ensure!(output.len() == 1 << 20 && output.starts_with("first\nxxx"), "{} bytes", output.len());
    let taken = host.run(&["du", "--summarize", "--bytes", &format!("{STATE}/jobs")]).await?;
    let taken: u64 = taken.split_whitespace().next().context("du")?.parse()?;
    ensure!(taken < 4 << 20, "jobs take {taken} bytes");
    ensure_nothing_left(host, "run-script").await
}

/// Security case 48: what was changed, or may have been, is refused; and what may not run beside itself, too.
#[tokio::test]
async fn only_what_was_delivered_is_run_and_only_when_it_may() -> Result<()> {
    let world = world().await?;
    let (agent, host) = (Agent::of(&world).await?, world.controller_host());
    let once = Script { mutates: true, ..script("once", HANG) };
    let deliver = async || agent.install(vec![file(once.clone(), HANG)]).await;
    let path = &format!("{STATE}/scripts/once");
    let changes: [(&[&str], &str); 5] = [
        (&["bash", "-c", &format!("echo 'touch /tmp/canary' >> {path}")], "its content"),
        (&["bash", "-c", &format!("mv {path} /root/x && ln -s /root/x {path}")], "symbolic link"),
        (&["ln", path, "/var/lib/hms-agent/again"], "hard link"),
        (&["chmod", "o+w", path], "others can write"),
        (&["chown", "daemon", path], "it belongs to user 1"),
    ];
    for (change, why) in changes {
        deliver().await?;
        host.run(change).await?;
        let refused = fault(agent.start(&request("once", &[])).await)?;
        ensure!(refused.kind() == FaultKind::Conflict && refused.message.contains(why), "{refused:?}");
        ensure!(refused.hint.contains("hmsctl scripts sync"), "{refused:?}");
    }
    deliver().await?;
    let other = StartJobRequest { script_sha256: sha256(b"other"), ..request("once", &[]) };
    assert_eq!(fault(agent.start(&other).await)?.kind(), FaultKind::Conflict);
    let jobs = agent.jobs.clone().list(ListJobsRequest::default()).await?.into_inner().jobs;
    ensure!(jobs.is_empty(), "a job was made of a refused script: {jobs:?}");
    let known = agent.scripts.clone().list(ListScriptsRequest {}).await?.into_inner().scripts;
    ensure!(known == [once.clone()], "{known:?}");

    // The same id at once, and again: one job.
    let asked = request("once", &[]);
    for job in join_all((0..5).map(|_| agent.start(&asked))).await {
        let job = job?;
        ensure!(job.id == asked.id && job.state() == JobState::Running, "{job:?}");
    }
    let second = fault(agent.start(&request("once", &[])).await)?;
    ensure!(second.kind() == FaultKind::Conflict && second.message.contains(&asked.id), "{second:?}");
    ensure!(second.message.contains("started by"), "{second:?}");
    let running = agent.jobs.clone().list(ListJobsRequest { running: true, limit: 5 }).await?.into_inner();
    ensure!(running.jobs.len() == 1, "{running:?}");
    ensure!(agent.cancel(&asked.id).await?.state() == JobState::Canceled);
    ensure!(agent.start(&asked).await?.state() == JobState::Canceled, "it was started again");

    // What was done directly is in the spool, without the scripts themselves.
    let spool = host.read_file(format!("{STATE}/audit/direct.jsonl")).await?;
    ensure!(spool.contains("JobService/Start") && spool.contains("ScriptService/Install"), "{spool}");
    ensure!(host.exec(&["ls", "/tmp/canary"]).await?.code != 0, "a changed script was run");
    let bulk = "#!/bin/bash\n".to_owned() + &"# filler\n".repeat(28_000);
    let many = (0..12).map(|n| file(script(&format!("bulk{n}"), &bulk), &bulk)).collect();
    agent.install(many).await?;
    let spool = host.run(&["stat", "--format=%s", &format!("{STATE}/audit/direct.jsonl")]).await?;
    ensure!(spool.trim().parse::<u64>()? < 256 * 1024, "the spool has {spool} bytes");
    Ok(())
}

/// A host that loses its power, or its room, says so of the jobs that suffered; each still ends once.
#[tokio::test]
async fn a_job_that_a_host_could_not_finish_says_why() -> Result<()> {
    let world = world().await?;
    let (agent, host) = (Agent::of(&world).await?, world.controller_host());
    let fill = "#!/bin/bash\necho first\nsleep 3\nhead -c 8000000 /dev/zero\necho done >&2\nexit 0\n";
    let filler = Script { output_limit_bytes: 16 << 20, ..script("filler", fill) };
    agent.install(vec![file(script("hang", HANG), HANG), file(filler, fill)]).await?;

    let jobs = format!("{STATE}/jobs");
    host.run(&["mount", "-t", "tmpfs", "-o", "size=70m,mode=700", "tmpfs", &jobs]).await?;
    let asked = request("filler", &[]);
    agent.start(&asked).await?;
    host.run(&["bash", "-c", &format!("head -c 100m /dev/zero > {jobs}/full || true")]).await?;
    let refused = fault(agent.start(&request("hang", &[])).await)?;
    ensure!(refused.kind() == FaultKind::Failed && refused.message.contains("MiB are free"), "{refused:?}");
    let (job, output) = agent.follow(&asked.id).await?;
    ensure!(job.state() == JobState::Succeeded && job.output_truncated, "{job:?}");
    ensure!(job.reason.contains("No space left") && output.starts_with(b"first\n"), "{job:?}");
    host.run(&["umount", "--lazy", &jobs]).await?;

    let cut = request("hang", &[]);
    agent.start(&cut).await?;
    ensure!(agent.get(&cut.id).await?.state() == JobState::Running);
    host.power_cut().await?;
    host.start().await?;
    let job = eventually(SOON, async || Ok(agent.get(&cut.id).await?)).await?;
    assert_eq!((job.state(), job.reason.as_str()), (JobState::Lost, "the host was restarted while it ran"));
    assert_eq!(agent.get(&cut.id).await?, job);

    let stopped = request("hang", &[]);
    agent.start(&stopped).await?;
    let unit = format!("hms-job-{}.service", stopped.id);
    host.run(&["systemctl", "stop", &unit]).await?;
    let (job, _) = agent.follow(&stopped.id).await?;
    ensure!(job.state() == JobState::Failed && job.reason.contains("did not come from HMS"), "{job:?}");
    ensure_nothing_left(host, "98765").await
}
