//! Paths and texts of a specification that end up in files which root's programs read.

use std::collections::BTreeMap;

use super::{
    TEXT_MOST,
    fields::{of, wrong},
};
use crate::{fault::Fault, names::RelPath};

/// Where the folders of apps may be.
const ROOTS: [&str; 4] = ["/srv/", "/var/www/", "/opt/", "/home/"];
/// Where repositories on the host itself are.
const REPOSITORIES: &str = "/srv/git";
/// Where certificates and their keys may be.
const CERTIFICATES: [&str; 5] =
    ["/etc/letsencrypt/", "/etc/ssl/", "/etc/pki/", "/etc/nginx/", "/var/lib/acme/"];

/// The folder of the app.
pub(super) fn root(root: &str) -> Result<(), Fault> {
    let inside = ROOTS.iter().find_map(|top| root.strip_prefix(top));
    if root == REPOSITORIES || root.starts_with(&format!("{REPOSITORIES}/")) {
        return Err(wrong("root", format!("{REPOSITORIES} is for repositories, not for apps")));
    }
    if inside.is_some_and(|path| RelPath::try_from(path).is_ok()) {
        return Ok(());
    }
    Err(wrong("root", format!("`{}` cannot be the folder of an app", shown(root)))
        .hint("It must be below /srv, /var/www, /opt or /home, with letters, digits and . _ - in its path."))
}

/// The folder with ruby and bundle. The programs in it run as the app's own user.
pub(super) fn ruby(folder: &str) -> Result<(), Fault> {
    path("ruby_path", folder)
}

/// A certificate and its key, both or none.
pub(super) fn certificate(cert: &str, key: &str) -> Result<(), Fault> {
    match (cert.is_empty(), key.is_empty()) {
        (true, true) => return Ok(()),
        (false, true) => return Err(wrong("key_path", "a certificate needs its key")),
        (true, false) => return Err(wrong("cert_path", "a key needs its certificate")),
        (false, false) => {}
    }
    for (field, file) in [("cert_path", cert), ("key_path", key)] {
        path(field, file)?;
        if !CERTIFICATES.iter().any(|folder| file.starts_with(folder)) {
            return Err(wrong(field, format!("`{file}` is not where certificates are")).hint(format!(
                "They must be below {}.",
                CERTIFICATES.map(|f| f.trim_end_matches('/')).join(", ")
            )));
        }
    }
    Ok(())
}

/// An absolute path of plain characters. It is written into files of programs that each quote in their own way.
fn path(field: &str, path: &str) -> Result<(), Fault> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-+@".contains(&b);
    let part = |part: &str| !part.is_empty() && part != "." && part != ".." && part.bytes().all(plain);
    if path.len() <= 255 && path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(part)) {
        return Ok(());
    }
    Err(wrong(field, format!("`{}` is not a path that can be used here", shown(path)))
        .hint("It must be absolute, of letters, digits and . _ - + @, without `..`."))
}

fn shown(text: &str) -> String {
    text.chars().take(100).flat_map(char::escape_debug).collect()
}

/// A whole file that somebody wrote: its lines must be those that it shows.
pub(super) fn own_text(name: &str, text: &str) -> Result<(), Fault> {
    let field = format!("overrides.{name}");
    if text.is_empty() || text.len() > TEXT_MOST {
        return Err(wrong(&field, "the text must have 1 to 65,536 bytes"));
    }
    of(&field, shows_all(text))
        .map_err(|fault| fault.hint("Lines end with LF, and nothing may be hidden in them."))
}

fn shows_all(text: &str) -> Result<(), String> {
    let hidden = |c: char| (c.is_control() && c != '\n' && c != '\t') || is_invisible(c);
    match text.chars().find(|c| hidden(*c)) {
        Some(c) => Err(format!("it has the character {} in it", c.escape_unicode())),
        None => Ok(()),
    }
}

/// Separators of lines that editors know and programs do not, marks that turn text around, and tags, which hide text.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        | '\u{e0000}'..='\u{e007f}')
}

/// Kinds of keys of ssh servers (ssh-keyscan(1)), and how the text of each begins: its own name, in base64.
const HOST_KEYS: [(&str, &str); 5] = [
    ("ssh-ed25519", "AAAAC3NzaC1lZDI1NTE5"),
    ("ssh-rsa", "AAAAB3NzaC1yc2"),
    ("ecdsa-sha2-nistp256", "AAAAE2VjZHNhLXNoYTItbmlzdHAyNTY"),
    ("ecdsa-sha2-nistp384", "AAAAE2VjZHNhLXNoYTItbmlzdHAzODQ"),
    ("ecdsa-sha2-nistp521", "AAAAE2VjZHNhLXNoYTItbmlzdHA1MjE"),
];

/// Lines of known_hosts (sshd(8)). They decide which server is believed, so that each must be one that is understood.
pub(super) fn known_hosts(text: &str) -> Result<(), Fault> {
    const FIELD: &str = "git_known_hosts";
    if text.len() > TEXT_MOST {
        return Err(wrong(FIELD, "it must have at most 64 KiB"));
    }
    of(FIELD, shows_all(text))?;
    for (number, line) in text.lines().enumerate().map(|(n, line)| (n + 1, line.trim())) {
        if !line.is_empty() && !line.starts_with('#') {
            known_host(line).map_err(|why| {
                wrong(FIELD, format!("line {number} {why}"))
                    .hint("`ssh-keyscan HOST` prints such lines: `git.example.org ssh-ed25519 AAAAC3…`. Compare them before you trust them.")
            })?;
        }
    }
    Ok(())
}

fn known_host(line: &str) -> Result<(), &'static str> {
    let line = line.strip_prefix("@revoked ").or(line.strip_prefix("@cert-authority ")).unwrap_or(line);
    let mut words = line.split_ascii_whitespace();
    let (Some(hosts), Some(kind), Some(key)) = (words.next(), words.next(), words.next()) else {
        return Err("must have a host, a kind of key, and a key");
    };
    let plain = |b: u8| b.is_ascii_alphanumeric() || b".-_:,[]*?!|=+/".contains(&b);
    if !hosts.bytes().all(plain)
        || hosts.starts_with('-')
        || hosts.split(',').any(|host| host.trim_matches(['*', '?']).is_empty())
    {
        return Err("does not name hosts");
    }
    let kinds = BTreeMap::from(HOST_KEYS);
    let Some(begin) = kinds.get(kind) else { return Err("has a kind of key that is not known") };
    let digits = key.trim_end_matches('=');
    let base64 = digits.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/');
    match base64 && key.len() % 4 == 0 && key.len() - digits.len() <= 2 && key.starts_with(begin) {
        true => Ok(()),
        false => Err("has no whole key"),
    }
}
