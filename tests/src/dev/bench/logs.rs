//! Reading and following the journal, through the whole path and by `journalctl` in the host.

use std::collections::HashMap;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hms_proto::HOST_KEY;
use hms_proto::host::v1::{LogQuery, log_service_client::LogServiceClient};
use hms_tests::people;
use hms_tests::world::World;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tonic::Request;
use tonic::transport::Channel;

use super::table::{Table, in_turn, quantile};

const UNIT: &str = "writer.service";
/// Entries of the unit that is read.
const ENTRIES: u32 = 50_000;
/// Lines that are followed, one each 10 ms.
const FOLLOWED: u32 = 300;

pub(super) async fn measure(world: &World, table: &mut Table) -> Result<()> {
    let host = world.controller_host();
    // journald would drop a quarter of them.
    let unlimited = "[Journal]\nRateLimitIntervalSec=0\nRateLimitBurst=0\n";
    host.write_file("/etc/systemd/journald.conf.d/20-bench.conf", unlimited).await?;
    host.run(&["systemctl", "restart", "systemd-journald.service"]).await?;
    let fill = format!(
        "seq -f 'Completed 200 OK in %g ms (Views: 3.1ms | ActiveRecord: 0.4ms) for 10.213.1.1' 1 {ENTRIES}"
    );
    run_as_unit(world, UNIT, &fill).await?;
    host.run(&["journalctl", "--sync"]).await?;
    let mut logs = people::log_in_as_admin(world).await?.logs(&world.grpc())?;

    let query = |limit, grep: &str| LogQuery {
        units: vec![UNIT.into()],
        limit,
        grep: grep.into(),
        ..LogQuery::default()
    };
    for (work, ours, theirs) in [
        ("the last 100 lines of a unit", query(100, ""), vec!["-n", "100"]),
        (
            "a rare pattern in 50,000 lines of a unit",
            query(100, "in 4999\\d ms"),
            vec!["--grep", "in 4999\\d ms"],
        ),
        ("50,000 lines of a unit", query(0, ""), vec![]),
    ] {
        let argv = [&["journalctl", "-o", "json", "--unit", UNIT][..], &theirs].concat();
        let mut client = logs.clone();
        let ours_run = async || read(&mut client, ours.clone()).await.map(drop);
        let (ours, peer) = in_turn(7, ours_run, async || host.run(&argv).await.map(drop)).await?;
        table.compare(work, ours, "journalctl -o json", peer);
    }
    follow(world, &mut logs, table).await
}

async fn run_as_unit(world: &World, unit: &str, script: &str) -> Result<()> {
    let argv = ["systemd-run", "--quiet", "--wait", "--unit", unit, "bash", "-c", script];
    world.controller_host().run(&argv).await?;
    Ok(())
}

fn at_asterra<T>(message: T) -> Result<Request<T>> {
    let mut request = Request::new(message);
    request.metadata_mut().insert(HOST_KEY, "asterra".parse()?);
    Ok(request)
}

async fn read(client: &mut LogServiceClient<Channel>, query: LogQuery) -> Result<usize> {
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
