//! Scripts and jobs as people use them at a terminal: run, let go, watch again, end, run again.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hms_tests::world::World;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, ChildStdout};
use tokio::time::timeout;

use super::support::eventually;

/// A test that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(90);

const COUNT: &str = r#"#!/bin/bash
lines=0 pause=0
for argument in "$@"; do
    case $argument in
        --lines=*) lines=${argument#--lines=} ;;
        --pause=*) pause=${argument#--pause=} ;;
        --json) printf '{"host":"%s"}\n' "$HMS_HOST"; exit 0 ;;
    esac
done
for ((i = 1; i <= lines; i++)); do
    echo "number $i of $HMS_HOST $HMS_PARAM_NOTE"
    ((pause == 0)) || sleep "0.0$pause"
done
"#;

const COUNT_MANIFEST: &str = r#"
title = "Count"
description = "Prints numbered lines."
timeout = "10min"
json = true

[[parameters]]
name = "lines"
label = "Lines"
kind = "int"
default = "200"
min = 1

[[parameters]]
name = "pause"
label = "Hundredths of a second between two lines"
kind = "int"
default = "0"
min = 0
max = 9

[[parameters]]
name = "note"
label = "Note"
kind = "text"
"#;

/// Fails on borealis until somebody mends it there.
const FAIL: &str = r#"#!/bin/bash
echo "looking at $HMS_HOST"
if [[ $HMS_HOST == borealis && ! -e /etc/mended ]]; then
    exit 3
fi
"#;

const FAIL_MANIFEST: &str = "title = \"Fail\"\ndescription = \"Fails until mended.\"\ntimeout = \"30s\"\n";

/// A folder of scripts as an administrator has it.
fn folder() -> Result<tempfile::TempDir> {
    let folder = tempfile::tempdir()?;
    for (name, manifest, script) in [("count", COUNT_MANIFEST, COUNT), ("fail", FAIL_MANIFEST, FAIL)] {
        write(folder.path(), &format!("{name}/manifest.toml"), manifest, 0o644)?;
        write(folder.path(), &format!("{name}/{name}.sh"), script, 0o755)?;
    }
    Ok(folder)
}

fn write(folder: &Path, path: &str, text: &str, mode: u32) -> Result<()> {
    let path = folder.join(path);
    std::fs::create_dir_all(path.parent().context("a folder")?)?;
    std::fs::write(&path, text)?;
    Ok(std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode))?)
}

/// Runs hmsctl, which must end with this code; gives what it printed and what it said.
async fn hmsctl(world: &World, code: i32, arguments: &[&str]) -> Result<(String, String)> {
    let said =
        timeout(LIMIT, world.hmsctl(arguments)).await.with_context(|| format!("{arguments:?} hangs"))??;
    ensure!(said.code == code, "{arguments:?} ended with {}:\n{}\n{}", said.code, said.stdout, said.stderr);
    Ok((said.stdout, said.stderr))
}

async fn json(world: &World, code: i32, arguments: &[&str]) -> Result<Value> {
    let (stdout, _) = hmsctl(world, code, &[arguments, &["-o", "json"]].concat()).await?;
    Ok(serde_json::from_str(&stdout)?)
}

async fn sync(world: &World, folder: &Path) -> Result<()> {
    hmsctl(world, 0, &["scripts", "sync", &folder.to_string_lossy(), "--yes"]).await?;
    Ok(())
}

/// The numbers that each host printed, in their order.
fn numbers(output: &str) -> Result<BTreeMap<String, Vec<u32>>> {
    let mut numbers = BTreeMap::<String, Vec<u32>>::new();
    for line in output.lines() {
        let (_, rest) = line.split_once("number ").with_context(|| format!("{line:?}"))?;
        let (number, host) = rest.trim_end().split_once(" of ").with_context(|| format!("{line:?}"))?;
        numbers.entry(host.to_owned()).or_default().push(number.parse()?);
    }
    Ok(numbers)
}

fn assert_counted(output: &str, hosts: &[&str], lines: u32) -> Result<()> {
    let counted = numbers(output)?;
    let wanted: Vec<u32> = (1..=lines).collect();
    ensure!(counted.keys().eq(hosts), "{:?}", counted.keys());
    for (host, numbers) in &counted {
        ensure!(*numbers == wanted, "{host} printed {} lines: {numbers:?}", numbers.len());
    }
    Ok(())
}

/// A hmsctl that goes on running, with its output as it comes.
struct Watcher {
    child: Child,
    output: BufReader<ChildStdout>,
    read: String,
}

impl Watcher {
    fn start(world: &World, arguments: &[&str]) -> Result<Self> {
        let mut command = world.admin().command(arguments);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let output = BufReader::new(child.stdout.take().context("stdout")?);
        Ok(Self { child, output, read: String::new() })
    }

    /// Reads until a line contains this.
    async fn until(&mut self, wanted: &str) -> Result<()> {
        let read = async {
            loop {
                let mut line = String::new();
                ensure!(self.output.read_line(&mut line).await? > 0, "it ended before `{wanted}`");
                self.read += &line;
                if line.contains(wanted) {
                    return Ok(());
                }
            }
        };
        match timeout(LIMIT, read).await {
            Ok(read) => read,
            Err(_) => anyhow::bail!("no `{wanted}`; the last was {:?}", self.read.lines().last()),
        }
    }

    fn interrupt(&self) -> Result<()> {
        let pid = self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)).context("pid")?;
        Ok(kill_process(pid, Signal::INT)?)
    }

    /// Waits for its end: its exit code, all that it printed, and what it said.
    async fn end(mut self) -> Result<(i32, String, String)> {
        let mut said = self.child.stderr.take().context("stderr")?;
        let mut stderr = String::new();
        let all = async {
            tokio::try_join!(self.output.read_to_string(&mut self.read), said.read_to_string(&mut stderr))?;
            self.child.wait().await
        };
        let status = timeout(LIMIT, all).await.context("it does not end")??;
        Ok((status.code().unwrap_or(-1), self.read, stderr))
    }
}

#[tokio::test]
async fn scripts_run_on_several_hosts_and_each_outcome_is_told() -> Result<()> {
    let world = World::pair().await?;
    let folder = folder()?;
    syncing_says_what_changes_and_what_is_wrong(&world, folder.path()).await?;
    the_catalogue_is_shown(&world).await?;
    one_says_on_which_hosts(&world).await?;
    lines_of_two_hosts_come_whole(&world).await?;
    one_host_prints_as_it_is(&world).await?;
    only_the_hosts_that_failed_run_again(&world).await?;
    a_host_that_is_away_is_no_success(&world).await?;
    schedules_are_kept(&world).await
}

async fn syncing_says_what_changes_and_what_is_wrong(world: &World, folder: &Path) -> Result<()> {
    let path = folder.to_string_lossy();
    let dry = json(world, 0, &["scripts", "sync", &path, "--dry-run"]).await?;
    assert_eq!(dry["added"], serde_json::json!(["count", "fail"]));
    let (before, _) = hmsctl(world, 0, &["scripts"]).await?;
    ensure!(!before.contains("count"), "a dry run changed something: {before}");
    let (changes, _) = hmsctl(world, 0, &["scripts", "sync", &path]).await?;
    ensure!(changes.contains("+ added") && changes.contains("fail"), "{changes}");
    let again = json(world, 0, &["scripts", "sync", &path]).await?;
    assert_eq!(again["unchanged"], serde_json::json!(["count", "fail"]));
    write(folder, "bad/manifest.toml", "title = 1\n", 0o644)?;
    write(folder, "bad/bad.sh", "#!/bin/sh\n", 0o755)?;
    let (_, said) = hmsctl(world, 2, &["scripts", "sync", &path]).await?;
    ensure!(said.contains("bad/manifest.toml") && said.contains("line 1"), "{said}");
    std::fs::remove_dir_all(folder.join("bad"))?;
    Ok(())
}

async fn the_catalogue_is_shown(world: &World) -> Result<()> {
    let list = json(world, 0, &["scripts", "list"]).await?;
    let names: Vec<_> = list["scripts"].as_array().context("scripts")?.iter().map(|s| &s["name"]).collect();
    assert_eq!(names, ["count", "fail"]);
    let (source, _) = hmsctl(world, 0, &["scripts", "show", "count", "--source"]).await?;
    assert_eq!(source, COUNT);
    let (shown, _) = hmsctl(world, 0, &["scripts", "show", "count"]).await?;
    ensure!(shown.contains("Prints numbered lines.") && shown.contains("pause"), "{shown}");
    hmsctl(world, 1, &["scripts", "show", "nothing"]).await?;
    Ok(())
}

async fn one_says_on_which_hosts(world: &World) -> Result<()> {
    let (_, said) = hmsctl(world, 2, &["scripts", "run", "count"]).await?;
    ensure!(said.contains("asterra, borealis"), "{said}");
    hmsctl(world, 2, &["scripts", "run", "count", "--all", "--param", "lines=0"]).await?;
    hmsctl(world, 2, &["scripts", "run", "count", "--all", "--param", "colour=red"]).await?;
    let (_, said) = hmsctl(world, 2, &["scripts", "run", "count", "--all", "--host", "asterra"]).await?;
    ensure!(said.contains("cannot be used with"), "{said}");
    let note = "note=$(touch /tmp/x); 'a b'";
    let dry = ["scripts", "run", "count", "--all", "--param", "lines=3", "--param", note, "--dry-run"];
    let preview = json(world, 0, &dry).await?;
    assert_eq!(preview["hosts"], serde_json::json!(["asterra", "borealis"]));
    ensure!(preview["argv"].to_string().contains("--lines=3"), "{preview}");
    ensure!(preview["environment"][0] == "HMS_PARAM_NOTE=$(touch /tmp/x); 'a b'", "{preview}");
    let runs = json(world, 0, &["jobs", "--script", "count"]).await?;
    ensure!(runs["runs"] == serde_json::json!([]), "a dry run ran: {runs}");
    Ok(())
}

async fn lines_of_two_hosts_come_whole(world: &World) -> Result<()> {
    let (output, _) = hmsctl(world, 0, &["scripts", "run", "count", "--all"]).await?;
    assert_counted(&output, &["asterra", "borealis"], 200)?;
    for line in output.lines() {
        let (prefix, rest) = line.split_once(" │ ").with_context(|| format!("{line:?}"))?;
        ensure!(rest.contains(&format!(" of {}", prefix.trim())), "{line:?}");
    }
    hmsctl(world, 0, &["host", "label", "borealis", "+web", "+spare"]).await?;
    hmsctl(world, 0, &["host", "label", "borealis", "-spare"]).await?;
    let (hosts, _) = hmsctl(world, 0, &["host", "list"]).await?;
    ensure!(hosts.contains("LABELS") && hosts.contains("web") && !hosts.contains("spare"), "{hosts}");
    let (output, _) = hmsctl(world, 0, &["scripts", "run", "count", "--label", "web"]).await?;
    assert_counted(&output, &["borealis"], 200)?;
    hmsctl(world, 1, &["scripts", "run", "count", "--label", "nobody"]).await.map(drop)
}

async fn one_host_prints_as_it_is(world: &World) -> Result<()> {
    let (output, _) = hmsctl(world, 0, &["scripts", "run", "count", "--host", "asterra", "--json"]).await?;
    assert_eq!(output, "{\"host\":\"asterra\"}\n");
    let run = json(world, 0, &["scripts", "run", "count", "--host", "asterra", "--param", "lines=2"]).await?;
    assert_eq!(run["state"], "succeeded");
    let id = run["id"].as_str().context("id")?;
    let (output, _) = hmsctl(world, 0, &["jobs", "output", id]).await?;
    assert_eq!(output, "number 1 of asterra \nnumber 2 of asterra \n");
    let job = run["jobs"][0]["id"].as_str().context("job")?;
    let (of_job, _) = hmsctl(world, 0, &["jobs", "output", job]).await?;
    assert_eq!(of_job, output);
    Ok(())
}

async fn only_the_hosts_that_failed_run_again(world: &World) -> Result<()> {
    let (_, said) = hmsctl(world, 3, &["scripts", "run", "fail", "--all"]).await?;
    ensure!(said.contains("borealis: error:") && said.contains("exit status 3"), "{said}");
    let (_, said) = hmsctl(world, 1, &["scripts", "run", "fail", "--host", "borealis"]).await?;
    ensure!(said.contains("fail failed on borealis:") && said.contains("exit status 3"), "{said}");
    let runs = json(world, 0, &["jobs", "list", "--script", "fail", "--state", "failed"]).await?;
    let runs = runs["runs"].as_array().context("runs")?;
    assert_eq!(runs.len(), 2);
    let first = runs[1]["id"].as_str().context("id")?;
    world.host("borealis")?.run(&["touch", "/etc/mended"]).await?;
    let again = json(world, 0, &["jobs", "retry", first]).await?;
    let jobs = again["jobs"].as_array().context("jobs")?;
    ensure!(jobs.len() == 1 && jobs[0]["host"] == "borealis" && jobs[0]["state"] == "succeeded", "{again}");
    let (shown, _) = hmsctl(world, 0, &["jobs", "show", first]).await?;
    ensure!(shown.contains("1 ok, 1 failed"), "{shown}");
    Ok(())
}

async fn a_host_that_is_away_is_no_success(world: &World) -> Result<()> {
    let host = world.host("borealis")?;
    host.run(&["systemctl", "stop", "hms-agent.service"]).await?;
    eventually(LIMIT, async || {
        let hosts = json(world, 0, &["host", "list"]).await?;
        ensure!(hosts["hosts"].to_string().contains("unreachable"), "{hosts}");
        Ok(())
    })
    .await?;
    hmsctl(world, 5, &["scripts", "run", "count", "--host", "borealis", "--param", "lines=1"]).await?;
    let (output, said) =
        hmsctl(world, 3, &["scripts", "run", "count", "--all", "--param", "lines=5"]).await?;
    assert_counted(&output, &["asterra"], 5)?;
    ensure!(said.contains("borealis: error:"), "{said}");
    host.run(&["systemctl", "start", "hms-agent.service"]).await?;
    world.wait_until_agents_are_connected().await
}

async fn schedules_are_kept(world: &World) -> Result<()> {
    hmsctl(world, 2, &["schedules", "add", "count", "--cron", "often", "--all"]).await?;
    let (id, _) = hmsctl(world, 0, &["schedules", "add", "count", "--cron", "0 3 * * *", "--all"]).await?;
    let id = id.trim();
    let listed = async || -> Result<Value> {
        let list = json(world, 0, &["schedules"]).await?;
        let found =
            list["schedules"].as_array().context("schedules")?.iter().find(|s| s["id"] == id).cloned();
        Ok(found.unwrap_or_default())
    };
    let schedule = listed().await?;
    ensure!(schedule["script"] == "count" && schedule["target"]["all"] == true, "{schedule}");
    hmsctl(world, 0, &["schedules", "pause", id]).await?;
    ensure!(listed().await?["paused"] == true);
    hmsctl(world, 0, &["schedules", "resume", id]).await?;
    ensure!(listed().await?["paused"] == false);
    hmsctl(world, 2, &["schedules", "remove", id]).await?;
    hmsctl(world, 0, &["schedules", "remove", id, "--yes"]).await?;
    ensure!(listed().await?.is_null());
    hmsctl(world, 0, &["warnings"]).await?;
    Ok(())
}

#[tokio::test]
async fn a_run_goes_on_without_whoever_watched_it() -> Result<()> {
    let world = World::single().await?;
    sync(&world, folder()?.path()).await?;
    letting_go_ends_nothing(&world).await?;
    canceling_waits_for_the_end(&world).await?;
    watching_survives_the_controller(&world).await?;
    an_agent_is_enough(&world).await
}

async fn letting_go_ends_nothing(world: &World) -> Result<()> {
    let mut watcher =
        Watcher::start(world, &["scripts", "run", "count", "-p", "lines=400", "-p", "pause=2"])?;
    watcher.until("number 20 ").await?;
    watcher.interrupt()?;
    let (code, _, said) = watcher.end().await?;
    assert_eq!(code, 130, "{said}");
    let id = said.split("hmsctl jobs attach ").nth(1).and_then(|rest| rest.split_whitespace().next());
    let id = id.with_context(|| said.clone())?;
    assert_eq!(json(world, 0, &["jobs", "show", id]).await?["state"], "running");
    let (status, _) = hmsctl(world, 0, &["status"]).await?;
    ensure!(status.contains(id), "{status}");
    let (output, _) = hmsctl(world, 0, &["jobs", "attach", id]).await?;
    assert_counted(&output, &["asterra"], 400)?;
    assert_eq!(hmsctl(world, 0, &["jobs", "output", id]).await?.0, output);
    Ok(())
}

async fn canceling_waits_for_the_end(world: &World) -> Result<()> {
    let run = ["scripts", "run", "count", "-p", "lines=60000", "-p", "pause=2", "--detach"];
    let (id, said) = hmsctl(world, 0, &run).await?;
    let id = id.trim();
    ensure!(said.contains(&format!("hmsctl jobs attach {id}")), "{said}");
    let mut watcher = Watcher::start(world, &["jobs", "attach", id])?;
    watcher.until("number 5 ").await?;
    let (told, _) = hmsctl(world, 0, &["jobs", "cancel", id]).await?;
    ensure!(told.contains("canceled"), "{told}");
    let (code, _, said) = watcher.end().await?;
    ensure!(code == 1 && said.contains("was canceled"), "{code}: {said}");
    let (_, said) = hmsctl(world, 0, &["jobs", "cancel", id]).await?;
    ensure!(said.contains("it had ended before"), "{said}");
    hmsctl(world, 1, &["jobs", "cancel", "0193f0a2-5b7e-7c3a-9d41-2f6d1c0e8a55"]).await?;
    Ok(())
}

async fn watching_survives_the_controller(world: &World) -> Result<()> {
    let host = world.controller_host();
    let mut watcher =
        Watcher::start(world, &["scripts", "run", "count", "-p", "lines=500", "-p", "pause=2"])?;
    for line in ["number 30 ", "number 200 "] {
        watcher.until(line).await?;
        let kill = ["systemctl", "kill", "--kill-who=main", "--signal=KILL", "hms-controller.service"];
        host.run(&kill).await?;
    }
    let (code, output, said) = watcher.end().await?;
    assert_eq!(code, 0, "{said}");
    ensure!(said.contains("-- reconnecting") && said.contains("-- connected"), "{said}");
    assert_counted(&output, &["asterra"], 500)?;
    world.wait_until_ready().await
}

async fn an_agent_is_enough(world: &World) -> Result<()> {
    hmsctl(world, 0, &["host", "list"]).await?;
    world.controller_host().run(&["systemctl", "stop", "hms-controller.service"]).await?;
    let direct = |words: &[&'static str]| [&["--direct", "asterra"], words].concat();
    let list = json(world, 0, &direct(&["scripts"])).await?;
    ensure!(list["scripts"].to_string().contains("count"), "{list}");
    let (output, _) = hmsctl(world, 0, &direct(&["scripts", "run", "count", "-p", "lines=50"])).await?;
    assert_counted(&output, &["asterra"], 50)?;
    hmsctl(world, 2, &direct(&["scripts", "run", "count", "--all"])).await?;
    hmsctl(world, 5, &["scripts", "run", "count", "--host", "asterra"]).await?;
    let run = direct(&["scripts", "run", "count", "-p", "lines=60000", "-p", "pause=2"]);
    let mut watcher = Watcher::start(world, &run)?;
    watcher.until("number 5 ").await?;
    watcher.interrupt()?;
    let (code, _, said) = watcher.end().await?;
    assert_eq!(code, 130, "{said}");
    let jobs = json(world, 0, &direct(&["jobs", "--state", "running"])).await?;
    let id = jobs["jobs"][0]["id"].as_str().context("a running job")?.to_owned();
    ensure!(said.contains(&format!("hmsctl --direct asterra jobs attach {id}")), "{said}");
    let (told, _) = hmsctl(world, 0, &["--direct", "asterra", "jobs", "cancel", &id]).await?;
    ensure!(told.contains("canceled"), "{told}");
    let (output, _) = hmsctl(world, 0, &["--direct", "asterra", "jobs", "output", &id]).await?;
    ensure!(output.starts_with("number 1 of asterra"), "{output}");
    world.controller_host().run(&["systemctl", "start", "hms-controller.service"]).await?;
    world.wait_until_ready().await
}
