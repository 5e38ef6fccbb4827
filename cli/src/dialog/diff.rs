//! Differences between two texts, in the unified form.

use diffy::DiffOptions;

use crate::output::{escape::visible, table::Look};

/// The unified diff between two versions of a file; nothing where they are the same.
pub(crate) fn unified(path: &str, old: &str, new: &str) -> String {
    if old == new {
        return String::new();
    }
    let name = |side: &str, text: &str| {
        if text.is_empty() { "/dev/null".to_owned() } else { format!("{side}/{path}") }
    };
    let mut options = DiffOptions::new();
    options.set_original_filename(name("a", old)).set_modified_filename(name("b", new));
    options.create_patch(old, new).to_string()
}

/// A diff as a person reads it: what would act on the terminal is written out.
pub(crate) fn shown(diff: &str, colour: bool) -> String {
    let mut in_head = true;
    diff.lines()
        .map(|line| {
            in_head &= !line.starts_with("@@");
            let look = match line.as_bytes().first() {
                Some(b'+' | b'-') if in_head => Look::Strong,
                Some(b'+') => Look::Good,
                Some(b'-') => Look::Bad,
                Some(b'@' | b'\\') => Look::Faint,
                _ => Look::Plain,
            };
            look.paint(&visible(line), colour) + "\n"
        })
        .collect()
}

/// `+3 −1`: how many lines came and went.
pub(crate) fn size(diff: &str) -> String {
    let body = || diff.lines().skip_while(|line| !line.starts_with("@@"));
    let count = |sign: char| body().filter(|line| line.starts_with(sign)).count();
    format!("+{} −{}", count('+'), count('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "server {\n    listen 80;\n    root /srv/a;\n}\n";
    const NEW: &str = "server {\n    listen 80;\n    root /srv/b;\n\tindex \x1b[31mx;\n}\n";

    #[test]
    fn a_change_is_shown_with_what_is_around_it() {
        insta::assert_snapshot!(shown(&unified("sites-available/cigar", OLD, NEW), false));
        assert_eq!(size(&unified("x", OLD, NEW)), "+2 −1");
    }

    #[test]
    fn colours_follow_the_sign_and_not_what_a_line_says() {
        let painted = shown(&unified("x", "-- a\n", "++ b\n"), true);
        assert!(painted.contains("\x1b[31m--- a\x1b[0m"), "{painted}");
        assert!(painted.contains("\x1b[32m+++ b\x1b[0m"), "{painted}");
        assert!(painted.starts_with("\x1b[1m--- a/x\x1b[0m"), "{painted}");
    }

    #[test]
    fn a_new_file_comes_from_nothing_and_equal_ones_do_not_differ() {
        assert!(unified("x", "", "a\n").starts_with("--- /dev/null\n+++ b/x\n"));
        assert_eq!(unified("x", OLD, OLD), "");
    }

    /// What is written to a pipe is a patch that applies.
    #[test]
    fn the_plain_form_is_a_patch() {
        for (old, new) in [(OLD, NEW), (NEW, OLD), ("a", "a\n"), ("", "x"), ("x\r\n", "x\n")] {
            let text = unified("conf.d/x.conf", old, new);
            let patch = diffy::Patch::from_str(&text).unwrap();
            assert_eq!(diffy::apply(old, &patch).unwrap(), new);
        }
    }
}
