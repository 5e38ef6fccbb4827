//! A host's disk: a writable layer over the base image.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::image::Image;
use super::slot::Slot;
use crate::command::run;
use crate::paths;

/// The names of the image a kept disk was made from, in a file beside its layers.
const MADE_FROM: &str = "made-from";

/// Folder with the layers of one host, and the place where they are mounted.
#[derive(Debug)]
pub(super) struct Disk {
    layers: PathBuf,
    root: PathBuf,
    fresh: bool,
}

impl Disk {
    /// Mounts a host's disk, new or as it was kept.
    pub(super) fn open(slot: &Slot, image: &Image, name: &str) -> Result<Self> {
        let keep = slot.keeps_disks();
        let layers = if keep { kept_folder().join(name) } else { slot.folder().join(name) };
        let root = slot.folder().join(format!("{name}.root"));
        // A layer means nothing over another base than its own.
        let known = fs::read_to_string(layers.join(MADE_FROM)).is_ok_and(|id| id == image.id);
        if !known && layers.exists() {
            fs::remove_dir_all(&layers)?;
        }
        for dir in [&layers.join("upper"), &layers.join("work"), &root] {
            fs::create_dir_all(dir)?;
        }
        // Without `volatile` every fsync in a host reaches the machine's disk; only a kept disk needs that.
        let durability = if keep { "" } else { ",volatile" };
        let options = format!(
            "lowerdir={},upperdir={},workdir={}{durability}",
            image.path.display(),
            layers.join("upper").display(),
            layers.join("work").display(),
        );
        run(&["mount", "-t", "overlay", "hms-testbed", "-o", &options, path(&root)?])?;
        Ok(Self { layers, root, fresh: !known })
    }

    /// Where the disk is mounted.
    pub(super) fn root(&self) -> PathBuf {
        self.root.clone()
    }

    /// Whether nothing was ever booted from this disk.
    pub(super) fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// Gives a new disk its identity: name, machine id, network address.
    pub(super) fn personalise(&self, image: &Image, name: &str, address: Ipv4Addr) -> Result<()> {
        let etc = self.root.join("etc");
        fs::write(etc.join("hostname"), format!("{name}\n"))?;
        fs::write(etc.join("machine-id"), format!("{}\n", uuid::Uuid::new_v4().simple()))?;
        let network = format!(
            "[Match]\nName=host0\n\n[Network]\nAddress={address}/24\nLinkLocalAddressing=no\nIPv6AcceptRA=no\nLLDP=no\n"
        );
        fs::write(etc.join("systemd/network/10-host0.network"), network)?;
        // Last, so that a disk left half personalised is not taken for a good one.
        fs::write(self.layers.join(MADE_FROM), &image.id)?;
        Ok(())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Err(error) = run(&["umount", "--lazy", &self.root.to_string_lossy()]) {
            eprintln!("{error:#}");
        }
    }
}

/// Where the disks of the demo's hosts are kept.
pub(super) fn kept_folder() -> PathBuf {
    paths::cache().join("demo")
}

/// A path as an argument of a program.
pub(super) fn path(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is not valid UTF-8", path.display()))
}
