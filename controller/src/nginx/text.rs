//! Differences between texts, and bringing two edits of one text together.

/// Larger texts are not compared: it would take longer than anybody waits.
const MOST_LINES: usize = 20_000;

/// A unified diff; empty when both are the same.
pub(crate) fn diff(path: &str, before: &[u8], after: &[u8]) -> String {
    if before == after {
        return String::new();
    }
    let (before, after) = (String::from_utf8_lossy(before), String::from_utf8_lossy(after));
    if before.lines().count() + after.lines().count() > MOST_LINES {
        return format!("# {path} is too large to be compared line by line\n");
    }
    let mut options = diffy::DiffOptions::new();
    options.set_original_filename(format!("a/{path}")).set_modified_filename(format!("b/{path}"));
    options.create_patch(&before, &after).to_string()
}

/// Two edits of one text as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Merged {
    pub(crate) text: String,
    /// Both changed the same lines: the text has marks where somebody must choose.
    pub(crate) overlaps: bool,
}

/// Brings `mine` and `theirs` together, which both began as `base`.
pub(crate) fn merge(base: &str, mine: &str, theirs: &str) -> Option<Merged> {
    if [base, mine, theirs].iter().map(|t| t.lines().count()).sum::<usize>() > MOST_LINES {
        return None;
    }
    Some(match diffy::merge(base, mine, theirs) {
        Ok(text) => Merged { text, overlaps: false },
        Err(text) => Merged { text, overlaps: true },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_names_the_file_and_shows_the_lines() {
        let told = diff("nginx.conf", b"a;\nb;\n", b"a;\nc;\n");
        assert!(told.starts_with("--- a/nginx.conf\n+++ b/nginx.conf\n"), "{told}");
        assert!(told.contains("-b;\n+c;\n"), "{told}");
        assert_eq!(diff("x", b"a", b"a"), "");
        let large = "x;\n".repeat(MOST_LINES + 1);
        assert!(diff("x", large.as_bytes(), b"").contains("too large"));
        assert!(!diff("x", b"\xff\x00", b"a").is_empty());
    }

    #[test]
    fn edits_of_different_lines_become_one_and_of_the_same_line_a_choice() {
        let base = "a;\nb;\nc;\nd;\ne;\n";
        let mine = base.replace("a;", "mine;");
        let both = merge(base, &mine, &base.replace("e;", "theirs;")).unwrap();
        assert_eq!(both, Merged { text: "mine;\nb;\nc;\nd;\ntheirs;\n".into(), overlaps: false });
        let clash = merge(base, &mine, &base.replace("a;", "theirs;")).unwrap();
        assert!(clash.overlaps && clash.text.contains("mine;") && clash.text.contains("theirs;"));
    }
}
