//! nginx of a host in the states that are worth looking at.

use super::{
    ConfigConflict, ConfigDrift, ConfigFile, ConfigList, ConfigOutcome, ConfigPending, ConfigProbe,
    ConfigProblem, ConfigResult, ConfigRoute, ConfigStep, ConfigVersion, DiffLine, OutcomeKind, RoutePlace,
};
use crate::frame::SAMPLE_NOW_US;

const MINUTE: i64 = 60_000_000;

/// The diff of the samples.
pub(crate) const SAMPLE_DIFF: &str = "--- a/sites-available/cigar\n+++ b/sites-available/cigar\n@@ -8,7 +8,8 @@\n     root /srv/cigar/current/public;\n-    client_max_body_size 10m;\n+    client_max_body_size 50m;\n+    client_body_timeout 30s;\n \n     location / {\n";

impl ConfigProblem {
    /// An error of lint, and what nginx says.
    pub fn samples() -> Vec<Self> {
        vec![
            Self {
                path: "sites-available/cigar".into(),
                line: 10,
                column: 5,
                severity: "error".into(),
                message: "unknown directive `proxy_passs`".into(),
                hint: "Did you mean `proxy_pass`?".into(),
                source: "lint".into(),
                directive: String::new(),
            },
            Self {
                path: "sites-available/cigar".into(),
                line: 14,
                column: 9,
                severity: "error".into(),
                message: "`lua_code_cache` is not one of the ordinary directives".into(),
                hint: "Accept it by name if you know what it does.".into(),
                source: "lint".into(),
                directive: "lua_code_cache".into(),
            },
            Self {
                path: "sites-available/cigar".into(),
                line: 3,
                severity: "warning".into(),
                message: "conflicting server name \"cigars.example.org\" on 0.0.0.0:80, ignored".into(),
                source: "nginx".into(),
                ..Self::default()
            },
        ]
    }
}

impl ConfigFile {
    /// A site that is enabled.
    pub fn sample(name: &str) -> Self {
        Self {
            path: format!("sites-available/{name}"),
            is_site: true,
            enabled: true,
            names: vec![format!("{name}s.example.org"), format!("www.{name}s.example.org")],
            listens: vec!["443 ssl http2".into(), "80".into()],
            included_by: vec!["nginx.conf:60".into()],
            sha256: "4d1a".repeat(16),
            size: 1_420,
            modified_us: SAMPLE_NOW_US - 190 * MINUTE,
            ..Self::default()
        }
    }

    fn other(path: &str, size: u64, included_by: &str) -> Self {
        Self {
            path: path.into(),
            enabled: path == "nginx.conf" || !included_by.is_empty(),
            included_by: Some(included_by.to_owned()).filter(|i| !i.is_empty()).into_iter().collect(),
            sha256: "9b0c".repeat(16),
            size,
            modified_us: SAMPLE_NOW_US - 60 * 24 * 40 * MINUTE,
            ..Self::default()
        }
    }
}

impl ConfigPending {
    /// 43 seconds are left.
    pub fn sample() -> Self {
        Self {
            host: "asterra".into(),
            id: "0193a5c4-7be1-7cc2-9d6e-0f1a2b3c4d5e".into(),
            actor: "henrik".into(),
            reason: "larger uploads".into(),
            paths: vec!["sites-available/cigar".into()],
            deadline_us: SAMPLE_NOW_US + 43_000_000,
        }
    }
}

impl ConfigList {
    /// All is well.
    pub fn sample() -> Self {
        let hms =
            ConfigFile { names: vec!["hms.example.org".into()], is_own: true, ..ConfigFile::sample("hms") };
        let old = ConfigFile {
            enabled: false,
            included_by: vec![],
            listens: vec!["80".into()],
            ..ConfigFile::sample("humidor")
        };
        Self {
            host: "asterra".into(),
            version: "nginx/1.22.1".into(),
            running: true,
            seen_us: Some(SAMPLE_NOW_US - 12_000_000),
            files: vec![
                ConfigFile::other("conf.d/gzip.conf", 412, "nginx.conf:59"),
                ConfigFile::other("mime.types", 5_465, "nginx.conf:22"),
                ConfigFile::other("nginx.conf", 1_446, ""),
                ConfigFile::sample("cigar"),
                hms,
                old,
                ConfigFile::sample("tobacco"),
                ConfigFile::other("snippets/fastcgi-php.conf", 423, ""),
                ConfigFile::other("snippets/tls.conf", 612, "sites-available/cigar:6"),
            ],
            last: Some(ConfigOutcome {
                actor: "henrik".into(),
                reason: "larger uploads".into(),
                paths: vec!["sites-available/cigar".into()],
                at_us: SAMPLE_NOW_US - 190 * MINUTE,
                result: "confirmed".into(),
                detail: String::new(),
            }),
            ..Self::default()
        }
    }

    /// A site is broken, another drifted, one is in quarantine, and the last change was put back.
    pub fn sample_troubled() -> Self {
        let mut list = Self::sample();
        let problem = ConfigProblem::samples().remove(0);
        list.problems = vec![problem.clone()];
        list.files[3].problems = vec![problem];
        list.files[5].quarantined = true;
        list.files[6].drift = "changed".into();
        list.files[1].locked = "is a link out of /etc/nginx".into();
        list.drifts = vec![
            ConfigDrift {
                path: "sites-available/tobacco".into(),
                kind: "changed".into(),
                diff: DiffLine::of(SAMPLE_DIFF),
                modified_us: Some(SAMPLE_NOW_US - 14 * MINUTE),
                owner_uid: 0,
                noticed_us: SAMPLE_NOW_US - 13 * MINUTE,
            },
            ConfigDrift {
                path: "conf.d/test.conf".into(),
                kind: "added".into(),
                diff: DiffLine::of("@@ -0,0 +1 @@\n+gzip off;\n"),
                modified_us: Some(SAMPLE_NOW_US - 3 * MINUTE),
                owner_uid: 1000,
                noticed_us: SAMPLE_NOW_US - 2 * MINUTE,
            },
        ];
        list.last = Some(ConfigOutcome {
            result: "rolled-back".into(),
            detail: "bind() to 0.0.0.0:8080 failed (98: Address already in use)".into(),
            at_us: SAMPLE_NOW_US - 4 * MINUTE,
            ..list.last.unwrap_or_default()
        });
        list
    }
}

impl ConfigResult {
    /// It was applied.
    pub fn sample() -> Self {
        let step = |name: &str, took_ms, detail: &str| ConfigStep {
            name: name.into(),
            took_ms,
            detail: detail.into(),
        };
        Self {
            kind: OutcomeKind::Ok,
            title: "Applied sites-available/cigar".into(),
            took_ms: 640,
            at_us: SAMPLE_NOW_US - 4_000_000,
            steps: vec![
                step("lint", 2, ""),
                step("stage", 11, "38 files"),
                step("test", 180, "nginx: the configuration file syntax is ok"),
                step("swap", 9, "1 file"),
                step("reload", 310, "4 new workers"),
                step("verify", 128, "2 names asked"),
            ],
            probes: vec![ConfigProbe { url: "https://cigars.example.org/".into(), before: 200, after: 200 }],
            problems: vec![ConfigProblem::samples().remove(2)],
            request_id: "0193a5c4-7be1".into(),
            host: "asterra".into(),
            ..Self::default()
        }
    }

    /// nginx could not take it, and it was put back.
    pub fn sample_failed() -> Self {
        let mut result = Self::sample();
        result.kind = OutcomeKind::Failed;
        result.title = "Not applied: everything is as it was".into();
        result.message = "nginx did not take the new configuration: bind() to 0.0.0.0:8080 failed (98: Address already in use).".into();
        result.hint = "Choose another port, or stop what has it.".into();
        result.probes[0].after = 502;
        result.problems = vec![ConfigProblem {
            path: "sites-available/cigar".into(),
            line: 2,
            severity: "error".into(),
            message: "bind() to 0.0.0.0:8080 failed (98: Address already in use)".into(),
            source: "verify".into(),
            ..ConfigProblem::default()
        }];
        result
    }

    /// Somebody else was faster.
    pub fn sample_conflict() -> Self {
        Self {
            kind: OutcomeKind::Failed,
            title: "Somebody else was faster".into(),
            message: "sites-available/cigar was changed since you opened it.".into(),
            at_us: SAMPLE_NOW_US - 4_000_000,
            host: "asterra".into(),
            conflict: Some(ConfigConflict {
                author: "ada".into(),
                at_us: SAMPLE_NOW_US - 50_000_000,
                reason: "larger uploads".into(),
                theirs: DiffLine::of(SAMPLE_DIFF),
                merges: true,
                has_merged: true,
                gone: false,
            }),
            ..Self::default()
        }
    }
}

impl ConfigVersion {
    /// A few of one file, newest first.
    pub fn samples() -> Vec<Self> {
        let version = |id, event: &str, author: &str, reason: &str, minutes: i64| Self {
            id,
            host: "asterra".into(),
            path: "sites-available/cigar".into(),
            sha256: "4d1a".repeat(16),
            at_us: SAMPLE_NOW_US - minutes * MINUTE,
            author: author.into(),
            reason: reason.into(),
            event: event.into(),
            request_id: String::new(),
        };
        vec![
            version(48, "applied", "henrik", "larger uploads", 190),
            version(47, "rolled-back", "henrik", "listen on 8080", 195),
            version(31, "outside", "root on the host", "changed outside HMS", 2_900),
            version(30, "adopted", "ada", "certbot's changes", 2_890),
            version(3, "first-seen", "", "", 60_000),
        ]
    }
}

impl ConfigRoute {
    /// A page of an app.
    pub fn sample() -> Self {
        let place =
            |text: &str, line| RoutePlace { text: text.into(), path: "sites-available/cigar".into(), line };
        Self {
            server: Some(place("server_name cigars.example.org www.cigars.example.org", 3)),
            server_reason: "exact name".into(),
            location: Some(place("location /", 12)),
            location_reason: "longest prefix".into(),
            actions: vec![place("try_files $uri @app", 13), place("proxy_pass http://cigar", 23)],
            listen: "443 ssl http2".into(),
            considered: vec![place("location /assets/", 16), place("location @app", 21)],
        }
    }
}
