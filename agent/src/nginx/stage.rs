//! A configuration on its way to being tested, and the unit that nginx tests it in.

use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, symlink},
    path::{Path, PathBuf},
    time::Duration,
};

use hms_proto::fault::{Fault, FaultKind};
use uuid::Uuid;

use super::{
    check::Purpose,
    folder::{Folder, Node},
    paths::{self, is_in},
    tree::{Directive, Parsed},
};
use crate::systemd::work::Work;

/// Security case 59.
const LIMIT: Duration = Duration::from_secs(10);
/// CAP_CHOWN for nginx's folders, CAP_DAC_READ_SEARCH for keys of other owners, CAP_NET_BIND_SERVICE.
const CAPABILITIES: &[u8] = &[0, 2, 10];
/// Folders that nginx writes to while it tests.
const SCRATCH: [&str; 5] = ["/run", "/var/log/nginx", "/var/lib/nginx", "/var/cache", "/var/tmp"];

/// A folder with a configuration to be tested. It is gone when this is.
#[derive(Debug)]
pub(crate) struct Stage {
    id: String,
    path: PathBuf,
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(%error, path = %self.path.display(), "cannot remove a stage");
        }
    }
}

fn disk(error: io::Error) -> Fault {
    Fault::new(
        FaultKind::Failed,
        format!("the configuration cannot be staged below /var/lib/hms-agent: {error}"),
    )
    .hint("Nothing was changed. Is the disk full?")
}

/// Removes what runs that were killed left behind.
pub(crate) fn clear(state: &Path) {
    drop(fs::remove_dir_all(state.join("stage")));
}

impl Stage {
    /// An empty one.
    pub(crate) fn new(state: &Path) -> Result<Self, Fault> {
        let id = Uuid::new_v4().simple().to_string();
        let path = state.join("stage").join(&id);
        DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(disk)?;
        Ok(Self { id, path })
    }

    /// Writes this configuration into it.
    pub(crate) fn fill(&self, folder: &Folder, hosts: &str) -> Result<(), Fault> {
        write(&self.path.join("hosts"), hosts.as_bytes(), 0o644).map_err(disk)?;
        let tree = self.path.join("tree");
        make(&tree).map_err(disk)?;
        for (path, entry) in &folder.entries {
            let target = tree.join(path);
            if let Some(parent) = target.parent() {
                make(parent).map_err(disk)?;
            }
            match &entry.node {
                Node::File(content) => write(&target, content, 0o644).map_err(disk)?,
                Node::Link(to) => symlink(to, &target).map_err(disk)?,
                Node::Other => {}
            }
        }
        Ok(())
    }

    /// The unit that tests it.
    pub(crate) fn work<'a>(&self, purpose: Purpose, files: impl Iterator<Item = &'a Parsed>) -> Work {
        let at = |name: &str| self.path.join(name).to_string_lossy().into_owned();
        let nginx = ["/usr/sbin/nginx", "-t", "-q", "-e", "stderr", "-g", "daemon on; master_process on;"];
        // Without -e (nginx before 1.19.5) it complains of a log that it cannot open, and goes on.
        let mut empty: BTreeSet<String> = SCRATCH.iter().map(|s| (*s).to_owned()).collect();
        // Folders within them are there as on the host: nginx makes files, and the last folder of a path.
        empty.extend(parents(files));
        empty.retain(|path| Path::new(path).is_dir());
        Work {
            unit: format!("hms-nginx-test-{}.service", self.id),
            description: match purpose {
                Purpose::Look => "nginx tests its configuration for HMS".to_owned(),
                Purpose::Change => "nginx tests a change for HMS".to_owned(),
            },
            command: nginx.map(str::to_owned).to_vec(),
            binds: vec![(at("tree"), paths::ROOT.to_owned()), (at("hosts"), "/etc/hosts".to_owned())],
            empty: empty.into_iter().collect(),
            capabilities: CAPABILITIES,
            limit: LIMIT,
            ..Work::default()
        }
    }
}

fn make(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o755).create(path)
}

fn write(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?.write_all(content)
}

/// Folders that files of the configuration go to, as far as nginx makes the files and not the folders.
fn parents<'a>(files: impl Iterator<Item = &'a Parsed>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut visit = |d: &Directive| {
        let name = d.name.value.as_str();
        if (name.ends_with("_log") || name.ends_with("_path") || name == "pid" || name == "listen")
            && let Some(path) = d.arg(0).strip_prefix("unix:").or(Some(d.arg(0)))
            && path.starts_with('/')
            && !path.contains('$')
            && let Some((parent, _)) = path.trim_end_matches('/').rsplit_once('/')
            && SCRATCH.iter().any(|scratch| is_in(parent, scratch))
        {
            found.insert(parent.to_owned());
        }
    };
    files.flat_map(|f| &f.directives).for_each(|d| d.walk(&mut visit));
    found.into_iter().take(200).collect()
}
