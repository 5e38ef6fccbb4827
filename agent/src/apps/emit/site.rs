//! The nginx site of an app: its own files from the disk, everything else from its socket.

use std::fmt::Write as _;

use hms_proto::fault::Fault;

use super::{differs, shown, text};
use crate::{
    apps::{App, Facts, layout::CHALLENGES},
    nginx::tree::{Directive, parse},
};

/// The largest upload.
const BODY_MOST: &str = "64m";
/// The least time for an answer. An app that is restarted may take as long as it has to get well.
const ANSWER_S: u32 = 60;

/// A directive: its words, and its block where it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Node {
    words: Vec<String>,
    block: Option<Vec<Node>>,
}

fn line(words: &[&str]) -> Node {
    Node { words: words.iter().map(|word| (*word).to_owned()).collect(), block: None }
}

fn block(words: &[&str], block: Vec<Node>) -> Node {
    Node { block: Some(block), ..line(words) }
}

pub(super) fn file(app: &App, facts: &Facts) -> Result<String, Fault> {
    let spec = app.spec();
    let upstream = format!("puma-{}", app.key());
    let socket = format!("unix:{}", shown(&app.socket()));
    let has_tls = !spec.cert_path.is_empty();
    let mut nodes = vec![
        // It never counts as down: while it is restarted, requests wait in its socket.
        block(&["upstream", &upstream], vec![line(&["server", &socket, "fail_timeout=0"])]),
        block(
            &["map", "$http_upgrade", &upgrade(app)],
            vec![line(&["default", "upgrade"]), line(&["", "close"])],
        ),
    ];
    if has_tls {
        let mut plain = listen(facts, "80", &[]);
        plain.extend([
            names(app),
            challenges(),
            block(&["location", "/"], vec![line(&["return", "308", "https://$host$request_uri"])]),
        ]);
        nodes.push(block(&["server"], plain));
    }
    let mut server = match has_tls {
        false => listen(facts, "80", &[]),
        true if facts.http2_directive => {
            [listen(facts, "443", &["ssl"]), vec![line(&["http2", "on"])]].concat()
        }
        true => listen(facts, "443", &["ssl", "http2"]),
    };
    server.push(names(app));
    if has_tls {
        server.extend(tls(app));
    }
    server.extend(body(app, &upstream));
    nodes.push(block(&["server"], server));
    let mut text = format!("# {}\n", text::head(app.key()));
    print(&nodes, 0, &mut text);
    let parsed = parse(&text);
    let is_whole = parsed.error.is_none() && parsed.directives.len() == nodes.len();
    if is_whole && nodes.iter().zip(&parsed.directives).all(|(node, read)| same(node, read)) {
        Ok(text)
    } else {
        Err(differs("the site"))
    }
}

/// A variable of its own: two apps may disagree.
fn upgrade(app: &App) -> String {
    format!("$puma_{}_connection", app.key().as_str().replace('-', "_"))
}

fn listen(facts: &Facts, port: &str, options: &[&str]) -> Vec<Node> {
    let mut lines = vec![line(&[&["listen", port], options].concat())];
    if facts.ipv6 {
        lines.push(line(&[&["listen", &format!("[::]:{port}")], options].concat()));
    }
    lines
}

fn names(app: &App) -> Node {
    let names = app.spec().server_names.iter().map(String::as_str);
    line(&std::iter::once("server_name").chain(names).collect::<Vec<_>>())
}

/// Before anything else: no redirect and no file of the app stands in its way.
fn challenges() -> Node {
    let inside = vec![
        line(&["root", CHALLENGES]),
        line(&["default_type", "text/plain"]),
        line(&["try_files", "$uri", "=404"]),
    ];
    block(&["location", "^~", "/.well-known/acme-challenge/"], inside)
}

fn tls(app: &App) -> Vec<Node> {
    let cache = format!("shared:puma-{}:2m", app.key());
    vec![
        line(&["ssl_certificate", &app.spec().cert_path]),
        line(&["ssl_certificate_key", &app.spec().key_path]),
        line(&["ssl_protocols", "TLSv1.2", "TLSv1.3"]),
        line(&["ssl_prefer_server_ciphers", "off"]),
        line(&["ssl_session_cache", &cache]),
        line(&["ssl_session_timeout", "1d"]),
        line(&["ssl_session_tickets", "off"]),
    ]
}

fn body(app: &App, upstream: &str) -> Vec<Node> {
    let log = |kind: &str| format!("/var/log/nginx/{}.{kind}.log", app.key());
    let public = shown(&app.current().join("public"));
    let assets = vec![
        line(&["try_files", "$uri", "@app"]),
        // Their names change with their content.
        line(&["add_header", "Cache-Control", "public, max-age=31536000, immutable"]),
    ];
    vec![
        line(&["access_log", &log("access")]),
        line(&["error_log", &log("error")]),
        line(&["root", &public]),
        // A link in a release leads to what is the app's own, or nowhere. The way to the release is root's.
        line(&["disable_symlinks", "if_not_owner", "from=$document_root"]),
        line(&["client_max_body_size", BODY_MOST]),
        line(&["server_tokens", "off"]),
        line(&["keepalive_timeout", "65s"]),
        challenges(),
        block(&["location", "~", r"/\.(?!well-known/)"], vec![line(&["return", "404"])]),
        block(&["location", "/assets/"], assets),
        block(&["location", "/"], vec![line(&["try_files", "$uri", "@app"])]),
        block(&["location", "@app"], proxy(app, upstream)),
    ]
}

fn proxy(app: &App, upstream: &str) -> Vec<Node> {
    let answer = format!("{}s", ANSWER_S.max(app.spec().health_timeout_s));
    let header = |name: &str, value: &str| line(&["proxy_set_header", name, value]);
    vec![
        line(&["proxy_pass", &format!("http://{upstream}")]),
        line(&["proxy_http_version", "1.1"]),
        line(&["proxy_redirect", "off"]),
        line(&["proxy_read_timeout", &answer]),
        header("Host", "$host"),
        header("Upgrade", "$http_upgrade"),
        header("Connection", &upgrade(app)),
        header("X-Real-IP", "$remote_addr"),
        header("X-Request-Id", "$request_id"),
        header("X-Forwarded-For", "$proxy_add_x_forwarded_for"),
        header("X-Forwarded-Host", "$host"),
        header("X-Forwarded-Port", "$server_port"),
        header("X-Forwarded-Proto", "$scheme"),
    ]
}

/// A word as nginx reads it. `$` is left: where it stands, a variable is meant.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._/:$@=*~^+,-[]".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))
}

fn print(nodes: &[Node], depth: usize, out: &mut String) {
    let indent = "    ".repeat(depth);
    for node in nodes {
        let words: Vec<String> = node.words.iter().map(|word| quoted(word)).collect();
        match &node.block {
            None => drop(writeln!(out, "{indent}{};", words.join(" "))),
            Some(inner) => {
                let _ = writeln!(out, "{indent}{} {{", words.join(" "));
                print(inner, depth + 1, out);
                let _ = writeln!(out, "{indent}}}");
            }
        }
    }
}

fn same(node: &Node, read: &Directive) -> bool {
    let words = std::iter::once(&read.name).chain(&read.args).map(|word| word.value.as_str());
    let inner = node.block.as_deref().unwrap_or_default();
    words.eq(node.words.iter().map(String::as_str))
        && inner.len() == read.children().len()
        && inner.iter().zip(read.children()).all(|(node, read)| same(node, read))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        /// Security case 52.
        #[test]
        fn any_word_is_one_word(words in prop::collection::vec("[^\0]{1,20}|[;{}\"'\\\\#$ \n\t]{1,12}", 1..4)) {
            let node = Node { words: [vec!["x".to_owned()], words].concat(), block: None };
            let mut text = String::new();
            print(std::slice::from_ref(&node), 0, &mut text);
            let parsed = parse(&text);
            prop_assert!(parsed.error.is_none(), "{text}");
            prop_assert_eq!(parsed.directives.len(), 1);
            prop_assert!(same(&node, &parsed.directives[0]), "{}", text);
        }
    }
}
