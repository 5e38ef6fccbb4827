//! The network of a slot: a bridge with a private /24 that leads nowhere else.

use std::fs;
use std::net::Ipv4Addr;

use anyhow::{Context, Result};

use crate::command::run;

/// Each booted system holds a few inotify instances; the kernel's 128 end at about ten hosts.
const INOTIFY_INSTANCES: u32 = 1024;

/// The bridge of a slot.
pub(super) fn bridge(slot: u8) -> String {
    format!("hmsbr{slot}")
}

/// The machine's address in a slot.
pub(super) fn gateway(slot: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 213, slot, 1)
}

/// The address of the host with this index in a slot.
pub(super) fn address(slot: u8, index: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 213, slot, 10 + index)
}

/// The machine's end of a host's network cable.
pub(super) fn cable(machine: &str) -> String {
    format!("vb-{machine}")
}

/// Makes the bridge, and a route that swallows packets to hosts that are down.
pub(super) fn create(slot: u8) -> Result<()> {
    let bridge = bridge(slot);
    let network = format!("10.213.{slot}.0/24");
    run(&["ip", "link", "add", &bridge, "type", "bridge"])?;
    run(&["ip", "address", "add", &format!("{}/24", gateway(slot)), "dev", &bridge])?;
    run(&["ip", "link", "set", &bridge, "up"])?;
    run(&["ip", "route", "replace", "blackhole", &network, "metric", "9999"])?;
    Ok(())
}

/// Removes everything that [`create`] and the hosts of a slot put on the machine.
pub(super) fn remove(slot: u8) -> Result<()> {
    let bridge = bridge(slot);
    let cables = cable(&super::host::machine_prefix(slot));
    for entry in fs::read_dir("/sys/class/net")? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name == bridge || name.starts_with(&cables) {
            // A host that is just ending takes its cable with it: that is as good.
            let removed = run(&["ip", "link", "delete", &name]);
            if fs::exists(format!("/sys/class/net/{name}"))? {
                removed?;
            }
        }
    }
    let network = format!("10.213.{slot}.0/24");
    let routes = run(&["ip", "route", "show", "type", "blackhole", &network])?;
    if !routes.trim().is_empty() {
        run(&["ip", "route", "delete", "blackhole", &network, "metric", "9999"])?;
    }
    Ok(())
}

/// Lets the machine run more hosts than its default limit of inotify instances allows.
pub(super) fn raise_inotify_limit() -> Result<()> {
    let path = "/proc/sys/fs/inotify/max_user_instances";
    let now: u32 = fs::read_to_string(path)?.trim().parse()?;
    if now < INOTIFY_INSTANCES {
        fs::write(path, INOTIFY_INSTANCES.to_string())
            .context("cannot raise fs.inotify.max_user_instances")?;
    }
    Ok(())
}
