//! Unit files: sections of settings, as systemd.syntax(7) has them, and the quoting of words in their values.

use std::fmt::Write as _;

use hms_proto::fault::Fault;

use super::differs;

/// systemd gives up on longer lines (LONG_LINE_MAX).
const LINE_MOST: usize = 1024 * 1024;

/// A unit file, or a drop-in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Unit {
    sections: Vec<(String, Vec<(String, String)>)>,
}

impl Unit {
    /// Begins a section. Settings go to the last one that was begun.
    pub(crate) fn section(mut self, name: &str) -> Self {
        self.sections.push((name.to_owned(), Vec::new()));
        self
    }

    /// Adds a setting with its value as it is written.
    pub(crate) fn set(mut self, name: &str, value: impl Into<String>) -> Self {
        if let Some((_, settings)) = self.sections.last_mut() {
            settings.push((name.to_owned(), value.into()));
        }
        self
    }

    /// Adds a setting where something holds.
    pub(crate) fn set_if(self, holds: bool, name: &str, value: impl Into<String>) -> Self {
        if holds { self.set(name, value) } else { self }
    }

    /// Adds settings that are switched on.
    pub(crate) fn switch_on(self, names: &[&str]) -> Self {
        names.iter().fold(self, |unit, name| unit.set(name, "yes"))
    }

    /// Adds variables: `Environment=` lines.
    pub(crate) fn environment<'a>(self, variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        variables
            .into_iter()
            .fold(self, |unit, (name, value)| unit.set("Environment", word(&format!("{name}={value}"))))
    }

    /// The values of a setting, in order.
    #[cfg(test)]
    pub(crate) fn values<'a>(&'a self, section: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
        let sections = self.sections.iter().filter(move |(own, _)| own == section);
        sections
            .flat_map(|(_, settings)| settings)
            .filter(move |(own, _)| own == name)
            .map(|(_, value)| value.as_str())
    }

    /// As text, which was read back.
    pub(crate) fn text(&self, head: &str) -> Result<String, Fault> {
        let mut text = format!("# {head}\n");
        for (name, settings) in &self.sections {
            let _ = writeln!(text, "\n[{name}]");
            for (name, value) in settings {
                let _ = writeln!(text, "{name}={value}");
            }
        }
        let is_whole = parse(&text).is_ok_and(|read| read == *self);
        if is_whole { Ok(text) } else { Err(differs("a unit file")) }
    }
}

/// Reads a unit file as systemd does. Says what it would not understand.
pub(crate) fn parse(text: &str) -> Result<Unit, String> {
    let mut unit = Unit::default();
    let mut joined = String::new();
    for (number, line) in text.split('\n').enumerate() {
        let line = line.trim_matches([' ', '\t', '\r']);
        let is_comment = line.starts_with(['#', ';']);
        // Comments within a setting that goes on over several lines are left out of it.
        if is_comment || (line.is_empty() && joined.is_empty()) {
            continue;
        }
        joined.push_str(line);
        if ends_with_backslash(line) {
            joined.pop();
            joined.push(' ');
            continue;
        }
        if joined.len() > LINE_MOST || joined.contains('\0') {
            return Err(format!("line {} is longer than 1 MiB, or has a NUL", number + 1));
        }
        setting(&mut unit, &std::mem::take(&mut joined))
            .map_err(|why| format!("line {} {why}", number + 1))?;
    }
    if joined.is_empty() { Ok(unit) } else { Err("the last line goes on over its end".to_owned()) }
}

fn ends_with_backslash(line: &str) -> bool {
    line.bytes().rev().take_while(|b| *b == b'\\').count() % 2 == 1
}

fn setting(unit: &mut Unit, line: &str) -> Result<(), &'static str> {
    if let Some(name) = line.strip_prefix('[') {
        let name = name.strip_suffix(']').ok_or("does not end with `]`")?;
        unit.sections.push((name.to_owned(), Vec::new()));
        return Ok(());
    }
    let (name, value) = line.split_once('=').ok_or("has no `=`")?;
    let (_, settings) = unit.sections.last_mut().ok_or("stands before any section")?;
    settings.push((name.trim_end().to_owned(), value.trim_start().to_owned()));
    Ok(())
}

/// A word of a value: quoted, with escapes of C, and nothing of it a specifier.
pub(crate) fn word(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '%' => out.push_str("%%"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_ascii_control() => drop(write!(out, "\\x{:02x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A word of `ExecStart=` and its kin, where `$` would name a variable.
pub(crate) fn argument(text: &str) -> String {
    word(text).replace('$', "$$")
}

/// Reads words that [`word`] wrote, as systemd does (`extract_first_word`, `unit_full_printf`).
#[cfg(test)]
pub(crate) fn words(value: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut chars = value.chars().peekable();
    loop {
        while chars.next_if(|c| *c == ' ').is_some() {}
        let Some('"') = chars.next() else { return chars.peek().is_none().then_some(words) };
        let mut word = Vec::new();
        loop {
            match chars.next()? {
                '"' => break,
                '%' => (chars.next()? == '%').then(|| word.push(b'%'))?,
                '\\' => word.push(match chars.next()? {
                    'n' => b'\n',
                    'r' => b'\r',
                    't' => b'\t',
                    'x' => {
                        let digits: String = [chars.next()?, chars.next()?].iter().collect();
                        u8::from_str_radix(&digits, 16).ok().filter(|byte| *byte != 0)?
                    }
                    c @ ('"' | '\\') => c as u8,
                    _ => return None,
                }),
                c if c.is_ascii_control() => return None,
                c => word.extend(c.to_string().into_bytes()),
            }
        }
        words.push(String::from_utf8(word).ok()?);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn files_are_read_as_systemd_reads_them() {
        let text = "# x\n[Unit]\nA = b \\\n # in between\n  c\n;x\n\n[Service]\nE=\"a\\\\\"\n";
        let expected =
            Unit::default().section("Unit").set("A", "b  c").section("Service").set("E", "\"a\\\\\"");
        assert_eq!(parse(text).unwrap(), expected);
        for bad in ["A=b\n", "[Unit\n", "[Unit]\nx\n", "[Unit]\nA=b\\", "[Unit]\nA=\0\n"] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    /// Security case 35.
    #[test]
    fn a_value_that_would_be_another_setting_is_not_written() {
        for bad in ["x\nExecStart=/bin/sh", "x\\", " x", "x ", "x\r", "x\0", "\n[Service]"] {
            let unit = Unit::default().section("Service").set("User", bad);
            assert!(unit.text("x").is_err(), "{bad:?}");
        }
        assert!(Unit::default().section("Service]\n[X").text("x").is_err());
    }

    #[test]
    fn words_come_back_as_they_were() {
        for text in
            ["", "a b", "%h %% %", "$HOME ${x}", "\\", "\\\\\"'", "\n\r\t\u{1}\u{7f}", "ä\u{2028}", "end\\"]
        {
            assert_eq!(words(&word(text)).unwrap(), [text], "{text:?}");
        }
        assert_eq!(argument("$x %h"), "\"$$x %%h\"");
        assert_eq!(words("\"%h\""), None);
        assert_eq!(words("\"a"), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        /// Security cases 35, 36 and 76.
        #[test]
        fn any_value_is_one_word_on_one_line(values in prop::collection::vec("[^\0]{0,40}", 0..4)) {
            let pairs: Vec<(String, String)> =
                values.iter().enumerate().map(|(n, value)| (format!("V{n}"), value.clone())).collect();
            let unit = Unit::default()
                .section("Service")
                .environment(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())));
            let read = parse(&unit.text("x").unwrap()).unwrap();
            let read: Vec<String> =
                read.values("Service", "Environment").map(|line| words(line).unwrap().concat()).collect();
            let written: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
            prop_assert_eq!(read, written);
        }

        #[test]
        fn no_text_makes_the_reader_fail(text in "\\PC{0,60}|[\\[\\]=\\\\\n#;a \"]{0,60}") {
            if let Ok(unit) = parse(&text) {
                let again = unit.text("x");
                prop_assert!(again.is_err() || parse(&again.unwrap()).unwrap() == unit);
            }
        }
    }
}
