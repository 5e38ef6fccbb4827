//! The files of one log: the one that is written to, and those that were rotated away, oldest first.

use std::{
    cmp::Ordering,
    fs::File,
    io,
    os::{fd::OwnedFd, unix::fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::{CWD, Dir, Mode, OFlags};

/// More rotated files than this are not looked at; the oldest are left out.
const FILES_MAX: usize = 400;
/// A folder whose names change while they are read is read again, so often.
const TRIES: u32 = 5;

/// A folder of logs. Its files may belong to somebody who is not trusted: no link is followed inside of it.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    top: PathBuf,
    /// Folders below it, opened one by one.
    below: &'static [&'static str],
}

/// Device, inode, and when it was made: the inode of a file that is deleted is soon that of another one.
pub(crate) type FileId = (u64, u64, Option<u64>);

/// One file, opened.
#[derive(Debug)]
pub(crate) struct Sibling {
    pub(crate) name: String,
    pub(crate) file: File,
    pub(crate) inode: (u64, u64),
    pub(crate) size: u64,
    /// When it was written to; microseconds since the epoch.
    pub(crate) modified: u64,
    /// When it was made, where the file system knows; microseconds since the epoch.
    pub(crate) born: Option<u64>,
    pub(crate) is_gz: bool,
}

/// What a file is to its log.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Age {
    /// `.2`, `.2.gz`: higher is older.
    Number(u32),
    /// `-20261125`, `.20261125`: higher is newer.
    Date(String),
    /// Written to now.
    Live,
}

impl Sibling {
    /// What tells it from all others.
    pub(crate) fn id(&self) -> FileId {
        (self.inode.0, self.inode.1, self.born)
    }

    /// The same file once more.
    pub(crate) fn reopened(&self) -> io::Result<Self> {
        Ok(Self { name: self.name.clone(), file: self.file.try_clone()?, ..*self })
    }
}

impl Folder {
    /// Files that lie in `top`, or in the folders below it.
    pub(crate) fn new(top: impl Into<PathBuf>, below: &'static [&'static str]) -> Self {
        Self { top: top.into(), below }
    }

    fn open(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let mut folder = rustix::fs::openat(CWD, &self.top, flags, Mode::empty())?;
        for part in self.below {
            folder = rustix::fs::openat(&folder, *part, flags | OFlags::NOFOLLOW, Mode::empty())?;
        }
        Ok(folder)
    }

    /// Opens a file, unless it is a link, a pipe, or one that has another name elsewhere.
    fn file(folder: &OwnedFd, name: &str) -> io::Result<Option<Sibling>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(folder, name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::LOOP) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let meta = file.metadata()?;
        if !meta.is_file() || meta.nlink() > 1 {
            return Ok(None);
        }
        Ok(Some(Sibling {
            name: name.to_owned(),
            inode: (meta.dev(), meta.ino()),
            size: meta.len(),
            modified: modified(&meta),
            born: born(&meta),
            is_gz: is_gz(name),
            file,
        }))
    }

    /// Names of the logs that are there: of the files that are written to, or were before they were rotated away.
    pub(crate) fn logs(&self) -> io::Result<Vec<String>> {
        let mut logs: Vec<String> = names(&self.open()?)?.iter().filter_map(|n| log_of(n)).collect();
        logs.sort();
        logs.dedup();
        Ok(logs)
    }

    /// The device and inode of the file that is written to now. `None`: there is none.
    pub(crate) fn live(&self, log: &str) -> Option<(u64, u64)> {
        let folder = self.open().ok()?;
        let stat = rustix::fs::statat(&folder, log, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).ok()?;
        Some((stat.st_dev, stat.st_ino))
    }

    /// All files of a log, oldest first. They were all there at one moment.
    pub(crate) fn siblings(&self, log: &str) -> io::Result<Vec<Sibling>> {
        let folder = match self.open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let mut found = Self::list(&folder, log)?;
        for _ in 0..TRIES {
            let again = Self::list(&folder, log)?;
            let same = |a: &Sibling, b: &Sibling| (&a.name, a.inode) == (&b.name, b.inode);
            if found.len() == again.len() && found.iter().zip(&again).all(|(a, b)| same(a, b)) {
                break;
            }
            found = again;
        }
        Ok(found)
    }

    fn list(folder: &OwnedFd, log: &str) -> io::Result<Vec<Sibling>> {
        let mut files = Vec::new();
        let all = names(folder)?;
        for name in &all {
            let Some(age) = age_of(log, name) else { continue };
            // While it is compressed it is there twice, and the second one is not complete.
            let is_begun = name.strip_suffix(".gz").is_some_and(|plain| all.iter().any(|n| n == plain));
            if !is_begun {
                files.push((age, name.clone()));
            }
        }
        sort(&mut files);
        let left_out = files.len().saturating_sub(FILES_MAX);
        let mut siblings: Vec<(Age, Sibling)> = Vec::new();
        for (age, name) in files.into_iter().skip(left_out) {
            let Some(sibling) = Self::file(folder, &name)? else { continue };
            // Between two names of one rotation, a file can be met twice.
            if siblings.iter().all(|(_, known)| known.inode != sibling.inode) {
                siblings.push((age, sibling));
            }
        }
        let kinds = |want: fn(&Age) -> bool| siblings.iter().any(|(age, _)| want(age));
        if kinds(|a| matches!(a, Age::Number(_))) && kinds(|a| matches!(a, Age::Date(_))) {
            siblings.sort_by_key(|(age, sibling)| (*age == Age::Live, sibling.modified));
        }
        Ok(siblings.into_iter().map(|(_, sibling)| sibling).collect())
    }
}

fn names(folder: &OwnedFd) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for item in Dir::read_from(folder)? {
        let item = item?;
        if let Ok(name) = item.file_name().to_str()
            && is_plain(name)
        {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// Whether a name can stand in a cursor.
fn is_plain(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && !name.starts_with(['.', '-'])
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

pub(crate) fn modified(meta: &std::fs::Metadata) -> u64 {
    u64::try_from(meta.mtime() * 1_000_000 + meta.mtime_nsec() / 1000).unwrap_or(0)
}

fn born(meta: &std::fs::Metadata) -> Option<u64> {
    let since = meta.created().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    u64::try_from(since.as_micros()).ok()
}

fn is_gz(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "gz")
}

fn sort(files: &mut [(Age, String)]) {
    files.sort_by(|(a, a_name), (b, b_name)| {
        let by_age = match (a, b) {
            (Age::Number(a), Age::Number(b)) => b.cmp(a),
            (Age::Date(a), Age::Date(b)) => a.cmp(b),
            (Age::Live, Age::Live) => Ordering::Equal,
            (Age::Live, _) => Ordering::Greater,
            (_, Age::Live) => Ordering::Less,
            (Age::Number(_), Age::Date(_)) => Ordering::Less,
            (Age::Date(_), Age::Number(_)) => Ordering::Greater,
        };
        by_age.then_with(|| b_name.cmp(a_name))
    });
}

/// Whether a file belongs to a log, and how.
fn age_of(log: &str, name: &str) -> Option<Age> {
    if name == log {
        return Some(Age::Live);
    }
    let plain = name.strip_suffix(".gz").unwrap_or(name);
    if let Some(mark) = plain.strip_prefix(log).and_then(|rest| rest.strip_prefix(['.', '-'])) {
        return mark_of(mark);
    }
    // logrotate's `extension .log` puts the mark before it.
    let (stem, extension) = log.rsplit_once('.')?;
    let rest = plain.strip_prefix(stem)?.strip_suffix(extension)?.strip_suffix('.')?;
    mark_of(rest.strip_prefix('-')?).filter(|age| matches!(age, Age::Date(_)))
}

fn mark_of(mark: &str) -> Option<Age> {
    let digits = mark.bytes().take_while(u8::is_ascii_digit).count();
    if digits == mark.len() && (1..=6).contains(&digits) {
        return mark.parse().ok().map(Age::Number);
    }
    let is_date = digits >= 8 || (mark.len() >= 10 && digits == 4);
    let fits = is_date && mark.bytes().all(|b| b.is_ascii_digit() || b"-_.T".contains(&b));
    fits.then(|| Age::Date(mark.to_owned()))
}

/// The log that a file belongs to.
fn log_of(name: &str) -> Option<String> {
    let plain = name.strip_suffix(".gz").unwrap_or(name);
    let end = plain.rfind(".log")? + 4;
    let (log, stem) = (&plain[..end], &plain[..end - 4]);
    let is_date = |at: &usize| matches!(mark_of(&stem[at + 1..]), Some(Age::Date(_)));
    match stem.find("-20").filter(is_date) {
        Some(at) if plain == log => Some(format!("{}.log", &stem[..at])),
        _ => age_of(log, name).map(|_| log.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn rotated_files_are_found_and_put_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let make = |name: &str| fs::write(folder.path().join(name), name).unwrap();
        let order = ["access.log.10.gz", "access.log.2.gz", "access.log.1", "access.log"];
        order.iter().rev().for_each(|name| make(name));
        for other in
            ["access.log.bak", "access.log.1.gz.tmp", "xaccess.log", "access.logs", "error.log", "-x.log"]
        {
            make(other);
        }
        let of = Folder::new(folder.path(), &[]);
        let names: Vec<_> = of.siblings("access.log").unwrap().into_iter().map(|s| s.name).collect();
        assert_eq!(names, order);
        assert_eq!(of.logs().unwrap(), ["access.log", "error.log", "xaccess.log"]);
        assert!(of.siblings("none.log").unwrap().is_empty());
        assert!(Folder::new(folder.path().join("none"), &[]).siblings("a.log").unwrap().is_empty());
    }

    #[test]
    fn dates_are_put_in_order_wherever_they_stand() {
        let mut files: Vec<_> =
            ["a.log", "a.log-20261125.gz", "a.log-20261124", "a.log.20261126", "a-20261127.log"]
                .into_iter()
                .map(|name| (age_of("a.log", name).unwrap(), name.to_owned()))
                .collect();
        sort(&mut files);
        let names: Vec<_> = files.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(
            names,
            ["a.log-20261124", "a.log-20261125.gz", "a.log.20261126", "a-20261127.log", "a.log"]
        );
        assert_eq!(log_of("a-20261127.log.gz").as_deref(), Some("a.log"));
    }

    /// What lies in an app's folder is the app's: a link there must not show what the agent can read.
    #[test]
    fn links_and_pipes_are_no_logs() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("secret"), "secret").unwrap();
        symlink(at("secret"), at("a.log")).unwrap();
        fs::hard_link(at("secret"), at("a.log.1")).unwrap();
        rustix::fs::mknodat(CWD, at("a.log.2"), rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();
        fs::create_dir(at("a.log.3")).unwrap();
        assert!(Folder::new(folder.path(), &[]).siblings("a.log").unwrap().is_empty());
        fs::create_dir(at("real")).unwrap();
        symlink(at("real"), at("shared")).unwrap();
        assert!(Folder::new(folder.path(), &["shared"]).siblings("a.log").is_err());
    }
}
