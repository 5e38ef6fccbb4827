//! Tables without borders, fitted to the width of the terminal.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::escape::inline;

/// How a piece of text looks on a terminal that shows colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    Plain,
    Good,
    Busy,
    Bad,
    Faint,
    Strong,
}

impl Look {
    fn code(self) -> Option<&'static str> {
        Some(match self {
            Self::Plain => return None,
            Self::Good => "32",
            Self::Busy => "33",
            Self::Bad => "31",
            Self::Faint => "2",
            Self::Strong => "1",
        })
    }

    /// The text in this look, where colours are shown.
    pub(crate) fn paint(self, text: &str, colour: bool) -> String {
        match self.code() {
            Some(code) if colour && !text.is_empty() => format!("\x1b[{code}m{text}\x1b[0m"),
            _ => text.to_owned(),
        }
    }
}

/// One cell. Its text is escaped when it is made.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    text: String,
    look: Look,
}

impl Cell {
    pub(crate) fn new(text: &str, look: Look) -> Self {
        Self { text: inline(text).into_owned(), look }
    }

    /// The same with more text, in the same look.
    pub(crate) fn and(mut self, more: &str) -> Self {
        self.text += &format!(" {}", inline(more));
        self
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(text.as_ref(), Look::Plain)
    }
}

/// A table. A heading that begins with `>` aligns its column to the right; with `!`, it is the last to be cut.
#[derive(Debug)]
pub(crate) struct Table {
    heads: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

/// Between two columns.
const GAP: usize = 2;
/// A column is not made narrower than this.
const NARROWEST: usize = 8;

impl Table {
    pub(crate) fn new(heads: &[&'static str]) -> Self {
        Self { heads: heads.to_vec(), rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: Vec<Cell>) {
        debug_assert_eq!(cells.len(), self.heads.len(), "a row has as many cells as the table has columns");
        self.rows.push(cells);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table as text, no line longer than `width`.
    pub(crate) fn render(&self, width: Option<usize>, colour: bool) -> String {
        let widths = self.fitted(width);
        let heads: Vec<Cell> =
            self.heads.iter().map(|h| Cell::new(h.trim_start_matches(['>', '!']), Look::Faint)).collect();
        // A list of facts has no headings.
        let headed = self.heads.iter().any(|head| !head.is_empty());
        let lines = headed.then_some(&heads).into_iter().chain(&self.rows);
        lines.map(|cells| self.line(cells, &widths, colour) + "\n").collect()
    }

    fn line(&self, cells: &[Cell], widths: &[usize], colour: bool) -> String {
        let mut line = String::new();
        for (i, (cell, &width)) in cells.iter().zip(widths).enumerate() {
            let text = cut(&cell.text, width);
            let pad = " ".repeat(width.saturating_sub(text.width()));
            let shown = cell.look.paint(&text, colour);
            let last = i + 1 == cells.len();
            match self.heads[i].starts_with('>') {
                true => line += &(pad + &shown),
                false if last => line += &shown,
                false => line += &(shown + &pad),
            }
            if !last {
                line += &" ".repeat(GAP);
            }
        }
        line.trim_end().to_owned()
    }

    /// Widths of the columns: as the text needs them; where that is too much, the widest ones give way.
    fn fitted(&self, width: Option<usize>) -> Vec<usize> {
        let mut widths: Vec<usize> =
            self.heads.iter().map(|h| h.trim_start_matches(['>', '!']).width()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.text.width());
            }
        }
        let Some(room) = width else { return widths };
        let room = room.saturating_sub(GAP * widths.len().saturating_sub(1));
        let is_state = |i: usize| self.heads[i].starts_with('!');
        shrink(&mut widths, room, NARROWEST, |i| !is_state(i));
        shrink(&mut widths, room, NARROWEST / 2, |i| !is_state(i));
        shrink(&mut widths, room, NARROWEST, |_| true);
        widths
    }
}

/// Takes from the widest columns until they fit, but leaves each so much.
fn shrink(widths: &mut [usize], room: usize, least: usize, may: impl Fn(usize) -> bool) {
    while widths.iter().sum::<usize>() > room {
        let columns = widths.iter_mut().enumerate().filter(|(i, width)| may(*i) && **width > least);
        match columns.max_by_key(|(_, width)| **width) {
            Some((_, widest)) => *widest -= 1,
            None => return,
        }
    }
}

/// The text, cut to a width with `…` at its end.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut shown = String::new();
    let mut used = 1;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > width {
            break;
        }
        shown.push(c);
    }
    shown.push('…');
    shown
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample() -> Table {
        let mut table = Table::new(&["NAME", ">SIZE", "NOTE"]);
        table.row(vec!["cigar".into(), "1 MiB".into(), Cell::new("all is well", Look::Good)]);
        table.row(vec!["日本".into(), "412 MiB".into(), "a note that is longer than the others are".into()]);
        table
    }

    #[test]
    fn columns_are_aligned_and_nothing_trails() {
        insta::assert_snapshot!(sample().render(None, false));
        insta::assert_snapshot!(sample().render(Some(40), false));
        let text = sample().render(Some(40), true);
        assert!(text.contains("\x1b[32mall is well\x1b[0m"), "{text}");
    }

    #[test]
    fn a_cell_cannot_break_its_line() {
        let mut table = Table::new(&["A"]);
        table.row(vec!["x\n\x1b[2Jy".into()]);
        assert_eq!(table.render(None, false), "A\nx\\n\\x1b[2Jy\n");
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_the_terminal(words in prop::collection::vec("\\PC{0,60}", 3), room in 40usize..120) {
            let mut table = Table::new(&["A", "B", ">C"]);
            table.row(words.iter().map(Cell::from).collect());
            for line in table.render(Some(room), false).lines() {
                prop_assert!(line.width() <= room, "{line}");
            }
        }
    }
}
