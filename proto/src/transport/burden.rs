//! What the requests of strangers take up, so that all of them together take up no more than there is for them.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use super::places::Proof;

/// What one request takes up, until the last clone of this is dropped. It counts while its connection is a stranger's.
#[derive(Debug, Clone)]
pub struct Burden(Arc<Counted>);

#[derive(Debug)]
struct Counted {
    proof: Proof,
    bytes: AtomicUsize,
}

impl Burden {
    /// A request on the connection whose proof this is, with so many bytes.
    pub fn new(proof: Proof, bytes: usize) -> Self {
        let burden = Self(Arc::new(Counted { proof, bytes: AtomicUsize::default() }));
        burden.add(bytes);
        burden
    }

    /// It takes up so much more.
    pub fn add(&self, bytes: usize) {
        self.0.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.0.proof.burden(bytes);
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.proof.unburden(*self.bytes.get_mut());
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::{IpAddr, Ipv4Addr},
        task::{Context, Waker},
    };

    use super::*;
    use crate::transport::{Limits, Place, Places};

    const SOMEBODY: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn places(burden: usize) -> Places {
        Places::new(Limits { burden, ..Limits::default() })
    }

    fn has_lost(place: &mut Place) -> bool {
        place.poll_lost(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    /// Security case 101.
    #[test]
    fn of_strangers_whose_requests_are_too_much_the_one_goes_whose_take_up_most() {
        let places = places(10);
        let mut held = [(); 3].map(|()| places.take(SOMEBODY).unwrap());
        let large = Burden::new(held[1].proof(), 4);
        let small = Burden::new(held[0].proof(), 2);
        large.add(2);
        assert!(held.iter_mut().all(|place| !has_lost(place)), "there is room for all");
        let last = Burden::new(held[2].proof(), 3);
        assert_eq!(held.each_mut().map(has_lost), [false, true, false]);
        // What it had counts no more, and nothing is taken off twice.
        drop(large);
        let more = Burden::new(held[0].proof(), 5);
        assert!(!has_lost(&mut held[0]) && !has_lost(&mut held[2]));
        drop((small, more, last));
        let all = Burden::new(held[2].proof(), 10);
        assert!(!has_lost(&mut held[0]) && !has_lost(&mut held[2]), "something was not given back");
        all.add(1);
        assert!(has_lost(&mut held[2]), "one alone takes up too much");
    }

    #[test]
    fn requests_count_until_somebody_has_shown_who_it_is() {
        let places = places(10);
        let (mut known, mut stranger) = (places.take(SOMEBODY).unwrap(), places.take(SOMEBODY).unwrap());
        let before = Burden::new(known.proof(), 9);
        known.prove();
        before.add(9);
        let request = Burden::new(stranger.proof(), 10);
        drop(before);
        assert!(!has_lost(&mut known) && !has_lost(&mut stranger));
        request.add(1);
        assert!(has_lost(&mut stranger) && !has_lost(&mut known));
    }
}
