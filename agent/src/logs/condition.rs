//! Conditions on the fields of an entry, as people type them: `status>=500`, `path~^/api`, `_UID=0`.

use std::borrow::Cow;

use hms_proto::{fault::Fault, host::v1::LogEntry};
use regex::Regex;

use super::{filter, line};

/// Conditions of one query.
pub(crate) const MOST: usize = 20;
const LENGTH_MAX: usize = 1200;

/// Longer ones first, so that `>=` is not taken for `>`.
const OPERATORS: [(&str, Operator); 8] = [
    ("!=", Operator::Not),
    ("!~", Operator::Unlike),
    (">=", Operator::AtLeast),
    ("<=", Operator::AtMost),
    ("=", Operator::Is),
    (">", Operator::More),
    ("<", Operator::Less),
    ("~", Operator::Like),
];

const NAMES: [&str; 18] = [
    "status",
    "method",
    "path",
    "bytes",
    "request_time",
    "upstream_time",
    "client",
    "protocol",
    "referer",
    "agent",
    "host",
    "request_id",
    "unit",
    "identifier",
    "pid",
    "priority",
    "message",
    "source",
];
/// Those that are numbers.
const NUMBERS: [&str; 6] = ["status", "bytes", "request_time", "upstream_time", "pid", "priority"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Is,
    Not,
    More,
    AtLeast,
    Less,
    AtMost,
    Like,
    Unlike,
}

/// One condition.
#[derive(Debug, Clone)]
pub(crate) struct Condition {
    name: String,
    operator: Operator,
    value: Value,
}

#[derive(Debug, Clone)]
enum Value {
    Text(String),
    Number(u64),
    Pattern(Regex),
}

impl Condition {
    /// Reads one.
    pub(crate) fn parse(text: &str) -> Result<Self, Fault> {
        let shown = text.chars().take(64).flat_map(char::escape_debug).collect::<String>();
        let bad = |why: &str| {
            Fault::invalid(format!("`{shown}` is no condition: {why}"))
                .hint("Write for example status>=500, method=POST, path~^/api or _SYSTEMD_UNIT=cron.service.")
        };
        if text.len() > LENGTH_MAX {
            return Err(bad("it is too long"));
        }
        let end = text.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
        let (name, rest) = text.split_at(end);
        let (sign, operator) = OPERATORS
            .into_iter()
            .find(|(sign, _)| rest.trim_start().starts_with(sign))
            .ok_or_else(|| bad("it must be a name, one of = != > >= < <= ~ !~, and a value"))?;
        let value = rest.trim_start()[sign.len()..].trim_start();
        if !NAMES.contains(&name) && !is_field(name) {
            let known = NAMES.join(", ");
            return Err(bad(&format!("names are {known}, and fields of the journal in upper case")));
        }
        let value = match operator {
            Operator::Like | Operator::Unlike => Value::Pattern(filter::pattern(value)?),
            _ if NUMBERS.contains(&name) => {
                Value::Number(number(name, value).ok_or_else(|| bad("its value must be a number"))?)
            }
            Operator::Is | Operator::Not => Value::Text(value.to_owned()),
            _ => match value.parse() {
                Ok(number) => Value::Number(number),
                Err(_) => return Err(bad("its value must be a number")),
            },
        };
        Ok(Self { name: name.to_owned(), operator, value })
    }

    /// Whether it asks for a field of the journal that an entry does not show by itself.
    pub(crate) fn is_of_journal(&self) -> bool {
        is_field(&self.name)
    }

    /// The field of the journal and the value that it must have, where the journal can look that up.
    pub(crate) fn looked_up(&self) -> Option<(&str, &str)> {
        match &self.value {
            Value::Text(value) if self.is_of_journal() && self.operator == Operator::Is => {
                Some((&self.name, value))
            }
            _ => None,
        }
    }

    /// Whether an entry fulfils it.
    pub(crate) fn is_true(&self, entry: &LogEntry) -> bool {
        let is_negative = matches!(self.operator, Operator::Not | Operator::Unlike);
        let Some(found) = field(&self.name, entry) else { return is_negative };
        match &self.value {
            Value::Text(value) => (found == value.as_str()) != is_negative,
            Value::Pattern(pattern) => pattern.is_match(&found) != is_negative,
            Value::Number(value) => match (found.parse::<u64>(), self.operator) {
                (Err(_), _) => is_negative,
                (Ok(found), Operator::Is) => found == *value,
                (Ok(found), Operator::Not) => found != *value,
                (Ok(found), Operator::More) => found > *value,
                (Ok(found), Operator::AtLeast) => found >= *value,
                (Ok(found), Operator::Less) => found < *value,
                (Ok(found), _) => found <= *value,
            },
        }
    }
}

/// journald's own rule for names of fields (`journal_field_valid` in systemd).
fn is_field(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

fn number(name: &str, text: &str) -> Option<u64> {
    match name {
        "request_time" | "upstream_time" => duration(text),
        "priority" => text.parse().ok().or_else(|| line::severity(text).map(u64::from)),
        _ => text.parse().ok(),
    }
}

/// `250ms`, `1.5s`, `40us`, or seconds; in microseconds.
fn duration(text: &str) -> Option<u64> {
    let (digits, factor) = [("us", 1.0), ("ms", 1e3), ("s", 1e6)]
        .into_iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))
        .unwrap_or((text, 1e6));
    let number = digits.trim_end().parse::<f64>().ok().filter(|n| (0.0..1e9).contains(n))?;
    Some((number * factor).round() as u64)
}

/// A field of an entry, as text. `None`: it has none.
fn field<'a>(name: &str, entry: &'a LogEntry) -> Option<Cow<'a, str>> {
    let text = |text: &'a str| (!text.is_empty()).then_some(Cow::Borrowed(text));
    let some = |number: u64| Some(Cow::Owned(number.to_string()));
    let access = || entry.access.as_ref();
    match name {
        "status" => access().filter(|a| a.status > 0).and_then(|a| some(a.status.into())),
        "method" => access().and_then(|a| text(&a.method)),
        "path" => access().and_then(|a| text(&a.path)),
        "bytes" => access().and_then(|a| some(a.bytes)),
        "request_time" => access().and_then(|a| some(a.request_usec?)),
        "upstream_time" => access().and_then(|a| some(a.upstream_usec?)),
        "client" => access().and_then(|a| text(&a.client)),
        "protocol" => access().and_then(|a| text(&a.protocol)),
        "referer" => access().and_then(|a| text(&a.referer)),
        "agent" => access().and_then(|a| text(&a.agent)),
        "host" => access().and_then(|a| text(&a.host)),
        "request_id" => text(&entry.request_id),
        "unit" => text(&entry.unit),
        "identifier" => text(&entry.identifier),
        "pid" => (entry.pid > 0).then(|| some(entry.pid.into())).flatten(),
        "priority" => some(entry.priority.into()),
        "message" => text(&entry.message),
        "source" => text(&entry.source),
        _ => entry.fields.get(name).map(|value| Cow::Borrowed(value.as_str())),
    }
}

#[cfg(test)]
mod tests {
    use hms_proto::host::v1::LogAccess;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn conditions_as_people_type_them() {
        let access = LogAccess {
            status: 503,
            method: "POST".into(),
            path: "/api/orders".into(),
            request_usec: Some(1_500_000),
            ..LogAccess::default()
        };
        let mut entry =
            LogEntry { access: Some(access), priority: 3, message: "boom".into(), ..LogEntry::default() };
        entry.fields.insert("_UID".into(), "1000".into());
        let is_true =
            |text: &str| Condition::parse(text).unwrap_or_else(|f| panic!("{text}: {f:?}")).is_true(&entry);
        for yes in [
            "status>=500",
            "status >= 500",
            "status=503",
            "status!=200",
            "status<504",
            "method=POST",
            "path~^/api/",
            "path!~admin",
            "request_time>1s",
            "request_time>=1500ms",
            "request_time<=1.5",
            "priority<=err",
            "_UID=1000",
            "_UID>=1000",
            "message~o{2}",
            "client!=10.0.0.1",
            "unit!~x",
        ] {
            assert!(is_true(yes), "{yes}");
        }
        for no in [
            "status>503",
            "status<503",
            "method=GET",
            "upstream_time>0",
            "upstream_time<=5",
            "client=10.0.0.1",
            "_UID!=1000",
            "_COMM=x",
            "path~^api",
            "source=journal",
            "pid>0",
        ] {
            assert!(!is_true(no), "{no}");
        }
    }

    #[test]
    fn what_is_no_condition_is_refused() {
        for bad in [
            "",
            "status",
            "=5",
            "status=",
            "status>=x",
            "status>=-1",
            "colour=red",
            "path~(",
            "method>GET",
            "Status=5",
            "1A=2",
            "request_time>fast",
            "path~(a{1000}){1000}",
        ] {
            assert!(Condition::parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "\\PC{0,40}", near in "(status|path|request_time|_UID)[ =!<>~]{0,3}\\PC{0,9}") {
            Condition::parse(&text).ok();
            if let Ok(condition) = Condition::parse(&near) {
                condition.is_true(&LogEntry::default());
            }
        }
    }
}
