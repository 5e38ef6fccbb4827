//! Output as a terminal may get it: colours pass, whatever else acts on a terminal is written out.

use crate::output::escape::visible;

/// The longest sequence that can be a colour.
const LONGEST: usize = 32;
/// Back to how text usually looks.
const PLAIN: &str = "\x1b[0m";

/// Makes pieces of output safe. A character or a colour may be cut in two between them.
#[derive(Debug)]
pub(super) struct Screen {
    colour: bool,
    held: Vec<u8>,
}

/// What stands at an escape or a carriage return.
enum Special {
    /// More has to come before it can be told.
    Unfinished,
    /// A change of how text looks, so many bytes long, and whether it is one that we pass on.
    Look(usize, bool),
    /// The first half of a line end as some programs write it.
    LineEnd,
    Other,
}

impl Screen {
    /// `colour`: whether the terminal is to show colours.
    pub(super) fn new(colour: bool) -> Self {
        Self { colour, held: Vec::new() }
    }

    /// The text to show now.
    pub(super) fn show(&mut self, piece: &[u8]) -> String {
        self.take(piece, false)
    }

    /// What is left, and the end of every colour.
    pub(super) fn end(&mut self) -> String {
        self.take(b"", true)
    }

    /// One whole line, without its newline: no colour reaches beyond it.
    pub(super) fn line(&mut self, line: &[u8]) -> String {
        let text = self.take(line.strip_suffix(b"\r").unwrap_or(line), true);
        if text.contains('\x1b') { text + PLAIN } else { text }
    }

    fn take(&mut self, piece: &[u8], last: bool) -> String {
        self.held.extend_from_slice(piece);
        let (text, unfinished) = decode(std::mem::take(&mut self.held), last);
        let mut shown = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some(at) = rest.find(['\x1b', '\r']) {
            shown += &visible(&rest[..at]);
            rest = &rest[at..];
            rest = match special(rest) {
                Special::Unfinished if !last => {
                    self.held = [rest.as_bytes(), &unfinished].concat();
                    return shown;
                }
                Special::Look(length, passes) => {
                    if passes && self.colour {
                        shown += &rest[..length];
                    }
                    &rest[length..]
                }
                Special::LineEnd => &rest[1..],
                Special::Unfinished | Special::Other => {
                    shown += &visible(&rest[..1]);
                    &rest[1..]
                }
            };
        }
        self.held = unfinished;
        shown + &visible(rest)
    }
}

/// Text of bytes, and the bytes at its end that are half a character. Others that are no text become `\u{fffd}`.
fn decode(bytes: Vec<u8>, last: bool) -> (String, Vec<u8>) {
    let mut text = String::with_capacity(bytes.len());
    let mut chunks = bytes.utf8_chunks().peekable();
    while let Some(chunk) = chunks.next() {
        text += chunk.valid();
        let invalid = chunk.invalid();
        if invalid.is_empty() {
            continue;
        }
        let half = std::str::from_utf8(invalid).is_err_and(|error| error.error_len().is_none());
        if half && !last && chunks.peek().is_none() {
            return (text, invalid.to_vec());
        }
        text.push('\u{fffd}');
    }
    (text, Vec::new())
}

fn special(text: &str) -> Special {
    if let Some(rest) = text.strip_prefix('\r') {
        return match rest.chars().next() {
            None => Special::Unfinished,
            Some('\n') => Special::LineEnd,
            Some(_) => Special::Other,
        };
    }
    let Some(body) = text.strip_prefix("\x1b[") else {
        return if text == "\x1b" { Special::Unfinished } else { Special::Other };
    };
    match body.find(|c: char| !c.is_ascii_digit() && c != ';') {
        None if body.len() < LONGEST => Special::Unfinished,
        Some(end) if body[end..].starts_with('m') && end < LONGEST => {
            Special::Look(2 + end + 1, body[..end].split(';').all(is_harmless))
        }
        _ => Special::Other,
    }
}

/// Colours of the text and its weight (ECMA-48, SGR). Hidden, blinking and inverted text are not passed on, nor are
/// backgrounds: they can hide what stands there.
fn is_harmless(code: &str) -> bool {
    matches!(code.parse(), Ok(0..=4u8 | 22..=24 | 30..=37 | 39 | 90..=97)) || code.is_empty()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(colour: bool, text: &str) -> String {
        let mut screen = Screen::new(colour);
        screen.show(text.as_bytes()) + &screen.end()
    }

    #[test]
    fn colours_pass_and_the_rest_is_written_out() {
        assert_eq!(shown(true, "\x1b[1;31mbad\x1b[m\r\n"), "\x1b[1;31mbad\x1b[m\n");
        assert_eq!(shown(false, "\x1b[1;31mbad\x1b[0m"), "bad");
        assert_eq!(shown(true, "\x1b[8mhidden \x1b[41mred"), "hidden red");
        assert_eq!(shown(true, "\x1b[2J\x1b]0;title\x07\r"), "\\x1b[2J\\x1b]0;title\\x07\\r");
        assert_eq!(shown(true, "\x1b["), "\\x1b[");
        assert_eq!(Screen::new(true).line("\x1b[31mé".as_bytes()), "\x1b[31mé\x1b[0m");
        assert_eq!(Screen::new(true).line(b"\xff\xc3"), "\u{fffd}\u{fffd}");
    }

    proptest! {
        /// Security case 25: nothing but harmless colours passes, and it does not matter how the output is cut.
        #[test]
        fn pieces_show_the_same_as_the_whole(
            bytes in prop::collection::vec(prop_oneof![
                Just(0x1b), Just(b'['), Just(b'm'), Just(b'3'), Just(b'1'), Just(b';'), Just(b'\r'), Just(b'\n'), any::<u8>(),
            ], 0..200),
            size in 1usize..7,
        ) {
            let mut whole = Screen::new(true);
            let whole = whole.show(&bytes) + &whole.end();
            let mut screen = Screen::new(true);
            let mut pieces: String = bytes.chunks(size).map(|piece| screen.show(piece)).collect();
            pieces += &screen.end();
            prop_assert_eq!(&pieces, &whole);
            for part in whole.split('\x1b').skip(1) {
                let code = part.strip_prefix('[').and_then(|p| p.split_once('m')).map(|(code, _)| code);
                prop_assert!(code.is_some_and(|c| c.split(';').all(is_harmless)), "{}", part);
            }
            let acting = ['\r', '\x07', '\u{9b}', '\u{202e}'];
            prop_assert!(!whole.contains(acting));
        }
    }
}
