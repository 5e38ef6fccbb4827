//! Files of the agent's own: private, on the disk before anybody relies on them, and put in place in one step.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
};

use rustix::fs::{CWD, RenameFlags};

/// Makes a folder that only root can enter, unless it is there.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Writes a file that must not be there yet, and waits until it is on the disk.
pub(crate) fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = private_file(path, OpenOptions::new().create_new(true))?;
    file.write_all(content)?;
    file.sync_all()
}

/// Opens a file for writing that only root can use.
pub(crate) fn private_file(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    options.write(true).mode(0o600).open(path)
}

/// Waits until what was put into a folder, or taken out of it, is on the disk.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Puts a finished folder in the place of whatever is there, and removes that.
pub(crate) fn replace_folder(staged: &Path, target: &Path) -> io::Result<()> {
    sync_folder(staged)?;
    if target.try_exists()? {
        // A folder with content cannot be renamed over, but two can change places in one step.
        rustix::fs::renameat_with(CWD, staged, CWD, target, RenameFlags::EXCHANGE)?;
    } else {
        fs::rename(staged, target)?;
    }
    sync_parent(target)?;
    remove_folder(staged)
}

/// Writes a file as a whole where there is none. `false` when there is one: it stays.
pub(crate) fn write_once(path: &Path, content: &[u8]) -> io::Result<bool> {
    let staged = path.with_extension(format!("{}.new", uuid::Uuid::new_v4().simple()));
    write_new(&staged, content)?;
    match rustix::fs::renameat_with(CWD, &staged, CWD, path, RenameFlags::NOREPLACE) {
        Ok(()) => sync_parent(path).map(|()| true),
        Err(error) => {
            fs::remove_file(&staged)?;
            if error == rustix::io::Errno::EXIST { Ok(false) } else { Err(error.into()) }
        }
    }
}

/// Writes a file as a whole, in the place of whatever is there.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let staged = path.with_extension(format!("{}.new", uuid::Uuid::new_v4().simple()));
    write_new(&staged, content)?;
    if let Err(error) = fs::rename(&staged, path) {
        fs::remove_file(&staged)?;
        return Err(error);
    }
    sync_parent(path)
}

/// Reads a file that may be missing, and at most so much of it.
pub(crate) fn read_if_there(path: &Path, most: u64) -> io::Result<Option<Vec<u8>>> {
    let mut content = Vec::new();
    match File::open(path) {
        Ok(file) => file.take(most).read_to_end(&mut content).map(|_| Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes a folder with everything in it, if it is there.
pub(crate) fn remove_folder(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), sync_folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_to_write_a_file_decides() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("result.json");
        assert_eq!(read_if_there(&path, 100).unwrap(), None);
        assert!(write_once(&path, b"first").unwrap());
        assert!(!write_once(&path, b"second").unwrap());
        assert_eq!(read_if_there(&path, 100).unwrap().unwrap(), b"first");
        assert_eq!(read_if_there(&path, 3).unwrap().unwrap(), b"fir");
        replace(&path, b"third").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"third");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
