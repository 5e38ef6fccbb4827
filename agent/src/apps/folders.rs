//! Folders of an app, each opened by itself and never through a link: those above it are root's alone, so that nobody can put
//! something else in their place.

use std::{
    fs, io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use hms_proto::fault::{Fault, FaultKind};
use rustix::{
    fs::{CWD, FileType, Gid, Mode, OFlags, Uid},
    io::Errno,
};

use super::{App, facts::line_of, layout::CHALLENGES};

/// The user of an app, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Owner {
    /// Of this app, if its user is there.
    pub(super) fn of(app: &App) -> Option<Self> {
        let users = fs::read_to_string("/etc/passwd").ok()?;
        let fields = line_of(&users, app.user())?;
        Some(Self { uid: fields.get(2)?.parse().ok()?, gid: fields.get(3)?.parse().ok()? })
    }
}

/// A folder that an app needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) path: PathBuf,
    /// Whether it is the app's own; otherwise it is root's.
    pub(super) own: bool,
    pub(super) mode: u32,
}

/// All folders of an app, outer ones first.
pub(super) fn wanted(app: &App) -> Vec<Wanted> {
    let roots = |path: PathBuf, mode: u32| Wanted { path, own: false, mode };
    let shared = app.shared();
    let mut all = vec![
        roots(app.root(), 0o755),
        roots(app.releases(), 0o755),
        // nginx is in the app's group; everybody else stays out.
        roots(shared.clone(), 0o750),
        roots(shared.join("config"), 0o750),
        Wanted { path: shared.join("home"), own: true, mode: 0o700 },
        Wanted { path: shared.join("bundle"), own: true, mode: 0o750 },
        Wanted { path: app.repo(), own: true, mode: 0o700 },
    ];
    for path in app.shared_paths() {
        let mut at = shared.clone();
        let parts: Vec<&str> = path.as_str().split('/').collect();
        for (n, part) in parts.iter().enumerate() {
            at.push(part);
            let own = n + 1 == parts.len();
            if !all.iter().any(|w| w.path == at) {
                all.push(Wanted { path: at.clone(), own, mode: 0o750 });
            }
        }
    }
    if !app.spec().server_names.is_empty() {
        all.push(roots(CHALLENGES.into(), 0o755));
    }
    all
}

/// Makes those that are missing. One that is somebody else's is an error. Returns those that were made.
pub(super) fn make(app: &App, owner: Owner) -> Result<Vec<PathBuf>, Fault> {
    let mut made = Vec::new();
    for wanted in wanted(app) {
        let is_ours = wanted.path.starts_with(app.shared());
        let gid = if wanted.own || is_ours { owner.gid } else { 0 };
        let uid = if wanted.own { owner.uid } else { 0 };
        if ensure(&wanted, Owner { uid, gid }).map_err(|e| refused(&wanted.path, &e))? {
            made.push(wanted.path);
        }
    }
    Ok(made)
}

fn refused(path: &Path, error: &io::Error) -> Fault {
    Fault::new(FaultKind::Failed, format!("the folder `{}` cannot be made: {error}", path.display()))
        .hint("Put that right on the host, or choose another root for the app.")
}

/// `true` when it was made.
fn ensure(wanted: &Wanted, owner: Owner) -> io::Result<bool> {
    let (Some(parent), Some(name)) = (wanted.path.parent(), wanted.path.file_name()) else {
        return Err(io::Error::other("it has no place"));
    };
    let parent = open_making(parent)?;
    let made = match rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o700)) {
        Ok(()) => true,
        Err(Errno::EXIST) => false,
        Err(error) => return Err(error.into()),
    };
    let folder = open_in(&parent, name.as_ref())?;
    let stat = rustix::fs::fstat(&folder)?;
    if made {
        rustix::fs::fchown(&folder, Some(Uid::from_raw(owner.uid)), Some(Gid::from_raw(owner.gid)))?;
    } else if stat.st_uid != owner.uid {
        return Err(io::Error::other(format!(
            "it is there, and belongs to user id {}, not {}",
            stat.st_uid, owner.uid
        )));
    } else if stat.st_gid != owner.gid {
        rustix::fs::fchown(&folder, None, Some(Gid::from_raw(owner.gid)))?;
    }
    if made || stat.st_mode & 0o7777 != wanted.mode {
        rustix::fs::fchmod(&folder, Mode::from_raw_mode(wanted.mode))?;
    }
    if made {
        rustix::fs::fsync(&parent)?;
    }
    Ok(made)
}

fn open_in(parent: &OwnedFd, name: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty()).map_err(|error| match error {
        Errno::LOOP | Errno::NOTDIR => io::Error::other("there is a link, or a file, in its place"),
        error => error.into(),
    })
}

/// Opens a folder from the top down. Each must be root's, and nobody else may write to it.
pub(super) fn open(path: &Path) -> io::Result<OwnedFd> {
    walk(path, false)
}

/// The same; those that are missing are made.
pub(super) fn open_making(path: &Path) -> io::Result<OwnedFd> {
    walk(path, true)
}

fn walk(path: &Path, make: bool) -> io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    let mut folder = rustix::fs::openat(CWD, "/", flags, Mode::empty())?;
    let mut at = PathBuf::from("/");
    for part in path.strip_prefix("/").map_err(io::Error::other)?.components() {
        let std::path::Component::Normal(name) = part else {
            return Err(io::Error::other("it leads elsewhere"));
        };
        let next = match open_in(&folder, name.as_ref()) {
            Err(error) if make && error.kind() == io::ErrorKind::NotFound => {
                rustix::fs::mkdirat(&folder, name, Mode::from_raw_mode(0o755))?;
                let next = open_in(&folder, name.as_ref())?;
                rustix::fs::fchmod(&next, Mode::from_raw_mode(0o755))?;
                rustix::fs::fsync(&folder)?;
                next
            }
            other => other?,
        };
        at.push(name);
        is_roots(&next).map_err(|why| io::Error::other(format!("`{}` {why}", at.display())))?;
        folder = next;
    }
    Ok(folder)
}

fn is_roots(folder: &OwnedFd) -> io::Result<()> {
    let stat = rustix::fs::fstat(folder)?;
    if stat.st_uid != rustix::process::geteuid().as_raw() {
        return Err(io::Error::other(format!(
            "belongs to user id {}, who could put something else in its place",
            stat.st_uid
        )));
    }
    if stat.st_mode & 0o022 != 0 && stat.st_mode & 0o1000 == 0 {
        return Err(io::Error::other(format!(
            "can be written to by others than root (mode {:o})",
            stat.st_mode & 0o7777
        )));
    }
    Ok(())
}

/// Those that are missing, or not as they should be, with how they differ.
pub(super) fn differences(app: &App) -> Vec<(PathBuf, String)> {
    let owner = Owner::of(app);
    wanted(app)
        .into_iter()
        .filter_map(|wanted| {
            let why = match fs::symlink_metadata(&wanted.path) {
                Ok(about) => difference(&about, &wanted, owner)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => "is made".to_owned(),
                Err(_) if wanted.own => return None,
                Err(error) => format!("cannot be looked at: {error}"),
            };
            Some((wanted.path, why))
        })
        .collect()
}

fn difference(about: &fs::Metadata, wanted: &Wanted, owner: Option<Owner>) -> Option<String> {
    use std::os::unix::fs::MetadataExt as _;
    if FileType::from_raw_mode(about.mode()) != FileType::Directory {
        return Some("is there, and is no folder".to_owned());
    }
    let uid = if wanted.own { owner.map(|owner| owner.uid)? } else { 0 };
    if about.uid() != uid {
        return Some(format!("belongs to user id {}, not {uid}", about.uid()));
    }
    let mode = about.mode() & 0o7777;
    (mode != wanted.mode).then(|| format!("mode {mode:o} to {:o}", wanted.mode))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    use hms_proto::host::v1::AppSpec;

    use super::{super::layout::tests::app, *};

    fn folder(path: PathBuf, mode: u32) -> Wanted {
        Wanted { path, own: true, mode }
    }

    #[test]
    fn everything_above_what_is_the_apps_is_roots() {
        let shared_paths = vec!["public/uploads".to_owned()];
        let all = wanted(&app(AppSpec { shared_paths, ..AppSpec::default() }));
        let own = |path: &str| all.iter().find(|w| w.path == Path::new(path)).unwrap().own;
        assert!(own("/srv/cigar/shared/public/uploads") && own("/srv/cigar/shared/tmp"));
        for roots in ["", "/releases", "/shared", "/shared/public", "/shared/config"] {
            assert!(!own(&format!("/srv/cigar{roots}")), "{roots}");
        }
    }

    /// Security cases 39 and 74.
    #[test]
    fn no_link_is_followed_and_no_folder_of_others_is_taken() {
        let top = tempfile::Builder::new().prefix("hms").tempdir_in("/var/lib").unwrap();
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let owner = Owner { uid, gid };
        let path = |name: &str| top.path().join(name);
        assert!(ensure(&folder(path("a/b/c"), 0o750), owner).unwrap());
        assert!(!ensure(&folder(path("a/b/c"), 0o750), owner).unwrap());
        assert_eq!(fs::metadata(path("a/b/c")).unwrap().mode() & 0o7777, 0o750);
        // Its mode is put right.
        fs::set_permissions(path("a/b/c"), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(!ensure(&folder(path("a/b/c"), 0o700), owner).unwrap());
        assert_eq!(fs::metadata(path("a/b/c")).unwrap().mode() & 0o7777, 0o700);
        symlink("/etc", path("link")).unwrap();
        fs::write(path("file"), "").unwrap();
        for bad in ["link", "link/x", "file", "file/x", "a/../x"] {
            assert!(ensure(&folder(path(bad), 0o755), owner).is_err(), "{bad}");
        }
        fs::set_permissions(path("a/b"), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(ensure(&folder(path("a/b/d"), 0o755), owner).is_err(), "anybody could swap it");
        assert!(!Path::new("/etc/x").exists());
    }

    #[test]
    fn folders_of_somebody_else_are_left_alone() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let top = tempfile::Builder::new().prefix("hms").tempdir_in("/var/lib").unwrap();
        let path = top.path().join("x");
        fs::create_dir(&path).unwrap();
        std::os::unix::fs::chown(&path, Some(4242), None).unwrap();
        let said = ensure(&folder(path.clone(), 0o755), Owner { uid: 0, gid: 0 }).unwrap_err().to_string();
        assert!(said.contains("4242"), "{said}");
        assert!(ensure(&folder(path.join("below"), 0o755), Owner { uid: 0, gid: 0 }).is_err());
        assert_eq!(fs::metadata(&path).unwrap().uid(), 4242);
    }
}
