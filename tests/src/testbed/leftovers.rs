//! Clears what a run left behind, whether it ended well or was killed.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::{disk, host, net, slot};
use crate::command::run;

/// Stops a demo that was left running, or the remains of one that was killed.
pub fn clear_demo() -> Result<()> {
    slot::stop_owner(slot::DEMO_SLOT)?;
    let _held = slot::Slot::demo()?;
    clear(slot::DEMO_SLOT)
}

/// Clears every test slot that nobody holds, as after an interrupted test run.
pub fn sweep() -> Result<()> {
    for number in slot::all_test_slots() {
        if slot::folder(number).exists()
            && let Some(_held) = slot::Slot::try_take(number)?
        {
            clear(number)?;
        }
    }
    Ok(())
}

/// Removes hosts, mounts, network and folder of a slot that the caller holds.
pub(super) fn clear(number: u8) -> Result<()> {
    kill_hosts(number)?;
    unmount(number)?;
    net::remove(number)?;
    let folder = slot::folder(number);
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    Ok(())
}

/// Throws away the disks that the demo keeps.
pub fn remove_kept_disks() -> Result<()> {
    let folder = disk::kept_folder();
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    Ok(())
}

/// Kills every container of the slot and waits until the kernel has taken them down.
fn kill_hosts(number: u8) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let supervisors = supervisors(number)?;
        if supervisors.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("hosts of slot {number} do not die: {supervisors:?}");
        }
        for pid in supervisors {
            // The system first: a supervisor killed before it would leave it running.
            for victim in host::children(pid).into_iter().chain([pid]) {
                // One that is gone already is what we want.
                kill_process(victim, Signal::KILL).ok();
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The container supervisors of a slot, found by the machine name on their command line.
fn supervisors(number: u8) -> Result<Vec<Pid>> {
    let wanted = format!("--machine={}", host::machine_prefix(number));
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse().ok()).and_then(Pid::from_raw)
        else {
            continue;
        };
        // A process may end while we look; a zombie has an empty command line and holds nothing.
        let Ok(line) = fs::read(entry.path().join("cmdline")) else { continue };
        let mut arguments = line.split(|byte| *byte == 0);
        let is_supervisor = arguments.next().is_some_and(|program| program.ends_with(b"systemd-nspawn"));
        if is_supervisor && arguments.any(|argument| argument.starts_with(wanted.as_bytes())) {
            found.push(pid);
        }
    }
    Ok(found)
}

/// Unmounts everything below the slot's folder, the last mounted first.
fn unmount(number: u8) -> Result<()> {
    let prefix = format!("{}/", slot::folder(number).display());
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let ours: Vec<&str> = mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(1))
        .filter(|path| path.starts_with(&prefix))
        .collect();
    for path in ours.into_iter().rev() {
        run(&["umount", "--lazy", path])?;
    }
    Ok(())
}
