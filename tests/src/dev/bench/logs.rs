//! Reading and following the journal, through the whole path and by `journalctl` in the host.

use std::collections::HashMap;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hms_proto::HOST_KEY;
use hms_proto::host::v1::{LogHistogramRequest, LogQuery, log_service_client::LogServiceClient};
use hms_tests::people;
use hms_tests::world::World;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tonic::Request;
use tonic::transport::Channel;

use super::million;
use super::table::{Table, in_turn, quantile};

/// Lines that are followed, one each 10 ms.
const FOLLOWED: u32 = 300;
/// Lines that are written as fast as it goes.
const BURST: u32 = 50_000;
const HOUR: i64 = 3_600_000_000;
/// What one of thousands of entries says.
const RARE: &str = "PaymentGatewayTimeout";

pub(super) async fn measure(world: &World, table: &mut Table) -> Result<()> {
    let host = world.controller_host();
    // journald would drop a quarter of them.
    let unlimited = "[Journal]\nRateLimitIntervalSec=0\nRateLimitBurst=0\nSystemMaxUse=8G\n";
    host.write_file("/etc/systemd/journald.conf.d/20-bench.conf", unlimited).await?;
    host.run(&["systemctl", "restart", "systemd-journald.service"]).await?;
    let mut logs = people::log_in_as_admin(world).await?.logs(&world.grpc())?;
    follow(world, &mut logs, table).await?;
    burst(world, &mut logs, table).await?;
    eprintln!("making a journal of a million entries");
    let (made, end) = million::journal()?;
    let folder = format!("/var/log/journal/{}", host.read_file("/etc/machine-id").await?.trim());
    let target = host.root().join(folder.trim_start_matches('/'));
    for file in std::fs::read_dir(made)? {
        let file = file?;
        if file.path().extension().is_some_and(|extension| extension == "journal") {
            std::fs::copy(file.path(), target.join(file.file_name()))?;
        }
    }
    queries(world, &mut logs, table, i64::try_from(end)?).await?;
    histogram(world, &mut logs, table).await
}

/// The same questions, to HMS and to journalctl.
async fn queries(
    world: &World,
    logs: &mut LogServiceClient<Channel>,
    table: &mut Table,
    end: i64,
) -> Result<()> {
    let host = world.controller_host();
    let of_unit = LogQuery { units: vec![million::UNIT.into()], ..LogQuery::default() };
    let since = end - 72 * HOUR;
    let hour = LogQuery { since_usec: since, until_usec: since + HOUR, ..of_unit.clone() };
    let at = |usec: i64| format!("@{}.{:06}", usec / 1_000_000, usec % 1_000_000);
    let (from, to) = (at(since), at(since + HOUR));
    let rare = LogQuery { limit: 1000, grep: RARE.into(), ..of_unit.clone() };
    let unit = ["--unit", million::UNIT];
    for (work, runs, ours, theirs) in [
        (
            "the last 100 lines of a unit",
            21,
            LogQuery { limit: 100, ..of_unit.clone() },
            [&unit[..], &["-n", "100"]].concat(),
        ),
        (
            "one hour of a unit, three days ago",
            11,
            hour,
            [&unit[..], &["--since", &from, "--until", &to]].concat(),
        ),
        ("a rare pattern in a unit", 5, rare.clone(), [&unit[..], &["--grep", RARE]].concat()),
        ("a rare pattern in everything", 5, LogQuery { units: Vec::new(), ..rare }, vec!["--grep", RARE]),
        ("all 306,000 lines of a unit", 2, of_unit, unit.to_vec()),
    ] {
        let argv = [&["journalctl", "--quiet", "--no-pager", "-o", "json"][..], &theirs].concat();
        let mut client = logs.clone();
        let ours_run = async || read(&mut client, ours.clone()).await.map(drop);
        let (ours, peer) = in_turn(runs, ours_run, async || host.run(&argv).await.map(drop)).await?;
        table.compare(work, ours, "journalctl -o json", peer);
    }
    Ok(())
}

/// journalctl cannot count: it has to give every entry to somebody who does.
async fn histogram(world: &World, logs: &mut LogServiceClient<Channel>, table: &mut Table) -> Result<()> {
    let host = world.controller_host();
    let query = Some(LogQuery { units: vec![million::UNIT.into()], ..LogQuery::default() });
    let ours = async || {
        let request = LogHistogramRequest { query: query.clone(), buckets: 60 };
        let counts = logs.histogram(at_asterra(request)?).await?.into_inner();
        ensure!(counts.total > 300_000, "{} were counted", counts.total);
        Ok(())
    };
    let argv = [
        "journalctl",
        "--quiet",
        "--no-pager",
        "--unit",
        million::UNIT,
        "-o",
        "json",
        "--output-fields=PRIORITY",
    ];
    let (ours, peer) = in_turn(2, ours, async || host.run(&argv).await.map(drop)).await?;
    table.compare(
        "a histogram by time and severity of a unit",
        ours,
        "journalctl -o json, PRIORITY alone",
        peer,
    );
    Ok(())
}

/// As many lines as fast as it goes: when the last one arrives, counted from when the writer began.
async fn burst(world: &World, logs: &mut LogServiceClient<Channel>, table: &mut Table) -> Result<()> {
    let host = world.controller_host();
    let query = LogQuery { units: vec!["burst.service".into()], limit: 1, ..LogQuery::default() };
    let mut chunks = logs.follow(at_asterra(query)?).await?.into_inner();
    let mut child =
        host.command(&["journalctl", "-f", "--merge", "-n", "0", "-o", "cat", "--unit", "burst.service"])?;
    let mut child = child.stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
    let mut lines = BufReader::new(child.stdout.take().context("stdout")?).lines();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let begun = std::time::Instant::now();
    let ours = async {
        let mut count = 0;
        loop {
            let chunk = chunks.message().await?.context("the stream ended")?;
            count += chunk.entries.iter().filter(|e| e.message.starts_with("burst ")).count();
            if chunk.entries.iter().any(|e| e.message == format!("burst {BURST}")) {
                return anyhow::Ok((begun.elapsed(), count));
            }
        }
    };
    let theirs = async {
        loop {
            if lines.next_line().await?.context("journalctl ended")? == format!("burst {BURST}") {
                return anyhow::Ok(begun.elapsed());
            }
        }
    };
    let script = format!("seq -f 'burst %.0f' 1 {BURST}");
    let writer = run_as_unit(world, "burst.service", &script);
    let limit = Duration::from_secs(60);
    let (written, ours, theirs) =
        tokio::join!(writer, tokio::time::timeout(limit, ours), tokio::time::timeout(limit, theirs));
    written?;
    let (ours, count) = ours.context("following through HMS")??;
    ensure!(count == BURST as usize, "{count} lines of {BURST} arrived");
    table.compare(
        "the last line of a burst of 50,000, none lost",
        ours,
        "journalctl -f",
        theirs.context("journalctl")??,
    );
    Ok(())
}

async fn run_as_unit(world: &World, unit: &str, script: &str) -> Result<()> {
    let argv = ["systemd-run", "--quiet", "--wait", "--unit", unit, "bash", "-c", script];
    world.controller_host().run(&argv).await?;
    Ok(())
}

pub(super) fn at_asterra<T>(message: T) -> Result<Request<T>> {
    let mut request = Request::new(message);
    request.metadata_mut().insert(HOST_KEY, "asterra".parse()?);
    Ok(request)
}

pub(super) async fn read(client: &mut LogServiceClient<Channel>, query: LogQuery) -> Result<usize> {
    let mut chunks = client.query(at_asterra(query.clone())?).await?.into_inner();
    let mut count = 0;
    while let Some(chunk) = chunks.message().await? {
        count += chunk.entries.len();
    }
    ensure!(count > 0, "nothing was found by {query:?}");
    Ok(count)
}

/// From the moment a line is written, which stands in it, to the moment it arrives. Host and machine share a clock.
async fn follow(world: &World, logs: &mut LogServiceClient<Channel>, table: &mut Table) -> Result<()> {
    let host = world.controller_host();
    let query = LogQuery { units: vec!["ticker.service".into()], limit: 1, ..LogQuery::default() };
    let mut chunks = logs.follow(at_asterra(query)?).await?.into_inner();
    let mut child =
        host.command(&["journalctl", "-f", "--merge", "-n", "1", "-o", "cat", "--unit", "ticker.service"])?;
    let mut child = child.stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
    let mut lines = BufReader::new(child.stdout.take().context("stdout")?).lines();
    // Both must be there before the first line is.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let script = format!("for i in $(seq {FOLLOWED}); do echo tick $i $(date +%s%N); sleep 0.01; done");
    let writer = run_as_unit(world, "ticker.service", &script);
    let ours = async {
        let mut delays = HashMap::new();
        while delays.len() < FOLLOWED as usize {
            let chunk = chunks.message().await?.context("the stream ended")?;
            delays.extend(chunk.entries.iter().filter_map(|e| delay(&e.message)));
        }
        anyhow::Ok(delays)
    };
    let theirs = async {
        let mut delays = HashMap::new();
        while delays.len() < FOLLOWED as usize {
            delays.extend(delay(&lines.next_line().await?.context("journalctl ended")?));
        }
        anyhow::Ok(delays)
    };
    let limit = Duration::from_secs(60);
    let (written, ours, theirs) =
        tokio::join!(writer, tokio::time::timeout(limit, ours), tokio::time::timeout(limit, theirs));
    written?;
    let (ours, theirs): (Vec<_>, Vec<_>) = (
        ours.context("following through HMS")??.into_values().collect(),
        theirs.context("following with journalctl")??.into_values().collect(),
    );
    for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
        table.compare(
            &format!("a followed line arrives, {name}"),
            quantile(ours.clone(), share),
            "journalctl -f",
            quantile(theirs.clone(), share),
        );
    }
    Ok(())
}

fn delay(line: &str) -> Option<(u32, Duration)> {
    let mut words = line.strip_prefix("tick ")?.split(' ');
    let (number, nanos): (u32, u128) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let now = std::time::UNIX_EPOCH.elapsed().ok()?;
    Some((number, Duration::from_nanos(u64::try_from(now.as_nanos().checked_sub(nanos)?).ok()?)))
}
