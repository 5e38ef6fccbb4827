//! Real managed hosts in about a second: systemd containers over one base image.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use hms_tests::testbed::Testbed;
//! let bed = Testbed::new().await?;
//! let host = bed.boot("asterra").await?;
//! host.run(&["systemctl", "is-active", "dbus"]).await?;
//! # Ok(()) }
//! ```
//!
//! A bed owns one numbered slot: a bridge, a private /24 and a folder, so beds in parallel never
//! meet. What a killed run left in a slot is cleared when the slot is taken again.

mod disk;
mod exec;
mod host;
mod image;
mod leftovers;
mod machine;
mod net;
mod slot;

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use anyhow::{Result, bail};

pub use exec::collect;
pub use host::{Bind, Host, HostOptions, Output};
pub use image::Image;
pub use leftovers::{clear_demo, remove_kept_disks, sweep};

use disk::Disk;
use slot::Slot;

/// A private network with hosts on it.
pub struct Testbed {
    bed: Arc<Bed>,
}

/// What all hosts of one test bed share; it lives as long as the last of them.
struct Bed {
    slot: Slot,
    image: Image,
    neighbours: Mutex<Vec<Neighbour>>,
}

/// A host as the others need to know it.
struct Neighbour {
    name: String,
    address: Ipv4Addr,
    root: PathBuf,
}

impl Testbed {
    /// Takes a free slot; its hosts are gone with the last handle to them.
    pub async fn new() -> Result<Self> {
        Self::on(Slot::any).await
    }

    /// Takes the slot of the demo, whose disks are kept from one start to the next.
    pub async fn demo() -> Result<Self> {
        Self::on(Slot::demo).await
    }

    async fn on(take: fn() -> Result<Slot>) -> Result<Self> {
        require_root()?;
        // Building the image and clearing a slot run programs for seconds: not on the runtime's threads.
        let bed = tokio::task::spawn_blocking(move || -> Result<Bed> {
            let image = image::ensure(&|step| eprintln!("base image: {step}"))?;
            net::raise_inotify_limit()?;
            let slot = take()?;
            leftovers::clear(slot.number())?;
            net::create(slot.number())?;
            Ok(Bed { slot, image, neighbours: Mutex::default() })
        })
        .await??;
        Ok(Self { bed: Arc::new(bed) })
    }

    /// Boots a host and waits until its system is up.
    pub async fn boot(&self, name: &str) -> Result<Host> {
        self.boot_with(name, HostOptions::default()).await
    }

    /// Boots a host with files or folders of the machine bound into it.
    pub async fn boot_with(&self, name: &str, options: HostOptions) -> Result<Host> {
        Host::boot(self.bed.clone(), name, options).await
    }

    /// The machine's own address on this network.
    #[must_use]
    pub fn gateway(&self) -> Ipv4Addr {
        net::gateway(self.bed.slot.number())
    }

    /// Names the base image of this bed's hosts.
    #[must_use]
    pub fn image_id(&self) -> &str {
        &self.bed.image.id
    }

    /// The number of this bed's slot, which names its bridge and network.
    #[must_use]
    pub fn slot(&self) -> u8 {
        self.bed.slot.number()
    }
}

impl Bed {
    /// Adds a host to the network and tells every other host its name.
    fn admit(&self, name: &str) -> Result<(u8, Ipv4Addr, Disk)> {
        let mut neighbours = self.neighbours.lock().expect("no holder of this lock panics");
        if neighbours.iter().any(|n| n.name == name) {
            bail!("this test bed already has a host named {name}");
        }
        let index = u8::try_from(neighbours.len())?;
        let address = net::address(self.slot.number(), index);
        let disk = Disk::open(&self.slot, &self.image, name)?;
        neighbours.push(Neighbour { name: name.to_owned(), address, root: disk.root() });
        Ok((index, address, disk))
    }

    /// Writes /etc/hosts on every host, so that each knows all of them by name.
    fn write_hosts_files(&self) -> Result<()> {
        let neighbours = self.neighbours.lock().expect("no holder of this lock panics");
        let mut text = String::from("127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n");
        for neighbour in neighbours.iter() {
            text.push_str(&format!("{} {}\n", neighbour.address, neighbour.name));
        }
        for neighbour in neighbours.iter().filter(|n| n.root.join("etc").is_dir()) {
            std::fs::write(neighbour.root.join("etc/hosts"), &text)?;
        }
        Ok(())
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        if let Err(error) = leftovers::clear(self.slot.number()) {
            eprintln!("test bed {}: {error:#}", self.slot.number());
        }
    }
}

/// Finds or makes the base image, telling `report` of each slow step.
pub fn prepare_image(report: &dyn Fn(&str)) -> Result<Image> {
    require_root()?;
    image::ensure(report)
}

/// Booting hosts takes mounts, network links and namespaces: only root may make them.
pub fn require_root() -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!("this needs root: it boots real hosts (run it with sudo)");
    }
    Ok(())
}
