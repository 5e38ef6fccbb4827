//! What tests the API from outside, in tests/api: a client that is generated from the document, and a property-based tester.

use std::fs::{self, OpenOptions};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

use crate::command::run_with;
use crate::{browser, paths};

/// So many outputs of testers are kept.
const KEPT: usize = 20;

/// Keeps what a tester said beyond the test, and says where.
pub fn keep(what: &str, said: &str) -> Result<PathBuf> {
    let folder = paths::cache().join("api");
    fs::create_dir_all(&folder)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
    let file = folder.join(format!("{now}-{}.txt", what.replace(' ', "-")));
    fs::write(&file, said).with_context(|| format!("cannot write {}", file.display()))?;
    let mut all: Vec<PathBuf> = fs::read_dir(&folder)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    all.sort();
    for old in all.iter().rev().skip(KEPT) {
        fs::remove_file(old).ok();
    }
    Ok(file)
}

/// The folder with the packages of the generated client in it.
pub fn client() -> Result<PathBuf> {
    let folder = paths::repository().join("tests/api");
    browser::install(&folder)?;
    Ok(folder)
}

/// The program `schemathesis`, in a virtual environment of its own: the versions, and their hashes, are those of
/// tests/api/requirements.txt.
pub fn schemathesis() -> Result<PathBuf> {
    let folder = paths::cache().join("schemathesis");
    let guard =
        OpenOptions::new().create(true).write(true).truncate(false).open(paths::cache().join("pip.lock"))?;
    guard.lock().context("cannot lock the API tests' packages")?;
    let list = paths::repository().join("tests/api/requirements.txt");
    let (wanted, stamp) = (fs::read_to_string(&list)?, folder.join("installed.txt"));
    if !fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        let python = folder.join("bin/python");
        run_with(&["python3", "-m", "venv", "--clear", &folder.to_string_lossy()], |_| {})?;
        let pip = [&python.to_string_lossy(), "-m", "pip", "install", "--quiet", "--require-hashes"];
        run_with(
            &[
                &pip[..],
                &["--disable-pip-version-check", "--only-binary=:all:", "-r", &list.to_string_lossy()],
            ]
            .concat(),
            |_| {},
        )?;
        fs::write(stamp, wanted)?;
    }
    Ok(folder.join("bin/schemathesis"))
}
