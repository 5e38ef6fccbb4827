//! Installs the agent on a host and joins it to the controller.

use anyhow::{Context, Result};

use crate::paths;
use crate::testbed::Host;

const UNIT: &str = "hms-agent.service";

/// The unit file; the program is there already.
pub(super) async fn install(host: &Host) -> Result<()> {
    let unit = paths::repository().join("agent").join(UNIT);
    let unit = std::fs::read(&unit).with_context(|| format!("cannot read {}", unit.display()))?;
    host.write_file(format!("/etc/systemd/system/{UNIT}"), unit).await?;
    super::measure_coverage(host, UNIT).await
}

/// Gives the agent its identity, for the token that the controller handed out, and starts it.
pub(super) async fn join(host: &Host, controller: &Host, token: &str) -> Result<()> {
    let url = format!("https://{}:8443", controller.address());
    host.run_with(&["hms-agent", "join", "--controller", &url], token.as_bytes()).await?;
    host.run(&["systemctl", "enable", "--now", UNIT]).await?;
    Ok(())
}
