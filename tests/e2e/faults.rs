//! Everything stops once: agent, controller, database, network. Each comes back without help, and nothing is lost.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hms_tests::world::World;
use reqwest::{StatusCode, header};
use serde_json::Value;

use hms_tests::people::{log_in_to_rest, log_in_to_web};

use crate::support::eventually;

const SOON: Duration = Duration::from_secs(30);

async fn app_state(world: &World, key: &str) -> Result<String> {
    let said = world.hmsctl(&["apps", "show", key, "-o", "json"]).await?;
    let app: Value = serde_json::from_str(&said.stdout).with_context(|| said.stderr.clone())?;
    Ok(app["state"].as_str().context("state")?.to_owned())
}

async fn reaches(world: &World, key: &str, state: &str) -> Result<()> {
    eventually(SOON, async || {
        let now = app_state(world, key).await?;
        ensure!(now == state, "{key} is {now}, not {state}");
        Ok(())
    })
    .await
}

/// An agent that is gone makes its apps unreachable, never stopped; after a kill -9 it is back by itself.
#[tokio::test]
async fn an_agent_that_is_killed_comes_back_and_one_that_is_stopped_is_unreachable() -> Result<()> {
    let world = World::pair().await?;
    let borealis = world.host("borealis")?;
    reaches(&world, "tobacco", "running").await?;
    borealis.run(&["systemctl", "kill", "--kill-who=main", "--signal=KILL", "hms-agent.service"]).await?;
    eventually(SOON, async || {
        let said = world.hmsctl(&["apps", "restart", "tobacco"]).await?;
        ensure!(said.code == 0, "{}", said.stderr);
        Ok(())
    })
    .await?;

    borealis.run(&["systemctl", "stop", "hms-agent.service"]).await?;
    reaches(&world, "tobacco", "unreachable").await?;
    assert_eq!(app_state(&world, "cigar").await?, "running", "the other host is not affected");
    borealis.run(&["systemctl", "is-active", "puma-tobacco.service"]).await?;
    let said = world.hmsctl(&["apps", "restart", "tobacco"]).await?;
    ensure!(said.code == 5 && said.stderr.contains("borealis"), "exit {}: {}", said.code, said.stderr);
    let record = world.hmsctl(&["audit", "--outcome", "unreachable", "-o", "json"]).await?.stdout;
    ensure!(record.contains("puma-tobacco.service"), "{record}");

    borealis.run(&["systemctl", "start", "hms-agent.service"]).await?;
    reaches(&world, "tobacco", "running").await
}

/// Security case 124 and pitfall P7: a cable that is pulled is noticed although no packet says so.
#[tokio::test]
async fn a_partition_is_noticed_and_heals() -> Result<()> {
    let world = World::pair().await?;
    reaches(&world, "tobacco", "running").await?;
    world.host("borealis")?.partition()?;
    reaches(&world, "tobacco", "unreachable").await?;
    assert_eq!(app_state(&world, "cigar").await?, "running");
    world.host("borealis")?.heal()?;
    reaches(&world, "tobacco", "running").await
}

/// A controller that is killed while it works leaves the truth in the audit, and sees everything again.
#[tokio::test]
async fn a_controller_that_is_killed_in_the_middle_of_a_call_records_it_as_unknown() -> Result<()> {
    let world = World::single().await?;
    let host = world.controller_host();
    let slow = "[Service]\nExecStartPre=/bin/sleep 8\n";
    host.write_file("/etc/systemd/system/puma-cigar.service.d/slow.conf", slow).await?;
    host.run(&["systemctl", "daemon-reload"]).await?;
    let admin = world.admin();
    let call = tokio::spawn(async move { admin.exec(&["apps", "restart", "cigar"]).await });
    eventually(SOON, async || {
        let running = world.hmsctl(&["audit", "--outcome", "running", "-o", "json"]).await?.stdout;
        ensure!(running.contains("UnitService/Restart"), "{running}");
        Ok(())
    })
    .await?;
    host.run(&["systemctl", "kill", "--kill-who=main", "--signal=KILL", "hms-controller.service"]).await?;
    let said = call.await??;
    ensure!(said.code == 5, "a lost answer is not a failure: exit {} {}", said.code, said.stderr);
    world.wait_until_ready().await?;
    eventually(SOON, async || {
        let record = world.hmsctl(&["audit", "--outcome", "unknown", "-o", "json"]).await?.stdout;
        ensure!(record.contains("UnitService/Restart"), "{record}");
        Ok(())
    })
    .await?;
    reaches(&world, "cigar", "running").await
}

/// Security case 118: without the database nobody gets in and nothing is changed; it recovers by itself.
#[tokio::test]
async fn without_the_database_nothing_is_changed_and_it_recovers() -> Result<()> {
    let world = World::single().await?;
    let host = world.controller_host();
    let client = world.client()?;
    log_in_to_web(&world, &client).await?;
    let token = log_in_to_rest(&world, &client).await?;
    let token = token["access_token"].as_str().context("token")?.to_owned();
    let pid =
        async || crate::support::unit_property(&world, "asterra", "puma-cigar.service", "MainPID").await;
    let before = pid().await?;

    host.run(&["systemctl", "kill", "--kill-who=main", "--signal=KILL", "postgresql@15-main.service"])
        .await?;
    host.run(&["systemctl", "stop", "postgresql@15-main.service"]).await?;
    let get = async |path: &str| client.get(format!("{}{path}", world.url())).send().await;
    eventually(SOON, async || {
        ensure!(get("/readyz").await?.status() == StatusCode::SERVICE_UNAVAILABLE);
        Ok(())
    })
    .await?;
    assert_eq!(get("/livez").await?.status(), StatusCode::OK);
    let page = get("/").await?;
    assert_eq!(page.status(), StatusCode::SERVICE_UNAVAILABLE);
    ensure!(page.text().await?.contains("database"));
    let restart =
        client.post(format!("{}/api/apps/cigar/restart", world.url())).bearer_auth(&token).send().await?;
    assert_eq!(restart.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(restart.headers()[header::CONTENT_TYPE], "application/problem+json");
    let said = world.hmsctl(&["apps", "restart", "cigar"]).await?;
    ensure!(said.code == 1 && said.stderr.contains("database"), "exit {}: {}", said.code, said.stderr);
    assert_eq!(pid().await?, before, "the app was restarted without a record");
    // With the controller's database gone, a person still gets through to the host.
    let direct = format!("{}:9444", host.address());
    let said = world.hmsctl(&["--direct", &direct, "apps", "restart", "cigar"]).await?;
    ensure!(said.code == 0, "{}", said.stderr);
    assert_ne!(pid().await?, before);

    host.run(&["systemctl", "start", "postgresql@15-main.service"]).await?;
    world.wait_until_ready().await?;
    assert_eq!(get("/").await?.status(), StatusCode::OK);
    let said = world.hmsctl(&["apps", "restart", "cigar"]).await?;
    ensure!(said.code == 0, "{}", said.stderr);
    Ok(())
}

/// The database goes away while a call runs: the call ends, and its outcome is recorded when the database is back.
#[tokio::test]
async fn an_outcome_is_recorded_when_the_database_is_back() -> Result<()> {
    let world = World::single().await?;
    let host = world.controller_host();
    let slow = "[Service]\nExecStartPre=/bin/sleep 6\n";
    host.write_file("/etc/systemd/system/puma-cigar.service.d/slow.conf", slow).await?;
    host.run(&["systemctl", "daemon-reload"]).await?;
    let admin = world.admin();
    let call = tokio::spawn(async move { admin.exec(&["apps", "restart", "cigar"]).await });
    let outcome = async |word: &str| -> Result<()> {
        let said = world.hmsctl(&["audit", "--outcome", word, "--method", "Restart", "-o", "json"]).await?;
        ensure!(said.stdout.contains("UnitService/Restart"), "{}{}", said.stdout, said.stderr);
        Ok(())
    };
    eventually(SOON, async || outcome("running").await).await?;
    host.run(&["systemctl", "stop", "postgresql@15-main.service"]).await?;
    let said = call.await??;
    ensure!(said.code == 0, "the restart itself went well: exit {} {}", said.code, said.stderr);
    host.run(&["systemctl", "start", "postgresql@15-main.service"]).await?;
    world.wait_until_ready().await?;
    eventually(SOON, async || outcome("ok").await).await
}

/// The way in when everything above is gone: straight to the agent, with the same rights.
#[tokio::test]
async fn hmsctl_works_directly_while_the_controller_is_stopped() -> Result<()> {
    let world = World::single().await?;
    let host = world.controller_host();
    host.run(&["systemctl", "stop", "hms-controller.service", "postgresql@15-main.service"]).await?;
    let direct = format!("{}:9444", host.address());
    let said = world.hmsctl(&["apps", "restart", "cigar"]).await?;
    ensure!(said.code == 5 && said.stderr.contains("--direct"), "exit {}: {}", said.code, said.stderr);
    for arguments in [
        &["apps", "restart", "cigar"][..],
        &["units", "show", "puma-cigar.service"],
        &["logs", "--app", "cigar", "-n", "5"],
    ] {
        let said = world.hmsctl(&[&["--direct", direct.as_str()], arguments].concat()).await?;
        ensure!(
            said.code == 0 && !said.stdout.is_empty(),
            "{arguments:?}: exit {} {}",
            said.code,
            said.stderr
        );
    }
    let spool = host.run(&["sh", "-c", "cat /var/lib/hms-agent/audit/*"]).await?;
    ensure!(spool.contains("UnitService/Restart") && spool.contains("puma-cigar.service"), "{spool}");
    Ok(())
}

/// A power cut of the whole host: controller, database, agent and app are there again, and so is the record.
#[tokio::test]
async fn a_power_cut_of_the_controllers_host_loses_nothing() -> Result<()> {
    let world = World::single().await?;
    let said = world.hmsctl(&["apps", "restart", "cigar"]).await?;
    ensure!(said.code == 0, "{}", said.stderr);
    world.controller_host().power_cut().await?;
    world.controller_host().start().await?;
    world.wait_until_ready().await?;
    reaches(&world, "cigar", "running").await?;
    let record = world.hmsctl(&["audit", "--method", "Restart", "-o", "json"]).await?.stdout;
    ensure!(record.contains("puma-cigar.service"), "{record}");
    Ok(())
}
