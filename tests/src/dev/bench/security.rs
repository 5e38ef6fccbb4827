//! `./dev bench security`: runs the tests that count what they tried, and writes what they counted into docs/security-figures.md.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use hms_tests::paths;

use super::super::test;

/// Parts of the names of tests that count.
const COUNTING: [&str; 14] = [
    "matrix_tests",
    "audit_tests",
    "audit_chain::",
    "bad_tokens",
    "bad_certificates",
    "whole_tests",
    "guess",
    "takes_as_long",
    "machine_tests",
    "api::",
    "canary",
    "exhaustion",
    "revocation",
    "log_breaks",
];

const HEAD: &str = "# Figures of security

Written by `./dev bench security`, which runs the tests that count what they tried: in memory, on real ports and on real hosts. Every one of these tests is also a part of
`./dev test`, where a single wrong one fails the run. [Security](security.md) says what is promised.

How long others waited for answers during an attack was measured with programs that are not optimised, on the two processors that the attackers use as well: `p50/p99 before → during`,
and how many times the p99 is longer.

| what was tried | how often | wrong | |
|---|---:|---:|---|
";

/// What one kind of attempt came to.
#[derive(Debug, PartialEq, Eq)]
struct Count {
    what: String,
    tried: u64,
    wrong: u64,
    note: String,
}

/// Runs them and writes the table. Fails when anything went wrong.
pub(crate) fn run() -> Result<ExitCode> {
    let file = tempfile::NamedTempFile::new()?;
    let code = test::run_counting(&COUNTING, file.path())?;
    let counts = read(file.path())?;
    ensure!(!counts.is_empty(), "no test counted anything");
    let target = paths::repository().join("docs/security-figures.md");
    std::fs::write(&target, format!("{HEAD}{}", rows(&counts)))?;
    println!("{}", text(&counts));
    eprintln!("written to {}", target.display());
    let wrong = counts.iter().any(|count| count.wrong > 0);
    Ok(if wrong { ExitCode::FAILURE } else { code })
}

/// What tests told: `WHAT<tab>TRIED<tab>WRONG`, and `<tab>NOTE` where there is one. What several told of the same is added up.
fn read(file: &Path) -> Result<Vec<Count>> {
    let mut counts: Vec<Count> = Vec::new();
    for line in std::fs::read_to_string(file)?.lines() {
        let mut cells = line.split('\t');
        let mut cell = || cells.next().with_context(|| format!("not a count: {line}"));
        let (what, tried, wrong) = (cell()?.to_owned(), cell()?.parse()?, cell()?.parse()?);
        let note = cells.next().unwrap_or_default().to_owned();
        match counts.iter_mut().find(|count| count.what == what) {
            Some(count) => {
                count.tried += tried;
                count.wrong += wrong;
                count.note = note;
            }
            None => counts.push(Count { what, tried, wrong, note }),
        }
    }
    counts.sort_by(|a, b| a.what.cmp(&b.what));
    Ok(counts)
}

fn rows(counts: &[Count]) -> String {
    let row = |c: &Count| format!("| {} | {} | {} | {} |\n", c.what, c.tried, c.wrong, c.note);
    counts.iter().map(row).collect()
}

fn text(counts: &[Count]) -> String {
    let line = |c: &Count| format!("{:<76} {:>8} {:>5}  {}", c.what, c.tried, c.wrong, c.note);
    counts.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_several_tests_tell_of_the_same_is_added_up() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "tokens\t2\t0\ncanaries\t7\t1\t4 encodings\ntokens\t3\t1\n").unwrap();
        let counts = read(file.path()).unwrap();
        assert_eq!(rows(&counts), "| canaries | 7 | 1 | 4 encodings |\n| tokens | 5 | 1 |  |\n");
        std::fs::write(file.path(), "tokens\tmany\t0\n").unwrap();
        assert!(read(file.path()).is_err());
    }
}
