//! What HMS costs while nothing happens.

use std::{collections::HashMap, time::Duration};

use anyhow::{Context as _, Result};
use hms_tests::testbed::Host;
use hms_tests::world::World;

use super::table::Table;

const TIME: Duration = Duration::from_secs(20);

pub(super) async fn measure(world: &World, table: &mut Table) -> Result<()> {
    let host = world.controller_host();
    tokio::time::sleep(Duration::from_secs(3)).await;
    watch(host, table, "controller, linked to one host", "hms-controller.service").await?;
    watch(host, table, "agent, watched by a controller", "hms-agent.service").await?;
    host.run(&["systemctl", "stop", "hms-controller.service"]).await?;
    host.run(&["systemctl", "restart", "hms-agent.service"]).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    watch(host, table, "agent, nobody connected", "hms-agent.service").await?;
    host.run(&["systemctl", "start", "hms-controller.service"]).await?;
    world.wait_until_ready().await?;
    world.wait_until_agents_are_connected().await
}

async fn watch(host: &Host, table: &mut Table, work: &str, unit: &str) -> Result<()> {
    let pid = host.run(&["systemctl", "show", unit, "--value", "-p", "MainPID"]).await?;
    let pid = pid.trim();
    let before = switches(host, pid).await?;
    tokio::time::sleep(TIME).await;
    let after = switches(host, pid).await?;
    let smaps = host.read_file(format!("/proc/{pid}/smaps_rollup")).await?;
    let pss = field(&smaps, "Pss:").context("Pss")? as f64 / 1024.0;
    // A thread that ended meanwhile is not counted, one that began is.
    let woken: u64 = after.iter().map(|(id, n)| n.saturating_sub(before.get(id).copied().unwrap_or(0))).sum();
    let rate = woken as f64 / TIME.as_secs_f64();
    table.note(&format!("idle: {work}"), format!("{pss:.1} MiB PSS, {rate:.1} wake-ups/s"));
    Ok(())
}

/// How often each thread of a process went to sleep by itself: each is a wake-up before.
async fn switches(host: &Host, pid: &str) -> Result<HashMap<u64, u64>> {
    let tasks = host.run(&["sh", "-c", &format!("cat /proc/{pid}/task/*/status")]).await?;
    let (mut thread, mut switches) = (0, HashMap::new());
    for line in tasks.lines() {
        // Each file names the thread before it counts.
        if let Some(id) = field(line, "Pid:") {
            thread = id;
        } else if let Some(count) = field(line, "voluntary_ctxt_switches:") {
            switches.insert(thread, count);
        }
    }
    Ok(switches)
}

fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|l| l.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}
