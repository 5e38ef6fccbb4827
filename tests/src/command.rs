//! Runs programs on the machine itself and turns a failure into one clear error.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Runs a program to its end and returns what it printed.
pub fn run(argv: &[&str]) -> Result<String> {
    run_with(argv, |_| {})
}

/// Like [`run`], for callers that set environment, folder or the like first.
pub fn run_with(argv: &[&str], configure: impl FnOnce(&mut Command)) -> Result<String> {
    let (program, arguments) = argv.split_first().context("no program given")?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    configure(&mut command);
    let output = command.output().with_context(|| format!("cannot run {program}"))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        let stdout = String::from_utf8_lossy(&output.stdout);
        let said = if stderr.trim().is_empty() { stdout } else { stderr };
        bail!("`{}` failed ({}): {}", argv.join(" "), output.status, last_lines(&said, 20));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The end of a long output, which is where the reason stands.
#[must_use]
pub fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.trim().lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
