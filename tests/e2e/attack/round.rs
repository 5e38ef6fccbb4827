//! A round: one attack, what it costs whoever is attacked, and what others notice of it.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tokio::time::sleep;

use super::honest::ASKED;
use super::latency::Took;
use super::meter::{MOST, Meter};
use super::scene::Scene;
use crate::support::tell;

/// With `HMS_LONG` each attack goes on for so many seconds, and for ten minutes where it is no such number.
const LONG: Duration = Duration::from_secs(600);

/// How much a process may still grow by in the second half of a long attack, in KiB.
const LATER: u64 = 16 * 1024;

/// How long is looked at what is usual: before each attack that is long, and before a short one.
const QUIET: [Duration; 2] = [Duration::from_secs(10), Duration::from_millis(500)];

/// How long an attack goes on; otherwise it is done once.
pub(crate) fn length() -> Option<Duration> {
    let long = std::env::var("HMS_LONG").ok()?;
    let seconds = long.parse().ok().filter(|seconds| *seconds >= 10);
    Some(seconds.map_or(LONG, Duration::from_secs))
}

impl Scene {
    /// One attack: says what was sent. Both processes stay within their bound, and all who work go on.
    pub(crate) async fn round(
        &mut self,
        what: &str,
        attack: impl AsyncFnMut() -> Result<usize>,
    ) -> Result<()> {
        self.round_within(what, MOST, attack).await
    }

    /// The same with another bound, in KiB.
    pub(crate) async fn round_within(
        &mut self,
        what: &str,
        most: u64,
        mut attack: impl AsyncFnMut() -> Result<usize>,
    ) -> Result<()> {
        let before = self.honest.counts();
        sleep(QUIET[usize::from(length().is_none())]).await;
        self.honest.all_go_on().await.context(format!("before {what}"))?;
        let usual = self.honest.since(before);

        self.meters.iter_mut().try_for_each(Meter::begin)?;
        let (began, before) = (Instant::now(), self.honest.counts());
        let (mut sent, mut half) = (0, None);
        loop {
            sent += attack().await.with_context(|| what.to_owned())?;
            let (took, length) = (began.elapsed(), length().unwrap_or_default());
            if took >= length {
                break;
            }
            if half.is_none() && took >= length / 2 {
                half = Some(self.grown(what, most)?);
            }
        }
        let took = began.elapsed();
        self.honest.all_go_on().await.with_context(|| what.to_owned())?;
        let grown = self.grown(what, most)?;
        let later = half.map(|half| [grown[0] - half[0], grown[1] - half[1]]);
        ensure!(
            later.is_none_or(|later| later.iter().all(|later| *later < LATER)),
            "{what}: the longer it takes, the more they grow: {half:?} KiB, and then {grown:?} KiB"
        );
        let note = format!("{}; {}", memory(grown, later), noticed(usual, self.honest.since(before)));
        eprintln!("{what}: {sent} sent in {took:.1?}; {note}");
        tell(&format!("attacks: {what}"), sent, 0, &note)
    }

    fn grown(&self, what: &str, most: u64) -> Result<[u64; 2]> {
        let [controller, agent] = &self.meters;
        Ok([controller.grown(what, most)?, agent.grown(what, most)?])
    }
}

fn memory([controller, agent]: [u64; 2], later: Option<[u64; 2]>) -> String {
    let later =
        later.map(|[controller, agent]| format!(", of it in the second half {controller} and {agent} KiB"));
    format!("controller +{controller} KiB, agent +{agent} KiB{}", later.unwrap_or_default())
}

/// What those notice who work.
fn noticed(usual: [Took; 3], then: [Took; 3]) -> String {
    let answers: usize = then.iter().map(|took| took.count).sum();
    let each = ASKED.iter().zip(usual).zip(then);
    let each =
        each.map(|((name, usual), then)| format!("{name} {usual} → {then} (×{:.1})", then.times(usual)));
    format!("{answers} answers to others, p50/p99 in ms: {}", each.collect::<Vec<_>>().join(", "))
}
