//! `hmsctl logs`: journals, nginx and the files of apps, of one host or of many, the past and as they are written.

mod follow;
mod line;
mod query;

use chrono::{Local, Utc};
use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use hms_proto::{
    fault::Fault,
    host::v1::{LogEntry, LogGap, LogQuery},
    names::{AppKey, Cursor, HostName, UnitName},
    search::{self, Known, Search, SourceKind, SourceName},
    when,
};

use crate::{
    complete,
    connect::Connection,
    failure::{Failure, Result},
    output::escape::inline,
    session::{Place, Session},
};
use line::Form;

/// Show logs, and follow them
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hmsctl logs --app cigar -n 200
  hmsctl logs --app cigar -f
  hmsctl logs --unit nginx.service --host asterra --since '2 h ago' --priority warning
  hmsctl logs --host '*' --since today --grep 'timeout|refused'
  hmsctl logs --app cigar --nginx access --where 'status>=500' --since '1 h ago'
  hmsctl logs --host '*' --nginx error -f
  hmsctl --direct asterra logs --app cigar   (with the controller down)
  hmsctl logs --app cigar --since today -o json | jq .message
  hmsctl logs --unit cron.service --host asterra -o json --fields | jq .fields._HOSTNAME

An app's logs are its journal and its files in shared/log.
Conditions: NAME OPERATOR VALUE with = != > >= < <= ~ (matches) !~, of status, method, path, request_time, client,
request_id, unit, identifier, message, source, or a field of the journal, such as _SYSTEMD_UNIT=cron.service.

Following survives restarts of controller and agent: it goes on where it was.
Control characters are written out unless --raw is given.")]
pub(crate) struct Logs {
    /// Of this app; may be repeated
    #[arg(long = "app", value_name = "KEY", add = ArgValueCompleter::new(complete::apps))]
    apps: Vec<AppKey>,
    /// Of this unit; may be repeated
    #[arg(short, long = "unit", value_name = "UNIT", add = ArgValueCompleter::new(complete::units))]
    units: Vec<UnitName>,
    /// Of nginx; with --app, of its own files; may be repeated
    #[arg(long, value_name = "access|error", value_parser = nginx_log)]
    nginx: Vec<SourceName>,
    /// Out of this log: journal, app, access, error, or a file such as app/production.log; may be repeated
    #[arg(long = "source", value_name = "LOG")]
    sources: Vec<SourceName>,
    /// On this host; may be repeated; `*` is all hosts
    #[arg(long = "host", value_name = "HOST", value_delimiter = ',', add = ArgValueCompleter::new(complete::hosts))]
    hosts: Vec<String>,
    /// So many of the newest entries [default: 100; with --since or --cursor: all]
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=i64::from(ALL)))]
    lines: Option<u32>,
    /// Go on with new entries as they are written
    #[arg(short, long, conflicts_with = "until")]
    follow: bool,
    /// From this time on, such as `2 h ago`, `today`, `18:30`, `2026-11-24 10:00`
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Up to this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Only messages that match this regular expression
    #[arg(short, long, value_name = "REGEX", default_value = "", hide_default_value = true)]
    grep: String,
    /// Only entries at least as severe: emerg, alert, crit, err, warning, notice, info, debug, or 0 to 7
    #[arg(short, long, value_parser = priority)]
    priority: Option<u32>,
    /// Only entries of which this is true, such as `status>=500`; may be repeated
    #[arg(long = "where", value_name = "CONDITION", value_parser = search::condition)]
    conditions: Vec<String>,
    /// With all fields of the journal (for -o json and -o yaml)
    #[arg(long)]
    fields: bool,
    /// Only entries after the one with this cursor (from -o json)
    #[arg(long, conflicts_with = "since")]
    cursor: Option<Cursor>,
    /// Times in UTC
    #[arg(long)]
    utc: bool,
    /// Control characters as they are: the log may then act on your terminal
    #[arg(long)]
    raw: bool,
}

/// The most entries of the past that a host tells.
const ALL: u32 = 1_000_000;
/// Entries of the past, unless more or less are asked for.
const USUAL: u32 = 100;

fn priority(text: &str) -> Result<u32, String> {
    search::severity(text).map_err(|fault| format!("{} {}", fault.message, fault.hint))
}

fn nginx_log(text: &str) -> Result<SourceName, String> {
    let kind = [SourceKind::Access, SourceKind::Error].into_iter().find(|kind| kind.word() == text);
    kind.map(SourceName::from).ok_or_else(|| "it is `access` or `error`".to_owned())
}

/// The logs of one host, as far as they are wanted.
#[derive(Debug, Clone)]
struct Source {
    label: String,
    host: Option<HostName>,
    query: LogQuery,
}

impl Logs {
    pub(crate) async fn run(self, session: &Session) -> Result<()> {
        self.check(session)?;
        let query = self.query()?;
        let link = session.link()?;
        let places = self.places(session, &link).await?;
        let sources: Vec<Source> = places
            .into_iter()
            .map(|(label, host, apps)| {
                let LogQuery { units, sources, .. } =
                    self.search(apps).of_host(host.as_ref(), &Known::default());
                Source { label, host, query: LogQuery { units, sources, ..query.clone() } }
            })
            .collect();
        let form = Form::new(&session.out, self.utc, self.raw, &sources);
        match self.follow {
            true => follow::run(session, &link, sources, &form, self.lines == Some(0)).await,
            false if self.lines == Some(0) => Ok(()),
            false => query::run(session, &link, sources, &form).await,
        }
    }

    /// Whether it is clear whose logs are meant.
    fn check(&self, session: &Session) -> Result<()> {
        if session.global.direct.is_some() || !self.hosts.is_empty() {
            return Ok(());
        }
        if self.apps.is_empty() {
            return Err(Fault::invalid("whose logs?")
                .hint("add --app KEY, or --host NAME with or without --unit; `--host '*'` is all hosts")
                .into());
        }
        if !self.units.is_empty() {
            return Err(Fault::invalid("--unit needs to know the host").hint("add --host NAME").into());
        }
        Ok(())
    }

    /// What is looked for on a host that has these apps.
    fn search(&self, apps: Vec<AppKey>) -> Search {
        let sources = self.nginx.iter().chain(&self.sources).cloned().collect();
        Search { apps, units: self.units.clone(), sources, ..Search::default() }
    }

    /// What is asked of every host.
    fn query(&self) -> Result<LogQuery> {
        let time = |text: &Option<String>| match (text, self.utc) {
            (None, _) => Ok(0),
            (Some(text), true) => when::parse(text, &Utc::now()),
            (Some(text), false) => when::parse(text, &Local::now()),
        };
        let all = self.since.is_some() || self.cursor.is_some();
        let limit = match self.lines {
            // Following from now on: the newest entry tells where that is.
            Some(0) => 1,
            Some(lines) => lines,
            None if self.cursor.is_some() => 0,
            None if all => {
                if self.follow {
                    ALL
                } else {
                    0
                }
            }
            None => USUAL,
        };
        Ok(LogQuery {
            units: Vec::new(),
            since_usec: time(&self.since)?,
            until_usec: time(&self.until)?,
            grep: self.grep.clone(),
            priority: self.priority,
            limit,
            after_cursor: self.cursor.as_ref().map(ToString::to_string).unwrap_or_default(),
            r#where: self.conditions.clone(),
            fields: self.fields,
            ..LogQuery::default()
        })
    }

    /// The hosts to ask, each with the apps that are meant there.
    async fn places(
        &self,
        session: &Session,
        link: &Connection,
    ) -> Result<Vec<(String, Option<HostName>, Vec<AppKey>)>> {
        if session.global.direct.is_some() || !self.hosts.is_empty() {
            let hosts = self.named_hosts(session, link).await?;
            return Ok(hosts.into_iter().map(|(label, host)| (label, host, self.apps.clone())).collect());
        }
        let mut places: Vec<(String, Option<HostName>, Vec<AppKey>)> = Vec::new();
        for key in &self.apps {
            let Place { label, host, .. } = session.place_of(link, key).await?;
            match places.iter_mut().find(|(_, known, _)| *known == host) {
                Some((_, _, apps)) => apps.push(key.clone()),
                None => places.push((label, host, vec![key.clone()])),
            }
        }
        Ok(places)
    }

    async fn named_hosts(
        &self,
        session: &Session,
        link: &Connection,
    ) -> Result<Vec<(String, Option<HostName>)>> {
        if self.hosts.is_empty() || session.global.direct.is_some() {
            let named = match self.hosts.as_slice() {
                [] => None,
                [one] => Some(HostName::try_from(one.as_str())?),
                _ => return Err(Fault::invalid("--direct is for one host").into()),
            };
            let (host, label) = session.host(named.as_ref())?;
            return Ok(vec![(label, host)]);
        }
        let mut names = self.hosts.clone();
        if names.iter().any(|name| name == "*") {
            names = session.hosts(link).await?.hosts.into_iter().map(|h| h.name).collect();
        }
        names.sort();
        names.dedup();
        if names.is_empty() {
            return Err(Failure::from(Fault::not_found("host", "*").hint("hmsctl host add")));
        }
        names.iter().map(|name| Ok((name.clone(), Some(HostName::try_from(name.as_str())?)))).collect()
    }
}

/// Says where entries are missing.
fn gap_text(label: &str, gap: &LogGap) -> String {
    let mut why = match gap.reason.as_str() {
        "slow" => "they came faster than they were read".to_owned(),
        other => inline(other).into_owned(),
    };
    let at = |usec| crate::output::measure::stamp(usec, true);
    if gap.from_usec > 0 {
        why += &format!(", after {}", at(gap.from_usec));
    }
    if gap.to_usec > 0 {
        why += &format!(", before {}", at(gap.to_usec));
    }
    match gap.count {
        0 => format!("-- gap: entries are missing here on {label} ({why})"),
        1 => format!("-- gap: 1 entry is missing here on {label} ({why})"),
        n => format!("-- gap: {n} entries are missing here on {label} ({why})"),
    }
}

/// Puts entries of several hosts in order, and keeps the newest.
fn in_order(mut entries: Vec<(usize, LogEntry)>, newest: usize) -> Vec<(usize, LogEntry)> {
    // Stable: entries of one host keep their order where their times are the same.
    entries.sort_by_key(|(_, entry)| entry.time_usec);
    let extra = entries.len().saturating_sub(newest);
    entries.drain(..extra);
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priorities_have_names_and_numbers() {
        for (typed, meant) in
            [("err", 3), ("error", 3), ("warning", 4), ("warn", 4), ("0", 0), ("7", 7), ("debug", 7)]
        {
            assert_eq!(priority(typed).unwrap(), meant);
        }
        for bad in ["", "8", "-1", "loud", "3..4"] {
            assert!(priority(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_newest_of_several_hosts_are_kept_in_order() {
        let entry = |host, time_usec| (host, LogEntry { time_usec, ..LogEntry::default() });
        let kept = in_order(vec![entry(0, 1), entry(0, 5), entry(1, 2), entry(1, 4)], 3);
        assert_eq!(kept.iter().map(|(h, e)| (*h, e.time_usec)).collect::<Vec<_>>(), [(1, 2), (1, 4), (0, 5)]);
    }
}
