//! `./dev demo`: HMS on two real hosts, with an app on each, for a person to look at.

mod apps;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use hms_tests::testbed::{self, Testbed};
use hms_tests::world::{ADMIN, Plan, World};
use hms_tests::yard::Yard;
use hms_tests::{browser, paths};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::build;
use crate::progress::{self, Progress};

/// How the demo is run.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Leave it running and write target/demo/demo.json.
    #[arg(long)]
    detach: bool,
    /// Take pictures of the pages into this folder.
    #[arg(long, value_name = "FOLDER")]
    screenshots: Option<PathBuf>,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Subcommand)]
enum Action {
    /// Stop the demo and remove everything it made.
    Stop,
}

/// Starts or stops the demo.
pub(crate) fn run(arguments: Arguments) -> Result<ExitCode> {
    testbed::require_root()?;
    let runtime = tokio::runtime::Runtime::new()?;
    match arguments.action {
        Some(Action::Stop) => stop()?,
        None => runtime.block_on(start(&arguments))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn stop() -> Result<()> {
    testbed::clear_demo()?;
    testbed::remove_kept_disks()?;
    if folder().exists() {
        fs::remove_dir_all(folder())?;
    }
    println!("The demo is stopped and removed.");
    Ok(())
}

async fn start(arguments: &Arguments) -> Result<()> {
    let binaries = build::binaries("bin-demo", |_| {})?;
    progress::image()?;
    let progress = Progress::start("taking the demo's network");
    let bed = Testbed::demo().await?;
    let plan = Plan::new()
        .host("asterra", &[])
        .host("borealis", &[])
        .kept_in(paths::cache().join("demo/world"))
        .binaries(binaries);
    // From here on Ctrl-C takes the hosts down instead of leaving them behind.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let report = |step: &str| progress.step(step);
    let started = async {
        let yard = Yard::on(World::start(&bed, &plan, &report).await?, "asterra").await?;
        progress.step("delivering the scripts");
        yard.world().sync_scripts().await?;
        progress.step("deploying the apps, with a bit of history (the first time only)");
        apps::set_up(&yard).await?;
        anyhow::Ok(yard.into_world())
    };
    let world = tokio::select! {
        world = started => world?,
        _ = interrupt.recv() => return Ok(()),
        _ = terminate.recv() => return Ok(()),
    };
    progress.step("starting some traffic");
    start_traffic(&world).await?;
    write_description(&world)?;
    progress.finish();
    if let Some(folder) = &arguments.screenshots {
        take_screenshots(&world, folder).await?;
    }
    print_summary(&world, arguments.detach);
    if arguments.detach {
        world.detach();
        return Ok(());
    }
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    println!("\nShutting the hosts down. Their disks are kept: the next start takes seconds.");
    world.shut_down().await
}

/// Visitors for every app, as a service of the host it runs on.
async fn start_traffic(world: &World) -> Result<()> {
    for (host, app) in apps::APPS {
        let host = world.host(host)?;
        let unit = format!("demo-traffic-{app}.service");
        let text = format!(
            "[Unit]\nDescription=Visitors of {app} (demo)\n\n[Service]\nDynamicUser=yes\nRestart=always\n\
             ExecStart=/usr/bin/hms-dev traffic --host 127.0.0.1 --app {app}\n"
        );
        host.write_file(format!("/etc/systemd/system/{unit}"), text).await?;
        host.run(&["systemctl", "daemon-reload"]).await?;
        host.run(&["systemctl", "start", &unit]).await?;
    }
    Ok(())
}

/// Writes what a script or a test needs to use the demo.
fn write_description(world: &World) -> Result<()> {
    fs::create_dir_all(folder())?;
    fs::copy(world.ca_file(), folder().join("ca.pem"))?;
    let hosts: Vec<_> =
        world.hosts().iter().map(|host| json!({"name": host.name(), "address": host.address()})).collect();
    let description = json!({
        "url": world.url(),
        "grpc": world.grpc(),
        "username": ADMIN,
        "password": world.password(),
        "ca_file": folder().join("ca.pem"),
        "hosts": hosts,
    });
    fs::write(folder().join("demo.json"), serde_json::to_string_pretty(&description)?)?;
    Ok(())
}

async fn take_screenshots(world: &World, target: &Path) -> Result<()> {
    let target = std::path::absolute(target)?;
    let folder = target.to_str().context("the folder's name is not valid UTF-8")?;
    browser::run(world, "demo-screenshots.mjs", &[("HMS_SCREENSHOTS", folder)]).await?;
    println!("Screenshots are in {}.", target.display());
    Ok(())
}

fn print_summary(world: &World, detached: bool) {
    let hmsctl = paths::cache().join("bin-demo/hmsctl");
    let ca_file = folder().join("ca.pem");
    println!("\n  HMS is running.\n");
    println!("  Address    {}", world.url());
    println!("  Username   {ADMIN}");
    println!("  Password   {}", world.password());
    println!("  CA file    {}   (for browsers, curl and hmsctl)", ca_file.display());
    println!("\n  Hosts");
    for host in world.hosts() {
        let apps: Vec<&str> =
            apps::APPS.iter().filter(|(on, _)| *on == host.name()).map(|(_, app)| *app).collect();
        println!("    {:<10} {}   {}", host.name(), host.address(), apps.join(", "));
    }
    println!("\n  On the command line");
    println!("    export HMS_CONFIG_DIR={}", world.folder().join("hmsctl").join(ADMIN).display());
    println!("    {} apps", hmsctl.display());
    println!("    {} apps deploy cigar", hmsctl.display());
    println!("    {} logs --app cigar -f", hmsctl.display());
    println!("    {} scripts run check_disk_space --all", hmsctl.display());
    if detached {
        println!("\n  It goes on in the background. `./dev demo stop` stops it and removes everything.\n");
    } else {
        println!(
            "\n  Ctrl-C stops it; the next start takes seconds. `./dev demo stop` removes everything.\n"
        );
    }
}

fn folder() -> PathBuf {
    paths::repository().join("target/demo")
}
