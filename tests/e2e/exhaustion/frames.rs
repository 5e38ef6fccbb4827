//! Floods of HTTP/2 frames, on all ports at once.

use anyhow::{Result, ensure};
use futures_util::future::try_join_all;

use crate::attack::floods::{self, Outcome};
use crate::attack::scene::Scene;
use crate::attack::wire::Target;

/// So many connections attack a port.
const CONNECTIONS: usize = 4;

/// So many frames come on each.
const FRAMES: usize = 25_000;

/// Security case 97.
pub(super) async fn rounds(scene: &mut Scene) -> Result<()> {
    for attack in
        ["rapid reset", "made reset", "endless headers", "empty data", "settings and pings", "unread answers"]
    {
        let targets = scene.targets()?;
        let on_all =
            async || Ok(try_join_all(targets.iter().map(|target| on(attack, target))).await?.iter().sum());
        scene.round(attack, on_all).await?;
    }
    Ok(())
}

async fn on(attack: &str, target: &Target) -> Result<usize> {
    let outcome = times(|| one(attack, target)).await?;
    // What only a hostile program does is not listened to for long.
    let ends = ["made reset", "endless headers", "empty data"].contains(&attack);
    ensure!(!ends || outcome.ended, "{attack}, {}: it may go on: {outcome:?}", target.name);
    Ok(outcome.sent)
}

async fn one(attack: &str, target: &Target) -> Result<Outcome> {
    match attack {
        "rapid reset" => floods::rapid_reset(target, FRAMES).await,
        "made reset" => floods::made_reset(target, FRAMES).await,
        "endless headers" => floods::endless_headers(target, 1024).await,
        "empty data" => floods::empty_data(target, FRAMES).await,
        "settings and pings" => floods::answered(target, FRAMES).await,
        _ => floods::unread_answers(target, 4 * FRAMES).await,
    }
}

/// The attack on several connections at once, and what came of it.
async fn times<F: Future<Output = Result<Outcome>>>(attack: impl Fn() -> F) -> Result<Outcome> {
    let outcomes = try_join_all((0..CONNECTIONS).map(|_| attack())).await?;
    let sent = outcomes.iter().map(|outcome| outcome.sent).sum();
    Ok(Outcome { sent, ended: outcomes.iter().all(|outcome| outcome.ended) })
}
