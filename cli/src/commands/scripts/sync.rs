//! `hmsctl scripts sync`: folders become the scripts of the installation.

use std::{
    fs, io,
    io::Read as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use clap::{Args, ValueHint};
use hms_proto::{
    controller::v1::{SyncScriptsRequest, SyncScriptsResponse},
    fault::{Fault, FaultKind},
    host::v1::ScriptFile,
    script::{self, LONGEST, MOST},
};

use crate::{
    connect::Pace,
    failure::{Failure, Result, render},
    output::{
        confirm,
        escape::inline,
        table::{Cell, Look, Table},
    },
    session::Session,
    trouble::plain,
};

const MANIFEST: &str = "manifest.toml";
/// A manifest is no book.
const MANIFEST_LONGEST: usize = 256 * 1024;

#[derive(Debug, Args)]
pub(super) struct SyncScripts {
    /// The folder
    #[arg(default_value = "remote_cli_tools", value_hint = ValueHint::DirPath)]
    folder: PathBuf,
    /// Only say what would change
    #[arg(long)]
    dry_run: bool,
    /// Do not ask before all scripts are removed
    #[arg(short, long)]
    yes: bool,
}

impl SyncScripts {
    pub(super) async fn run(self, session: &Session) -> Result<()> {
        let link = session.controller()?;
        let scripts = match read_all(&self.folder)? {
            (scripts, faults) if faults.is_empty() => scripts,
            (_, faults) => return Err(tell(session, faults)),
        };
        let none = scripts.is_empty() && !self.dry_run;
        let question = "There is no script in this folder. Remove all scripts of the installation?";
        if none && !confirm(question, self.yes, true)? {
            session.out.note("nothing was changed");
            return Ok(());
        }
        let request = SyncScriptsRequest { scripts, dry_run: self.dry_run };
        let progress = session.out.progress("syncing scripts".into());
        let done = link.answer(Pace::Act, link.scripts(None, Pace::Act).sync(request)).await?;
        drop(progress);
        if session.out.data(&done)? {
            return Ok(());
        }
        session.out.write(&table(&done).render(session.out.width, session.out.colour))?;
        session.out.note(&summary(&done, self.dry_run));
        Ok(())
    }
}

/// One problem is the error; several are told one by one.
fn tell(session: &Session, mut faults: Vec<Fault>) -> Failure {
    if faults.len() == 1 {
        return faults.remove(0).into();
    }
    for fault in &faults {
        session.out.say(&render(&fault.clone()));
    }
    let what = format!("{} scripts have mistakes, so nothing was changed", faults.len());
    Fault::invalid(what).hint("mend them and sync again").into()
}

fn table(done: &SyncScriptsResponse) -> Table {
    let mut table = Table::new(&["", ""]);
    for (word, look, names) in [
        ("+ added", Look::Good, &done.added),
        ("~ changed", Look::Busy, &done.changed),
        ("- removed", Look::Bad, &done.removed),
    ] {
        for name in names {
            table.row(vec![Cell::new(word, look), name.into()]);
        }
    }
    table
}

fn summary(done: &SyncScriptsResponse, dry_run: bool) -> String {
    let count = done.added.len() + done.changed.len() + done.removed.len();
    let same = match done.unchanged.len() {
        1 => "1 script stays as it is".to_owned(),
        n => format!("{n} scripts stay as they are"),
    };
    match (count, dry_run) {
        (0, _) => same,
        (_, true) => format!("{same}; nothing was changed yet"),
        (_, false) => format!("{same}; the hosts get the new ones now"),
    }
}

/// Reads every folder in a folder; what cannot be used is told with the rest.
fn read_all(folder: &Path) -> Result<(Vec<ScriptFile>, Vec<Fault>)> {
    let entries = fs::read_dir(folder).map_err(|error| {
        unreadable(folder, &error).hint("name the folder with the scripts: hmsctl scripts sync FOLDER")
    })?;
    let mut folders = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| unreadable(folder, &error))?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if path.is_dir() && !hidden {
            folders.push(path);
        }
    }
    folders.sort();
    if folders.len() > MOST {
        let what =
            format!("{} has {} folders: at most {MOST} scripts can be synced", shown(folder), folders.len());
        return Err(Fault::invalid(what).into());
    }
    let (mut scripts, mut faults) = (Vec::new(), Vec::new());
    for path in folders {
        match read_one(&path) {
            Ok(script) => scripts.push(script),
            Err(fault) => faults.push(*fault),
        }
    }
    Ok((scripts, faults))
}

fn read_one(folder: &Path) -> Result<ScriptFile, Box<Fault>> {
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let manifest = folder.join(MANIFEST);
    let text = read(&manifest, MANIFEST_LONGEST).map_err(|fault| {
        Box::new(fault.hint(format!("each script's folder has a {MANIFEST}; see docs/scripts.md")))
    })?;
    let text = String::from_utf8(text)
        .map_err(|_| Fault::invalid(format!("{} is not UTF-8 text", shown(&manifest))))?;
    let content = read(&the_script(folder, name)?, LONGEST)?;
    script::read(name, &text, content).map_err(|fault| {
        let told = one_line(&fault.message);
        let short = format!("{name}/{MANIFEST}");
        let message = match told.starts_with(&short) {
            true => told.replacen(&short, &shown(&manifest), 1),
            false => format!("{}: {told}", shown(folder)),
        };
        Box::new(Fault { message, ..fault })
    })
}

/// What a parser drew over several lines, on one.
fn one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    // The picture of the place, with bars and carets, needs its lines.
    let told = lines.filter(|line| !line.starts_with('|') && !line.starts_with(|c: char| c.is_ascii_digit()));
    told.collect::<Vec<_>>().join("; ")
}

/// The one executable file of a folder.
fn the_script(folder: &Path, name: &str) -> Result<PathBuf, Box<Fault>> {
    let entries = fs::read_dir(folder).map_err(|error| unreadable(folder, &error))?;
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| unreadable(folder, &error))?.path();
        let meta = fs::metadata(&path).map_err(|error| unreadable(&path, &error))?;
        if meta.is_file() && meta.permissions().mode() & 0o111 != 0 {
            found.push(path);
        }
    }
    found.sort();
    let wanted = format!("a script is one executable file, such as {name}.sh, beside its {MANIFEST}");
    match found.as_slice() {
        [one] if one.file_stem().is_some_and(|stem| stem == name) => Ok(one.clone()),
        [one] => {
            let what = format!("{} is not called after its folder", shown(one));
            Err(Box::new(Fault::invalid(what).hint(format!("call it `{name}`, with any extension"))))
        }
        [] => {
            let what = format!("{} has no executable file", shown(folder));
            Err(Box::new(Fault::invalid(what).hint(format!("{wanted}: chmod +x"))))
        }
        [one, two, ..] => {
            let what = format!("{} has two executable files, {} and {}", shown(folder), base(one), base(two));
            Err(Box::new(Fault::invalid(what).hint(wanted)))
        }
    }
}

fn read(path: &Path, longest: usize) -> Result<Vec<u8>, Fault> {
    let file = fs::File::open(path).map_err(|error| unreadable(path, &error))?;
    let mut content = Vec::new();
    file.take(longest as u64 + 1).read_to_end(&mut content).map_err(|error| unreadable(path, &error))?;
    match content.len() > longest {
        true => Err(Fault::invalid(format!("{} is larger than {} KiB", shown(path), longest / 1024))),
        false => Ok(content),
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Fault {
    let what = format!("{} cannot be read: {}", shown(path), plain(error));
    Fault::new(
        if error.kind() == io::ErrorKind::NotFound { FaultKind::Invalid } else { FaultKind::Failed },
        what,
    )
}

fn shown(path: &Path) -> String {
    inline(&path.to_string_lossy()).into_owned()
}

fn base(path: &Path) -> String {
    inline(&path.file_name().unwrap_or_default().to_string_lossy()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "title = \"T\"\ndescription = \"D\"\ntimeout = \"30s\"\n";

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn file(&self, path: &str, text: &str, mode: u32) -> &Self {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            self
        }

        fn script(&self, name: &str) -> &Self {
            self.file(&format!("{name}/manifest.toml"), GOOD, 0o644).file(
                &format!("{name}/{name}.sh"),
                "#!/bin/bash\n",
                0o755,
            )
        }

        fn fault(&self) -> String {
            let (_, mut faults) = read_all(self.0.path()).unwrap();
            assert_eq!(faults.len(), 1, "{faults:?}");
            let fault = faults.remove(0);
            let root = format!("{}/", self.0.path().display());
            assert_eq!(fault.row().exit, 2, "{fault:?}");
            format!("{} | {}", fault.message.replace(&root, ""), fault.hint)
        }
    }

    #[test]
    fn each_folder_is_a_script_and_other_files_are_left_alone() {
        let folder = Folder::new();
        folder.script("b").script("a").file("README.md", "x", 0o644).file(".git/config", "x", 0o644);
        folder.file("a/notes.txt", "x", 0o644);
        let (scripts, faults) = read_all(folder.0.path()).unwrap();
        assert!(faults.is_empty(), "{faults:?}");
        let names: Vec<_> = scripts.iter().map(|s| s.script.as_ref().unwrap().name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(scripts[0].content, b"#!/bin/bash\n");
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        let mut all = String::new();
        for (path, text, mode) in [
            ("a/manifest.toml", "title = \"T\"\ntimeout = 30\n", 0o644),
            ("a/manifest.toml", "title = \"T\ntimeout", 0o644),
            (
                "a/manifest.toml",
                "title = \"T\"\ndescription = \"D\"\ntimeout = \"30s\"\ncolour = \"red\"\n",
                0o644,
            ),
            ("a/a.sh", "echo hi", 0o755),
            ("a/a.sh", "#!/bin/bash\n", 0o644),
            ("a/a.py", "#!/usr/bin/python3\n", 0o755),
        ] {
            let folder = Folder::new();
            all += &format!("{}\n", folder.script("a").file(path, text, mode).fault());
        }
        let folder = Folder::new();
        all += &format!("{}\n", folder.file("a/a.sh", "#!/bin/bash\n", 0o755).fault());
        let folder = Folder::new();
        folder.file("a/manifest.toml", GOOD, 0o644).file("a/other.sh", "#!/bin/bash\n", 0o755);
        all += &format!("{}\n", folder.fault());
        let folder = Folder::new();
        all += &format!("{}\n", folder.script("Bad-Name").fault());
        insta::assert_snapshot!(all);
    }

    #[test]
    fn the_example_of_the_guide_is_a_script() {
        let guide = include_str!("../../../../docs/scripts.md");
        let block = |kind: &str| {
            let (_, rest) = guide.split_once(&format!("```{kind}\n")).unwrap();
            rest.split_once("```").unwrap().0
        };
        let folder = Folder::new();
        folder.file("check_uptime/manifest.toml", block("toml"), 0o644);
        folder.file("check_uptime/check_uptime.sh", block("bash"), 0o755);
        let (scripts, faults) = read_all(folder.0.path()).unwrap();
        assert!(faults.is_empty() && scripts.len() == 1, "{faults:?}");
    }

    #[test]
    fn a_folder_that_is_not_there_is_a_mistake_in_the_command() {
        let failure = read_all(Path::new("/nowhere/at all")).unwrap_err();
        assert_eq!(failure.exit_code(), 2);
    }

    #[test]
    fn what_changed_is_a_line_each() {
        let done = SyncScriptsResponse {
            added: vec!["a".into()],
            changed: vec!["b".into()],
            removed: vec!["c".into()],
            unchanged: vec!["d".into()],
        };
        assert_eq!(table(&done).render(None, false), "+ added    a\n~ changed  b\n- removed  c\n");
        assert_eq!(summary(&done, true), "1 script stays as it is; nothing was changed yet");
        assert_eq!(summary(&SyncScriptsResponse::default(), false), "0 scripts stay as they are");
    }
}
