//! `./dev bench fuzz`: damaged journals, for as long as one likes.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use clap::Args;
use hms_tests::fuzz;

use super::optimised;
use super::table::Table;

/// What is to be executed.
#[derive(Args)]
pub(crate) struct Arguments {
    /// How many executions.
    #[arg(long, default_value_t = 100_000_000)]
    executions: u64,
    /// The first seed; the same seeds do the same.
    #[arg(long, default_value_t = 1_000_000_000)]
    seed: u64,
    /// This program is optimised: run them here.
    #[arg(long, hide = true)]
    here: bool,
}

impl Arguments {
    /// Builds an optimised program that does it, and lets it.
    pub(crate) fn run(self) -> Result<ExitCode> {
        if self.here {
            return self.execute();
        }
        let (executions, seed) = (self.executions.to_string(), self.seed.to_string());
        optimised(&["fuzz", "--executions", &executions, "--seed", &seed])
    }

    fn execute(&self) -> Result<ExitCode> {
        let begun = Instant::now();
        let count = fuzz::run_on_all_processors(self.executions, self.seed)?;
        let seconds = begun.elapsed().as_secs_f64();
        let mut table = Table::default();
        table.note(
            "damaged journals that were read: no crash, no hang",
            format!("{count} executions, {:.0}/s", count as f64 / seconds),
        );
        table.publish()?;
        Ok(ExitCode::SUCCESS)
    }
}
