//! Following a log through everything that can happen on the way: no line lost, none twice.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use hms_tests::journals;
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
    whatever_becomes_of_the_journal_what_is_missing_is_told(&world).await
}

/// The moment of a numbered entry, in seconds since the epoch.
const MOMENT: i64 = 1_790_000_000;

/// A journal of numbered entries of a boot, each a second after the one before; the clock is set back by an hour before one of them.
fn numbered(folder: &Path, boot: u8, numbers: Range<i64>, set_back: i64) -> Result<PathBuf> {
    let mut export = String::new();
    for number in numbers {
        let second = MOMENT + number - if number >= set_back { 3_600 } else { 0 };
        export += &format!("__REALTIME_TIMESTAMP={second}000000\n__MONOTONIC_TIMESTAMP={number}000000\n");
        export += &format!(
            "_BOOT_ID={boot:032x}\n_SYSTEMD_UNIT=crafted.service\nPRIORITY=6\nMESSAGE=number {number}\n\n"
        );
    }
    let made = tempfile::tempdir()?;
    journals::write(&made.path().join("made.journal"), export.as_bytes(), &[])?;
    let path = folder.join(format!("boot{boot}.journal"));
    std::fs::copy(made.path().join("made.journal"), &path)?;
    Ok(path)
}

/// What comes behind a place: numbers, and gaps.
async fn behind(world: &World, cursor: &str) -> Result<(Vec<i64>, Vec<String>)> {
    let unit = ["logs", "--host", "asterra", "--unit", "crafted.service", "--utc", "-o", "cat"];
    let said = world.hmsctl(&[&unit[..], &["--cursor", cursor]].concat()).await?;
    ensure!(said.code == 0, "{}", said.stderr);
    let numbers = said.stdout.lines().filter_map(|line| line.strip_prefix("number ")?.parse().ok());
    let gaps = said.stderr.lines().filter(|line| line.starts_with("-- gap: "));
    Ok((numbers.collect(), gaps.map(ToOwned::to_owned).collect()))
}

/// The cursor of each entry.
async fn cursors(world: &World) -> Result<BTreeMap<i64, String>> {
    let unit = ["logs", "--host", "asterra", "--unit", "crafted.service", "-n", "1000", "-o", "json"];
    let said = world.hmsctl(&unit).await?;
    let mut cursors = BTreeMap::new();
    for line in said.stdout.lines() {
        let entry: serde_json::Value = serde_json::from_str(line)?;
        let number = entry["message"].as_str().and_then(|m| m.strip_prefix("number ")).context("a number")?;
        cursors.insert(number.parse()?, entry["cursor"].as_str().context("a cursor")?.to_owned());
    }
    Ok(cursors)
}

/// A gap between two numbered entries, for this reason.
fn ensure_gap(gaps: &[String], reason: &str, after: i64, before: i64) -> Result<()> {
    let [gap] = gaps else { bail!("not one gap: {gaps:?}") };
    let at = |number: i64| chrono::DateTime::from_timestamp(MOMENT + number, 0).context("a time");
    let at = |number: i64| Ok::<_, anyhow::Error>(at(number)?.format("%H:%M:%S").to_string());
    let (after, before) = (at(after)?, at(before)?);
    let (from, to) = gap.split_once(", before ").with_context(|| gap.clone())?;
    let from = from.split_once(", after ").with_context(|| gap.clone())?.1;
    ensure!(
        gap.contains(reason) && from.contains(&after) && to.contains(&before),
        "{gap}: {after} to {before}"
    );
    Ok(())
}

/// Security case 127: a cursor whose boot is gone, one of a machine that was cloned or set back, a clock that was set back, and a
/// journal that is damaged. Where nothing is missing, nothing is said.
async fn whatever_becomes_of_the_journal_what_is_missing_is_told(world: &World) -> Result<()> {
    let host = world.controller_host();
    let id = host.read_file("/etc/machine-id").await?;
    let folder = host.root().join("var/log/journal").join(id.trim());
    let first = numbered(&folder, 1, 0..50, i64::MAX)?;
    let second = numbered(&folder, 2, 50..100, i64::MAX)?;
    let of = cursors(world).await?;
    ensure!(of.len() == 100, "{} entries", of.len());
    let all = |range: Range<i64>| range.collect::<Vec<_>>();
    ensure!(behind(world, &of[&40]).await? == (all(41..100), vec![]), "over a boot");

    // Another history with the same numbers: a copy of this machine, or this one from a backup.
    let elsewhere = of[&70].split(';').map(|part| match part.split_at(2) {
        ("i=", _) => "i=ffff".to_owned(),
        ("b=", _) => format!("b={:032x}", 77),
        _ => part.to_owned(),
    });
    let elsewhere = elsewhere.collect::<Vec<_>>().join(";");
    let (numbers, gaps) = behind(world, &elsewhere).await?;
    ensure!(numbers == all(71..100), "of a clone: {numbers:?}");
    ensure_gap(&gaps, "vacuumed", 70, 71)?;

    let mut bytes = std::fs::read(&first)?;
    let mark = b"number 30";
    let from = bytes.windows(mark.len()).position(|part| part == mark).context("the entry 30")?;
    bytes[from..].fill(0);
    std::fs::write(&first, &bytes)?;
    let (numbers, gaps) = behind(world, &of[&10]).await?;
    // Where the lists of a file are gone, what is sound before may not be found either; that is told as well.
    let last = numbers.iter().copied().filter(|number| *number < 50).max().unwrap_or(10);
    ensure!(last < 30 && numbers == [all(11..last + 1), all(50..100)].concat(), "damaged: {numbers:?}");
    ensure_gap(&gaps, "corrupt", last, 50)?;

    std::fs::remove_file(&first)?;
    let (numbers, gaps) = behind(world, &of[&20]).await?;
    ensure!(numbers == all(50..100), "a boot that is gone: {numbers:?}");
    ensure_gap(&gaps, "vacuumed", 20, 50)?;

    std::fs::remove_file(&second)?;
    numbered(&folder, 3, 100..150, 120)?;
    let of = cursors(world).await?;
    ensure!(behind(world, &of[&110]).await? == (all(111..150), vec![]), "a clock that was set back");
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
