//! Floods of HTTP/2 frames, on all ports at once.

use anyhow::{Result, ensure};
use futures_util::future::try_join_all;

use crate::attack::floods::{self, Outcome};
use crate::attack::scene::{Scene, size};
use crate::attack::wire::Target;

/// So many connections attack a port.
const CONNECTIONS: usize = 4;

/// Security case 97.
pub(super) async fn rounds(scene: &mut Scene) -> Result<()> {
    let frames = size(100_000, 1_000_000) / CONNECTIONS;
    for attack in
        ["rapid reset", "made reset", "endless headers", "empty data", "settings and pings", "unread answers"]
    {
        let targets = scene.targets()?;
        let ports = targets.iter().map(|target| async move {
            let outcome = times(|| one(attack, target, frames)).await?;
            // What only a hostile program does is not listened to for long.
            let ends = ["made reset", "endless headers", "empty data"].contains(&attack);
            ensure!(!ends || outcome.ended, "{attack}, {}: it may go on: {outcome:?}", target.name);
            Ok(outcome.sent)
        });
        scene.round(attack, async { Ok(try_join_all(ports).await?.iter().sum()) }).await?;
    }
    Ok(())
}

async fn one(attack: &str, target: &Target, frames: usize) -> Result<Outcome> {
    match attack {
        "rapid reset" => floods::rapid_reset(target, frames).await,
        "made reset" => floods::made_reset(target, frames).await,
        "endless headers" => floods::endless_headers(target, size(1024, 65536)).await,
        "empty data" => floods::empty_data(target, frames).await,
        "settings and pings" => floods::answered(target, frames).await,
        _ => floods::unread_answers(target, 4 * frames).await,
    }
}

/// The attack on several connections at once, and what came of it.
async fn times<F: Future<Output = Result<Outcome>>>(attack: impl Fn() -> F) -> Result<Outcome> {
    let outcomes = try_join_all((0..CONNECTIONS).map(|_| attack())).await?;
    let sent = outcomes.iter().map(|outcome| outcome.sent).sum();
    Ok(Outcome { sent, ended: outcomes.iter().all(|outcome| outcome.ended) })
}
