//! A live picture of all units, drawn once for all who watch, and only while somebody does.
//!
//! A watcher compares the picture with what it has sent: one that reads slowly gets the newest state of each unit, and
//! nothing piles up for it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex as StdMutex, PoisonError, Weak},
    time::Duration,
};

use hms_proto::{
    fault::{Fault, FaultKind},
    host::v1::{Unit, WatchUnitsResponse, watch_units_response::Event},
    names::UnitName,
};
use tokio::sync::{
    Mutex,
    broadcast::{self, error::RecvError},
    mpsc, watch,
};
use tokio_util::task::AbortOnDropHandle;
use tonic::Status;

use super::{
    bus::{Bus, Session, Signal},
    unit,
};

/// Changes of a unit come in bursts: each state once for every interface. They are looked at together.
const BURST: Duration = Duration::from_millis(50);
/// When systemd cannot be reached for so long, watchers are told.
const RECONNECT_TRIES: u32 = 20;
const RECONNECT_PAUSE: Duration = Duration::from_millis(500);

/// Hands out the picture.
#[derive(Debug, Default)]
pub(crate) struct Watcher {
    current: Mutex<Weak<Picture>>,
}

/// All units as they are now.
#[derive(Debug)]
struct Picture {
    shared: Arc<Shared>,
    _painter: AbortOnDropHandle<()>,
}

#[derive(Debug)]
struct Shared {
    units: StdMutex<BTreeMap<String, Arc<Unit>>>,
    /// Counts the changes. 0: not drawn yet. The sender goes when systemd is lost for good.
    version: StdMutex<Option<watch::Sender<u64>>>,
    changed: watch::Receiver<u64>,
}

impl Watcher {
    /// Sends all units, `synced`, and then each change, until the receiver is dropped.
    pub(crate) async fn watch(&self, bus: Arc<Bus>, to: mpsc::Sender<Result<WatchUnitsResponse, Status>>) {
        let picture = self.picture(bus).await;
        tokio::spawn(async move {
            tokio::select! {
                () = to.closed() => {}
                end = follow(&picture.shared, &to) => {
                    if let Err(fault) = end {
                        drop(to.send(Err(fault.into())).await);
                    }
                }
            }
        });
    }

    async fn picture(&self, bus: Arc<Bus>) -> Arc<Picture> {
        let mut current = self.current.lock().await;
        if let Some(picture) = current.upgrade().filter(|p| p.shared.is_live()) {
            return picture;
        }
        let (version, changed) = watch::channel(0);
        let shared =
            Arc::new(Shared { units: StdMutex::default(), version: StdMutex::new(Some(version)), changed });
        let painter = AbortOnDropHandle::new(tokio::spawn(paint(bus, shared.clone())));
        let picture = Arc::new(Picture { shared, _painter: painter });
        *current = Arc::downgrade(&picture);
        picture
    }
}

impl Shared {
    fn is_live(&self) -> bool {
        self.version.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn snapshot(&self) -> BTreeMap<String, Arc<Unit>> {
        self.units.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes the picture, and wakes the watchers if it is another one now.
    fn update(&self, change: impl FnOnce(&mut BTreeMap<String, Arc<Unit>>) -> bool) {
        let changed = change(&mut self.units.lock().unwrap_or_else(PoisonError::into_inner));
        let version = self.version.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(version) = version.as_ref() {
            version.send_if_modified(|n| {
                let first = *n == 0;
                *n += u64::from(changed || first);
                changed || first
            });
        }
    }

    fn give_up(&self) {
        self.version.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

async fn follow(shared: &Shared, to: &mpsc::Sender<Result<WatchUnitsResponse, Status>>) -> Result<(), Fault> {
    let mut changed = shared.changed.clone();
    let lost =
        |_| Fault::new(FaultKind::Unavailable, "systemd cannot be reached").hint("Watch again in a moment.");
    changed.wait_for(|version| *version > 0).await.map_err(lost)?;
    let mut sent: HashMap<String, Arc<Unit>> = HashMap::new();
    let mut synced = false;
    loop {
        changed.mark_unchanged();
        let now = shared.snapshot();
        for event in difference(&mut sent, &now) {
            if to.send(Ok(WatchUnitsResponse { event: Some(event) })).await.is_err() {
                return Ok(());
            }
        }
        if !synced {
            synced = true;
            drop(to.send(Ok(WatchUnitsResponse { event: Some(Event::Synced(true)) })).await);
        }
        changed.changed().await.map_err(lost)?;
    }
}

/// What a watcher that knows `sent` has to be told, so that it knows `now`.
fn difference(sent: &mut HashMap<String, Arc<Unit>>, now: &BTreeMap<String, Arc<Unit>>) -> Vec<Event> {
    let gone: Vec<String> = sent.keys().filter(|name| !now.contains_key(*name)).cloned().collect();
    let mut events = Vec::new();
    for name in gone {
        sent.remove(&name);
        events.push(Event::Removed(name));
    }
    for (name, unit) in now {
        if sent.get(name).is_none_or(|known| known != unit) {
            sent.insert(name.clone(), unit.clone());
            events.push(Event::Changed(Unit::clone(unit)));
        }
    }
    events
}

/// Keeps the picture up to date; gives up when systemd stays away.
async fn paint(bus: Arc<Bus>, shared: Arc<Shared>) {
    let mut tries = 0;
    while tries < RECONNECT_TRIES {
        if let Ok(session) = bus.session().await {
            match paint_until_lost(&session, &shared).await {
                Ok(()) => tries = 0,
                Err(error) => tracing::warn!(%error, "lost sight of the units, looking again"),
            }
        }
        tries += 1;
        tokio::time::sleep(RECONNECT_PAUSE).await;
    }
    shared.give_up();
}

/// Returns `Ok` when the connection was good for a while.
async fn paint_until_lost(session: &Session, shared: &Shared) -> zbus::Result<()> {
    let mut signals = session.signals();
    draw_all(session, shared).await?;
    let mut drawn = false;
    loop {
        let mut changed = BTreeSet::new();
        let all = match signals.recv().await {
            Ok(signal) => note(signal, &mut changed),
            Err(RecvError::Lagged(_)) => true,
            Err(RecvError::Closed) if drawn => return Ok(()),
            Err(RecvError::Closed) => return Err(zbus::Error::Failure("the connection was closed".into())),
        };
        if !all && changed.is_empty() {
            continue;
        }
        tokio::time::sleep(BURST).await;
        if drain(&mut signals, &mut changed) || all {
            draw_all(session, shared).await?;
        } else {
            draw(session, shared, changed).await?;
        }
        drawn = true;
    }
}

/// Takes what has come meanwhile. `true`: everything has to be looked at.
fn drain(signals: &mut broadcast::Receiver<Signal>, changed: &mut BTreeSet<String>) -> bool {
    let mut all = false;
    loop {
        match signals.try_recv() {
            Ok(signal) => all |= note(signal, changed),
            Err(broadcast::error::TryRecvError::Lagged(_)) => all = true,
            Err(_) => return all,
        }
    }
}

fn note(signal: Signal, changed: &mut BTreeSet<String>) -> bool {
    match signal {
        Signal::Changed(name) | Signal::Removed(name) => {
            if UnitName::try_from(name.as_str()).is_ok() {
                changed.insert(name);
            }
            false
        }
        Signal::Reloaded => true,
        Signal::JobRemoved { .. } => false,
    }
}

async fn draw_all(session: &Session, shared: &Shared) -> zbus::Result<()> {
    let read = unit::read_all(session, |_| true).await?;
    let new: BTreeMap<_, _> = read.into_iter().map(|u| (u.name.clone(), Arc::new(u))).collect();
    shared.update(|units| {
        let changed = *units != new;
        *units = new;
        changed
    });
    Ok(())
}

async fn draw(session: &Session, shared: &Shared, names: BTreeSet<String>) -> zbus::Result<()> {
    let mut read = Vec::with_capacity(names.len());
    for name in names {
        let unit = if is_loaded(session, &name).await? {
            unit::read_if_there(session, &unit::path_of_name(&name)).await?
        } else {
            None
        };
        read.push((name, unit));
    }
    shared.update(|units| {
        let mut changed = false;
        for (name, unit) in read {
            match unit {
                // An alias is not a unit of its own.
                Some(unit) if unit.name != name => {}
                Some(unit) => {
                    if units.get(&name).is_none_or(|known| **known != unit) {
                        units.insert(name, Arc::new(unit));
                        changed = true;
                    }
                }
                None => changed |= units.remove(&name).is_some(),
            }
        }
        changed
    });
    Ok(())
}

/// To read a property of a unit loads it, and it would be told as new, and read again, for ever.
async fn is_loaded(session: &Session, name: &str) -> zbus::Result<bool> {
    match session.manager.get_unit(name.to_owned()).await {
        Ok(_) => Ok(true),
        Err(zbus::Error::MethodError(..)) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(units: &[(&str, &str)]) -> BTreeMap<String, Arc<Unit>> {
        let unit = |n: &str, s: &str| Unit { name: n.into(), active_state: s.into(), ..Unit::default() };
        units.iter().map(|(n, s)| ((*n).to_owned(), Arc::new(unit(n, s)))).collect()
    }

    #[test]
    fn a_watcher_is_told_the_newest_state_once() {
        let mut sent = HashMap::new();
        let first = picture(&[("a.service", "active"), ("b.service", "active")]);
        assert_eq!(difference(&mut sent, &first).len(), 2);
        assert!(difference(&mut sent, &first).is_empty());
        let later = picture(&[("a.service", "failed"), ("c.service", "active")]);
        let events = difference(&mut sent, &later);
        assert!(matches!(&events[0], Event::Removed(name) if name == "b.service"));
        assert!(matches!(&events[1], Event::Changed(unit) if unit.active_state == "failed"));
        assert!(matches!(&events[2], Event::Changed(unit) if unit.name == "c.service"));
        assert_eq!(events.len(), 3);
        // The same content in a new picture is no change.
        assert!(
            difference(&mut sent, &picture(&[("a.service", "failed"), ("c.service", "active")])).is_empty()
        );
    }
}
