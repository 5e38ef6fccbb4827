//! What is small on the wire and large in memory, held for as long as the attacker likes.

use anyhow::Result;
use futures_util::future::try_join_all;

use crate::attack::floods;
use crate::attack::scene::Scene;
use crate::attack::wire::Target;

/// Security case 98.
pub(super) async fn rounds(scene: &mut Scene) -> Result<()> {
    for attack in ["header bomb", "held headers", "shut windows"] {
        let targets = scene.targets()?;
        // They are held until all have been measured.
        let mut held = Vec::new();
        let attack_all = async || {
            held.clear();
            held = try_join_all(targets.iter().map(|target| on(attack, target))).await?;
            Ok(held.iter().flatten().map(|(_, outcome)| outcome.sent).sum())
        };
        scene.round(attack, attack_all).await?;
    }
    Ok(())
}

type Held = (crate::attack::wire::Wire, floods::Outcome);

async fn on(attack: &str, target: &Target) -> Result<Vec<Held>> {
    let connections = (0..16).map(|_| async {
        match attack {
            "header bomb" => floods::header_bomb(target, 64).await,
            "held headers" => floods::held_headers(target, 128).await,
            _ => floods::shut_windows(target, 128).await,
        }
    });
    try_join_all(connections).await
}
