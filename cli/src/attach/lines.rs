//! Pieces of output become whole lines.

/// A line longer than this is shown in parts: a host cannot make us hold back more.
const LONGEST: usize = 64 * 1024;

/// A line, or a part of one that is too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// Without its newline.
    pub(super) text: Vec<u8>,
    /// Whether it goes on where the one before was cut.
    pub(super) continued: bool,
}

/// What has come of one host's output and is no whole line yet.
#[derive(Debug, Default)]
pub(super) struct Lines {
    held: Vec<u8>,
    continued: bool,
}

impl Lines {
    /// Takes a piece, and gives the lines that are whole now.
    pub(super) fn push(&mut self, piece: &[u8]) -> Vec<Line> {
        let mut whole = Vec::new();
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = match part.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (part, false),
            };
            let mut rest = text;
            while self.held.len() + rest.len() > LONGEST {
                let (now, later) = rest.split_at(LONGEST - self.held.len());
                self.held.extend_from_slice(now);
                whole.push(self.cut(true));
                rest = later;
            }
            self.held.extend_from_slice(rest);
            if ends {
                whole.push(self.cut(false));
            }
        }
        whole
    }

    /// What is left when no more comes: a line without its newline.
    pub(super) fn end(&mut self) -> Option<Line> {
        (!self.held.is_empty()).then(|| self.cut(false))
    }

    fn cut(&mut self, goes_on: bool) -> Line {
        let continued = std::mem::replace(&mut self.continued, goes_on);
        Line { text: std::mem::take(&mut self.held), continued }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(lines: &[Line]) -> Vec<&[u8]> {
        lines.iter().map(|line| line.text.as_slice()).collect()
    }

    #[test]
    fn a_line_is_whole_when_its_newline_comes() {
        let mut lines = Lines::default();
        assert_eq!(texts(&lines.push(b"one\ntw")), [b"one"]);
        assert!(lines.push(b"o").is_empty());
        assert_eq!(texts(&lines.push(b"\n\nthree")), [&b"two"[..], b""]);
        assert_eq!(lines.end().unwrap().text, b"three");
        assert_eq!(lines.end(), None);
    }

    #[test]
    fn a_line_without_end_is_shown_in_parts_and_nothing_is_lost() {
        let mut lines = Lines::default();
        let mut shown = Vec::new();
        for _ in 0..50 {
            shown.extend(lines.push(&[b'x'; 10_000]));
            assert!(lines.held.len() <= LONGEST);
        }
        shown.extend(lines.push(b"\nnext\n"));
        let marks: Vec<bool> = shown.iter().map(|line| line.continued).collect();
        assert!(!marks[0] && marks[1..marks.len() - 1].iter().all(|mark| *mark) && !marks[marks.len() - 1]);
        assert_eq!(shown.iter().map(|line| line.text.len()).sum::<usize>(), 500_004);
    }

    proptest! {
        /// However the bytes are cut into pieces and whichever host's come first: each host's lines come whole and in order.
        #[test]
        fn lines_of_several_hosts_are_whole_and_complete(
            outputs in prop::collection::vec("[a-c\\n\\x00é]{0,200}", 1..4),
            cuts in prop::collection::vec((0usize..4, 1usize..9), 0..300),
        ) {
            let mut hosts: Vec<(&[u8], Lines, Vec<u8>)> =
                outputs.iter().map(|o| (o.as_bytes(), Lines::default(), Vec::new())).collect();
            let rest = (0..hosts.len()).map(|host| (host, usize::MAX));
            for (host, size) in cuts.into_iter().chain(rest) {
                let Some((left, lines, shown)) = hosts.get_mut(host) else { continue };
                let (piece, later) = left.split_at(size.min(left.len()));
                *left = later;
                for line in lines.push(piece) {
                    prop_assert!(!line.text.contains(&b'\n') && !line.continued);
                    shown.extend(line.text);
                    shown.push(b'\n');
                }
            }
            for ((_, lines, shown), output) in hosts.iter_mut().zip(&outputs) {
                shown.extend(lines.end().map(|line| line.text).unwrap_or_default());
                prop_assert_eq!(&*shown, output.as_bytes());
            }
        }
    }
}
