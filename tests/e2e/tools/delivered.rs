//! The scripts on the whole path: delivered by `hmsctl`, run as jobs in the agent's sandbox, their findings read.

use anyhow::{Context as _, Result, ensure};
use hms_proto::report::{Level, findings};
use hms_tests::world::World;

/// Runs a script on asterra, which must end with this code of hmsctl and say all of this.
async fn run(world: &World, code: i32, arguments: &[&str], texts: &[&str]) -> Result<String> {
    let argv = [&["scripts", "run"], arguments, &["--host", "asterra"]].concat();
    let said = world.hmsctl(&argv).await?;
    ensure!(said.code == code, "{arguments:?}: exit {}: {}\n{}", said.code, said.stdout, said.stderr);
    for text in texts {
        ensure!(said.stdout.contains(text), "{arguments:?}: no {text:?} in: {}", said.stdout);
    }
    Ok(said.stdout)
}

#[tokio::test]
async fn every_script_works_as_a_job() -> Result<()> {
    let world = World::single().await?;
    world.sync_scripts().await?;
    world.sync_scripts().await.context("again, with nothing to change")?;
    let (host, app) = world.app("cigar")?;
    app.get(host, "/orders/report").await.expect_err("the report is broken");
    host.run(&["journalctl", "--sync"]).await?;

    run(&world, 0, &["parse_logs", "-p", "app=cigar"], &["ZeroDivisionError (divided by #)"]).await?;
    let dollars = ["parse_logs", "-p", "pattern=^ZeroDivisionError|divided by 0\\):$"];
    run(&world, 0, &dollars, &["ZeroDivisionError"]).await?;
    let access = ["parse_logs", "-p", "source=nginx_access", "-p", "app=cigar"];
    run(&world, 0, &access, &["500 GET /orders/report"]).await?;
    run(&world, 0, &["check_status"], &["puma-cigar.service", "hms-agent.service", "hms-controller.service"])
        .await?;
    let limits = ["-p", "warning=99", "-p", "critical=100", "-p", "folders=always"];
    run(
        &world,
        0,
        &[&["check_disk_space"][..], &limits].concat(),
        &["MOUNT", "Largest folders", "PostgreSQL"],
    )
    .await?;
    run(&world, 0, &["check_certificates"], &["Certificates asterra"]).await?;
    run(&world, 0, &["check_database"], &["PostgreSQL", "Connections"]).await?;
    let missing = run(&world, 1, &["check_database", "-p", "app=cigar"], &["cigar_production"]).await?;
    ensure!(missing.contains("does not exist"), "{missing}");
    let unit = ["restart_service", "-p", "unit=puma-cigar.service", "-p", "watch=1s"];
    run(&world, 0, &unit, &["was restarted and stayed up"]).await?;
    app.wait_until_up(host).await?;
    run(&world, 1, &["restart_service", "-p", "unit=hms-agent.service"], &["error:"]).await?;

    let report = run(&world, 0, &["check_status", "--json"], &[]).await?;
    let found = findings(report.as_bytes()).map_err(anyhow::Error::msg)?;
    let well = |subject: &str| found.iter().any(|f| f.level == Level::Ok && f.subject == subject);
    ensure!(well("puma-cigar.service") && well("hms-agent.service"), "{found:#?}");
    Ok(())
}
