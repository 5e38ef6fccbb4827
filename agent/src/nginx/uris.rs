//! What directives add to a root, or make a request go on with: nginx takes it as it is, `..` included.

use super::{rules::Finding, tree::Directive};

/// Variables that hold what a client sends, unread.
const OF_CLIENT: [&str; 6] = ["arg_", "http_", "cookie_", "args", "query_string", "request_body"];

/// Looks at the parts of URIs and file names that a directive has.
pub(super) fn check(directive: &Directive) -> Vec<Finding> {
    let name = directive.name.value.as_str();
    let values: Vec<&str> = match name {
        "rewrite" => vec![directive.arg(1)],
        "error_page" => directive.args.last().map(|w| w.value.as_str()).into_iter().collect(),
        _ => directive.args.iter().map(|w| w.value.as_str()).collect(),
    };
    values.into_iter().filter(|value| !is_elsewhere(value)).filter_map(|value| one(name, value)).collect()
}

/// A named location, a status, or an address that the client is sent to.
fn is_elsewhere(value: &str) -> bool {
    value.starts_with(['@', '='])
        || value.starts_with("$scheme://")
        || value.starts_with("http://")
        || value.starts_with("https://")
}

fn one(name: &str, value: &str) -> Option<Finding> {
    let path = value.split('?').next().unwrap_or_default();
    if path.split('/').any(|part| part == "..") {
        let hint = "Write the path as it is below the root.";
        return Some(Finding::never(format!("a path of `{name}` leads out of the root"), hint));
    }
    is_of_client(path).then(|| {
        Finding::named(
            format!("{name}:variable"),
            format!("a client would choose the file that `{name}` takes"),
        )
    })
}

/// Whether a value depends on what a client sends, and nginx has not checked.
pub(super) fn is_of_client(value: &str) -> bool {
    variables(value).any(|name| {
        OF_CLIENT.iter().any(|of| if of.ends_with('_') { name.starts_with(of) } else { name == *of })
    })
}

/// Whether a variable is a part of the host name, by a pattern of `server_name`, and nothing else in that server.
pub(super) fn is_of_host_name(name: &str, around: &[&Directive]) -> bool {
    let Some(server) = around.iter().rev().find(|d| d.name.value == "server") else { return false };
    let captures = [format!("(?<{name}>"), format!("(?P<{name}>"), format!("(?'{name}'")];
    let (mut of_name, mut elsewhere) = (false, false);
    server.walk(&mut |directive| {
        let captured =
            directive.args.iter().any(|w| captures.iter().any(|capture| w.value.contains(capture)));
        match directive.name.value.as_str() {
            "server_name" => of_name |= captured,
            "set" | "auth_request_set" => elsewhere |= directive.arg(0).trim_start_matches('$') == name,
            _ => elsewhere |= captured,
        }
    });
    of_name && !elsewhere
}

fn variables(value: &str) -> impl Iterator<Item = &str> {
    value.split('$').skip(1).map(|rest| {
        let rest = rest.strip_prefix('{').unwrap_or(rest);
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        &rest[..end]
    })
}
