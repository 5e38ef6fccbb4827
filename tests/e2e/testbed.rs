//! The test bed itself: hosts boot, lose power, lose the network, and never meet another bed's.

use std::net::Ipv4Addr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use hms_tests::rails::RailsApp;
use hms_tests::testbed::{Bind, Host, HostOptions, Testbed};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Set for the second process of [`leftovers_of_a_killed_run_are_cleared`].
const ABANDON: &str = "HMS_TEST_ABANDON_BED";

#[tokio::test]
async fn a_host_boots_with_its_own_name_and_address() -> Result<()> {
    let bed = Testbed::new().await?;
    let host = bed.boot("asterra").await?;
    let state = host.exec(&["systemctl", "is-system-running"]).await?;
    assert_eq!(state.stdout.trim(), "running");
    assert_eq!(host.run(&["hostname"]).await?.trim(), "asterra");
    assert_eq!(host.run(&["ps", "-o", "comm=", "1"]).await?.trim(), "systemd");
    let failed = host.exec(&["sh", "-c", "echo out; echo bad >&2; exit 7"]).await?;
    assert_eq!((failed.code, failed.stdout.as_str(), failed.stderr.as_str()), (7, "out\n", "bad\n"));
    Ok(())
}

#[tokio::test]
async fn hosts_of_a_bed_reach_each_other_by_name_and_nothing_else() -> Result<()> {
    let bed = Testbed::new().await?;
    let (asterra, borealis) = tokio::try_join!(bed.boot("asterra"), bed.boot("borealis"))?;
    asterra.run(&["systemctl", "start", "ssh.service"]).await?;
    borealis.run_until(Duration::from_secs(10), &["bash", "-c", "exec 3<>/dev/tcp/asterra/22"]).await?;
    let routes = asterra.run(&["ip", "route", "get", "192.0.2.1"]).await;
    ensure!(routes.is_err(), "there is a way out of the test network: {routes:?}");
    Ok(())
}

#[tokio::test]
async fn a_rails_app_answers_through_nginx_and_logs_to_the_journal() -> Result<()> {
    let bed = Testbed::new().await?;
    let host = bed.boot("asterra").await?;
    let app = RailsApp::install(&host, "cigar").await?;
    assert_eq!(app.get(&host, "/up").await?, "up");
    ensure!(app.get(&host, "/products/1").await?.contains("Corona"));
    let refused = app.get(&host, "/orders/report").await.expect_err("the report is broken");
    ensure!(format!("{refused:#}").contains("500"), "{refused:#}");
    let log = host.run(&["journalctl", "--unit", &app.unit(), "--output=cat"]).await?;
    for line in
        ["Started GET \"/products/1\"", "Completed 200 OK", "ZeroDivisionError (divided by 0)", "config.ru:"]
    {
        ensure!(log.contains(line), "no {line:?} in the log:\n{log}");
    }
    Ok(())
}

#[tokio::test]
async fn a_host_has_what_a_controller_needs() -> Result<()> {
    let bed = Testbed::new().await?;
    let host = bed.boot("asterra").await?;
    host.run(&["systemctl", "enable", "--now", "postgresql.service"]).await?;
    let query = "select current_user || ' ' || pg_encoding_to_char(encoding) from pg_database where datname = current_database()";
    let as_hms = ["runuser", "-u", "hms", "--", "psql", "--no-align", "--tuples-only", "--command", query];
    let said =
        host.run(&[&as_hms[..], &["postgres:///hosting_production?host=/run/postgresql"]].concat()).await?;
    assert_eq!(said, "hms UTF8\n", "peer authentication over the socket");
    host.run_with(&["systemd-creds", "encrypt", "--name=key", "-", "/etc/key"], b"secret").await?;
    assert_eq!(host.run(&["systemd-creds", "decrypt", "--name=key", "/etc/key", "-"]).await?, "secret");
    Ok(())
}

#[tokio::test]
async fn a_power_cut_keeps_the_disk_and_the_logs() -> Result<()> {
    let bed = Testbed::new().await?;
    let host = bed.boot("asterra").await?;
    host.write_file("/etc/hms-test", "kept\n").await?;
    let before = host.run(&["cat", "/proc/sys/kernel/random/boot_id", "/etc/machine-id"]).await?;
    host.run(&["systemd-cat", "--identifier=hms-test", "echo", "written before the cut"]).await?;
    host.run(&["journalctl", "--sync"]).await?;

    host.power_cut().await?;
    ensure!(!host.is_up());
    ensure!(host.exec(&["true"]).await.is_err(), "a program ran on a host without power");
    host.start().await?;

    assert_eq!(host.read_file("/etc/hms-test").await?, "kept\n");
    let log = host.run(&["journalctl", "--identifier=hms-test", "--output=cat"]).await?;
    assert_eq!(log, "written before the cut\n");
    let after = host.run(&["cat", "/proc/sys/kernel/random/boot_id", "/etc/machine-id"]).await?;
    assert_eq!(before.lines().nth(1), after.lines().nth(1), "the machine id changed");
    Ok(())
}

#[tokio::test]
async fn a_host_reboots_and_shuts_down_in_order() -> Result<()> {
    let bed = Testbed::new().await?;
    let host = bed.boot("asterra").await?;
    host.write_file("/etc/hms-test", "kept\n").await?;
    let leader = host.leader()?;
    host.reboot().await?;
    ensure!(host.leader()? != leader);
    host.shut_down().await?;
    host.start().await?;
    assert_eq!(host.read_file("/etc/hms-test").await?, "kept\n");
    Ok(())
}

#[tokio::test]
async fn a_partition_cuts_the_network_and_heals() -> Result<()> {
    let bed = Testbed::new().await?;
    let (asterra, borealis) = tokio::try_join!(bed.boot("asterra"), bed.boot("borealis"))?;
    asterra.run(&["systemctl", "start", "ssh.service"]).await?;
    let fetch = ["timeout", "1", "bash", "-c", "exec 3<>/dev/tcp/asterra/22"];
    borealis.run_until(Duration::from_secs(10), &fetch).await?;
    ensure!(reachable(asterra.address()).await);

    asterra.partition()?;
    ensure!(!borealis.exec(&fetch).await?.success(), "the other host still reaches it");
    ensure!(!reachable(asterra.address()).await, "the machine still reaches it");
    asterra.run(&["systemctl", "is-active", "ssh.service"]).await?;

    asterra.heal()?;
    borealis.run_until(Duration::from_secs(10), &fetch).await?;
    Ok(())
}

#[tokio::test]
async fn two_beds_do_not_collide() -> Result<()> {
    let (one, two) = tokio::try_join!(Testbed::new(), Testbed::new())?;
    ensure!(one.slot() != two.slot());
    let (first, second) = tokio::try_join!(one.boot("asterra"), two.boot("asterra"))?;
    ensure!(first.address() != second.address());
    first.write_file("/etc/hms-test", "first\n").await?;
    ensure!(!second.exec(&["test", "-e", "/etc/hms-test"]).await?.success(), "the two share a disk");
    second.run(&["systemctl", "start", "ssh.service"]).await?;
    let across = format!("exec 3<>/dev/tcp/{}/22", second.address());
    ensure!(
        !first.exec(&["timeout", "1", "bash", "-c", &across]).await?.success(),
        "one bed reaches the other"
    );
    drop(first);
    drop(one);
    second.run(&["true"]).await?;
    Ok(())
}

#[tokio::test]
async fn a_bound_folder_is_seen_and_written_by_the_host() -> Result<()> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("greeting"), "hello\n")?;
    let bed = Testbed::new().await?;
    let binds = vec![
        Bind::read_only(folder.path().join("greeting"), "/usr/share/greeting"),
        Bind::writable(folder.path(), "/mnt/shared"),
    ];
    let host = bed.boot_with("asterra", HostOptions { binds }).await?;
    assert_eq!(host.read_file("/usr/share/greeting").await?, "hello\n");
    host.write_file("/mnt/shared/answer", "hello yourself\n").await?;
    assert_eq!(std::fs::read_to_string(folder.path().join("answer"))?, "hello yourself\n");
    ensure!(host.write_file("/usr/share/greeting", "no").await.is_err());
    Ok(())
}

#[tokio::test]
async fn leftovers_of_a_killed_run_are_cleared() -> Result<()> {
    let (slot, address) = abandoned_host().await?;
    // Slots are taken lowest first: keep taking until the abandoned one is ours.
    let mut beds = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !beds.iter().any(|bed: &Testbed| bed.slot() == slot) {
        // Another test may hold it meanwhile, and then it has cleared it.
        if beds.len() >= 8 || Instant::now() > deadline {
            break;
        }
        beds.push(Testbed::new().await?);
    }
    let Some(bed) = beds.iter().find(|bed| bed.slot() == slot) else { return Ok(()) };
    ensure!(!reachable(address).await, "the abandoned host still runs");
    let host = bed.boot("asterra").await?;
    assert_eq!(host.address(), address);
    ensure!(!host.exec(&["test", "-e", "/etc/abandoned"]).await?.success(), "the disk was not cleared");
    Ok(())
}

/// A host that still runs although the process that booted it is dead.
async fn abandoned_host() -> Result<(u8, Ipv4Addr)> {
    for _ in 0..5 {
        let (slot, address) = abandon_a_host().await?;
        if reachable(address).await {
            return Ok((slot, address));
        }
        // A test that started just then has taken the slot, and so cleared it.
    }
    bail!("a killed run leaves no host behind: nothing to test");
}

/// Boots a host in a process of its own, and kills that process.
async fn abandon_a_host() -> Result<(u8, Ipv4Addr)> {
    let mut child = tokio::process::Command::new(std::env::current_exe()?)
        .args(["--exact", "testbed::the_run_that_gets_killed", "--nocapture", "--ignored"])
        .env(ABANDON, "1")
        .stdout(Stdio::piped())
        .spawn()?;
    let mut lines = BufReader::new(child.stdout.take().context("no output to read")?).lines();
    let mut told = None;
    while let Some(line) = lines.next_line().await? {
        // The test harness writes on the same line before us.
        if let Some((_, rest)) = line.split_once("abandoned ") {
            told = rest.split_once(' ').map(|(slot, address)| (slot.to_owned(), address.to_owned()));
            break;
        }
    }
    child.kill().await?;
    let (slot, address) = told.context("the other process booted no host")?;
    Ok((slot.parse()?, address.parse()?))
}

#[tokio::test]
#[ignore = "run by leftovers_of_a_killed_run_are_cleared in a process of its own"]
async fn the_run_that_gets_killed() -> Result<()> {
    if std::env::var_os(ABANDON).is_none() {
        return Ok(());
    }
    let bed = Testbed::new().await?;
    let host: Host = bed.boot("asterra").await?;
    host.write_file("/etc/abandoned", "").await?;
    host.run(&["systemctl", "start", "ssh.service"]).await?;
    println!("abandoned {} {}", bed.slot(), host.address());
    std::future::pending().await
}

/// Whether sshd on a host can be reached from the machine.
async fn reachable(address: Ipv4Addr) -> bool {
    matches!(timeout(Duration::from_secs(1), TcpStream::connect((address, 22))).await, Ok(Ok(_)))
}
