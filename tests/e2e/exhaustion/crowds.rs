//! Crowds of connections: of strangers, of people who say nothing, and more than there are files.

use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures_util::future::{join_all, try_join_all};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::attack::meter::Meter;
use crate::attack::scene::{Scene, Visitor};
use crate::attack::wire::Target;

/// Somebody has to be let in again within this time.
const PATIENCE: Duration = Duration::from_secs(60);

/// The most connections that a port takes.
const PLACES: usize = 1024;

/// So many come to each port.
const CROWD: usize = 3_000;

/// So many files are soon used up.
const FEW: usize = 160;

/// Attackers come from so many addresses.
const ADDRESSES: u8 = 40;

/// Security cases 97, 99 and 101.
pub(super) async fn rounds(scene: &mut Scene) -> Result<()> {
    let targets = scene.targets()?;
    scene.round("without a certificate", async || without_certificate(&targets).await).await?;
    half_open(scene, &targets).await?;
    without_files(scene, &targets).await
}

/// Where certificates are asked for nothing of HTTP/2 is reached without one.
async fn without_certificate(targets: &[Target]) -> Result<usize> {
    for target in &targets[1..] {
        let Ok(mut wire) = target.without_certificate().http2(None).await else { continue };
        ensure!(wire.ends().await, "{}: a stranger may stay", target.name);
        ensure!(wire.seen.answers.load(Ordering::Relaxed) == 0, "{}: a stranger got an answer", target.name);
    }
    Ok(targets.len() - 1)
}

/// Thousands of connections that say nothing, from many addresses, hold no more than their places; who is logged in works
/// on and gets new connections, too.
async fn half_open(scene: &mut Scene, targets: &[Target]) -> Result<()> {
    let before = files(scene)?;
    let each = CROWD / usize::from(ADDRESSES);
    let addresses = (0..ADDRESSES).map(|number| scene.attacker(number)).collect::<Result<Vec<_>>>()?;
    let mut held: Vec<TcpStream> = Vec::new();
    let attack = async || {
        held.clear();
        for from in addresses.iter().copied() {
            let attempts = targets.iter().flat_map(|target| (0..each).map(move |_| target.seen_from(from)));
            let opened = join_all(attempts.map(|target| async move { target.tcp().await })).await;
            held.extend(opened.into_iter().flatten());
        }
        ensure!(!held.is_empty(), "nothing could be opened");
        Ok(held.len())
    };
    scene.round("half-open", attack).await?;
    for target in targets {
        scene.visitor.get_in(target.name).await.with_context(|| format!("half-open: {}", target.name))?;
    }
    // The controller has two ports.
    for ((now, before), ports) in files(scene)?.into_iter().zip(before).zip([2, 1]) {
        ensure!(now <= before + ports * PLACES, "{now} files are open, and there were {before}");
    }
    Ok(())
}

fn files(scene: &Scene) -> Result<Vec<usize>> {
    scene.meters.iter().map(|meter| meter.open_files()).collect()
}

/// Security case 99: out of files at `accept`. The loops that accept go on when there are some again.
async fn without_files(scene: &mut Scene, targets: &[Target]) -> Result<()> {
    scene.restart_with_files(FEW).await?;
    let addresses = [scene.attacker(0)?, scene.attacker(1)?];
    let (meters, visitor) = (scene.meters.clone(), scene.visitor.clone());
    let attack = async || {
        let mut held: Vec<TcpStream> = Vec::new();
        for from in addresses {
            let attempts =
                targets.iter().flat_map(|target| (0..FEW / 2).map(move |_| target.seen_from(from)));
            held.extend(try_join_all(attempts.map(|target| async move { target.tcp().await })).await?);
        }
        for meter in &meters {
            let used = timeout(PATIENCE, all_are_used(meter)).await;
            used.context("the files were not used up")??;
        }
        let opened = held.len();
        drop(held);
        for target in targets {
            let came = timeout(PATIENCE, until_in(&visitor, target.name)).await;
            came.with_context(|| format!("{}: nobody is let in after files were out", target.name))?;
        }
        Ok(opened)
    };
    scene.round("out of files", attack).await
}

async fn all_are_used(meter: &Meter) -> Result<()> {
    while meter.open_files()? < FEW {
        sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

async fn until_in(visitor: &Visitor, target: &str) {
    while visitor.get_in(target).await.is_err() {
        sleep(Duration::from_millis(100)).await;
    }
}
