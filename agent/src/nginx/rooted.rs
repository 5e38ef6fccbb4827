//! The files below one folder, by descriptor: no path is ever followed out of it, through a link, or to another mount.
//!
//! Each part of a path is opened by itself, and never as a link. openat2(2) would do it in one call, but the filter that
//! keeps the agent from making setuid files (RestrictSUIDSGID=) cannot look into it, so systemd takes it away.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    os::fd::OwnedFd,
    path::Path,
    sync::Arc,
};

use rustix::{
    fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, StatxFlags},
    io::Errno,
};

use super::{
    change::Edit,
    folder::{Entry, FILE_MAX, FILES_MAX, Folder, Node, TREE_MAX},
};

const DEPTH_MAX: usize = 5;
/// Names that HMS gives to files it is writing. No pattern of nginx matches a name with a dot in front.
const TEMPORARY: &str = ".hms-";

/// A folder that is open.
#[derive(Debug)]
pub(crate) struct Rooted {
    root: OwnedFd,
    owner: u32,
    /// Of the mount it is on.
    mount: u64,
}

impl Rooted {
    /// Opens the folder, which must be one and no link to one.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
        let root = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
        let mount = mount_of(&root)?;
        Ok(Self { root, owner: rustix::process::geteuid().as_raw(), mount })
    }

    fn folder(&self, path: &str) -> Result<OwnedFd, Errno> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
        let mut folder = rustix::fs::openat(&self.root, ".", flags, Mode::empty())?;
        for part in path.split('/').filter(|_| !path.is_empty()) {
            folder = rustix::fs::openat(&folder, plain(part)?, flags, Mode::empty())?;
            self.check_mount(&folder)?;
        }
        Ok(folder)
    }

    fn check_mount(&self, fd: &OwnedFd) -> Result<(), Errno> {
        if mount_of(fd)? == self.mount { Ok(()) } else { Err(Errno::XDEV) }
    }

    /// Reads all there is.
    pub(crate) fn read(&self) -> io::Result<Folder> {
        let mut folder = Folder::default();
        let mut left = TREE_MAX;
        let why = self.why_locked(&rustix::fs::fstat(&self.root)?, "the folder");
        self.read_folder("", 0, &why, &mut folder, &mut left)?;
        Ok(folder)
    }

    fn read_folder(
        &self,
        at: &str,
        depth: usize,
        locked: &str,
        into: &mut Folder,
        left: &mut u64,
    ) -> io::Result<()> {
        let folder = self.folder(at)?;
        for item in Dir::read_from(&folder)? {
            let item = item?;
            let Ok(name) = item.file_name().to_str() else { continue };
            if name.starts_with('.') {
                continue;
            }
            if into.entries.len() >= FILES_MAX {
                return Err(io::Error::other(format!("there are more than {FILES_MAX} files")));
            }
            let path = if at.is_empty() { name.to_owned() } else { format!("{at}/{name}") };
            let stat = match rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => continue,
                other => other?,
            };
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory && depth < DEPTH_MAX {
                let why =
                    if locked.is_empty() { self.why_locked(&stat, "its folder") } else { locked.to_owned() };
                match self.read_folder(&path, depth + 1, &why, into, left) {
                    Err(error) if error.raw_os_error() == Some(Errno::XDEV.raw_os_error()) => {
                        into.entries.insert(
                            path,
                            entry(Node::Other, "another file system is mounted there".into(), &stat),
                        );
                    }
                    other => other?,
                }
                continue;
            }
            if let Some(mut found) = self.read_entry(&folder, name, &path, &stat, left)? {
                if found.locked.is_empty() {
                    found.locked = locked.to_owned();
                }
                into.entries.insert(path, found);
            }
        }
        Ok(())
    }

    fn read_entry(
        &self,
        folder: &OwnedFd,
        name: &str,
        path: &str,
        stat: &Stat,
        left: &mut u64,
    ) -> io::Result<Option<Entry>> {
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(folder, name, Vec::new())?.to_string_lossy().into_owned();
                let inside = super::folder::join(path, &target).is_some();
                let locked =
                    if inside { String::new() } else { format!("it is a link out of the tree, to {target}") };
                Ok(Some(entry(Node::Link(target), locked, stat)))
            }
            FileType::RegularFile => self.read_file(folder, name, stat, left),
            _ => Ok(Some(entry(Node::Other, "it is not a regular file".into(), stat))),
        }
    }

    fn read_file(
        &self,
        folder: &OwnedFd,
        name: &str,
        stat: &Stat,
        left: &mut u64,
    ) -> io::Result<Option<Entry>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(folder, plain(name)?, flags, Mode::empty())
            .and_then(|fd| self.check_mount(&fd).map(|()| fd))
        {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => {
                return Ok(Some(entry(
                    Node::Other,
                    format!("it cannot be read: {}", io::Error::from(error)),
                    stat,
                )));
            }
        };
        let stat = rustix::fs::fstat(&file)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Ok(Some(entry(Node::Other, "it is not a regular file".into(), &stat)));
        }
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        if size > FILE_MAX || size > *left {
            return Ok(Some(entry(Node::Other, "it is larger than 1 MiB".into(), &stat)));
        }
        let mut content = Vec::new();
        file.take(FILE_MAX + 1).read_to_end(&mut content)?;
        *left = left.saturating_sub(content.len() as u64);
        let mut locked = self.why_locked(&stat, "it");
        if locked.is_empty() && stat.st_nlink != 1 {
            locked = "it has another name, too (a hard link), which may be outside of the tree".into();
        } else if locked.is_empty() && std::str::from_utf8(&content).is_err() {
            locked = "it is not text in UTF-8".into();
        }
        Ok(Some(entry(Node::File(Arc::new(content)), locked, &stat)))
    }

    /// Others must not be able to put something else there while HMS works.
    fn why_locked(&self, stat: &Stat, what: &str) -> String {
        if stat.st_uid != self.owner {
            return format!("{what} belongs to user id {}, not to root", stat.st_uid);
        }
        if stat.st_mode & 0o022 != 0 {
            return format!("{what} can be written by others than root (mode {:o})", stat.st_mode & 0o7777);
        }
        String::new()
    }

    /// Puts the entries of edits where their paths are, each whole and on the disk. Everything is written beside its
    /// place first, so that a full disk is noticed before anything has changed.
    pub(crate) fn put_all(&self, edits: &[Edit]) -> io::Result<()> {
        let prepared =
            edits.iter().map(|e| self.prepare(&e.path, e.after.as_ref())).collect::<io::Result<Vec<_>>>()?;
        super::fail::point("prepared");
        for (n, mut one) in prepared.into_iter().enumerate() {
            one.place()?;
            if n == 0 {
                super::fail::point("half-swapped");
            }
        }
        Ok(())
    }

    fn prepare(&self, path: &str, entry: Option<&Entry>) -> io::Result<Prepared> {
        let (at, name) = path.rsplit_once('/').unwrap_or(("", path));
        plain(name)?;
        let folder = match self.folder(at) {
            Err(Errno::NOENT) if entry.is_some() => self.make_folder(at)?,
            other => other?,
        };
        self.check_folder(&folder)?;
        let mut prepared = Prepared { folder, name: name.to_owned(), temporary: None };
        if let Some(entry) = entry {
            let temporary = format!("{TEMPORARY}{:016x}", rand::random::<u64>());
            prepared.temporary = Some(temporary.clone());
            match &entry.node {
                Node::Link(target) => rustix::fs::symlinkat(target.as_str(), &prepared.folder, &temporary)?,
                Node::File(content) => write(&prepared.folder, &temporary, content, entry.mode)?,
                Node::Other => return Err(io::Error::other("only files and links can be put there")),
            }
        }
        Ok(prepared)
    }

    fn check_folder(&self, folder: &OwnedFd) -> io::Result<()> {
        let why = self.why_locked(&rustix::fs::fstat(folder)?, "the folder");
        if why.is_empty() { Ok(()) } else { Err(io::Error::other(why)) }
    }

    fn make_folder(&self, path: &str) -> Result<OwnedFd, Errno> {
        let mut at = String::new();
        for part in path.split('/') {
            let parent = self.folder(&at)?;
            match rustix::fs::mkdirat(&parent, plain(part)?, Mode::from_raw_mode(0o755)) {
                Ok(()) => {
                    let made = rustix::fs::openat(
                        &parent,
                        part,
                        OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                        Mode::empty(),
                    )?;
                    // The agent's umask lets nobody else in.
                    rustix::fs::fchmod(&made, Mode::from_raw_mode(0o755))?;
                    rustix::fs::fsync(&parent)?;
                }
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error),
            }
            at = if at.is_empty() { part.to_owned() } else { format!("{at}/{part}") };
        }
        self.folder(path)
    }

    /// Removes what a run that was killed was writing.
    pub(crate) fn remove_temporary(&self) -> io::Result<()> {
        let folders = std::iter::once(String::new()).chain(self.folders()?);
        for at in folders {
            let Ok(folder) = self.folder(&at) else { continue };
            for item in Dir::read_from(&folder)?.flatten() {
                if item.file_name().to_bytes().starts_with(TEMPORARY.as_bytes()) {
                    rustix::fs::unlinkat(&folder, item.file_name(), AtFlags::empty())?;
                }
            }
        }
        Ok(())
    }

    fn folders(&self) -> io::Result<Vec<String>> {
        let mut names: Vec<String> = self
            .read()?
            .entries
            .keys()
            .filter_map(|path| path.rsplit_once('/').map(|(at, _)| at.to_owned()))
            .collect();
        names.extend(["conf.d", "sites-available", "sites-enabled", "snippets"].map(str::to_owned));
        names.sort();
        names.dedup();
        Ok(names)
    }
}

/// One part of a path, and nothing that leads elsewhere.
fn plain(part: &str) -> Result<&str, Errno> {
    if matches!(part, "" | "." | "..") || part.contains(['/', '\0']) { Err(Errno::INVAL) } else { Ok(part) }
}

/// The mount that a file is on. A kernel that cannot tell (before 5.8) is refused.
fn mount_of(fd: &OwnedFd) -> Result<u64, Errno> {
    let told = rustix::fs::statx(fd, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)?;
    if told.stx_mask & StatxFlags::MNT_ID.bits() == 0 { Err(Errno::NOSYS) } else { Ok(told.stx_mnt_id) }
}

/// An entry that is written, and not yet where it belongs. Dropped before that, it leaves nothing.
struct Prepared {
    folder: OwnedFd,
    name: String,
    /// What it is called until then; nothing for a removal.
    temporary: Option<String>,
}

impl Prepared {
    fn place(&mut self) -> io::Result<()> {
        match &self.temporary {
            Some(temporary) => rustix::fs::renameat(&self.folder, temporary, &self.folder, &self.name)?,
            None => match rustix::fs::unlinkat(&self.folder, &self.name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            },
        }
        self.temporary = None;
        rustix::fs::fsync(&self.folder)?;
        Ok(())
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            rustix::fs::unlinkat(&self.folder, temporary, AtFlags::empty()).ok();
        }
    }
}

fn write(folder: &OwnedFd, name: &str, content: &[u8], mode: u32) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(folder, name, flags, Mode::from_raw_mode(0o600))?;
    let mut file = File::from(file);
    file.write_all(content)?;
    rustix::fs::fchmod(&file, Mode::from_raw_mode(mode & 0o755))?;
    file.sync_all()
}

fn entry(node: Node, locked: String, stat: &Stat) -> Entry {
    let modified_usec = stat.st_mtime * 1_000_000 + i64::try_from(stat.st_mtime_nsec).unwrap_or(0) / 1000;
    Entry { node, locked, modified_usec, uid: stat.st_uid, mode: stat.st_mode & 0o7777 }
}

#[cfg(test)]
#[path = "rooted_tests.rs"]
mod tests;
