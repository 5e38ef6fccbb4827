//! Going back: code, secrets and units of an earlier release, again and further, with the controller down, and never blindly.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hms_proto::controller::v1::{Deployment, PlanRequest, RollbackRequest, SetSecretsRequest};
use hms_proto::fault::Fault;
use hms_proto::host::v1::app_service_client::AppServiceClient;
use hms_proto::host::v1::job_service_client::JobServiceClient;
use hms_proto::host::v1::{GetJobRequest, JobKind, JobState, RollbackAppRequest, Secret};
use hms_proto::identity::Kind;
use hms_tests::repository::{Change, Repository};
use hms_tests::yard::{Yard, new_id};

use crate::support::eventually;

const KEY: &str = "cigar";
const SOON: Duration = Duration::from_secs(120);

fn to(release: &str) -> RollbackRequest {
    RollbackRequest { key: KEY.into(), release: release.into(), ..RollbackRequest::default() }
}

/// Goes back and waits for the end.
async fn back(yard: &Yard, request: RollbackRequest) -> Result<Deployment> {
    let begun = yard.deployments().rollback(request).await?.into_inner();
    yard.end(&begun.id).await
}

/// Why it is not gone back, whether that was said at once or after a look.
async fn refused(yard: &Yard, request: RollbackRequest) -> Result<String> {
    match yard.deployments().rollback(request).await {
        Err(status) => Ok(Fault::from_status(&status).message),
        Ok(begun) => {
            let ended = yard.end(&begun.into_inner().id).await?;
            yard.must_be(&ended, JobState::Failed).await?;
            Ok(ended.job.context("job")?.reason)
        }
    }
}

/// The version that answers, and the secret that it has.
async fn now(yard: &Yard) -> Result<(String, String)> {
    Ok((yard.answer(KEY).await?.version, yard.ask(KEY, "/env/SMTP_PASSWORD").await?.1))
}

fn pair(version: &str, secret: &str) -> (String, String) {
    (version.into(), secret.into())
}

/// Deploys the next version, with a secret of its own.
async fn next(yard: &Yard, repository: &Repository, version: &str, secret: &str) -> Result<String> {
    let secret = Secret { name: "SMTP_PASSWORD".into(), value: secret.into() };
    let request =
        SetSecretsRequest { key: KEY.into(), secrets: vec![secret], ..SetSecretsRequest::default() };
    yard.secrets().set(request).await?;
    repository.commit(yard.host(), &Change::version(version)).await?;
    Ok(yard.deploy_well(KEY).await?.job.context("job")?.release)
}

#[tokio::test]
async fn going_back_brings_code_secrets_and_units_of_then() -> Result<()> {
    let yard = Yard::apart().await?;
    let repository =
        yard.add(KEY, "cigar", |spec| (spec.keep_releases, spec.asset_tasks) = (10, Vec::new())).await?;
    yard.deploy_well(KEY).await?;
    let second = next(&yard, &repository, "2", "two").await?;
    let third = next(&yard, &repository, "3", "three").await?;
    assert_eq!(now(&yard).await?, pair("3", "three"));

    // Pitfall P15: twice goes further back, and past the first there is nothing.
    let load = yard.load(KEY);
    let deployment = back(&yard, to("")).await?;
    yard.must_be(&deployment, JobState::Succeeded).await?;
    assert_eq!(
        (deployment.from_release.as_str(), &deployment.job.context("job")?.release),
        (third.as_str(), &second)
    );
    assert_eq!(now(&yard).await?, pair("2", "two"));
    yard.must_be(&back(&yard, to("")).await?, JobState::Succeeded).await?;
    assert_eq!(now(&yard).await?, pair("1", "(not set)"));
    let reason = refused(&yard, to("")).await?;
    ensure!(reason.contains("no healthy release"), "{reason}");
    yard.must_be(&back(&yard, to(&third)).await?, JobState::Succeeded).await?;
    assert_eq!(now(&yard).await?, pair("3", "three"));
    load.end().await?;

    an_unhealthy_target_is_never_live(&yard, &second, &third).await?;
    it_works_with_the_controller_down(&yard, &third).await?;
    what_was_destroyed_is_asked_about(&yard, &repository).await?;
    pruned_releases_are_gone(&yard, &repository, &third).await
}

async fn an_unhealthy_target_is_never_live(yard: &Yard, target: &str, live: &str) -> Result<()> {
    let file = format!("/srv/{KEY}/releases/{target}/config/routes.rb");
    let text = yard.host().read_file(&file).await?;
    yard.host().write_file(&file, "raise \"somebody was here\"\n").await?;
    let load = yard.load(KEY);
    let reason = refused(yard, to(target)).await?;
    ensure!(reason.contains("trial") && reason.contains("somebody was here"), "{reason}");
    load.end().await?;
    assert_eq!(yard.live_release(KEY).await?, live);
    for strange in ["../../etc", "20261125T101502-1a2b3c4", "current", "-x"] {
        let reason = refused(yard, to(strange)).await?;
        ensure!(!reason.is_empty(), "{strange}");
    }
    assert_eq!(yard.live_release(KEY).await?, live);
    yard.host().write_file(&file, text).await
}

/// Only the host is needed, and an operator's certificate.
async fn it_works_with_the_controller_down(yard: &Yard, live: &str) -> Result<()> {
    let controller = yard.world().controller_host();
    controller.run(&["systemctl", "stop", "hms-controller.service", "postgresql.service"]).await?;
    let channel = yard.admin().channel(&format!("{}:9444", yard.host().address()), Kind::Agent)?;
    let (mut apps, jobs) = (AppServiceClient::new(channel.clone()), JobServiceClient::new(channel));
    let id = new_id();
    let request = RollbackAppRequest { id: id.clone(), key: KEY.into(), ..RollbackAppRequest::default() };
    apps.rollback(request.clone()).await?;
    let again = apps.rollback(request).await?.into_inner();
    assert_eq!(again.id, id, "asking twice begins one");
    let job = eventually(SOON, async || {
        let job = jobs.clone().get(GetJobRequest { id: id.clone() }).await?.into_inner();
        ensure!(job.ended_usec > 0, "{job:?}");
        Ok(job)
    })
    .await?;
    ensure!(job.state() == JobState::Succeeded, "{job:?}");
    assert_eq!(now(yard).await?, pair("2", "two"));
    controller.run(&["systemctl", "start", "postgresql.service", "hms-controller.service"]).await?;
    yard.world().wait_until_ready().await?;
    yard.world().wait_until_agents_are_connected().await?;
    let release =
        yard.on_host(KEY).await?.releases.into_iter().find(|release| release.live).context("live")?;
    assert_eq!(release.id, job.release);
    yard.must_be(&back(yard, to(live)).await?, JobState::Succeeded).await
}

/// Pitfall P16.
async fn what_was_destroyed_is_asked_about(yard: &Yard, repository: &Repository) -> Result<()> {
    repository.commit(yard.host(), &Change::that_destroys("4")).await?;
    yard.deploy_well(KEY).await?;
    let request = PlanRequest { key: KEY.into(), kind: JobKind::Rollback.into(), ..PlanRequest::default() };
    let plan = yard.deployments().plan(request).await?.into_inner();
    ensure!(plan.migrations.len() == 2 && plan.destructive_migrations.len() == 1, "{plan:?}");
    ensure!(plan.destructive_migrations[0].contains("20260921090000"), "{plan:?}");
    let reason = refused(yard, to("")).await?;
    ensure!(reason.contains("20260921090000"), "{reason}");
    assert_eq!(yard.answer(KEY).await?.version, "4");
    let request = RollbackRequest { accept_destructive: true, ..to("") };
    yard.must_be(&back(yard, request).await?, JobState::Succeeded).await?;
    assert_eq!(now(yard).await?, pair("3", "three"));
    Ok(())
}

/// Security case 75: neither the live release nor the one before is ever pruned.
async fn pruned_releases_are_gone(yard: &Yard, repository: &Repository, third: &str) -> Result<()> {
    yard.edit(KEY, |spec| spec.keep_releases = 2).await?;
    next(yard, repository, "5", "five").await?;
    next(yard, repository, "6", "six").await?;
    let releases = yard.on_host(KEY).await?.releases;
    ensure!(releases.len() == 2 && releases[0].live, "{releases:?}");
    let reason = refused(yard, to(third)).await?;
    ensure!(reason.contains(third), "{reason}");
    let sealed =
        yard.host().run(&["sh", "-c", "ls /var/lib/hms-agent/apps/cigar/secrets-*.cred | wc -l"]).await?;
    ensure!(sealed.trim() == "2", "{sealed} versions of the secrets are kept");
    yard.must_be(&back(yard, to("")).await?, JobState::Succeeded).await?;
    assert_eq!(now(yard).await?, pair("5", "five"));
    Ok(())
}
