//! What is wrong with a configuration, by file, line and column, with the line itself.

use std::collections::BTreeMap;

use hms_proto::fault::ConfigProblem;
use unicode_width::UnicodeWidthStr as _;

use crate::output::{escape::inline, table::Look};

/// Contents of files, by path, for the lines that problems are about.
pub(super) type Sources = BTreeMap<String, String>;

/// So much of a line is shown around the place.
const BEFORE: usize = 60;
const AFTER: usize = 60;

/// All problems, errors first, each with its line where the source is known.
pub(super) fn rendered(problems: &[ConfigProblem], sources: &Sources, colour: bool) -> String {
    let mut sorted: Vec<&ConfigProblem> = problems.iter().collect();
    sorted.sort_by_key(|p| (!is_error(p), p.path.clone(), p.line, p.column));
    sorted.into_iter().map(|problem| one(problem, sources, colour)).collect()
}

/// Whether a problem keeps a change from being made.
pub(super) fn is_error(problem: &ConfigProblem) -> bool {
    problem.severity != "warning"
}

/// `2 errors, 1 warning`; nothing where there are none.
pub(super) fn tally(problems: &[ConfigProblem]) -> String {
    let errors = problems.iter().filter(|p| is_error(p)).count();
    let count = |n: usize, word: &str| match n {
        0 => None,
        1 => Some(format!("1 {word}")),
        n => Some(format!("{n} {word}s")),
    };
    let parts = [count(errors, "error"), count(problems.len() - errors, "warning")];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn one(problem: &ConfigProblem, sources: &Sources, colour: bool) -> String {
    let (word, look) = if is_error(problem) { ("error", Look::Bad) } else { ("warning", Look::Busy) };
    let place = place(problem);
    let place = if place.is_empty() { place } else { Look::Strong.paint(&place, colour) + ": " };
    let mut text = format!("{place}{}: {}\n", look.paint(word, colour), inline(&problem.message));
    let line = sources.get(&problem.path).and_then(|s| line_of(s, problem.line));
    if let Some(line) = line {
        text += &excerpt(line, problem, look, colour);
    }
    if !problem.hint.is_empty() {
        text += &format!("  hint: {}\n", inline(&problem.hint));
    }
    if !problem.directive.is_empty() {
        text += &format!("  to have it anyway: --accept {}\n", inline(&problem.directive));
    }
    text
}

/// `sites-available/cigar:3:9`.
fn place(problem: &ConfigProblem) -> String {
    let mut place = inline(&problem.path).into_owned();
    for number in [problem.line, problem.column] {
        if place.is_empty() || number == 0 {
            break;
        }
        place += &format!(":{number}");
    }
    place
}

fn line_of(source: &str, line: u32) -> Option<&str> {
    source.lines().nth(usize::try_from(line.checked_sub(1)?).ok()?)
}

/// The line, and a caret below the column.
fn excerpt(line: &str, problem: &ConfigProblem, look: Look, colour: bool) -> String {
    let at = usize::try_from(problem.column).unwrap_or(0).saturating_sub(1);
    let from = at.saturating_sub(BEFORE);
    let part = |skip: usize, take: usize| -> String {
        let chars: String = line.chars().skip(skip).take(take).collect();
        inline(&chars.replace('\t', "    ")).into_owned()
    };
    let (before, rest) = (part(from, at - from), part(at, AFTER));
    let number = format!("{:>5} | ", problem.line);
    let margin = Look::Faint.paint(&number, colour);
    let text = format!("{before}{rest}");
    let mut shown = format!("{margin}{}\n", text.trim_end());
    if problem.column > 0 {
        let pad = " ".repeat(number.width() - 2) + "| " + &" ".repeat(before.width());
        shown += &format!("{}{}\n", Look::Faint.paint(&pad, colour), look.paint("^", colour));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(line: u32, column: u32, message: &str) -> ConfigProblem {
        ConfigProblem {
            path: "sites-available/cigar".into(),
            line,
            column,
            severity: "error".into(),
            message: message.into(),
            ..ConfigProblem::default()
        }
    }

    fn sources(text: &str) -> Sources {
        Sources::from([("sites-available/cigar".into(), text.into())])
    }

    #[test]
    fn a_problem_is_shown_at_its_place() {
        let hinted =
            ConfigProblem { hint: "write `listen 80;`".into(), ..problem(2, 5, "unknown directive `lisen`") };
        let named = ConfigProblem {
            directive: "lua_code_cache".into(),
            ..problem(3, 2, "not an ordinary directive")
        };
        let odd = ConfigProblem {
            severity: "warning".into(),
            path: String::new(),
            ..problem(0, 0, "conflicting name")
        };
        let text = "server {\n    lisen 80;\n\tlua_code_cache off;\n}\n";
        insta::assert_snapshot!(rendered(&[odd, named, hinted.clone()], &sources(text), false));
        assert_eq!(tally(&[hinted.clone(), hinted]), "2 errors");
    }

    #[test]
    fn the_caret_stands_below_the_character_whatever_comes_before() {
        for (line, column) in [("日本 x", 4), ("\tx", 2), ("\u{1b}[31mx", 6), ("x", 1), ("é x", 3)] {
            let text = rendered(&[problem(1, column, "m")], &sources(line), false);
            let mut lines = text.lines().skip(1);
            let (shown, caret) = (lines.next().unwrap(), lines.next().unwrap());
            let before = &shown[..shown.rfind('x').unwrap()];
            assert_eq!(before.width(), caret[..caret.find('^').unwrap()].width(), "{text}");
        }
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let line = format!("{}X{}", "a".repeat(5_000), "b".repeat(5_000));
        let text = rendered(&[problem(1, 5_001, "m")], &sources(&line), false);
        assert!(text.lines().all(|l| l.width() < 140) && text.contains("aX"), "{text}");
    }

    #[test]
    fn places_that_are_not_in_the_file_are_survived() {
        for (line, column) in [(0, 0), (9, 1), (1, 9_999), (u32::MAX, u32::MAX)] {
            assert!(rendered(&[problem(line, column, "m")], &sources("a\n"), false).contains("error: m"));
        }
    }
}
