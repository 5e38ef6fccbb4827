//! Makes characters visible that would otherwise act on the terminal or on the order of the text.

use std::{borrow::Cow, fmt::Write as _};

/// Text of several lines: everything but newline and tab that acts instead of showing is written out (`\x1b`).
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    rewrite(text, |c| acts(c) && c != '\n' && c != '\t')
}

/// Text that has to stay on its line.
pub(crate) fn inline(text: &str) -> Cow<'_, str> {
    rewrite(text, acts)
}

/// Whether a character does something instead of showing something.
pub(crate) fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c,
            // Marks, embeddings, overrides and isolates of the bidirectional algorithm (UAX #9).
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            // Line and paragraph separators, byte order mark, and tags, which hide text.
            | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

fn rewrite(text: &str, refused: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&refused) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            c if !refused(c) => shown.push(c),
            '\n' => shown.push_str("\\n"),
            '\t' => shown.push_str("\\t"),
            '\r' => shown.push_str("\\r"),
            c if c.is_ascii() => drop(write!(shown, "\\x{:02x}", u32::from(c))),
            c => drop(write!(shown, "\\u{{{:x}}}", u32::from(c))),
        }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_acts_is_written_out() {
        assert_eq!(visible("a\x1b[2Jb\r\n\tc"), "a\\x1b[2Jb\\r\n\tc");
        assert_eq!(visible("\u{9b}31m \u{202e}evil \0"), "\\u{9b}31m \\u{202e}evil \\x00");
        assert_eq!(inline("one\ntwo\tthree"), "one\\ntwo\\tthree");
        assert!(matches!(visible("Größe 日本 👩‍💻"), Cow::Borrowed(_)));
    }

    proptest! {
        /// Security case 25.
        #[test]
        fn nothing_that_acts_on_a_terminal_passes(text in any::<String>()) {
            for c in visible(&text).chars() {
                prop_assert!(u32::from(c) >= 0x20 || c == '\n' || c == '\t');
                let refused = matches!(c, '\u{7f}'..='\u{9f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
                prop_assert!(!refused, "{}", u32::from(c));
            }
            prop_assert!(!inline(&text).contains(['\n', '\t']));
        }
    }
}
