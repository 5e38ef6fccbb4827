//! `hms-agent lay-out-release`, run as the app's user in a fresh release: what is kept between releases is linked into it, and
//! its commit is noted. As that user it could follow a link of the repository only to where the app can go anyway; it follows
//! none all the same.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
};

use hms_proto::{
    fault::{Fault, FaultKind},
    names::RelPath,
};
use rustix::{
    fd::OwnedFd,
    fs::{AtFlags, CWD, FileType, Mode, OFlags},
};

/// Where the commit is noted, as Capistrano does.
const REVISION: &str = "REVISION";
/// The folder with settings of Bundler.
const BUNDLER: &str = ".bundle";
const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Lays out the release in this folder.
pub(crate) fn lay_out(release: &Path, shared: &Path, commit: &str, paths: &[String]) -> Result<(), Fault> {
    let failed = |path: &str, error: io::Error| {
        Fault::new(FaultKind::Failed, format!("`{path}` cannot be made in the release: {error}"))
    };
    let root = rustix::fs::openat(CWD, release, FOLDER, Mode::empty()).map_err(|e| failed(".", e.into()))?;
    for path in paths {
        let path = RelPath::try_from(path.as_str())?;
        link(&root, path.as_str(), &shared.join(path.as_str())).map_err(|e| failed(path.as_str(), e))?;
    }
    // It would count for more than what HMS tells Bundler.
    clear(&root, BUNDLER).map_err(|e| failed(BUNDLER, e))?;
    note(&root, commit).map_err(|e| failed(REVISION, e))
}

fn link(root: &OwnedFd, path: &str, target: &Path) -> io::Result<()> {
    let (parents, name) = path.rsplit_once('/').unwrap_or(("", path));
    let mut folder = root.try_clone()?;
    for part in parents.split('/').filter(|part| !part.is_empty()) {
        make(&folder, part)?;
        folder = rustix::fs::openat(&folder, part, FOLDER, Mode::empty()).map_err(|error| match error {
            rustix::io::Errno::LOOP | rustix::io::Errno::NOTDIR => {
                io::Error::other(format!("`{part}` is in the repository, and is no folder"))
            }
            error => error.into(),
        })?;
    }
    clear(&folder, name)?;
    Ok(rustix::fs::symlinkat(target, &folder, name)?)
}

fn make(folder: &OwnedFd, name: &str) -> io::Result<()> {
    match rustix::fs::mkdirat(folder, name, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Takes away what the repository has there.
fn clear(folder: &OwnedFd, name: &str) -> io::Result<()> {
    let about = match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(rustix::io::Errno::NOENT) => return Ok(()),
        other => other?,
    };
    if FileType::from_raw_mode(about.st_mode) != FileType::Directory {
        return Ok(rustix::fs::unlinkat(folder, name, AtFlags::empty())?);
    }
    // By way of the descriptor: the folder is the one that was looked at.
    fs::remove_dir_all(format!("/proc/self/fd/{}/{name}", std::os::fd::AsRawFd::as_raw_fd(folder)))
}

fn note(root: &OwnedFd, commit: &str) -> io::Result<()> {
    clear(root, REVISION)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(root, REVISION, flags, Mode::from_raw_mode(0o644))?;
    File::from(file).write_all(format!("{commit}\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn paths(paths: &[&str]) -> Vec<String> {
        paths.iter().map(|p| (*p).to_owned()).collect()
    }

    #[test]
    fn what_is_kept_between_releases_is_linked_into_each() {
        let (release, shared) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir_all(release.path().join("public/uploads/old")).unwrap();
        let lay =
            || lay_out(release.path(), shared.path(), "c0ffee", &paths(&["tmp", "log", "public/uploads"]));
        fs::create_dir(release.path().join(".bundle")).unwrap();
        lay().unwrap();
        lay().unwrap();
        assert!(!release.path().join(".bundle").exists());
        for path in ["log", "tmp", "public/uploads"] {
            assert_eq!(fs::read_link(release.path().join(path)).unwrap(), shared.path().join(path));
        }
        assert_eq!(fs::read_to_string(release.path().join("REVISION")).unwrap(), "c0ffee\n");
    }

    /// Security case 69.
    #[test]
    fn links_of_the_repository_lead_nowhere() {
        let (release, shared, victim) =
            (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(victim.path().join("pids"), "precious").unwrap();
        symlink(victim.path(), release.path().join("tmp")).unwrap();
        let fault = lay_out(release.path(), shared.path(), "c", &paths(&["tmp/pids"])).unwrap_err();
        assert!(fault.message.contains("`tmp` is in the repository"), "{}", fault.message);
        // A link in the last place is taken away, not what it leads to.
        symlink(victim.path(), release.path().join("log")).unwrap();
        symlink(victim.path().join("pids"), release.path().join("REVISION")).unwrap();
        lay_out(release.path(), shared.path(), "c", &paths(&["log"])).unwrap();
        assert_eq!(fs::read_to_string(victim.path().join("pids")).unwrap(), "precious");
        assert!(lay_out(release.path(), shared.path(), "c", &paths(&["../x"])).is_err());
    }
}
