//! Which logs there are on this host, and where.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use hms_proto::{
    fault::{Fault, FaultKind},
    host::v1::{AppSpec, LogFiles, LogKind, LogSource},
    names::AppKey,
};

use super::{
    file::{FileLog, Folder, LogName},
    filter::Filter,
    journal::JournalLog,
    source::{Source, Wanted},
};
use crate::files::read_if_there;

const SOURCES_MAX: usize = 32;
/// More logs than this are not merged.
const LOGS_MAX: usize = 64;
const NGINX: &str = "/var/log/nginx";
/// Where apps are unless their specification says otherwise.
const TOPS: [&str; 3] = ["/srv", "/var/www", "/opt"];
const SPEC_MAX: u64 = 1 << 20;

/// What is to be read.
#[derive(Debug)]
pub(crate) struct Names {
    has_journal: bool,
    wanted: Vec<Wish>,
    /// The agent's folder, in which the specifications of apps are.
    state: PathBuf,
}

#[derive(Debug)]
struct Wish {
    kind: LogKind,
    app: Option<AppKey>,
    name: String,
}

/// Parses what a query names. None: the journal.
pub(crate) fn parse(sources: &[LogSource], state: &Path) -> Result<Names, Fault> {
    if sources.len() > SOURCES_MAX {
        return Err(Fault::invalid(format!("at most {SOURCES_MAX} sources can be read at once")));
    }
    let mut names = Names { has_journal: sources.is_empty(), wanted: Vec::new(), state: state.to_owned() };
    for source in sources {
        match source.kind() {
            LogKind::Unspecified | LogKind::Journal => names.has_journal = true,
            kind => names.wanted.push(wish(kind, source)?),
        }
    }
    Ok(names)
}

fn wish(kind: LogKind, source: &LogSource) -> Result<Wish, Fault> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    let name = source.name.as_str();
    if name.len() > 128 || name.starts_with(['.', '-']) || !name.bytes().all(is_plain) {
        let shown: String = name.chars().take(64).flat_map(char::escape_debug).collect();
        return Err(Fault::invalid(format!("`{shown}` is no name of a log"))
            .hint("It is the name of a file without its folder, such as access.log or production.log."));
    }
    let app = match kind {
        LogKind::App => Some(AppKey::try_from(source.app.as_str())?),
        _ => None,
    };
    Ok(Wish { kind, app, name: name.to_owned() })
}

impl Names {
    /// Opens all of them.
    pub(crate) fn open(&self, filter: &Arc<Filter>, wanted: &Wanted) -> Result<Vec<Source>, Fault> {
        let mut sources = Vec::new();
        if self.has_journal {
            let journal = JournalLog::open(filter.clone(), wanted.clone())?;
            sources.push(Source::Journal(Box::new(journal)));
        }
        for log in self.logs()? {
            let id = log.id.clone();
            let opened = FileLog::open(log, filter.clone(), wanted.clone());
            let log = opened.map_err(|error| unreadable(&id, &error))?;
            sources.push(Source::File(Box::new(log)));
        }
        Ok(sources)
    }

    fn logs(&self) -> Result<Vec<LogName>, Fault> {
        let mut logs: Vec<LogName> = Vec::new();
        for wish in &self.wanted {
            for log in self.logs_of(wish)? {
                if logs.iter().all(|known| known.id != log.id) {
                    logs.push(log);
                }
            }
        }
        if logs.len() > LOGS_MAX {
            return Err(Fault::invalid(format!(
                "these are {} logs, and at most {LOGS_MAX} can be merged",
                logs.len()
            ))
            .hint("Name some of them."));
        }
        Ok(logs)
    }

    fn logs_of(&self, wish: &Wish) -> Result<Vec<LogName>, Fault> {
        let (folder, prefix) = match &wish.app {
            Some(app) => (folder_of_app(app, &self.state), format!("app/{app}")),
            None => (Folder::new(NGINX, &[]), prefix_of_nginx(wish.kind).to_owned()),
        };
        let identifier = wish.app.as_ref().map_or("nginx", AppKey::as_str);
        let names = match wish.name.as_str() {
            // A log that is not there yet may be followed.
            name if !name.is_empty() => vec![name.to_owned()],
            _ => match folder.logs() {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
                found => found.map_err(|error| unreadable(&prefix, &error))?,
            },
        };
        let is_of_kind = |name: &String| match wish.kind {
            LogKind::NginxAccess => !name.contains("error"),
            LogKind::NginxError => name.contains("error"),
            _ => true,
        };
        let logs = names.into_iter().filter(is_of_kind).map(|name| LogName {
            id: format!("{prefix}/{name}"),
            kind: wish.kind,
            folder: folder.clone(),
            name,
            identifier: identifier.to_owned(),
        });
        Ok(logs.collect())
    }

    /// What there is of each.
    pub(crate) fn list(&self) -> Result<Vec<LogFiles>, Fault> {
        let mut listed = Vec::new();
        for log in self.logs()? {
            let files = log.folder.siblings(&log.name).map_err(|error| unreadable(&log.id, &error))?;
            let app = log.id.strip_prefix("app/").and_then(|rest| rest.split('/').next()).unwrap_or_default();
            let source = LogSource { kind: log.kind.into(), app: app.to_owned(), name: log.name };
            listed.push(LogFiles {
                source: Some(source),
                id: log.id,
                files: u32::try_from(files.len()).unwrap_or(u32::MAX),
                bytes: files.iter().map(|file| file.size).sum(),
                written_usec: files.iter().map(|file| file.modified as i64).max().unwrap_or(0),
            });
        }
        Ok(listed)
    }
}

/// The files of nginx and of these apps.
pub(crate) fn of_host(apps: &[String], state: &Path) -> Result<Names, Fault> {
    let source =
        |kind: LogKind, app: &str| LogSource { kind: kind.into(), app: app.into(), name: String::new() };
    let nginx = [LogKind::NginxAccess, LogKind::NginxError].map(|kind| source(kind, ""));
    let all: Vec<_> = nginx.into_iter().chain(apps.iter().map(|app| source(LogKind::App, app))).collect();
    parse(&all, state)
}

fn prefix_of_nginx(kind: LogKind) -> &'static str {
    if kind == LogKind::NginxAccess { "nginx-access" } else { "nginx-error" }
}

fn unreadable(log: &str, error: &std::io::Error) -> Fault {
    Fault::new(FaultKind::Failed, format!("the log {log} cannot be read: {error}"))
        .hint("Look at its folder on the host: `ls -l`.")
}

/// shared/log of an app: below the root that its specification names, or where apps usually are.
fn folder_of_app(app: &AppKey, state: &Path) -> Folder {
    let spec =
        read_if_there(&state.join("apps").join(app.as_str()).join("spec.json"), SPEC_MAX).ok().flatten();
    let spec: Option<AppSpec> = spec.and_then(|text| serde_json::from_slice(&text).ok());
    let of_spec = spec.map(|spec| PathBuf::from(spec.root)).filter(|root| root.is_absolute());
    let root = of_spec.unwrap_or_else(|| {
        let roots = TOPS.map(|top| Path::new(top).join(app.as_str()));
        let there = roots.iter().find(|root| root.join("shared/log").is_dir());
        there.unwrap_or(&roots[0]).clone()
    });
    Folder::new(root, &["shared", "log"])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(kind: LogKind, app: &str, name: &str) -> LogSource {
        LogSource { kind: kind.into(), app: app.into(), name: name.into() }
    }

    /// No source leads out of its folder.
    #[test]
    fn names_of_logs_are_no_paths() {
        let state = Path::new("/nonexistent");
        for name in ["../shadow", "/etc/shadow", ".hidden", "-x", "a b", "a\nb", "é.log", &"a".repeat(129)] {
            assert!(parse(&[source(LogKind::NginxAccess, "", name)], state).is_err(), "{name}");
        }
        for app in ["", "..", "../x", "A", "a/b"] {
            assert!(parse(&[source(LogKind::App, app, "")], state).is_err(), "{app}");
        }
        assert!(parse(&vec![source(LogKind::Journal, "", ""); 33], state).is_err());
        assert!(parse(&[], state).unwrap().has_journal);
    }

    #[test]
    fn the_logs_of_an_app_are_where_its_specification_says() {
        let state = tempfile::tempdir().unwrap();
        let root = tempfile::tempdir().unwrap();
        let logs = root.path().join("shared/log");
        std::fs::create_dir_all(&logs).unwrap();
        for name in ["production.log", "production.log.1", "sidekiq.log", "notes.txt"] {
            std::fs::write(logs.join(name), "line\n").unwrap();
        }
        let of_app = state.path().join("apps/cigar");
        std::fs::create_dir_all(&of_app).unwrap();
        let spec = AppSpec { root: root.path().to_str().unwrap().into(), ..AppSpec::default() };
        std::fs::write(of_app.join("spec.json"), serde_json::to_vec(&spec).unwrap()).unwrap();
        let listed = parse(&[source(LogKind::App, "cigar", "")], state.path()).unwrap().list().unwrap();
        let told: Vec<_> = listed.iter().map(|log| (log.id.as_str(), log.files, log.bytes)).collect();
        assert_eq!(told, [("app/cigar/production.log", 2, 10), ("app/cigar/sidekiq.log", 1, 5)]);
    }
}
