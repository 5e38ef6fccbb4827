//! Which entries to read, parsed.

use std::ops::Range;

use hms_journal::{Entry, Filter as F, Journal, Search};
use hms_proto::{
    fault::{Fault, FaultKind},
    host::v1::{LogEntry, LogQuery},
    names::UnitName,
};
use memchr::{memchr, memchr_iter, memrchr};
use regex::bytes::{Regex, RegexBuilder};

use super::{
    condition::{self, Condition},
    source::Wanted,
};

/// Enough for any pattern a person writes; a larger automaton is somebody else's aim.
const PATTERN_MAX: usize = 1024;
const AUTOMATON_MAX: usize = 1024 * 1024;
const UNITS_MAX: usize = 100;
/// Matches over several lines in one block, after which the lines are looked at one by one.
const CROSSING_MAX: u32 = 16;

/// Which entries.
#[derive(Debug, Clone)]
pub(crate) struct Filter {
    units: Vec<UnitName>,
    /// Microseconds since the epoch.
    pub(crate) since: Option<u64>,
    pub(crate) until: Option<u64>,
    priority: Option<u8>,
    grep: Option<Regex>,
    /// The same for many lines at once. It may find more than there is.
    grep_lines: Option<Regex>,
    conditions: Vec<Condition>,
    /// Whether entries of the journal show all their fields.
    pub(crate) all_fields: bool,
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
            grep: (!query.grep.is_empty())
                .then(|| builder(&query.grep)?.build().map_err(refused))
                .transpose()?,
            grep_lines: many_lines(&query.grep)?,
            conditions: conditions(&query.r#where)?,
            all_fields: query.fields,
        })
    }
}

fn conditions(texts: &[String]) -> Result<Vec<Condition>, Fault> {
    if texts.len() > condition::MOST {
        return Err(Fault::invalid(format!("at most {} conditions can be given at once", condition::MOST)));
    }
    texts.iter().map(|text| Condition::parse(text)).collect()
}

fn builder(text: &str) -> Result<RegexBuilder, Fault> {
    if text.len() > PATTERN_MAX {
        return Err(Fault::invalid(format!("the pattern is longer than {PATTERN_MAX} bytes")));
    }
    let mut builder = RegexBuilder::new(text);
    builder.size_limit(AUTOMATON_MAX).dfa_size_limit(AUTOMATON_MAX);
    Ok(builder)
}

/// The pattern for a block of lines. `None` for one that asks where the text as a whole begins or ends.
fn many_lines(text: &str) -> Result<Option<Regex>, Fault> {
    let is_of_whole = ["\\A", "\\z", "(?"].iter().any(|part| text.contains(part));
    if text.is_empty() || is_of_whole {
        return Ok(None);
    }
    builder(text)?.multi_line(true).build().map(Some).map_err(refused)
}

/// A pattern for text.
pub(crate) fn pattern(text: &str) -> Result<regex::Regex, Fault> {
    if text.len() > PATTERN_MAX {
        return Err(Fault::invalid(format!("the pattern is longer than {PATTERN_MAX} bytes")));
    }
    let mut builder = regex::RegexBuilder::new(text);
    builder.size_limit(AUTOMATON_MAX).dfa_size_limit(AUTOMATON_MAX).build().map_err(refused)
}

#[expect(clippy::needless_pass_by_value, reason = "it is what map_err calls")]
fn refused(error: regex::Error) -> Fault {
    // The last line says what is wrong; those before show where, in a drawing.
    let said = error.to_string();
    let why = said.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
    Fault::invalid(format!("the pattern cannot be used: {why}")).hint(
        "Write a regular expression; put a backslash before . * + ? ( ) [ ] { } | to mean the character.",
    )
}

impl Filter {
    /// Entries of one unit from this time on.
    pub(crate) fn of_unit(unit: &UnitName, since: u64) -> Self {
        Self {
            units: vec![unit.clone()],
            since: Some(since),
            until: None,
            priority: None,
            grep: None,
            grep_lines: None,
            conditions: Vec::new(),
            all_fields: false,
        }
    }

    /// What the journal can look up of it.
    pub(crate) fn of_journal(&self) -> F {
        let units = self.units.iter().map(|unit| F::unit(unit.as_str())).collect::<Vec<_>>();
        let units = (!units.is_empty()).then_some(F::Or(units));
        let fields = self.conditions.iter().filter_map(Condition::looked_up);
        let fields = fields.map(|(name, value)| F::field(name, value));
        F::And(units.into_iter().chain(self.priority.map(F::priority)).chain(fields).collect())
    }

    /// The journal of this host, as this filter sees it.
    pub(crate) fn open(&self) -> Result<Journal, Fault> {
        Journal::local(self.of_journal()).map_err(|error| {
            Fault::new(FaultKind::Failed, format!("the journal cannot be read: {error}"))
                .hint("Look at the host: `systemctl status systemd-journald`.")
        })
    }

    /// What the journal is searched for, if anything; not before `floor`, in microseconds since the epoch.
    pub(crate) fn search(&self, wanted: &Wanted, floor: u64) -> Option<Search> {
        let (pattern, wanted) = (self.grep.clone()?, wanted.clone());
        let wanted = move || (*wanted)();
        let search = Search::new(move |message| pattern.is_match(message), wanted);
        Some(search.between(self.since.unwrap_or(0).max(floor), self.until.unwrap_or(u64::MAX)))
    }

    /// Whether the journal can tell by itself, from its lists, which entries are meant.
    pub(crate) fn is_looked_up(&self) -> bool {
        self.grep.is_none() && self.conditions.iter().all(|condition| condition.looked_up().is_some())
    }

    /// Whether all entries of the journal are meant.
    pub(crate) fn is_everything(&self) -> bool {
        self.is_looked_up() && self.units.is_empty() && self.priority.is_none() && self.conditions.is_empty()
    }

    /// Whether entries have to be read before it is known that they are meant.
    pub(crate) fn has_conditions(&self) -> bool {
        !self.conditions.iter().all(|condition| condition.looked_up().is_some())
    }

    /// Whether entries of the journal have to be read with all their fields.
    pub(crate) fn needs_fields(&self) -> bool {
        self.all_fields || self.conditions.iter().any(Condition::is_of_journal)
    }

    /// Whether the message of an entry matches. One that cannot be read does not.
    pub(crate) fn matches(&self, journal: &mut Journal, entry: &Entry, scratch: &mut Vec<u8>) -> bool {
        let Some(pattern) = &self.grep else { return true };
        matches!(journal.field(entry, b"MESSAGE", scratch), Ok(Some(message)) if pattern.is_match(message))
    }

    /// Whether an entry fulfils the conditions.
    pub(crate) fn fulfils(&self, entry: &LogEntry) -> bool {
        self.conditions.iter().all(|condition| condition.is_true(entry))
    }

    /// Whether a line of a file that matches is severe enough and fulfils the conditions.
    pub(crate) fn takes_line(&self, entry: &LogEntry) -> bool {
        self.priority.is_none_or(|least| entry.priority <= u32::from(least)) && self.fulfils(entry)
    }

    /// Whether a severity is wanted.
    pub(crate) fn takes_priority(&self, priority: u32) -> bool {
        self.priority.is_none_or(|least| priority <= u32::from(least))
    }

    /// The lines of a block that match, each with its end.
    pub(crate) fn lines(&self, block: &[u8]) -> Vec<Range<usize>> {
        let (mut found, mut at, mut crossing) = (Vec::new(), 0, 0);
        if let (Some(pattern), Some(of_line)) = (&self.grep_lines, &self.grep) {
            while at < block.len() && crossing < CROSSING_MAX {
                let Some(hit) = pattern.find_at(block, at) else { return found };
                // Behind the last end of a line there is no line more.
                if hit.start() == block.len() && block.ends_with(b"\n") {
                    return found;
                }
                let start = memrchr(b'\n', &block[..hit.start()]).map_or(0, |end| end + 1).max(at);
                let end =
                    memchr(b'\n', &block[hit.start()..]).map_or(block.len(), |end| hit.start() + end + 1);
                crossing += u32::from(hit.end() > end);
                if of_line.is_match(without_end(&block[start..end])) {
                    found.push(start..end);
                }
                at = end;
            }
        }
        let ends = memchr_iter(b'\n', &block[at..]).map(|end| at + end + 1);
        let mut start = at;
        let mut take = |end: usize| {
            let line = start..end;
            start = end;
            if self.grep.as_ref().is_none_or(|grep| grep.is_match(without_end(&block[line.clone()]))) {
                found.push(line);
            }
        };
        ends.for_each(&mut take);
        if block.last().is_some_and(|last| *last != b'\n') && at < block.len() {
            take(block.len());
        }
        found
    }
}

fn without_end(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\n").unwrap_or(line)
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
        refused(&LogQuery { r#where: vec!["status=1".into(); 21], ..LogQuery::default() });
        refused(&LogQuery { since_usec: -1, ..LogQuery::default() });
        refused(&LogQuery { priority: Some(8), ..LogQuery::default() });
        refused(&LogQuery { priority: Some(256), ..LogQuery::default() });
        refused(&query(&["a.service"; 101]));
        let grep = |text: &str| refused(&LogQuery { grep: text.into(), ..LogQuery::default() });
        assert_eq!(grep("a("), "the pattern cannot be used: unclosed group");
        grep(&"a".repeat(2000));
        grep("(a{1000}){1000}");
    }

    fn grep(text: &str) -> Filter {
        Filter::try_from(&LogQuery { grep: text.into(), ..LogQuery::default() }).unwrap()
    }

    #[test]
    fn patterns_never_reach_over_the_end_of_a_line() {
        let found = |pattern: &str, block: &str| -> Vec<String> {
            let lines = grep(pattern).lines(block.as_bytes());
            lines.into_iter().map(|line| block[line].to_owned()).collect()
        };
        assert_eq!(found(r"a\s+b", "a\nb\na b\n"), ["a b\n"]);
        assert_eq!(found("^b$", "ab\nb\nbb"), ["b\n"]);
        assert_eq!(found(r"\Ab", "ab\nb\n"), ["b\n"]);
        assert_eq!(found("(?-m)^b", "ab\nbc"), ["bc"]);
        assert_eq!(found("", "a\n\nb"), ["a\n", "\n", "b"]);
        assert_eq!(found("x*", "a\n\n"), ["a\n", "\n"]);
        assert_eq!(found("[^x]*c", &"a\n".repeat(100)), Vec::<String>::new());
    }

    proptest::proptest! {
        #[test]
        fn a_block_is_searched_as_its_lines_are(
            pattern in r"(\^|\\b)?(a|b|\\s|\[\^a\]|\.)(\*|\+|\?)?(a|c|\\n|\|c)?\$?", block in "[abc \r\n]{0,60}"
        ) {
            let filter = grep(&pattern);
            let Some(one) = &filter.grep else { return Ok(()) };
            let ours: Vec<_> = filter.lines(block.as_bytes()).into_iter().map(|line| &block[line]).collect();
            let same: Vec<_> = block.split_inclusive('\n').filter(|line| one.is_match(without_end(line.as_bytes()))).collect();
            proptest::prop_assert_eq!(ours, same);
        }
    }
}
