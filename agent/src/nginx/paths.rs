//! Paths: of files in the configuration, and those that directives name.

use std::fmt;

use hms_proto::fault::Fault;

/// Where the configuration is.
pub(crate) const ROOT: &str = "/etc/nginx";
const COMPONENT_MAX: usize = 100;
const DEPTH_MAX: usize = 5;

/// A file of the configuration, relative to /etc/nginx. No dot files, nothing that looks like an option, no way out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ConfigPath(String);

impl TryFrom<&str> for ConfigPath {
    type Error = Fault;

    fn try_from(text: &str) -> Result<Self, Fault> {
        let bad = |why: &str| {
            Err(Fault::invalid(format!(
                "`{}` is not a path of a configuration file: {why}",
                super::tree::shown(text)
            ))
            .hint("Paths are relative to /etc/nginx: `sites-available/cigar`, `conf.d/gzip.conf`."))
        };
        if text.is_empty() || text.len() > 255 {
            return bad("it must have 1 to 255 characters");
        }
        let parts: Vec<&str> = text.split('/').collect();
        if parts.len() > DEPTH_MAX {
            return bad("it has too many folders");
        }
        for part in parts {
            if part.is_empty() || part.len() > COMPONENT_MAX {
                return bad("each part must have 1 to 100 characters, and it must not begin with `/`");
            }
            if part.starts_with(['.', '-']) || part.ends_with('.') {
                return bad("a part must not begin with `.` or `-`, nor end with `.`");
            }
            if !part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._+@=,:-".contains(&b)) {
                return bad("only ASCII letters, digits and . _ + @ = , : - are allowed");
            }
        }
        Ok(Self(text.to_owned()))
    }
}

impl ConfigPath {
    /// As text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Name of the site, for files in sites-available.
    pub(crate) fn site(&self) -> Option<&str> {
        self.0.strip_prefix("sites-available/").filter(|name| !name.contains('/'))
    }
}

impl fmt::Display for ConfigPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Places that hold secrets, or are the system itself: nginx has no business there, whoever accepts it.
const NEVER: [&str; 22] = [
    "/etc",
    "/root",
    "/proc",
    "/sys",
    "/dev",
    "/boot",
    "/run",
    "/var/run",
    "/var/log",
    "/var/spool",
    "/var/mail",
    "/var/backups",
    "/var/lib/hms",
    "/var/lib/hms-agent",
    "/var/lib/hms-controller",
    "/var/lib/private",
    "/var/lib/postgresql",
    "/var/lib/mysql",
    "/var/lib/systemd",
    "/usr/lib",
    "/usr/bin",
    "/bin",
];

/// Whether a path is in a folder or is the folder itself.
pub(crate) fn is_in(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What may be said of a path that a directive names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Ordinary.
    Good,
    /// Outside of the ordinary places, and no harm in itself.
    Unusual,
    /// Never.
    Never,
}

/// Folders with a dot that hold what is meant to be served: challenges, and what builders of sites put out.
const BUILT: [&str; 7] =
    [".well-known", ".output", ".next", ".nuxt", ".vitepress", ".vuepress", ".svelte-kit"];

/// `//srv/x/` is `/srv/x`.
pub(crate) fn clean(path: &str) -> String {
    format!("/{}", path.split('/').filter(|p| !p.is_empty()).collect::<Vec<_>>().join("/"))
}

/// Judges an absolute path against the ordinary places. A path that leaves a place again is none.
pub(crate) fn judge(path: &str, places: &[&str]) -> Standing {
    let parts: Vec<&str> = path.split('/').collect();
    if !path.starts_with('/') || parts.iter().any(|p| *p == ".." || *p == ".") || path.contains('\0') {
        return Standing::Never;
    }
    let clean = clean(path);
    let hidden = parts.iter().any(|p| p.starts_with('.') && !BUILT.contains(p));
    if places.iter().any(|place| is_in(&clean, place)) && !hidden && !is_secret(&clean) {
        return Standing::Good;
    }
    if clean == "/" || hidden || NEVER.iter().any(|place| is_in(&clean, place)) {
        Standing::Never
    } else {
        Standing::Unusual
    }
}

fn is_secret(clean: &str) -> bool {
    NEVER.iter().filter(|place| place.starts_with("/var/lib/")).any(|place| is_in(clean, place))
}

/// Compares a name with a pattern of glob(7). Names that begin with a dot are matched by no pattern.
pub(crate) fn glob_matches(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        if n == name.len() {
            return pattern[p..].iter().all(|c| *c == '*');
        }
        if pattern.get(p) == Some(&'*') {
            star = Some((p + 1, n));
            p += 1;
        } else if let Some(width) = one_matches(&pattern[p..], name[n]) {
            p += width;
            n += 1;
        } else if let Some((after, from)) = star {
            star = Some((after, from + 1));
            p = after;
            n = from + 1;
        } else {
            return false;
        }
    }
}

/// How much of the pattern stands for this character.
fn one_matches(pattern: &[char], c: char) -> Option<usize> {
    match pattern.first()? {
        '?' => Some(1),
        '\\' => (pattern.get(1) == Some(&c)).then_some(2),
        '[' => {
            let Some(end) = pattern.iter().skip(2).position(|c| *c == ']').map(|at| at + 2) else {
                return (c == '[').then_some(1);
            };
            let (negated, set) = match pattern[1] {
                '!' | '^' => (true, &pattern[2..end]),
                _ => (false, &pattern[1..end]),
            };
            (in_set(set, c) != negated).then_some(end + 1)
        }
        literal => (*literal == c).then_some(1),
    }
}

fn in_set(set: &[char], c: char) -> bool {
    let mut at = 0;
    while at < set.len() {
        if set.get(at + 1) == Some(&'-') && at + 2 < set.len() {
            if (set[at]..=set[at + 2]).contains(&c) {
                return true;
            }
            at += 3;
        } else {
            if set[at] == c {
                return true;
            }
            at += 1;
        }
    }
    false
}

/// Whether a path with `/` matches a pattern, part by part.
pub(crate) fn path_matches(pattern: &str, path: &str) -> bool {
    let (patterns, parts): (Vec<&str>, Vec<&str>) = (pattern.split('/').collect(), path.split('/').collect());
    patterns.len() == parts.len()
        && patterns.iter().zip(&parts).all(|(pattern, part)| glob_matches(pattern, part))
}

/// Whether a text has what glob(7) takes for a pattern.
pub(crate) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Security case 37.
    #[test]
    fn hostile_paths_are_refused() {
        let long = "a".repeat(101);
        for bad in [
            "..",
            ".",
            "",
            "a/../../b",
            "a/..",
            "%2e%2e",
            "/etc/nginx/nginx.conf",
            "a\0b",
            &long,
            "-x",
            ".x",
            "a/.x",
            "x.",
            "a//b",
            "a/",
            "sites-enabled/../../shadow",
            "a b",
            "a\nb",
            "a\\b",
            "ü",
            "a;b",
            "a*",
            "a/b/c/d/e/f",
            "~x",
            "$x",
        ] {
            assert!(ConfigPath::try_from(bad).is_err(), "{bad:?}");
        }
        for good in [
            "nginx.conf",
            "sites-available/cigar",
            "conf.d/00-gzip.conf",
            "sites-available/www.example.org",
            "CON",
        ] {
            assert_eq!(ConfigPath::try_from(good).unwrap().as_str(), good);
        }
        assert_eq!(ConfigPath::try_from("sites-available/cigar").unwrap().site(), Some("cigar"));
    }

    #[test]
    fn paths_are_judged_by_where_they_end_up() {
        let places = ["/srv", "/var/lib", "/home"];
        for good in
            ["/srv", "/srv/app/public", "/home/deploy/app/current", "/srv/x/.well-known", "/var/lib/grafana"]
        {
            assert_eq!(judge(good, &places), Standing::Good, "{good}");
        }
        for never in [
            "/",
            "//",
            "/etc",
            "//etc/x",
            "/srv/../etc",
            "/srv/./x",
            "/root/x",
            "/home/x/.ssh",
            "relative",
            "/var/lib/hms-agent/identity",
            "/var/lib//hms-agent",
            "/proc/self/root",
            "/srv/x\0",
        ] {
            assert_eq!(judge(never, &places), Standing::Never, "{never}");
        }
        assert_eq!(judge("/srvx", &places), Standing::Unusual);
    }

    #[test]
    fn patterns_match_as_glob_does() {
        for (pattern, name, matches) in [
            ("*", "x", true),
            ("*", ".x", false),
            ("*.conf", "a.conf", true),
            ("*.conf", ".conf", false),
            ("*.conf", "a.conf.bak", false),
            ("a?c", "abc", true),
            ("[a-c]x", "bx", true),
            ("[!a]x", "bx", true),
            ("[!a]x", "ax", false),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "aXbY", false),
            ("\\*", "*", true),
        ] {
            assert_eq!(glob_matches(pattern, name), matches, "{pattern} {name}");
        }
        assert!(path_matches("sites-enabled/*", "sites-enabled/x"));
        assert!(!path_matches("sites-enabled/*", "sites-enabled/x/y"));
    }
}
