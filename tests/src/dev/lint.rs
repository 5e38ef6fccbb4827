//! `./dev lint`: what a machine can say about the look of the code.

use std::process::{Command, ExitCode};

use anyhow::Result;
use hms_tests::paths;

use crate::build::{cargo, must_succeed};

/// Runs every check and reports all that fail.
pub(crate) fn run() -> Result<ExitCode> {
    let mut failures = Vec::new();
    let clippy = ["clippy", "--workspace", "--all-targets", "--quiet", "--", "--deny=warnings"];
    for arguments in [&["fmt", "--all", "--check"][..], &clippy] {
        failures.extend(must_succeed(cargo(arguments)).err());
    }
    failures.extend(shellcheck().and_then(must_succeed).err());
    let frontend = paths::repository().join("web/frontend");
    if frontend.join("package.json").exists() {
        if !frontend.join("node_modules").exists() {
            must_succeed(npm(&frontend, &["ci", "--ignore-scripts"]))?;
        }
        failures.extend(must_succeed(npm(&frontend, &["run", "--silent", "check"])).err());
    }
    for failure in &failures {
        eprintln!("dev: {failure:#}");
    }
    Ok(if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Every script that is delivered to hosts.
fn shellcheck() -> Result<Command> {
    let mut command = Command::new("shellcheck");
    for entry in std::fs::read_dir(paths::repository().join("remote_cli_tools"))? {
        let folder = entry?.path();
        if folder.is_dir() {
            for file in std::fs::read_dir(folder)? {
                let file = file?.path();
                if file.extension().is_some_and(|extension| extension == "sh") {
                    command.arg(file);
                }
            }
        }
    }
    Ok(command)
}

fn npm(folder: &std::path::Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("npm");
    command.args(arguments).current_dir(folder);
    command
}
