//! What is known of one host right now.

use std::collections::{HashMap, VecDeque};

use hms_proto::host::v1::{Facts, Metrics, Unit, UnitMetrics};

/// How many points of the past a small chart has: three minutes at one sample in two seconds.
const POINTS: usize = 90;

/// The way to the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LinkState {
    /// Its agent has not joined yet.
    Pending,
    /// The first attempt is under way.
    Connecting,
    /// The picture is live.
    Connected,
    /// The agent does not answer, and this is why. The units in the picture are as they were last seen.
    Unreachable(String),
}

/// One point of a small chart.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Point {
    /// CPUs in use for a unit; the share of all CPUs for a host.
    pub(crate) cpu: f32,
    /// Bytes.
    pub(crate) memory: f32,
    /// Load average over one minute. Hosts only.
    pub(crate) load: f32,
}

/// The live picture of one host.
#[derive(Debug)]
pub(crate) struct Picture {
    pub(crate) link: LinkState,
    /// Since when the link is in this state, in microseconds since the epoch.
    pub(crate) since_usec: i64,
    pub(crate) facts: Option<Facts>,
    pub(crate) metrics: Option<Metrics>,
    pub(crate) units: HashMap<String, Unit>,
    /// When the host was last heard of, in microseconds since the epoch; 0 when never.
    pub(crate) seen_usec: i64,
    pub(crate) history: VecDeque<Point>,
    pub(crate) unit_history: HashMap<String, VecDeque<Point>>,
}

impl Picture {
    pub(super) fn new(joined: bool) -> Self {
        Self {
            link: if joined { LinkState::Connecting } else { LinkState::Pending },
            since_usec: now_usec(),
            facts: None,
            metrics: None,
            units: HashMap::new(),
            seen_usec: 0,
            history: VecDeque::new(),
            unit_history: HashMap::new(),
        }
    }

    /// The measures of a unit in the newest sample.
    pub(crate) fn unit_metrics(&self, unit: &str) -> Option<&UnitMetrics> {
        self.metrics.as_ref()?.units.iter().find(|u| u.unit == unit)
    }

    /// Whether the state is another one than before.
    pub(super) fn put_state(&mut self, link: LinkState) -> bool {
        // The reason of an outage may vary from attempt to attempt; its beginning does not.
        let same = std::mem::discriminant(&self.link) == std::mem::discriminant(&link);
        let changed = self.link != link;
        self.link = link;
        if !same {
            self.since_usec = now_usec();
        }
        changed
    }

    pub(super) fn put_unit(&mut self, unit: Unit) {
        self.seen_usec = now_usec();
        self.units.insert(unit.name.clone(), unit);
    }

    pub(super) fn put_metrics(&mut self, metrics: Metrics) {
        self.seen_usec = now_usec();
        let point = Point {
            cpu: metrics.cpu as f32,
            memory: metrics.memory_used_bytes as f32,
            load: metrics.load1 as f32,
        };
        push(&mut self.history, point);
        self.unit_history.retain(|name, _| metrics.units.iter().any(|u| u.unit == *name));
        for unit in &metrics.units {
            let point = Point { cpu: unit.cpu as f32, memory: unit.memory_bytes as f32, load: 0.0 };
            push(self.unit_history.entry(unit.unit.clone()).or_default(), point);
        }
        self.metrics = Some(metrics);
    }
}

fn push(points: &mut VecDeque<Point>, point: Point) {
    if points.len() == POINTS {
        points.pop_front();
    }
    points.push_back(point);
}

pub(crate) fn now_usec() -> i64 {
    chrono::Utc::now().timestamp_micros()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_keeps_its_beginning_while_its_reason_changes() {
        let mut picture = Picture::new(true);
        assert!(picture.put_state(LinkState::Unreachable("refused".into())));
        picture.since_usec = 7;
        assert!(picture.put_state(LinkState::Unreachable("timed out".into())));
        assert_eq!(picture.since_usec, 7);
        assert!(!picture.put_state(LinkState::Unreachable("timed out".into())));
    }

    #[test]
    fn history_is_bounded_and_forgets_units_that_are_gone() {
        let mut picture = Picture::new(true);
        let sample = |unit: &str| Metrics {
            units: vec![UnitMetrics { unit: unit.into(), ..Default::default() }],
            ..Default::default()
        };
        (0..200).for_each(|_| picture.put_metrics(sample("a.service")));
        assert_eq!((picture.history.len(), picture.unit_history["a.service"].len()), (POINTS, POINTS));
        picture.put_metrics(sample("b.service"));
        assert!(!picture.unit_history.contains_key("a.service"));
    }
}
