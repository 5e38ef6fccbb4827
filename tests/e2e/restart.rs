//! One restart of a real Rails app through each face, and the record it leaves.

use anyhow::{Context as _, Result, ensure};
use hms_tests::world::{ADMIN, World};
use reqwest::{StatusCode, header};
use serde_json::{Value, json};

use hms_tests::people::{log_in_to_rest, log_in_to_web};

use crate::support::unit_property;

async fn audit(world: &World) -> Result<Vec<Value>> {
    let said = world.hmsctl(&["audit", "--method", "Restart", "-o", "json"]).await?;
    let said: Value = serde_json::from_str(&said.stdout).with_context(|| said.stderr.clone())?;
    Ok(said["records"].as_array().context("records")?.clone())
}

#[tokio::test]
async fn a_restart_through_web_rest_and_hmsctl_leaves_the_same_record() -> Result<()> {
    let world = World::single().await?;
    let client = world.client()?;
    let pid = async || unit_property(&world, "asterra", "puma-cigar.service", "MainPID").await;
    let mut pids = vec![pid().await?];

    log_in_to_web(&world, &client).await?;
    let url = format!("{}/apps/cigar/restart", world.url());
    let row = client
        .post(url)
        .header(header::ORIGIN, world.url())
        .header(header::ACCEPT, "text/html; fragment=1")
        .send()
        .await?;
    ensure!(row.status() == StatusCode::OK, "{}", row.text().await?);
    let row = row.text().await?;
    ensure!(row.contains("id=\"app-cigar\"") && row.contains("Running"), "{row}");
    pids.push(pid().await?);

    // A second one without scripts: the form leads back to the page, which says what became of it.
    let form = client.post(format!("{}/apps/cigar/restart", world.url())).header(header::ORIGIN, world.url());
    let page = form.send().await?.text().await?;
    ensure!(page.contains("restart puma-cigar.service on asterra: ok"), "{page}");
    pids.push(pid().await?);

    let token = log_in_to_rest(&world, &client).await?;
    let token = token["access_token"].as_str().context("access_token")?;
    let answer =
        client.post(format!("{}/api/apps/cigar/restart", world.url())).bearer_auth(token).send().await?;
    ensure!(answer.status() == StatusCode::OK, "{}", answer.text().await?);
    pids.push(pid().await?);

    let said = world.hmsctl(&["apps", "restart", "cigar"]).await?;
    ensure!(said.code == 0 && said.stdout.contains("cigar"), "{}{}", said.stdout, said.stderr);
    pids.push(pid().await?);

    let mut unique = pids.clone();
    unique.dedup();
    ensure!(
        unique.len() == 5 && !unique.contains(&"0".to_owned()),
        "the app was not restarted each time: {pids:?}"
    );

    let records = audit(&world).await?;
    let sources: Vec<_> = records.iter().map(|r| r["source"].as_str().unwrap_or_default()).collect();
    assert_eq!(sources, ["cli", "rest", "web", "web"]);
    for record in &records {
        let said: Vec<_> = ["actor", "method", "host", "target", "outcome"]
            .iter()
            .map(|field| record[field].as_str().unwrap_or_default())
            .collect();
        assert_eq!(said, [ADMIN, "/hms.host.v1.UnitService/Restart", "asterra", "puma-cigar.service", "ok"]);
        let params: Value = serde_json::from_str(record["params"].as_str().context("params")?)?;
        assert_eq!(params, json!({ "unit": "puma-cigar.service" }));
        ensure!(record["took_ms"].as_u64() > Some(0));
    }
    Ok(())
}

/// "Command sent" is not success: an app that does not come up is a failure with its cause, in every face.
#[tokio::test]
async fn an_app_that_does_not_come_up_is_told_with_its_cause() -> Result<()> {
    let world = World::single().await?;
    let host = world.controller_host();
    let breaks = "[Service]\nExecStartPre=/bin/sh -c 'echo the canary sang; exit 3'\nRestart=no\n";
    host.write_file("/etc/systemd/system/puma-cigar.service.d/break.conf", breaks).await?;
    host.run(&["systemctl", "daemon-reload"]).await?;

    let said = world.hmsctl(&["apps", "restart", "cigar"]).await?;
    ensure!(said.code == 1, "exit {}: {}{}", said.code, said.stdout, said.stderr);
    for part in ["error: ", "exit", "3", "the canary sang", "hint: "] {
        ensure!(said.stderr.contains(part), "no {part:?} in {}", said.stderr);
    }
    let client = world.client()?;
    let token = log_in_to_rest(&world, &client).await?;
    let url = format!("{}/api/apps/cigar/restart", world.url());
    let answer =
        client.post(url).bearer_auth(token["access_token"].as_str().context("token")?).send().await?;
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/problem+json");
    let problem: Value = answer.json().await?;
    ensure!(problem.to_string().contains("the canary sang"), "{problem}");
    log_in_to_web(&world, &client).await?;
    let url = format!("{}/apps/cigar/restart", world.url());
    let row = client
        .post(url)
        .header(header::ORIGIN, world.url())
        .header(header::ACCEPT, "text/html; fragment=1")
        .send()
        .await?
        .text()
        .await?;
    ensure!(row.contains("Failed") && row.contains("the canary sang"), "{row}");
    let outcomes: Vec<_> =
        audit(&world).await?.iter().map(|r| r["outcome"].as_str().unwrap_or_default().to_owned()).collect();
    assert_eq!(outcomes, ["failed", "failed", "failed"]);
    Ok(())
}
