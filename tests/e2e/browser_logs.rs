//! The logs in a real browser, and over REST, on real hosts.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hms_tests::browser;
use hms_tests::people::Rest;
use hms_tests::world::World;
use reqwest::{Method, Response, header};
use serde_json::Value;
use tokio::time::timeout;

async fn stream(rest: &Rest, path: &str, last: &str) -> Result<Response> {
    let request = rest.request(Method::GET, path).header(header::ACCEPT, "text/event-stream");
    Ok(request.header("last-event-id", last).send().await?.error_for_status()?)
}

/// Reads events until `enough` messages have come; gives them and the last place.
async fn read_events(answer: &mut Response, last: &mut String, enough: usize) -> Result<Vec<String>> {
    let (mut text, mut messages) = (String::new(), Vec::new());
    while messages.len() < enough {
        let piece = timeout(Duration::from_secs(60), answer.chunk()).await.context("no event")??;
        text += &String::from_utf8(piece.context("the stream ended")?.to_vec())?;
        while let Some((event, rest)) = text.split_once("\n\n").map(|(e, r)| (e.to_owned(), r.to_owned())) {
            text = rest;
            for line in event.lines() {
                if let Some(id) = line.strip_prefix("id: ") {
                    id.clone_into(last);
                }
                let Some(data) = line.strip_prefix("data: [") else { continue };
                let rows: Value = serde_json::from_str(&format!("[{data}"))?;
                let rows = rows.as_array().context("rows")?;
                messages.extend(rows.iter().filter_map(|row| row["message"].as_str().map(str::to_owned)));
            }
        }
    }
    Ok(messages)
}

#[tokio::test]
async fn the_browser_follows_searches_unfolds_and_brushes_logs() -> Result<()> {
    let world = World::single().await?;
    println!("{}", browser::run(&world, "logs.mjs", &[]).await?);
    Ok(())
}

/// Writes numbered lines on each host, one host after the other in turns, and waits until they are in the journals.
async fn write_in_turns(world: &World, count: u32) -> Result<()> {
    for number in 0..count {
        for host in world.hosts() {
            let line = format!("turn {number:03} of {}", host.name());
            host.run(&["logger", "-t", "turns", "--", &line]).await?;
        }
    }
    for host in world.hosts() {
        host.run(&["journalctl", "--sync"]).await?;
    }
    Ok(())
}

/// When each entry was written, and what it says.
fn rows(answer: &Value) -> Vec<(i64, String)> {
    let entries = answer["entries"].as_array().map(Vec::as_slice).unwrap_or_default();
    let row = |entry: &Value| {
        (entry["time_usec"].as_i64().unwrap_or(0), entry["message"].as_str().unwrap_or_default().to_owned())
    };
    entries.iter().map(row).collect()
}

/// Each line is there once, in the order in which the journals took them.
fn expect_all(rows: &[(i64, String)], wanted: &[String]) {
    assert!(rows.is_sorted_by_key(|(time, _)| *time), "{rows:?}");
    let mut lines: Vec<&str> = rows.iter().map(|(_, line)| line.as_str()).collect();
    lines.sort_unstable();
    assert_eq!(lines, wanted);
}

/// Two hosts are one log: in order, page by page in both directions, each line once; and a host that is away is named.
#[tokio::test]
async fn rest_merges_hosts_and_pages_through_them() -> Result<()> {
    let world = World::pair().await?;
    write_in_turns(&world, 20).await?;
    let client = Rest::log_in(&world).await?;
    let mut wanted: Vec<String> =
        (0..20).flat_map(|n| ["asterra", "borealis"].map(|host| format!("turn {n:03} of {host}"))).collect();
    wanted.sort();
    let query = "where=identifier%3Dturns&lines=7";
    let mut before = String::new();
    let mut back = Vec::new();
    while back.len() < wanted.len() {
        let place = if before.is_empty() { String::new() } else { format!("&before={before}") };
        let answer = client.ask(Method::GET, &format!("/api/logs?{query}{place}"), None).await?;
        let page = rows(&answer);
        ensure!(!page.is_empty(), "the log ends after {} of {} lines", back.len(), wanted.len());
        back.splice(0..0, page);
        before = encode(answer["before"].as_str().context("before")?);
    }
    expect_all(&back, &wanted);

    let (mut after, mut forward) = (String::new(), Vec::new());
    for _ in 0..wanted.len() {
        let place = if after.is_empty() { String::new() } else { format!("&after={after}") };
        let answer = client.ask(Method::GET, &format!("/api/logs?{query}&from=oldest{place}"), None).await?;
        let page = rows(&answer);
        if page.is_empty() {
            break;
        }
        forward.extend(page);
        after = encode(answer["after"].as_str().context("after")?);
    }
    expect_all(&forward, &wanted);

    let counted = client
        .ask(Method::GET, "/api/log-histogram?where=identifier%3Dturns&since=1+h&buckets=10", None)
        .await?;
    assert_eq!(counted["total"], 40, "{counted}");
    assert_eq!(counted["buckets"].as_array().map(Vec::len), Some(10));

    world.hosts()[1].run(&["systemctl", "stop", "hms-agent.service"]).await?;
    for _ in 0..60 {
        let answer = client.ask(Method::GET, "/api/logs?where=identifier%3Dturns", None).await?;
        if answer["unreachable"][0]["host"] == "borealis" {
            assert_eq!(rows(&answer).len(), 20, "the other host is read all the same");
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    anyhow::bail!("nobody says that borealis is away")
}

fn encode(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// A stream that is broken off and taken up by its last id, with an agent that is killed meanwhile: each line once.
#[tokio::test]
async fn rest_streams_go_on_where_they_broke_off() -> Result<()> {
    let world = World::pair().await?;
    let client = Rest::log_in(&world).await?;
    let path = "/api/logs?where=identifier%3Dturns";
    let mut last = client.ask(Method::GET, path, None).await?["after"].as_str().context("after")?.to_owned();
    let mut seen = Vec::new();
    for round in 0..4 {
        write_in_turns(&world, 5).await?;
        if round == 2 {
            let kill = ["systemctl", "kill", "--kill-who=main", "--signal=KILL", "hms-agent.service"];
            world.hosts()[1].run(&kill).await?;
        }
        let mut answer = stream(&client, path, &last).await?;
        seen.extend(read_events(&mut answer, &mut last, 10).await?);
    }
    let round = (0..5).flat_map(|n| ["asterra", "borealis"].map(|host| format!("turn {n:03} of {host}")));
    let mut wanted: Vec<String> = (0..4).flat_map(|_| round.clone()).collect();
    assert_eq!(seen.len(), wanted.len(), "{seen:?}");
    seen.sort();
    wanted.sort();
    assert_eq!(seen, wanted);
    Ok(())
}
