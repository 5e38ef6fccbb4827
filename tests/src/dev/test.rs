//! `./dev test`: everything the tests need, the tests, and what they covered.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use hms_tests::testbed;

use crate::build::{self, BINARIES};
use crate::coverage::Coverage;
use crate::database::Database;
use crate::progress;

/// On a machine with few cores: three that wait for their hosts most of the time (see .config/nextest.toml), and one that does not.
const THREADS: usize = 4;

/// Runs all tests, or those whose name contains the filter.
pub(crate) fn run(filter: Option<&str>) -> Result<ExitCode> {
    run_some(filter.as_slice(), None)
}

/// Runs the tests whose names contain one of the filters, and has them write what they count into a file.
pub(crate) fn run_counting(filters: &[&str], counts: &Path) -> Result<ExitCode> {
    run_some(filters, Some(counts))
}

fn run_some(filters: &[&str], counts: Option<&Path>) -> Result<ExitCode> {
    testbed::require_root()?;
    let coverage = Coverage::start()?;
    let (binaries, mut programs) = build::with_tests("bin-test", |command| coverage.instrument(command))?;
    programs.extend(BINARIES.map(|name| binaries.join(name)));
    progress::image()?;
    let database = Database::start()?;
    let mut tests = runner(filters)?;
    coverage.instrument(&mut tests);
    coverage.collect(&mut tests);
    tests.envs(counts.map(|counts| ("HMS_COUNTS", counts)));
    tests.env("DATABASE_URL", database.url()).env("HMS_BIN_DIR", &binaries);
    // An error says in words where it comes from; a backtrace through async code says nothing more.
    tests.env("RUST_LIB_BACKTRACE", "0");
    let status = tests.status().context("cannot run the tests")?;
    drop(database);
    // Tests that were ended for taking too long could not take their hosts down.
    testbed::sweep()?;
    if !status.success() {
        return Ok(ExitCode::FAILURE);
    }
    let enough = coverage.report(&programs)?;
    // A few chosen tests cannot cover everything.
    Ok(if enough || !filters.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// cargo-nextest where it is installed, and cargo's own runner elsewhere.
fn runner(filters: &[&str]) -> Result<Command> {
    let has_nextest = Command::new("cargo-nextest").args(["nextest", "--version"]).output().is_ok();
    let mut command = if has_nextest {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        build::cargo(&["nextest", "run", "--workspace", &format!("--test-threads={}", cores.max(THREADS))])
    } else {
        build::cargo(&["test", "--workspace", "--no-fail-fast"])
    };
    if !has_nextest {
        // Each of these threads may boot hosts.
        command.args(["--", "--test-threads=2"]);
    }
    command.args(filters);
    Ok(command)
}
