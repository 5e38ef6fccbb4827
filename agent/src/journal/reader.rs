//! What to read from the journal, and a child that reads it.

use hms_proto::{
    fault::{Fault, FaultKind},
    host::v1::{LogEntry, LogQuery},
    names::{Cursor, UnitName},
};
use regex::{Regex, RegexBuilder};

use super::entry::{self, FIELDS};
use crate::exec::{self, Line, Program, Running};

/// Enough for any pattern a person writes; a larger automaton is somebody else's aim.
const PATTERN_MAX: usize = 1024;
const AUTOMATON_MAX: usize = 1024 * 1024;
const UNITS_MAX: usize = 100;

/// Which entries, parsed.
#[derive(Debug, Clone)]
pub(crate) struct Filter {
    units: Vec<UnitName>,
    /// Microseconds since the epoch.
    pub(crate) since: Option<i64>,
    pub(crate) until: Option<i64>,
    priority: Option<u32>,
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
        let time = |usec: i64, what: &str| match usec {
            0 => Ok(None),
            1.. => Ok(Some(usec)),
            _ => Err(Fault::invalid(format!("`{usec}` is not a time for `{what}`: it is before 1970"))),
        };
        if let Some(priority) = query.priority.filter(|p| *p > 7) {
            return Err(Fault::invalid(format!(
                "`{priority}` is not a priority: it must be 0 (emerg) to 7 (debug)"
            )));
        }
        let after = Some(&query.after_cursor).filter(|c| !c.is_empty());
        Ok(Self {
            units,
            since: time(query.since_usec, "since")?,
            until: time(query.until_usec, "until")?,
            priority: query.priority,
            grep: pattern_of(&query.grep)?,
            after: after.map(|c| Cursor::try_from(c.as_str())).transpose()?,
        })
    }
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
    pub(crate) fn of_unit(unit: &UnitName, since: i64) -> Self {
        Self {
            units: vec![unit.clone()],
            since: Some(since),
            until: None,
            priority: None,
            grep: None,
            after: None,
        }
    }

    /// Whether the message matches. The rest journalctl has seen to.
    pub(crate) fn matches(&self, entry: &LogEntry) -> bool {
        self.grep.as_ref().is_none_or(|pattern| pattern.is_match(&entry.message))
    }

    /// Whether a line has to be looked at after journalctl.
    pub(crate) fn greps(&self) -> bool {
        self.grep.is_some()
    }

    /// The arguments that every reading of these entries has.
    fn args(&self) -> Vec<String> {
        let mut args: Vec<String> =
            ["--output=json", "--all", "--no-pager", "--quiet"].map(str::to_owned).to_vec();
        args.push(format!("--output-fields={FIELDS}"));
        args.extend(self.units.iter().map(|unit| format!("--unit={unit}")));
        args.extend(self.since.map(|usec| format!("--since=@{}", seconds(usec))));
        args.extend(self.until.map(|usec| format!("--until=@{}", seconds(usec))));
        args.extend(self.priority.map(|p| format!("--priority={p}")));
        args
    }
}

fn seconds(usec: i64) -> String {
    format!("{}.{:06}", usec / 1_000_000, usec % 1_000_000)
}

/// How to go through the entries.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Walk<'a> {
    /// From the oldest.
    Forward,
    /// The newest so many, oldest first. Only without any bound, for which journalctl counts from the wrong end.
    Tail(u32),
    /// From the newest.
    Reverse,
    /// From this entry on, itself included where it matches.
    From(&'a str),
    /// The same, and then each new one.
    FollowFrom(&'a str),
    /// Each entry there is, and each new one.
    FollowAll,
}

/// A child that reads entries.
#[derive(Debug)]
pub(crate) struct Reader {
    running: Running,
    line: Vec<u8>,
}

/// What a child read.
#[derive(Debug)]
pub(crate) enum Read {
    /// An entry.
    Entry(LogEntry),
    /// An entry that was too long, or could not be understood.
    Unreadable,
    /// There are no more.
    End,
}

impl Reader {
    /// Starts reading.
    pub(crate) fn start(filter: &Filter, walk: Walk<'_>) -> Result<Self, Fault> {
        let mut args = filter.args();
        match walk {
            Walk::Forward => {}
            Walk::Tail(lines) => args.push(format!("--lines={lines}")),
            Walk::Reverse => args.push("--reverse".to_owned()),
            // `--after-cursor` would skip the first match when the cursor's own entry is not among them.
            Walk::From(cursor) => args.push(format!("--cursor={cursor}")),
            Walk::FollowFrom(cursor) => {
                args.push(format!("--cursor={cursor}"));
                args.extend(["--follow".to_owned(), "--no-tail".to_owned()]);
            }
            Walk::FollowAll => args.extend(["--follow".to_owned(), "--no-tail".to_owned()]),
        }
        // journalctl knows only one start; entries from before `since` do not come after a cursor that is later.
        if matches!(walk, Walk::From(_) | Walk::FollowFrom(_)) {
            args.retain(|a| !a.starts_with("--since="));
        }
        Self::spawn(&args)
    }

    /// Reads the one entry that is at this cursor, or the nearest after it; or the newest of all.
    pub(crate) fn one(cursor: Option<&Cursor>) -> Result<Self, Fault> {
        let mut args = ["--output=json", "--no-pager", "--quiet", "--output-fields=PRIORITY", "--lines=1"]
            .map(str::to_owned)
            .to_vec();
        args.extend(cursor.map(|c| format!("--cursor={c}")));
        Self::spawn(&args)
    }

    fn spawn(args: &[String]) -> Result<Self, Fault> {
        let running =
            exec::spawn(Program::Journalctl, args).map_err(|e| broken(format!("cannot start: {e}")))?;
        Ok(Self { running, line: Vec::new() })
    }

    /// The next entry. Nothing is lost when this is dropped while it waits.
    pub(crate) async fn next(&mut self) -> Result<Read, Fault> {
        let line = self.running.read_line(&mut self.line).await.map_err(|e| broken(e.to_string()))?;
        let read = match line {
            Line::Read => entry::parse(&self.line).map_or(Read::Unreadable, Read::Entry),
            Line::TooLong => Read::Unreadable,
            Line::End => return Ok(Read::End),
        };
        self.line.clear();
        Ok(read)
    }

    /// Whether the next entry has to be waited for.
    pub(crate) fn is_drained(&self) -> bool {
        self.running.is_drained()
    }

    /// The cursor of the next entry.
    pub(crate) async fn next_cursor(&mut self) -> Result<Option<String>, Fault> {
        match self.running.read_line(&mut self.line).await {
            Ok(Line::Read) => Ok(entry::cursor_of(&self.line)),
            Ok(_) => Ok(None),
            Err(error) => Err(broken(error.to_string())),
        }
    }

    /// Says whether the child ended well.
    pub(crate) async fn finish(self) -> Result<(), Fault> {
        match self.running.finish().await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(said)) => Err(broken(said)),
            Err(error) => Err(broken(error.to_string())),
        }
    }
}

fn broken(what: String) -> Fault {
    Fault::new(FaultKind::Failed, format!("journalctl failed: {what}"))
        .hint("`journalctl --verify` on the host shows whether the journal is damaged.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(units: &[&str]) -> LogQuery {
        LogQuery { units: units.iter().map(|u| (*u).to_owned()).collect(), ..LogQuery::default() }
    }

    #[test]
    fn every_word_of_a_caller_is_one_argument() {
        let filter = Filter::try_from(&LogQuery {
            since_usec: 1_700_000_000_000_001,
            until_usec: 1_700_000_001_500_000,
            priority: Some(3),
            grep: "-g --file=/etc/shadow".into(),
            ..query(&["puma-cigar.service", "nginx.service"])
        });
        assert_eq!(
            filter.unwrap().args()[5..],
            [
                "--unit=puma-cigar.service",
                "--unit=nginx.service",
                "--since=@1700000000.000001",
                "--until=@1700000001.500000",
                "--priority=3"
            ]
        );
    }

    /// Security case 33.
    #[test]
    fn what_is_not_a_query_is_refused() {
        let refused = |query: &LogQuery| Filter::try_from(query).unwrap_err().message;
        for unit in ["-D/", "--file=/x", "a\n.service", "_UID=0", "*", "x"] {
            refused(&query(&[unit]));
        }
        refused(&LogQuery { after_cursor: "--file=/x".into(), ..LogQuery::default() });
        refused(&LogQuery { since_usec: -1, ..LogQuery::default() });
        refused(&LogQuery { priority: Some(8), ..LogQuery::default() });
        refused(&query(&["a.service"; 101]));
        let grep = |text: &str| refused(&LogQuery { grep: text.into(), ..LogQuery::default() });
        assert_eq!(grep("a("), "the pattern cannot be used: unclosed group");
        grep(&"a".repeat(2000));
        grep("(a{1000}){1000}");
    }
}
