//! Installs the controller on a host.

use anyhow::{Context, Result};

use super::ADMIN;
use crate::paths;
use crate::testbed::Host;

const UNIT: &str = "hms-controller.service";
const MIGRATE: &str = "hms-migrate.service";

/// Database, master key, unit: after this the controller runs.
pub(super) async fn install(host: &Host) -> Result<()> {
    // The base image has the database and its users already.
    host.run(&["systemctl", "enable", "--now", "postgresql.service"]).await?;
    seal_master_key(host).await?;
    for name in [UNIT, MIGRATE] {
        let unit = paths::repository().join("controller").join(name);
        let unit = std::fs::read(&unit).with_context(|| format!("cannot read {}", unit.display()))?;
        host.write_file(format!("/etc/systemd/system/{name}"), unit).await?;
        super::measure_coverage(host, name).await?;
    }
    let names = format!("[Service]\nEnvironment=HMS_NAMES={},{}\n", host.address(), host.name());
    host.write_file(format!("/etc/systemd/system/{UNIT}.d/10-names.conf"), names).await?;
    // It has systemd read the new files, too.
    let started = host.run(&["systemctl", "enable", "--now", UNIT]).await;
    if started.is_err() {
        let log = host.run(&["journalctl", "--unit", UNIT, "--lines=20", "--output=cat"]).await?;
        return started.map(drop).context(log);
    }
    Ok(())
}

/// Adds the first account and returns its password.
pub(super) async fn add_admin(host: &Host) -> Result<String> {
    let argv = ["hms-controller", "user", "add", ADMIN, "--role", "admin"];
    let password = uuid::Uuid::new_v4().simple().to_string();
    host.run_with(&as_hms(&argv), password.as_bytes()).await?;
    Ok(password)
}

/// The root certificate of the installation, in PEM.
pub(super) async fn root_certificate(host: &Host) -> Result<String> {
    host.run(&as_hms(&["hms-controller", "ca"])).await
}

/// The key that seals secrets in the database, bound to this host.
async fn seal_master_key(host: &Host) -> Result<()> {
    let key = [uuid::Uuid::new_v4().into_bytes(), uuid::Uuid::new_v4().into_bytes()].concat();
    host.run(&["mkdir", "-p", "/etc/credstore.encrypted"]).await?;
    let target = "/etc/credstore.encrypted/hms-master-key";
    host.run_with(&["systemd-creds", "encrypt", "--name=master-key", "-", target], &key).await?;
    Ok(())
}

/// The database lets a user in by the name the system knows: no password exists.
fn as_hms<'a>(argv: &[&'a str]) -> Vec<&'a str> {
    [&["runuser", "-u", "hms", "--"], argv].concat()
}
