//! Which entries to read, parsed.

use hms_journal::{Cursor, Entry, Journal};
use hms_proto::{
    fault::{Fault, FaultKind},
    host::v1::LogQuery,
    names::{self, UnitName},
};
use regex::bytes::{Regex, RegexBuilder};

/// Enough for any pattern a person writes; a larger automaton is somebody else's aim.
const PATTERN_MAX: usize = 1024;
const AUTOMATON_MAX: usize = 1024 * 1024;
const UNITS_MAX: usize = 100;

/// Which entries.
#[derive(Debug, Clone)]
pub(crate) struct Filter {
    units: Vec<UnitName>,
    /// Microseconds since the epoch.
    pub(crate) since: Option<u64>,
    pub(crate) until: Option<u64>,
    priority: Option<u8>,
    grep: Option<Regex>,
    /// Only entries after this one.
    pub(crate) after: Option<Cursor>,
}

impl TryFrom<&LogQuery> for Filter {
    type Error = Fault;

    fn try_from(query: &LogQuery) -> Result<Self, Fault> {
        if query.units.len() > UNITS_MAX {
            return Err(Fault::invalid(format!("at most {UNITS_MAX} units can be asked for at once")));
        }
        let units = query.units.iter().map(|u| UnitName::try_from(u.as_str())).collect::<Result<_, _>>()?;
        let time = |usec: i64, what: &str| match u64::try_from(usec) {
            Ok(0) => Ok(None),
            Ok(usec) => Ok(Some(usec)),
            Err(_) => Err(Fault::invalid(format!("`{usec}` is not a time for `{what}`: it is before 1970"))),
        };
        let priority = query.priority.map(|p| u8::try_from(p).ok().filter(|p| *p <= 7).ok_or(p)).transpose();
        let priority = priority.map_err(|p| {
            Fault::invalid(format!("`{p}` is not a priority: it must be 0 (emerg) to 7 (debug)"))
        })?;
        Ok(Self {
            units,
            since: time(query.since_usec, "since")?,
            until: time(query.until_usec, "until")?,
            priority,
            grep: pattern_of(&query.grep)?,
            after: cursor_of(&query.after_cursor)?,
        })
    }
}

fn cursor_of(text: &str) -> Result<Option<Cursor>, Fault> {
    if text.is_empty() {
        return Ok(None);
    }
    let name = names::Cursor::try_from(text)?;
    let cursor = name.as_str().parse().map(Some);
    cursor.map_err(|_| {
        Fault::invalid("a part of the journal cursor is missing").hint("Copy it from a log entry, whole.")
    })
}

fn pattern_of(text: &str) -> Result<Option<Regex>, Fault> {
    if text.is_empty() {
        return Ok(None);
    }
    if text.len() > PATTERN_MAX {
        return Err(Fault::invalid(format!("the pattern is longer than {PATTERN_MAX} bytes")));
    }
    let pattern = RegexBuilder::new(text).size_limit(AUTOMATON_MAX).dfa_size_limit(AUTOMATON_MAX).build();
    pattern.map(Some).map_err(|error| {
        // The last line says what is wrong; those before show where, in a drawing.
        let said = error.to_string();
        let why = said.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
        Fault::invalid(format!("the pattern cannot be used: {why}")).hint(
            "Write a regular expression; put a backslash before . * + ? ( ) [ ] { } | to mean the character.",
        )
    })
}

impl Filter {
    /// Entries of one unit from this time on.
    pub(crate) fn of_unit(unit: &UnitName, since: u64) -> Self {
        let (units, since) = (vec![unit.clone()], Some(since));
        Self { units, since, until: None, priority: None, grep: None, after: None }
    }

    /// The journal of this host, as this filter sees it.
    pub(crate) fn open(&self) -> Result<Journal, Fault> {
        use hms_journal::Filter as F;
        let units = self.units.iter().map(|unit| F::unit(unit.as_str())).collect::<Vec<_>>();
        let units = (!units.is_empty()).then_some(F::Or(units));
        let all = units.into_iter().chain(self.priority.map(F::priority)).collect();
        Journal::local(F::And(all)).map_err(|error| {
            Fault::new(FaultKind::Failed, format!("the journal cannot be read: {error}"))
                .hint("Look at the host: `systemctl status systemd-journald`.")
        })
    }

    /// Whether the message of an entry matches. One that cannot be read does not.
    pub(crate) fn matches(&self, journal: &mut Journal, entry: &Entry, scratch: &mut Vec<u8>) -> bool {
        let Some(pattern) = &self.grep else { return true };
        matches!(journal.field(entry, b"MESSAGE", scratch), Ok(Some(message)) if pattern.is_match(message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Security case 33.
    #[test]
    fn what_is_not_a_query_is_refused() {
        let query = |units: &[&str]| LogQuery {
            units: units.iter().map(|u| (*u).to_owned()).collect(),
            ..LogQuery::default()
        };
        let refused = |query: &LogQuery| Filter::try_from(query).unwrap_err().message;
        for unit in ["-D/", "--file=/x", "a\n.service", "_UID=0", "*", "x"] {
            refused(&query(&[unit]));
        }
        for cursor in ["--file=/x", "s=1;i=2", "s=0639d2b2a4a84f1b9c5d6a7e8f901234;i=4f"] {
            refused(&LogQuery { after_cursor: cursor.into(), ..LogQuery::default() });
        }
        refused(&LogQuery { since_usec: -1, ..LogQuery::default() });
        refused(&LogQuery { priority: Some(8), ..LogQuery::default() });
        refused(&LogQuery { priority: Some(256), ..LogQuery::default() });
        refused(&query(&["a.service"; 101]));
        let grep = |text: &str| refused(&LogQuery { grep: text.into(), ..LogQuery::default() });
        assert_eq!(grep("a("), "the pattern cannot be used: unclosed group");
        grep(&"a".repeat(2000));
        grep("(a{1000}){1000}");
    }
}
