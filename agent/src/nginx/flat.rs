//! The configuration as nginx reads it: one tree, with every include in its place.

use super::{
    folder::Folder,
    lint::Linted,
    paths,
    tree::{DIRECTIVES_MAX, Directive},
};
use hms_proto::host::v1::NginxPlace;

/// A directive, with the file it stands in.
#[derive(Debug)]
pub(crate) struct Item<'a> {
    pub(crate) directive: &'a Directive,
    pub(crate) path: &'a str,
    pub(crate) children: Vec<Item<'a>>,
}

impl<'a> Item<'a> {
    /// Its name.
    pub(crate) fn name(&self) -> &'a str {
        &self.directive.name.value
    }

    /// An argument.
    pub(crate) fn arg(&self, n: usize) -> &'a str {
        self.directive.args.get(n).map_or("", |w| w.value.as_str())
    }

    /// The directives of this name in its block.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &Item<'a>> {
        self.children.iter().filter(move |c| c.name() == name)
    }

    /// What it says, and where.
    pub(crate) fn place(&self) -> NginxPlace {
        let text: String = self.directive.head().chars().take(300).collect();
        NginxPlace { text, path: self.path.to_owned(), line: self.directive.name.line }
    }
}

/// The top level.
pub(crate) fn flatten<'a>(folder: &'a Folder, linted: &'a Linted) -> Vec<Item<'a>> {
    let mut flattener = Flattener { folder, linted, left: DIRECTIVES_MAX };
    flattener.file("nginx.conf", 0)
}

struct Flattener<'a> {
    folder: &'a Folder,
    linted: &'a Linted,
    left: usize,
}

impl<'a> Flattener<'a> {
    fn file(&mut self, path: &str, depth: usize) -> Vec<Item<'a>> {
        match self.linted.files.get_key_value(path) {
            Some((path, parsed)) => self.block(&parsed.directives, path, depth),
            None => Vec::new(),
        }
    }

    fn block(&mut self, directives: &'a [Directive], path: &'a str, depth: usize) -> Vec<Item<'a>> {
        let mut items = Vec::new();
        for directive in directives {
            if self.left == 0 {
                break;
            }
            self.left -= 1;
            if directive.name.value == "include" {
                items.extend(self.include(directive.arg(0), depth));
            } else {
                let children = self.block(directive.children(), path, depth);
                items.push(Item { directive, path, children });
            }
        }
        items
    }

    fn include(&mut self, pattern: &str, depth: usize) -> Vec<Item<'a>> {
        let inside = match pattern.strip_prefix('/') {
            None => Some(pattern),
            Some(_) => pattern.strip_prefix(paths::ROOT).and_then(|p| p.strip_prefix('/')),
        };
        let (Some(pattern), true) = (inside, depth < 8) else { return Vec::new() };
        let found = self.folder.matching(pattern);
        found
            .iter()
            .filter_map(|name| self.folder.resolve(name))
            .flat_map(|path| self.file(&path, depth + 1))
            .collect()
    }
}
