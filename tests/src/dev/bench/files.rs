//! Searching an access log, through the whole path and by `grep`, `zgrep` and ripgrep in the host.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use hms_proto::host::v1::{LogKind, LogQuery, LogSource, log_service_client::LogServiceClient};
use hms_tests::command::run_with;
use hms_tests::world::World;
use hms_tests::{paths, people};
use tonic::transport::Channel;

use super::logs::read;
use super::million;
use super::table::{Table, in_turn};

const PLAIN: &str = "/var/log/nginx/million.access.log";
/// Its two older parts, compressed.
const OLDER: [&str; 2] = ["/var/log/nginx/quarter.access.log.2.gz", "/var/log/nginx/quarter.access.log.3.gz"];
/// Hosts are not made with it: nothing else needs it.
const RG: &str = "/usr/local/bin/rg";
const PROBE: &str = "wp-login-probe";
const REGEX: &str = "products/4242\\d\\?page=1\\d HTTP";

pub(super) async fn measure(world: &World, table: &mut Table) -> Result<()> {
    let host = world.controller_host();
    eprintln!("making an access log of 1 GiB");
    let made = million::access()?;
    let target = |path: &str| host.root().join(path.trim_start_matches('/'));
    std::fs::copy(made.join("access.log"), target(PLAIN))?;
    for path in OLDER {
        std::fs::copy(made.join("quarter.log.gz"), target(path))?;
    }
    std::fs::copy(ripgrep()?, target(RG))?;
    let mut logs = people::log_in_as_admin(world).await?.logs(&world.grpc())?;
    plain(world, &mut logs, table).await?;
    let ours = query("quarter.access.log", PROBE, 1000);
    let argv = [&["zgrep", PROBE][..], &OLDER].concat();
    let run = async || read(&mut logs, ours.clone()).await.map(drop);
    let (ours, peer) = in_turn(2, run, async || host.run(&argv).await.map(drop)).await?;
    table.compare("nginx, a pattern in two compressed logs of 256 MiB", ours, "zgrep", peer);
    Ok(())
}

/// ripgrep of this release of Debian, unpacked in the cache.
fn ripgrep() -> Result<PathBuf> {
    let folder = paths::cache().join("ripgrep");
    let program = folder.join("usr/bin/rg");
    if !program.exists() {
        std::fs::create_dir_all(&folder)?;
        run_with(&["apt-get", "download", "-q", "ripgrep"], |apt| {
            apt.current_dir(&folder);
        })?;
        let files = std::fs::read_dir(&folder)?.collect::<std::io::Result<Vec<_>>>()?;
        let package = files
            .iter()
            .map(std::fs::DirEntry::path)
            .find(|path| path.extension().is_some_and(|e| e == "deb"));
        let package = package.context("apt-get downloaded no package")?;
        run_with(&["dpkg-deb", "--extract", &package.to_string_lossy(), &folder.to_string_lossy()], |_| {})?;
    }
    Ok(program)
}

/// grep writes what it found to a pipe: to /dev/null, it would stop at the first match.
async fn plain(world: &World, logs: &mut LogServiceClient<Channel>, table: &mut Table) -> Result<()> {
    let host = world.controller_host();
    let last = format!("grep ' 502 ' {PLAIN} | tail -n 100");
    for (work, ours, peer, argv) in [
        (
            "nginx 1 GiB, a literal",
            query("million.access.log", PROBE, 1000),
            "grep",
            vec!["grep", PROBE, PLAIN],
        ),
        (
            "nginx 1 GiB, a literal, against ripgrep",
            query("million.access.log", PROBE, 1000),
            "rg",
            vec![RG, "--no-config", PROBE, PLAIN],
        ),
        (
            "nginx 1 GiB, a regular expression",
            query("million.access.log", REGEX, 1000),
            "grep -P",
            vec!["grep", "-P", REGEX, PLAIN],
        ),
        (
            "nginx 1 GiB, a regular expression, against ripgrep",
            query("million.access.log", REGEX, 1000),
            "rg",
            vec![RG, "--no-config", REGEX, PLAIN],
        ),
        (
            "nginx 1 GiB, the last 100 that match",
            query("million.access.log", " 502 ", 100),
            "grep, tail",
            vec!["bash", "-c", &last],
        ),
    ] {
        let run = async || read(logs, ours.clone()).await.map(drop);
        let (ours, theirs) = in_turn(3, run, async || host.run(&argv).await.map(drop)).await?;
        table.compare(work, ours, peer, theirs);
    }
    Ok(())
}

fn query(name: &str, grep: &str, limit: u32) -> LogQuery {
    let source = LogSource { kind: LogKind::NginxAccess.into(), name: name.into(), ..LogSource::default() };
    LogQuery { sources: vec![source], grep: grep.into(), limit, ..LogQuery::default() }
}
