//! How many requests a caller may make: those of one token or session count together, and so do those of one network that
//! show none that holds. Streams count once, when they begin.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    extract::{Request, State as Shared},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use chrono::{DateTime, TimeDelta, Utc};
use hms_proto::fault::{Fault, FaultKind};
use http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

use super::{
    bearer::{Known, address_of, identify, token_of},
    once::Served,
    problem::Problem,
};
use crate::{
    rate::{MANY, Policy, network_of, seconds},
    state::State,
};

/// 600 a minute, and 100 of them at once: more than a program that looks at every app each second, and far less than what
/// keeps the controller busy.
const POLICY: Policy = Policy { burst: 100, interval: TimeDelta::milliseconds(100) };
/// So many callers are told apart; those beyond share one bucket.
const MOST: usize = 64 * 1024;

/// draft-ietf-httpapi-ratelimit-headers.
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

#[derive(Clone, PartialEq, Eq, Hash)]
enum Who {
    Somebody(Uuid),
    Network(Option<IpAddr>),
    Rest,
}

#[derive(Default)]
struct Buckets {
    full_at: HashMap<Who, DateTime<Utc>>,
    /// When so many are there, those that are full again are dropped; not more often than each second.
    look_at: usize,
    looked: Option<DateTime<Utc>>,
}

/// Counts requests.
#[derive(Default)]
struct Counts(Mutex<Buckets>);

/// The counter, and what it needs to know who is calling.
#[derive(Clone)]
pub(super) struct Meter {
    state: State,
    served: Served,
    counts: Arc<Counts>,
}

impl Meter {
    pub(super) fn new(state: &State, served: Served) -> Self {
        Self { state: state.clone(), served, counts: Arc::default() }
    }

    /// Whose request this is that nobody serves: nothing is done for them, so that the token alone says enough, and the database is
    /// not asked.
    fn in_vain(&self, request: &Request) -> Option<Who> {
        let served = self.served.has(request);
        let token = token_of(request.headers()).ok().filter(|_| !served)?;
        self.state.auth.signed_session(token).map(Who::Somebody)
    }
}

/// What is left after a request.
struct Left {
    refused: bool,
    left: i64,
    /// Until everything is there again.
    full_in: TimeDelta,
    /// Until there is one.
    wait: TimeDelta,
}

impl Counts {
    fn count(&self, who: Who, now: DateTime<Utc>) -> Left {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let rested = buckets.looked.is_none_or(|at| now - at >= TimeDelta::seconds(1));
        if rested && buckets.full_at.len() >= buckets.look_at.max(MANY) {
            buckets.full_at.retain(|_, full_at| *full_at > now);
            // As much again may come before the next look: looking costs little for each.
            buckets.look_at = (buckets.full_at.len() * 2).min(MOST);
            buckets.looked = Some(now);
        }
        let known = buckets.full_at.contains_key(&who) || buckets.full_at.len() < MOST;
        let who = if known { who } else { Who::Rest };
        let before = buckets.full_at.get(&who).copied();
        match POLICY.after_one_more(before, now) {
            Ok(full_at) => {
                buckets.full_at.insert(who, full_at);
                let (left, full_in) = (POLICY.left(full_at, now), full_at - now);
                Left { refused: false, left, full_in, wait: TimeDelta::zero() }
            }
            Err(wait) => {
                let full_in = before.map_or(TimeDelta::zero(), |full_at| full_at - now);
                Left { refused: true, left: 0, full_in, wait }
            }
        }
    }
}

/// Finds out who is calling, once for all that follows, and refuses what is too much.
pub(super) async fn measure(Shared(meter): Shared<Meter>, mut request: Request, next: Next) -> Response {
    let address = address_of(request.extensions());
    let (who, caller) = match meter.in_vain(&request) {
        Some(who) => (who, None),
        None => {
            let caller = identify(request.headers(), address, &meter.state).await;
            let id = caller.as_ref().ok().and_then(|caller| caller.token.or(caller.session));
            (id.map_or(Who::Network(address.map(network_of)), Who::Somebody), Some(caller))
        }
    };
    let left = meter.counts.count(who, Utc::now());
    let mut response = match left.refused {
        true => {
            let message = "this caller has made too many requests";
            let fault =
                Fault { retry_after_s: seconds(left.wait), ..Fault::new(FaultKind::Throttled, message) };
            match &caller {
                Some(Ok(caller)) => Problem::of(caller)(fault).into_response(),
                _ => Problem::from(fault).into_response(),
            }
        }
        false => {
            if let Some(caller) = caller {
                request.extensions_mut().insert(Known(caller));
            }
            next.run(request).await
        }
    };
    tell(response.headers_mut(), &left);
    response
}

fn tell(headers: &mut HeaderMap, left: &Left) {
    let policy = format!("\"burst\";q={};w={}", POLICY.burst, POLICY.window().num_seconds());
    let now = format!("\"burst\";r={};t={}", left.left, seconds(left.full_in));
    for (name, text) in [(LIMIT_POLICY, policy), (LIMIT, now)] {
        headers.insert(name, HeaderValue::try_from(text).expect("digits and letters are ASCII"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_has_its_burst_and_then_600_a_minute_and_others_are_not_touched() {
        let (counts, begun) = (Counts::default(), Utc::now());
        let one = Who::Somebody(Uuid::from_u128(1));
        let passed = (0..60_000).filter(|ms| {
            let now = begun + TimeDelta::milliseconds(*ms);
            !counts.count(one.clone(), now).refused
        });
        assert_eq!(passed.count(), 100 + 599);
        let end = begun + TimeDelta::minutes(1);
        assert_eq!(counts.count(Who::Somebody(Uuid::from_u128(2)), end).left, 99);
        let refused = (0..200).map(|_| counts.count(one.clone(), end)).last().unwrap();
        assert!(refused.refused);
        let later = end + TimeDelta::seconds(seconds(refused.wait).into());
        assert!(!counts.count(one, later).refused, "the wait that is told is enough");
    }

    #[test]
    fn the_memory_is_bounded_however_many_come() {
        let (counts, now) = (Counts::default(), Utc::now());
        for n in 0..200_000u32 {
            counts.count(Who::Network(Some(n.to_be_bytes().into())), now);
        }
        assert!(counts.0.lock().unwrap().full_at.len() <= MOST + 1);
        let stranger = Who::Network(Some([203, 0, 113, 7].into()));
        assert!(counts.count(stranger.clone(), now).refused, "those beyond share one bucket");
        let later = now + POLICY.window();
        assert!(!counts.count(stranger, later).refused);
        assert!(counts.0.lock().unwrap().full_at.len() < 10, "full buckets are dropped");
    }
}
