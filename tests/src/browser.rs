//! Runs the scripts in tests/browser, which use HMS through a real browser.

use std::fs::{self, OpenOptions};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::process::Command;
use tokio::time::timeout;

use crate::command::{last_lines, run_with};
use crate::paths;
use crate::testbed::collect;
use crate::world::{ADMIN, World};

/// A script that hangs must not hold its hosts for ever.
const LIMIT: Duration = Duration::from_secs(600);

/// Runs a script of tests/browser against a world, as the administrator, with more variables if it needs them.
pub async fn run(world: &World, script: &str, variables: &[(&str, &str)]) -> Result<String> {
    let url = world.url();
    let mut leaders = Vec::new();
    for host in world.hosts() {
        leaders.push(format!("{}={}", host.name(), host.leader()?.as_raw_nonzero()));
    }
    let leaders = leaders.join(",");
    let given = [
        ("HMS_URL", url.as_str()),
        ("HMS_USERNAME", ADMIN),
        ("HMS_PASSWORD", world.password()),
        ("HMS_HOSTS", leaders.as_str()),
    ];
    // A browser breaks off every connection when the network of its machine changes, as it does here with every host
    // that boots beside it: it gets the network of the controller's host, which has no way to anybody else either.
    let network = format!("--net=/proc/{}/ns/net", world.controller_host().leader()?.as_raw_nonzero());
    let mut node = Command::new("nsenter");
    node.args([network.as_str(), "--", "node", script]);
    start(node, script, &[&given[..], variables].concat()).await
}

/// Runs a script of tests/browser with these variables and returns what it printed.
pub async fn run_script(script: &str, variables: &[(&str, &str)]) -> Result<String> {
    let mut node = Command::new("node");
    node.arg(script);
    start(node, script, variables).await
}

async fn start(mut node: Command, script: &str, variables: &[(&str, &str)]) -> Result<String> {
    let folder = paths::repository().join("tests/browser");
    tokio::task::spawn_blocking({
        let folder = folder.clone();
        move || install(&folder)
    })
    .await??;
    node.current_dir(&folder).envs(variables.iter().copied()).kill_on_drop(true);
    let output = timeout(LIMIT, collect(node, b"")).await.with_context(|| format!("{script} hangs"))??;
    if !output.success() {
        bail!("{script} failed:\n{}", last_lines(&format!("{}\n{}", output.stdout, output.stderr), 40));
    }
    Ok(output.stdout)
}

/// `npm ci`, unless the packages of this very lock file are there.
pub(crate) fn install(folder: &Path) -> Result<()> {
    let guard =
        OpenOptions::new().create(true).write(true).truncate(false).open(paths::cache().join("npm.lock"))?;
    guard.lock().context("cannot lock the browser tests' packages")?;
    let wanted = fs::read_to_string(folder.join("package-lock.json"))?;
    let stamp = folder.join("node_modules/.installed-lock");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    // Install scripts are never run: the browser is Debian's.
    run_with(&["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"], |npm| {
        npm.current_dir(folder);
        if std::env::var_os("npm_config_cache").is_none() {
            npm.env("npm_config_cache", paths::cache().join("npm"));
        }
    })?;
    fs::write(stamp, wanted)?;
    Ok(())
}
