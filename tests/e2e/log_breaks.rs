//! Numbered lines on their way to readers, and breaks of every kind at any moment: each line arrives once and in order. With
//! `HMS_LONG` a million lines and 200 breaks; that takes longer than cargo-nextest lets a test take.

mod breaks;
mod readers;
mod writer;

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Result, ensure};
use hms_tests::world::World;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::time::sleep;

use crate::support::{eventually, tell};
use breaks::{Break, KINDS};
use readers::Readers;
use writer::{Order, UNIT, Writer};

/// So long readers may need until they have what was written before a break.
const LIMIT: Duration = Duration::from_secs(120);

/// Security case 126.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_line_arrives_once_and_in_order_through_breaks_of_every_kind() -> Result<()> {
    let is_long = std::env::var_os("HMS_LONG").is_some();
    let (breaks, lines): (usize, u32) = if is_long { (200, 1_000_000) } else { (KINDS.len(), 6_600) };
    let world = World::single().await?;
    let seed = rand::rng().random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut writer = Writer::start(world.controller_host()).await?;
    let readers = Readers::start(&world).await?;
    for number in 0..breaks {
        let kind = KINDS[number % KINDS.len()];
        let before = writer.written();
        let part = lines * (number as u32 + 1) / breaks as u32 - lines * number as u32 / breaks as u32;
        run_over(kind, part, &mut writer, &readers, &mut random, &world).await?;
        // What was broken last may still be broken at the next break.
        eventually(LIMIT, async || readers.have(before)).await?;
        println!("{number}: {kind:?}, {} written, {}", writer.written(), readers.words());
    }
    writer.end().await?;
    eventually(LIMIT, async || readers.have(lines)).await?;
    readers.end();
    compare(&world, &readers, lines, breaks).await
}

/// Breaks something while lines are written, and has the log rotated between them where the break is that.
async fn run_over(
    kind: Break,
    lines: u32,
    writer: &mut Writer,
    readers: &Readers,
    random: &mut StdRng,
    world: &World,
) -> Result<()> {
    let first = random.random_range(1..lines);
    writer.order(Order::Lines(first))?;
    if kind == Break::Delete {
        // What nobody has read yet would be gone.
        writer.idle().await?;
        eventually(LIMIT, async || readers.have_of_file(writer.written())).await?;
    }
    kind.rotation().map_or(Ok(()), |order| writer.order(order))?;
    writer.order(Order::Lines(lines - first))?;
    sleep(Duration::from_millis(random.random_range(0..400))).await;
    kind.act(world, readers, random).await
}

/// What arrived is what was written; of the journal, what journald itself has, as it is killed, too.
async fn compare(world: &World, readers: &Readers, lines: u32, breaks: usize) -> Result<()> {
    let kept =
        world.controller_host().run(&["journalctl", "--quiet", "--unit", UNIT, "--output=cat"]).await?;
    let kept: HashSet<u32> =
        kept.lines().filter_map(|line| line.strip_prefix("number ")?.parse().ok()).collect();
    let (mut bad, mut told) = (0, 0);
    for seen in readers.all() {
        let (missing, doubled, gaps) = seen.result(lines);
        let lost: Vec<_> = missing.iter().filter(|number| seen.is_of_file || kept.contains(number)).collect();
        println!("{}: lost {lost:?}, twice or late {doubled:?}, gaps {gaps:?}", seen.name);
        bad += lost.len() + doubled.len();
        told += gaps.len();
    }
    let tried = readers.all().len() * lines as usize;
    let of_journald = lines as usize - kept.len();
    let note = format!("{breaks} breaks; {told} gaps told; journald, killed, lost {of_journald} itself");
    tell("lines of logs followed through breaks of every kind", tried, bad, &note)?;
    ensure!(bad == 0, "{bad} lines were lost or came twice");
    ensure!(of_journald < lines as usize / 5, "journald kept only {} lines", kept.len());
    Ok(())
}
