//! Apps, logs, disks, services and databases that are well, and that are not.

use anyhow::{Result, ensure};
use hms_proto::report::Level;
use hms_tests::rails::RailsApp;
use hms_tests::testbed::Host;

use super::{boot, certificates, run, run_json};

const APP: &str = "puma-cigar.service";

/// One host for all of it: each part leaves it as it found it.
#[tokio::test]
async fn every_tool_tells_what_is_well_from_what_is_not() -> Result<()> {
    let host = boot().await?;
    let app = RailsApp::install(&host, "cigar").await?;
    logs(&host, &app).await?;
    status(&host).await?;
    disks(&host).await?;
    restarts(&host, &app).await?;
    databases(&host).await?;
    certificates::states(&host).await
}

async fn sh(host: &Host, script: &str) -> Result<String> {
    host.run(&["bash", "-euc", script]).await
}

async fn logs(host: &Host, app: &RailsApp) -> Result<()> {
    let all_well = run(host, "parse_logs", &[("app", "cigar")], false).await?;
    all_well.says(0, &["Nothing matches"])?;
    for id in 11..14 {
        app.get(host, "/orders/report").await.expect_err("the report is broken");
        app.get(host, &format!("/products/{id}?page=2")).await.expect_err("there is no such product");
    }
    // A line that would move a cursor, and end a string or a field of the output.
    sh(host, "printf 'error \\033]0;owned\\007 \\377 \"quoted\\\\ 192.0.2.7\\n' | systemd-cat -t visitor; journalctl --sync").await?;
    let human = run(host, "parse_logs", &[("app", "cigar")], false).await?;
    human.says(0, &["ZeroDivisionError (divided by #)", "No product with id=#", "lines match"])?;

    let said = run_json(host, "parse_logs", &[("app", "cigar"), ("limit", "2")]).await?.json()?;
    let groups = said["groups"].as_array().map_or(&[][..], Vec::as_slice);
    ensure!(groups.len() == 2 && groups[0]["count"] == 3 && said["matches"].as_u64() >= Some(9), "{said:#}");
    ensure!(groups[0]["first"].as_u64() <= groups[0]["last"].as_u64(), "{said:#}");
    let whole = run(host, "parse_logs", &[("limit", "100")], false).await?;
    whole.says(0, &["visitor", "\"quoted\\ <address>"])?;
    ensure!(!whole.said.contains("\u{1b}]") && !whole.said.contains('\u{7}'), "{:?}", whole.said);
    run_json(host, "parse_logs", &[("limit", "100")]).await?.json()?;

    let access = [("app", "cigar"), ("source", "nginx_access")];
    let said = run_json(host, "parse_logs", &access).await?.json()?;
    ensure!(said["statuses"]["5xx"] == 3 && said["statuses"]["4xx"] == 3, "{said:#}");
    run(host, "parse_logs", &access, false)
        .await?
        .says(0, &["500 GET /orders/report", "404 GET /products/#"])?;
    let one = [("source", "nginx_access"), ("pattern", "^127.*products/12")];
    ensure!(run_json(host, "parse_logs", &one).await?.json()?["matches"] == 1);
    // Good for the manifest, but not for the programs that search.
    for source in ["journal", "nginx_access"] {
        let odd = run_json(host, "parse_logs", &[("source", source), ("pattern", "(?u)x")]).await?;
        odd.says(3, &["error"])?;
        odd.json()?;
    }
    run(host, "parse_logs", &[("app", "nope"), ("source", "nginx_error")], false).await?.says(3, &["no log"])
}

async fn status(host: &Host) -> Result<()> {
    run(host, "check_status", &[], false)
        .await?
        .says(0, &[APP, "nginx.service", "active (running)", "200 in"])?;
    run_json(host, "check_status", &[]).await?.finds(Level::Ok, APP, "answers /up with 200")?;
    let health = [("health", "/orders/report")];
    run_json(host, "check_status", &health).await?.finds(Level::Critical, APP, "status 500")?;
    let odd = [("health", "/up?a b[1-2]{c,d}'\"")];
    run_json(host, "check_status", &odd).await?.findings()?;

    sh(host, &format!("systemctl stop {APP}")).await?;
    let stopped = run_json(host, "check_status", &[]).await?;
    stopped.finds(Level::Critical, APP, "not running although it should be")?;
    run(host, "check_status", &[("unit", APP)], false).await?.says(2, &["systemctl start"])?;
    sh(host, &format!("systemctl start {APP}; systemctl kill --kill-who=main --signal=STOP {APP}")).await?;
    let hangs = run_json(host, "check_status", &[]).await;
    sh(host, &format!("systemctl kill --kill-who=main --signal=CONT {APP}")).await?;
    hangs?.finds(Level::Critical, APP, "does not answer /up")?;

    host.write_file(
        "/etc/systemd/system/puma-loop.service",
        "[Service]\nExecStart=/bin/sh -c 'exit 4'\nRestart=always\nRestartSec=60\n",
    )
    .await?;
    sh(host, "systemctl daemon-reload; systemctl start --no-block puma-loop.service; sleep 1").await?;
    let broken = run_json(host, "check_status", &[]).await?;
    broken.finds(Level::Critical, "puma-loop.service", "exit status 4")?;
    sh(
        host,
        "systemctl stop puma-loop.service; rm /etc/systemd/system/puma-loop.service; systemctl daemon-reload",
    )
    .await?;
    run(host, "check_status", &[("unit", "nope.service")], false)
        .await?
        .says(3, &["no unit `nope.service`"])?;
    run_json(host, "check_status", &[("unit", "nope.service")]).await?.json()?;
    Ok(())
}

async fn disks(host: &Host) -> Result<()> {
    run(host, "check_disk_space", &[("warning", "99"), ("critical", "100")], false)
        .await?
        .says(0, &["MOUNT", "/"])?;
    run_json(host, "check_disk_space", &[("warning", "90"), ("critical", "80")])
        .await?
        .says(3, &["is above"])?;
    let limits = [("warning", "80"), ("critical", "90")];
    sh(host, "mkdir -p /mnt/small && mount -t tmpfs -o size=8M,nr_inodes=40 tmpfs /mnt/small").await?;
    let fill = |kib: u32| {
        format!("mkdir -p '/mnt/small/a \"b\\|c'; head -c {kib}K /dev/zero > '/mnt/small/a \"b\\|c/f'")
    };
    sh(host, &fill(7_000)).await?;
    run_json(host, "check_disk_space", &limits).await?.finds(Level::Warning, "/mnt/small", "86 % full")?;
    sh(host, &fill(7_800)).await?;
    let full = run_json(host, "check_disk_space", &limits).await?;
    full.finds(Level::Critical, "/mnt/small", "96 % full")?;
    let folders = full.json()?["largest_folders"].to_string();
    ensure!(folders.contains(r#"/mnt/small/a \"b\\|c"#), "{folders}");
    run(host, "check_disk_space", &limits, false)
        .await?
        .says(2, &["Largest folders", "/mnt/small/a", "✗"])?;

    sh(host, "rm -r /mnt/small/*; touch /mnt/small/{1..38}").await?;
    run_json(host, "check_disk_space", &limits).await?.finds(Level::Critical, "/mnt/small", "inodes")?;
    // Deleted, but open: the space is not free, and no folder has it.
    sh(host, "rm /mnt/small/*; head -c 7000K /dev/zero > /mnt/small/gone; touch /mnt/small/left").await?;
    sh(host, "systemd-run --quiet --unit=holder tail -f /mnt/small/gone; sleep 1; rm /mnt/small/gone; head -c 4K /dev/zero > /mnt/small/left").await?;
    run_json(host, "check_disk_space", &limits).await?.finds(
        Level::Warning,
        "/mnt/small",
        "still has open",
    )?;
    sh(host, "systemctl stop holder.service; umount /mnt/small").await?;
    Ok(())
}

async fn restarts(host: &Host, app: &RailsApp) -> Result<()> {
    let pid = async |unit: &str| host.run(&["systemctl", "show", "--value", "-p", "MainPID", unit]).await;
    let before = pid(APP).await?;
    let unit = [("unit", APP), ("watch", "1s")];
    run(host, "restart_service", &unit, false)
        .await?
        .says(0, &["before", "after", "was restarted and stayed up"])?;
    ensure!(pid(APP).await? != before);
    app.wait_until_up(host).await?;
    let said = run_json(host, "restart_service", &unit).await?;
    ensure!(said.json()?["stays_up"] == true && said.code == 0, "{said:?}");

    host.write_file(
        "/etc/systemd/system/broken.service",
        "[Service]\nExecStart=/bin/sh -c 'echo no database here; exit 4'\n",
    )
    .await?;
    host.run(&["ln", "-s", "/lib/systemd/system/dbus.service", "/etc/systemd/system/innocent.service"])
        .await?;
    host.run(&["systemctl", "daemon-reload"]).await?;
    let broken = [("unit", "broken.service"), ("watch", "2s")];
    run(host, "restart_service", &broken, false).await?.says(1, &["no database here", "exit status 4"])?;
    let said = run_json(host, "restart_service", &broken).await?;
    ensure!(
        said.json()?["stays_up"] == false && said.json()?["log"].to_string().contains("no database"),
        "{said:?}"
    );

    let bus = pid("dbus.service").await?;
    for unit in [
        "hms-agent.service",
        "dbus.service",
        "dbus.socket",
        "innocent.service",
        "ssh.service",
        "systemd-journald.service",
        "systemd-reboot.service",
        "reboot.target",
        "multi-user.target",
        "nope.service",
    ] {
        let refused = run(host, "restart_service", &[("unit", unit)], false).await?;
        ensure!(refused.code == 3 && refused.said.contains("error:"), "{unit}: {refused:?}");
    }
    ensure!(pid("dbus.service").await? == bus, "the message bus was restarted");
    host.run(&["rm", "/etc/systemd/system/innocent.service", "/etc/systemd/system/broken.service"]).await?;
    Ok(())
}

async fn databases(host: &Host) -> Result<()> {
    let cigar = [("app", "cigar")];
    let down = run_json(host, "check_database", &cigar).await?;
    down.finds(Level::Critical, "server", "does not answer")?;
    run(host, "check_database", &cigar, false).await?.says(2, &["systemctl start postgresql"])?;

    sh(host, "systemctl start postgresql; cd /; runuser -u postgres -- createuser cigar").await?;
    let missing = run_json(host, "check_database", &cigar).await?;
    missing.finds(Level::Critical, "cigar_production", "does not exist")?;
    sh(host, "cd /; runuser -u postgres -- createdb --owner=cigar cigar_production").await?;
    let well = run_json(host, "check_database", &cigar).await?;
    well.finds(Level::Ok, "cigar_production", "connects as `cigar`")?;
    ensure!(well.json()?["connections"].is_u64(), "{well:?}");
    run(host, "check_database", &[], false).await?.says(0, &["PostgreSQL", "Connections"])?;

    let stranger = run_json(host, "check_database", &[("app", "tobacco")]).await?;
    stranger.finds(Level::Critical, "tobacco_production", "Peer authentication failed")?;
    ensure!(stranger.said.contains("no user `tobacco`"), "{stranger:?}");
    let by_password = [("host", "localhost"), ("user", "cigar"), ("dbname", "cigar_production")];
    run_json(host, "check_database", &by_password).await?.finds(
        Level::Critical,
        "cigar_production",
        "no password",
    )?;
    let elsewhere = [("host", "localhost"), ("port", "5999"), ("app", "cigar")];
    run_json(host, "check_database", &elsewhere).await?.finds(Level::Critical, "server", "port 5999")?;

    let few = "alter system set max_connections = 8";
    sh(host, &format!("cd /; runuser -u postgres -- psql -qc '{few}'; systemctl restart postgresql")).await?;
    let sleep = "for i in 1 2 3; do systemd-run --quiet --unit=sleeper-$RANDOM$i --property=User=cigar psql -qc 'select pg_sleep(900)' cigar_production; done; sleep 3";
    sh(host, sleep).await?;
    let slow = run_json(host, "check_database", &[("app", "cigar"), ("longest", "1s")]).await?;
    slow.finds(Level::Warning, "queries", "a query runs since")?;
    sh(host, sleep).await?;
    let full = run_json(host, "check_database", &cigar).await?;
    full.finds(Level::Critical, "cigar_production", "remaining connection slots")?;
    sh(host, "systemctl stop 'sleeper-*'; systemctl stop postgresql").await?;
    Ok(())
}
