//! Names of what belongs to an app.

use super::{AppKey, NameError};

name! {
    /// An environment variable that an app may have: upper-case letters, digits and underscores, and none that changes how programs
    /// are loaded or run.
    EnvName, "variable name", check_env
}

/// Variables that make a program load, run or read something else (ld.so(8), glibc, ruby(1), gem(1), git(1), bash(1),
/// perlrun(1), python(1), node(1), openssl(1)), or that systemd or HMS sets itself.
const DENIED: &str = " \
    PATH HOME USER LOGNAME SHELL TMPDIR TMP TEMP \
    IFS ENV CDPATH GLOBIGNORE SHELLOPTS BASHOPTS PS4 PROMPT_COMMAND \
    GCONV_PATH GETCONF_DIR GLIBC_TUNABLES LOCALDOMAIN LOCPATH NLSPATH HOSTALIASES RES_OPTIONS RESOLV_HOST_CONF TZDIR \
    MALLOC_TRACE MALLOC_PERTURB_ \
    RUBYOPT RUBYLIB RUBYSHELL RUBYPATH RUBYLIB_PREFIX RUBY_DEBUG_PATH RUBYGEMS_GEMDEPS RAKEOPT RAKELIB \
    PERLLIB PERL5LIB PERL5OPT PERL5DB PERL5SHELL PYTHONPATH PYTHONHOME PYTHONSTARTUP PYTHONUSERBASE \
    NODE_OPTIONS NODE_PATH NODE_REPL_EXTERNAL_MODULE JAVA_TOOL_OPTIONS JDK_JAVA_OPTIONS \
    OPENSSL_CONF OPENSSL_MODULES OPENSSL_ENGINES SSLKEYLOGFILE \
    SSH_AUTH_SOCK SSH_ASKPASS SUDO_ASKPASS PAGER EDITOR VISUAL BROWSER \
    NOTIFY_SOCKET CREDENTIALS_DIRECTORY WATCHDOG_USEC WATCHDOG_PID MAINPID INVOCATION_ID JOURNAL_STREAM FDSTORE \
    RUNTIME_DIRECTORY STATE_DIRECTORY CACHE_DIRECTORY LOGS_DIRECTORY CONFIGURATION_DIRECTORY \
    PIDFILE PUMA_CONTROL RAILS_ENV RACK_ENV RAILS_LOG_TO_STDOUT ";
const DENIED_PREFIXES: [&str; 12] = [
    "LD_",
    "GIT_",
    "BUNDLE_",
    "BUNDLER_",
    "GEM_",
    "BASH_",
    "LISTEN_",
    "HMS_",
    "SYSTEMD_",
    "DBUS_",
    "NPM_CONFIG_",
    "XDG_",
];

/// Logins of gem servers (bundle-config(1)): `BUNDLE_GEMS__EXAMPLE__ORG`. Other settings of several parts are no hosts.
fn is_gem_login(text: &str) -> bool {
    const SETTINGS: [&str; 7] = ["BUILD", "LOCAL", "MIRROR", "PLUGINS", "GEM", "FLAGS", "USER"];
    let parts: Vec<&str> = text.strip_prefix("BUNDLE_").unwrap_or_default().split("__").collect();
    parts.len() >= 2 && parts.iter().all(|part| !part.is_empty()) && !SETTINGS.contains(&parts[0])
}

fn check_env(text: &str) -> Result<(), &'static str> {
    if text.is_empty() || text.len() > 128 {
        return Err("it must have 1 to 128 characters");
    }
    let fits = text.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
        && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    if !fits {
        return Err("it must be upper-case letters, digits and underscores, not beginning with a digit");
    }
    let is_denied = DENIED.split_ascii_whitespace().any(|name| name == text)
        || DENIED_PREFIXES.iter().any(|prefix| text.starts_with(prefix));
    if is_denied && !is_gem_login(text) {
        return Err("it changes how programs are loaded or run, or HMS sets it");
    }
    Ok(())
}

name! {
    /// A release of an app: when it was made (UTC), and its commit: `20261125T101502-1a2b3c4`.
    ReleaseId, "release", check_release
}

fn check_release(text: &str) -> Result<(), &'static str> {
    let (time, commit) = text.split_once('-').unwrap_or_default();
    let is_time = time.len() == 15
        && time.bytes().all(|b| b.is_ascii_digit() || b == b'T')
        && chrono::NaiveDateTime::parse_from_str(time, "%Y%m%dT%H%M%S").is_ok();
    let is_commit =
        commit.len() == 7 && commit.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if is_time && is_commit { Ok(()) } else { Err("it looks like 20261125T101502-1a2b3c4") }
}

name! {
    /// A path inside a release: `log`, `tmp/pids`, `public/uploads`.
    RelPath, "path inside a release", |text| {
        let part = |part: &str| {
            !part.is_empty()
                && !part.starts_with(['-', '.'])
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        };
        if text.len() <= 200 && text.split('/').all(part) {
            Ok(())
        } else {
            Err("it must be a relative path of letters, digits and . _ -, without parts that begin with - or .")
        }
    }
}

name! {
    /// A task of rake: `db:migrate`.
    RakeTask, "task of rake", |text| {
        let part = |part: &str| {
            part.starts_with(|c: char| c.is_ascii_lowercase())
                && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        };
        if text.len() <= 100 && text.split(':').all(part) {
            Ok(())
        } else {
            Err("it must be like db:migrate: lower-case letters, digits, underscores and colons")
        }
    }
}

name! {
    /// A database or a role of PostgreSQL: at most 63 lower-case letters, digits, underscores and dashes.
    DatabaseName, "database name", |text| {
        let fits = (1..=63).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-');
        match text {
            "postgres" | "template0" | "template1" | "public" | "none" => Err("it is one of PostgreSQL's own"),
            _ if text.starts_with("pg_") => Err("names that begin with pg_ are PostgreSQL's own"),
            _ if fits => Ok(()),
            _ => Err("it must be 1 to 63 lower-case letters, digits, _ and -, beginning with a letter or _"),
        }
    }
}

impl AppKey {
    /// The system user that the app runs as: `app-KEY`, shortened where login names cannot be so long (31, useradd(8)).
    pub fn user(&self) -> String {
        let user = format!("app-{self}");
        if user.len() <= 31 {
            return user;
        }
        // FNV-1a: only to keep two long keys apart.
        let hash =
            self.as_str().bytes().fold(0x811c_9dc5_u32, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193));
        format!("{}-{hash:08x}", &user[..22])
    }
}

#[cfg(test)]
#[path = "app_tests.rs"]
mod tests;
