//! Samples, medians, and the table they end in.

use std::time::{Duration, Instant};

use anyhow::Result;
use hms_tests::paths;

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

    /// Prints the rows, and puts them into docs/benchmarks.md: each in the place of the one with the same name.
    pub(super) fn publish(&self) -> Result<()> {
        let file = paths::repository().join("docs/benchmarks.md");
        let before = std::fs::read_to_string(&file).unwrap_or_default();
        std::fs::write(&file, self.to_markdown(&before))?;
        println!("{}", self.to_text());
        eprintln!("written to {}", file.display());
        Ok(())
    }

    fn to_markdown(&self, before: &str) -> String {
        let work = |line: &str| line.split('|').nth(1).map(|cell| cell.trim().to_owned());
        let old = before.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| work |"));
        let mut rows: Vec<String> = old.map(ToOwned::to_owned).collect();
        for row in &self.rows {
            let line = format!("| {} | {} | {} | {} |", row.work, row.ours, row.peer, row.ratio);
            match rows.iter_mut().find(|old| work(old).as_deref() == Some(&row.work)) {
                Some(old) => *old = line,
                None => rows.push(line),
            }
        }
        format!("{HEAD}{}\n{FOOT}", rows.join("\n"))
    }

    /// The same for a terminal.
    pub(super) fn to_text(&self) -> String {
        let line = |r: &Row| format!("{:<64} {:>14}  {:<30} {:>8}", r.work, r.ours, r.peer, r.ratio);
        self.rows.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

const HEAD: &str = "# Benchmarks

Written by `./dev bench`: HMS and what people use today, on the same test host in the same run, medians, tools in turn. Goals are ratios (peer ÷ HMS); absolute
times are those of a small virtual machine with two processors. Log rows go the whole way, agent → controller → client, over gRPC with mTLS; their peers run in the
host, on the same files. `./dev bench logs`, `./dev bench reader` and `./dev bench fuzz` write only their own rows.

| work | HMS | peer | ratio |
|---|---|---|---|
";

const FOOT: &str = "
How: each time is the median of the runs named in `tests/src/dev/bench`. Programs are built with `--profile bench-run` (optimised, without link-time optimisation).
The journal has 1,000,000 entries over 7 days and 20 units (306,000 of them of the unit that is asked for), 23 fields each, in the form that systemd-journal-remote
writes; the access log has 1 GiB in the combined form. Both are made by `tests/src/dev/bench/million.rs`. Programs are started anew for each run, as a person would; HMS runs.
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
