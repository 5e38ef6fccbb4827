//! What somebody looks for in logs: one form for the page's address, the parameters of REST and the flags of `hmsctl`.

mod lanes;
mod source;

use std::fmt::Write as _;

use chrono::{DateTime, TimeZone};

use crate::{
    fault::Fault,
    names::{AppKey, HostName, UnitName},
    when,
};
pub use lanes::{Known, Lane};
pub use source::{SourceKind, SourceName};

/// More of one parameter is nobody's search.
const MOST: usize = 100;
/// As the agents have it.
const PATTERN_MAX: usize = 1024;
const CONDITION_MAX: usize = 1024;
/// The words of syslog(3), by number.
pub const SEVERITIES: [&str; 8] = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];

/// At which end of the time reading begins. Entries are always given oldest first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum End {
    /// The newest entries.
    #[default]
    Newest,
    /// The oldest ones.
    Oldest,
}

/// Which entries. Empty lists mean: all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Search {
    /// Of these apps.
    pub apps: Vec<AppKey>,
    /// On these hosts; of apps without any: where they run.
    pub hosts: Vec<HostName>,
    /// Of these units, in the journal.
    pub units: Vec<UnitName>,
    /// Out of these logs; none: the journal, and the files of the apps that were named.
    pub sources: Vec<SourceName>,
    /// At least so severe: 0 emerg to 7 debug.
    pub priority: Option<u32>,
    /// At or after this time, as typed; empty: from the beginning.
    pub since: String,
    /// Before or at this time, as typed; empty: no end.
    pub until: String,
    /// Regular expression that the message matches; empty: every message does.
    pub grep: String,
    /// All true: `status>=500`.
    pub conditions: Vec<String>,
    /// Where reading begins.
    pub from: End,
    /// How many entries; `None`: as many as the face usually gives.
    pub lines: Option<u32>,
}

/// The names of the parameters, in the order in which addresses have them.
pub const PARAMETERS: [&str; 11] =
    ["app", "host", "unit", "source", "priority", "since", "until", "grep", "where", "from", "lines"];

impl Search {
    /// Reads parameters. Those without a value say nothing; what is not one is refused by its name.
    pub fn from_pairs<K: AsRef<str>, V: AsRef<str>>(
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, Fault> {
        let mut search = Self::default();
        let mut seen = Vec::new();
        for (name, value) in pairs {
            let (name, value) = (name.as_ref(), value.as_ref().trim());
            if !value.is_empty() || !PARAMETERS.contains(&name) {
                search.take(name, value, &mut seen)?;
            }
        }
        Ok(search)
    }

    fn take(&mut self, name: &str, value: &str, seen: &mut Vec<String>) -> Result<(), Fault> {
        let Some(known) = PARAMETERS.iter().find(|known| **known == name) else {
            let shown: String = name.chars().take(64).flat_map(char::escape_debug).collect();
            return Err(Fault::invalid(format!("`{shown}` is no parameter of logs"))
                .hint(format!("There are {}.", PARAMETERS.join(", "))));
        };
        let is_list = ["app", "host", "unit", "source", "where"].contains(known);
        let before = seen.iter().filter(|other| other == known).count();
        if before >= if is_list { MOST } else { 1 } {
            return Err(Fault::invalid(format!("`{known}` is given {} times", before + 1)));
        }
        seen.push((*known).to_owned());
        match *known {
            "app" => add(&mut self.apps, value.try_into()?),
            "host" => add(&mut self.hosts, value.try_into()?),
            "unit" => add(&mut self.units, value.try_into()?),
            "source" => add(&mut self.sources, value.parse()?),
            "priority" => self.priority = Some(severity(value)?),
            "since" => self.since = time(value)?,
            "until" => self.until = time(value)?,
            "grep" => self.grep = pattern(value)?,
            "where" => add(&mut self.conditions, condition(value)?),
            "from" => self.from = end(value)?,
            _ => self.lines = Some(number(value)?),
        }
        Ok(())
    }

    /// The parameters that read as this.
    pub fn to_pairs(&self) -> Vec<(&'static str, String)> {
        let mut pairs: Vec<(&'static str, String)> = Vec::new();
        pairs.extend(self.apps.iter().map(|app| ("app", app.to_string())));
        pairs.extend(self.hosts.iter().map(|host| ("host", host.to_string())));
        pairs.extend(self.units.iter().map(|unit| ("unit", unit.to_string())));
        pairs.extend(self.sources.iter().map(|source| ("source", source.to_string())));
        pairs.extend(self.priority.map(|priority| ("priority", priority.to_string())));
        for (name, value) in [("since", &self.since), ("until", &self.until), ("grep", &self.grep)] {
            if !value.is_empty() {
                pairs.push((name, value.clone()));
            }
        }
        pairs.extend(self.conditions.iter().map(|condition| ("where", condition.clone())));
        if self.from == End::Oldest {
            pairs.push(("from", "oldest".to_owned()));
        }
        pairs.extend(self.lines.map(|lines| ("lines", lines.to_string())));
        pairs
    }

    /// As the query of an address, without its question mark.
    pub fn to_query(&self) -> String {
        let mut query = String::new();
        for (name, value) in self.to_pairs() {
            let between = if query.is_empty() { "" } else { "&" };
            let _infallible = write!(query, "{between}{name}={}", encode(&value));
        }
        query
    }

    /// From when to when, in microseconds since the epoch; 0: no limit.
    pub fn range<Z: TimeZone>(&self, now: &DateTime<Z>) -> Result<(i64, i64), Fault> {
        let at = |text: &str| match text {
            "" => Ok(0),
            text => when::parse(text, now).map_err(|error| Fault::invalid(error.to_string())),
        };
        let (since, until) = (at(&self.since)?, at(&self.until)?);
        if until > 0 && since > until {
            return Err(Fault::invalid(format!("`{}` is later than `{}`", self.since, self.until))
                .hint("Exchange since and until."));
        }
        Ok((since, until))
    }
}

fn add<T: PartialEq>(list: &mut Vec<T>, value: T) {
    if !list.contains(&value) {
        list.push(value);
    }
}

/// A severity by its number or its word.
pub fn severity(text: &str) -> Result<u32, Fault> {
    let word = match text.to_ascii_lowercase().as_str() {
        "error" => "err".to_owned(),
        "warn" => "warning".to_owned(),
        "panic" => "emerg".to_owned(),
        "critical" => "crit".to_owned(),
        other => other.to_owned(),
    };
    let named = (0..).zip(SEVERITIES).find(|(_, name)| *name == word).map(|(number, _)| number);
    let found = named.or_else(|| text.parse().ok().filter(|n| *n <= 7 && text.len() == 1));
    found.ok_or_else(|| {
        let shown: String = text.chars().take(64).flat_map(char::escape_debug).collect();
        Fault::invalid(format!("`{shown}` is not a severity"))
            .hint(format!("Severities are {}, or 0 to 7.", SEVERITIES.join(", ")))
    })
}

/// A time that can be understood, wherever the reader is.
fn time(text: &str) -> Result<String, Fault> {
    when::parse_utc(text).map_err(|error| Fault::invalid(error.to_string()))?;
    Ok(text.to_owned())
}

fn pattern(text: &str) -> Result<String, Fault> {
    if text.len() > PATTERN_MAX {
        return Err(Fault::invalid(format!("the pattern is longer than {PATTERN_MAX} bytes")));
    }
    Ok(text.to_owned())
}

/// NAME OPERATOR VALUE; whether the name and the value fit is known where they are compared.
pub fn condition(text: &str) -> Result<String, Fault> {
    let refuse = |why: &str| {
        let shown: String = text.chars().take(64).flat_map(char::escape_debug).collect();
        Fault::invalid(format!("`{shown}` is not a condition: {why}"))
            .hint("Write NAME OPERATOR VALUE, such as `status>=500`, `method=POST`, `path~^/api`.")
    };
    let name = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
    let operators = ["!=", ">=", "<=", "!~", "=", ">", "<", "~"];
    match text[name..].trim_start() {
        _ if name == 0 => Err(refuse("it begins with no name")),
        _ if text.len() > CONDITION_MAX => Err(refuse("it is too long")),
        rest if !operators.iter().any(|operator| rest.starts_with(operator)) => {
            Err(refuse("after the name comes one of = != > >= < <= ~ !~"))
        }
        _ => Ok(text.to_owned()),
    }
}

fn end(text: &str) -> Result<End, Fault> {
    match text {
        "newest" => Ok(End::Newest),
        "oldest" => Ok(End::Oldest),
        _ => Err(Fault::invalid("`from` is `newest` or `oldest`")),
    }
}

fn number(text: &str) -> Result<u32, Fault> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|n| digits && *n > 0).ok_or_else(|| {
        let shown: String = text.chars().take(64).flat_map(char::escape_debug).collect();
        Fault::invalid(format!("`{shown}` is not a number of lines"))
    })
}

/// Percent-encoding of one component of an address.
fn encode(value: &str) -> String {
    value.bytes().fold(String::with_capacity(value.len()), |mut out, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(byte.into()),
            _ => {
                let _infallible = write!(out, "%{byte:02X}");
            }
        }
        out
    })
}

#[cfg(test)]
mod tests;
