//! The editor of nginx files in a real browser, on a real host; what it did is what the history says.

use anyhow::{Context as _, Result, ensure};
use hms_tests::browser;
use hms_tests::world::World;
use serde_json::Value;

/// A mistake is marked, a change is tested, compared, applied and kept, two writers meet, a version comes back, and an
/// edit made on the host is found.
#[tokio::test]
async fn the_browser_edits_nginx_and_nothing_is_lost_when_two_write() -> Result<()> {
    let world = World::single().await?;
    println!("{}", browser::run(&world, "configs.mjs", &[]).await?);
    let told = world.hmsctl(&["nginx", "history", "cigar", "-o", "json"]).await?;
    let told: Value = serde_json::from_str(&told.stdout).with_context(|| told.stderr.clone())?;
    let versions = told["versions"].as_array().context("versions")?;
    let has =
        |event: &str, author: &str| versions.iter().any(|v| v["event"] == event && v["author"] == author);
    ensure!(has("first-seen", "") && has("applied", "admin") && has("outside", "root on the host"), "{told}");
    let reasons: Vec<_> = versions.iter().filter_map(|v| v["reason"].as_str()).collect();
    for reason in ["larger uploads", "both", "back to before"] {
        ensure!(reasons.contains(&reason), "no `{reason}` among {reasons:?}");
    }
    Ok(())
}
