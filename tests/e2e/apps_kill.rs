//! Processes die, hosts lose their power and their network while an app is deployed: one release is live, and one status is final.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hms_proto::host::v1::JobState;
use hms_tests::kills::{Kills, Work};
use hms_tests::yard::Yard;

use crate::support::eventually;

const SOON: Duration = Duration::from_secs(120);

/// Security case 71, in its short form; `./dev bench` has the long one. With whether the new release has to be live afterwards.
const POINTS: [(&str, Work, Option<bool>); 17] = [
    ("before-fetch", Work::Good, Some(false)),
    ("fetched", Work::Good, Some(false)),
    ("checkout-made", Work::Good, Some(false)),
    ("during-bundle", Work::Good, Some(false)),
    ("during-release", Work::Good, Some(false)),
    ("trial-started", Work::Good, Some(false)),
    ("switch-noted", Work::Good, Some(false)),
    ("switch-linked", Work::Good, Some(false)),
    ("restart-noted", Work::Good, Some(false)),
    ("restart-done", Work::Good, Some(false)),
    ("during-health", Work::Good, Some(false)),
    ("commit-recorded", Work::Good, Some(false)),
    ("committed", Work::Good, Some(true)),
    ("prune-one", Work::Good, Some(true)),
    ("undo-begun", Work::Bad, Some(false)),
    ("undo-linked", Work::Bad, Some(false)),
    ("undo-put-back", Work::Bad, Some(false)),
];

#[tokio::test]
async fn a_deployment_may_die_at_any_point() -> Result<()> {
    let yard = Yard::apart().await?;
    let mut kills = Kills::begin(&yard).await?;
    let load = yard.load(Kills::KEY);
    for (point, work, new_is_live) in POINTS {
        let state = kills.die_at(point, work).await.with_context(|| format!("killed at {point}"))?;
        if let Some(is_live) = new_is_live {
            ensure!((state == JobState::Succeeded) == is_live, "killed at {point}, it ended as {state:?}");
        }
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
    let (world, host) = (yard.world(), yard.host());
    let mut kills = Kills::begin(&yard).await?;
    let load = yard.load(Kills::KEY);
    for step in ["fetch", "release", "trial", "restart"] {
        kills.commit(Work::Good).await?;
        let id = kills.deploy().await?;
        yard.reach(&id, step).await?;
        let (agent, controller) = tokio::join!(
            host.run(&["systemctl", "kill", "-s", "KILL", "hms-agent.service"]),
            world.controller_host().run(&["systemctl", "restart", "hms-controller.service"]),
        );
        agent.and(controller)?;
        let ended = yard.end(&id).await?;
        ensure!(kills.settled(&ended).await? == JobState::Succeeded, "at {step}: {ended:?}");
    }
    load.end().await?;
    for step in ["bundle", "switch"] {
        kills.commit(Work::Good).await?;
        let id = kills.deploy().await?;
        yard.reach(&id, step).await?;
        host.partition()?;
        eventually(SOON, async || {
            let unit = format!("hms-job-{id}.service");
            let state = host.exec(&["systemctl", "is-active", &unit]).await?;
            ensure!(!state.success(), "it still runs");
            Ok(())
        })
        .await?;
        host.heal()?;
        let ended = yard.end(&id).await?;
        ensure!(kills.settled(&ended).await? == JobState::Succeeded, "at {step}: {ended:?}");
    }
    for step in ["checkout", "release", "trial", "switch", "restart", "site"] {
        kills.commit(Work::Good).await?;
        let id = kills.deploy().await?;
        yard.reach(&id, step).await?;
        host.power_cut().await?;
        host.start().await?;
        let ended = yard.end(&id).await.with_context(|| format!("power cut at {step}"))?;
        kills.settled(&ended).await.with_context(|| format!("power cut at {step}"))?;
    }
    Ok(())
}
