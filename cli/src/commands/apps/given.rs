//! Settings as options of a command line.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use clap_complete::engine::{ArgValueCompleter, PathCompleter};
use hms_proto::{
    app::OVERRIDABLE,
    controller::v1::AppSettings,
    fault::Fault,
    host::v1::{AppSpec, DatabaseAuth, Gems, SecretDelivery},
    names::HostName,
};

use crate::{complete, dialog::file::read_text, failure::Result, session::Session};

/// Settings that are given one by one. A list takes the place of the one before; '' empties it.
#[derive(Debug, Default, Args, PartialEq, Eq)]
#[command(next_help_heading = "Settings")]
pub(super) struct Given {
    /// The host it runs on
    #[arg(long, add = ArgValueCompleter::new(complete::hosts))]
    host: Option<HostName>,
    /// What people call it; by default the key with a capital
    #[arg(long)]
    name: Option<String>,
    /// By default the key
    #[arg(long)]
    subdomain: Option<String>,
    /// By default that of the installation
    #[arg(long)]
    domain: Option<String>,
    /// Where its code comes from: https://…, ssh://…, git@host:path, or file:///srv/git/…
    #[arg(long, value_name = "URL")]
    git_url: Option<String>,
    /// What is deployed unless another is asked for; by default main
    #[arg(long)]
    branch: Option<String>,
    /// For ssh: a file with lines of known_hosts by which the git server is known; `-` is stdin
    #[arg(long, value_name = "FILE", add = ArgValueCompleter::new(PathCompleter::file()))]
    git_known_hosts: Option<PathBuf>,
    /// Its folder on the host; by default /srv/KEY
    #[arg(long, value_name = "PATH")]
    root: Option<String>,
    /// puma also listens here on 127.0.0.1; 0: on its unix socket only
    #[arg(long)]
    port: Option<u32>,
    /// Processes of puma; 0: one, without a master
    #[arg(long, value_name = "N")]
    workers: Option<u32>,
    /// Threads of each: 5, or 1:5 for least and most
    #[arg(long, value_name = "[MIN:]MAX", value_parser = threads)]
    threads: Option<(u32, u32)>,
    /// Load the app before forking: saves memory, and excludes phased restarts
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    preload: Option<bool>,
    /// Answers 200 when the app is well; by default /up
    #[arg(long, value_name = "PATH")]
    health_path: Option<String>,
    /// Seconds that it may take to get well; by default 60
    #[arg(long, value_name = "SECONDS")]
    health_timeout: Option<u32>,
    /// Releases that are kept; by default 5
    #[arg(long, value_name = "N")]
    keep_releases: Option<u32>,
    /// Where gems come from
    #[arg(long, value_enum)]
    gems: Option<GemsWord>,
    /// The folder with ruby and bundle; by default /usr/bin
    #[arg(long, value_name = "PATH")]
    ruby_path: Option<String>,
    /// The environment of Rails; by default production
    #[arg(long, value_name = "NAME")]
    rails_env: Option<String>,
    /// Tasks of rake for the assets of each release, such as assets:precompile
    #[arg(long, value_name = "TASK,…", value_delimiter = ',')]
    asset_tasks: Option<Vec<String>>,
    /// Tasks of rake before a release goes live, such as db:migrate
    #[arg(long, value_name = "TASK,…", value_delimiter = ',')]
    release_tasks: Option<Vec<String>>,
    /// Kept between releases, such as storage,tmp/pids; log always is
    #[arg(long, value_name = "PATH,…", value_delimiter = ',')]
    shared_paths: Option<Vec<String>>,
    /// Its database on the host's PostgreSQL; '': HMS makes none
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
    /// Its role there; with `peer` it is the app's own user
    #[arg(long, value_name = "NAME")]
    database_user: Option<String>,
    /// How it proves who it is
    #[arg(long, value_enum)]
    database_auth: Option<AuthWord>,
    /// The certificate of its site, on the host
    #[arg(long, value_name = "PATH")]
    cert: Option<String>,
    /// The key of the certificate, on the host
    #[arg(long, value_name = "PATH")]
    cert_key: Option<String>,
    /// How secrets reach the app
    #[arg(long, value_enum)]
    secret_delivery: Option<DeliveryWord>,
    /// Most memory, such as 512M or 2G; 0: no limit
    #[arg(long, value_name = "SIZE", value_parser = memory)]
    memory_max: Option<u64>,
    /// A variable that is no secret; may be repeated
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = variable)]
    set_env: Vec<(String, String)>,
    /// Takes a variable away; may be repeated
    #[arg(long, value_name = "NAME")]
    unset_env: Vec<String>,
    /// A text of your own in place of a file that HMS writes (service, socket, puma, site, logrotate); `ITEM=` takes it back
    #[arg(long = "override", value_name = "ITEM=FILE", value_parser = variable)]
    overrides: Vec<(String, String)>,
    /// Seconds that a deployment may take; by default 1800
    #[arg(long, value_name = "SECONDS")]
    deploy_timeout: Option<u32>,
    /// Whether it may be deployed
    #[arg(long, value_name = "BOOL")]
    enabled: Option<bool>,
    /// Whether it is backed up
    #[arg(long, value_name = "BOOL")]
    backup: Option<bool>,
    /// When, as five fields of cron(8) in UTC; by default 0 2 * * *
    #[arg(long, value_name = "CRON")]
    backup_schedule: Option<String>,
    /// For how long backups are kept; by default 30
    #[arg(long, value_name = "DAYS")]
    backup_retention: Option<u32>,
    /// Where its code lies on your machine; HMS only remembers it
    #[arg(long, value_name = "PATH")]
    local_code_path: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum GemsWord {
    /// The sources of the Gemfile
    Rubygems,
    /// The packages of the host; nothing is downloaded
    System,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum AuthWord {
    /// By its system user; no password exists
    Peer,
    /// With the secret DATABASE_PASSWORD
    Scram,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DeliveryWord {
    /// As a credential of systemd
    Credential,
    /// As Environment=, which local users can read
    Environment,
}

fn threads(text: &str) -> Result<(u32, u32), String> {
    let number = |text: &str| text.parse().map_err(|_| "write it as 5, or as 1:5".to_owned());
    match text.split_once(':') {
        Some((least, most)) => Ok((number(least)?, number(most)?)),
        None => number(text).map(|n| (n, n)),
    }
}

/// `512M`, `2GiB`, or bytes.
fn memory(text: &str) -> Result<u64, String> {
    let wrong = || "write it as 512M or 2G".to_owned();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let shift = match unit.trim().to_ascii_lowercase().trim_end_matches('b').trim_end_matches('i') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

fn variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn put<T>(field: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *field = given;
    }
}

fn put_list(field: &mut Vec<String>, given: Option<Vec<String>>) {
    if let Some(given) = given {
        *field = given.into_iter().filter(|text| !text.is_empty()).collect();
    }
}

impl Given {
    /// Whether anything was given.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Puts what was given in its place.
    pub(super) fn put(self, session: &Session, settings: &mut AppSettings) -> Result<()> {
        put(&mut settings.host, self.host.as_ref().map(ToString::to_string));
        put(&mut settings.name, self.name.clone());
        put(&mut settings.subdomain, self.subdomain.clone());
        put(&mut settings.domain, self.domain.clone());
        put(&mut settings.enabled, self.enabled);
        put(&mut settings.backup_enabled, self.backup);
        put(&mut settings.backup_schedule, self.backup_schedule.clone());
        put(&mut settings.backup_retention_days, self.backup_retention);
        put(&mut settings.local_code_path, self.local_code_path.clone());
        self.put_spec(session, settings.spec.get_or_insert_default())
    }

    fn put_spec(self, session: &Session, spec: &mut AppSpec) -> Result<()> {
        put(&mut spec.git_url, self.git_url);
        put(&mut spec.branch, self.branch);
        let known_hosts = self.git_known_hosts.map(|file| read_text(session, &file)).transpose()?;
        put(&mut spec.git_known_hosts, known_hosts);
        put(&mut spec.root, self.root);
        put(&mut spec.port, self.port);
        put(&mut spec.workers, self.workers);
        put(&mut spec.threads_min, self.threads.map(|(least, _)| least));
        put(&mut spec.threads_max, self.threads.map(|(_, most)| most));
        put(&mut spec.preload, self.preload);
        put(&mut spec.health_path, self.health_path);
        put(&mut spec.health_timeout_s, self.health_timeout);
        put(&mut spec.keep_releases, self.keep_releases);
        put(&mut spec.gems, self.gems.map(|word| number_of_gems(word).into()));
        put(&mut spec.ruby_path, self.ruby_path);
        put(&mut spec.rails_env, self.rails_env);
        put_list(&mut spec.asset_tasks, self.asset_tasks);
        put_list(&mut spec.release_tasks, self.release_tasks);
        put_list(&mut spec.shared_paths, self.shared_paths);
        put(&mut spec.database_name, self.database);
        put(&mut spec.database_user, self.database_user);
        put(&mut spec.database_auth, self.database_auth.map(|word| number_of_auth(word).into()));
        put(&mut spec.cert_path, self.cert);
        put(&mut spec.key_path, self.cert_key);
        put(&mut spec.secret_delivery, self.secret_delivery.map(|word| number_of_delivery(word).into()));
        put(&mut spec.memory_max_bytes, self.memory_max);
        put(&mut spec.timeout_s, self.deploy_timeout);
        for name in self.unset_env {
            if spec.environment.remove(&name).is_none() {
                return Err(Fault::not_found("variable", &name).into());
            }
        }
        spec.environment.extend(self.set_env);
        put_overrides(session, spec, self.overrides)
    }
}

fn put_overrides(session: &Session, spec: &mut AppSpec, given: Vec<(String, String)>) -> Result<()> {
    for (item, file) in given {
        if !OVERRIDABLE.contains(&item.as_str()) {
            return Err(Fault::invalid(format!("`{}` is no file of an app", item.escape_debug()))
                .hint(format!("these are: {}", OVERRIDABLE.join(", ")))
                .into());
        }
        match file.as_str() {
            "" => drop(spec.overrides.remove(&item)),
            file => drop(spec.overrides.insert(item, read_text(session, file.as_ref())?)),
        }
    }
    Ok(())
}

fn number_of_gems(word: GemsWord) -> Gems {
    match word {
        GemsWord::Rubygems => Gems::Rubygems,
        GemsWord::System => Gems::System,
    }
}

fn number_of_auth(word: AuthWord) -> DatabaseAuth {
    match word {
        AuthWord::Peer => DatabaseAuth::Peer,
        AuthWord::Scram => DatabaseAuth::Scram,
    }
}

fn number_of_delivery(word: DeliveryWord) -> SecretDelivery {
    match word {
        DeliveryWord::Credential => SecretDelivery::Credential,
        DeliveryWord::Environment => SecretDelivery::Environment,
    }
}

#[cfg(test)]
#[path = "given_tests.rs"]
mod tests;
