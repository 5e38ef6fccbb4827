//! What HMS costs while nothing happens.

use std::time::Duration;

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
    let rate = (after - before) as f64 / TIME.as_secs_f64();
    table.note(&format!("idle: {work}"), format!("{pss:.1} MiB PSS, {rate:.1} wake-ups/s"));
    Ok(())
}

/// How often the threads of a process went to sleep by themselves: each is a wake-up before.
async fn switches(host: &Host, pid: &str) -> Result<u64> {
    let tasks = host.run(&["sh", "-c", &format!("cat /proc/{pid}/task/*/status")]).await?;
    Ok(tasks
        .lines()
        .filter(|l| l.starts_with("voluntary_ctxt_switches"))
        .filter_map(|l| l.split_whitespace().nth(1)?.parse::<u64>().ok())
        .sum())
}

fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|l| l.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}
