//! The configuration as it is, or as it would be: every file and link below /etc/nginx, in memory.

use std::{collections::BTreeMap, sync::Arc};

use sha2::{Digest as _, Sha256};

use super::paths;

/// A larger file is not looked into.
pub(crate) const FILE_MAX: u64 = 1024 * 1024;
/// More files are no configuration that a person keeps.
pub(crate) const FILES_MAX: usize = 2000;
/// Of all files together.
pub(crate) const TREE_MAX: u64 = 32 * 1024 * 1024;

/// What a path stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Node {
    /// A regular file.
    File(Arc<Vec<u8>>),
    /// A symbolic link, and where it says it leads.
    Link(String),
    /// A device, a socket, a pipe; or a file that cannot be read. nginx may stumble over it.
    Other,
}

/// A path with what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// What it is.
    pub(crate) node: Node,
    /// Why it cannot be edited; empty where it can.
    pub(crate) locked: String,
    /// Microseconds since the epoch.
    pub(crate) modified_usec: i64,
    /// Owner.
    pub(crate) uid: u32,
    /// Permission bits.
    pub(crate) mode: u32,
}

impl Entry {
    /// A file that HMS makes.
    pub(crate) fn file(content: impl Into<Vec<u8>>) -> Self {
        Self::new(Node::File(Arc::new(content.into())), 0o644)
    }

    /// A link that HMS makes.
    pub(crate) fn link(target: impl Into<String>) -> Self {
        Self::new(Node::Link(target.into()), 0o777)
    }

    fn new(node: Node, mode: u32) -> Self {
        Self { node, locked: String::new(), modified_usec: 0, uid: 0, mode }
    }

    /// The same, as HMS would write it anew.
    pub(crate) fn new_from(other: &Self) -> Self {
        Self::new(other.node.clone(), other.mode)
    }

    /// The content of a file.
    pub(crate) fn content(&self) -> Option<&Arc<Vec<u8>>> {
        match &self.node {
            Node::File(content) => Some(content),
            _ => None,
        }
    }
}

/// All entries by path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Folder {
    /// By path, relative to /etc/nginx.
    pub(crate) entries: BTreeMap<String, Entry>,
}

/// SHA-256 in lower-case hex.
pub(crate) fn hash(content: &[u8]) -> String {
    hex::encode(Sha256::digest(content))
}

impl Folder {
    /// Hash over all paths, links and contents.
    pub(crate) fn sha256(&self) -> String {
        let mut hasher = Sha256::new();
        for (path, entry) in &self.entries {
            let (kind, text) = match &entry.node {
                Node::File(content) => ("file", hash(content)),
                Node::Link(target) => ("link", target.clone()),
                Node::Other => ("other", String::new()),
            };
            hasher.update(format!("{path}\0{kind}\0{text}\n"));
        }
        hex::encode(hasher.finalize())
    }

    /// The hash of a file; empty where there is none.
    pub(crate) fn hash_of(&self, path: &str) -> String {
        self.entries.get(path).and_then(Entry::content).map(|c| hash(c)).unwrap_or_default()
    }

    /// The path of the tree that a path stands for, after links within the tree; `None` when it leads out of it.
    pub(crate) fn resolve(&self, path: &str) -> Option<String> {
        let mut path = path.to_owned();
        for _ in 0..8 {
            match self.entries.get(&path).map(|e| &e.node) {
                Some(Node::Link(target)) => path = join(&path, target)?,
                Some(_) => return Some(path),
                None => return None,
            }
        }
        None
    }

    /// The links in sites-enabled that lead to this file.
    pub(crate) fn links_to(&self, path: &str) -> Vec<String> {
        let links = self.entries.iter().filter(|(at, entry)| {
            at.starts_with("sites-enabled/")
                && matches!(&entry.node, Node::Link(target) if join(at, target).as_deref() == Some(path))
        });
        links.map(|(at, _)| at.clone()).collect()
    }

    /// The paths that a pattern of an `include` stands for, in nginx's order. The pattern is relative to the tree.
    pub(crate) fn matching(&self, pattern: &str) -> Vec<String> {
        self.entries.keys().filter(|path| paths::path_matches(pattern, path)).cloned().collect()
    }
}

/// Where a link leads, relative to the tree; `None` when that is outside.
pub(crate) fn join(link: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    let relative = match target.strip_prefix('/') {
        Some(_) => target.strip_prefix(paths::ROOT)?.strip_prefix('/')?,
        None => {
            parts = link.split('/').collect();
            parts.pop();
            target
        }
    };
    for part in relative.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed_within_the_tree_only() {
        assert_eq!(join("sites-enabled/x", "../sites-available/x").as_deref(), Some("sites-available/x"));
        assert_eq!(
            join("sites-enabled/x", "/etc/nginx/sites-available/x").as_deref(),
            Some("sites-available/x")
        );
        for out in ["../../shadow", "/etc/shadow", "/etc/nginxx/y"] {
            assert_eq!(join("sites-enabled/x", out), None, "{out}");
        }
        let mut folder = Folder::default();
        folder.entries.insert("sites-available/x".into(), Entry::file("a"));
        folder.entries.insert("sites-enabled/x".into(), Entry::link("../sites-available/x"));
        folder.entries.insert("sites-enabled/loop".into(), Entry::link("loop"));
        assert_eq!(folder.resolve("sites-enabled/x").as_deref(), Some("sites-available/x"));
        assert_eq!(folder.resolve("sites-enabled/loop"), None);
        assert_eq!(folder.links_to("sites-available/x"), ["sites-enabled/x"]);
    }
}
