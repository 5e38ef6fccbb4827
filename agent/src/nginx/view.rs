//! What the lists show of the tree.

use std::collections::BTreeSet;

use hms_proto::{
    fault::{ConfigProblem, Fault},
    host::v1::{NginxFile, NginxFileKind, NginxTree},
};

use super::{
    Nginx,
    check::{Purpose, check},
    folder::{Entry, Folder, Node, hash},
    lint::{Linted, lint},
    record::Phase,
    reload,
};

const SHOWN_MAX: usize = 50;

/// All files, and how nginx is.
pub(crate) async fn tree(nginx: &Nginx) -> Result<NginxTree, Fault> {
    let version = nginx.version().await;
    let live = match nginx.live().await {
        Ok(live) => live,
        Err(fault) if version.is_empty() && fault.kind() == hms_proto::fault::FaultKind::NotFound => {
            return Ok(NginxTree::default());
        }
        Err(fault) => return Err(fault),
    };
    let linted = {
        let live = live.clone();
        crate::blocking(move || Ok(lint(&live))).await?
    };
    let session = nginx.0.bus.session().await?;
    let running = reload::state(&session)
        .await?
        .is_some_and(|u| matches!(u.active_state.as_str(), "active" | "reloading"));
    let tested = if version.is_empty() { Vec::new() } else { tested(nginx, &live, &linted).await };
    let aside = nginx.0.records.quarantined();
    let change = nginx.0.records.change()?.filter(|c| c.phase == Phase::Waiting);
    let shown = live.entries.iter().filter(|(path, _)| !is_link_within(&live, path));
    let files = shown.map(|(path, entry)| file(path, entry, &live, &linted, &tested, &aside)).collect();
    Ok(NginxTree {
        files,
        version,
        running,
        sha256: live.sha256(),
        pending: change.map(|c| c.pending()),
        last: nginx.0.records.outcomes()?.last().map(super::record::Outcome::message),
        problems: tested,
    })
}

/// One file with its content.
pub(crate) async fn get(nginx: &Nginx, path: &str) -> Result<NginxFile, Fault> {
    let live = nginx.live().await?;
    let entry = live.entries.get(path).ok_or_else(|| Fault::not_found("configuration file", path))?;
    let linted = lint(&live);
    let tested = nginx
        .0
        .tested
        .lock()
        .await
        .as_ref()
        .filter(|(sha, _)| *sha == live.sha256())
        .map(|(_, p)| p.clone())
        .unwrap_or_default();
    let mut file = file(path, entry, &live, &linted, &tested, &nginx.0.records.quarantined());
    if let Some(content) = entry.content()
        && !is_secret(entry)
        && let Ok(text) = std::str::from_utf8(content)
    {
        text.clone_into(&mut file.content);
    }
    Ok(file)
}

/// Links in sites-enabled to a site are told with the site.
fn is_link_within(live: &Folder, path: &str) -> bool {
    matches!(live.entries.get(path).map(|e| &e.node), Some(Node::Link(_)))
        && live.resolve(path).is_some_and(|to| to.starts_with("sites-available/"))
}

/// Keys and password files lie in configuration folders, too, and are nobody's to read here.
pub(crate) fn is_secret(entry: &Entry) -> bool {
    entry.content().is_some_and(|content| entry.mode & 0o004 == 0 || holds_keys(content))
}

/// Whether a file has keys in it, or passwords as auth_basic_user_file takes them.
pub(crate) fn holds_keys(content: &[u8]) -> bool {
    let marks: [&[u8]; 9] = [
        b"PRIVATE KEY-----",
        b":$apr1$",
        b":$2y$",
        b":$2a$",
        b":$2b$",
        b":$5$",
        b":$6$",
        b":{SSHA}",
        b":{PLAIN}",
    ];
    marks.iter().any(|mark| content.windows(mark.len()).any(|w| w == *mark))
}

fn kind(path: &str) -> NginxFileKind {
    match path.split_once('/').map(|(folder, _)| folder) {
        None if path == "nginx.conf" => NginxFileKind::Main,
        Some("conf.d") => NginxFileKind::Conf,
        Some("sites-available" | "sites-enabled") => NginxFileKind::Site,
        Some("snippets") => NginxFileKind::Snippet,
        _ => NginxFileKind::Other,
    }
}

fn file(
    path: &str,
    entry: &Entry,
    live: &Folder,
    linted: &Linted,
    tested: &[ConfigProblem],
    aside: &BTreeSet<String>,
) -> NginxFile {
    let content = entry.content();
    let included: Vec<String> =
        linted.included_by.get(path).into_iter().flatten().take(SHOWN_MAX).cloned().collect();
    let kind = kind(path);
    let enabled = match kind {
        NginxFileKind::Main => true,
        NginxFileKind::Site if path.starts_with("sites-available/") => !live.links_to(path).is_empty(),
        _ => !included.is_empty(),
    };
    let locked = if entry.locked.is_empty() && is_secret(entry) {
        "it holds secrets".to_owned()
    } else {
        entry.locked.clone()
    };
    let problems =
        linted.problems.iter().chain(tested).filter(|p| p.path == path).take(SHOWN_MAX).cloned().collect();
    NginxFile {
        path: path.to_owned(),
        kind: kind.into(),
        enabled,
        sha256: content.map(|c| hash(c)).unwrap_or_default(),
        modified_usec: entry.modified_usec,
        size_bytes: content.map_or(0, |c| c.len() as u64),
        included_by: included,
        server_names: words(linted, path, "server_name"),
        listens: words(linted, path, "listen"),
        content: String::new(),
        locked,
        owner_uid: entry.uid,
        mode: entry.mode,
        problems,
        quarantined: path.ends_with(super::change::ASIDE) || (!enabled && aside.contains(path)),
    }
}

/// Whether a file serves this name: exactly, or by a wildcard in front.
pub(crate) fn serves(linted: &Linted, path: &str, name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    words(linted, path, "server_name").iter().map(|served| served.to_ascii_lowercase()).any(|served| {
        let tail = served.strip_prefix('*').filter(|tail| tail.starts_with('.'));
        served == name || tail.is_some_and(|tail| name.ends_with(tail))
    })
}

/// The arguments of a directive of `server`, in order and each once.
fn words(linted: &Linted, path: &str, name: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for directive in linted.files.get(path).into_iter().flat_map(|f| &f.directives) {
        directive.walk(&mut |d| {
            if d.name.value != name {
                return;
            }
            let values = if name == "listen" {
                vec![d.args.iter().map(|w| w.value.as_str()).collect::<Vec<_>>().join(" ")]
            } else {
                d.args.iter().map(|w| w.value.clone()).collect()
            };
            for value in values {
                if found.len() < SHOWN_MAX && !found.contains(&value) {
                    found.push(value);
                }
            }
        });
    }
    found
}

/// What nginx says of the live tree. It is asked once for each tree. A good one is kept as the last good one, unless a
/// change is under way that may be put back.
async fn tested(nginx: &Nginx, live: &Folder, linted: &Linted) -> Vec<ConfigProblem> {
    let sha = live.sha256();
    let mut known = nginx.0.tested.lock().await;
    if let Some((of, problems)) = &*known
        && *of == sha
    {
        return problems.clone();
    }
    let said = match nginx.0.bus.session().await {
        Ok(session) => check(&session, &super::state_of(nginx), Purpose::Look, live, linted).await,
        Err(fault) => Err(fault),
    };
    match said {
        Ok(problems) => {
            if !problems.iter().any(|p| p.severity == "error") && matches!(nginx.0.records.change(), Ok(None))
            {
                nginx.0.records.set_good(live);
            }
            *known = Some((sha, problems.clone()));
            problems
        }
        Err(fault) => vec![ConfigProblem {
            severity: "warning".into(),
            message: fault.message,
            hint: fault.hint,
            source: "nginx".into(),
            ..Default::default()
        }],
    }
}
