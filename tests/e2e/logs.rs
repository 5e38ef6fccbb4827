//! Following a log through everything that can happen on the way: no line lost, none twice.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hms_tests::world::World;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::time::{sleep, timeout};

/// How many numbered lines are written.
const LINES: u32 = 600;

/// Writes numbered lines, about a hundred a second, as a unit of its own.
async fn write_numbers(world: &World) -> Result<()> {
    let script = format!("for i in $(seq 1 {LINES}); do echo number $i; sleep 0.01; done; sleep 1");
    let argv = [
        "systemd-run",
        "--unit=numbers",
        "--property=LogRateLimitIntervalSec=0",
        "--remain-after-exit",
        "bash",
        "-c",
        &script,
    ];
    world.controller_host().run(&argv).await?;
    Ok(())
}

/// Counts how often each number arrives, until the last one has.
async fn read_numbers(follower: &mut tokio::process::Child) -> Result<BTreeMap<u32, u32>> {
    let mut lines = BufReader::new(follower.stdout.take().context("stdout")?).lines();
    let mut seen = BTreeMap::new();
    while let Some(line) = lines.next_line().await? {
        let Some(number) = line.rsplit_once("number ").and_then(|(_, n)| n.trim().parse().ok()) else {
            continue;
        };
        *seen.entry(number).or_insert(0) += 1;
        if number == LINES {
            // Whatever comes twice, comes soon.
            let rest = async {
                while let Ok(Some(line)) = lines.next_line().await {
                    eprintln!("after the last: {line}")
                }
            };
            timeout(Duration::from_secs(1), rest).await.ok();
            break;
        }
    }
    Ok(seen)
}

/// While somebody follows, journald moves from /run to /var, where it writes everything anew. What is vacuumed afterwards is a gap
/// for who comes back to it, from when to when.
#[tokio::test]
async fn a_flush_doubles_nothing_and_a_vacuum_is_told() -> Result<()> {
    let world = World::single().await?;
    let host = world.controller_host();
    host.write_file("/etc/systemd/journald.conf.d/20-auto.conf", "[Journal]\nStorage=auto\n").await?;
    // As after a boot, before the flush. journalctl asks for none where this file is.
    let in_memory =
        "rm -rf /var/log/journal /run/systemd/journal/flushed; systemctl restart systemd-journald.service";
    host.run(&["bash", "-c", in_memory]).await?;
    let of_unit = ["logs", "--unit", "numbers.service", "--host", "asterra"];
    write_numbers(&world).await?;
    let mut follower = world.admin().command(&[&of_unit[..], &["-n", "1000", "-f", "-o", "cat"]].concat());
    let mut follower = follower.stdout(Stdio::piped()).stderr(Stdio::inherit()).kill_on_drop(true).spawn()?;
    let flush = async {
        sleep(Duration::from_secs(2)).await;
        host.run(&[
            "bash",
            "-c",
            "test ! -e /var/log/journal && mkdir /var/log/journal && journalctl --flush",
        ])
        .await
    };
    let (seen, flushed) = tokio::join!(timeout(Duration::from_secs(60), read_numbers(&mut follower)), flush);
    flushed.context("it was in memory, and is flushed")?;
    let seen = seen.context("the last line did not arrive")??;
    let wrong: Vec<_> = (1..=LINES).filter(|n| seen.get(n) != Some(&1)).collect();
    ensure!(wrong.is_empty(), "not once: {wrong:?}");
    host.run(&["bash", "-c", "ls /var/log/journal/*/system.journal"]).await?;

    let first = world.hmsctl(&[&of_unit[..], &["--since", "1 h ago", "-o", "json"]].concat()).await?;
    let first = first.stdout.lines().find(|line| line.contains("number 3\"")).context("an entry")?.to_owned();
    let first: serde_json::Value = serde_json::from_str(&first)?;
    let cursor = first["cursor"].as_str().context("a cursor")?;
    host.run(&["journalctl", "--rotate"]).await?;
    host.run(&["journalctl", "--vacuum-files=1"]).await?;
    host.run(&["systemd-run", "--quiet", "--wait", "--unit", "later", "bash", "-c", "echo later; sleep 1"])
        .await?;
    let back = world.hmsctl(&["logs", "--host", "asterra", "--cursor", cursor, "--utc"]).await?;
    ensure!(back.code == 0 && back.stdout.contains("later"), "{} {}", back.stdout, back.stderr);
    let gap = back.stderr.lines().find(|line| line.starts_with("-- gap: ")).context("a gap")?;
    ensure!(gap.contains("vacuumed") && gap.contains(", after ") && gap.contains(", before "), "{gap}");
    Ok(())
}

#[tokio::test]
async fn queries_filter_on_the_host_and_say_what_they_found() -> Result<()> {
    let world = World::single().await?;
    let host = world.controller_host();
    let (_, app) = world.app("cigar")?;
    for _ in 0..3 {
        app.get(host, "/products/1").await?;
    }
    app.get(host, "/orders/report").await.ok();
    let cat = async |arguments: &[&str]| -> Result<String> {
        let said = world.hmsctl(&[&["logs", "--app", "cigar", "-o", "cat"], arguments].concat()).await?;
        ensure!(said.code == 0, "{arguments:?}: {}", said.stderr);
        Ok(said.stdout)
    };
    let started = cat(&["--grep", "Started GET \"/products/\\d+\"", "-n", "100"]).await?;
    ensure!(started.lines().count() >= 3 && started.lines().all(|l| l.contains("/products/")), "{started}");
    assert_eq!(cat(&["--grep", "Started GET", "-n", "2"]).await?.lines().count(), 2);
    ensure!(cat(&["--since", "1 h ago", "-n", "500"]).await?.contains("ZeroDivisionError"));
    ensure!(cat(&["--until", "1 h ago", "-n", "500"]).await?.is_empty());
    let said = world.hmsctl(&["logs", "--app", "cigar", "-n", "5", "-o", "json"]).await?;
    for line in said.stdout.lines() {
        let entry: serde_json::Value = serde_json::from_str(line)?;
        ensure!(entry["message"].is_string() && entry["cursor"].is_string(), "{line}");
    }
    Ok(())
}
