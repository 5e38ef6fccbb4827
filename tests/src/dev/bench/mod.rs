//! `./dev bench`: HMS against what people use today, on the same host in the same run. Writes docs/benchmarks.md.
//!
//! Goals are ratios: absolute times say more about the machine than about HMS.

mod files;
mod fuzz;
mod idle;
mod kills;
mod logs;
mod million;
mod reader;
mod restart;
pub(crate) mod security;
mod table;
mod web;

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;
use hms_tests::paths;
use hms_tests::testbed::Testbed;
use hms_tests::world::{Plan, World};

use super::build;
use table::Table;

/// How often a deployment is killed at each point.
const KILLS: usize = 25;

/// A part of it.
#[derive(Subcommand)]
pub(crate) enum Part {
    /// Only read, search and follow logs.
    Logs,
    /// Only read a journal, in this process.
    Reader {
        /// This program is optimised: read here.
        #[arg(long, hide = true)]
        here: bool,
    },
    /// Run the tests that count what they tried, and write docs/security-figures.md.
    Security,
    /// Read damaged journals.
    Fuzz(fuzz::Arguments),
}

/// Does a part in a program that is optimised.
fn optimised(arguments: &[&str]) -> Result<ExitCode> {
    build::must_succeed(build::cargo(&[
        "build",
        "--profile",
        "bench-run",
        "-p",
        "hms-tests",
        "--bin",
        "hms-dev",
    ]))?;
    let program = paths::binaries().with_file_name("bench-run").join("hms-dev");
    let mut command = std::process::Command::new(program);
    command.args(["bench"]).args(arguments).arg("--here");
    build::must_succeed(command)?;
    Ok(ExitCode::SUCCESS)
}

/// Reads a journal in this process.
pub(crate) fn read(here: bool) -> Result<ExitCode> {
    if !here {
        return optimised(&["reader"]);
    }
    reader::run()?;
    Ok(ExitCode::SUCCESS)
}

/// Builds, measures and writes the table; or only the rows of the logs; or only kills deployments.
pub(crate) async fn run(kills_alone: Option<usize>, logs_alone: bool) -> Result<()> {
    if let Some(times) = kills_alone {
        println!("{}", kills::count(times).await?);
        return Ok(());
    }
    eprintln!("building the programs as they are measured");
    let binaries = build::measured()?;
    let plan = Plan::new().host("asterra", &["cigar"]).binaries(binaries);
    let world = World::start(&Testbed::new().await?, &plan, &|step| eprintln!("{step}")).await?;
    let mut table = Table::default();
    if !logs_alone {
        eprintln!("looking at HMS while nothing happens");
        idle::measure(&world, &mut table).await?;
    }
    eprintln!("reading and following logs");
    logs::measure(&world, &mut table).await?;
    files::measure(&world, &mut table).await?;
    if !logs_alone {
        eprintln!("restarting a unit");
        restart::measure(&world, &mut table).await?;
        eprintln!("asking for pages");
        web::measure(&world, &mut table).await?;
    }
    drop(world);
    if !logs_alone {
        eprintln!("killing deployments at each point (this takes an hour)");
        table.note("deployments killed at each point, under load", kills::count(KILLS).await?);
    }
    table.publish()
}
