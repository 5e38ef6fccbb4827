//! Runs cargo: the binaries for hosts, and the tests.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use hms_tests::paths;

/// The programs that hosts and people run.
pub(crate) const BINARIES: [&str; 4] = ["hms-agent", "hms-exec", "hms-controller", "hmsctl"];

/// A cargo command in the repository, as every step of the build uses it.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(paths::repository());
    // Queries are checked against the prepared data: no database is needed to build.
    command.env("SQLX_OFFLINE", "true").env_remove("DATABASE_URL");
    // Set by the `cargo run` that started us, and different from what a person's cargo has.
    for variable in ["CARGO_MANIFEST_DIR", "CARGO_MANIFEST_PATH", "CARGO_PKG_NAME"] {
        command.env_remove(variable);
    }
    command
}

/// Runs a command whose output is for the person; a failure ends the whole run.
pub(crate) fn must_succeed(mut command: Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot run {}", name(&command)))?;
    if !status.success() {
        bail!("{} failed ({status})", name(&command));
    }
    Ok(())
}

/// Builds the binaries and copies them into a folder of their own, which it returns.
///
/// Hosts run the copies, so that a build that goes on beside never changes them.
pub(crate) fn binaries(folder: &str, configure: impl FnOnce(&mut Command)) -> Result<PathBuf> {
    let mut command = cargo(&["build", "--workspace", "--bins"]);
    configure(&mut command);
    must_succeed(command)?;
    copies(folder)
}

fn copies(folder: &str) -> Result<PathBuf> {
    let built = paths::binaries();
    let target = paths::cache().join(folder);
    std::fs::create_dir_all(&target)?;
    for name in BINARIES.iter().chain(&["hms-dev"]) {
        replace(&built.join(name), &target.join(name))?;
    }
    Ok(target)
}

/// Builds the binaries as they are measured, and says in which folder they are.
pub(crate) fn measured() -> Result<PathBuf> {
    must_succeed(cargo(&[
        "build",
        "--profile",
        "bench-run",
        "-p",
        "hms-agent",
        "-p",
        "hms-controller",
        "-p",
        "hms-cli",
    ]))?;
    Ok(paths::binaries().with_file_name("bench-run"))
}

/// As [`binaries`], and the test programs of the workspace. In one run of cargo: the largest crates are compiled for both, and
/// neither waits for the other.
pub(crate) fn with_tests(
    folder: &str,
    configure: impl FnOnce(&mut Command),
) -> Result<(PathBuf, Vec<PathBuf>)> {
    let json = "--message-format=json-render-diagnostics";
    let mut command = cargo(&["build", "--workspace", "--bins", "--tests", json]);
    configure(&mut command);
    let output = command.stderr(Stdio::inherit()).output().context("cannot run cargo")?;
    if !output.status.success() {
        bail!("the programs or their tests do not build");
    }
    let messages = output.stdout.split(|byte| *byte == b'\n');
    let values = messages.filter_map(|line| serde_json::from_slice::<serde_json::Value>(line).ok());
    let programs = values
        .filter(|value| value["profile"]["test"] == true)
        .filter_map(|value| value["executable"].as_str().map(PathBuf::from))
        .collect();
    Ok((copies(folder)?, programs))
}

fn replace(from: &Path, to: &Path) -> Result<()> {
    if to.exists() {
        std::fs::remove_file(to)?;
    }
    std::fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))?;
    Ok(())
}

fn name(command: &Command) -> String {
    let words = [command.get_program()].into_iter().chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
