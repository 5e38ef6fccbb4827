//! Apps in a real browser, on a real host: added, given secrets, deployed, rolled back, taken away.

use anyhow::{Context as _, Result, ensure};
use hms_tests::browser;
use hms_tests::repository::{Change, Repository};
use hms_tests::yard::Yard;
use serde_json::Value;

/// What the script puts into a secret.
const CANARY: &str = "hunter2-canary";

/// Three branches: one that is live first, its next version, and one that does not boot.
async fn repository(yard: &Yard) -> Result<Repository> {
    let host = yard.host();
    let repository = Repository::of_app(host, "cigar", "cigar").await?;
    let next = Change::of_app(host, "cigar").await?.file("VERSION", "2\n").on("next");
    repository.commit(host, &next).await?;
    let broken = Change::of_app(host, "cigar").await?.on("broken");
    let broken = broken.file("config/initializers/cabinet.rb", "raise 'the cabinet is locked'\n");
    repository.commit(host, &broken).await?;
    Ok(repository)
}

/// Security cases 47, 48 and 61: what is typed into forms is checked, and no secret is left where somebody reads it later.
#[tokio::test]
async fn the_browser_brings_an_app_from_nothing_to_live_and_away_again() -> Result<()> {
    let yard = Yard::new().await?;
    let repository = repository(&yard).await?;
    let url = repository.url();
    println!("{}", browser::run(yard.world(), "apps.mjs", &[("HMS_REPOSITORY", &url)]).await?);
    let said = yard.world().admin().run(&["audit", "--limit", "200", "-o", "json"]).await?;
    ensure!(!said.contains(CANARY), "a secret is in the audit");
    let said: Value = serde_json::from_str(&said).context("the audit")?;
    let records = said["records"].as_array().context("records")?;
    let done = |method: &str, outcome: &str| {
        let method = format!("/hms.controller.v1.{method}");
        records.iter().filter(|r| r["method"] == method.as_str() && r["outcome"] == outcome).count()
    };
    assert_eq!(done("DeploymentService/Deploy", "ok"), 4);
    assert_eq!(done("DeploymentService/Rollback", "ok"), 1);
    assert_eq!(done("DeploymentService/Apply", "ok"), 1);
    assert_eq!(done("SecretService/Reveal", "ok"), 2);
    assert_eq!(done("AccountService/Confirm", "ok"), 2);
    assert_eq!(done("AccountService/Confirm", "denied"), 1, "the wrong password");
    let left = yard
        .host()
        .run(&["sh", "-c", "ls -d /srv/cigar /etc/systemd/system/puma-cigar* 2>/dev/null || true"])
        .await?;
    ensure!(left.trim().is_empty(), "left on the host: {left}");
    Ok(())
}
