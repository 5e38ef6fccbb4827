//! A whole HMS comes up as the install guide says, and comes up again by itself.

use anyhow::{Context, Result, ensure};
use hms_tests::world::World;

#[tokio::test]
async fn a_pair_of_hosts_comes_up_with_apps_and_agents() -> Result<()> {
    let world = World::pair().await?;
    for (key, host) in [("cigar", "asterra"), ("tobacco", "borealis")] {
        let (on, app) = world.app(key)?;
        assert_eq!(on.name(), host);
        assert_eq!(app.get(on, "/up").await?, "up");
        let units = world.admin().run(&["units", "--host", host]).await?;
        ensure!(units.contains(&app.unit()), "{} is not among the units of {host}:\n{units}", app.unit());
    }
    let apps = world.admin().run(&["apps"]).await?;
    ensure!(apps.contains("cigar") && apps.contains("tobacco"), "{apps}");
    let ready = world.client()?.get(format!("{}/readyz", world.url())).send().await?;
    ensure!(ready.status().is_success());
    Ok(())
}

#[tokio::test]
async fn everything_is_back_after_a_power_cut() -> Result<()> {
    let world = World::single().await?;
    let host = world.host("asterra")?;
    host.power_cut().await?;
    host.start().await?;
    world.wait_until_ready().await?;
    world.wait_until_agents_are_connected().await?;
    let (host, app) = world.app("cigar")?;
    app.wait_until_up(host).await?;
    let list = world.admin().run(&["apps"]).await?;
    list.lines().find(|line| line.contains("cigar")).context("cigar is not in the list")?;
    Ok(())
}
