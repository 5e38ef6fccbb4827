//! Slots: the numbers that keep test beds which run at the same time apart.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::paths;

/// The demo's own slot, so that tests never take its hosts for leftovers.
pub(super) const DEMO_SLOT: u8 = 0;

/// Slots for tests; each is a /24 and a bridge.
const TEST_SLOTS: std::ops::RangeInclusive<u8> = 1..=99;

/// A slot number, ours for as long as the lock on its file is held.
#[derive(Debug)]
pub(super) struct Slot {
    number: u8,
    lock: File,
}

impl Slot {
    /// Takes the first slot that nobody holds.
    pub(super) fn any() -> Result<Self> {
        for number in TEST_SLOTS {
            if let Some(slot) = Self::try_take(number)? {
                return Ok(slot);
            }
        }
        bail!("all {} test bed slots are in use", TEST_SLOTS.count())
    }

    /// Takes the demo's slot.
    pub(super) fn demo() -> Result<Self> {
        Self::try_take(DEMO_SLOT)?.context("a demo is running already (`./dev demo stop` ends it)")
    }

    /// Takes one slot, or nothing when another process holds it.
    pub(super) fn try_take(number: u8) -> Result<Option<Self>> {
        let path = lock_path(number);
        fs::create_dir_all(paths::run())?;
        let mut lock = OpenOptions::new()
            .create(true)
            .read(true)
            .write(true)
            .truncate(false)
            .open(&path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error).context("cannot lock a slot"),
        }
        lock.set_len(0)?;
        write!(lock, "{}", std::process::id())?;
        Ok(Some(Self { number, lock }))
    }

    /// The slot's number.
    pub(super) fn number(&self) -> u8 {
        self.number
    }

    /// The folder of this slot's disks and sockets.
    pub(super) fn folder(&self) -> PathBuf {
        folder(self.number)
    }

    /// Whether disks outlive the run that made them.
    pub(super) fn keeps_disks(&self) -> bool {
        self.number == DEMO_SLOT
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // Closing would do it too, but not while a child still has the descriptor.
        if let Err(error) = self.lock.unlock() {
            eprintln!("cannot unlock slot {}: {error}", self.number);
        }
    }
}

/// Asks the process that holds a slot to end, and waits until it has let go of it.
pub(super) fn stop_owner(number: u8) -> Result<()> {
    if Slot::try_take(number)?.is_some() {
        return Ok(());
    }
    let mut file = File::open(lock_path(number))?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    if let Some(pid) = text.trim().parse().ok().and_then(Pid::from_raw) {
        kill_process(pid, Signal::INT)?;
    }
    file.lock_shared()?;
    Ok(())
}

/// The folder of a slot, whoever holds it.
pub(super) fn folder(number: u8) -> PathBuf {
    paths::run().join(format!("slot{number}"))
}

fn lock_path(number: u8) -> PathBuf {
    paths::run().join(format!("slot{number}.lock"))
}

/// All slots there are, for the sweep after a test run.
pub(super) fn all_test_slots() -> impl Iterator<Item = u8> {
    TEST_SLOTS
}
