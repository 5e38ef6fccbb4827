//! A real Rails app on a host: its user, its release, its puma service, its nginx site.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::testbed::Host;

/// Rails takes a second or two to load; a busy machine needs more.
const START_LIMIT: Duration = Duration::from_secs(60);

const APPLICATION: &str = include_str!("../rails/config.ru");

/// An app that was installed on a host.
#[derive(Clone, Debug)]
pub struct RailsApp {
    key: String,
}

impl RailsApp {
    /// Installs the app `key` and waits until it answers through nginx.
    pub async fn install(host: &Host, key: &str) -> Result<Self> {
        let app = Self { key: key.to_owned() };
        app.write_files(host).await.with_context(|| format!("cannot install {key} on {}", host.name()))?;
        // It has systemd read the new files, too.
        host.run(&["systemctl", "enable", "--now", &app.unit()]).await?;
        host.run(&["systemctl", "reload-or-restart", "nginx.service"]).await?;
        app.wait_until_up(host).await?;
        Ok(app)
    }

    /// An app that is installed already.
    #[must_use]
    pub fn known(key: &str) -> Self {
        Self { key: key.to_owned() }
    }

    /// The key that HMS knows the app by.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The name of the app's systemd unit.
    #[must_use]
    pub fn unit(&self) -> String {
        format!("puma-{}.service", self.key)
    }

    /// The name under which nginx serves the app.
    #[must_use]
    pub fn server_name(&self) -> String {
        format!("{}.test", self.key)
    }

    /// Asks the app for a page through nginx and returns the body; an error status is an error.
    pub async fn get(&self, host: &Host, path: &str) -> Result<String> {
        let header = format!("Host: {}", self.server_name());
        let url = format!("http://127.0.0.1{path}");
        host.run(&[
            "curl",
            "--silent",
            "--show-error",
            "--fail",
            "--max-time",
            "5",
            "--header",
            &header,
            &url,
        ])
        .await
    }

    /// Waits until the app answers through nginx.
    pub async fn wait_until_up(&self, host: &Host) -> Result<()> {
        let header = format!("Host: {}", self.server_name());
        let argv = ["curl", "--silent", "--show-error", "--fail", "--max-time", "5", "--header", &header];
        host.run_until(START_LIMIT, &[&argv[..], &["http://127.0.0.1/up"]].concat()).await?;
        Ok(())
    }

    async fn write_files(&self, host: &Host) -> Result<()> {
        let key = &self.key;
        if !host.exec(&["id", key]).await?.success() {
            host.run(&[
                "useradd",
                "--system",
                "--home-dir",
                &format!("/srv/{key}"),
                "--shell",
                "/bin/bash",
                key,
            ])
            .await?;
        }
        // The layout of Capistrano: releases beside each other, `current` points at the one in use.
        let release = format!("/srv/{key}/releases/20261101090000");
        host.write_file(format!("{release}/config.ru"), APPLICATION).await?;
        host.write_file(format!("{release}/config/puma.rb"), self.puma_config()).await?;
        host.run(&["mkdir", "-p", &format!("{release}/tmp"), &format!("/srv/{key}/shared/log")]).await?;
        host.run(&["ln", "-sfn", &release, &format!("/srv/{key}/current")]).await?;
        host.run(&["chown", "-R", &format!("{key}:{key}"), &format!("/srv/{key}")]).await?;
        host.write_file(format!("/etc/systemd/system/{}", self.unit()), self.service()).await?;
        host.write_file(format!("/etc/nginx/sites-available/{key}"), self.site()).await?;
        let site = format!("/etc/nginx/sites-enabled/{key}");
        host.run(&["ln", "-sfn", &format!("/etc/nginx/sites-available/{key}"), &site]).await?;
        Ok(())
    }

    fn puma_config(&self) -> String {
        let key = &self.key;
        format!(
            "environment \"production\"\nthreads 1, 5\n\
             # nginx runs as another user and must be able to connect.\n\
             bind \"unix:///run/puma-{key}/puma.sock?umask=0000\"\n"
        )
    }

    fn service(&self) -> String {
        let key = &self.key;
        format!(
            "[Unit]\nDescription=Puma application server for {key}\nAfter=network.target\n\n\
             [Service]\nType=notify\nUser={key}\nWorkingDirectory=/srv/{key}/current\n\
             Environment=RAILS_ENV=production RAILS_LOG_TO_STDOUT=1\nRuntimeDirectory=puma-{key}\n\
             ExecStart=/usr/bin/puma -C config/puma.rb\nRestart=on-failure\nRestartSec=1\n\n\
             [Install]\nWantedBy=multi-user.target\n"
        )
    }

    fn site(&self) -> String {
        let key = &self.key;
        format!(
            "upstream {key} {{\n    server unix:/run/puma-{key}/puma.sock fail_timeout=0;\n}}\n\n\
             server {{\n    listen 80;\n    server_name {};\n\n    access_log /var/log/nginx/{key}.access.log;\n    \
             error_log /var/log/nginx/{key}.error.log;\n\n    location / {{\n        proxy_pass http://{key};\n        \
             proxy_set_header Host $host;\n        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n        \
             proxy_set_header X-Forwarded-Proto $scheme;\n    }}\n}}\n",
            self.server_name()
        )
    }
}
