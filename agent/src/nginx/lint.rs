//! Reads the whole configuration as nginx would, from nginx.conf through every include, and says what is wrong with it.

use std::collections::{BTreeMap, BTreeSet};

use hms_proto::fault::ConfigProblem;

use super::{
    directives::{Context, contexts, inside},
    folder::{Folder, Node},
    paths::{self, Standing},
    rules,
    tree::{DIRECTIVES_MAX, Directive, Parsed, parse, shown},
    view::holds_keys,
};

/// nginx has no limit and dies of it.
const INCLUDES_MAX: usize = 8;
const PROBLEMS_MAX: usize = 500;
/// Includes from outside of the tree that ordinary tools put there.
const OUTSIDE: [&str; 2] = ["/etc/letsencrypt", "/usr/share/nginx"];

/// Such a file stops nginx, whoever put it there and when.
const UNREADABLE: &str =
    "nginx cannot read it, or would wait for it for ever: it is not a regular file of at most 1 MiB";

/// What reading the configuration brought to light.
#[derive(Debug, Default)]
pub(crate) struct Linted {
    /// In order of path and line.
    pub(crate) problems: Vec<ConfigProblem>,
    /// For each file, the `path:line` of the includes that pull it in.
    pub(crate) included_by: BTreeMap<String, BTreeSet<String>>,
    /// All files as trees.
    pub(crate) files: BTreeMap<String, Parsed>,
}

impl Linted {
    /// Whether nginx reads this file.
    pub(crate) fn is_read(&self, path: &str) -> bool {
        path == "nginx.conf" || self.included_by.contains_key(path)
    }
}

/// Reads this configuration.
pub(crate) fn lint(folder: &Folder) -> Linted {
    let mut files = BTreeMap::new();
    for (path, entry) in &folder.entries {
        // What is wrong with a file is told with words of it.
        if let Some(content) = entry.content().filter(|content| !holds_keys(content)) {
            files.insert(path.clone(), parse(&String::from_utf8_lossy(content)));
        }
    }
    let mut walk =
        Walk { folder, files: &files, linted: Linted::default(), seen: BTreeSet::new(), visited: 0 };
    walk.file("nginx.conf", Context::MAIN, &mut Vec::new(), &mut Vec::new());
    walk.rest();
    let Walk { mut linted, .. } = walk;
    linted.problems.sort_by(|a, b| {
        (&a.path, a.line, a.column, &a.message).cmp(&(&b.path, b.line, b.column, &b.message))
    });
    linted.files = files;
    linted
}

struct Walk<'a> {
    folder: &'a Folder,
    files: &'a BTreeMap<String, Parsed>,
    linted: Linted,
    /// A file that many others include is complained about once.
    seen: BTreeSet<(String, u32, u32, String)>,
    visited: usize,
}

impl<'a> Walk<'a> {
    /// Files that nothing includes, by what their folder is for.
    fn rest(&mut self) {
        for path in self.files.keys() {
            if self.linted.included_by.contains_key(path) || path == "nginx.conf" {
                continue;
            }
            let context = match path.split_once('/').map(|(folder, _)| folder) {
                Some("sites-available" | "sites-enabled" | "conf.d") => Context::HTTP,
                Some("snippets") => Context::UNKNOWN,
                Some("modules-enabled" | "modules-available") => Context::MAIN,
                _ => continue,
            };
            self.file(path, context, &mut Vec::new(), &mut Vec::new());
        }
    }

    fn file(
        &mut self,
        path: &str,
        context: Context,
        around: &mut Vec<&'a Directive>,
        stack: &mut Vec<String>,
    ) {
        let Some(parsed) = self.files.get(path) else {
            if path == "nginx.conf" {
                self.add(path, 0, 0, "there is no nginx.conf that can be read", "", "", false);
            }
            return;
        };
        stack.push(path.to_owned());
        if let Some(error) = &parsed.error {
            self.add(path, error.place.line, error.place.column, &error.message, "", "", false);
        }
        self.block(&parsed.directives, path, context, around, stack);
        stack.pop();
    }

    fn block(
        &mut self,
        directives: &'a [Directive],
        path: &str,
        context: Context,
        around: &mut Vec<&'a Directive>,
        stack: &mut Vec<String>,
    ) {
        for directive in directives {
            self.visited += 1;
            if self.visited > DIRECTIVES_MAX {
                if self.visited == DIRECTIVES_MAX + 1 {
                    let message =
                        format!("with all includes there are more than {DIRECTIVES_MAX} directives");
                    self.add(path, directive.name.line, 0, &message, "", "", false);
                }
                return;
            }
            if directive.name.value == "include" {
                self.include(directive, path, context, around, stack);
                continue;
            }
            if context == Context::VALUES {
                continue;
            }
            self.directive(directive, path, context, around);
            let children = directive.children();
            if !children.is_empty() {
                around.push(directive);
                self.block(children, path, inside(&directive.name.value, context), around, stack);
                around.pop();
            }
        }
    }

    fn directive(&mut self, directive: &Directive, path: &str, context: Context, around: &[&Directive]) {
        let name = directive.name.value.as_str();
        let place = (directive.name.line, directive.name.column);
        match contexts(name) {
            None => {
                let message = format!("`{}` is not in the list of ordinary directives", shown(name));
                let hint = "If it is meant, accept it by its name.";
                self.add(path, place.0, place.1, &message, hint, name, false);
            }
            Some(allowed) if context != Context::UNKNOWN && !allowed.meets(context) => {
                let message = format!("`{name}` does not belong here: it stands in {}", allowed.words());
                let hint = "If your nginx takes it here, accept it by its name.";
                self.add(path, place.0, place.1, &message, hint, name, false);
            }
            Some(_) => {}
        }
        for finding in rules::check(directive, around) {
            let word = directive.args.first().unwrap_or(&directive.name);
            self.add(
                path,
                word.line,
                word.column,
                &finding.message,
                finding.hint,
                &finding.accept,
                finding.warning,
            );
        }
    }

    fn include(
        &mut self,
        directive: &Directive,
        path: &str,
        context: Context,
        around: &mut Vec<&'a Directive>,
        stack: &mut Vec<String>,
    ) {
        let (line, column) = (directive.name.line, directive.name.column);
        let pattern = directive.arg(0);
        let inside_tree = match pattern.strip_prefix('/') {
            None => Some(pattern),
            Some(_) => pattern.strip_prefix(paths::ROOT).and_then(|rest| rest.strip_prefix('/')),
        };
        // What glob(3) reads and we do not would pull in files that nobody looked into.
        let odd = directive.args.len() != 1
            || pattern.contains(['$', '\0', '\n', '[', '\\'])
            || pattern.contains("//")
            || pattern.split('/').any(|p| p.starts_with('.'))
            || pattern.split('/').any(|p| p == ".." || p == ".");
        let pattern = match inside_tree {
            Some(pattern) if !odd && !pattern.is_empty() => pattern,
            None if !odd => return self.include_outside(pattern, path, line, column),
            _ => {
                return self.add(
                    path,
                    line,
                    column,
                    "an include must name files below /etc/nginx",
                    "",
                    "",
                    false,
                );
            }
        };
        if stack.len() > INCLUDES_MAX {
            return self.add(
                path,
                line,
                column,
                "includes are nested deeper than 8",
                "A file may include itself.",
                "",
                false,
            );
        }
        let found = self.folder.matching(pattern);
        if found.is_empty() && !paths::is_pattern(pattern) {
            let message = format!("there is no file `{}` to include", shown(pattern));
            return self.add(path, line, column, &message, "", "", false);
        }
        for name in found {
            self.pull_in(&name, (path, line, column), context, around, stack);
        }
    }

    fn pull_in(
        &mut self,
        name: &str,
        from: (&str, u32, u32),
        context: Context,
        around: &mut Vec<&'a Directive>,
        stack: &mut Vec<String>,
    ) {
        let (path, line, column) = from;
        let Some(target) = self.folder.resolve(name) else {
            if let Some(Node::Link(target)) = self.folder.entries.get(name).map(|e| &e.node) {
                let outside = super::folder::join(name, target).is_none();
                let ordinary = OUTSIDE.iter().any(|place| paths::judge(target, &[place]) == Standing::Good);
                let message = if outside {
                    format!("`{name}` leads out of the tree, to {}: it is not looked into", shown(target))
                } else {
                    format!("`{name}` is a link to a file that is not there")
                };
                if !ordinary {
                    self.add(name, 0, 0, &message, "", "", outside);
                }
            }
            return;
        };
        if stack.contains(&target) {
            let message = format!("`{target}` includes itself in the end");
            return self.add(path, line, column, &message, "", "", false);
        }
        for file in [name, target.as_str()] {
            self.linted.included_by.entry(file.to_owned()).or_default().insert(format!("{path}:{line}"));
        }
        if matches!(self.folder.entries.get(&target).map(|e| &e.node), Some(Node::Other)) {
            return self.add(name, 0, 0, UNREADABLE, "Remove it.", "", false);
        }
        if !self.files.contains_key(&target) {
            let hint = "Keys and passwords are named by directives such as auth_basic_user_file, and never included.";
            return self.add(
                path,
                line,
                column,
                &format!("`{target}` holds keys or passwords"),
                hint,
                "",
                false,
            );
        }
        self.file(&target, context, around, stack);
    }

    fn include_outside(&mut self, pattern: &str, path: &str, line: u32, column: u32) {
        match paths::judge(pattern, &OUTSIDE) {
            Standing::Good => {}
            Standing::Unusual => {
                let message = "an include from outside of /etc/nginx is not looked into";
                self.add(
                    path,
                    line,
                    column,
                    message,
                    "If it is meant, accept it by this name.",
                    "include:outside",
                    false,
                );
            }
            Standing::Never => {
                self.add(path, line, column, "an include must name files below /etc/nginx", "", "", false)
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of a problem, each a short word at its caller")]
    fn add(
        &mut self,
        path: &str,
        line: u32,
        column: u32,
        message: &str,
        hint: &str,
        accept: &str,
        warning: bool,
    ) {
        if self.seen.len() > PROBLEMS_MAX
            || !self.seen.insert((path.to_owned(), line, column, message.to_owned()))
        {
            return;
        }
        // Warnings, or errors that are accepted, must not hide what comes after them.
        let (message, hint, accept, warning) = match self.seen.len() > PROBLEMS_MAX {
            true => ("there are more problems than are listed", "Correct the first ones.", "", false),
            false => (message, hint, accept, warning),
        };
        self.linted.problems.push(ConfigProblem {
            path: path.to_owned(),
            line,
            column,
            severity: if warning { "warning" } else { "error" }.to_owned(),
            message: message.to_owned(),
            hint: hint.to_owned(),
            source: "lint".to_owned(),
            directive: accept.to_owned(),
        });
    }
}

/// What of the problems of a candidate refuses it. Those that the live tree has already, in files that are not changed,
/// are no reason; those that are accepted by name neither. Both stay as warnings.
pub(crate) fn weigh(
    candidate: Vec<ConfigProblem>,
    live: &[ConfigProblem],
    changed: &BTreeSet<String>,
    accept: &[String],
) -> Vec<ConfigProblem> {
    let known = |p: &ConfigProblem| {
        p.message != UNREADABLE
            && !changed.contains(&p.path)
            && live.iter().any(|l| (&l.path, l.line, &l.message) == (&p.path, p.line, &p.message))
    };
    let soften = |mut p: ConfigProblem| {
        let accepted = !p.directive.is_empty() && accept.contains(&p.directive);
        if p.severity == "error" && (accepted || known(&p)) {
            "warning".clone_into(&mut p.severity);
            p.directive.clear();
        }
        p
    };
    candidate.into_iter().map(soften).collect()
}
