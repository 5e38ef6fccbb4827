//! Turns of callers: who calls thousands of times at once waits for itself, and others do not wait for it at the database.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Calls of one caller whose answers have not begun. A stream that is open is none of them, and one command to all of a fleet has room.
const AT_ONCE: usize = 32;

/// Those of them that ask the database who is calling: a quarter of the connections that all have to it.
const ASKING: usize = 4;

/// Who has calls that wait, by the serial number of the certificate.
#[derive(Debug, Clone)]
pub(super) struct Turns {
    at_once: usize,
    callers: Arc<Mutex<HashMap<String, Weak<Semaphore>>>>,
}

impl Turns {
    /// For whole calls.
    pub(super) fn of_calls() -> Self {
        Self { at_once: AT_ONCE, callers: Arc::default() }
    }

    /// For the question who is calling.
    pub(super) fn of_questions() -> Self {
        Self { at_once: ASKING, callers: Arc::default() }
    }

    /// Waits until it is the turn of one more call of this caller; it lasts until what is returned is dropped.
    pub(super) async fn wait(&self, caller: &str) -> OwnedSemaphorePermit {
        self.of(caller).acquire_owned().await.expect("nobody closes it")
    }

    fn of(&self, caller: &str) -> Arc<Semaphore> {
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turns) = callers.get(caller).and_then(Weak::upgrade) {
            return turns;
        }
        callers.retain(|_, turns| turns.strong_count() > 0);
        let turns = Arc::new(Semaphore::new(self.at_once));
        callers.insert(caller.to_owned(), Arc::downgrade(&turns));
        turns
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt as _, future::join_all};

    use super::*;

    /// Security case 98.
    #[tokio::test]
    async fn a_caller_waits_for_itself_alone_and_is_forgotten_afterwards() {
        for (turns, at_once) in [(Turns::of_calls(), AT_ONCE), (Turns::of_questions(), ASKING)] {
            let mut held = join_all((0..at_once).map(|_| turns.wait("a"))).await;
            let mut one_more = Box::pin(turns.wait("a"));
            assert!(one_more.as_mut().now_or_never().is_none());
            assert!(turns.wait("b").now_or_never().is_some());
            held.pop();
            drop((one_more.await, held));
            drop(turns.wait("c").await);
            assert_eq!(turns.callers.lock().unwrap().keys().collect::<Vec<_>>(), ["c"]);
        }
    }
}
