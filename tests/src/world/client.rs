//! The ways people use HMS: hmsctl with a configuration of its own, and an HTTPS client.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use super::{ADMIN, World};
use crate::command::last_lines;
use crate::rails::RailsApp;
use crate::testbed::{Host, Output, collect};

/// From a cold start on a busy machine.
const READY_LIMIT: Duration = Duration::from_secs(60);

/// How often something that should soon be true is looked at.
const GLANCE: Duration = Duration::from_millis(50);

/// `hmsctl` as one person uses it: with its own contexts and keys.
#[derive(Clone, Debug)]
pub struct Hmsctl {
    program: PathBuf,
    config: PathBuf,
}

impl Hmsctl {
    /// A command that is not started yet, for callers that read its output as it comes.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).env("HMS_CONFIG_DIR", &self.config).env("NO_COLOR", "1").kill_on_drop(true);
        command
    }

    /// Runs it and returns how it ended, well or not.
    pub async fn exec(&self, arguments: &[&str]) -> Result<Output> {
        collect(self.command(arguments), b"").await
    }

    /// Runs it, which must succeed, and returns what it printed.
    pub async fn run(&self, arguments: &[&str]) -> Result<String> {
        let output = self.exec(arguments).await?;
        if !output.success() {
            let said = format!("{}\n{}", output.stdout, output.stderr);
            bail!("`hmsctl {}` ended with {}: {}", arguments.join(" "), output.code, last_lines(&said, 20));
        }
        Ok(output.stdout)
    }

    /// Logs in with a password.
    pub async fn log_in(&self, url: &str, ca_file: &Path, user: &str, password_file: &Path) -> Result<()> {
        let (ca_file, password_file) = (ca_file.to_string_lossy(), password_file.to_string_lossy());
        let account = ["--username", user, "--password-file", &password_file];
        self.run(&[&["login", url, "--ca-file", &ca_file], &account[..]].concat()).await?;
        Ok(())
    }

    /// Announces a host and returns the token that it joins with.
    pub(super) async fn join_token(&self, host: &Host) -> Result<String> {
        let address = format!("{}:9444", host.address());
        let said = self.run(&["host", "add", host.name(), "--address", &address]).await?;
        let token = said.split_whitespace().find(|word| word.starts_with("hms1."));
        Ok(token.with_context(|| format!("no token in: {said}"))?.to_owned())
    }

    /// Tells HMS of an app that runs on a host.
    pub(super) async fn add_app(&self, host: &Host, app: &RailsApp) -> Result<()> {
        self.run(&["apps", "add", app.key(), "--host", host.name()]).await?;
        Ok(())
    }
}

impl World {
    /// hmsctl as the administrator uses it.
    #[must_use]
    pub fn admin(&self) -> Hmsctl {
        self.hmsctl_of(ADMIN)
    }

    /// hmsctl of a person who has yet to log in.
    #[must_use]
    pub fn hmsctl_of(&self, person: &str) -> Hmsctl {
        Hmsctl { program: self.binaries.join("hmsctl"), config: self.folder.join("hmsctl").join(person) }
    }

    /// Runs hmsctl as the administrator and returns how it ended.
    pub async fn hmsctl(&self, arguments: &[&str]) -> Result<Output> {
        self.admin().exec(arguments).await
    }

    /// An HTTPS client that trusts this installation alone and keeps cookies.
    pub fn client(&self) -> Result<reqwest::Client> {
        let ca = reqwest::Certificate::from_pem(&std::fs::read(self.ca_file())?)?;
        let builder = reqwest::Client::builder().tls_certs_only([ca]).cookie_store(true);
        Ok(install_provider(builder).build()?)
    }

    /// Waits until the controller says that it is ready.
    pub async fn wait_until_ready(&self) -> Result<()> {
        // Before the first start nobody knows the root certificate; that it is ours is checked by the login.
        let client =
            install_provider(reqwest::Client::builder()).danger_accept_invalid_certs(true).build()?;
        let url = format!("{}/readyz", self.url());
        let deadline = Instant::now() + READY_LIMIT;
        loop {
            let answer = match client.get(&url).timeout(Duration::from_secs(2)).send().await {
                Ok(response) if response.status().is_success() => return Ok(()),
                Ok(response) => {
                    format!("{}: {}", response.status(), response.text().await.unwrap_or_default())
                }
                Err(error) => format!("{:#}", anyhow::Error::from(error)),
            };
            if Instant::now() > deadline {
                let log = ["journalctl", "--unit=hms-controller.service", "--lines=20", "--output=cat"];
                let log = self.controller_host().run(&log).await.unwrap_or_default();
                bail!("the controller is not ready: {answer}\n{log}");
            }
            sleep(GLANCE).await;
        }
    }

    pub(super) async fn log_in(&self) -> Result<()> {
        self.admin().log_in(&self.url(), &self.ca_file(), ADMIN, &self.password_file()).await
    }

    /// Waits until the controller has reached every agent.
    pub async fn wait_until_agents_are_connected(&self) -> Result<()> {
        let deadline = Instant::now() + READY_LIMIT;
        for host in self.hosts() {
            loop {
                let output = self.hmsctl(&["units", "--host", host.name()]).await?;
                if output.success() {
                    break;
                }
                if Instant::now() > deadline {
                    bail!("the agent on {} is not reached: {}", host.name(), output.stderr);
                }
                sleep(GLANCE).await;
            }
        }
        Ok(())
    }
}

/// reqwest is built without a TLS provider of its own: the process has one, and it is this.
fn install_provider(builder: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
    // Fails when it is installed already, which is as good.
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    builder
}
