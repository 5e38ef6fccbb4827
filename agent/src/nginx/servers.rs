//! Which server block answers, by nginx's rules: where it listens, then its names
//! (nginx.org: "How nginx processes a request", "Server names").

use std::{collections::BTreeMap, net::IpAddr};

use super::flat::Item;

/// The server, and why.
pub(crate) struct Chosen<'t, 'a> {
    pub(crate) server: &'t Item<'a>,
    pub(crate) reason: String,
    /// As it is written, with its place.
    pub(crate) listen: String,
}

/// A `listen`, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Listen {
    host: String,
    port: u16,
    tls: bool,
    default: bool,
    text: String,
}

fn parse(item: &Item<'_>) -> Option<Listen> {
    let value = item.arg(0);
    if value.starts_with("unix:") {
        return None;
    }
    let (host, port) = match value.parse::<u16>() {
        Ok(port) => ("*", port),
        Err(_) => match value.rsplit_once(':').filter(|(host, _)| !host.contains(':') || host.ends_with(']'))
        {
            Some((host, port)) => (host, port.parse().ok()?),
            None => (value, 80),
        },
    };
    let host = if matches!(host, "*" | "0.0.0.0" | "") {
        "*".to_owned()
    } else {
        host.trim_matches(['[', ']']).to_owned()
    };
    let flags: Vec<&str> = item.directive.args.iter().skip(1).map(|w| w.value.as_str()).collect();
    Some(Listen {
        host,
        port,
        tls: flags.contains(&"ssl"),
        default: flags.contains(&"default_server") || flags.contains(&"default"),
        text: format!("{} ({}:{})", item.directive.head(), item.path, item.directive.name.line),
    })
}

fn listens(server: &Item<'_>) -> Vec<Listen> {
    let found: Vec<Listen> = server.all("listen").filter_map(parse).collect();
    if server.all("listen").next().is_some() {
        return found;
    }
    vec![Listen { host: "*".into(), port: 80, tls: false, default: false, text: "no listen: port 80".into() }]
}

/// The server for a host name and port; `host` in lower case, without a dot at its end.
pub(crate) fn choose<'t, 'a>(
    servers: &[&'t Item<'a>],
    host: &str,
    port: u16,
    tls: bool,
) -> Option<Chosen<'t, 'a>> {
    let mut groups: BTreeMap<String, Vec<(&'t Item<'a>, Listen)>> = BTreeMap::new();
    for server in servers {
        for listen in listens(server).into_iter().filter(|l| l.port == port) {
            groups.entry(listen.host.clone()).or_default().push((server, listen));
        }
    }
    let wanted: Option<String> = host.parse::<IpAddr>().ok().map(|ip| ip.to_string());
    let key = wanted
        .filter(|ip| groups.contains_key(ip))
        .or_else(|| groups.contains_key("*").then(|| "*".to_owned()))
        .or_else(|| groups.contains_key("::").then(|| "::".to_owned()))
        .or_else(|| groups.keys().next().cloned())?;
    let group = groups.remove(&key)?;
    let (at, mut reason) =
        by_name(&group.iter().map(|(s, _)| *s).collect::<Vec<_>>(), host).unwrap_or_else(|| {
            let explicit = group.iter().position(|(_, l)| l.default);
            let why = if explicit.is_some() {
                "default_server of this port"
            } else {
                "the first server of this port, as no default_server is named"
            };
            (explicit.unwrap_or(0), format!("no server_name matches: {why}"))
        });
    let (server, listen) = &group[at];
    if tls != group.iter().any(|(_, l)| l.tls) {
        reason.push_str(if tls {
            "; but port speaks no TLS"
        } else {
            "; but the port speaks TLS, so nginx answers 400"
        });
    }
    Some(Chosen { server, reason, listen: listen.text.clone() })
}

/// Exact names, then the longest name with a leading asterisk, then with a trailing one, then patterns in their order.
fn by_name(group: &[&Item<'_>], host: &str) -> Option<(usize, String)> {
    let names = || {
        group.iter().enumerate().flat_map(|(at, s)| {
            s.all("server_name")
                .flat_map(move |d| d.directive.args.iter().map(move |w| (at, w.value.as_str())))
        })
    };
    let exact = names().find(|(_, name)| {
        let name = name.to_ascii_lowercase();
        name == host || name.strip_prefix('.') == Some(host)
    });
    if let Some((at, name)) = exact {
        return Some((at, format!("server_name {name}")));
    }
    let leading = names().filter(|(_, name)| {
        let suffix = name.strip_prefix('*').or_else(|| name.starts_with('.').then_some(*name));
        suffix.is_some_and(|s| {
            s.starts_with('.') && host.ends_with(&s.to_ascii_lowercase()) && host.len() > s.len()
        })
    });
    if let Some((at, name)) = longest(leading) {
        return Some((at, format!("server_name {name}, the longest with an asterisk in front")));
    }
    let trailing = names().filter(|(_, name)| {
        name.strip_suffix('*').is_some_and(|p| {
            p.ends_with('.')
                && !p.starts_with('*')
                && host.starts_with(&p.to_ascii_lowercase())
                && host.len() > p.len()
        })
    });
    if let Some((at, name)) = longest(trailing) {
        return Some((at, format!("server_name {name}, the longest with an asterisk at its end")));
    }
    names()
        .filter_map(|(at, name)| Some((at, name.strip_prefix('~')?)))
        .find(|(_, pattern)| super::route::matches(pattern, true, host).is_some())
        .map(|(at, pattern)| (at, format!("server_name ~{pattern}, the first pattern that matches")))
}

fn longest<'n>(names: impl Iterator<Item = (usize, &'n str)>) -> Option<(usize, &'n str)> {
    // Of equal ones the first counts: nginx ignores the later.
    names.fold(None, |best: Option<(usize, &str)>, one| match best {
        Some(best) if best.1.trim_start_matches('*').len() >= one.1.trim_start_matches('*').len() => {
            Some(best)
        }
        _ => Some(one),
    })
}
