//! Processes die, hosts lose their power and their network while an app is deployed: one release is live, and one status is final.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hms_proto::host::v1::JobState;
use hms_tests::kills::{Kills, POINTS, Work};
use hms_tests::yard::Yard;

use crate::support::eventually;

const SOON: Duration = Duration::from_secs(120);

/// From here on the new release is live.
const LIVE_FROM: &str = "committed";

/// Much like others; only the long form dies there.
const LEFT_OUT: [&str; 10] = [
    "before-prepare",
    "before-fetch",
    "during-bundle",
    "during-release",
    "switch-files",
    "restart-noted",
    "before-site",
    "undo-files",
    "undo-removed",
    "undo-decided",
];

/// Security case 71 and pitfall P8, in their short form; `./dev bench --kills` has the long one.
#[tokio::test]
async fn a_deployment_may_die_at_any_point() -> Result<()> {
    let yard = Yard::apart().await?;
    let mut kills = Kills::begin(&yard).await?;
    let load = yard.trickle(Kills::KEY);
    let committed = POINTS.iter().position(|(point, _)| *point == LIVE_FROM).context("no such point")?;
    for (n, (point, work)) in
        POINTS.into_iter().enumerate().filter(|(_, (point, _))| !LEFT_OUT.contains(point))
    {
        let state = kills.die_at(point, work).await.with_context(|| format!("killed at {point}"))?;
        let is_live = work == Work::Good && n >= committed;
        ensure!((state == JobState::Succeeded) == is_live, "killed at {point}, it ended as {state:?}");
    }
    let visits = load.end().await?;
    ensure!(visits.asked > 100, "hardly anybody came: {visits:?}");
    // And then it works as if nothing had been.
    kills.commit(Work::Good).await?;
    let ended = yard.end(&kills.deploy().await?).await?;
    assert_eq!(kills.settled(&ended).await?, JobState::Succeeded);
    Ok(())
}

/// Security case 77, and 71 for the whole host.
#[tokio::test]
async fn agent_controller_network_and_power_may_go_while_it_is_deployed() -> Result<()> {
    let yard = Yard::apart().await?;
    let mut kills = Kills::begin(&yard).await?;
    let load = yard.trickle(Kills::KEY);
    for step in ["bundle", "restart"] {
        agent_and_controller_go(&yard, &mut kills, step).await.context(step)?;
    }
    load.end().await?;
    the_network_goes(&yard, &mut kills).await?;
    for step in ["checkout", "trial", "switch", "restart"] {
        let id = reach(&yard, &mut kills, step).await?;
        yard.host().power_cut().await?;
        yard.host().start().await?;
        let ended = yard.end(&id).await.with_context(|| format!("power cut at {step}"))?;
        kills.settled(&ended).await.with_context(|| format!("power cut at {step}"))?;
    }
    Ok(())
}

/// Begins to deploy the next version, up to this step.
async fn reach(yard: &Yard, kills: &mut Kills<'_>, step: &str) -> Result<String> {
    kills.commit(Work::Good).await?;
    let id = kills.deploy().await?;
    yard.reach(&id, step).await?;
    Ok(id)
}

async fn ends_well(yard: &Yard, kills: &mut Kills<'_>, id: &str) -> Result<()> {
    let ended = yard.end(id).await?;
    ensure!(kills.settled(&ended).await? == JobState::Succeeded, "{ended:?}");
    Ok(())
}

async fn agent_and_controller_go(yard: &Yard, kills: &mut Kills<'_>, step: &str) -> Result<()> {
    let id = reach(yard, kills, step).await?;
    let (agent, controller) = tokio::join!(
        yard.host().run(&["systemctl", "kill", "--kill-who=main", "--signal=KILL", "hms-agent.service"]),
        yard.world().controller_host().run(&["systemctl", "restart", "hms-controller.service"]),
    );
    agent.and(controller)?;
    ends_well(yard, kills, &id).await
}

/// It comes back only when all is over.
async fn the_network_goes(yard: &Yard, kills: &mut Kills<'_>) -> Result<()> {
    let id = reach(yard, kills, "switch").await?;
    yard.host().partition()?;
    eventually(SOON, async || {
        let state = yard.host().exec(&["systemctl", "is-active", &format!("hms-job-{id}.service")]).await?;
        ensure!(!state.success(), "it still runs");
        Ok(())
    })
    .await?;
    yard.host().heal()?;
    ends_well(yard, kills, &id).await
}
