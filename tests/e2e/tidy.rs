//! The structure of the code, where a machine can check it: ARCHITECTURE.md says why.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use hms_tests::paths;

/// Which crates of the workspace a crate may use.
const EDGES: &[(&str, &[&str])] = &[
    ("proto", &[]),
    ("web", &[]),
    ("journal", &[]),
    ("agent", &["hms-journal", "hms-proto"]),
    ("cli", &["hms-proto"]),
    ("controller", &["hms-proto", "hms-web"]),
    ("tests", &["hms-journal", "hms-proto"]),
];

fn rust_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() && !path.ends_with("node_modules") {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    Ok(files)
}

fn sources() -> Result<BTreeMap<PathBuf, String>> {
    let root = paths::repository();
    let mut sources = BTreeMap::new();
    for (name, _) in EDGES {
        for file in rust_files(&root.join(name))? {
            let text = fs::read_to_string(&file)?;
            sources.insert(file.strip_prefix(&root)?.to_owned(), text);
        }
    }
    Ok(sources)
}

#[test]
fn crates_use_only_what_the_map_says() -> Result<()> {
    for (name, allowed) in EDGES {
        let manifest = fs::read_to_string(paths::repository().join(name).join("Cargo.toml"))?;
        let used = manifest
            .lines()
            .filter_map(|line| line.split(['.', ' ', '=']).next())
            .filter(|word| word.starts_with("hms-"));
        for crate_name in used {
            ensure!(allowed.contains(&crate_name), "{name} uses {crate_name}");
        }
    }
    Ok(())
}

#[test]
fn every_file_says_in_its_head_what_it_is() -> Result<()> {
    let without: Vec<_> =
        sources()?.into_iter().filter(|(_, text)| !text.starts_with("//! ")).map(|(path, _)| path).collect();
    ensure!(without.is_empty(), "no `//!` head: {without:?}");
    Ok(())
}

#[test]
fn each_layer_keeps_to_its_folder() -> Result<()> {
    for (path, text) in sources()? {
        let place = path.to_string_lossy();
        let code =
            text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
        let only = |word: &str, folders: &[&str]| -> Result<()> {
            let here = code.contains(word);
            ensure!(
                !here || folders.iter().any(|f| place.starts_with(f)),
                "{place} has `{word}`, which belongs to {folders:?}"
            );
            Ok(())
        };
        // Tests look at the database to see what became of it.
        if !place.contains("tests.rs") && !place.contains("_tests/") {
            only("sqlx::query", &["controller/src/db", "tests"])?;
        }
        // The editor is the person's own, started as that person on that person's machine.
        let starters =
            ["agent/src/exec", "cli/src/dialog/editor.rs", "tests", "web/build.rs", "proto/build.rs"];
        only("Command::new(", &starters)?;
        if place.starts_with("agent") || place.starts_with("cli") || place.starts_with("proto") {
            only("axum::", &[])?;
        }
        ensure!(
            !place.contains("/utils") && !place.contains("/helpers") && !place.contains("/common"),
            "{place} is an attic"
        );
    }
    Ok(())
}

/// Pages and REST show what `seen_by` says that their caller sees. A host is had by its name only where that, or the gate, has let its
/// name through before.
#[test]
fn pages_and_rest_ask_what_their_caller_sees() -> Result<()> {
    const BY_NAME: &[&str] =
        &["configs.rs", "pages/configs/", "pages/deploy.rs", "pages/hosts.rs", "pages/view.rs"];
    for (path, text) in sources()? {
        let Ok(place) = path.strip_prefix("controller/src/api") else { continue };
        let place = place.to_string_lossy();
        if place.starts_with("grpc") || place.contains("tests") {
            continue;
        }
        let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        let code: String = lines.flat_map(str::split_whitespace).collect();
        for lists in ["fleet.hosts(", "fleet.apps("] {
            ensure!(!code.contains(lists), "{place} has `{lists})` of everybody instead of `seen_by`");
        }
        ensure!(
            !code.contains("fleet.host(") || BY_NAME.iter().any(|known| place.starts_with(known)),
            "{place} has `fleet.host()`: is its caller allowed to see that host? Then it belongs into the list of this test."
        );
    }
    Ok(())
}

#[test]
fn templates_never_turn_escaping_off() -> Result<()> {
    let mut folders = vec![paths::repository().join("web/templates")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(&path)?;
            for banned in ["|safe", "| safe", "style=\"", "escape none", "javascript:"] {
                ensure!(!text.contains(banned), "{} has {banned}", path.display());
            }
        }
    }
    Ok(())
}

/// Paths named in the documents exist.
#[test]
fn the_documents_name_what_is_there() -> Result<()> {
    let root = paths::repository();
    for document in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"] {
        let text = fs::read_to_string(root.join(document))?;
        let named = text.split('`').skip(1).step_by(2);
        let paths = named.filter(|word| {
            word.contains('/') && word.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c))
        });
        for path in paths.filter(|p| {
            ["proto/", "agent/", "controller/", "web/", "cli/", "tests/", "migrations/", "docs/"]
                .iter()
                .any(|f| p.starts_with(f))
        }) {
            ensure!(root.join(path).exists(), "{document} names {path}, which is not there");
        }
    }
    Ok(())
}
