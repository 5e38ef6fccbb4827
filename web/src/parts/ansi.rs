//! Output of programs as rows of a page: colours and weights of terminals (SGR of ECMA-48) become classes, every other
//! sequence is dropped, and what has no shape is made visible.
//!
//! The output arrives in pieces that end anywhere. A row is named by the offset at which it begins, so that it can be sent
//! again: whoever has it replaces it, and nothing is there twice.

use std::iter::Peekable;
use std::str::Chars;

use crate::text::{push_visible, skip_sequence};

/// A row longer than this goes on in the next one.
const LONGEST: usize = 8 * 1024;
/// The longest terminal sequence that is kept together where a long row is cut.
const SEQUENCE: usize = 64;

/// How text looks: a foreground and a background out of 16 colours, and what stands in [`MARKS`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    fore: Option<u8>,
    back: Option<u8>,
    marks: u8,
}

/// The class of each bit of `marks`.
const MARKS: [&str; 6] = ["bold", "dim", "italic", "under", "inverse", "strike"];

impl Style {
    /// Its classes: `f1 bold`; empty for plain text.
    pub fn classes(&self) -> String {
        let fore = self.fore.map(|colour| format!("f{colour}"));
        let back = self.back.map(|colour| format!("b{colour}"));
        let marks = MARKS.iter().enumerate().filter(|(bit, _)| self.marks & (1 << bit) != 0);
        let classes: Vec<String> =
            fore.into_iter().chain(back).chain(marks.map(|(_, word)| (*word).to_owned())).collect();
        classes.join(" ")
    }

    /// As a number, for the address of a stream that goes on later.
    fn code(self) -> u32 {
        let colour = |colour: Option<u8>| colour.map_or(0, |colour| u32::from(colour) + 1);
        colour(self.fore) | colour(self.back) << 5 | u32::from(self.marks) << 10
    }

    fn of_code(code: u32) -> Self {
        let colour = |code: u32| (code & 31).checked_sub(1).filter(|c| *c < 16).map(|c| c as u8);
        Self { fore: colour(code), back: colour(code >> 5), marks: (code >> 10) as u8 & 63 }
    }

    /// Takes over the numbers of one SGR sequence.
    fn apply(&mut self, parameters: &str) {
        let mut numbers =
            parameters.split([';', ':']).map(|n| if n.is_empty() { Ok(0) } else { n.parse::<u16>() });
        while let Some(Ok(number)) = numbers.next() {
            let bit = |bit: u16| 1u8 << bit;
            match number {
                0 => *self = Self::default(),
                1..=4 => self.marks |= bit(number - 1),
                7 => self.marks |= bit(4),
                9 => self.marks |= bit(5),
                22 => self.marks &= !(bit(0) | bit(1)),
                23 | 24 => self.marks &= !bit(number - 21),
                27 => self.marks &= !bit(4),
                29 => self.marks &= !bit(5),
                30..=37 => self.fore = Some((number - 30) as u8),
                90..=97 => self.fore = Some((number - 82) as u8),
                39 => self.fore = None,
                40..=47 => self.back = Some((number - 40) as u8),
                100..=107 => self.back = Some((number - 92) as u8),
                49 => self.back = None,
                38 => self.fore = extended(&mut numbers).or(self.fore),
                48 => self.back = extended(&mut numbers).or(self.back),
                _ => {}
            }
        }
    }
}

/// `5;N` out of 256 colours or `2;R;G;B`: the nearest of the 16 that a page has.
fn extended<E>(numbers: &mut impl Iterator<Item = Result<u16, E>>) -> Option<u8> {
    let mut next = || numbers.next()?.ok();
    match next()? {
        5 => Some(match next()? {
            plain @ 0..=15 => plain as u8,
            cube @ 16..=231 => {
                nearest([(cube - 16) / 36, (cube - 16) / 6 % 6, (cube - 16) % 6].map(|part| part * 51))
            }
            grey => nearest([(grey.min(255) - 232) * 10 + 8; 3]),
        }),
        2 => Some(nearest([next()?, next()?, next()?])),
        _ => None,
    }
}

fn nearest(colour: [u16; 3]) -> u8 {
    let colour = colour.map(|part| part.min(255));
    let (dark, bright) = colour.iter().fold((255, 0), |(low, high), part| (low.min(*part), high.max(*part)));
    if bright - dark < 40 {
        return [0, 8, 7, 15][usize::from(bright / 64)];
    }
    let bit = |part: u16| u8::from(part * 2 > bright);
    let hue = bit(colour[0]) | bit(colour[1]) << 1 | bit(colour[2]) << 2;
    if bright > 215 { hue + 8 } else { hue }
}

/// Text of one look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Its classes; empty for plain text.
    pub classes: String,
    /// The text, fit to be shown.
    pub text: String,
}

/// One row of output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutputRow {
    /// Where in the output it begins, in bytes.
    pub offset: u64,
    /// What it says.
    pub spans: Vec<Span>,
    /// The step whose output begins with it; empty elsewhere.
    pub step: String,
}

impl OutputRow {
    /// Its id in the page.
    pub fn id(&self) -> String {
        format!("o-{}", self.offset)
    }

    /// What it says, without its looks.
    pub fn text(&self) -> String {
        self.spans.iter().map(|span| span.text.as_str()).collect()
    }
}

/// Makes rows of output that comes piece by piece. Holds one unfinished row, which is bounded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terminal {
    offset: u64,
    style: Style,
    rest: Vec<u8>,
}

impl Terminal {
    /// At the beginning of a row.
    pub fn at(offset: u64) -> Self {
        Self { offset, ..Self::default() }
    }

    /// Where [`Terminal::cursor`] said.
    pub fn resume(cursor: &str) -> Option<Self> {
        let (offset, code) = cursor.split_once('.')?;
        Some(Self {
            offset: offset.parse().ok()?,
            style: Style::of_code(code.parse().ok()?),
            rest: Vec::new(),
        })
    }

    /// Where the unfinished row begins and how it looks there: from here on everything can be had again.
    pub fn cursor(&self) -> String {
        format!("{}.{}", self.offset, self.style.code())
    }

    /// The offset of the first byte that is not here yet.
    pub fn wants(&self) -> u64 {
        self.offset + self.rest.len() as u64
    }

    /// The rows that these bytes make or lengthen; the last of them may be unfinished.
    pub fn push(&mut self, data: &[u8]) -> Vec<OutputRow> {
        self.rest.extend_from_slice(data);
        let mut rows = Vec::new();
        let bytes = std::mem::take(&mut self.rest);
        let mut rest = &bytes[..];
        while let Some(length) = row_length(rest) {
            let (row, after) = rest.split_at(length);
            let offset = self.offset;
            self.offset += length as u64;
            rows.push(OutputRow { offset, spans: spans(row, &mut self.style), ..OutputRow::default() });
            rest = after;
        }
        if !rest.is_empty() {
            rows.push(OutputRow {
                offset: self.offset,
                spans: spans(rest, &mut self.style.clone()),
                ..OutputRow::default()
            });
        }
        self.rest = rest.to_vec();
        rows
    }
}

/// How long the first row is with its end, when it is whole.
fn row_length(bytes: &[u8]) -> Option<usize> {
    let head = &bytes[..bytes.len().min(LONGEST)];
    if let Some(end) = head.iter().position(|byte| *byte == b'\n') {
        return Some(end + 1);
    }
    if bytes.len() <= LONGEST {
        return None;
    }
    // Neither a character nor a sequence is cut in two.
    let text = (0..4).map(|back| LONGEST - back).find(|at| bytes[*at] & 0xc0 != 0x80).unwrap_or(LONGEST);
    let escape = bytes[text - SEQUENCE..text].iter().rposition(|byte| *byte == 0x1b);
    Some(escape.map_or(text, |at| text - SEQUENCE + at).max(1))
}

fn spans(row: &[u8], style: &mut Style) -> Vec<Span> {
    let text = String::from_utf8_lossy(row);
    let mut chars = text.trim_end_matches(['\n', '\r']).chars().peekable();
    let mut spans = vec![];
    let mut shown = String::new();
    while let Some(char) = chars.next() {
        match char {
            '\u{1b}' if chars.next_if_eq(&'[').is_some() => {
                if let Some(parameters) = graphics(&mut chars) {
                    finish(&mut spans, &mut shown, *style);
                    style.apply(&parameters);
                }
            }
            '\u{1b}' => skip_sequence(&mut chars),
            // What is written over is not what the terminal would show either.
            '\r' => {
                spans.clear();
                shown.clear();
            }
            _ => push_visible(char, &mut shown),
        }
    }
    finish(&mut spans, &mut shown, *style);
    spans
}

fn finish(spans: &mut Vec<Span>, shown: &mut String, style: Style) {
    if !shown.is_empty() {
        spans.push(Span { classes: style.classes(), text: std::mem::take(shown) });
    }
}

/// The rest of a control sequence: its parameters, when it is one that changes the look.
fn graphics(chars: &mut Peekable<Chars<'_>>) -> Option<String> {
    let mut parameters = String::new();
    while let Some(char) = chars.next_if(|char| matches!(char, '\u{20}'..='\u{3f}')) {
        parameters.push(char);
    }
    let last = chars.next_if(|char| matches!(char, '\u{40}'..='\u{7e}'))?;
    (last == 'm' && parameters.bytes().all(|b| b.is_ascii_digit() || b";:".contains(&b)))
        .then_some(parameters)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(rows: &[OutputRow]) -> Vec<String> {
        let span = |s: &Span| {
            if s.classes.is_empty() { s.text.clone() } else { format!("[{}|{}]", s.classes, s.text) }
        };
        rows.iter().map(|row| row.spans.iter().map(span).collect()).collect()
    }

    fn all(text: &str) -> Vec<String> {
        told(&Terminal::default().push(text.as_bytes()))
    }

    #[test]
    fn colours_become_classes_and_go_on_in_the_next_row() {
        assert_eq!(all("\u{1b}[1;31mbad\u{1b}[0m fine\n"), ["[f1 bold|bad] fine"]);
        assert_eq!(all("\u{1b}[32mone\ntwo\u{1b}[m\nthree"), ["[f2|one]", "[f2|two]", "three"]);
        assert_eq!(
            all("\u{1b}[38;5;196mred\u{1b}[38;2;20;30;200mblue\u{1b}[39;48;5;3mback"),
            ["[f9|red][f4|blue][b3|back]"]
        );
        assert_eq!(
            all("\u{1b}[97;100;2;3;4;7;9mx\u{1b}[22;23;24;27;29my"),
            ["[f15 b8 dim italic under inverse strike|x][f15 b8|y]"]
        );
    }

    #[test]
    fn everything_else_is_dropped_or_made_visible() {
        assert_eq!(all("a\u{1b}[2Jb\u{1b}]0;title\u{7}c\u{1b}[?25ld\u{1b}[>4;1me"), ["abcde"]);
        assert_eq!(all("a\u{0}b\u{8}\u{202e}c\td"), ["a⟨00⟩b⟨08⟩⟨202E⟩c\td"]);
        assert_eq!(all("10 %\r50 %\rdone\r\n"), ["done"]);
        assert_eq!(all("\u{1b}["), [""]);
        assert_eq!(all("\u{1b}[38;2;1mx\u{1b}[99999999mq"), ["xq"]);
        assert_eq!(told(&Terminal::default().push(b"\xff\xfe!\n")), ["\u{fffd}\u{fffd}!"]);
    }

    #[test]
    fn pieces_make_the_same_rows_wherever_they_are_cut() {
        let text = "\u{1b}[31mré\u{1b}[1md\nand on\u{1b}[0m\r\n\nlast ⟨x⟩";
        let whole = Terminal::default().push(text.as_bytes());
        for cut in 0..=text.len() {
            let mut terminal = Terminal::default();
            let mut rows = terminal.push(&text.as_bytes()[..cut]);
            // As a page does: a row that is there already is replaced.
            for row in terminal.push(&text.as_bytes()[cut..]) {
                rows.retain(|old| old.offset != row.offset);
                rows.push(row);
            }
            assert_eq!(rows, whole, "cut at {cut}");
        }
    }

    #[test]
    fn a_stream_that_broke_goes_on_as_if_it_had_not() {
        let text = b"\x1b[33mone\ntwo, unfin".to_vec();
        let mut terminal = Terminal::default();
        terminal.push(&text);
        let mut later = Terminal::resume(&terminal.cursor()).unwrap();
        assert_eq!((later.wants(), terminal.wants()), (9, text.len() as u64));
        assert_eq!(told(&later.push(b"two, unfinished\n")), ["[f3|two, unfinished]"]);
        for bad in ["", "7", "x.1", "7.x", "-1.0"] {
            assert!(Terminal::resume(bad).is_none(), "{bad}");
        }
        assert_eq!(Terminal::resume("7.4294967295").unwrap().wants(), 7);
    }

    #[test]
    fn looks_survive_their_number() {
        for fore in [None, Some(0), Some(15)] {
            for marks in 0..64 {
                let style = Style { fore, back: Some(3), marks };
                assert_eq!(Style::of_code(style.code()), style);
            }
        }
    }

    #[test]
    fn a_row_without_an_end_is_cut_between_characters() {
        let mut terminal = Terminal::default();
        let long = "é".repeat(LONGEST) + "\u{1b}[31m!";
        let rows = terminal.push(long.as_bytes());
        assert_eq!(rows.len(), 3);
        assert!(rows.iter().all(|row| row.spans.iter().all(|s| !s.text.contains('\u{fffd}'))));
        assert!(terminal.rest.len() <= LONGEST);
        let tricky = "x".repeat(LONGEST - 3) + "\u{1b}[31mred";
        assert_eq!(told(&Terminal::default().push(tricky.as_bytes()))[1], "[f1|red]");
        assert!(!Terminal::default().push(&[0x80; LONGEST * 3]).is_empty());
    }
}
