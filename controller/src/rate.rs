//! How often something may be done: buckets that fill again with time.
//!
//! GCRA: all that is kept of a bucket is the time at which it would be full.

use std::{
    collections::HashMap,
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
};

use chrono::{DateTime, TimeDelta, Utc};

/// So many at once, and then one in each interval.
#[derive(Clone, Copy)]
pub(crate) struct Policy {
    pub(crate) burst: i32,
    pub(crate) interval: TimeDelta,
}

/// From here on, buckets that are full again are looked for and dropped.
pub(crate) const MANY: usize = 1024;

impl Policy {
    /// The bucket after one more, or how long until there can be one.
    pub(crate) fn after_one_more(
        self,
        full_at: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<DateTime<Utc>, TimeDelta> {
        let next = full_at.map_or(now, |at| at.max(now)) + self.interval;
        let wait = next - now - self.interval * self.burst;
        if wait > TimeDelta::zero() { Err(wait) } else { Ok(next) }
    }

    /// How many more there could be now.
    pub(crate) fn left(self, full_at: DateTime<Utc>, now: DateTime<Utc>) -> i64 {
        let used = (full_at - now).max(TimeDelta::zero()).num_milliseconds();
        let interval = self.interval.num_milliseconds().max(1);
        (i64::from(self.burst) - (used + interval - 1).div_euclid(interval)).max(0)
    }

    /// In how long an empty bucket is full.
    pub(crate) fn window(self) -> TimeDelta {
        self.interval * self.burst
    }
}

/// Drops the buckets that are full again, once there are many.
pub(crate) fn forget_full<K: Hash + Eq>(buckets: &mut HashMap<K, DateTime<Utc>>, now: DateTime<Utc>) {
    if buckets.len() >= MANY {
        buckets.retain(|_, full_at| *full_at > now);
    }
}

/// Whole seconds that are not less.
pub(crate) fn seconds(wait: TimeDelta) -> u32 {
    u32::try_from(wait.num_milliseconds().div_euclid(1000) + 1).unwrap_or(u32::MAX)
}

/// An IPv4 address, or the /64 that one subscriber has of IPv6.
pub(crate) fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_falls_to_nothing_and_comes_back_with_time() {
        let policy = Policy { burst: 3, interval: TimeDelta::milliseconds(100) };
        let now = Utc::now();
        let (mut full_at, mut left) = (None, Vec::new());
        while let Ok(next) = policy.after_one_more(full_at, now) {
            left.push(policy.left(next, now));
            full_at = Some(next);
        }
        assert_eq!(left, [2, 1, 0]);
        let full_at = full_at.unwrap();
        assert_eq!(policy.left(full_at, now + TimeDelta::milliseconds(150)), 1);
        assert_eq!(policy.left(full_at, now + policy.window()), 3);
        assert_eq!((seconds(TimeDelta::milliseconds(999)), seconds(TimeDelta::milliseconds(1000))), (1, 2));
    }
}
