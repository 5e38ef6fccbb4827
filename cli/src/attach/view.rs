//! What is shown of the outputs: of one job as it is, of several as lines that say whose they are.

use unicode_width::UnicodeWidthStr as _;

use super::{
    lines::{Line, Lines},
    screen::Screen,
};
use crate::output::escape::inline;

/// Colours of hosts, told apart on dark and on light terminals (ECMA-48, SGR).
const COLOURS: [&str; 6] = ["36", "35", "32", "34", "33", "96"];

/// How output is to be written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form {
    /// Whether it has to be made safe for a terminal.
    pub(super) screen: bool,
    pub(super) colour: bool,
}

/// The outputs of some jobs, on their way to be written.
pub(super) struct View {
    form: Form,
    /// One for each job; empty where there is only one.
    prefixes: Vec<Prefix>,
    lines: Vec<Lines>,
    screen: Screen,
    /// Whether the last byte written was a newline.
    at_start: bool,
}

struct Prefix {
    first: String,
    continued: String,
}

impl View {
    pub(super) fn new(hosts: &[&str], form: Form) -> Self {
        let prefixes = if hosts.len() > 1 { prefixes(hosts, form.colour) } else { Vec::new() };
        let lines = hosts.iter().map(|_| Lines::default()).collect();
        Self { form, prefixes, lines, screen: Screen::new(form.colour), at_start: true }
    }

    /// What to write when a piece of a job's output has come.
    pub(super) fn piece(&mut self, job: usize, bytes: Vec<u8>) -> Vec<u8> {
        let written = if self.prefixes.is_empty() {
            if self.form.screen { self.screen.show(&bytes).into_bytes() } else { bytes }
        } else {
            let lines = self.lines[job].push(&bytes);
            lines.iter().flat_map(|line| self.line(job, line)).collect()
        };
        self.at_start = written.last().map_or(self.at_start, |last| *last == b'\n');
        written
    }

    /// What to write when a job's output has ended.
    pub(super) fn end(&mut self, job: usize) -> Vec<u8> {
        if !self.prefixes.is_empty() {
            let line = self.lines[job].end();
            return line.map(|line| self.line(job, &line)).unwrap_or_default();
        }
        if !self.form.screen {
            return Vec::new();
        }
        let mut text = self.screen.end();
        let whole = if text.is_empty() { self.at_start } else { text.ends_with('\n') };
        if self.form.colour {
            text += "\x1b[0m";
        }
        if !whole {
            text.push('\n');
        }
        text.into_bytes()
    }

    fn line(&mut self, job: usize, line: &Line) -> Vec<u8> {
        let prefix = &self.prefixes[job];
        let prefix = if line.continued { &prefix.continued } else { &prefix.first };
        let mut written = prefix.clone().into_bytes();
        match self.form.screen {
            true => written.extend(self.screen.line(&line.text).into_bytes()),
            false => written.extend(&line.text),
        }
        written.push(b'\n');
        written
    }
}

/// `host │ `, padded to one width; `host ┊ ` where a line goes on.
fn prefixes(hosts: &[&str], colour: bool) -> Vec<Prefix> {
    let names: Vec<_> = hosts.iter().map(|host| inline(host)).collect();
    let widest = names.iter().map(|name| name.width()).max().unwrap_or(0);
    let prefix = |n: usize, name: &str, bar: char| {
        let text = format!("{name}{} {bar}", " ".repeat(widest.saturating_sub(name.width())));
        match colour {
            true => format!("\x1b[{}m{text}\x1b[0m ", COLOURS[n % COLOURS.len()]),
            false => text + " ",
        }
    };
    let both = |(n, name): (usize, &std::borrow::Cow<'_, str>)| Prefix {
        first: prefix(n, name, '│'),
        continued: prefix(n, name, '┊'),
    };
    names.iter().enumerate().map(both).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(hosts: &[&str], form: Form, pieces: &[(usize, &[u8])]) -> String {
        let mut view = View::new(hosts, form);
        let mut all = Vec::new();
        for (job, piece) in pieces {
            all.extend(view.piece(*job, piece.to_vec()));
        }
        for job in 0..hosts.len() {
            all.extend(view.end(job));
        }
        String::from_utf8_lossy(&all).into_owned()
    }

    const PIPE: Form = Form { screen: false, colour: false };
    const SCREEN: Form = Form { screen: true, colour: true };

    #[test]
    fn lines_of_several_hosts_say_whose_they_are() {
        let pieces: &[(usize, &[u8])] =
            &[(0, b"one\ntw"), (1, b"\x1b[31mred\nevil \x1b[2J\r\n"), (0, b"o\n"), (1, b"no newline")];
        let mut all = shown(&["asterra", "bo"], Form { screen: true, ..PIPE }, pieces);
        all += &shown(&["asterra", "bo"], SCREEN, pieces).replace('\x1b', "␛");
        insta::assert_snapshot!(all);
    }

    #[test]
    fn one_job_is_written_to_a_pipe_byte_by_byte() {
        let mut view = View::new(&["asterra"], PIPE);
        let bytes = b"\x1b[2J\xff\r\n no newline".to_vec();
        assert_eq!(view.piece(0, bytes.clone()), bytes);
        assert!(view.end(0).is_empty());
    }

    #[test]
    fn a_terminal_is_left_at_the_start_of_a_line_without_colours() {
        assert_eq!(shown(&["a"], SCREEN, &[(0, b"\x1b[31mred")]), "\x1b[31mred\x1b[0m\n");
        assert_eq!(shown(&["a"], SCREEN, &[(0, b"x\n")]), "x\n\x1b[0m");
        assert_eq!(shown(&["a"], Form { screen: true, ..PIPE }, &[(0, b"x\n\xc3")]), "x\n\u{fffd}\n");
    }
}
