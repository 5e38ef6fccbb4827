//! Variables as text: the form of `.env` files.
//!
//! Programs read such files in different ways. What all of them read alike is taken; where they differ, and a secret would
//! quietly become another one, the line is refused, and says how to write it.

use std::collections::BTreeMap;

use crate::{app::check_value, fault::Fault, names::EnvName};

/// Of a whole file, in bytes.
pub const MOST: usize = 1024 * 1024;

/// Reads `NAME=value` lines:
/// - `'…'` is taken as it is, over several lines, too;
/// - in `"…"`, `\n`, `\r`, `\t`, `\"`, `\'`, `\\` and `\$` are what they are elsewhere;
/// - a value without quotes ends with its line, or with a blank and `#`;
/// - `export` before the name, empty lines and lines that begin with `#` say nothing.
///
/// No value refers to another variable. A fault says which line cannot be read, and never what stands in it.
pub fn parse(text: &str) -> Result<Vec<(String, String)>, Fault> {
    if text.len() > MOST {
        return Err(Fault::invalid("the text has more than 1 MiB"));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
    let mut reader = Reader { rest: &text, line: 1 };
    let mut found: Vec<Variable> = Vec::new();
    while let Some(variable) = reader.next()? {
        let before = found.iter().find(|other| other.name == variable.name);
        match before {
            Some(before) if before.value != variable.value => {
                let what =
                    format!("has another value for {}, which line {} has, too", variable.name, before.line);
                return Err(at(variable.line, &what));
            }
            Some(_) => {}
            None => found.push(variable),
        }
    }
    no_references(&found)?;
    Ok(found.into_iter().map(|variable| (variable.name, variable.value)).collect())
}

struct Variable {
    name: String,
    value: String,
    line: usize,
    /// The names in it that a shell would put values in place of.
    refers: Vec<String>,
}

fn at(line: usize, what: &str) -> Fault {
    Fault::invalid(format!("line {line} {what}"))
}

/// A reference to a variable of the same file is meant as one. HMS keeps values apart, so that it would be taken as it stands.
fn no_references(found: &[Variable]) -> Result<(), Fault> {
    let lines: BTreeMap<&str, usize> = found.iter().map(|v| (v.name.as_str(), v.line)).collect();
    for variable in found {
        if let Some(name) = variable.refers.iter().find(|name| lines.contains_key(name.as_str())) {
            return Err(at(variable.line, &format!("refers to {name}")).hint(
                "Write the whole value there. Where a dollar is meant, put the value into single quotes.",
            ));
        }
    }
    Ok(())
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<Option<Variable>, Fault> {
        loop {
            if self.rest.is_empty() {
                return Ok(None);
            }
            let line = self.rest.lines().next().unwrap_or_default();
            if !line.trim().is_empty() && !line.trim_start().starts_with('#') {
                return self.variable(line).map(Some);
            }
            self.end_line();
        }
    }

    fn variable(&mut self, text: &str) -> Result<Variable, Fault> {
        let line = self.line;
        let (name, _) = text.split_once('=').ok_or_else(|| at(line, "has no `=`"))?;
        self.rest = &self.rest[name.len() + 1..];
        let name = name.trim();
        let name =
            name.strip_prefix("export").filter(|rest| rest.starts_with([' ', '\t'])).map_or(name, str::trim);
        let name = self.name(name)?;
        let (value, refers) = self.value()?;
        check_value(&name, &value)
            .map_err(|fault| Fault::invalid(format!("line {line}: {}", fault.message)))?;
        Ok(Variable { name, value, line, refers })
    }

    /// What is no name may be a part of a secret, and is not shown.
    fn name(&self, text: &str) -> Result<String, Fault> {
        let plain = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
        if text.is_empty()
            || text.len() > 128
            || !text.bytes().all(plain)
            || text.as_bytes()[0].is_ascii_digit()
        {
            return Err(at(
                self.line,
                "has no name of upper-case letters, digits and underscores before its `=`",
            )
            .hint("A value of several lines stands in quotes."));
        }
        match EnvName::try_from(text) {
            Ok(name) => Ok(name.to_string()),
            Err(error) => Err(Fault::invalid(format!("line {}: {error}", self.line))),
        }
    }

    fn value(&mut self) -> Result<(String, Vec<String>), Fault> {
        let blanks = self.rest.len() - self.rest.trim_start_matches([' ', '\t']).len();
        let after = &self.rest[blanks..];
        match after.chars().next() {
            Some(quote @ ('"' | '\'')) => {
                self.rest = &after[1..];
                self.quoted(quote)
            }
            _ => self.plain(blanks > 0),
        }
    }

    /// Without quotes: to the end of the line, or to a comment.
    fn plain(&mut self, blank_before: bool) -> Result<(String, Vec<String>), Fault> {
        let text = self.rest.lines().next().unwrap_or_default();
        let comment = text.match_indices('#').map(|(at, _)| at).next();
        let value = match comment {
            Some(0) if !blank_before => return Err(self.unclear("`#`")),
            Some(at) if at > 0 && !text[..at].ends_with([' ', '\t']) => return Err(self.unclear("`#`")),
            Some(at) => &text[..at],
            None => text,
        };
        if value.contains('\\') {
            return Err(self.unclear("a backslash"));
        }
        let value = value.trim();
        let refers = references(value);
        self.end_line();
        Ok((value.to_owned(), refers))
    }

    fn unclear(&self, what: &str) -> Fault {
        at(self.line, &format!("has {what} in a value without quotes, which not all programs read alike"))
            .hint("Put the value into single quotes; then it is taken as it is.")
    }

    fn quoted(&mut self, quote: char) -> Result<(String, Vec<String>), Fault> {
        let begun = self.line;
        let mut value = String::new();
        // As the value, but without the dollars that stand for themselves.
        let mut active = String::new();
        let mut chars = self.rest.char_indices();
        while let Some((index, c)) = chars.next() {
            match c {
                '\\' if quote == '"' => {
                    let escaped = chars.next().and_then(|(_, c)| unescaped(c));
                    value.push(escaped.ok_or_else(|| self.unknown_escape(value.matches('\n').count()))?);
                    active.push(' ');
                }
                c if c == quote => {
                    self.line += self.rest[..index].matches('\n').count();
                    self.rest = &self.rest[index + 1..];
                    self.nothing_more()?;
                    let refers = if quote == '"' { references(&active) } else { Vec::new() };
                    return Ok((value, refers));
                }
                c => {
                    value.push(c);
                    active.push(c);
                }
            }
        }
        Err(at(begun, "opens a quote that is not closed"))
    }

    fn unknown_escape(&self, further: usize) -> Fault {
        at(self.line + further, "has a backslash in double quotes that not all programs read alike")
            .hint("Write \\\\ for a backslash, or put the value into single quotes.")
    }

    /// After a closing quote only a comment may follow.
    fn nothing_more(&mut self) -> Result<(), Fault> {
        let rest = self.rest.lines().next().unwrap_or_default();
        if !rest.trim().is_empty() && !rest.trim_start().starts_with('#') {
            return Err(at(self.line, "has something after the closing quote"));
        }
        self.end_line();
        Ok(())
    }

    fn end_line(&mut self) {
        self.rest = self.rest.split_once('\n').map_or("", |(_, rest)| rest);
        self.line += 1;
    }
}

fn unescaped(c: char) -> Option<char> {
    Some(match c {
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        '"' | '\'' | '\\' | '$' => c,
        _ => return None,
    })
}

/// The names of `$NAME` and `${NAME}`.
fn references(text: &str) -> Vec<String> {
    let after = text.split('$').skip(1).map(|part| part.strip_prefix('{').unwrap_or(part));
    let name = |part: &str| part.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    after.map(name).collect()
}

#[cfg(test)]
#[path = "dotenv_tests.rs"]
mod tests;
