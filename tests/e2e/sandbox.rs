//! What the services may do on their host, as systemd sees it: the score may fall, and never rise.

use anyhow::{Context as _, Result, ensure};
use hms_tests::world::World;

/// The exposure of each service, from 0 (none) to 10. The agent reads logs that belong to nginx and to the apps.
const WORST: [(&str, f64); 3] =
    [("hms-agent.service", 2.5), ("hms-controller.service", 1.3), ("hms-migrate.service", 1.1)];

#[tokio::test]
async fn the_services_are_no_more_exposed_than_they_were() -> Result<()> {
    let world = World::single().await?;
    for (unit, worst) in WORST {
        let said = world.controller_host().run(&["systemd-analyze", "security", "--no-pager", unit]).await?;
        let score = said.lines().find(|line| line.contains("Overall exposure level")).context("no score")?;
        let score: f64 = score.split_whitespace().find_map(|word| word.parse().ok()).context("no number")?;
        eprintln!("{unit}: {score}");
        ensure!(score <= worst, "{unit} is exposed at {score}, which is more than {worst}");
    }
    Ok(())
}

/// Half-open connections are dropped, and whoever knows the way in still gets through: security cases 99 and 101.
#[tokio::test]
async fn half_open_connections_do_not_keep_others_out() -> Result<()> {
    let world = World::single().await?;
    let host = world.controller_host();
    let mut open = Vec::new();
    for port in [8443, 9443, 9444] {
        for _ in 0..400 {
            open.push(tokio::net::TcpStream::connect((host.address(), port)).await?);
        }
    }
    // From another address, as the flood fills the places of its own.
    let fine = host
        .run(&["curl", "--silent", "--insecure", "--max-time", "5", "https://127.0.0.1:8443/livez"])
        .await?;
    assert_eq!(fine, "ok");
    tokio::time::sleep(std::time::Duration::from_secs(6)).await;
    let said = world.hmsctl(&["apps", "restart", "cigar"]).await?;
    ensure!(said.code == 0, "exit {}: {}", said.code, said.stderr);
    for unit in ["hms-agent.service", "hms-controller.service"] {
        let pid = host.run(&["systemctl", "show", unit, "--value", "-p", "MainPID"]).await?;
        let status = host.read_file(format!("/proc/{}/status", pid.trim())).await?;
        let resident = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse::<u64>().ok());
        let resident = resident.context("VmRSS")?;
        ensure!(resident < 200 * 1024, "{unit} has {resident} KiB");
    }
    drop(open);
    Ok(())
}
