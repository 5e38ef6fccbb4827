//! Parsed names. A value of such a type is well-formed; there is no other way to make one than to parse it.
//!
//! The controller parses what people send, and the agent parses again what the controller sends.

/// Why a text is not a name of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not {} {kind}: {why}", shown(.input), if kind.starts_with(['a', 'e', 'i', 'o']) { "an" } else { "a" })]
pub struct NameError {
    kind: &'static str,
    input: String,
    why: &'static str,
}

/// The input as it may be shown: short, without a password, and with nothing that moves a cursor.
fn shown(input: &str) -> String {
    let input = without_logins(input);
    let mut text: String = input.chars().take(64).flat_map(char::escape_debug).collect();
    if input.chars().nth(64).is_some() {
        text.push('…');
    }
    text
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl TryFrom<&str> for $name {
            type Error = NameError;
            fn try_from(text: &str) -> Result<Self, NameError> {
                let check: fn(&str) -> Result<(), &'static str> = $check;
                match check(text) {
                    Ok(()) => Ok(Self(text.to_owned())),
                    Err(why) => Err(NameError { kind: $kind, input: text.to_owned(), why }),
                }
            }
        }

        impl std::str::FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::try_from(text)
            }
        }

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

mod app;
mod git;
pub use app::{DatabaseName, EnvName, RakeTask, RelPath, ReleaseId};
pub(crate) use git::without_logins;
pub use git::{BranchName, CommitId, GitUrl, Transport};

name! {
    /// A systemd unit: `puma-cigar.service`, `getty@tty1.service`. Stricter than systemd.unit(5): no leading dash,
    /// dot or `@`, and only kinds that HMS acts on.
    UnitName, "unit name", check_unit
}

/// Kinds of unit that HMS acts on. Mounts, slices, scopes and swaps are the host's own business.
const UNIT_KINDS: [&str; 5] = ["service", "socket", "timer", "target", "path"];

fn check_unit(text: &str) -> Result<(), &'static str> {
    // UNIT_NAME_MAX of systemd is 255 with the closing NUL not counted.
    if text.is_empty() || text.len() > 255 {
        return Err("it must have 1 to 255 characters");
    }
    let (stem, kind) =
        text.rsplit_once('.').ok_or("it must end in .service, .socket, .timer, .target or .path")?;
    if !UNIT_KINDS.contains(&kind) {
        return Err("it must end in .service, .socket, .timer, .target or .path");
    }
    if stem.is_empty() || stem.starts_with(['-', '.', '@']) {
        return Err("it must begin with a letter, a digit, `_` or `:`");
    }
    if !stem.bytes().all(|b| b.is_ascii_alphanumeric() || b":_.\\@-".contains(&b)) {
        return Err("only ASCII letters, digits and : _ . \\ @ - are allowed");
    }
    if text.contains("..") {
        return Err("it must not contain `..`");
    }
    Ok(())
}

impl UnitName {
    /// The unit that an app runs as.
    pub fn of_app(app: &AppKey) -> Self {
        Self(format!("puma-{app}.service"))
    }
}

name! {
    /// A host of the installation, in the form of a DNS name (RFC 1123), lower case: `asterra`, `web1.example.org`.
    HostName, "host name", check_host
}

fn check_host(text: &str) -> Result<(), &'static str> {
    if text.is_empty() || text.len() > 253 {
        return Err("it must have 1 to 253 characters");
    }
    if text.split('.').any(|label| !is_label(label, 63)) {
        return Err("each part must begin and end with a lower-case letter or digit, with dashes in between");
    }
    Ok(())
}

fn is_label(label: &str, longest: usize) -> bool {
    (1..=longest).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

name! {
    /// The key of an app: lower-case letters, digits and dashes, at most 50, beginning with a letter.
    AppKey, "app key", |text| {
        if is_label(text, 50) && text.starts_with(|c: char| c.is_ascii_lowercase()) {
            Ok(())
        } else {
            Err("it must be 1 to 50 lower-case letters, digits and dashes, beginning with a letter")
        }
    }
}

name! {
    /// The name a person logs in with.
    UserName, "user name", |text| {
        let fits = (1..=64).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b));
        if fits { Ok(()) } else { Err("it must be 1 to 64 lower-case letters, digits and . _ -, beginning with a letter") }
    }
}

name! {
    /// The name of a script: that of its folder.
    ScriptName, "script name", |text| {
        if is_identifier(text, 64) {
            Ok(())
        } else {
            Err("it must be 1 to 64 lower-case letters, digits and underscores, beginning with a letter")
        }
    }
}

/// Lower-case letters, digits and underscores, beginning with a letter.
pub(crate) fn is_identifier(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

name! {
    /// A label of hosts: `web`, `env=production`.
    Label, "label", |text| {
        let fits = (1..=63).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._=-".contains(&b));
        if fits { Ok(()) } else { Err("it must be 1 to 63 lower-case letters, digits and . _ = -, beginning with a letter or digit") }
    }
}

name! {
    /// The id of a job or a run: a UUID in its usual form, lower case.
    JobId, "job id", |text| {
        let fits = uuid::Uuid::try_parse(text).is_ok_and(|id| !id.is_nil() && id.hyphenated().to_string() == text);
        if fits { Ok(()) } else { Err("it must be a UUID, such as 0193f0a2-5b7e-7c3a-9d41-2f6d1c0e8a55") }
    }
}

impl JobId {
    /// A new one. Later ones sort after earlier ones.
    pub fn new() -> Self {
        Self(uuid::Uuid::now_v7().to_string())
    }

    /// The unit that a job runs as.
    pub fn unit(&self) -> String {
        format!("hms-job-{}.service", self.0)
    }
}

impl Default for JobId {
    fn default() -> Self {
        Self::new()
    }
}

name! {
    /// A position in the logs of a host: in the journal, as journald writes it (`s=…;i=…;b=…;m=…;t=…;x=…`, sd_journal_get_cursor(3)),
    /// in a file (`f=nginx-access/access.log;d=…;i=…;…`), or in several logs, with `~` in between.
    Cursor, "log cursor", |text| {
        let fits = text.len() <= 8192 && text.split('~').all(is_place);
        if fits { Ok(()) } else { Err("a cursor is copied from a log entry, such as s=0639…;i=4f;b=…;m=…;t=…;x=…") }
    }
}

/// A position in one log: fields of one letter, of which the first says what kind of log it is.
fn is_place(text: &str) -> bool {
    let fields = || text.split(';').map(|field| field.split_once('=').unwrap_or_default());
    let is_file = |name: &str| {
        let plain = |part: &str| {
            !part.starts_with(['.', '-'])
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        };
        name.len() <= 256 && name.split('/').all(|part| !part.is_empty() && plain(part))
    };
    text.starts_with(['s', 'f'])
        && fields().all(|(key, value)| match key {
            "f" => is_file(value),
            _ => key.len() == 1 && key.bytes().all(|b| b.is_ascii_lowercase()) && is_hex(value),
        })
}

fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit())
}

name! {
    /// Where something listens: `host:port`, `10.0.0.7:9444`, `[fd00::7]:9444`.
    Address, "network address", |text| {
        let (host, port) = text.rsplit_once(':').ok_or("it must be HOST:PORT")?;
        if !port.parse::<u16>().is_ok_and(|p| p != 0) || port.starts_with(['+', '0']) {
            return Err("the port must be 1 to 65535");
        }
        let v6 = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        let fits = match v6 {
            Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
            None => host.parse::<std::net::Ipv4Addr>().is_ok() || check_host(host).is_ok(),
        };
        if fits { Ok(()) } else { Err("the host must be a name, an IPv4 address, or an IPv6 address in brackets") }
    }
}

impl Address {
    /// Reads an address whose port may be missing.
    pub fn with_default_port(text: &str, port: u16) -> Result<Self, NameError> {
        Self::try_from(text).or_else(|error| match text.parse::<std::net::Ipv6Addr>() {
            Ok(v6) => Self::try_from(format!("[{v6}]:{port}").as_str()),
            Err(_) if !text.contains(':') => Self::try_from(format!("{text}:{port}").as_str()),
            Err(_) => Err(error),
        })
    }

    /// The host part, without brackets.
    pub fn host(&self) -> &str {
        let host = self.0.rsplit_once(':').map_or(self.0.as_str(), |(host, _)| host);
        host.trim_start_matches('[').trim_end_matches(']')
    }
}

/// A line of a corpus: the inside of a JSON string.
#[cfg(test)]
fn corpus_line(line: &str) -> String {
    serde_json::from_str(&format!("\"{line}\"")).expect(line)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Security case 31.
    #[test]
    fn hostile_unit_names_are_refused() {
        let long = format!("{}.service", "a".repeat(250));
        let hostile = [
            "-H",
            "--host=x",
            "--host=x.service",
            "*",
            "a*.service",
            "?",
            "?.service",
            "[a-z].service",
            "12345",
            "../x.service",
            "a/b",
            "a/b.service",
            long.as_str(),
            "@",
            "@.service",
            "x@$(id).service",
            "x@`id`.service",
            "ünit.service",
            "a.service ",
            " a.service",
            "a b.service",
            "home.mount",
            "-.mount",
            "-.slice",
            "a.scope",
            "a.swap",
            "",
            ".service",
            "..service",
            "a..service",
            "a.service\n",
            "a\0.service",
            "a;b.service",
            "a.Service",
            "a.service.d",
            "a=b.service",
            "a%n.service",
            "a\u{202e}.service",
        ];
        for text in hostile {
            assert!(UnitName::try_from(text).is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn ordinary_unit_names_are_accepted() {
        let ordinary = [
            "puma-cigar.service",
            "getty@tty1.service",
            "dbus.socket",
            "multi-user.target",
            "systemd-tmpfiles-clean.timer",
            "user@1000.service",
            "systemd-fsck@dev-disk-by\\x2duuid-1234.service",
            "postgresql@15-main.service",
            "cups.path",
            "_x.service",
        ];
        for text in ordinary {
            assert_eq!(UnitName::try_from(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn an_error_names_the_input_and_moves_no_cursor() {
        let error = UnitName::try_from("\u{1b}[2Jx").unwrap_err().to_string();
        assert_eq!(
            error,
            "`\\u{1b}[2Jx` is not a unit name: it must end in .service, .socket, .timer, .target or .path"
        );
        assert!(AppKey::try_from("x y".repeat(99).as_str()).unwrap_err().to_string().len() < 250);
    }

    #[test]
    fn hosts_apps_users_and_addresses() {
        for bad in
            ["", "-a", "a-", "a..b", "A", "a_b", "a.", ".a", "a b", &"a".repeat(64), "-oProxyCommand=x"]
        {
            assert!(HostName::try_from(bad).is_err(), "{bad:?}");
        }
        assert!(HostName::try_from("web1.example.org").is_ok());
        for bad in ["", "1a", "Cigar", "a/b", "a.b", "--x", &"a".repeat(51)] {
            assert!(AppKey::try_from(bad).is_err(), "{bad:?}");
        }
        assert_eq!(UnitName::of_app(&AppKey::try_from("cigar").unwrap()).as_str(), "puma-cigar.service");
        for bad in ["", "Ada", "a\r\nhasroot=1", "a b", "-a", "a\0"] {
            assert!(UserName::try_from(bad).is_err(), "{bad:?}");
        }
        for bad in
            ["", "a", "a:0", "a:99999", ":1", "a:+1", "a:01", "[::1:1", "http://a:1", "a/b:1", "user@a:1"]
        {
            assert!(Address::try_from(bad).is_err(), "{bad:?}");
        }
        assert_eq!(Address::with_default_port("::1", 9444).unwrap().as_str(), "[::1]:9444");
        assert_eq!(Address::with_default_port("asterra", 9444).unwrap().as_str(), "asterra:9444");
        assert_eq!(Address::try_from("[fd00::7]:1").unwrap().host(), "fd00::7");
    }

    /// Security case 48.
    #[test]
    fn scripts_and_jobs() {
        for bad in ["", "../x", "a/b", "a-b", "A", "1a", "a b", "-x", "a.sh", "a\0", &"a".repeat(65)] {
            assert!(ScriptName::try_from(bad).is_err(), "{bad:?}");
        }
        assert!(ScriptName::try_from("check_disk_space").is_ok());
        let id = JobId::new();
        assert_eq!(JobId::try_from(id.as_str()).unwrap(), id);
        for bad in
            ["", "x", "00000000-0000-0000-0000-000000000000", "0193F0A2-5B7E-7C3A-9D41-2F6D1C0E8A55", "../x"]
        {
            assert!(JobId::try_from(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn cursors() {
        let real = "s=0639d2b2a4a84f1b9c5d6a7e8f901234;i=4f;b=1ab;m=2cd;t=3ef;x=40a";
        let file = "f=app/cigar/production.log;d=803;i=1a;o=400;n=5c;h=40a;t=3ef";
        for good in [real, file, &format!("{real}~{file}~{file}")] {
            assert!(Cursor::try_from(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "s=",
            "x",
            "s=zz",
            "s=1;--file=/etc/shadow",
            "s=1;i=",
            "s=1\n",
            "f=../etc/shadow;d=1",
            "f=app//x",
            "f=/etc/shadow",
            "f=-x",
            "i=1",
            "s=1~",
            "~",
        ] {
            assert!(Cursor::try_from(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn a_unit_name_is_never_an_option_a_path_or_a_pattern(text in "\\PC{0,40}(\\.service)?") {
            if let Ok(name) = UnitName::try_from(text.as_str()) {
                prop_assert!(!name.as_str().starts_with('-'));
                prop_assert!(!name.as_str().contains(['/', '*', '?', '[', ' ', '$', '%', '\n']));
            }
        }

        #[test]
        fn what_was_parsed_parses_again(text in "[a-z0-9.-]{0,20}") {
            if let Ok(name) = HostName::try_from(text.as_str()) {
                prop_assert_eq!(HostName::try_from(name.as_str()).unwrap(), name);
            }
        }
    }
}
