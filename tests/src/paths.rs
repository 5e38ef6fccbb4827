//! Where the test bed keeps what it makes: everything lies below one cache folder.

use std::path::{Path, PathBuf};

/// The folder of everything that outlives a run: base image, disks, build output.
#[must_use]
pub fn cache() -> PathBuf {
    let home = std::env::var_os("HOME").unwrap_or_else(|| "/root".into());
    Path::new(&home).join(".cache/hms")
}

/// Lock files and the disks of hosts that live no longer than their test.
#[must_use]
pub fn run() -> PathBuf {
    cache().join("run")
}

/// The repository this crate belongs to.
///
/// Cargo says it to what it runs. Clones share what was built, so the place known when it was built may be that of another clone.
#[must_use]
pub fn repository() -> PathBuf {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    manifest.parent().unwrap_or(&manifest).to_path_buf()
}

/// The folder of the built binaries that hosts run.
///
/// `HMS_BIN_DIR` names another one, so that a coverage run is not disturbed by a build beside it.
#[must_use]
pub fn binaries() -> PathBuf {
    if let Some(dir) = std::env::var_os("HMS_BIN_DIR") {
        return dir.into();
    }
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from);
    target.join("debug")
}
