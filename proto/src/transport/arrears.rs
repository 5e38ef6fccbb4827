//! Answers that a peer does not take. HTTP/2 lets it shut the window of a stream while the connection looks alive, so what is
//! ready to be sent is watched until it is gone.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;

/// What waits on one connection.
#[derive(Debug, Clone, Default)]
pub struct Arrears(Arc<Mutex<Book>>);

#[derive(Debug, Default)]
struct Book {
    next: u64,
    /// Since when, by age.
    waiting: BTreeMap<u64, Instant>,
}

/// Bytes that wait until they are dropped: then they have been sent.
struct Waiting {
    bytes: Bytes,
    id: u64,
    arrears: Arrears,
}

impl Arrears {
    /// The same bytes, watched until they are sent.
    pub fn watch(&self, bytes: Bytes) -> Bytes {
        let mut book = self.book();
        let id = book.next;
        book.next += 1;
        book.waiting.insert(id, Instant::now());
        drop(book);
        Bytes::from_owner(Waiting { bytes, id, arrears: self.clone() })
    }

    /// Whether something has waited for so long.
    pub fn have_waited(&self, time: Duration) -> bool {
        self.book().waiting.first_key_value().is_some_and(|(_, since)| since.elapsed() >= time)
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsRef<[u8]> for Waiting {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.arrears.book().waiting.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Security case 98.
    #[test]
    fn what_is_not_sent_waits_until_all_of_it_is_dropped() {
        let arrears = Arrears::default();
        assert!(!arrears.have_waited(Duration::ZERO));
        let (first, second) =
            (arrears.watch(Bytes::from_static(b"first")), arrears.watch(Bytes::from_static(b"second")));
        assert_eq!((&first[..], &second[..]), (&b"first"[..], &b"second"[..]));
        assert!(arrears.have_waited(Duration::ZERO));
        assert!(!arrears.have_waited(Duration::from_secs(3600)));
        drop(first);
        let part = second.slice(2..);
        drop(second);
        assert!(arrears.have_waited(Duration::ZERO), "a part of it waits still");
        drop(part);
        assert!(!arrears.have_waited(Duration::ZERO));
    }
}
