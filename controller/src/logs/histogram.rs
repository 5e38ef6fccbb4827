//! How many entries there are by time and severity, of all hosts together.

use std::time::Duration;

use futures_util::future::join_all;
use hms_proto::{
    fault::{Fault, FaultKind},
    host::v1::{LogHistogram, LogHistogramRequest},
    search::{Lane, Search},
};

use super::{Away, away, lanes};
use crate::{auth::Caller, fleet::now_usec, state::State};

/// Without a beginning, so much of the past is counted.
const USUAL: i64 = 24 * 3_600 * 1_000_000;
/// What cannot be counted in this time is not.
const PATIENCE: Duration = Duration::from_secs(8);

/// Entries of all hosts.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Counts {
    pub(crate) start_usec: i64,
    pub(crate) width_usec: i64,
    /// For each part of the time, how many of each severity.
    pub(crate) buckets: Vec<[u64; 8]>,
    /// Hosts that are not counted.
    pub(crate) away: Vec<Away>,
}

/// Counts what a search means, in so many parts.
pub(crate) async fn histogram(
    state: &State,
    caller: &Caller,
    search: &Search,
    buckets: u32,
) -> Result<Counts, Fault> {
    let mut lanes = lanes(state.fleet.seen_by(caller), search)?;
    let now = now_usec();
    let until = lanes.first().map_or(0, |lane| lane.query.until_usec);
    let until = if until > 0 { until } else { now };
    let since = lanes.first().map_or(0, |lane| lane.query.since_usec);
    let since = if since > 0 { since } else { until - USUAL };
    for lane in &mut lanes {
        (lane.query.since_usec, lane.query.until_usec) = (since, until);
    }
    let width_usec = ((until - since) / i64::from(buckets)).max(1) + 1;
    let mut counts =
        Counts { start_usec: since, width_usec, buckets: vec![[0; 8]; buckets as usize], away: Vec::new() };
    for (lane, answer) in join_all(lanes.into_iter().map(|lane| one(state, caller, lane, buckets))).await {
        match answer {
            Ok(histogram) => counts.add(&histogram),
            Err(fault) if fault.kind() == FaultKind::Invalid => return Err(fault),
            Err(fault) => counts.away.push(Away { host: lane.host, since_usec: now, fault }),
        }
    }
    Ok(counts)
}

async fn one(
    state: &State,
    caller: &Caller,
    lane: Lane,
    buckets: u32,
) -> (Lane, Result<LogHistogram, Fault>) {
    if let Some(trouble) = away(&state.fleet, &lane.host) {
        return (lane, Err(trouble.fault));
    }
    let request = LogHistogramRequest { query: Some(lane.query.clone()), buckets };
    let mut logs = state.gate.logs(caller, &lane.host);
    let answer = match tokio::time::timeout(PATIENCE, logs.histogram(request)).await {
        Ok(answer) => answer.map(tonic::Response::into_inner).map_err(|status| Fault::from_status(&status)),
        Err(_) => Err(Fault::new(FaultKind::Unreachable, "it could not count within 8 s")),
    };
    (lane, answer)
}

impl Counts {
    /// Each part goes where its middle is: hosts may divide the time a little differently.
    fn add(&mut self, histogram: &LogHistogram) {
        for (index, bucket) in histogram.buckets.iter().enumerate() {
            let middle =
                histogram.start_usec + histogram.width_usec * index as i64 + histogram.width_usec / 2;
            let at = (middle - self.start_usec).div_euclid(self.width_usec.max(1));
            let Some(sum) = usize::try_from(at).ok().and_then(|at| self.buckets.get_mut(at)) else {
                continue;
            };
            for (total, count) in sum.iter_mut().zip(&bucket.counts) {
                *total = total.saturating_add(*count);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use hms_proto::host::v1::LogBucket;

    use super::*;

    #[test]
    fn parts_of_several_hosts_are_added_where_they_belong() {
        let mut counts =
            Counts { start_usec: 100, width_usec: 10, buckets: vec![[0; 8]; 3], away: Vec::new() };
        let bucket = |errors| LogBucket { counts: vec![0, 0, 0, errors, 0, 0, 1, 0] };
        let of = |start_usec, width_usec| LogHistogram {
            start_usec,
            width_usec,
            buckets: vec![bucket(1), bucket(2), bucket(3)],
            ..LogHistogram::default()
        };
        counts.add(&of(100, 10));
        counts.add(&of(101, 9));
        // Of another time altogether: nothing of it is counted.
        counts.add(&of(500, 10));
        counts.add(&LogHistogram { buckets: vec![LogBucket { counts: vec![9] }], ..of(0, 1) });
        assert_eq!(counts.buckets.iter().map(|b| b[3]).collect::<Vec<_>>(), [2, 4, 6]);
        assert_eq!(counts.buckets.iter().map(|b| b[6]).sum::<u64>(), 6);
    }
}
