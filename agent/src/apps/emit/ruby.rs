//! Statements of a configuration in Ruby: a method with texts and numbers, each on a line of its own.

use std::fmt::Write as _;

use hms_proto::fault::Fault;

use super::differs;

/// An argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// `'text'`
    Text(String),
    /// `5`
    Number(u32),
    /// `name: true`
    Switch(String),
    /// `false`
    False,
}

/// A call of a method.
pub(super) type Call = (String, Vec<Value>);

/// A text as Ruby reads it, whatever is in it: single quotes know two escapes.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// Writes calls, and reads them back.
pub(super) fn write(calls: &[Call]) -> Result<String, Fault> {
    let mut text = String::new();
    for (method, values) in calls {
        let values: Vec<String> = values
            .iter()
            .map(|value| match value {
                Value::Text(text) => quoted(text),
                Value::Number(number) => number.to_string(),
                Value::Switch(name) => format!("{name}: true"),
                Value::False => "false".to_owned(),
            })
            .collect();
        let _ = writeln!(text, "{}", format!("{method} {}", values.join(", ")).trim_end());
    }
    if parse(&text).is_some_and(|read| read == calls) { Ok(text) } else { Err(differs("puma.rb")) }
}

/// Reads calls, and nothing else that Ruby might understand.
pub(super) fn parse(text: &str) -> Option<Vec<Call>> {
    text.split_terminator('\n').map(call).collect()
}

fn call(line: &str) -> Option<Call> {
    let (method, mut rest) = line.split_once(' ').unwrap_or((line, ""));
    let is_name = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b == b'!')
    };
    if !is_name(method) {
        return None;
    }
    let mut values = Vec::new();
    while !rest.is_empty() {
        let (value, after) = value(rest)?;
        values.push(value);
        rest = match after.strip_prefix(", ") {
            Some(more) if !more.is_empty() => more,
            _ if after.is_empty() => after,
            _ => return None,
        };
    }
    Some((method.to_owned(), values))
}

fn value(text: &str) -> Option<(Value, &str)> {
    if let Some(inner) = text.strip_prefix('\'') {
        let (mut out, mut chars) = (String::new(), inner.char_indices());
        loop {
            match chars.next()? {
                (at, '\'') => return Some((Value::Text(out), &inner[at + 1..])),
                (_, '\\') => match chars.next()?.1 {
                    c @ ('\\' | '\'') => out.push(c),
                    c => out.extend(['\\', c]),
                },
                (_, c) => out.push(c),
            }
        }
    }
    let end = text.find(", ").unwrap_or(text.len());
    let (word, after) = text.split_at(end);
    let value = match word.strip_suffix(": true") {
        Some(name) => Value::Switch(name.to_owned()),
        None if word == "false" => Value::False,
        None => Value::Number(word.parse().ok()?),
    };
    Some((value, after))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        /// Security case 35.
        #[test]
        fn any_text_is_one_text(text in "[^\n]{0,40}|['\\\\#{}$\"; ]{0,20}", number in any::<u32>()) {
            let calls = vec![("bind".to_owned(), vec![Value::Text(text), Value::Number(number)])];
            prop_assert_eq!(parse(&write(&calls).unwrap()).unwrap(), calls);
        }
    }

    #[test]
    fn what_would_be_a_statement_of_its_own_is_not_written() {
        for bad in ["x'\n`id`\n'", "\n"] {
            assert!(write(&[("bind".into(), vec![Value::Text(bad.into())])]).is_err(), "{bad:?}");
        }
        assert!(write(&[("system('x')".into(), vec![])]).is_err());
    }
}
