//! The audit on real hosts: whole while nobody touches it, and found out where somebody does.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hms_tests::world::World;
use serde_json::Value;

use super::support::eventually;

/// Statements as whoever owns the database can make them.
async fn sql(world: &World, text: &str) -> Result<String> {
    let argv = ["runuser", "-u", "postgres", "--", "psql", "-qAtc", text, "hosting_production"];
    world.controller_host().run(&argv).await
}

async fn verify(world: &World, code: i32) -> Result<Value> {
    let said = world.hmsctl(&["audit", "verify", "-o", "json"]).await?;
    ensure!(said.code == code, "it ended with {}:\n{}\n{}", said.code, said.stdout, said.stderr);
    Ok(serde_json::from_str(&said.stdout)?)
}

/// Security cases 112, 113 and 117.
#[tokio::test]
async fn what_is_done_anywhere_is_in_one_chain_and_no_change_of_it_stays_unseen() -> Result<()> {
    let world = World::single().await?;
    let agent = world.controller_host().address().to_string();
    let restarted = world.hmsctl(&["--direct", &agent, "apps", "restart", "cigar"]).await?;
    ensure!(restarted.success(), "{}", restarted.stderr);
    // What was done past the controller joins the chain, once, by its name.
    eventually(Duration::from_secs(90), async || {
        let said = world.hmsctl(&["audit", "--actor", "admin", "-o", "json"]).await?;
        let list: Value = serde_json::from_str(&said.stdout)?;
        let records = list["records"].as_array().context("records")?;
        let direct: Vec<&Value> = records.iter().filter(|r| r["source"] == "direct").collect();
        ensure!(direct.len() == 1 && direct[0]["outcome"] == "ok", "{direct:?}");
        Ok(())
    })
    .await?;
    verify(&world, 0).await?;
    let file = world.folder().join("audit.ndjson");
    let export = world.hmsctl(&["audit", "export"]).await?;
    ensure!(export.success() && export.stdout.lines().count() > 5, "{}", export.stderr);
    std::fs::write(&file, &export.stdout)?;

    // A host holds a head by now; without it, a tail that was cut would be a chain like any other.
    sql(&world, "ALTER TABLE audit DISABLE TRIGGER USER").await?;
    sql(&world, "UPDATE audit SET detail = detail || 'x' WHERE seq = 3").await?;
    let told = verify(&world, 1).await?;
    ensure!(told["broken_seq"] == 3, "the row is named: {told}");
    sql(&world, "UPDATE audit SET detail = left(detail, -1) WHERE seq = 3").await?;
    verify(&world, 0).await?;
    sql(&world, "DELETE FROM audit WHERE seq > 5").await?;
    sql(&world, "UPDATE audit_head h SET seq = a.seq, hash = a.hash FROM audit a WHERE a.seq = 5").await?;
    verify(&world, 1).await?;
    let whole = world.hmsctl(&["audit", "verify", "--file", &file.to_string_lossy()]).await?;
    ensure!(whole.success(), "what was kept elsewhere is whole: {}{}", whole.stdout, whole.stderr);
    Ok(())
}
