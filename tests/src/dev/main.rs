//! `hms-dev`: what `./dev` does once the machine has what it needs.

#![expect(clippy::disallowed_methods, reason = "this program's work is to start builds and tests")]

mod bench;
mod build;
mod coverage;
mod database;
mod demo;
mod lint;
mod progress;
mod test;
mod traffic;

use std::net::IpAddr;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Builds, tests and shows HMS.
#[derive(Parser)]
#[command(name = "dev")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run HMS on two real hosts.
    Demo(demo::Arguments),
    /// Run every test, or those whose name contains the filter.
    Test {
        /// Part of the names of the tests to run.
        filter: Option<String>,
    },
    /// Check formatting, lints and types.
    Lint,
    /// Measure against what people use today, and write docs/benchmarks.md.
    Bench {
        /// Only kill deployments, at each point so many times, and count what became of them.
        #[arg(long, value_name = "TIMES", num_args = 0..=1, default_missing_value = "25")]
        kills: Option<usize>,
        #[command(subcommand)]
        part: Option<bench::Part>,
    },
    /// Make the base image of the hosts, if there is none yet.
    Image,
    /// Ask the demo's apps for pages, for ever; runs inside a demo host.
    #[command(hide = true)]
    Traffic {
        /// The host that runs nginx.
        #[arg(long)]
        host: IpAddr,
        /// The app whose pages are asked for.
        #[arg(long)]
        app: String,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments.command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("dev: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Demo(arguments) => demo::run(arguments),
        Command::Test { filter } => test::run(filter.as_deref()),
        Command::Lint => lint::run(),
        Command::Bench { kills, part } => bench::run(kills, part),
        Command::Image => {
            progress::image()?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Traffic { host, app } => traffic::run(host, &app),
    }
}
