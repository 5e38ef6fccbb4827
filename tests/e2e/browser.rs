//! Browser tests: the scripts of tests/browser, run against a page or a whole HMS.

use anyhow::{Context as _, Result, ensure};
use hms_tests::browser;
use hms_tests::world::World;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::unit_property;

const PAGE: &str = "<!doctype html><html lang=\"en\"><head><title>Hello</title></head>\
                    <body><main><h1>Hello</h1></main></body></html>";

#[tokio::test]
async fn the_browser_opens_measures_and_photographs_a_page() -> Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let url = format!("http://{}", listener.local_addr()?);
    let server = tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{PAGE}",
                PAGE.len()
            );
            // The request is small and is answered the same whatever it says.
            let Ok(_length) = connection.read(&mut [0; 4096]).await else { continue };
            connection.write_all(answer.as_bytes()).await.ok();
        }
    });
    let pictures = tempfile::tempdir()?;
    let folder = pictures.path().to_string_lossy().into_owned();
    browser::run_script("smoke.mjs", &[("HMS_URL", &url), ("HMS_SCREENSHOTS", &folder)]).await?;
    assert!(pictures.path().join("smoke.png").exists());
    server.abort();
    Ok(())
}

/// A whole working day in one browser; what it did is what the host and the record say.
#[tokio::test]
async fn the_browser_logs_in_restarts_an_app_and_follows_its_log_live() -> Result<()> {
    let world = World::single().await?;
    let pid = async || unit_property(&world, "asterra", "puma-cigar.service", "MainPID").await;
    let before = pid().await?;
    println!("{}", browser::run(&world, "whole.mjs", &[]).await?);
    let after = pid().await?;
    ensure!(after != before && after != "0", "the main process was {before} and is {after}");
    let said = world.hmsctl(&["audit", "--actor", "admin", "-o", "json"]).await?;
    let said: Value = serde_json::from_str(&said.stdout).with_context(|| said.stderr.clone())?;
    let records = said["records"].as_array().context("records")?;
    let by_browser: Vec<_> = records
        .iter()
        .filter(|r| r["source"] == "web" && r["target"] == "puma-cigar.service")
        .map(|r| (r["method"].as_str().unwrap_or_default(), r["outcome"].as_str().unwrap_or_default()))
        .collect();
    let unit = |verb: &str| format!("/hms.host.v1.UnitService/{verb}");
    let (start, stop, restart) = (unit("Start"), unit("Stop"), unit("Restart"));
    let wanted = [(start.as_str(), "ok"), (stop.as_str(), "ok"), (restart.as_str(), "ok")];
    assert_eq!(by_browser, wanted, "newest first");
    Ok(())
}

/// Unreachable is not stopped: the app runs on, and nobody may believe otherwise for a moment.
#[tokio::test]
async fn an_unreachable_host_is_shown_as_unreachable_never_as_stopped() -> Result<()> {
    let world = World::pair().await?;
    println!("{}", browser::run(&world, "unreachable.mjs", &[]).await?);
    Ok(())
}
