//! Has nginx itself test a configuration, in a unit that sees it at /etc/nginx and can touch nothing.
//!
//! Names of upstreams are looked up here and given to the sandbox as /etc/hosts: it has no network, and a name that nobody
//! knows is an error at the next reload, too. Addresses to listen on that the sandbox does not have are looked at here.

use std::{collections::BTreeSet, net::IpAddr, path::Path, time::Duration};

use futures_util::{StreamExt as _, stream};
use hms_proto::fault::{ConfigProblem, Fault, FaultKind};

use tokio::time::Instant;

use super::{
    folder::Folder,
    lint::Linted,
    said,
    stage::Stage,
    tree::{Directive, Parsed},
    upstream,
};
use crate::systemd::{Session, work::run};

/// For all names together. One that is not known by then is unknown to nginx, too.
const LOOKUP: Duration = Duration::from_secs(6);
const NAMES_MAX: usize = 200;

/// Why nginx is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To say how the live tree is.
    Look,
    /// To decide about a change.
    Change,
}

/// What nginx says of a configuration.
pub(crate) async fn check(
    session: &Session,
    state: &Path,
    purpose: Purpose,
    folder: &Folder,
    linted: &Linted,
) -> Result<Vec<ConfigProblem>, Fault> {
    let files = || linted.files.iter().filter(|(path, _)| linted.is_read(path));
    let found = lookup(names_of(files().map(|(_, parsed)| parsed))).await;
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
    let done = run(session, &stage.work(purpose, files().map(|(_, parsed)| parsed))).await?;
    let mut problems = said::problems_of(&done.output, &folder);
    problems.iter_mut().filter(|p| p.path.is_empty() && p.line == 0).for_each(|p| said::place(p, files()));
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

/// Names that nginx looks up when it reads its configuration.
fn names_of<'a>(files: impl Iterator<Item = &'a Parsed>) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut visit = |d: &Directive| {
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
    files.flat_map(|f| &f.directives).for_each(|d| d.walk(&mut visit));
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
    let end = Instant::now() + LOOKUP;
    let each = stream::iter(names).map(|name| async move {
        let found = tokio::time::timeout_at(end, tokio::net::lookup_host((name.clone(), 0))).await;
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

#[cfg(test)]
mod tests {
    use super::{super::tree::parse, *};

    #[test]
    fn names_that_nginx_looks_up_are_found() {
        let text = "upstream a { server app.example.org:80 weight=2; server 10.0.0.1; server unix:/run/x.sock; }\n\
                    server { location / { proxy_pass http://back.example.org/x; } location /b { fastcgi_pass php:9000; } }";
        let parsed = parse(text);
        let names = names_of(std::iter::once(&parsed));
        assert!(
            names.contains("app.example.org") && names.contains("back.example.org") && names.contains("php"),
            "{names:?}"
        );
        assert!(!names.contains("10.0.0.1"));
    }
}
