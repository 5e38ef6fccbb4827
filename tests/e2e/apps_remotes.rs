//! Code that comes over https with a token and over ssh with a key: from the one server that is meant, and nothing leaks.

use anyhow::{Context as _, Result, bail, ensure};
use hms_proto::controller::v1::{ListSecretsRequest, RotateSecretRequest, SetSecretsRequest};
use hms_proto::host::v1::{JobState, Secret};
use hms_tests::git_server::GitServer;
use hms_tests::repository::{Change, Repository};
use hms_tests::testbed::{Host, Testbed};
use hms_tests::world::{Plan, World};
use hms_tests::yard::{Yard, settings, spec};

const KEY: &str = "tobacco";
const TOKEN: &str = "hms-canary-t0ken";

async fn set(yard: &Yard, name: &str, value: &str) -> Result<()> {
    let secret = Secret { name: name.into(), value: value.into() };
    let request =
        SetSecretsRequest { key: KEY.into(), secrets: vec![secret], ..SetSecretsRequest::default() };
    yard.secrets().set(request).await?;
    Ok(())
}

/// Deploys, which must fail while code is fetched, and returns why.
async fn fails(yard: &Yard) -> Result<String> {
    let deployment = yard.deploy(KEY).await?;
    yard.must_be(&deployment, JobState::Failed).await?;
    let job = deployment.job.context("job")?;
    ensure!(job.reason.contains("fetch"), "{}", job.reason);
    Ok(format!("{}\n{}", job.reason, yard.output(&deployment.id).await?))
}

/// Watches command lines and environments as another user sees them; it ends when it sees the token. Its own command line
/// has a pattern that is not the token.
async fn watch(host: &Host) -> Result<tokio::process::Child> {
    let watcher = "while sleep 0.01; do cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null; echo; done | \
        grep --text --only-matching --max-count=1 'hms-canary-t[0]ken'";
    let argv = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "sh", "-c", watcher];
    let mut command = host.command(&argv)?;
    Ok(command.stdout(std::process::Stdio::piped()).spawn()?)
}

async fn saw_nothing(mut watcher: tokio::process::Child) -> Result<()> {
    match watcher.try_wait()? {
        None => Ok(watcher.kill().await?),
        Some(status) => bail!("the token was seen ({status})"),
    }
}

/// Security case 65.
#[tokio::test]
async fn code_comes_from_the_one_server_that_is_meant() -> Result<()> {
    let bed = Testbed::new().await?;
    let world = World::start(&bed, &Plan::new().host("asterra", &[]), &|_| {}).await?;
    let yard = Yard::on(world, "asterra").await?;
    let depot = bed.boot("depot").await?;
    let server = GitServer::start(&depot, TOKEN).await?;
    let repository = Repository::of_app(&depot, KEY, "tobacco").await?;
    let spec = spec(KEY, "tobacco", &server.https(&repository));
    yard.apps().add(settings(KEY, "asterra", spec)).await?;
    https_needs_a_known_authority_and_a_token(&yard, &server, &depot, &repository).await?;
    ssh_needs_a_pinned_key(&yard, &server, &depot, &repository).await
}

async fn https_needs_a_known_authority_and_a_token(
    yard: &Yard,
    server: &GitServer<'_>,
    depot: &Host,
    repository: &Repository,
) -> Result<()> {
    set(yard, "git-token", TOKEN).await?;
    let reason = fails(yard).await?;
    ensure!(reason.contains("certificate"), "{reason}");
    server.introduce(yard.host()).await?;
    set(yard, "git-token", "wrong").await?;
    let reason = fails(yard).await?;
    ensure!(reason.contains("uthentication"), "{reason}");
    let moved = server.https(repository).replace("/srv/git/", "/moved/");
    set(yard, "git-token", TOKEN).await?;
    yard.edit(KEY, |spec| spec.git_url = moved).await?;
    let reason = fails(yard).await?;
    ensure!(reason.contains("redirect") || reason.contains("302"), "{reason}");

    yard.edit(KEY, |spec| spec.git_url = server.https(repository)).await?;
    let watcher = watch(yard.host()).await?;
    yard.deploy_well(KEY).await?;
    let commit = repository.commit(depot, &Change::version("2")).await?;
    let second = yard.deploy_well(KEY).await?;
    saw_nothing(watcher).await?;
    assert_eq!(yard.answer(KEY).await?.commit, commit);
    ensure!(server.requests().await?.contains("git-upload-pack"), "nobody fetched");
    // The token is neither in what was said, nor in what is left on the disk, nor in the app.
    let said = yard.output(&second.id).await?;
    ensure!(!said.contains(TOKEN), "{said}");
    let look = format!("grep -rlF {TOKEN} /srv /etc /var/lib /var/log /run /tmp /root 2>/dev/null; true");
    let files = yard.host().run(&["sh", "-c", &look]).await?;
    ensure!(files.trim().is_empty(), "the token is in {files}");
    assert_eq!(yard.ask(KEY, "/env/git-token").await?.1, "(not set)");
    Ok(())
}

async fn ssh_needs_a_pinned_key(
    yard: &Yard,
    server: &GitServer<'_>,
    depot: &Host,
    repository: &Repository,
) -> Result<()> {
    yard.edit(KEY, |spec| spec.git_url = server.ssh(repository)).await?;
    yard.secrets().rotate(RotateSecretRequest { key: KEY.into(), name: "git-private-key".into() }).await?;
    let reason = fails(yard).await?;
    ensure!(reason.contains("ost key"), "{reason}");
    // A server that shows another key than the pinned one.
    let pinned = server.known_hosts().await?;
    let other = depot
        .run(&[
            "sh",
            "-c",
            "ssh-keygen -q -t ed25519 -N '' -f /root/other && cut -d' ' -f1,2 /root/other.pub",
        ])
        .await?;
    yard.edit(KEY, |spec| spec.git_known_hosts = format!("depot {other}")).await?;
    let reason = fails(yard).await?;
    ensure!(reason.contains("ost key"), "{reason}");
    yard.edit(KEY, |spec| spec.git_known_hosts = pinned).await?;
    let reason = fails(yard).await?;
    ensure!(reason.contains("ermission denied"), "{reason}");

    let listed = yard.secrets().list(ListSecretsRequest { key: KEY.into(), version: 0 }).await?.into_inner();
    ensure!(listed.git_public_key.starts_with("ssh-ed25519 "), "{listed:?}");
    server.let_in(listed.git_public_key.trim()).await?;
    let commit = repository.commit(depot, &Change::version("3")).await?;
    yard.deploy_well(KEY).await?;
    assert_eq!(yard.answer(KEY).await?.commit, commit);
    // The private key is nowhere on the disk.
    let look = "grep -rl 'BEGIN OPENSSH PRIVATE KEY' /srv /var/lib/hms-agent /run /tmp 2>/dev/null; true";
    let files = yard.host().run(&["sh", "-c", look]).await?;
    ensure!(files.trim().is_empty(), "a private key is in {files}");
    Ok(())
}
