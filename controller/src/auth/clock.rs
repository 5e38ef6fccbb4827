//! The time, as a part that a test can move.

use std::sync::Arc;

use chrono::{DateTime, Utc};

/// Tells the time.
#[derive(Clone)]
pub(super) struct Clock(Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>);

impl Clock {
    /// The machine's.
    pub(super) fn real() -> Self {
        Self(Arc::new(Utc::now))
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        (self.0)()
    }
}

/// Moves a clock.
#[cfg(test)]
#[derive(Clone, Default)]
pub(super) struct Hand(Arc<std::sync::atomic::AtomicI64>);

#[cfg(test)]
impl Hand {
    pub(super) fn clock(&self) -> Clock {
        let (offset, begun) = (self.0.clone(), Utc::now());
        Clock(Arc::new(move || {
            begun + chrono::TimeDelta::milliseconds(offset.load(std::sync::atomic::Ordering::SeqCst))
        }))
    }

    pub(super) fn advance(&self, by: chrono::TimeDelta) {
        self.0.fetch_add(by.num_milliseconds(), std::sync::atomic::Ordering::SeqCst);
    }
}
