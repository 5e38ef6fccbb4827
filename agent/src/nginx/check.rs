//! Has nginx itself test a configuration, in a unit that sees it at /etc/nginx and can touch nothing.
//!
//! Names of upstreams are looked up here and given to the sandbox as /etc/hosts: it has no network, and a name that nobody
//! knows is an error at the next reload, too. Addresses to listen on that the sandbox does not have are looked at here.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write as _},
    net::{IpAddr, UdpSocket},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, symlink},
    path::{Path, PathBuf},
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use hms_proto::fault::{ConfigProblem, Fault, FaultKind};
use uuid::Uuid;

use super::{
    folder::{Folder, Node},
    paths::{self, is_in},
    tree::Parsed,
    upstream,
};
use crate::systemd::{
    Session,
    work::{Work, run},
};

/// Security case 59.
const LIMIT: Duration = Duration::from_secs(10);
const LOOKUP: Duration = Duration::from_secs(4);
const NAMES_MAX: usize = 200;
/// CAP_CHOWN for nginx's folders, CAP_DAC_READ_SEARCH for keys of other owners, CAP_NET_BIND_SERVICE.
const CAPABILITIES: &[u8] = &[0, 2, 10];
/// Folders that nginx writes to while it tests.
const SCRATCH: [&str; 5] = ["/run", "/var/log/nginx", "/var/lib/nginx", "/var/cache", "/var/tmp"];

/// Why nginx is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To say how the live tree is.
    Look,
    /// To decide about a change.
    Change,
}

/// What nginx says of a configuration; `files` are its files as trees.
pub(crate) async fn check(
    session: &Session,
    state: &Path,
    purpose: Purpose,
    folder: &Folder,
    files: &BTreeMap<String, Parsed>,
) -> Result<Vec<ConfigProblem>, Fault> {
    let found = lookup(names_of(files)).await;
    // Security case 58, by way of a name.
    if let Some((name, address)) = found.iter().find(|(_, address)| upstream::is_link_local(*address)) {
        let message = format!("`{name}` is {address}, where clouds hand out their secrets");
        return Ok(vec![ConfigProblem {
            severity: "error".into(),
            source: "lint".into(),
            message,
            ..Default::default()
        }]);
    }
    let hosts = hosts_file(&found);
    let (stage, folder) = (Stage::new(state)?, folder.clone());
    let (stage, folder) =
        tokio::task::spawn_blocking(move || stage.fill(&folder, &hosts).map(|()| (stage, folder)))
            .await
            .map_err(|e| crate::internal(format!("staging failed: {e}")))??;
    if purpose == Purpose::Change {
        super::fail::point("staged");
    }
    let done = run(session, &stage.work(purpose, files)).await?;
    let mut problems = problems_of(&done.output, &folder);
    problems.iter_mut().filter(|p| p.path.is_empty() && p.line == 0).for_each(|p| place(p, files));
    match done.result.as_str() {
        "done" => Ok(problems),
        "timeout" => Err(Fault::new(FaultKind::Failed, "nginx did not get through its test in 10 s")
            .hint("Look for patterns that repeat themselves, and for very large maps.")),
        _ if problems.iter().any(|p| p.severity == "error") => Ok(problems),
        // What stopped nginx was only the sandbox.
        _ if done.output.contains("(99: ") => Ok(problems),
        result => Err(Fault::new(
            FaultKind::Failed,
            format!(
                "nginx could not be asked to test the configuration ({result}): {}",
                super::tree::shown(done.output.trim())
            ),
        )
        .hint("Is nginx installed? `nginx -t` on the host shows more.")),
    }
}

/// A folder with a configuration to be tested. It is gone when this is.
#[derive(Debug)]
struct Stage {
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
    fn new(state: &Path) -> Result<Self, Fault> {
        let id = Uuid::new_v4().simple().to_string();
        let path = state.join("stage").join(&id);
        DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(disk)?;
        Ok(Self { id, path })
    }

    fn fill(&self, folder: &Folder, hosts: &str) -> Result<(), Fault> {
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

    fn work(&self, purpose: Purpose, files: &BTreeMap<String, Parsed>) -> Work {
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
fn parents(files: &BTreeMap<String, Parsed>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut visit = |d: &super::tree::Directive| {
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
    files.values().flat_map(|f| &f.directives).for_each(|d| d.walk(&mut visit));
    found.into_iter().take(200).collect()
}

/// Names that nginx looks up when it reads its configuration.
fn names_of(files: &BTreeMap<String, Parsed>) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut visit = |d: &super::tree::Directive| {
        let name = d.name.value.as_str();
        let names_a_host = name.ends_with("_pass")
            || matches!(
                name,
                "server" | "listen" | "resolver" | "ssl_stapling_responder" | "set_real_ip_from" | "allow"
            );
        if !names_a_host {
            return;
        }
        for word in &d.args {
            let rest = word.value.split_once("://").map_or(word.value.as_str(), |(_, rest)| rest);
            let authority = rest.split(['/', '?']).next().unwrap_or_default();
            let host = authority
                .rsplit_once(':')
                .filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()))
                .map_or(authority, |(host, _)| host);
            if is_name(host) && names.len() < NAMES_MAX {
                names.insert(host.to_owned());
            }
        }
    };
    files.values().flat_map(|f| &f.directives).for_each(|d| d.walk(&mut visit));
    names
}

fn is_name(host: &str) -> bool {
    !host.is_empty()
        && host.len() <= 253
        && host.parse::<IpAddr>().is_err()
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        && host.bytes().any(|b| b.is_ascii_alphabetic())
}

async fn lookup(names: BTreeSet<String>) -> Vec<(String, IpAddr)> {
    let each = stream::iter(names).map(|name| async move {
        let found = tokio::time::timeout(LOOKUP, tokio::net::lookup_host((name.clone(), 0))).await;
        let addresses: Vec<IpAddr> = found
            .ok()
            .and_then(Result::ok)
            .map(|all| all.map(|a| a.ip()).take(4).collect())
            .unwrap_or_default();
        addresses.into_iter().map(move |address| (name.clone(), address)).collect::<Vec<_>>()
    });
    each.buffer_unordered(4).concat().await
}

fn hosts_file(found: &[(String, IpAddr)]) -> String {
    let mut text = String::from("127.0.0.1 localhost\n::1 localhost ip6-localhost\n");
    for (name, address) in found {
        text.push_str(&format!("{address} {name}\n"));
    }
    text
}

/// Reads `nginx: [emerg] unknown directive "x" in /etc/nginx/sites-enabled/y:12`.
fn problems_of(output: &str, folder: &Folder) -> Vec<ConfigProblem> {
    let mut problems: Vec<ConfigProblem> =
        output.lines().filter_map(|line| problem_of(line, folder)).take(100).collect();
    problems.dedup();
    problems
}

fn problem_of(line: &str, folder: &Folder) -> Option<ConfigProblem> {
    let at = line.find('[')?;
    let (level, message) = line[at + 1..].split_once("] ")?;
    let severity = match level {
        "emerg" | "alert" | "crit" => "error",
        "warn" | "error" => "warning",
        _ => return None,
    };
    // Log lines have the process id in front of the message.
    let message =
        message.split_once(": ").filter(|(pid, _)| pid.contains('#')).map_or(message, |(_, rest)| rest);
    let mut problem = ConfigProblem {
        severity: severity.to_owned(),
        source: "nginx".to_owned(),
        ..ConfigProblem::default()
    };
    let placed = message.rsplit_once(" in /").and_then(|(text, place)| {
        let (path, line) = place.rsplit_once(':')?;
        Some((text, format!("/{path}"), line.trim().parse::<u32>().ok()?))
    });
    message.clone_into(&mut problem.message);
    if let Some((text, path, line)) = placed {
        problem.line = line;
        match path.strip_prefix(paths::ROOT).and_then(|p| p.strip_prefix('/')) {
            Some(relative) if folder.resolve(relative).is_some() => {
                problem.path = folder.resolve(relative).unwrap_or_default();
                text.clone_into(&mut problem.message);
            }
            // Security case 54: what is written in a file outside of the tree is nobody's business here.
            _ => {
                problem.message =
                    format!("nginx does not take line {line} of {path}, which is outside of the tree")
            }
        }
    }
    if let Some(address) = unreachable_here(&problem.message) {
        let known = UdpSocket::bind((address, 0)).is_ok();
        if known {
            return None;
        }
        problem.hint = format!("This host has no address {address}.");
    }
    if problem.message.contains("host not found in") {
        "The name is not known on this host; nginx would not start with it.".clone_into(&mut problem.hint);
    }
    Some(problem)
}

/// nginx does not say where, for what it notices only when all files are read. What it quotes is looked for.
fn place(problem: &mut ConfigProblem, files: &BTreeMap<String, Parsed>) {
    let message = problem.message.clone();
    let quoted: Vec<&str> = message.split('"').skip(1).step_by(2).filter(|q| !q.is_empty()).collect();
    let port = message.strip_prefix("bind() to ").and_then(|rest| rest.split(' ').next()?.rsplit(':').next());
    let names = |d: &super::tree::Directive| {
        let words = d.args.iter().map(|w| w.value.as_str());
        let by_quote = words.clone().any(|w| {
            quoted.iter().any(|q| w == *q || w.contains(&format!("${q}")) || w.contains(&format!("${{{q}}}")))
        });
        let by_port = d.name.value == "listen"
            && port.is_some_and(|port| d.arg(0) == port || d.arg(0).ends_with(&format!(":{port}")));
        by_quote || by_port
    };
    for (path, parsed) in files {
        for directive in &parsed.directives {
            directive.walk(&mut |d| {
                if problem.path.is_empty() && names(d) {
                    problem.path.clone_from(path);
                    (problem.line, problem.column) = (d.name.line, d.name.column);
                }
            });
        }
    }
}

/// The address of `bind() to 10.0.0.1:80 failed (99: Cannot assign requested address)`.
fn unreachable_here(message: &str) -> Option<IpAddr> {
    let rest = message.strip_prefix("bind() to ")?;
    let (address, why) = rest.split_once(" failed ")?;
    if !why.starts_with("(99:") {
        return None;
    }
    address.parse::<std::net::SocketAddr>().ok().map(|a| a.ip())
}

#[cfg(test)]
mod tests {
    use super::{
        super::{folder::Entry, tree::parse},
        *,
    };

    #[test]
    fn what_nginx_says_is_placed() {
        let mut folder = Folder::default();
        folder.entries.insert("sites-available/x".into(), Entry::file("a"));
        folder.entries.insert("sites-enabled/x".into(), Entry::link("../sites-available/x"));
        folder.entries.insert("sites-enabled/out".into(), Entry::link("/etc/shadow"));
        let said = "nginx: [warn] conflicting server name \"a\" on 0.0.0.0:80, ignored\n\
                    2026/11/24 10:00:00 [emerg] 12#12: unknown directive \"prxy\" in /etc/nginx/sites-enabled/x:12\n\
                    nginx: [emerg] unknown directive \"root:$y$secret\" in /etc/nginx/sites-enabled/out:1\n\
                    nginx: [emerg] unexpected end of file, expecting \";\" or \"}\" in /etc/shadow:3\n\
                    nginx: configuration file /etc/nginx/nginx.conf test failed\n";
        let problems = problems_of(said, &folder);
        let lines: Vec<String> =
            problems.iter().map(|p| format!("{}:{} {} {}", p.path, p.line, p.severity, p.message)).collect();
        assert_eq!(
            lines,
            [
                ":0 warning conflicting server name \"a\" on 0.0.0.0:80, ignored",
                "sites-available/x:12 error unknown directive \"prxy\"",
                ":1 error nginx does not take line 1 of /etc/nginx/sites-enabled/out, which is outside of the tree",
                ":3 error nginx does not take line 3 of /etc/shadow, which is outside of the tree",
            ]
        );
    }

    #[test]
    fn what_nginx_does_not_place_is_looked_for() {
        let text =
            "server {\n  listen 8099;\n  ssl_certificate /etc/ssl/none.pem;\n  return 200 a${missing}b;\n}";
        let files = BTreeMap::from([("x".to_owned(), parse(text))]);
        for (message, line) in [
            ("unknown \"missing\" variable", 4),
            ("cannot load certificate \"/etc/ssl/none.pem\": BIO_new_file() failed", 3),
            ("bind() to 0.0.0.0:8099 failed (98: Address already in use)", 2),
            ("unknown \"other\" variable", 0),
        ] {
            let mut problem = ConfigProblem { message: message.into(), ..Default::default() };
            place(&mut problem, &files);
            assert_eq!((problem.line, problem.path.is_empty()), (line, line == 0), "{message}");
        }
    }

    #[test]
    fn names_that_nginx_looks_up_are_found() {
        let text = "upstream a { server app.example.org:80 weight=2; server 10.0.0.1; server unix:/run/x.sock; }\n\
                    server { location / { proxy_pass http://back.example.org/x; } location /b { fastcgi_pass php:9000; } }";
        let files = BTreeMap::from([("x".to_owned(), parse(text))]);
        let names = names_of(&files);
        assert!(
            names.contains("app.example.org") && names.contains("back.example.org") && names.contains("php"),
            "{names:?}"
        );
        assert!(!names.contains("10.0.0.1"));
    }
}
