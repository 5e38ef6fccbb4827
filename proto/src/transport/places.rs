//! Places for connections: so many in all, and so many for one address.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How much a port takes on.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Open connections, handshakes included. More are closed at once.
    pub connections: usize,
    /// Open connections from one address.
    pub per_address: usize,
    /// How long a handshake may take.
    pub handshake: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 1024, per_address: 128, handshake: Duration::from_secs(5) }
    }
}

/// The places of a port.
#[derive(Debug, Clone)]
pub struct Places {
    all: Arc<Semaphore>,
    counts: Counts,
    per_address: usize,
}

type Counts = Arc<Mutex<HashMap<IpAddr, usize>>>;

/// The place that a connection takes up, given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    _permit: OwnedSemaphorePermit,
    address: IpAddr,
    counts: Counts,
}

impl Places {
    /// As many as the limits say.
    pub fn new(limits: Limits) -> Self {
        let all = Arc::new(Semaphore::new(limits.connections));
        Self { all, counts: Counts::default(), per_address: limits.per_address }
    }

    /// A place for a connection from this address. `None` when there is none left, in all or for it.
    pub fn take(&self, address: IpAddr) -> Option<Place> {
        let permit = self.all.clone().try_acquire_owned().ok()?;
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        if *count >= self.per_address {
            return None;
        }
        *count += 1;
        Some(Place { _permit: permit, address, counts: self.counts.clone() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_take_all_places_and_gives_back_its_own() {
        let limits = Limits { connections: 3, per_address: 2, ..Limits::default() };
        let (places, a, b) = (Places::new(limits), IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let held = [places.take(a).unwrap(), places.take(a).unwrap()];
        assert!(places.take(a).is_none(), "a third for the same address");
        let other = places.take(b).unwrap();
        assert!(places.take(b).is_none(), "a fourth in all");
        drop(held);
        assert!(places.take(a).is_some());
        drop(other);
        assert!(places.counts.lock().unwrap().is_empty(), "addresses that are gone are remembered");
    }
}
