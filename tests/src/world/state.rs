//! Whether a kept world can be started again, or has to be made anew.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use anyhow::{Context, Result};

use super::Plan;
use crate::paths;
use crate::testbed::Testbed;

/// Written last: a world without it was not finished.
const COMPLETE: &str = "complete";

/// Says what a world was made from: kept disks are good for exactly that.
pub(super) fn fingerprint(bed: &Testbed, plan: &Plan) -> Result<String> {
    let mut hasher = DefaultHasher::new();
    bed.image_id().hash(&mut hasher);
    plan.hosts.hash(&mut hasher);
    let repository = paths::repository();
    for file in crate::repository::files(&repository.join("tests/rails"))? {
        file.hash(&mut hasher);
        fs::read(file)?.hash(&mut hasher);
    }
    for folder in ["migrations", "agent", "controller", "tests/src/world", "tests/src/dev/demo"] {
        let mut files: Vec<_> = fs::read_dir(repository.join(folder))
            .with_context(|| format!("cannot read {folder}"))?
            .collect::<Result<_, _>>()?;
        files.sort_by_key(fs::DirEntry::file_name);
        for file in files.iter().filter(|file| file.path().is_file()) {
            file.file_name().hash(&mut hasher);
            fs::read(file.path())?.hash(&mut hasher);
        }
    }
    Ok(format!("{:016x}", hasher.finish()))
}

pub(super) fn is_complete(folder: &Path, fingerprint: &str) -> bool {
    fs::read_to_string(folder.join(COMPLETE)).is_ok_and(|made| made == fingerprint)
}

pub(super) fn mark_complete(folder: &Path, fingerprint: &str) -> Result<()> {
    Ok(fs::write(folder.join(COMPLETE), fingerprint)?)
}
