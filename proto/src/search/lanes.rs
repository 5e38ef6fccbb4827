//! Which hosts are asked, and what each of them.

use chrono::{DateTime, TimeZone};

use super::{End, Search, SourceKind, SourceName};
use crate::{
    fault::Fault,
    host::v1::{LogDirection, LogQuery, LogSource},
    names::{AppKey, HostName, UnitName},
};

/// The apps and hosts that there are.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Each with the host it runs on.
    pub apps: Vec<(AppKey, HostName)>,
    /// All of them.
    pub hosts: Vec<HostName>,
}

/// What one host is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Lane {
    /// The host.
    pub host: HostName,
    /// Without limit and cursors.
    pub query: LogQuery,
}

impl Search {
    /// One lane for each host that has something to say.
    pub fn lanes<Z: TimeZone>(&self, known: &Known, now: &DateTime<Z>) -> Result<Vec<Lane>, Fault> {
        for app in &self.apps {
            if !known.apps.iter().any(|(key, _)| key == app) {
                return Err(Fault::not_found("app", app.as_str()).hint("`hmsctl apps` shows the apps."));
            }
        }
        let (since_usec, until_usec) = self.range(now)?;
        let hosts = self.asked(known)?;
        let lane = |host: HostName| {
            let query = LogQuery {
                since_usec,
                until_usec,
                direction: match self.from {
                    End::Newest => LogDirection::Newest,
                    End::Oldest => LogDirection::Forward,
                } as i32,
                ..self.of_host(Some(&host), known)
            };
            Lane { host, query }
        };
        Ok(hosts.into_iter().map(lane).filter(|lane| !lane.query.sources.is_empty()).collect())
    }

    /// The hosts that were named, or those of the apps, or all.
    fn asked(&self, known: &Known) -> Result<Vec<HostName>, Fault> {
        if let Some(unknown) = self.hosts.iter().find(|host| !known.hosts.contains(host)) {
            return Err(
                Fault::not_found("host", unknown.as_str()).hint("`hmsctl host list` shows the hosts.")
            );
        }
        let of_apps = known.apps.iter().filter(|(app, _)| self.apps.contains(app)).map(|(_, host)| host);
        let mut hosts: Vec<HostName> = match (self.hosts.is_empty(), self.apps.is_empty()) {
            (false, _) => self.hosts.clone(),
            (true, false) => of_apps.cloned().collect(),
            (true, true) => known.hosts.clone(),
        };
        hosts.sort();
        hosts.dedup();
        Ok(hosts)
    }

    /// What this host is asked, without times and places.
    pub fn of_host(&self, host: Option<&HostName>, known: &Known) -> LogQuery {
        let mut units: Vec<String> = self.units.iter().map(ToString::to_string).collect();
        units.extend(self.apps.iter().map(|app| UnitName::of_app(app).to_string()));
        units.dedup();
        LogQuery {
            units,
            grep: self.grep.clone(),
            priority: self.priority,
            sources: self.wanted().iter().flat_map(|source| self.sources_of(source, host, known)).collect(),
            r#where: self.conditions.clone(),
            ..LogQuery::default()
        }
    }

    fn wanted(&self) -> Vec<SourceName> {
        if !self.sources.is_empty() {
            return self.sources.clone();
        }
        // A unit is a thing of the journal: who names one wants nothing else.
        match self.apps.is_empty() || !self.units.is_empty() {
            true => vec![SourceKind::Journal.into()],
            false => vec![SourceKind::Journal.into(), SourceKind::App.into()],
        }
    }

    fn sources_of(&self, source: &SourceName, host: Option<&HostName>, known: &Known) -> Vec<LogSource> {
        let of = |app: &str, name: String| LogSource {
            kind: source.kind.to_proto() as i32,
            app: app.to_owned(),
            name,
        };
        let file = || source.file.clone();
        match source.kind {
            // By custom, nginx has files of its own for an app: `cigar.access.log`.
            SourceKind::Access | SourceKind::Error if source.file.is_empty() && !self.apps.is_empty() => {
                self.apps.iter().map(|app| of("", format!("{app}.{}.log", source.kind.word()))).collect()
            }
            SourceKind::Journal | SourceKind::Access | SourceKind::Error => vec![of("", file())],
            SourceKind::App if !self.apps.is_empty() => {
                self.apps.iter().map(|app| of(app.as_str(), file())).collect()
            }
            SourceKind::App => {
                let here = known.apps.iter().filter(|(_, there)| Some(there) == host);
                here.map(|(app, _)| of(app.as_str(), file())).collect()
            }
        }
    }
}
