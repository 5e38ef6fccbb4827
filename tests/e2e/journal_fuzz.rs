//! hms-journal on damaged journals; `./dev bench fuzz` goes on for as long as one likes.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use hms_tests::fuzz;

/// How long the short form goes on.
const SHORT: Duration = Duration::from_secs(15);

#[test]
fn damage_of_every_kind_is_survived() -> Result<()> {
    let begun = Instant::now();
    let count = fuzz::run(0, |_| begun.elapsed() > SHORT)?;
    eprintln!("{count} executions");
    ensure!(count > 0, "nothing was executed");
    Ok(())
}
