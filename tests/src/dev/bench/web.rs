//! Requests per second: the dashboard and the list of apps, by several clients at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures_util::future::try_join_all;
use hms_tests::people;
use hms_tests::world::World;
use reqwest::RequestBuilder;

use super::table::{Table, quantile};

const CLIENTS: usize = 16;
const TIME: Duration = Duration::from_secs(5);

pub(super) async fn measure(world: &World, table: &mut Table) -> Result<()> {
    let client = world.client()?;
    people::log_in_to_web(world, &client).await?;
    let token = people::log_in_to_rest(world, &client).await?;
    let token = token["access_token"].as_str().context("access_token")?;
    let page = client.get(format!("{}/", world.url()));
    let apps = client.get(format!("{}/api/apps", world.url())).bearer_auth(token);
    for (work, request) in [("the dashboard page", page), ("`GET /api/apps`", apps)] {
        let (rate, p99) = hammer(&request).await?;
        table.note(
            &format!("{work}, {CLIENTS} clients at once"),
            format!("{rate:.0}/s, p99 {:.1} ms", p99.as_secs_f64() * 1e3),
        );
    }
    Ok(())
}

async fn hammer(request: &RequestBuilder) -> Result<(f64, Duration)> {
    let done = AtomicUsize::new(0);
    let begun = Instant::now();
    let client = async || {
        let mut times = Vec::new();
        while begun.elapsed() < TIME {
            let one = Instant::now();
            let answer = request.try_clone().context("a request without a body")?.send().await?;
            ensure!(answer.status().is_success(), "{}", answer.status());
            answer.bytes().await?;
            times.push(one.elapsed());
            done.fetch_add(1, Ordering::Relaxed);
        }
        anyhow::Ok(times)
    };
    let times = try_join_all((0..CLIENTS).map(|_| client())).await?.concat();
    Ok((done.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64(), quantile(times, 0.99)))
}
