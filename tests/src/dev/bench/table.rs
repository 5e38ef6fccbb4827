//! Samples, medians, and the table they end in.

use std::time::{Duration, Instant};

use anyhow::Result;

/// One row: the same work by HMS and by a peer.
struct Row {
    work: String,
    ours: String,
    peer: String,
    ratio: String,
}

/// What was measured.
#[derive(Default)]
pub(super) struct Table {
    rows: Vec<Row>,
}

impl Table {
    /// Adds times of the same work; the ratio is peer ÷ ours.
    pub(super) fn compare(&mut self, work: &str, ours: Duration, peer_name: &str, peer: Duration) {
        let ratio = peer.as_secs_f64() / ours.as_secs_f64();
        self.rows.push(Row {
            work: work.into(),
            ours: millis(ours),
            peer: format!("{peer_name}: {}", millis(peer)),
            ratio: format!("{ratio:.1}×"),
        });
    }

    /// Adds a figure that has no peer here.
    pub(super) fn note(&mut self, work: &str, ours: String) {
        self.rows.push(Row { work: work.into(), ours, peer: "—".into(), ratio: "—".into() });
    }

    /// The document in docs/.
    pub(super) fn to_markdown(&self) -> String {
        let mut text = String::from(HEAD);
        for Row { work, ours, peer, ratio } in &self.rows {
            text += &format!("| {work} | {ours} | {peer} | {ratio} |\n");
        }
        text + FOOT
    }

    /// The same for a terminal.
    pub(super) fn to_text(&self) -> String {
        let line = |r: &Row| format!("{:<64} {:>14}  {:<30} {:>8}", r.work, r.ours, r.peer, r.ratio);
        self.rows.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

const HEAD: &str = "# Benchmarks

Written by `./dev bench`: HMS and what people use today, on the same test host in the same run, medians, tools in turn. Goals are ratios (peer ÷ HMS); absolute
times are those of a small virtual machine. The journal is that of the test host; log rows go the whole way, agent → controller → client, over gRPC with mTLS.

| work | HMS | peer | ratio |
|---|---|---|---|
";

const FOOT: &str = "
How: each time is the median of the runs named in `tests/src/dev/bench`. Programs are built with `--profile bench-run` (optimised, without link-time optimisation).
Logs are read from the files of the journal (docs/decisions/0005-journal-files-are-read-by-us.md); patterns are matched by the agent, in linear time.
";

fn millis(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1e3;
    if ms < 10.0 { format!("{ms:.2} ms") } else { format!("{ms:.0} ms") }
}

/// The middle of the samples.
pub(super) fn median(mut samples: Vec<Duration>) -> Duration {
    samples.sort();
    samples[samples.len() / 2]
}

/// The sample below which this share of them lies.
pub(super) fn quantile(mut samples: Vec<Duration>, share: f64) -> Duration {
    samples.sort();
    samples[((samples.len() - 1) as f64 * share) as usize]
}

/// Times two ways of the same work in turn, after one warm-up each.
pub(super) async fn in_turn(
    runs: usize,
    mut ours: impl AsyncFnMut() -> Result<()>,
    mut peer: impl AsyncFnMut() -> Result<()>,
) -> Result<(Duration, Duration)> {
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for run in 0..=runs {
        let begun = Instant::now();
        ours().await?;
        let middle = Instant::now();
        peer().await?;
        if run > 0 {
            a.push(middle - begun);
            b.push(middle.elapsed());
        }
    }
    Ok((median(a), median(b)))
}
