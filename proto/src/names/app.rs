//! Names of what belongs to an app.

use super::{AppKey, NameError};

name! {
    /// An environment variable that an app may have: upper-case letters, digits and underscores, and none that changes how programs
    /// are loaded or run.
    EnvName, "variable name", check_env
}

/// Variables that make a program load or run something else (ld.so(8), ruby(1), git(1), bash(1)), or that HMS sets itself.
const DENIED: [&str; 22] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "IFS",
    "ENV",
    "BASH_ENV",
    "CDPATH",
    "TMPDIR",
    "RUBYOPT",
    "RUBYLIB",
    "GEM_HOME",
    "GEM_PATH",
    "PYTHONPATH",
    "PERL5LIB",
    "PERL5OPT",
    "NODE_OPTIONS",
    "NOTIFY_SOCKET",
    "CREDENTIALS_DIRECTORY",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
];
const DENIED_PREFIXES: [&str; 6] = ["LD_", "GIT_", "BUNDLE_", "BASH_FUNC_", "LISTEN_", "HMS_"];

fn check_env(text: &str) -> Result<(), &'static str> {
    if text.is_empty() || text.len() > 128 {
        return Err("it must have 1 to 128 characters");
    }
    let fits = text.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
        && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    if !fits {
        return Err("it must be upper-case letters, digits and underscores, not beginning with a digit");
    }
    if DENIED.contains(&text) || DENIED_PREFIXES.iter().any(|prefix| text.starts_with(prefix)) {
        return Err("it changes how programs are loaded or run, or HMS sets it");
    }
    Ok(())
}

name! {
    /// A release of an app: when it was made (UTC), and its commit: `20261125T101502-1a2b3c4`.
    ReleaseId, "release", |text| {
        let bytes = text.as_bytes();
        let fits = bytes.len() == 23
            && bytes.iter().enumerate().all(|(n, b)| match n {
                8 => *b == b'T',
                15 => *b == b'-',
                16.. => b.is_ascii_digit() || (b'a'..=b'f').contains(b),
                _ => b.is_ascii_digit(),
            });
        if fits { Ok(()) } else { Err("it looks like 20261125T101502-1a2b3c4") }
    }
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
            "postgres" | "template0" | "template1" => Err("it is one of PostgreSQL's own"),
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
mod tests {
    use super::*;

    #[test]
    fn each_app_has_a_user_of_its_own() {
        let user = |key: &str| AppKey::try_from(key).unwrap().user();
        assert_eq!(user("cigar"), "app-cigar");
        let (one, two) = (user(&"a".repeat(40)), user(&"a".repeat(41)));
        assert!(one.len() == 31 && two.len() == 31 && one != two, "{one} {two}");
    }
}
