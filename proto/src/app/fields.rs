//! Checks of single fields of a specification: names, numbers, and what has to fit together.

use std::{collections::BTreeSet, fmt::Display, ops::RangeInclusive};

use prost::Message as _;

use super::{OVERRIDABLE, check_value, files};
use crate::{
    fault::Fault,
    host::v1::{AppSpec, DatabaseAuth, Gems, SecretDelivery},
    names::{BranchName, DatabaseName, EnvName, GitUrl, HostName, RakeTask, RelPath},
};

const MIB: u64 = 1024 * 1024;
/// A specification as a whole, in bytes as it is sent.
const MOST: usize = 1024 * 1024;

pub(super) fn check(spec: &AppSpec) -> Result<(), Fault> {
    if spec.encoded_len() > MOST {
        return Err(Fault::invalid("the settings of an app together must be at most 1 MiB"));
    }
    files::root(&spec.root)?;
    numbers(spec)?;
    counts(spec)?;
    kinds(spec)?;
    names(spec)?;
    database(spec)?;
    shared(&spec.shared_paths)?;
    spec.server_names.iter().try_for_each(|name| server_name(name))?;
    twice("server_names", spec.server_names.iter())?;
    health_path(&spec.health_path)?;
    files::ruby(&spec.ruby_path)?;
    files::certificate(&spec.cert_path, &spec.key_path)?;
    files::known_hosts(&spec.git_known_hosts)?;
    spec.overrides.iter().try_for_each(|(name, text)| own_file(name, text))
}

/// The fault, if there is one, with the name of the field before it.
pub(super) fn of<T, E: Display>(field: &str, checked: Result<T, E>) -> Result<T, Fault> {
    checked.map_err(|error| wrong(field, error))
}

pub(super) fn wrong(field: &str, what: impl Display) -> Fault {
    Fault::invalid(format!("{field}: {what}"))
}

fn numbers(spec: &AppSpec) -> Result<(), Fault> {
    if spec.port != 0 {
        within("port", spec.port, 1024..=65_535)?;
    }
    within("workers", spec.workers, 0..=64)?;
    within("threads_min", spec.threads_min, 1..=128)?;
    within("threads_max", spec.threads_max, spec.threads_min..=128)?;
    within("health_timeout_s", spec.health_timeout_s, 1..=600)?;
    within("keep_releases", spec.keep_releases, 2..=50)?;
    within("timeout_s", spec.timeout_s, 60..=14_400)?;
    match spec.memory_max_bytes {
        0 => Ok(()),
        // More would be no limit, and does not fit into what systemd takes.
        bytes if (32 * MIB..=MIB * MIB).contains(&bytes) => Ok(()),
        bytes => Err(wrong(
            "memory_max_bytes",
            format!("it must be 0 (no limit), or 32 MiB to 1 TiB, not {bytes}"),
        )),
    }
}

fn within(field: &str, value: u32, range: RangeInclusive<u32>) -> Result<(), Fault> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(wrong(field, format!("it must be {} to {}, not {value}", range.start(), range.end())))
}

fn counts(spec: &AppSpec) -> Result<(), Fault> {
    let few = [
        ("server_names", spec.server_names.len(), 50),
        ("asset_tasks", spec.asset_tasks.len(), 50),
        ("release_tasks", spec.release_tasks.len(), 50),
        ("shared_paths", spec.shared_paths.len(), 100),
        ("environment", spec.environment.len(), 500),
    ];
    match few.iter().find(|(_, count, most)| count > most) {
        Some((field, count, most)) => Err(wrong(field, format!("{count} are more than {most}"))),
        None => Ok(()),
    }
}

/// Numbers of enums that nobody knows mean something else to somebody.
fn kinds(spec: &AppSpec) -> Result<(), Fault> {
    of("gems", Gems::try_from(spec.gems))?;
    of("database_auth", DatabaseAuth::try_from(spec.database_auth))?;
    of("secret_delivery", SecretDelivery::try_from(spec.secret_delivery))?;
    Ok(())
}

fn names(spec: &AppSpec) -> Result<(), Fault> {
    if !spec.git_url.is_empty() {
        of("git_url", GitUrl::try_from(spec.git_url.as_str()))?;
    }
    of("branch", BranchName::try_from(spec.branch.as_str()))?;
    for (field, tasks) in [("asset_tasks", &spec.asset_tasks), ("release_tasks", &spec.release_tasks)] {
        tasks.iter().try_for_each(|task| of(field, RakeTask::try_from(task.as_str())).map(drop))?;
        twice(field, tasks.iter())?;
    }
    for (name, value) in &spec.environment {
        of("environment", EnvName::try_from(name.as_str()))?;
        of("environment", check_value(name, value).map_err(|fault| fault.message))?;
    }
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    if !(1..=50).contains(&spec.rails_env.len()) || !spec.rails_env.bytes().all(plain) {
        return Err(wrong("rails_env", "it must be 1 to 50 lower-case letters, digits and underscores"));
    }
    Ok(())
}

fn database(spec: &AppSpec) -> Result<(), Fault> {
    if spec.database_name.is_empty() {
        return match spec.database_user.as_str() {
            "" => Ok(()),
            user => of("database_user", DatabaseName::try_from(user)).map(drop),
        };
    }
    of("database_name", DatabaseName::try_from(spec.database_name.as_str()))?;
    of("database_user", DatabaseName::try_from(spec.database_user.as_str())).map(drop)
}

/// Folders in shared/ that are HMS's own.
const OWN: [&str; 3] = ["config", "home", "bundle"];

/// Paths that become links: none may be below another, nor where HMS puts its own files.
fn shared(paths: &[String]) -> Result<(), Fault> {
    const FIELD: &str = "shared_paths";
    for path in paths {
        of(FIELD, RelPath::try_from(path.as_str()))?;
        let top = path.split('/').next().unwrap_or_default();
        if OWN.contains(&path.as_str()) || (OWN.contains(&top) && top != "config") || path == "config/puma.rb"
        {
            return Err(wrong(FIELD, format!("`{path}` is HMS's own"))
                .hint("shared/bundle, shared/home and shared/config/puma.rb are written by HMS. Other things in config/ may be shared."));
        }
    }
    twice(FIELD, paths.iter())?;
    let within = |inner: &&String| {
        paths.iter().any(|outer| inner.strip_prefix(outer.as_str()).is_some_and(|r| r.starts_with('/')))
    };
    match paths.iter().find(within) {
        Some(inner) => {
            Err(wrong(FIELD, format!("`{inner}` is within another of them")).hint("The outer one is enough."))
        }
        None => Ok(()),
    }
}

fn twice<'a>(field: &str, mut texts: impl Iterator<Item = &'a String>) -> Result<(), Fault> {
    let mut seen = BTreeSet::new();
    match texts.find(|text| !seen.insert(*text)) {
        Some(text) => Err(wrong(field, format!("`{text}` is there twice"))),
        None => Ok(()),
    }
}

/// A host name, or all names below one: `*.example.org`.
fn server_name(name: &str) -> Result<(), Fault> {
    const FIELD: &str = "server_names";
    let (rest, is_wildcard) = name.strip_prefix("*.").map_or((name, false), |rest| (rest, true));
    HostName::try_from(rest).map_err(|_| {
        let shown: String = name.chars().take(64).flat_map(char::escape_debug).collect();
        wrong(FIELD, format!("`{shown}` is not a server name"))
            .hint("A server name is like `www.example.org` or `*.example.org`, in lower case.")
    })?;
    if is_wildcard && !rest.contains('.') {
        return Err(wrong(FIELD, format!("`{name}` would take in a whole top-level domain")));
    }
    Ok(())
}

/// What may stand in the first line of a request, and in a unit.
fn health_path(path: &str) -> Result<(), Fault> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-~?=&+".contains(&b);
    let up = path.split(['/', '?']).any(|part| part == "..");
    let fits = path.starts_with('/')
        && !path.starts_with("//")
        && !up
        && path.len() <= 200
        && path.bytes().all(plain);
    match fits {
        true => Ok(()),
        false => Err(wrong(
            "health_path",
            "it must be like `/up`: at most 200 letters, digits and / . _ - ~ ? = & +",
        )),
    }
}

fn own_file(name: &str, text: &str) -> Result<(), Fault> {
    if !OVERRIDABLE.contains(&name) {
        let shown: String = name.chars().take(64).flat_map(char::escape_debug).collect();
        return Err(wrong("overrides", format!("`{shown}` is no file of an app"))
            .hint(format!("These are: {}.", OVERRIDABLE.join(", "))));
    }
    files::own_text(name, text)
}

#[cfg(test)]
#[path = "fields_tests.rs"]
mod tests;
