//! Secrets on a real host: they reach the app byte for byte, in both ways of delivery and after a reboot without a controller;
//! nobody else sees them; and what others change in the app's files is seen, and never overwritten silently.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hms_proto::controller::v1::{ApplyRequest, DeployRequest, Deployment, SetSecretsRequest};
use hms_proto::fault::{Fault, FaultKind};
use hms_proto::host::v1::{JobState, Secret, SecretDelivery};
use hms_tests::repository::Change;
use hms_tests::yard::Yard;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use reqwest::StatusCode;

use crate::support::eventually;

const APP: &str = "cigar";
const UNIT: &str = "puma-cigar.service";
const DROP_IN: &str = "/etc/systemd/system/puma-cigar.service.d/50-hms-secrets.conf";
const IN_MEMORY: &str = "/run/systemd/system/puma-cigar.service.d/50-hms-secrets.conf";
/// Nothing else on the host has this in it.
const CANARY: &str = "c4nary-7f31e9d2";
/// How long an app may take to answer again.
const AGAIN: Duration = Duration::from_secs(120);
/// More than any app has, and as much as is promised.
const MANY: usize = 10_000;

/// Tells all variables of the app's process, as the app sees them.
const TELLING: &str = r##"require_relative "config/environment"

map "/environment" do
  run ->(_) { [200, { "Content-Type" => "application/octet-stream" }, [ENV.map { |n, v| "#{n}=#{v}\0".b }.join]] }
end
run Rails.application
"##;

/// What has been lost in other systems: security cases 36 and 76.
fn hostile() -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    for value in [
        "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQ==\n-----END PRIVATE KEY-----\n",
        "\"double\" 'single' `back`",
        "%h %n %% %",
        "$HOME ${HOME} $$ $(id)",
        "ends with a backslash\\",
        "\\n \\x41 \\\\",
        "\r\n\t\u{1}\u{1b}[31m\u{7f}",
        " spaces around ",
        "# ; = [Service]\nExecStart=/bin/sh",
        "\u{feff}ä€😀\u{2028}\u{85}",
        "",
    ] {
        values.insert(format!("HOSTILE_{}", values.len()), value.to_owned());
    }
    values.insert("LARGE".into(), "0123456789\\\"%$\n ".chars().cycle().take(64 * 1024).collect());
    values.insert("CANARY".into(), CANARY.into());
    values
}

/// As many as is promised, of any characters that a variable can have.
fn many(seed: u64) -> BTreeMap<String, String> {
    let mut random = StdRng::seed_from_u64(seed);
    let special: Vec<char> = "\"'\\%$`\n\r\t ;#=[]{}\u{1}\u{7f}\u{2028}ä😀".chars().collect();
    let mut value = || {
        let length = random.random_range(0..24);
        let one = |random: &mut StdRng| match random.random_range(0..3) {
            0 => special[random.random_range(0..special.len())],
            1 => char::from(random.random_range(1..=127_u8)),
            _ => char::from_u32(random.random_range(1..0xd800)).unwrap_or('x'),
        };
        (0..length).map(|_| one(&mut random)).collect::<String>()
    };
    (0..MANY).map(|n| (format!("S{n}"), value())).collect()
}

#[tokio::test]
async fn secrets_reach_the_app_and_nobody_else() -> Result<()> {
    let yard = Yard::new().await?;
    let repository = yard.add(APP, "cigar", |_| {}).await?;
    let telling = Change::new("Tell the environment").file("config.ru", TELLING);
    repository.commit(yard.host(), &telling).await?;
    what_no_process_can_have_is_refused(&yard).await?;
    set(&yard, &hostile()).await?;

    let watcher = Watcher::start(&yard).await?;
    yard.deploy_well(APP).await?;
    watcher.saw_nothing(&yard).await?;
    arrive(&yard, &hostile()).await?;
    are_hidden(&yard).await?;
    many_arrive(&yard, 1).await?;

    deliver_as(&yard, SecretDelivery::Environment).await?;
    arrive(&yard, &hostile()).await?;
    are_shown_by_systemd_alone(&yard).await?;
    many_arrive(&yard, 2).await?;

    app_is_back_without_a_controller(&yard).await?;
    deliver_as(&yard, SecretDelivery::Credential).await?;
    ensure!(!is_there(&yard, IN_MEMORY).await?, "the plain text is still in memory");
    are_hidden(&yard).await?;
    app_is_back_without_a_controller(&yard).await?;
    drift_is_seen_and_reverted_when_asked(&yard).await
}

async fn set(yard: &Yard, values: &BTreeMap<String, String>) -> Result<(), Fault> {
    let secret = |(name, value): (&String, &String)| Secret { name: name.clone(), value: value.clone() };
    let request = SetSecretsRequest {
        key: APP.into(),
        secrets: values.iter().map(secret).collect(),
        ..SetSecretsRequest::default()
    };
    yard.secrets().set(request).await.map(drop).map_err(|status| Fault::from_status(&status))
}

async fn what_no_process_can_have_is_refused(yard: &Yard) -> Result<()> {
    let long = "x".repeat(64 * 1024 + 1);
    for (name, value) in
        [("A", "x\0y"), ("A", &long), ("A=B", "x"), ("1A", "x"), ("", "x"), ("LD_PRELOAD", "x")]
    {
        let fault = set(yard, &[(name.to_owned(), value.to_owned())].into()).await.err();
        let fault = fault.with_context(|| format!("`{name}` was taken"))?;
        ensure!(fault.kind() == FaultKind::Invalid, "{name}: {fault:?}");
    }
    Ok(())
}

/// The app has exactly these values.
async fn arrive(yard: &Yard, expected: &BTreeMap<String, String>) -> Result<()> {
    let (status, body) = eventually(AGAIN, async || {
        let (status, body) = yard.ask(APP, "/environment").await?;
        ensure!(status == StatusCode::OK, "{status}");
        Ok((status, body))
    })
    .await?;
    ensure!(status == StatusCode::OK);
    let seen: BTreeMap<&str, &str> =
        body.split_terminator('\0').filter_map(|variable| variable.split_once('=')).collect();
    let wrong: Vec<&String> = expected
        .iter()
        .filter(|(name, value)| seen.get(name.as_str()) != Some(&value.as_str()))
        .map(|(n, _)| n)
        .collect();
    // Not the values: a test's output is kept, too.
    ensure!(wrong.is_empty(), "{} of {} values differ: {:?}", wrong.len(), expected.len(), wrong.first());
    Ok(())
}

/// Puts another sealed set in the place of the delivered one, and has systemd start the app with it.
async fn many_arrive(yard: &Yard, seed: u64) -> Result<()> {
    let host = yard.host();
    let version = yard.on_host(APP).await?.delivered_secrets_version;
    let sealed = format!("/var/lib/hms-agent/apps/{APP}/secrets-{version}.cred");
    let mut values = hostile();
    values.extend(many(seed));
    let plain: String = values.iter().map(|(name, value)| format!("{name}={value}\0")).collect();
    host.run(&["cp", "-a", &sealed, "/root/sealed"]).await?;
    let seal = ["systemd-creds", "encrypt", "--with-key=host", "--name=env", "-", "/root/many"];
    host.run_with(&seal, plain.as_bytes()).await?;
    host.run(&["cp", "/root/many", &sealed]).await?;
    restart(yard).await?;
    arrive(yard, &values).await?;
    host.run(&["cp", "-a", "/root/sealed", &sealed]).await?;
    restart(yard).await?;
    arrive(yard, &hostile()).await
}

async fn restart(yard: &Yard) -> Result<()> {
    if is_there(yard, IN_MEMORY).await? {
        yard.host().run(&["systemctl", "restart", "hms-environment-cigar.service"]).await?;
    }
    yard.host().run(&["systemctl", "restart", UNIT]).await?;
    Ok(())
}

async fn deliver_as(yard: &Yard, delivery: SecretDelivery) -> Result<()> {
    yard.edit(APP, |spec| spec.set_secret_delivery(delivery)).await?;
    let applied = apply(yard, false).await?;
    yard.must_be(&applied, JobState::Succeeded).await
}

async fn apply(yard: &Yard, revert_drift: bool) -> Result<Deployment> {
    let request = ApplyRequest { key: APP.into(), revert_drift, ..ApplyRequest::default() };
    let begun = yard.deployments().apply(request).await?.into_inner();
    yard.end(&begun.id).await
}

async fn is_there(yard: &Yard, path: &str) -> Result<bool> {
    Ok(yard.host().exec(&["test", "-e", path]).await?.success())
}

/// Runs something as a user who has no rights, and returns all that it printed.
async fn as_nobody(yard: &Yard, script: &str) -> Result<String> {
    let said = yard.host().exec(&["runuser", "-u", "nobody", "--", "sh", "-c", script]).await?;
    Ok(said.stdout + &said.stderr)
}

/// Everything that a local user can ask systemd, and every file that could have it.
const ASKS: &str = "systemctl show puma-cigar.service puma-cigar.socket; systemctl cat puma-cigar.service; \
    busctl get-property org.freedesktop.systemd1 /org/freedesktop/systemd1/unit/puma_2dcigar_2eservice \
    org.freedesktop.systemd1.Service Environment; \
    busctl get-property org.freedesktop.systemd1 /org/freedesktop/systemd1/unit/puma_2dcigar_2eservice \
    org.freedesktop.systemd1.Service LoadCredentialEncrypted; ";
/// The brackets: the pattern must not find itself among the arguments of programs.
const READS: &str = "grep -rasl 'c4nar[y]-7f31e9d2' /etc /run /tmp /var/tmp /var/log /srv /var/lib/hms-agent; \
    cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline /run/credentials/*/* 2>/dev/null | tr '\\0' '\\n' | grep -a 'c4nar[y]'; ";

/// Security cases 79, 80 and 85.
async fn are_hidden(yard: &Yard) -> Result<()> {
    let said = as_nobody(yard, ASKS).await?;
    ensure!(said.contains("apps/cigar/secrets-"), "nothing was asked: {said}");
    ensure!(!said.contains(CANARY), "systemd tells it to everybody");
    let read = as_nobody(yard, READS).await?;
    ensure!(read.trim().is_empty(), "nobody can read it: {read}");
    // On the disk it is sealed for root, too; and where it is named, only root can look.
    let disk = ["grep", "-rasl", CANARY, "/etc", "/var/lib", "/var/log", "/var/tmp", "/tmp", "/srv", "/root"];
    let found = yard.host().exec(&disk).await?.stdout;
    ensure!(found.trim().is_empty(), "it is in plain text in {found}");
    ensure!(yard.host().run(&["stat", "-c", "%a %U", DROP_IN]).await?.trim() == "600 root");
    ensure!(yard.host().run(&["systemctl", "show", UNIT, "--value", "-p", "LimitCORE"]).await?.trim() == "0");
    Ok(())
}

/// What was asked for with delivery as environment: systemd tells it. Files and processes still do not.
async fn are_shown_by_systemd_alone(yard: &Yard) -> Result<()> {
    let said = as_nobody(yard, ASKS).await?;
    ensure!(said.contains(CANARY), "systemd does not show Environment= any longer: say so in the documents");
    let read = as_nobody(yard, READS).await?;
    ensure!(read.trim().is_empty(), "nobody can read it: {read}");
    let disk = ["grep", "-rasl", CANARY, "/etc", "/var/lib", "/var/log", "/var/tmp", "/tmp", "/srv", "/root"];
    let found = yard.host().exec(&disk).await?.stdout;
    ensure!(found.trim().is_empty(), "it is in plain text in {found}");
    ensure!(yard.host().run(&["stat", "-c", "%a %U", IN_MEMORY]).await?.trim() == "600 root");
    ensure!(yard.host().run(&["stat", "-f", "-c", "%T", IN_MEMORY]).await?.trim() == "tmpfs");
    ensure!(!is_there(yard, DROP_IN).await?, "both ways at once");
    Ok(())
}

/// A user without rights who looks at all processes, over and over.
struct Watcher {
    child: tokio::process::Child,
}

impl Watcher {
    async fn start(yard: &Yard) -> Result<Self> {
        let script = "while [ ! -e /tmp/watched ]; do echo looked; \
            cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n' | grep -a 'c4nar[y]'; sleep 0.01; done";
        yard.host().run(&["rm", "-f", "/tmp/watched"]).await?;
        let mut command = yard.host().command(&["runuser", "-u", "nobody", "--", "sh", "-c", script])?;
        let child = command.stdout(std::process::Stdio::piped()).spawn()?;
        Ok(Self { child })
    }

    /// Security case 80.
    async fn saw_nothing(self, yard: &Yard) -> Result<()> {
        yard.host().run(&["touch", "/tmp/watched"]).await?;
        let said = String::from_utf8_lossy(&self.child.wait_with_output().await?.stdout).into_owned();
        let looked = said.lines().filter(|line| *line == "looked").count();
        let seen = said.lines().filter(|line| *line != "looked").count();
        eprintln!("looked {looked} times");
        ensure!(looked > 10 && seen == 0, "looked {looked} times, and saw it {seen} times");
        Ok(())
    }
}

async fn app_is_back_without_a_controller(yard: &Yard) -> Result<()> {
    let host = yard.host();
    host.run(&["systemctl", "enable", "postgresql.service", "nginx.service"]).await?;
    host.run(&["systemctl", "disable", "hms-controller.service", "hms-agent.service"]).await?;
    host.reboot().await?;
    arrive(yard, &hostile()).await?;
    for service in ["hms-controller.service", "hms-agent.service"] {
        ensure!(!host.exec(&["systemctl", "is-active", service]).await?.success(), "{service} runs");
    }
    host.run(&["systemctl", "enable", "--now", "hms-controller.service", "hms-agent.service"]).await?;
    yard.world().wait_until_ready().await?;
    yard.world().wait_until_agents_are_connected().await
}

async fn drift_is_seen_and_reverted_when_asked(yard: &Yard) -> Result<()> {
    let host = yard.host();
    let unit = format!("/etc/systemd/system/{UNIT}");
    let written = host.read_file(&unit).await?;
    let changed = written.replace("[Service]", "[Service]\nNice=5");
    host.write_file(&unit, &changed).await?;
    let drift = yard.on_host(APP).await?.drift;
    ensure!(drift.len() == 1 && drift[0].subject == unit, "{drift:?}");
    ensure!(drift[0].drift.contains("\n+Nice=5\n") && drift[0].there == changed, "{drift:?}");
    let begun = yard.begin(DeployRequest { key: APP.into(), ..DeployRequest::default() }).await;
    let refused = match begun {
        Err(fault) => fault.message,
        Ok(begun) => {
            let ended = yard.end(&begun.id).await?;
            yard.must_be(&ended, JobState::Failed).await?;
            ended.job.unwrap_or_default().reason
        }
    };
    ensure!(refused.contains(&unit), "{refused}");
    ensure!(host.read_file(&unit).await? == changed, "it was overwritten silently");
    let applied = apply(yard, true).await?;
    yard.must_be(&applied, JobState::Succeeded).await?;
    ensure!(host.read_file(&unit).await? == written, "it was not put back");
    ensure!(yard.on_host(APP).await?.drift.is_empty());
    arrive(yard, &hostile()).await
}
