//! URLs, taken apart as nginx takes apart a request.

use hms_proto::fault::Fault;

/// A URL, as nginx takes it apart.
pub(crate) struct Target {
    pub(crate) tls: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Decoded, with dots and double slashes resolved.
    pub(crate) uri: String,
    pub(crate) request_uri: String,
}

/// Takes a URL apart.
pub(crate) fn parse(url: &str) -> Result<Target, Fault> {
    let bad = |why: &str| {
        Fault::invalid(format!("`{}` is not a URL: {why}", super::tree::shown(url)))
            .hint("For example https://cigars.example.org/posts?id=1")
    };
    if url.len() > 4096 {
        return Err(bad("it is longer than 4,096 characters"));
    }
    let whole = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    let (scheme, rest) = whole.split_once("://").ok_or_else(|| bad("it has no host"))?;
    let tls = match scheme {
        "http" => false,
        "https" => true,
        _ => return Err(bad("it must begin with http:// or https://")),
    };
    let at = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(at);
    let authority: http::uri::Authority = authority.parse().map_err(|_| bad("its host is malformed"))?;
    let path = path.split('#').next().unwrap_or_default();
    let request_uri = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let uri = normal(request_uri.split('?').next().unwrap_or("/"))
        .ok_or_else(|| bad("nginx answers 400 to its path"))?;
    let host = authority.host().trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase();
    Ok(Target {
        tls,
        host,
        port: authority.port_u16().unwrap_or(if tls { 443 } else { 80 }),
        uri,
        request_uri,
    })
}

/// A path as locations are compared with it: decoded, `//` merged, `.` and `..` resolved.
fn normal(path: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = path.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok().filter(|b| *b != 0)?);
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let mut parts: Vec<&str> = Vec::new();
    let all: Vec<&str> = text.split('/').skip(1).collect();
    for part in &all {
        match *part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    let ends = all.last().is_some_and(|last| matches!(*last, "" | "." | ".."));
    let joined = format!("/{}", parts.join("/"));
    Some(if ends && joined != "/" { format!("{joined}/") } else { joined })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_compared_in_their_normal_form() {
        for (path, is) in [
            ("/", "/"),
            ("//a///b", "/a/b"),
            ("/a/../b/./c", "/b/c"),
            ("/%61", "/a"),
            ("/a/..", "/"),
            ("/a/b/..", "/a/"),
            ("/a/", "/a/"),
        ] {
            assert_eq!(normal(path).as_deref(), Some(is), "{path}");
        }
        for bad in ["/..", "/%zz", "/%00", "/%4"] {
            assert_eq!(normal(bad), None, "{bad}");
        }
    }
}
