//! `./dev bench`: HMS against what people use today, on the same host in the same run. Writes docs/benchmarks.md.
//!
//! Goals are ratios: absolute times say more about the machine than about HMS.

mod idle;
mod logs;
mod restart;
mod table;
mod web;

use anyhow::Result;
use hms_tests::paths;
use hms_tests::testbed::Testbed;
use hms_tests::world::{Plan, World};

use super::build;
use table::Table;

/// Builds, measures and writes the table.
pub(crate) async fn run() -> Result<()> {
    eprintln!("building the programs as they are measured");
    let binaries = build::measured()?;
    let plan = Plan::new().host("asterra", &["cigar"]).binaries(binaries);
    let world = World::start(&Testbed::new().await?, &plan, &|step| eprintln!("{step}")).await?;
    let mut table = Table::default();
    eprintln!("looking at HMS while nothing happens");
    idle::measure(&world, &mut table).await?;
    eprintln!("reading and following logs");
    logs::measure(&world, &mut table).await?;
    eprintln!("restarting a unit");
    restart::measure(&world, &mut table).await?;
    eprintln!("asking for pages");
    web::measure(&world, &mut table).await?;
    let file = paths::repository().join("docs/benchmarks.md");
    std::fs::write(&file, table.to_markdown())?;
    println!("{}", table.to_text());
    eprintln!("written to {}", file.display());
    Ok(())
}
