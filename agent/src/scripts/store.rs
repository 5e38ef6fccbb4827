//! The scripts on the disk. They are replaced as a set or not at all, and none is run that is not what was delivered.

use std::{
    fs::File,
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock},
};

use hms_proto::{
    fault::{Fault, FaultKind},
    host::v1::{Script, ScriptFile},
    names::ScriptName,
    script::{self, LONGEST},
};
use rustix::fs::{Mode, OFlags};

use crate::files;

const FOLDER: &str = "scripts";
/// No script has this name: they have no dots.
const INDEX: &str = "index.json";
/// 200 manifests, with room.
const INDEX_MOST: u64 = 16 * 1024 * 1024;
const SYNC: &str = "Deliver it again: `hmsctl scripts sync`.";

/// The scripts of this host.
#[derive(Debug)]
pub(crate) struct Scripts {
    state: PathBuf,
    /// Whoever reads sees one set.
    lock: RwLock<()>,
}

impl Scripts {
    /// Below this state folder.
    pub(crate) fn new(state: &Path) -> Self {
        Self { state: state.to_owned(), lock: RwLock::default() }
    }

    /// All manifests, by name.
    pub(crate) fn list(&self) -> Result<Vec<Script>, Fault> {
        let _set = self.lock.read().unwrap_or_else(PoisonError::into_inner);
        self.index()
    }

    /// Makes these the scripts of this host.
    pub(crate) fn install(&self, mut scripts: Vec<ScriptFile>) -> Result<Vec<Script>, Fault> {
        script::check_all(&scripts)?;
        let name = |f: &ScriptFile| f.script.as_ref().map(|s| s.name.clone()).unwrap_or_default();
        scripts.sort_by_key(name);
        let _set = self.lock.write().unwrap_or_else(PoisonError::into_inner);
        self.replace(&scripts).map_err(|error| {
            Fault::new(FaultKind::Failed, format!("the scripts cannot be stored: {error}"))
                .hint(format!("Look at {} on the host.", self.state.display()))
        })?;
        Ok(scripts.into_iter().filter_map(|f| f.script).collect())
    }

    /// A script with its content, if that is what was delivered.
    pub(crate) fn open(&self, name: &ScriptName) -> Result<(Script, Vec<u8>), Fault> {
        let _set = self.lock.read().unwrap_or_else(PoisonError::into_inner);
        let script = self.index()?.into_iter().find(|s| s.name == name.as_str()).ok_or_else(|| {
            Fault::not_found("script", name.as_str())
                .hint("`hmsctl scripts list` shows what there is; `hmsctl scripts sync` delivers it.")
        })?;
        let content = read_checked(&self.folder().join(name.as_str())).map_err(|why| changed(name, &why))?;
        if script::sha256(&content) != script.sha256 {
            return Err(changed(name, "its content is not what its hash says"));
        }
        Ok((script, content))
    }

    fn folder(&self) -> PathBuf {
        self.state.join(FOLDER)
    }

    fn index(&self) -> Result<Vec<Script>, Fault> {
        let read = files::read_if_there(&self.folder().join(INDEX), INDEX_MOST);
        let parsed = read.and_then(|text| text.map_or(Ok(Vec::new()), |t| Ok(serde_json::from_slice(&t)?)));
        parsed.map_err(|error| {
            Fault::new(FaultKind::Failed, format!("the list of scripts on this host cannot be read: {error}"))
                .hint(SYNC)
        })
    }

    fn replace(&self, scripts: &[ScriptFile]) -> io::Result<()> {
        let staged = self.state.join("scripts.new");
        // Left by a run that was killed.
        files::remove_folder(&staged)?;
        files::make_folder(&staged)?;
        let manifests: Vec<_> = scripts.iter().filter_map(|f| f.script.as_ref()).collect();
        for (file, script) in scripts.iter().zip(&manifests) {
            files::write_new(&staged.join(&script.name), &file.content)?;
        }
        files::write_new(&staged.join(INDEX), &serde_json::to_vec(&manifests)?)?;
        files::replace_folder(&staged, &self.folder())
    }
}

/// Reads a file that nobody but its owner, who is the agent's user, can have changed, through one descriptor.
fn read_checked(path: &Path) -> Result<Vec<u8>, String> {
    // Without waiting: it may be a pipe.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = rustix::fs::open(path, flags, Mode::empty()).map(File::from).map_err(|e| match e {
        rustix::io::Errno::LOOP => "it is a symbolic link".to_owned(),
        error => format!("it cannot be opened: {error}"),
    })?;
    let about = file.metadata().map_err(|e| e.to_string())?;
    if !about.is_file() {
        return Err("it is not a file".to_owned());
    }
    if about.uid() != rustix::process::geteuid().as_raw() {
        return Err(format!("it belongs to user {}", about.uid()));
    }
    if about.nlink() != 1 {
        return Err("it has another name as well (a hard link)".to_owned());
    }
    if about.mode() & 0o022 != 0 {
        return Err(format!("others can write to it (mode {:o})", about.mode() & 0o7777));
    }
    let mut content = Vec::new();
    file.take(LONGEST as u64 + 1).read_to_end(&mut content).map_err(|e| e.to_string())?;
    Ok(content)
}

fn changed(name: &ScriptName, why: &str) -> Fault {
    let message = format!("`{name}` was changed on this host after it was delivered: {why}");
    Fault::new(FaultKind::Conflict, message).hint(SYNC)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    fn file(name: &str, text: &str) -> ScriptFile {
        let script = Script {
            name: name.into(),
            title: "Test".into(),
            description: "Tests.".into(),
            timeout_s: 5,
            output_limit_bytes: 1024,
            sha256: script::sha256(text.as_bytes()),
            ..Script::default()
        };
        ScriptFile { script: Some(script), content: text.as_bytes().to_vec() }
    }

    fn name(text: &str) -> ScriptName {
        ScriptName::try_from(text).unwrap()
    }

    #[test]
    fn a_set_replaces_the_one_before_or_nothing() {
        let state = tempfile::tempdir().unwrap();
        let scripts = Scripts::new(state.path());
        assert!(scripts.list().unwrap().is_empty());
        scripts.install(vec![file("b", "#!/bin/sh\n1"), file("a", "#!/bin/sh\n2")]).unwrap();
        let names: Vec<_> = scripts.list().unwrap().into_iter().map(|s| s.name).collect();
        assert_eq!(names, ["a", "b"]);
        let mut bad = file("c", "#!/bin/sh\n");
        bad.content = b"#!/bin/sh\nrm".to_vec();
        assert!(scripts.install(vec![file("a", "#!/bin/sh\n3"), bad]).is_err());
        assert_eq!(scripts.open(&name("a")).unwrap().1, b"#!/bin/sh\n2");
        // As a killed run would leave it.
        fs::create_dir(state.path().join("scripts.new")).unwrap();
        scripts.install(vec![file("c", "#!/bin/sh\n4")]).unwrap();
        assert_eq!(scripts.open(&name("a")).unwrap_err().kind(), FaultKind::NotFound);
        assert_eq!(scripts.open(&name("c")).unwrap().1, b"#!/bin/sh\n4");
    }

    /// Security case 48.
    #[test]
    fn what_was_changed_after_delivery_is_refused_with_the_reason() {
        let state = tempfile::tempdir().unwrap();
        let scripts = Scripts::new(state.path());
        let path = state.path().join("scripts/a");
        let deliver = || scripts.install(vec![file("a", "#!/bin/sh\n")]).unwrap();
        let refused = |why: &str| {
            let fault = scripts.open(&name("a")).unwrap_err();
            assert_eq!(fault.kind(), FaultKind::Conflict);
            assert!(fault.message.contains(why), "{}", fault.message);
        };
        deliver();
        fs::write(&path, "#!/bin/sh\nid").unwrap();
        refused("its content");
        deliver();
        fs::rename(&path, state.path().join("elsewhere")).unwrap();
        std::os::unix::fs::symlink(state.path().join("elsewhere"), &path).unwrap();
        refused("symbolic link");
        deliver();
        fs::hard_link(&path, state.path().join("other")).unwrap();
        refused("hard link");
        deliver();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o620)).unwrap();
        refused("mode 620");
        deliver();
        fs::remove_file(&path).unwrap();
        refused("cannot be opened");
        fs::create_dir(&path).unwrap();
        refused("not a file");
        deliver();
        assert!(scripts.open(&name("a")).is_ok());
    }
}
