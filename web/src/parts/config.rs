//! nginx files, what is wrong with them, and what became of them: the rows that the pages of configs are made of.

use crate::frame::Tone;
use crate::text::encode;

/// The address of a file's page. Slashes stay: they are part of it.
pub fn config_href(host: &str, path: &str) -> String {
    let path: Vec<String> = path.split('/').map(encode).collect();
    format!("/configs/{}/{}", encode(host), path.join("/"))
}

/// The address of a host's configs.
pub fn host_href(host: &str) -> String {
    format!("/configs?host={}", encode(host))
}

/// Something that is wrong, or odd.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct ConfigProblem {
    /// `sites-available/cigar`; empty: in no one file.
    pub path: String,
    /// From 1; 0: not known.
    pub line: u32,
    /// From 1; 0: not known.
    pub column: u32,
    /// `error` or `warning`.
    pub severity: String,
    /// What, and why.
    pub message: String,
    /// What to do about it; may be empty.
    pub hint: String,
    /// Who says it: `lint`, `nginx`, `verify`.
    pub source: String,
    /// The directive that may be accepted; empty: accepting would not help.
    pub directive: String,
}

impl ConfigProblem {
    /// Whether it stops a change.
    pub fn is_error(&self) -> bool {
        self.severity != "warning"
    }

    /// How it is meant.
    pub fn tone(&self) -> Tone {
        if self.is_error() { Tone::Bad } else { Tone::Warn }
    }

    /// `sites-available/cigar:12`; empty when it is in no file.
    pub fn place(&self) -> String {
        match (self.path.as_str(), self.line) {
            ("", _) => String::new(),
            (path, 0) => path.to_owned(),
            (path, line) => format!("{path}:{line}"),
        }
    }

    /// Its line in the editor.
    pub fn href(&self, host: &str) -> String {
        format!("{}#L{}", config_href(host, &self.path), self.line.max(1))
    }
}

/// One file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigFile {
    /// `sites-available/cigar`
    pub path: String,
    /// Whether it is a site, which can be enabled.
    pub is_site: bool,
    /// Sites: whether it is enabled. Others: whether anything includes it.
    pub enabled: bool,
    /// Moved out of nginx's sight.
    pub quarantined: bool,
    /// Names that it serves.
    pub names: Vec<String>,
    /// Where it listens.
    pub listens: Vec<String>,
    /// `path:line` of what includes it.
    pub included_by: Vec<String>,
    /// Lower-case hex.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
    /// Microseconds since the epoch.
    pub modified_us: i64,
    /// Why it cannot be edited here; empty: it can.
    pub locked: String,
    /// How it differs from what HMS knows: `changed`, `added`, ...; empty: not.
    pub drift: String,
    /// What is wrong with it as it is.
    pub problems: Vec<ConfigProblem>,
    /// It serves HMS itself: a change of it can lock everybody out.
    pub is_own: bool,
}

impl ConfigFile {
    /// `cigar` for a site, else the path.
    pub fn name(&self) -> &str {
        self.path.strip_prefix("sites-available/").filter(|_| self.is_site).unwrap_or(&self.path)
    }

    /// Its id in the page.
    pub fn id(&self) -> String {
        format!("config-{}", super::slug(&self.path))
    }

    /// Where its page is.
    pub fn href(&self, host: &str) -> String {
        config_href(host, &self.path)
    }

    /// Whether an error is known of it.
    pub fn is_broken(&self) -> bool {
        self.problems.iter().any(ConfigProblem::is_error)
    }

    /// Shape of its state.
    pub fn shape(&self) -> &'static str {
        match (self.is_broken(), self.quarantined, self.enabled) {
            (true, ..) => "failed",
            (_, true, _) => "unknown",
            (.., true) => "running",
            _ => "stopped",
        }
    }

    /// Word for its state.
    pub fn state(&self) -> &'static str {
        match (self.is_broken(), self.quarantined, self.enabled, self.is_site) {
            (true, ..) => "broken",
            (_, true, ..) => "quarantined",
            (.., true, true) => "enabled",
            (.., false, true) => "disabled",
            (.., true, false) => "in use",
            (.., false, false) => "not included",
        }
    }
}

/// A change that is put back unless somebody confirms it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigPending {
    /// On which host.
    pub host: String,
    /// Of the apply.
    pub id: String,
    /// Who made it.
    pub actor: String,
    /// Why; may be empty.
    pub reason: String,
    /// What it changed.
    pub paths: Vec<String>,
    /// When it is put back, in microseconds since the epoch.
    pub deadline_us: i64,
}

/// How the last change ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigOutcome {
    /// Who made it.
    pub actor: String,
    /// Why; may be empty.
    pub reason: String,
    /// What it was about.
    pub paths: Vec<String>,
    /// Microseconds since the epoch.
    pub at_us: i64,
    /// `applied`, `confirmed`, `reverted`, `rolled-back`, `failed`.
    pub result: String,
    /// More about it; may be empty.
    pub detail: String,
}

impl ConfigOutcome {
    /// How it is meant.
    pub fn tone(&self) -> Tone {
        match self.result.as_str() {
            "applied" | "confirmed" => Tone::Good,
            "reverted" => Tone::Warn,
            _ => Tone::Bad,
        }
    }

    /// In words.
    pub fn words(&self) -> &str {
        match self.result.as_str() {
            "rolled-back" => "was put back: nginx did not take it",
            "reverted" => "was put back",
            "confirmed" => "was applied and confirmed",
            "applied" => "was applied",
            "failed" => "failed; nothing was changed",
            other => other,
        }
    }
}

/// One line of a unified diff.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiffLine {
    /// `add`, `del`, `hunk` or `same`.
    pub kind: &'static str,
    /// Its sign for who does not see colours, and the text.
    pub text: String,
}

impl DiffLine {
    /// So many lines of a diff are shown.
    const MOST: usize = 400;

    /// The lines of a unified diff, without the two that name the files.
    pub fn of(diff: &str) -> Vec<Self> {
        let lines = diff.lines().skip_while(|l| l.starts_with("--- ") || l.starts_with("+++ "));
        let mut shown: Vec<Self> = lines.clone().take(Self::MOST).map(Self::line).collect();
        let more = lines.count().saturating_sub(Self::MOST);
        if more > 0 {
            shown.push(Self { kind: "hunk", text: format!("… {more} more lines") });
        }
        shown
    }

    fn line(text: &str) -> Self {
        let kind = match text.as_bytes().first() {
            Some(b'+') => "add",
            Some(b'-') => "del",
            Some(b'@' | b'\\' | b'#') => "hunk",
            _ => "same",
        };
        Self { kind, text: crate::text::plain(text) }
    }
}

/// A file that is not as HMS last knew it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigDrift {
    /// `sites-available/cigar`
    pub path: String,
    /// `changed`, `added`, `removed`, `enabled`, `disabled`.
    pub kind: String,
    /// From what HMS knows to what is there.
    pub diff: Vec<DiffLine>,
    /// When the file was changed, in microseconds since the epoch.
    pub modified_us: Option<i64>,
    /// User id of its owner.
    pub owner_uid: u32,
    /// When it was noticed, in microseconds since the epoch.
    pub noticed_us: i64,
}

impl ConfigDrift {
    /// Its id in the page.
    pub fn id(&self) -> String {
        format!("drift-{}", super::slug(&self.path))
    }

    /// What putting back does, in words.
    pub fn undoing(&self) -> &'static str {
        match self.kind.as_str() {
            "added" => "removes it",
            "removed" => "makes it again",
            "enabled" => "disables it",
            "disabled" => "enables it",
            _ => "brings back what HMS knows",
        }
    }
}

/// One version of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigVersion {
    /// Its number.
    pub id: i64,
    /// On which host.
    pub host: String,
    /// Of which file.
    pub path: String,
    /// Lower-case hex; empty: the file was gone.
    pub sha256: String,
    /// Microseconds since the epoch.
    pub at_us: i64,
    /// Who; may be empty.
    pub author: String,
    /// Why; may be empty.
    pub reason: String,
    /// `applied`, `outside`, ...
    pub event: String,
    /// What finds the call in the audit; may be empty.
    pub request_id: String,
}

impl ConfigVersion {
    /// How it is meant.
    pub fn tone(&self) -> Tone {
        match self.event.as_str() {
            "rolled-back" => Tone::Bad,
            "outside" | "reverted" => Tone::Warn,
            "applied" | "adopted" | "enabled" => Tone::Good,
            _ => Tone::Info,
        }
    }

    /// The event in words.
    pub fn words(&self) -> &str {
        match self.event.as_str() {
            "first-seen" => "first seen",
            "outside" => "edited on the host",
            "rolled-back" => "not taken",
            "reverted" => "put back",
            other => other,
        }
    }

    /// Whether it can be brought back.
    pub fn has_content(&self) -> bool {
        !self.sha256.is_empty()
    }
}

/// A directive and where it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoutePlace {
    /// The directive.
    pub text: String,
    /// In which file.
    pub path: String,
    /// From 1.
    pub line: u32,
}

impl RoutePlace {
    /// `sites-available/cigar:12`
    pub fn place(&self) -> String {
        format!("{}:{}", self.path, self.line)
    }

    /// Its line in the editor.
    pub fn href(&self, host: &str) -> String {
        format!("{}#L{}", config_href(host, &self.path), self.line)
    }
}

/// The way of a request through the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigRoute {
    /// The server that answers; none: nobody does.
    pub server: Option<RoutePlace>,
    /// Why this one.
    pub server_reason: String,
    /// The location; none: the server's own directives.
    pub location: Option<RoutePlace>,
    /// Why this one.
    pub location_reason: String,
    /// What is done with the request.
    pub actions: Vec<RoutePlace>,
    /// Where it listens.
    pub listen: String,
    /// Other locations that were looked at.
    pub considered: Vec<RoutePlace>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_keep_the_path_and_nothing_breaks_out_of_it() {
        assert_eq!(config_href("asterra", "conf.d/gzip.conf"), "/configs/asterra/conf.d/gzip.conf");
        assert_eq!(config_href("a", "x\"><script>/../?#"), "/configs/a/x%22%3E%3Cscript%3E/../%3F%23");
    }

    #[test]
    fn a_diff_is_shown_without_its_head_and_to_a_limit() {
        let lines = DiffLine::of("--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a;\n+b;\n c;\n");
        let kinds: Vec<_> = lines.iter().map(|l| l.kind).collect();
        assert_eq!(kinds, ["hunk", "del", "add", "same"]);
        let long = DiffLine::of(&"+x\n".repeat(1_000));
        assert_eq!(long.len(), DiffLine::MOST + 1);
        assert_eq!(long.last().map(|l| l.text.as_str()), Some("… 600 more lines"));
    }

    #[test]
    fn a_broken_file_says_so_before_anything_else() {
        let problem = |severity: &str| ConfigProblem { severity: severity.into(), ..Default::default() };
        let file = |problems| ConfigFile { enabled: true, is_site: true, problems, ..ConfigFile::default() };
        assert_eq!(file(vec![problem("error")]).state(), "broken");
        assert_eq!(file(vec![problem("warning")]).state(), "enabled");
    }
}
