//! Places for connections: so many in all, and so many for one address. When there are none left, a stranger goes who has
//! been there longest without saying who it is, and never somebody who has. When the requests of strangers take up too much,
//! the one goes whose take up most.

use std::{
    collections::{BTreeMap, HashMap},
    future::poll_fn,
    net::{IpAddr, Ipv6Addr},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

/// How long an address is known after somebody there has shown who it is: as long as a login may last.
const KNOWN_FOR: Duration = Duration::from_secs(12 * 3600);
/// How many addresses are known at most.
const KNOWN_MOST: usize = 4096;

/// How much a port takes on.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Open connections, handshakes included.
    pub connections: usize,
    /// How many of them are kept free for addresses where somebody has shown who it is.
    pub reserved: usize,
    /// Open connections from one address.
    pub per_address: usize,
    /// How long a handshake may take.
    pub handshake: Duration,
    /// What the requests of all strangers may take up together, in bytes.
    pub burden: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            reserved: 256,
            per_address: 128,
            handshake: Duration::from_secs(5),
            burden: 16 << 20,
        }
    }
}

/// The places of a port.
#[derive(Debug, Clone)]
pub struct Places {
    limits: Limits,
    book: Shared,
}

type Shared = Arc<Mutex<Book>>;

#[derive(Debug, Default)]
struct Book {
    next: u64,
    held: HashMap<u64, IpAddr>,
    counts: HashMap<IpAddr, usize>,
    /// By age: the first has been here longest.
    strangers: BTreeMap<u64, Stranger>,
    /// Of all strangers.
    burden: usize,
    most_burden: usize,
    known: HashMap<IpAddr, Instant>,
}

#[derive(Debug)]
struct Stranger {
    address: IpAddr,
    leave: oneshot::Sender<()>,
    burden: usize,
}

/// The place that a connection takes up, given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    proof: Proof,
    leave: Option<oneshot::Receiver<()>>,
}

/// With this, whoever learns who is at the other end of a connection says so.
#[derive(Debug, Clone)]
pub struct Proof {
    book: Shared,
    id: u64,
    address: IpAddr,
}

impl Places {
    /// As many as the limits say.
    pub fn new(limits: Limits) -> Self {
        let book = Book { most_burden: limits.burden, ..Book::default() };
        Self { limits, book: Arc::new(Mutex::new(book)) }
    }

    /// A place for a connection from this address. `None` when nobody can be sent away for it.
    pub fn take(&self, address: IpAddr) -> Option<Place> {
        let address = network(address);
        let mut book = lock(&self.book);
        book.make_room(address, &self.limits)?;
        let (leave, left) = oneshot::channel();
        let id = book.next;
        book.next += 1;
        book.held.insert(id, address);
        *book.counts.entry(address).or_default() += 1;
        book.strangers.insert(id, Stranger { address, leave, burden: 0 });
        drop(book);
        Some(Place { proof: Proof { book: self.book.clone(), id, address }, leave: Some(left) })
    }
}

impl Book {
    fn make_room(&mut self, address: IpAddr, limits: &Limits) -> Option<()> {
        if self.counts.get(&address).is_some_and(|count| *count >= limits.per_address) {
            self.send_away(|_, stranger| stranger.address == address)?;
        }
        let is_known = self.is_known(address);
        let most = if is_known { limits.connections } else { limits.connections - limits.reserved };
        if self.held.len() < most {
            return Some(());
        }
        // Nobody unknown takes the place of somebody whose address is known.
        let sent = self.send_away(|book, stranger| !book.is_known(stranger.address));
        sent.or_else(|| is_known.then(|| self.send_away(|_, _| true)).flatten())
    }

    /// Of those strangers, the one that has been here longest.
    fn send_away(&mut self, which: impl Fn(&Self, &Stranger) -> bool) -> Option<()> {
        let id = *self.strangers.iter().find(|(_, stranger)| which(self, stranger))?.0;
        self.dismiss(id)
    }

    fn dismiss(&mut self, id: u64) -> Option<()> {
        let stranger = self.forget(id)?;
        self.give_back(id);
        // It may have just ended by itself.
        stranger.leave.send(()).ok();
        Some(())
    }

    /// It is no stranger any more.
    fn forget(&mut self, id: u64) -> Option<Stranger> {
        let stranger = self.strangers.remove(&id)?;
        self.burden -= stranger.burden;
        Some(stranger)
    }

    /// A stranger takes up more. While that is too much, the one goes that takes up most, and of equals the oldest.
    fn burden(&mut self, id: u64, bytes: usize) {
        let Some(stranger) = self.strangers.get_mut(&id) else { return };
        stranger.burden += bytes;
        self.burden += bytes;
        while self.burden > self.most_burden {
            let heaviest = self.strangers.iter().rev().max_by_key(|(_, stranger)| stranger.burden);
            let Some(id) = heaviest.map(|(id, _)| *id) else { return };
            self.dismiss(id);
        }
    }

    fn unburden(&mut self, id: u64, bytes: usize) {
        let Some(stranger) = self.strangers.get_mut(&id) else { return };
        stranger.burden -= bytes;
        self.burden -= bytes;
    }

    fn give_back(&mut self, id: u64) {
        self.forget(id);
        let Some(address) = self.held.remove(&id) else { return };
        if let Some(count) = self.counts.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&address);
            }
        }
    }

    fn is_known(&self, address: IpAddr) -> bool {
        self.known.get(&address).is_some_and(|since| since.elapsed() < KNOWN_FOR)
    }

    fn remember(&mut self, address: IpAddr) {
        if self.known.len() >= KNOWN_MOST && !self.known.contains_key(&address) {
            let oldest = self.known.iter().min_by_key(|(_, since)| **since).map(|(address, _)| *address);
            if let Some(oldest) = oldest {
                self.known.remove(&oldest);
            }
        }
        self.known.insert(address, Instant::now());
    }
}

impl Place {
    /// Who has this place has shown who it is: it is not sent away any more, and its address is known.
    pub fn prove(&self) {
        self.proof.prove();
    }

    /// The same for somebody who learns it later.
    pub fn proof(&self) -> Proof {
        self.proof.clone()
    }

    /// Ready when somebody else got the place.
    pub fn poll_lost(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(leave) = &mut self.leave else { return Poll::Pending };
        match Pin::new(leave).poll(cx) {
            Poll::Ready(Ok(())) => Poll::Ready(()),
            Poll::Ready(Err(_)) => {
                self.leave = None;
                Poll::Pending
            }
            Poll::Pending => Poll::Pending,
        }
    }

    /// Returns when somebody else got the place.
    pub async fn lost(&mut self) {
        poll_fn(|cx| self.poll_lost(cx)).await;
    }
}

impl Proof {
    /// Who has the place has shown who it is.
    pub fn prove(&self) {
        let mut book = lock(&self.book);
        if book.held.contains_key(&self.id) {
            book.forget(self.id);
            book.remember(self.address);
        }
    }

    pub(super) fn burden(&self, bytes: usize) {
        lock(&self.book).burden(self.id, bytes);
    }

    pub(super) fn unburden(&self, bytes: usize) {
        lock(&self.book).unburden(self.id, bytes);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.proof.book).give_back(self.proof.id);
    }
}

fn lock(book: &Shared) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What one subscriber has: an IPv4 address, or the first half of an IPv6 address.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (!0 << 64)).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use std::{net::Ipv4Addr, task::Waker};

    use super::*;

    const A: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
    const B: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
    const C: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 3));

    fn places(connections: usize, reserved: usize, per_address: usize) -> Places {
        Places::new(Limits { connections, reserved, per_address, ..Limits::default() })
    }

    fn has_lost(place: &mut Place) -> bool {
        place.poll_lost(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    fn proved(places: &Places, address: IpAddr) -> Place {
        let place = places.take(address).unwrap();
        place.prove();
        place
    }

    #[test]
    fn an_address_has_so_many_places_and_gives_back_its_own() {
        let places = places(3, 0, 2);
        let held = [proved(&places, A), proved(&places, A)];
        assert!(places.take(A).is_none(), "a third for the same address");
        let other = proved(&places, B);
        assert!(places.take(C).is_none(), "a fourth in all");
        drop(held);
        assert!(places.take(A).is_some());
        drop(other);
        let book = lock(&places.book);
        assert!(book.counts.is_empty() && book.held.is_empty() && book.strangers.is_empty(), "{book:?}");
    }

    /// Security case 101.
    #[test]
    fn the_stranger_that_has_been_there_longest_goes_first_and_who_is_known_stays() {
        let places = places(8, 0, 3);
        let mut known = proved(&places, A);
        let mut strangers = [places.take(A).unwrap(), places.take(A).unwrap()];
        let mut last = places.take(A).unwrap();
        assert!(!has_lost(&mut known) && has_lost(&mut strangers[0]));
        assert!(!has_lost(&mut strangers[1]) && !has_lost(&mut last));
        drop(strangers);
        assert_eq!(lock(&places.book).counts[&A], 2, "a lost place was given back twice, or not at all");
    }

    /// Security case 101.
    #[test]
    fn a_flood_of_strangers_leaves_the_places_that_are_kept_for_known_addresses() {
        let places = places(6, 2, 6);
        let mut quiet = proved(&places, A);
        let flood: Vec<_> = (0..100).map(|_| places.take(B).unwrap()).collect();
        assert_eq!(lock(&places.book).held.len(), 4, "strangers took places that are not theirs");
        let known: Vec<_> = (0..5).map(|_| places.take(A).unwrap()).collect();
        assert_eq!(
            lock(&places.book).counts.get(&B),
            None,
            "a stranger has a place that somebody known needs"
        );
        assert!(places.take(C).is_none(), "somebody unknown took the place of somebody known");
        assert!(!has_lost(&mut quiet));
        drop((flood, known, quiet));
        assert!(lock(&places.book).held.is_empty());
    }

    #[test]
    fn a_place_that_was_lost_proves_nothing() {
        let places = places(1, 0, 1);
        let (lost, _now) = (places.take(A).unwrap(), places.take(A).unwrap());
        lost.prove();
        assert!(!lock(&places.book).is_known(A));
    }

    #[test]
    fn addresses_of_one_subscriber_are_one() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
    }

    #[test]
    fn not_more_addresses_are_known_than_there_is_room_for() {
        let mut book = Book::default();
        for address in 0..=u32::try_from(KNOWN_MOST).unwrap() {
            book.remember(Ipv4Addr::from_bits(address).into());
        }
        assert_eq!(book.known.len(), KNOWN_MOST);
    }
}
