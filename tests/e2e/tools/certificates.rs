//! Certificates that are good, old, not served, and not there.

use std::time::{Duration, SystemTime};

use anyhow::{Result, ensure};
use hms_proto::report::Level;
use hms_tests::testbed::Host;
use rcgen::{CertificateParams, DnType, KeyPair};

use super::{run, run_json};

const LIVE: &str = "/etc/letsencrypt/live";
const DAY: Duration = Duration::from_secs(86_400);

/// Writes a certificate that began and ends so many days from now.
async fn issue(host: &Host, name: &str, began: u32, ends: i32) -> Result<()> {
    let mut params = CertificateParams::new(vec![name.to_owned()])?;
    params.distinguished_name.push(DnType::OrganizationName, "A \"|\\ Company");
    let now = SystemTime::now();
    params.not_before = (now - DAY * began).into();
    // An hour more, so that the days are whole ones also a moment later.
    let ends = match ends >= 0 {
        true => now + DAY * ends.unsigned_abs() + DAY / 24,
        false => now - DAY * ends.unsigned_abs(),
    };
    params.not_after = ends.into();
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    host.write_file_mode(format!("{LIVE}/{name}/privkey.pem"), key.serialize_pem(), 0o600).await?;
    host.write_file(format!("{LIVE}/{name}/fullchain.pem"), certificate.pem()).await
}

pub(super) async fn states(host: &Host) -> Result<()> {
    run(host, "check_certificates", &[], false).await?.says(0, &["None"])?;
    for (name, began, ends) in [
        ("good.test", 10, 80),
        ("soon.test", 70, 20),
        ("now.test", 85, 5),
        ("old.test", 91, -1),
        ("long.test", 3000, 650),
    ] {
        issue(host, name, began, ends).await?;
    }
    // Only root sees what is in it.
    host.run(&["chmod", "700", LIVE]).await?;
    let said = run_json(host, "check_certificates", &[]).await?;
    let file = |name: &str| format!("{LIVE}/{name}/fullchain.pem");
    said.finds(Level::Ok, &file("good.test"), "good for 80 days")?;
    said.finds(Level::Warning, &file("soon.test"), "expires in 20 days")?;
    said.finds(Level::Critical, &file("now.test"), "expires in 5 days")?;
    said.finds(Level::Critical, &file("old.test"), "expired")?;
    said.finds(Level::Ok, &file("long.test"), "good for 650 days")?;
    ensure!(said.json()?["certificates"].to_string().contains(r#"A \"|\\ Company"#), "{said:?}");
    for name in ["soon.test", "now.test", "old.test", "long.test"] {
        host.run(&["rm", "-r", &format!("{LIVE}/{name}")]).await?;
    }
    served(host).await?;
    hostile_configuration(host).await
}

async fn served(host: &Host) -> Result<()> {
    let site = format!(
        "server {{ # not {{ a block\n  listen 8444 ssl;\n  server_name \"good.test\" www.good.test;\n  \
         ssl_certificate {LIVE}/good.test/fullchain.pem;\n  ssl_certificate_key {LIVE}/good.test/privkey.pem;\n  \
         location / {{ return 204; }}\n}}\n"
    );
    host.write_file("/etc/nginx/conf.d/tls.conf", site).await?;
    host.run(&["systemctl", "reload", "nginx.service"]).await?;
    let said = super::super::support::eventually(Duration::from_secs(20), async || {
        let said = run_json(host, "check_certificates", &[]).await?;
        said.finds(Level::Ok, "good.test:8444", "serves what is in")?;
        Ok(said)
    })
    .await?;
    ensure!(said.code == 0, "{said:?}");

    // Renewed on the disk, and nobody told nginx.
    issue(host, "good.test", 0, 90).await?;
    let said = run_json(host, "check_certificates", &[]).await?;
    said.finds(Level::Critical, "good.test:8444", "still serves an older certificate")?;
    run(host, "check_certificates", &[], false)
        .await?
        .says(2, &["systemctl reload nginx", "A \" \\ Company"])?;
    host.run(&["bash", "-c", "echo 127.0.0.1 good.test >> /etc/hosts"]).await?;
    let from_outside = [("host", "good.test"), ("port", "8444")];
    let said = run_json(host, "check_certificates", &from_outside).await?;
    said.finds(Level::Critical, "good.test:8444", "serves an older certificate")?;
    said.finds(Level::Warning, "good.test:8444", "would not trust it")?;
    let closed = [("host", "good.test"), ("port", "8445")];
    run_json(host, "check_certificates", &closed).await?.finds(
        Level::Critical,
        "good.test:8445",
        "no TLS connection",
    )
}

/// A configuration may name any file: what is in it is not shown, and what it names is not run.
async fn hostile_configuration(host: &Host) -> Result<()> {
    let site = "server { listen 8444 ssl; server_name -x $(touch$IFS/canary) `touch`; ssl_certificate /etc/shadow; }\n\
                server { listen 1:a[$(id)] ssl; server_name a;b; ssl_certificate '/etc/ssl/$(touch /canary).pem'; }\n\
                ssl_certificate -rf; ssl_certificate $variable;\n";
    host.write_file("/etc/nginx/conf.d/tls.conf", site).await?;
    let said = run_json(host, "check_certificates", &[]).await?;
    said.finds(Level::Critical, "/etc/shadow", "not a certificate")?;
    said.finds(Level::Critical, "/etc/nginx/-rf", "not there")?;
    ensure!(!said.said.contains("root:"), "{said:?}");
    ensure!(!host.exec(&["test", "-e", "/canary"]).await?.success(), "something was run");
    host.run(&["rm", "/etc/nginx/conf.d/tls.conf"]).await?;
    Ok(())
}
