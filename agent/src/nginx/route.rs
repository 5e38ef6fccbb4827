//! Which server and location answers a URL, by the rules of nginx (ngx_http_core_find_location), and what it does then.

use fancy_regex::{Regex, RegexBuilder};
use hms_proto::{
    fault::Fault,
    host::v1::{NginxPlace, RouteNginxResponse},
};

use super::{
    flat::{Item, flatten},
    folder::Folder,
    lint::Linted,
    servers,
    url::{Target, parse},
};

/// nginx follows internal redirects ten times.
const REWRITES_MAX: usize = 10;
/// Steps of a pattern: enough for real ones, too few to keep the agent busy.
const STEPS: usize = 100_000;
const CONSIDERED_MAX: usize = 60;
const ACTIONS: [&str; 25] = [
    "return",
    "rewrite",
    "try_files",
    "proxy_pass",
    "fastcgi_pass",
    "uwsgi_pass",
    "scgi_pass",
    "grpc_pass",
    "memcached_pass",
    "root",
    "alias",
    "index",
    "auth_basic",
    "auth_request",
    "allow",
    "deny",
    "limit_req",
    "proxy_cache",
    "stub_status",
    "internal",
    "error_page",
    "if",
    "expires",
    "autoindex",
    "mirror",
];

/// The groups of a match; `None` when there is none, or the pattern cannot be followed.
pub(crate) fn matches(pattern: &str, any_case: bool, text: &str) -> Option<Vec<String>> {
    let regex: Regex =
        RegexBuilder::new(pattern).case_insensitive(any_case).backtrack_limit(STEPS).build().ok()?;
    let found = regex.captures(text).ok().flatten()?;
    Some(found.iter().map(|g| g.map_or_else(String::new, |m| m.as_str().to_owned())).collect())
}

/// Follows a URL through the configuration.
pub(crate) fn route(folder: &Folder, linted: &Linted, url: &str) -> Result<RouteNginxResponse, Fault> {
    let target = parse(url)?;
    let top = flatten(folder, linted);
    let http: Vec<&Item<'_>> = top.iter().filter(|i| i.name() == "http").collect();
    let servers: Vec<&Item<'_>> = http.iter().flat_map(|h| h.all("server")).collect();
    let chosen = servers::choose(&servers, &target.host, target.port, target.tls).ok_or_else(|| {
        Fault::not_found("server that listens on port", &target.port.to_string())
            .hint("Add a server block with this port, or ask for another URL.")
    })?;
    let mut walk = Walk { target: &target, uri: target.uri.clone(), response: RouteNginxResponse::default() };
    walk.response.server = Some(chosen.server.place());
    walk.response.server_reason = chosen.reason;
    walk.response.listen = chosen.listen;
    walk.follow(chosen.server, &http);
    Ok(walk.response)
}

/// How a run through rewriting directives ended.
enum Rewritten {
    /// The request goes on.
    On,
    /// It looks for a location anew.
    Again,
    /// It is answered.
    Answered,
}

struct Walk<'t> {
    target: &'t Target,
    uri: String,
    response: RouteNginxResponse,
}

impl Walk<'_> {
    fn follow(&mut self, server: &Item<'_>, http: &[&Item<'_>]) {
        if let Rewritten::Answered = self.rewrite(server) {
            "the server answers before it looks for a location"
                .clone_into(&mut self.response.location_reason);
            return;
        }
        for round in 0..=REWRITES_MAX {
            let mut found = None;
            let mut reason = String::new();
            self.find(server, &mut found, &mut reason);
            self.response.location = found.map(Item::place);
            self.response.location_reason = if found.is_some() {
                reason
            } else {
                "no location matches: the server's own directives".to_owned()
            };
            let Some(location) = found else {
                return self.act(&[server], http);
            };
            if self.response.location_reason.starts_with("redirect") {
                return;
            }
            match self.rewrite(location) {
                Rewritten::Again if round < REWRITES_MAX => {}
                Rewritten::Again => {
                    "more than ten rewrites: nginx answers 500".clone_into(&mut self.response.location_reason)
                }
                Rewritten::Answered => return,
                Rewritten::On => return self.act(&[location, server], http),
            }
        }
    }

    /// Exact, then the longest prefix and what is nested in it, then patterns in their order.
    /// Whether the search is over.
    fn find<'i, 'a>(
        &mut self,
        level: &'i Item<'a>,
        found: &mut Option<&'i Item<'a>>,
        reason: &mut String,
    ) -> bool {
        let locations: Vec<(&Item<'_>, Kind<'_>)> =
            level.all("location").filter_map(|l| Some((l, Kind::of(l)?))).collect();
        for (location, kind) in &locations {
            if self.response.considered.len() < CONSIDERED_MAX && !matches!(kind, Kind::Named) {
                self.response.considered.push(location.place());
            }
        }
        let uri = self.uri.clone();
        if let Some((location, _)) = locations.iter().find(|(_, k)| matches!(k, Kind::Exact(p) if *p == uri))
        {
            *found = Some(location);
            "exactly this path (`=`)".clone_into(reason);
            return true;
        }
        let redirect = locations.iter().find(|(l, k)| {
            matches!(k, Kind::Prefix(p, _) if p.strip_suffix('/') == Some(&uri))
                && l.children.iter().any(|c| c.name().ends_with("_pass"))
        });
        let prefix = locations.iter().filter_map(|(l, k)| match k {
            Kind::Prefix(p, stops) if uri.starts_with(p) => Some((*l, *p, *stops)),
            _ => None,
        });
        let prefix = prefix.fold(None, |best: Option<(&Item<'_>, &str, bool)>, one| match best {
            Some(best) if best.1.len() >= one.1.len() => Some(best),
            _ => Some(one),
        });
        if let Some((location, _)) = redirect {
            *found = Some(location);
            *reason = format!(
                "redirect to {uri}/ (301), as this location ends with a slash and passes requests on"
            );
            return true;
        }
        let mut stops = false;
        if let Some((location, text, no_patterns)) = prefix {
            *found = Some(location);
            stops = no_patterns;
            *reason = format!(
                "the longest prefix, {text}{}",
                if no_patterns { " (`^~`: no pattern is tried)" } else { "" }
            );
            if self.find(location, found, reason) {
                return true;
            }
        }
        if stops {
            return false;
        }
        let pattern = locations
            .iter()
            .find(|(_, k)| matches!(k, Kind::Pattern(p, any_case) if matches(p, *any_case, &uri).is_some()));
        if let Some((location, Kind::Pattern(text, _))) = pattern {
            *found = Some(location);
            *reason = format!("the first pattern that matches, {text}");
            self.find(location, found, reason);
            return true;
        }
        false
    }

    /// Runs `return`, `rewrite`, `if` and `break` in their order.
    fn rewrite(&mut self, block: &Item<'_>) -> Rewritten {
        let mut changed = false;
        for item in &block.children {
            match item.name() {
                "return" => {
                    self.response.actions.push(item.place());
                    return Rewritten::Answered;
                }
                "break" => return Rewritten::On,
                "if" if self.holds(item) == Some(true) => {
                    self.response.actions.push(item.place());
                    if let Rewritten::Answered = self.rewrite(item) {
                        return Rewritten::Answered;
                    }
                }
                "rewrite" => match self.rewrite_once(item) {
                    None => {}
                    Some("last") => return Rewritten::Again,
                    Some("break") => return Rewritten::On,
                    Some("answered") => return Rewritten::Answered,
                    Some(_) => changed = true,
                },
                _ => {}
            }
        }
        if changed && block.name() == "location" { Rewritten::Again } else { Rewritten::On }
    }

    fn rewrite_once(&mut self, item: &Item<'_>) -> Option<&'static str> {
        let groups = matches(item.arg(0), false, &self.uri)?;
        self.response.actions.push(item.place());
        let flag = item.arg(2);
        let absolute = ["http://", "https://", "$scheme"].iter().any(|s| item.arg(1).starts_with(s));
        if absolute || matches!(flag, "redirect" | "permanent") {
            return Some("answered");
        }
        let text = self.expand(item.arg(1), &groups);
        self.uri = text.split('?').next().unwrap_or("/").to_owned();
        Some(match flag {
            "last" => "last",
            "break" => "break",
            _ => "",
        })
    }

    fn value(&self, name: &str) -> Option<String> {
        let target = self.target;
        Some(match name {
            "uri" | "document_uri" => self.uri.clone(),
            "host" => target.host.clone(),
            "http_host" if matches!(target.port, 80 | 443) => target.host.clone(),
            "scheme" => if target.tls { "https" } else { "http" }.to_owned(),
            "https" => if target.tls { "on" } else { "" }.to_owned(),
            "request_uri" => target.request_uri.clone(),
            "args" | "query_string" => target.request_uri.split_once('?').map_or("", |(_, q)| q).to_owned(),
            "server_port" => target.port.to_string(),
            "request_method" => "GET".to_owned(),
            _ => return None,
        })
    }

    fn expand(&self, text: &str, groups: &[String]) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            out.push_str(&rest[..at]);
            let after = rest[at + 1..].trim_start_matches('{');
            let name: String = after.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            let value =
                name.parse::<usize>().ok().and_then(|n| groups.get(n).cloned()).or_else(|| self.value(&name));
            out.push_str(&value.unwrap_or_default());
            rest = after[name.len()..].trim_start_matches('}');
        }
        out + rest
    }

    /// Whether the condition of an `if` holds; `None` when it depends on what is not known here.
    fn holds(&self, item: &Item<'_>) -> Option<bool> {
        let words: Vec<&str> = item.directive.args.iter().map(|w| w.value.as_str()).collect();
        let text = words.join(" ");
        let inner = text.trim().strip_prefix('(')?.strip_suffix(')')?.trim().to_owned();
        let mut parts = inner.splitn(3, ' ').map(str::trim);
        let value = self.value(parts.next()?.strip_prefix('$')?)?;
        Some(match (parts.next(), parts.next()) {
            (None, _) => !value.is_empty() && value != "0",
            (Some("="), Some(other)) => value == other,
            (Some("!="), Some(other)) => value != other,
            (Some("~"), Some(pattern)) => matches(pattern, false, &value).is_some(),
            (Some("~*"), Some(pattern)) => matches(pattern, true, &value).is_some(),
            (Some("!~"), Some(pattern)) => matches(pattern, false, &value).is_none(),
            (Some("!~*"), Some(pattern)) => matches(pattern, true, &value).is_none(),
            _ => return None,
        })
    }

    /// What is done with the request; where a location says nothing of it, what it inherits.
    fn act(&mut self, blocks: &[&Item<'_>], http: &[&Item<'_>]) {
        let Some((first, outer)) = blocks.split_first() else { return };
        let known: Vec<NginxPlace> = self.response.actions.clone();
        let own = first.children.iter().filter(|c| ACTIONS.contains(&c.name())).map(Item::place);
        self.response.actions.extend(own.filter(|p| !known.contains(p)));
        let passes = first
            .children
            .iter()
            .any(|c| c.name().ends_with("_pass") || matches!(c.name(), "root" | "alias" | "return"));
        if passes {
            return;
        }
        let inherited = outer.iter().chain(http).find_map(|block| block.all("root").last());
        self.response.actions.extend(inherited.map(Item::place));
    }
}

/// How a location is compared with a path.
enum Kind<'a> {
    Exact(&'a str),
    /// With whether it keeps patterns from being tried.
    Prefix(&'a str, bool),
    /// With whether upper and lower case are the same.
    Pattern(&'a str, bool),
    Named,
}

impl<'a> Kind<'a> {
    fn of(location: &Item<'a>) -> Option<Self> {
        let first = location.arg(0);
        if location.directive.args.len() >= 2 {
            let text = location.arg(1);
            return match first {
                "=" => Some(Self::Exact(text)),
                "^~" => Some(Self::Prefix(text, true)),
                "~" => Some(Self::Pattern(text, false)),
                "~*" => Some(Self::Pattern(text, true)),
                _ => None,
            };
        }
        // The modifier may be written without a space behind it.
        Some(match first {
            _ if first.starts_with('=') => Self::Exact(&first[1..]),
            _ if first.starts_with("^~") => Self::Prefix(&first[2..], true),
            _ if first.starts_with("~*") => Self::Pattern(&first[2..], true),
            _ if first.starts_with('~') => Self::Pattern(&first[1..], false),
            _ if first.starts_with('@') => Self::Named,
            "" => return None,
            prefix => Self::Prefix(prefix, false),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{folder::Entry, lint::lint},
        *,
    };

    fn ask(conf: &str, url: &str) -> String {
        let mut folder = Folder::default();
        folder.entries.insert("nginx.conf".into(), Entry::file(format!("events {{}}\nhttp {{ {conf} }}")));
        match route(&folder, &lint(&folder), url) {
            Ok(answer) => answer.actions.last().map(|a| a.text.clone()).unwrap_or_default(),
            Err(fault) => fault.message,
        }
    }

    #[test]
    fn locations_are_found_in_nginxs_order() {
        let conf = "server { listen 80; server_name a.org; root /srv/a; location / { return 200 root; } location = /x { return 200 exact; } \
                    location /img/ { return 200 img; } location ^~ /static/ { return 200 static; } location ~ \\.png$ { return 200 png; } \
                    location /app/ { location /app/sub/ { return 200 sub; } return 200 app; } location /f { try_files $uri /i; } \
                    location /r { rewrite ^/r/(.*)$ /img/$1 last; } location /p/ { proxy_pass http://x; } }";
        for (url, says) in [
            ("http://a.org/", "return 200 root"),
            ("http://a.org/x", "return 200 exact"),
            ("http://a.org/x/", "return 200 root"),
            ("http://a.org/img/a", "return 200 img"),
            ("http://a.org/img/a.png", "return 200 png"),
            ("http://a.org/static/a.png", "return 200 static"),
            ("http://a.org/app/sub/x", "return 200 sub"),
            ("http://a.org/app/x", "return 200 app"),
            ("http://a.org/app/x.png", "return 200 png"),
            ("http://a.org/f", "root /srv/a"),
            ("http://a.org/r/z", "return 200 img"),
            ("http://a.org:81/", "there is no server that listens on port named `81`"),
        ] {
            assert_eq!(ask(conf, url), says, "{url}");
        }
    }

    #[test]
    fn servers_are_found_by_their_names() {
        let conf = "server { listen 80; server_name a.org www.*; return 200 exact; } server { listen 80 default_server; return 200 default; } \
                    server { listen 80; server_name *.b.org; return 200 b; } server { listen 80; server_name .c.b.org; return 200 c; } \
                    server { listen 80; server_name ~^w\\d+; return 200 pattern; } server { listen 443 ssl; return 200 tls; }";
        for (url, says) in [
            ("a.org", "exact"),
            ("A.ORG.", "exact"),
            ("www.z.de", "exact"),
            ("x.b.org", "b"),
            ("b.org", "default"),
            ("c.b.org", "c"),
            ("d.c.b.org", "c"),
            ("w12.x", "pattern"),
            ("none", "default"),
            ("https://q", "tls"),
        ] {
            assert_eq!(ask(conf, url), format!("return 200 {says}"), "{url}");
        }
    }
}
