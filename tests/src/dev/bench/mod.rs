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
use clap::{Args, Subcommand};
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
    Logs(Here),
    /// Only read a journal, in this process.
    Reader(Here),
    /// Everything that is in the table, but for kills.
    #[command(hide = true)]
    All(Here),
    /// Run the tests that count what they tried, and write docs/security-figures.md.
    Security,
    /// Read damaged journals.
    Fuzz(fuzz::Arguments),
}

/// Where a part runs that is a client of what it measures, or all of it: an unoptimised one would measure itself.
#[derive(Args, Clone, Copy)]
pub(crate) struct Here {
    /// This program is optimised: run it here.
    #[arg(long, hide = true)]
    here: bool,
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

/// Measures a part, or everything; or only kills deployments.
pub(crate) fn run(kills_alone: Option<usize>, part: Option<Part>) -> Result<ExitCode> {
    let runtime = || tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match part {
        Some(Part::Fuzz(fuzz)) => return fuzz.run(),
        Some(Part::Security) => return security::run(),
        Some(Part::Reader(Here { here: false })) => return optimised(&["reader"]),
        Some(Part::Reader(_)) => reader::run()?,
        Some(Part::Logs(Here { here: false })) => return optimised(&["logs"]),
        Some(Part::Logs(_)) => runtime()?.block_on(measure(true))?,
        Some(Part::All(_)) => runtime()?.block_on(measure(false))?,
        None => match kills_alone {
            Some(times) => println!("{}", runtime()?.block_on(kills::count(times))?),
            None => return optimised(&["all"]),
        },
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds, measures and writes the table; or only the rows of the logs.
async fn measure(logs_alone: bool) -> Result<()> {
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
