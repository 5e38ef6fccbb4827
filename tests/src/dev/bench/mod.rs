//! `./dev bench`: HMS against what people use today, on the same host in the same run. Writes docs/benchmarks.md.
//!
//! Goals are ratios: absolute times say more about the machine than about HMS.

mod idle;
mod kills;
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

/// How often a deployment is killed at each point.
const KILLS: usize = 25;

/// Builds, measures and writes the table; or only kills deployments.
pub(crate) async fn run(kills_alone: Option<usize>) -> Result<()> {
    if let Some(times) = kills_alone {
        println!("{}", kills::count(times).await?);
        return Ok(());
    }
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
    drop(world);
    eprintln!("killing deployments at each point (this takes an hour)");
    table.note("deployments killed at each point, under load", kills::count(KILLS).await?);
    let file = paths::repository().join("docs/benchmarks.md");
    std::fs::write(&file, table.to_markdown())?;
    println!("{}", table.to_text());
    eprintln!("written to {}", file.display());
    Ok(())
}
