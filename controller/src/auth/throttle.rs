//! How often a login may be tried: for one account, from one network, and altogether.
//!
//! Each is a bucket of attempts that fills again with time (GCRA: all that is kept of a bucket is the time at which it
//! would be full). Only attempts that failed stay counted. Where a connection comes from is what the socket says; headers
//! of proxies are not looked at.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};

use crate::rate::{Policy, forget_full, network_of, seconds};

/// 10 at once, then 120 an hour: a password of 15 characters is not found that way.
const ACCOUNT: Policy = Policy { burst: 10, interval: TimeDelta::seconds(30) };
/// An IPv4 address, or the /64 that one subscriber has of IPv6.
const NETWORK: Policy = Policy { burst: 20, interval: TimeDelta::seconds(6) };
/// Altogether. It also bounds what the two maps can hold.
const ALL: Policy = Policy { burst: 100, interval: TimeDelta::milliseconds(500) };

#[derive(Default)]
struct Buckets {
    accounts: HashMap<String, DateTime<Utc>>,
    networks: HashMap<IpAddr, DateTime<Utc>>,
    all: Option<DateTime<Utc>>,
}

/// Counts attempts.
#[derive(Default)]
pub(super) struct Throttle(Mutex<Buckets>);

/// An attempt that was let through.
pub(super) struct Counted {
    account: String,
    network: IpAddr,
}

impl Throttle {
    /// Counts an attempt, or says how many seconds to wait. An attempt that is refused is not counted.
    pub(super) fn count(&self, account: &str, address: IpAddr, now: DateTime<Utc>) -> Result<Counted, u32> {
        let counted = Counted { account: account_of(account), network: network_of(address) };
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let account = ACCOUNT.after_one_more(buckets.accounts.get(&counted.account).copied(), now);
        let network = NETWORK.after_one_more(buckets.networks.get(&counted.network).copied(), now);
        let all = ALL.after_one_more(buckets.all, now);
        match (account, network, all) {
            (Ok(account), Ok(network), Ok(all)) => {
                forget_full(&mut buckets.accounts, now);
                forget_full(&mut buckets.networks, now);
                buckets.accounts.insert(counted.account.clone(), account);
                buckets.networks.insert(counted.network, network);
                buckets.all = Some(all);
                Ok(counted)
            }
            refused => {
                let waits = [refused.0.err(), refused.1.err(), refused.2.err()];
                let longest = waits.into_iter().flatten().max().unwrap_or_default();
                Err(seconds(longest))
            }
        }
    }

    /// Takes back an attempt that had the right password.
    pub(super) fn forgive(&self, counted: &Counted) {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        buckets.accounts.remove(&counted.account);
        if let Some(at) = buckets.networks.get_mut(&counted.network) {
            *at -= NETWORK.interval;
        }
        buckets.all = buckets.all.map(|at| at - ALL.interval);
    }
}

/// However it is written, and however long: one account is one bucket.
fn account_of(name: &str) -> String {
    name.chars().take(64).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;
    use crate::rate::MANY;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// Security case 13.
    #[test]
    fn ten_thousand_guesses_from_everywhere_get_at_one_account_as_often_as_the_policy_says() {
        let (throttle, begun) = (Throttle::default(), Utc::now());
        let hour = 3600;
        let passed = (0..10_000u32).filter(|n| {
            let now = begun + TimeDelta::milliseconds(i64::from(*n) * hour * 1000 / 10_000);
            let name = if n % 2 == 0 { "Ada" } else { "aDA" };
            throttle.count(name, Ipv6Addr::from(u128::from(*n) << 64 | 7).into(), now).is_ok()
        });
        assert_eq!(passed.count(), 10 + 119);
    }

    #[test]
    fn one_network_is_counted_as_one_whichever_accounts_it_tries() {
        for addresses in [["2001:db8::1", "2001:db8::ffff:1"], ["192.0.2.1", "::ffff:192.0.2.1"]] {
            let (throttle, now) = (Throttle::default(), Utc::now());
            let passed =
                (0..1000).filter(|n| throttle.count(&format!("u{n}"), ip(addresses[n % 2]), now).is_ok());
            assert_eq!(passed.count(), 20);
            assert!(throttle.count("ada", ip("198.51.100.1"), now).is_ok(), "others are let through");
        }
    }

    #[test]
    fn altogether_there_is_a_limit_and_the_memory_stays_small() {
        let (throttle, begun) = (Throttle::default(), Utc::now());
        let passed = (0..100_000u32).filter(|n| {
            let now = begun + TimeDelta::milliseconds(i64::from(*n));
            throttle.count(&format!("u{n}"), IpAddr::from(n.to_be_bytes()), now).is_ok()
        });
        assert_eq!(passed.count(), 100 + 199);
        let buckets = throttle.0.lock().unwrap();
        assert!(buckets.accounts.len() <= 2 * MANY && buckets.networks.len() <= 2 * MANY);
    }

    #[test]
    fn the_wait_that_is_told_is_enough_and_success_is_forgiven() {
        let (throttle, now) = (Throttle::default(), Utc::now());
        for _ in 0..10 {
            throttle.count("ada", ip("192.0.2.1"), now).ok().unwrap();
        }
        let wait = throttle.count("ada", ip("192.0.2.1"), now).err().unwrap();
        assert_eq!(wait, 31);
        let later = now + TimeDelta::seconds(wait.into());
        assert!(throttle.count("ada", ip("192.0.2.1"), later).is_ok());
        for _ in 0..1000 {
            let counted = throttle.count("bob", ip("192.0.2.2"), now).ok().unwrap();
            throttle.forgive(&counted);
        }
    }
}
