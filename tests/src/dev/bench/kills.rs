//! Deployments that are killed at each point, again and again, while visitors come: the long form of the end-to-end test.

use anyhow::{Context as _, Result, ensure};
use hms_proto::host::v1::JobState;
use hms_tests::kills::{Kills, POINTS};
use hms_tests::testbed::Testbed;
use hms_tests::world::{Plan, World};
use hms_tests::yard::Yard;

use crate::build;

/// Kills at each point so many times; says how many deployments ended how, and how many visits were answered.
pub(super) async fn count(times: usize) -> Result<String> {
    // Only debug builds can be told where to die.
    let binaries = build::binaries("bin-kills", |_| {})?;
    let plan = Plan::new().host("asterra", &[]).host("borealis", &[]).binaries(binaries);
    let world = World::start(&Testbed::new().await?, &plan, &|step| eprintln!("{step}")).await?;
    let yard = Yard::on(world, "borealis").await?;
    let mut kills = Kills::begin(&yard).await?;
    let (mut live, mut put_back, mut visits) = (0, 0, 0);
    for round in 1..=times {
        for (point, work) in POINTS {
            let load = yard.load(Kills::KEY);
            let state = kills
                .die_at(point, work)
                .await
                .with_context(|| format!("round {round}, killed at {point}"))?;
            let answered = load.end().await.with_context(|| format!("round {round}, killed at {point}"))?;
            visits += answered.asked;
            match state {
                JobState::Succeeded => live += 1,
                _ => put_back += 1,
            }
        }
        eprintln!(
            "round {round} of {times}: {live} went live, {put_back} were put back, {visits} visits answered"
        );
    }
    let killed = live + put_back;
    ensure!(killed == times * POINTS.len(), "{killed} deployments were killed");
    Ok(format!(
        "{killed} of {killed} settled ({live} live, {put_back} put back); {visits} of {visits} visits answered"
    ))
}
