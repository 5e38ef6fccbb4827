//! Strangers at the port that anybody may come to: more than there are places, from many addresses, each with all that it can hold.

use anyhow::{Result, ensure};
use futures_util::future::join_all;

use crate::attack::floods;
use crate::attack::scene::Scene;

/// What all of them together may cost, in KiB.
const MOST: u64 = 64 * 1024;

/// So many come from each of so many addresses.
const EACH: usize = 70;
const ADDRESSES: u8 = 6;

/// What each of them sends: so many requests with so much of a body.
const REQUESTS: usize = 6;
const BODY: usize = 48 * 1024;

/// Security case 101.
pub(super) async fn round(scene: &mut Scene) -> Result<()> {
    let [mut pages, ..] = scene.targets()?;
    pages.path = "/api/auth/login";
    let addresses = (0..ADDRESSES).map(|number| scene.attacker(number)).collect::<Result<Vec<_>>>()?;
    // They are held until what they cost has been measured.
    let mut held = Vec::new();
    let attack = async || {
        held.clear();
        for from in &addresses {
            let target = pages.seen_from(*from);
            let came = join_all((0..EACH).map(|_| floods::stranger(&target, REQUESTS, BODY))).await;
            // Some were sent away before they could say anything.
            held.extend(came.into_iter().flatten());
        }
        let sent = held.iter().map(|(_, outcome)| outcome.sent).sum();
        ensure!(sent > EACH, "only {sent} requests were taken");
        Ok(sent)
    };
    scene.round_within("strangers", MOST, attack).await?;
    scene.visitor.get_in("pages").await
}
