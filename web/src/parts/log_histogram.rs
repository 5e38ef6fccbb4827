//! How many entries there are by time and severity, and what was changed meanwhile.

use super::log_rows::LogMark;
use crate::frame::SAMPLE_NOW_US;
use crate::{Fragment, Template, View, text};

/// The height of the drawing, in units of its view box.
const HEIGHT: f64 = 56.0;

/// Entries of a part of the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogBucket {
    /// error and worse.
    pub bad: u64,
    /// warning.
    pub warn: u64,
    /// notice and info.
    pub info: u64,
    /// debug.
    pub quiet: u64,
}

impl LogBucket {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.bad + self.warn + self.info + self.quiet
    }
}

/// A rectangle.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// `bad`, `warn`, `info`, `quiet`.
    pub tone: &'static str,
    /// Where it is.
    pub x: f64,
    /// Its upper edge.
    pub y: f64,
    /// How high it is.
    pub height: f64,
}

/// The drawing above a log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Template)]
#[template(path = "parts/log_histogram.html")]
pub struct LogHistogram {
    /// When the first bucket begins, in microseconds since the epoch.
    pub start_us: i64,
    /// How long each is.
    pub width_us: i64,
    /// In order.
    pub buckets: Vec<LogBucket>,
    /// What was changed.
    pub marks: Vec<LogMark>,
    /// Hosts that are not counted, and why.
    pub missing: Vec<String>,
    /// Why there is nothing to see; empty: there is.
    pub problem: String,
}

impl LogHistogram {
    /// All entries.
    pub fn total(&self) -> u64 {
        self.buckets.iter().map(LogBucket::total).sum()
    }

    /// Those that are errors or worse.
    pub fn errors(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.bad).sum()
    }

    /// When the last bucket ends.
    pub fn end_us(&self) -> i64 {
        self.start_us + self.width_us * self.buckets.len() as i64
    }

    /// The bars, in units of the view box: one unit wide each.
    pub fn bars(&self) -> Vec<Bar> {
        let most = self.buckets.iter().map(LogBucket::total).max().unwrap_or(0).max(1) as f64;
        let mut bars = Vec::new();
        for (index, bucket) in self.buckets.iter().enumerate() {
            let mut y = HEIGHT;
            for (tone, count) in
                [("bad", bucket.bad), ("warn", bucket.warn), ("info", bucket.info), ("quiet", bucket.quiet)]
            {
                // What is there is seen, however much else there is.
                let height = if count == 0 { 0.0 } else { (count as f64 / most * (HEIGHT - 4.0)).max(1.5) };
                y -= height;
                if count > 0 {
                    bars.push(Bar {
                        tone,
                        x: index as f64,
                        y: (y * 10.0).round() / 10.0,
                        height: (height * 10.0).round() / 10.0,
                    });
                }
            }
        }
        bars
    }

    /// Where a mark is, in percent of the width.
    pub fn percent(&self, mark: &LogMark) -> String {
        let length = (self.end_us() - self.start_us).max(1) as f64;
        format!("{:.2}", ((mark.at_us - self.start_us) as f64 / length * 100.0).clamp(0.0, 100.0))
    }

    /// What each bucket says, for the script: four numbers a bucket.
    pub fn counts(&self) -> String {
        let bucket = |b: &LogBucket| format!("{},{},{},{}", b.bad, b.warn, b.info, b.quiet);
        self.buckets.iter().map(bucket).collect::<Vec<_>>().join(";")
    }

    /// In a sentence, for those who do not see it.
    pub fn words(&self) -> String {
        let peak = self.buckets.iter().enumerate().max_by_key(|(_, bucket)| bucket.total());
        let peak = peak.filter(|(_, bucket)| bucket.total() > 0).map(|(index, bucket)| {
            format!(
                "; most, {}, from {}",
                bucket.total(),
                text::absolute(self.start_us + self.width_us * index as i64)
            )
        });
        format!(
            "{} lines from {} to {}, {} of them errors{}",
            self.total(),
            text::absolute(self.start_us),
            text::absolute(self.end_us()),
            self.errors(),
            peak.unwrap_or_default()
        )
    }

    /// To be put above the log.
    pub fn fragment(&self, _view: View) -> Fragment {
        Fragment::morph("log-histogram", self)
    }

    /// A quiet day with a bad quarter of an hour.
    pub fn sample() -> Self {
        let bucket = |index: u64| LogBucket {
            bad: if (70..76).contains(&index) { 40 } else { u64::from(index.is_multiple_of(17)) },
            warn: index % 5,
            info: 60 + index * 7 % 40,
            quiet: index % 9,
        };
        Self {
            start_us: SAMPLE_NOW_US - 24 * 3_600_000_000,
            width_us: 864_000_000,
            buckets: (0..100).map(bucket).collect(),
            marks: vec![LogMark {
                seq: 7,
                at_us: SAMPLE_NOW_US - 7 * 3_600_000_000,
                words: "henrik: restart puma-cigar.service on asterra".into(),
                outcome: "ok".into(),
                href: "/audit?since=2026-11-24#record-7".into(),
            }],
            missing: vec!["borealis: the agent did not answer within 8 s".into()],
            problem: String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_stand_on_each_other_and_fit() {
        let histogram = LogHistogram::sample();
        for bar in histogram.bars() {
            assert!(bar.y >= 0.0 && bar.y + bar.height <= HEIGHT + 0.2, "{bar:?}");
        }
        let only = LogHistogram { buckets: vec![LogBucket { info: 1, ..LogBucket::default() }], ..histogram };
        assert_eq!(only.bars().len(), 1);
        assert!(LogHistogram::default().bars().is_empty());
        assert_eq!(only.percent(&LogMark { at_us: 0, ..LogMark::default() }), "0.00");
    }
}
