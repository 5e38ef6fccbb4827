//! What was asked for, as a configuration that would be, and as the files and links that make the difference.

use hms_proto::{
    fault::{Fault, FaultKind},
    host::v1::{NginxChange, nginx_change::Action},
};

use super::{
    folder::{Entry, FILE_MAX, Folder, Node, hash},
    paths::ConfigPath,
};

const CHANGES_MAX: usize = 200;
/// What a file that is set aside is called.
pub(crate) const ASIDE: &str = ".quarantined";

/// A path that is different afterwards. `None`: nothing is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edit {
    /// Relative to /etc/nginx.
    pub(crate) path: String,
    /// What is there.
    pub(crate) before: Option<Entry>,
    /// What will be.
    pub(crate) after: Option<Entry>,
}

/// The configuration as it would be. Nothing is written.
pub(crate) fn candidate(live: &Folder, changes: &[NginxChange]) -> Result<Folder, Fault> {
    if changes.len() > CHANGES_MAX {
        return Err(Fault::invalid(format!("these are more than {CHANGES_MAX} changes at once")));
    }
    let mut folder = live.clone();
    for change in changes {
        let path = ConfigPath::try_from(change.path.as_str())?;
        let action = change
            .action
            .as_ref()
            .ok_or_else(|| Fault::invalid(format!("the change of `{path}` says not what to do")))?;
        match action {
            Action::Content(content) => write(live, &mut folder, &path, content, &change.expected_sha256)?,
            Action::Delete(true) => delete(live, &mut folder, &path, &change.expected_sha256)?,
            Action::Delete(false) => {
                return Err(Fault::invalid(format!("the change of `{path}` says not what to do")));
            }
            Action::Enable(enabled) => enable(&mut folder, &path, *enabled)?,
            Action::Quarantine(aside) => quarantine(&mut folder, &path, *aside)?,
        }
    }
    Ok(folder)
}

/// What makes the difference: files before the links to them, and links before the files they led to.
pub(crate) fn edits(live: &Folder, candidate: &Folder) -> Vec<Edit> {
    let same = |a: Option<&Entry>, b: Option<&Entry>| a.map(|e| &e.node) == b.map(|e| &e.node);
    let mut paths: Vec<&String> = live.entries.keys().chain(candidate.entries.keys()).collect();
    paths.sort();
    paths.dedup();
    let mut edits: Vec<Edit> = paths
        .into_iter()
        .map(|path| (path, live.entries.get(path), candidate.entries.get(path)))
        .filter(|(_, before, after)| !same(*before, *after))
        .map(|(path, before, after)| Edit {
            path: path.clone(),
            before: before.cloned(),
            after: after.cloned(),
        })
        .collect();
    edits.sort_by_key(|edit| match (&edit.after, &edit.before) {
        (Some(Entry { node: Node::File(_), .. }), _) => 0,
        (Some(_), _) => 1,
        (None, Some(Entry { node: Node::Link(_), .. })) => 2,
        (None, _) => 3,
    });
    edits
}

fn write(
    live: &Folder,
    folder: &mut Folder,
    path: &ConfigPath,
    content: &str,
    expected: &str,
) -> Result<(), Fault> {
    if content.len() as u64 > FILE_MAX || content.contains('\0') {
        return Err(Fault::invalid(format!("`{path}` must be text of at most 1 MiB")));
    }
    compare(live, path, expected)?;
    let mode = match folder.entries.get(path.as_str()) {
        Some(entry) => {
            editable(path, entry)?;
            entry.mode
        }
        None if path.as_str().starts_with("sites-enabled/") => {
            return Err(Fault::invalid(format!(
                "`{path}` would be a site without a place in sites-available"
            ))
            .hint("Write it to sites-available, then enable it."));
        }
        None => 0o644,
    };
    let entry = Entry { mode, ..Entry::file(content.as_bytes()) };
    folder.entries.insert(path.as_str().to_owned(), entry);
    Ok(())
}

fn delete(live: &Folder, folder: &mut Folder, path: &ConfigPath, expected: &str) -> Result<(), Fault> {
    let Some(entry) = folder.entries.get(path.as_str()) else {
        return Err(Fault::not_found("configuration file", path.as_str()));
    };
    match entry.node {
        // A link is only a name: it may go wherever it leads.
        Node::Link(_) => {}
        _ => {
            compare(live, path, expected)?;
            editable(path, entry)?;
        }
    }
    for link in folder.links_to(path.as_str()) {
        folder.entries.remove(&link);
    }
    folder.entries.remove(path.as_str());
    Ok(())
}

fn enable(folder: &mut Folder, path: &ConfigPath, enabled: bool) -> Result<(), Fault> {
    let site = path.site().ok_or_else(|| {
        Fault::invalid(format!("`{path}` is not a site, so it cannot be enabled or disabled"))
            .hint("Sites are the files in sites-available.")
    })?;
    let links = folder.links_to(path.as_str());
    if !enabled {
        links.iter().for_each(|link| drop(folder.entries.remove(link)));
        return Ok(());
    }
    if !folder.entries.contains_key(path.as_str()) {
        return Err(Fault::not_found("site", path.as_str()));
    }
    if !links.is_empty() {
        return Ok(());
    }
    let link = format!("sites-enabled/{site}");
    if folder.entries.contains_key(&link) {
        return Err(Fault::new(FaultKind::Conflict, format!("something else is at `{link}` already"))
            .hint("Remove it first."));
    }
    folder.entries.insert(link, Entry::link(format!("../sites-available/{site}")));
    Ok(())
}

/// Moves a broken file out of nginx's sight: a site loses its link, a file in conf.d gets a name that nothing includes.
pub(crate) fn quarantine(folder: &mut Folder, path: &ConfigPath, aside: bool) -> Result<(), Fault> {
    if path.site().is_some() {
        return enable(folder, path, !aside);
    }
    let (from, to) = places(path, aside)?;
    let entry = folder.entries.get(&from).ok_or_else(|| Fault::not_found("configuration file", &from))?;
    editable(path, entry)?;
    if folder.entries.contains_key(&to) {
        return Err(Fault::new(FaultKind::Conflict, format!("`{to}` is there already"))
            .hint("Remove one of the two first."));
    }
    if let Some(entry) = folder.entries.remove(&from) {
        folder.entries.insert(to, entry);
    }
    Ok(())
}

fn places(path: &ConfigPath, aside: bool) -> Result<(String, String), Fault> {
    let name = path.as_str().trim_end_matches(ASIDE).to_owned();
    let hidden = match name.split_once('/') {
        Some(("conf.d", _)) => format!("{name}{ASIDE}"),
        Some(("sites-enabled", site)) => format!("sites-available/{site}{ASIDE}"),
        _ => {
            return Err(Fault::invalid(format!(
                "`{path}` cannot be set aside: nginx does not work without it"
            ))
            .hint("Edit it, or restore an earlier version."));
        }
    };
    Ok(if aside { (name, hidden) } else { (hidden, name) })
}

fn editable(path: &ConfigPath, entry: &Entry) -> Result<(), Fault> {
    if let Node::Link(_) = entry.node {
        return Err(Fault::invalid(format!("`{path}` is a link")).hint("Edit the file that it leads to."));
    }
    if entry.locked.is_empty() {
        return Ok(());
    }
    Err(Fault::new(FaultKind::Denied, format!("`{path}` cannot be changed here: {}", entry.locked))
        .hint("Put that right on the host first."))
}

/// Security case 43: what the caller saw must still be there.
fn compare(live: &Folder, path: &ConfigPath, expected: &str) -> Result<(), Fault> {
    let now = live.hash_of(path.as_str());
    if now == expected {
        return Ok(());
    }
    Err(conflict(live, path.as_str(), expected.is_empty()))
}

/// Somebody else was faster.
pub(crate) fn conflict(live: &Folder, path: &str, should_be_new: bool) -> Fault {
    let message = match live.entries.get(path) {
        Some(_) if should_be_new => format!("`{path}` is there already"),
        Some(entry) => format!(
            "`{path}` was changed on the host since you read it, by user id {} at {}",
            entry.uid,
            super::time_text(entry.modified_usec)
        ),
        None => format!("`{path}` is no longer there"),
    };
    Fault::new(FaultKind::Conflict, message)
        .hint("Read it again, and bring your change together with what is there now.")
}

/// Sets a broken file aside in favour of its last good text; the broken one is kept beside it.
pub(crate) fn put_last_good(folder: &mut Folder, path: &str, good: &str) -> Option<String> {
    let broken = folder.entries.get(path)?.clone();
    if !broken.locked.is_empty() || broken.content().map(|c| hash(c)) == Some(hash(good.as_bytes())) {
        return None;
    }
    let beside = match path.split_once('/')? {
        ("sites-available" | "conf.d", _) => format!("{path}.broken"),
        ("sites-enabled", site) => format!("sites-available/{site}.broken"),
        _ => return None,
    };
    folder.entries.insert(beside.clone(), Entry { mode: broken.mode, ..Entry::new_from(&broken) });
    folder.entries.insert(path.to_owned(), Entry { mode: broken.mode, ..Entry::file(good.as_bytes()) });
    Some(beside)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live() -> Folder {
        let mut folder = Folder::default();
        folder.entries.insert("nginx.conf".into(), Entry::file("main"));
        folder.entries.insert("conf.d/a.conf".into(), Entry::file("a"));
        folder.entries.insert("sites-available/x".into(), Entry::file("x"));
        folder.entries.insert("sites-enabled/x".into(), Entry::link("../sites-available/x"));
        folder
    }

    fn change(path: &str, action: Action, expected: &str) -> NginxChange {
        NginxChange { path: path.into(), action: Some(action), expected_sha256: expected.into() }
    }

    fn apply(changes: &[NginxChange]) -> Result<Vec<String>, Fault> {
        let live = live();
        let candidate = candidate(&live, changes)?;
        Ok(edits(&live, &candidate)
            .iter()
            .map(|e| format!("{}{}", if e.after.is_some() { "+" } else { "-" }, e.path))
            .collect())
    }

    #[test]
    fn changes_become_edits_in_an_order_that_never_leaves_a_link_hanging() {
        let x = hash(b"x");
        assert_eq!(
            apply(&[change("sites-available/x", Action::Delete(true), &x)]).unwrap(),
            ["-sites-enabled/x", "-sites-available/x"]
        );
        let new = [
            change("sites-available/y", Action::Content("y".into()), ""),
            change("sites-available/y", Action::Enable(true), ""),
        ];
        assert_eq!(apply(&new).unwrap(), ["+sites-available/y", "+sites-enabled/y"]);
        assert_eq!(apply(&[change("sites-available/x", Action::Enable(true), "")]).unwrap(), [""; 0]);
        let aside = apply(&[change("conf.d/a.conf", Action::Quarantine(true), "")]).unwrap();
        assert_eq!(aside, ["+conf.d/a.conf.quarantined", "-conf.d/a.conf"]);
        assert_eq!(
            apply(&[change("sites-available/x", Action::Quarantine(true), "")]).unwrap(),
            ["-sites-enabled/x"]
        );
    }

    /// Security case 43, pitfall P2.
    #[test]
    fn what_changed_meanwhile_is_a_conflict() {
        for (path, expected) in
            [("sites-available/x", ""), ("sites-available/x", "00"), ("sites-available/new", "00")]
        {
            let fault = apply(&[change(path, Action::Content("z".into()), expected)]).unwrap_err();
            assert_eq!(fault.kind(), FaultKind::Conflict, "{path}");
        }
        assert_eq!(
            apply(&[change("sites-available/x", Action::Delete(true), "00")]).unwrap_err().kind(),
            FaultKind::Conflict
        );
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        for (path, action) in [
            ("sites-enabled/x", Action::Content("z".into())),
            ("sites-enabled/new", Action::Content("z".into())),
            ("conf.d/a.conf", Action::Enable(true)),
            ("sites-available/none", Action::Enable(true)),
            ("nginx.conf", Action::Quarantine(true)),
            ("../x", Action::Content("z".into())),
            ("sites-available/none", Action::Delete(true)),
            ("sites-available/z", Action::Content("a\0".into())),
        ] {
            assert!(apply(&[change(path, action, "")]).is_err(), "{path}");
        }
    }
}
