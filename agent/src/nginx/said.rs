//! What nginx says of a configuration, as problems with a place.

use std::net::{IpAddr, UdpSocket};

use hms_proto::fault::ConfigProblem;

use super::{
    folder::Folder,
    paths,
    tree::{Directive, Parsed},
};

/// Reads `nginx: [emerg] unknown directive "x" in /etc/nginx/sites-enabled/y:12`.
pub(crate) fn problems_of(output: &str, folder: &Folder) -> Vec<ConfigProblem> {
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
pub(crate) fn place<'a>(problem: &mut ConfigProblem, files: impl Iterator<Item = (&'a String, &'a Parsed)>) {
    let message = problem.message.clone();
    let quoted: Vec<&str> = message.split('"').skip(1).step_by(2).filter(|q| !q.is_empty()).collect();
    let port = message.strip_prefix("bind() to ").and_then(|rest| rest.split(' ').next()?.rsplit(':').next());
    let names = |d: &Directive| {
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
    use std::collections::BTreeMap;

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
            place(&mut problem, files.iter());
            assert_eq!((problem.line, problem.path.is_empty()), (line, line == 0), "{message}");
        }
    }
}
