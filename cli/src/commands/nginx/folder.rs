//! Trees of files on this machine: the ones to apply, and exported ones.

use std::{
    collections::BTreeSet,
    fs, io,
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, symlink},
    path::{Path, PathBuf},
};

use clap::Args;
use clap_complete::engine::{ArgValueCompleter, PathCompleter};
use hms_proto::fault::Fault;

use super::{path::ConfigPath, target::Target};
use crate::{
    failure::{Failure, Result},
    session::Session,
    trouble,
};

/// More files than a host takes in all.
const FILES_MAX: usize = 2_000;

/// What is to be applied.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Where each belongs, and where it is.
    pub(super) files: Vec<(ConfigPath, PathBuf)>,
    /// Sites with a link in sites-enabled/.
    pub(super) enabled: BTreeSet<ConfigPath>,
}

/// Looks through folders and files.
pub(super) fn find(session: &Session, sources: &[PathBuf]) -> Result<Found> {
    let mut found = Found::default();
    let mut left_out = Vec::new();
    for source in sources {
        let text = source.to_string_lossy();
        if source.is_dir() {
            walk(source, "", &mut found, &mut left_out).map_err(|e| unreadable(source, &e))??;
        } else if let Some((path, file)) = text.split_once('=').filter(|_| !source.exists()) {
            found.files.push((ConfigPath::typed(path)?, file.into()));
        } else {
            found.files.push((ConfigPath::of_local(source)?, source.clone()));
        }
    }
    for path in left_out {
        session.out.note(&format!("left out: {path}"));
    }
    found.files.sort();
    if let Some(pair) = found.files.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(Fault::invalid(format!("{} is named twice", pair[0].0)).into());
    }
    if found.files.len() > FILES_MAX {
        return Err(Fault::invalid(format!("more than {FILES_MAX} files")).into());
    }
    Ok(found)
}

/// Takes regular files and links of sites; leaves out hidden files, what editors leave behind, and other links.
fn walk(root: &Path, below: &str, found: &mut Found, left_out: &mut Vec<String>) -> io::Result<Result<()>> {
    for entry in fs::read_dir(root.join(below))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if below.is_empty() { name.clone() } else { format!("{below}/{name}") };
        let kind = entry.file_type()?;
        if name.starts_with('.') || name.ends_with('~') {
            left_out.push(path);
        } else if kind.is_dir() {
            if let Err(failure) = walk(root, &path, found, left_out)? {
                return Ok(Err(failure));
            }
        } else if kind.is_symlink() {
            match site_of_link(below, &entry.path()) {
                Some(site) => drop(found.enabled.insert(site)),
                None => left_out.push(path),
            }
        } else {
            match ConfigPath::whole(&path) {
                Ok(path) => found.files.push((path, entry.path())),
                Err(fault) => return Ok(Err(fault.into())),
            }
        }
        if found.files.len() > FILES_MAX {
            break;
        }
    }
    Ok(Ok(()))
}

/// The site that a link in sites-enabled/ enables.
fn site_of_link(folder: &str, link: &Path) -> Option<ConfigPath> {
    let target = fs::read_link(link).ok()?;
    let target = target.to_str()?;
    let site = target.strip_prefix("../").or_else(|| target.strip_prefix("/etc/nginx/"))?;
    let path = ConfigPath::whole(site).ok()?;
    (folder == "sites-enabled" && site.starts_with("sites-available/")).then_some(path)
}

#[derive(Debug, Args)]
pub(super) struct Export {
    /// A new or empty folder
    #[arg(value_name = "DIR", add = ArgValueCompleter::new(PathCompleter::dir()))]
    folder: PathBuf,
}

impl Export {
    pub(super) async fn run(self, target: &Target<'_>) -> Result<()> {
        let out = &target.session.out;
        let sink = Sink::new(&self.folder)?;
        let tree = target.tree().await?;
        let _progress = out.progress(format!("exporting from {}", target.label));
        let (mut written, mut links) = (0, Vec::new());
        for listed in tree.files.iter().take(FILES_MAX) {
            let path = ConfigPath::whole(&listed.path)?;
            let file = target.file(&listed.path).await?;
            if !file.locked.is_empty() {
                out.note(&format!("left out: {path} ({})", file.locked));
                continue;
            }
            sink.write(&path, &file.content)?;
            written += 1;
            if file.enabled && path.as_str().starts_with("sites-available/") {
                links.push(path);
            }
        }
        // Last, when nothing is written any more that could follow one.
        for site in &links {
            sink.link(site)?;
        }
        if out
            .data(&serde_json::json!({ "folder": self.folder, "files": written, "enabled": links.len() }))?
        {
            return Ok(());
        }
        out.line(&format!("{written} files of {} are in {}", target.label, self.folder.display()))
    }
}

/// A folder that was empty, so that everything in it is of our making and no link leads out.
struct Sink {
    folder: PathBuf,
}

impl Sink {
    fn new(folder: &Path) -> Result<Self> {
        // Files may hold what only root can read on the host.
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|e| unwritable(folder, &e))?;
        match fs::read_dir(folder).map_err(|e| unreadable(folder, &e))?.next() {
            None => Ok(Self { folder: folder.to_owned() }),
            Some(_) => {
                let what = format!("{} is not empty", folder.display());
                Err(Fault::invalid(what).hint("name a new or empty folder").into())
            }
        }
    }

    /// Writes a file that is not there yet.
    fn write(&self, path: &ConfigPath, content: &str) -> Result<()> {
        let file = self.folder.join(path.as_str());
        let attempt = || -> io::Result<()> {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(file.parent().unwrap_or(&self.folder))?;
            let mut to = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file)?;
            to.write_all(content.as_bytes())
        };
        attempt().map_err(|e| unwritable(&file, &e))
    }

    /// Enables a site as nginx has it.
    fn link(&self, site: &ConfigPath) -> Result<()> {
        let link = self.folder.join("sites-enabled").join(site.name());
        let attempt = || -> io::Result<()> {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(self.folder.join("sites-enabled"))?;
            symlink(format!("../{site}"), &link)
        };
        attempt().map_err(|e| unwritable(&link, &e))
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::local(format!("cannot read {}: {}", path.display(), trouble::plain(error)))
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::local(format!("cannot write {}: {}", path.display(), trouble::plain(error)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn path(text: &str) -> ConfigPath {
        ConfigPath::whole(text).unwrap()
    }

    #[test]
    fn an_exported_tree_is_private_and_can_be_applied_again() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("new/tree");
        let sink = Sink::new(&root).unwrap();
        for name in ["nginx.conf", "sites-available/cigar", "snippets/tls/a.conf"] {
            sink.write(&path(name), name).unwrap();
        }
        sink.link(&path("sites-available/cigar")).unwrap();
        let mode = |name: &str| fs::metadata(root.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(""), mode("sites-available"), mode("nginx.conf")), (0o700, 0o700, 0o600));
        assert_eq!(fs::read_to_string(root.join("sites-enabled/cigar")).unwrap(), "sites-available/cigar");

        let (mut found, mut left_out) = (Found::default(), Vec::new());
        fs::write(root.join(".swp"), "").unwrap();
        symlink("/etc/shadow", root.join("sites-enabled/evil")).unwrap();
        walk(&root, "", &mut found, &mut left_out).unwrap().unwrap();
        found.files.sort();
        let names: Vec<&str> = found.files.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(names, ["nginx.conf", "sites-available/cigar", "snippets/tls/a.conf"]);
        assert_eq!(found.enabled, BTreeSet::from([path("sites-available/cigar")]));
        left_out.sort();
        assert_eq!(left_out, [".swp", "sites-enabled/evil"]);
    }

    /// Security case 37.
    #[test]
    fn an_export_overwrites_nothing_and_follows_no_link() {
        let folder = tempfile::tempdir().unwrap();
        let (root, outside) = (folder.path().join("tree"), folder.path().join("outside"));
        fs::create_dir(&outside).unwrap();
        let sink = Sink::new(&root).unwrap();
        // A host that names a link as a site and then a file below it.
        sink.link(&path("sites-available/x")).unwrap();
        assert!(sink.write(&path("sites-enabled/x"), "evil").is_err());
        assert!(sink.write(&path("sites-enabled/x/y"), "evil").is_err());
        assert!(!root.join("sites-available/x").exists());
        sink.write(&path("a"), "one").unwrap();
        assert!(sink.write(&path("a"), "two").is_err());
        assert_eq!(fs::read_to_string(root.join("a")).unwrap(), "one");
        assert!(Sink::new(&root).is_err(), "a folder with something in it is not taken");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    }
}
