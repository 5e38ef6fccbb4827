//! Attacks that want to use something up: memory, connections, files, streams. Whoever is attacked grows by a bounded amount,
//! goes on, and serves those who work meanwhile. With `HMS_LONG` each attack goes on for ten minutes, or for as many seconds as it says
//! (`HMS_LONG=60 cargo nextest run --profile long -p hms-tests exhaustion`).
//!
//! One host for all of them, as each attack is on all its ports at once.

mod bodies;
mod bombs;
mod crowds;
mod frames;
mod messages;
mod slow;
mod strangers;
mod tails;

use anyhow::Result;

use crate::attack::scene::Scene;

/// Security cases 95 to 101.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attacks_cost_little_and_who_works_is_served() -> Result<()> {
    let mut scene = Scene::set().await?;
    // They take their time: others go on meanwhile.
    let slow = slow::begin(&mut scene).await?;
    messages::rounds(&mut scene).await?;
    bodies::rounds(&mut scene).await?;
    frames::rounds(&mut scene).await?;
    bombs::rounds(&mut scene).await?;
    tails::round(&mut scene).await?;
    slow.await??;
    strangers::round(&mut scene).await?;
    crowds::rounds(&mut scene).await
}
