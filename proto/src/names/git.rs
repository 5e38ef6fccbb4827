//! Where code comes from. Narrower than git, which takes refs and addresses that are options, commands or programs.

use super::NameError;

name! {
    /// A branch: letters, digits and `. _ / -`, not beginning with a dash or dot. Part of what git-check-ref-format(1) allows.
    BranchName, "branch name", check_branch
}

fn check_branch(text: &str) -> Result<(), &'static str> {
    if text.is_empty() || text.len() > 200 {
        return Err("it must have 1 to 200 characters");
    }
    if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._/+#@-".contains(&b)) || text.contains("@{") {
        return Err("only ASCII letters, digits and . _ / + # @ - are allowed");
    }
    let part = |part: &str| {
        !part.is_empty()
            && !part.starts_with(['-', '.', '@'])
            && !part.ends_with('.')
            && !part.ends_with(".lock")
    };
    if !text.split('/').all(part) || text.contains("..") {
        return Err("no part of it may be empty, begin with - . or @, or end with . or .lock");
    }
    if text == "HEAD" || text.starts_with("refs/") || is_hex(text, 40) || is_hex(text, 64) {
        return Err("it reads like something else than a branch");
    }
    Ok(())
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|b| b.is_ascii_hexdigit())
}

impl BranchName {
    /// The whole ref, for git.
    pub fn full(&self) -> String {
        format!("refs/heads/{self}")
    }
}

name! {
    /// A commit: its whole id in lower-case hex, SHA-1 or SHA-256.
    CommitId, "commit id", |text| {
        let lower = !text.bytes().any(|b| b.is_ascii_uppercase());
        if lower && (is_hex(text, 40) || is_hex(text, 64)) { Ok(()) } else { Err("it must be the whole id: 40 or 64 lower-case hex digits") }
    }
}

impl CommitId {
    /// As people read it.
    pub fn short(&self) -> &str {
        &self.as_str()[..7]
    }
}

name! {
    /// A git repository: `https://host/path`, `ssh://[user@]host[:port]/path`, `user@host:path`, or `file:///srv/git/path`.
    GitUrl, "git address", |text| parse(text).map(drop)
}

/// How a repository is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Over TLS.
    Https,
    /// Through ssh.
    Ssh,
    /// On the host itself, below /srv/git.
    File,
}

impl GitUrl {
    /// How it is reached.
    pub fn transport(&self) -> Transport {
        parse(self.as_str()).map_or(Transport::File, |(transport, _)| transport)
    }

    /// The server; empty for a repository on the host itself.
    pub fn server(&self) -> &str {
        parse(self.as_str()).map_or("", |(_, server)| server)
    }
}

/// A text without the logins that stand in its addresses: `https://[redacted]@HOST/PATH`. The users of ssh are no secret.
///
/// What is no good address has passwords in it, too: everything up to the last `@` of the word counts as one.
pub(crate) fn without_logins(text: &str) -> String {
    let (mut told, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once("://") {
        let word =
            after.split(|c: char| c.is_whitespace() || "\"'`<>".contains(c)).next().unwrap_or_default();
        let login = word.rsplit_once('@').map_or("", |(login, _)| login);
        let is_user = before.ends_with("ssh") && user_fits(login);
        let is_secret = !login.is_empty() && !is_user;
        told += before;
        told += if is_secret { "://[redacted]" } else { "://" };
        rest = if is_secret { &after[login.len()..] } else { after };
    }
    told + rest
}

fn parse(text: &str) -> Result<(Transport, &str), &'static str> {
    const FORMS: &str =
        "it must be https://HOST/PATH, ssh://USER@HOST/PATH, USER@HOST:PATH, or file:///srv/git/PATH";
    if text.len() > 500 || !text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._~/:@+-".contains(&b)) {
        return Err("it must have at most 500 ASCII letters, digits and . _ ~ / : @ + -");
    }
    if let Some(path) = text.strip_prefix("file://") {
        let inside =
            path.strip_prefix("/srv/git/").ok_or("on the host itself, only /srv/git holds repositories")?;
        return path_fits(inside).map(|()| (Transport::File, ""));
    }
    if let Some(rest) = text.strip_prefix("https://") {
        let (server, path) = rest.split_once('/').ok_or(FORMS)?;
        if server.contains('@') {
            return Err("it must hold no user and no password; the secret git-token is for that");
        }
        return server_fits(server).and_then(|()| path_fits(path)).map(|()| (Transport::Https, host(server)));
    }
    let (login, path) = match text.strip_prefix("ssh://") {
        Some(rest) => rest.split_once('/').ok_or(FORMS)?,
        None if text.contains("://") || text.contains("::") => return Err(FORMS),
        None => {
            let (login, path) = text.split_once(':').filter(|(login, _)| login.contains('@')).ok_or(FORMS)?;
            (login, path.strip_prefix('/').unwrap_or(path))
        }
    };
    let server = match login.split_once('@') {
        Some((user, server)) if user_fits(user) => server,
        Some(_) => {
            return Err("its user must be lower-case letters, digits and . _ -, beginning with a letter");
        }
        None => login,
    };
    if !text.starts_with("ssh://") && server.contains(':') {
        return Err(FORMS);
    }
    server_fits(server).and_then(|()| path_fits(path)).map(|()| (Transport::Ssh, host(server)))
}

const HOST: &str = "its host must be a DNS name in lower case, or an IPv4 address";

fn host(server: &str) -> &str {
    server.split_once(':').map_or(server, |(host, _)| host)
}

fn user_fits(user: &str) -> bool {
    user.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && user.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b))
}

fn server_fits(server: &str) -> Result<(), &'static str> {
    let (host, port) = server.split_once(':').map_or((server, None), |(host, port)| (host, Some(port)));
    let port_fits = port.is_none_or(|p| !p.starts_with(['+', '0']) && p.parse::<u16>().is_ok());
    match super::check_host(host) {
        Ok(()) if reads_as_number(host) && host.parse::<std::net::Ipv4Addr>().is_err() => Err(HOST),
        Ok(()) if port_fits => Ok(()),
        Ok(()) => Err("its port must be 1 to 65535"),
        Err(_) => Err(HOST),
    }
}

/// Whether programs may take a host for an address: `127.1`, `2130706433` and `0x7f.1` are such (inet_aton(3)).
fn reads_as_number(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or(host);
    let digits = last.strip_prefix("0x").filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit())).is_some();
    digits || last.bytes().all(|b| b.is_ascii_digit())
}

fn path_fits(path: &str) -> Result<(), &'static str> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let part = |part: &str| !part.is_empty() && !part.starts_with(['-', '.']) && !part.contains([':', '@']);
    if path.split('/').all(part) {
        Ok(())
    } else {
        Err("no part of its path may be empty, or begin with - or .")
    }
}

#[cfg(test)]
#[path = "git_tests.rs"]
mod tests;
