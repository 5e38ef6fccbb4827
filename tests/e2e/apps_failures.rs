//! Commits that go wrong: the release before serves on, and the status says which step failed, and why.

use anyhow::{Context as _, Result, ensure};
use hms_proto::controller::v1::{DeployRequest, Deployment};
use hms_proto::host::v1::{JobState, JobStep, StepState};
use hms_tests::paths;
use hms_tests::repository::{Change, Repository};
use hms_tests::yard::Yard;

/// How a deployment has to fail.
struct Failure {
    /// At which step.
    step: &'static str,
    /// What the reason says, word for word.
    says: &'static [&'static str],
}

#[tokio::test]
async fn a_bad_commit_never_takes_the_site_down() -> Result<()> {
    let yard = Yard::new().await?;
    let repository = yard.add("cigar", "cigar", |spec| spec.health_timeout_s = 30).await?;
    yard.deploy_well("cigar").await?;
    let good = repository.commit(yard.host(), &Change::version("2")).await?;
    let live = yard.deploy_well("cigar").await?.job.context("job")?.release;
    let load = yard.trickle("cigar");
    for (change, failure) in table(&yard).await? {
        let deployment =
            fails(&yard, &repository, &change, &failure).await.with_context(|| failure.says.join(", "))?;
        is_as_before(&yard, &live, &deployment).await.with_context(|| failure.says.join(", "))?;
        repository.move_branch(yard.host(), "main", &good).await?;
    }
    let visits = load.end().await?;
    assert_eq!(visits.versions, ["2"], "{} visits", visits.asked);
    // Nothing that failed is in the way of what works.
    repository.commit(yard.host(), &Change::version("3")).await?;
    yard.deploy_well("cigar").await?;
    assert_eq!(yard.answer("cigar").await?.version, "3");
    what_boots_only_once_is_put_back(&yard, &repository).await?;
    a_full_disk_is_seen_early_and_survived_late(&yard).await
}

/// Security case 72 and pitfall P12: everything before `switch`.
async fn table(yard: &Yard) -> Result<Vec<(Change, Failure)>> {
    let gemfile = std::fs::read_to_string(paths::repository().join("tests/rails/cigar/Gemfile"))?;
    let lock = yard.host().read_file("/srv/cigar/current/Gemfile.lock").await?;
    let failure = |step, says| Failure { step, says };
    Ok(vec![
        (Change::that_does_not_boot(), failure("trial", &["this cannot boot"])),
        (Change::that_is_unwell(), failure("trial", &["500"])),
        (Change::that_hangs(), failure("trial", &["/up"])),
        (Change::that_flaps(), failure("trial", &["503"])),
        (Change::that_lacks_a_gem(&gemfile, &lock), failure("bundle", &["no-such-gem"])),
        (Change::that_was_not_locked(&gemfile), failure("bundle", &["no-such-gem"])),
        (Change::whose_assets_fail(), failure("assets", &["the style sheet is ugly"])),
        (
            Change::whose_migration_fails(),
            failure("release", &["half way through", "20260910090000_add_note"]),
        ),
        (Change::version("no-rails").without("config/application.rb"), failure("assets", &["application"])),
    ])
}

/// Deploys what the change makes of the app, which must fail as it is said.
async fn fails(
    yard: &Yard,
    repository: &Repository,
    change: &Change,
    failure: &Failure,
) -> Result<Deployment> {
    let commit = repository.commit(yard.host(), change).await?;
    yard.edit("cigar", |spec| {
        // What is waited for in vain, and the assets of what fails later, only take time.
        spec.health_timeout_s = if failure.step == "trial" { 15 } else { 30 };
        let with_assets = failure.step == "assets";
        spec.asset_tasks = with_assets.then(|| "assets:precompile".to_owned()).into_iter().collect();
    })
    .await?;
    let deployment = yard.deploy("cigar").await?;
    yard.must_be(&deployment, JobState::Failed).await?;
    let job = deployment.job.as_ref().context("job")?;
    assert_eq!(job.commit, commit);
    let failed: Vec<&JobStep> = job.steps.iter().filter(|step| step.state() == StepState::Failed).collect();
    ensure!(failed.len() == 1 && failed[0].name == failure.step, "{}", hms_tests::yard::steps(&job.steps));
    ensure!(failed[0].ended_usec >= failed[0].started_usec && failed[0].started_usec > 0, "{:?}", failed[0]);
    ensure!(job.reason.contains(failure.step), "the reason does not name the step: {}", job.reason);
    for word in failure.says {
        ensure!(job.reason.contains(word), "{word} is not in the reason: {}", job.reason);
    }
    let after = job.steps.iter().skip_while(|step| step.name != failure.step).skip(1);
    ensure!(
        after.clone().all(|step| step.state() == StepState::Waiting),
        "{}",
        hms_tests::yard::steps(&job.steps)
    );
    Ok(deployment)
}

/// The release before is live, and nothing of the failed one is left.
async fn is_as_before(yard: &Yard, live: &str, failed: &Deployment) -> Result<()> {
    assert_eq!(yard.live_release("cigar").await?, live);
    let answer = yard.answer("cigar").await?;
    assert_eq!((answer.version.as_str(), answer.release.as_str()), ("2", live));
    let release = &failed.job.as_ref().context("job")?.release;
    let folders = yard.host().run(&["ls", "/srv/cigar/releases"]).await?;
    ensure!(!release.is_empty() && !folders.contains(release.as_str()), "{release} is left: {folders}");
    ensure!(yard.on_host("cigar").await?.releases.iter().all(|known| known.id != *release));
    let units = yard.host().run(&["systemctl", "list-units", "--all", "--no-legend", "hms-job-*"]).await?;
    ensure!(units.trim().is_empty(), "{units}");
    Ok(())
}

/// What is found out after `switch` is put back: visitors wait, and get an answer.
async fn what_boots_only_once_is_put_back(yard: &Yard, repository: &Repository) -> Result<()> {
    let before = yard.answer("cigar").await?;
    let load = yard.trickle("cigar");
    repository.commit(yard.host(), &Change::that_boots_once()).await?;
    let deployment = yard.deploy("cigar").await?;
    yard.must_be(&deployment, JobState::Failed).await?;
    let job = deployment.job.context("job")?;
    let state = |name: &str| job.steps.iter().find(|step| step.name == name).map(JobStep::state);
    assert_eq!((state("trial"), state("switch")), (Some(StepState::Undone), Some(StepState::Undone)));
    ensure!(
        [state("restart"), state("health")].contains(&Some(StepState::Failed)),
        "{}",
        hms_tests::yard::steps(&job.steps)
    );
    ensure!(job.reason.contains("once was enough") || job.reason.contains("restart"), "{}", job.reason);
    assert_eq!(yard.answer("cigar").await?, before);
    let visits = load.end().await?;
    ensure!(visits.versions.iter().all(|version| *version == before.version), "{visits:?}");
    let unit =
        yard.host().run(&["systemctl", "show", "puma-cigar.service", "-p", "ActiveState", "--value"]).await?;
    assert_eq!(unit.trim(), "active");
    Ok(())
}

/// Security case 75.
async fn a_full_disk_is_seen_early_and_survived_late(yard: &Yard) -> Result<()> {
    let host = yard.host();
    host.run(&["mkdir", "-p", "/srv/small"]).await?;
    host.run(&["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", "/srv/small"]).await?;
    let repository = yard.add("small", "tobacco", |_| {}).await?;
    let early = yard.deploy("small").await?;
    yard.must_be(&early, JobState::Failed).await?;
    let job = early.job.context("job")?;
    ensure!(job.steps[0].state() == StepState::Failed && job.reason.contains("MiB"), "{}", job.reason);
    ensure!(!host.exec(&["id", "app-small"]).await?.success(), "it began to set the app up");

    host.run(&["mount", "-o", "remount,size=300m", "/srv/small"]).await?;
    yard.deploy_well("small").await?;
    let live = yard.live_release("small").await?;
    repository.commit(host, &Change::that_fills_the_disk()).await?;
    yard.edit("small", |spec| spec.asset_tasks = vec!["fill".into()]).await?;
    let late = yard.deploy("small").await?;
    yard.must_be(&late, JobState::Failed).await?;
    let reason = late.job.context("job")?.reason;
    ensure!(reason.contains("assets") && reason.contains("No space left"), "{reason}");
    assert_eq!(yard.live_release("small").await?, live);
    assert_eq!(yard.answer("small").await?.version, "1");
    let free = host.run(&["df", "--output=avail", "-BM", "/srv/small"]).await?;
    let free: u32 =
        free.split_whitespace().last().and_then(|n| n.trim_end_matches('M').parse().ok()).context("df")?;
    ensure!(free > 200, "what filled the disk is still there: {free} MiB are free");
    let request = DeployRequest { key: "small".into(), ..DeployRequest::default() };
    yard.edit("small", |spec| spec.asset_tasks = Vec::new()).await?;
    repository.commit(host, &Change::version("7").without("lib/tasks/fill.rake")).await?;
    yard.must_be(&yard.end(&yard.begin(request).await?.id).await?, JobState::Succeeded).await?;
    assert_eq!(yard.answer("small").await?.version, "7");
    Ok(())
}
