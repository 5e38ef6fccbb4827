//! How an app is restarted: the mildest kind that brings what is new, and never one that keeps something old.

use anyhow::{Context as _, Result, ensure};
use hms_proto::controller::v1::{ApplyRequest, DeployRequest, Deployment, PlanRequest, SetSecretsRequest};
use hms_proto::host::v1::{JobKind, JobState, JobStep, RestartKind, Secret, StepState};
use hms_tests::repository::{Change, Repository};
use hms_tests::yard::{Yard, steps};

const KEY: &str = "cigar";

/// What shows how the process was restarted.
#[derive(Debug, PartialEq, Eq)]
struct Process {
    main: String,
    restarts: String,
    socket: String,
}

async fn process(yard: &Yard) -> Result<Process> {
    let property = async |name: &str| {
        let argv = ["systemctl", "show", "puma-cigar.service", "--value", "-p", name];
        anyhow::Ok(yard.host().run(&argv).await?.trim().to_owned())
    };
    ensure!(property("ActiveState").await? == "active", "the app does not run");
    let socket = yard.host().run(&["stat", "-c", "%i", "/run/puma-cigar/puma.sock"]).await?;
    Ok(Process { main: property("MainPID").await?, restarts: property("NRestarts").await?, socket })
}

fn step(deployment: &Deployment, name: &str) -> Result<JobStep> {
    let job = deployment.job.as_ref().context("job")?;
    job.steps.iter().find(|step| step.name == name).cloned().with_context(|| steps(&job.steps))
}

async fn apply(yard: &Yard, restart: RestartKind) -> Result<Deployment> {
    let request = ApplyRequest { key: KEY.into(), restart: restart.into(), ..ApplyRequest::default() };
    let begun = yard.deployments().apply(request).await?.into_inner();
    yard.end(&begun.id).await
}

async fn deploy(yard: &Yard, restart: RestartKind) -> Result<Deployment> {
    let request = DeployRequest { key: KEY.into(), restart: restart.into(), ..DeployRequest::default() };
    yard.end(&yard.begin(request).await?.id).await
}

/// Which kind the plan names, and why.
async fn planned(yard: &Yard) -> Result<(RestartKind, String)> {
    let request = PlanRequest { key: KEY.into(), kind: JobKind::Apply.into(), ..PlanRequest::default() };
    let plan = yard.deployments().plan(request).await?.into_inner();
    ensure!(!plan.impact.is_empty(), "it does not say what visitors notice: {plan:?}");
    Ok((plan.restart(), plan.restart_reason))
}

async fn set_secret(yard: &Yard, value: &str) -> Result<()> {
    let secret = Secret { name: "SMTP_PASSWORD".into(), value: value.into() };
    let request =
        SetSecretsRequest { key: KEY.into(), secrets: vec![secret], ..SetSecretsRequest::default() };
    yard.secrets().set(request).await?;
    Ok(())
}

#[tokio::test]
async fn the_kind_of_restart_follows_from_what_is_new() -> Result<()> {
    let yard = Yard::new().await?;
    let repository = yard
        .add(KEY, "cigar", |spec| {
            (spec.workers, spec.health_timeout_s, spec.asset_tasks) = (2, 30, Vec::new());
        })
        .await?;
    yard.deploy_well(KEY).await?;
    code_alone_is_phased(&yard, &repository).await?;
    secrets_need_a_new_process(&yard).await?;
    gems_need_a_new_process(&yard, &repository).await?;
    what_is_asked_for_is_done_or_refused(&yard, &repository).await?;
    old_workers_serve_on_when_new_ones_do_not_boot(&yard, &repository).await?;
    without_workers_the_socket_is_kept(&yard, &repository).await
}

async fn code_alone_is_phased(yard: &Yard, repository: &Repository) -> Result<()> {
    let (before, load) = (process(yard).await?, yard.load(KEY));
    let commit = repository.commit(yard.host(), &Change::version("2")).await?;
    let deployment = yard.deploy_well(KEY).await?;
    let visits = load.end().await?;
    ensure!(
        visits.versions.first().is_some_and(|v| v == "1") && visits.versions.contains(&"2".into()),
        "{visits:?}"
    );
    let detail = step(&deployment, "restart")?.detail;
    ensure!(detail.starts_with("phased"), "{detail}");
    assert_eq!(process(yard).await?, before, "the master is another one");
    // All workers have the new code, and are told so.
    for _ in 0..20 {
        let answer = yard.answer(KEY).await?;
        assert_eq!((answer.version.as_str(), &answer.commit), ("2", &commit));
        assert_eq!(answer.release, deployment.job.as_ref().context("job")?.release);
    }
    Ok(())
}

/// Pitfall P13: new values never wait in a unit while the process keeps the old ones.
async fn secrets_need_a_new_process(yard: &Yard) -> Result<()> {
    let before = process(yard).await?;
    set_secret(yard, "first").await?;
    let (kind, reason) = planned(yard).await?;
    ensure!(kind == RestartKind::Socket && reason.contains("secrets"), "{kind:?} {reason}");
    let stale = yard.on_host(KEY).await?;
    for wrong in [RestartKind::None, RestartKind::Phased, RestartKind::Hot] {
        let refused = apply(yard, wrong).await?;
        yard.must_be(&refused, JobState::Failed).await?;
        let reason = refused.job.context("job")?.reason;
        ensure!(reason.contains("refused") && reason.contains("secrets"), "{wrong:?}: {reason}");
    }
    assert_eq!(process(yard).await?, before, "a refused restart touched the process");
    let load = yard.load(KEY);
    let applied = apply(yard, RestartKind::Auto).await?;
    yard.must_be(&applied, JobState::Succeeded).await?;
    load.end().await?;
    let after = process(yard).await?;
    ensure!(after.main != before.main && after.socket == before.socket, "{before:?} {after:?}");
    assert_eq!(yard.ask(KEY, "/env/SMTP_PASSWORD").await?.1, "first");
    let fresh = yard.on_host(KEY).await?;
    ensure!(fresh.running_secrets_version > stale.running_secrets_version, "{stale:?} {fresh:?}");
    assert_eq!(fresh.running_secrets_version, fresh.delivered_secrets_version);
    // Nothing is new: nothing is done.
    let (kind, _) = planned(yard).await?;
    assert_eq!(kind, RestartKind::None);
    yard.must_be(&apply(yard, RestartKind::Auto).await?, JobState::Succeeded).await?;
    assert_eq!(process(yard).await?, after);
    Ok(())
}

async fn gems_need_a_new_process(yard: &Yard, repository: &Repository) -> Result<()> {
    let before = process(yard).await?;
    let lock = yard.host().read_file("/srv/cigar/current/Gemfile.lock").await?;
    let newer = lock.replace("   2.3", "   2.2");
    ensure!(newer != lock, "{lock}");
    repository.commit(yard.host(), &Change::version("3").file("Gemfile.lock", newer)).await?;
    let deployment = yard.deploy_well(KEY).await?;
    let detail = step(&deployment, "restart")?.detail;
    ensure!(detail.starts_with("socket-preserving") && detail.contains("gems"), "{detail}");
    let after = process(yard).await?;
    ensure!(after.main != before.main && after.socket == before.socket, "{before:?} {after:?}");
    Ok(())
}

async fn what_is_asked_for_is_done_or_refused(yard: &Yard, repository: &Repository) -> Result<()> {
    let (before, load) = (process(yard).await?, yard.load(KEY));
    repository.commit(yard.host(), &Change::version("4")).await?;
    let hot = deploy(yard, RestartKind::Hot).await?;
    yard.must_be(&hot, JobState::Succeeded).await?;
    load.end().await.context("hot")?;
    let detail = step(&hot, "restart")?.detail;
    ensure!(detail.starts_with("hot,"), "{detail}");
    assert_eq!(process(yard).await?, before, "a hot restart keeps the process");
    assert_eq!(yard.answer(KEY).await?.version, "4");

    repository.commit(yard.host(), &Change::version("5")).await?;
    let none = deploy(yard, RestartKind::None).await?;
    yard.must_be(&none, JobState::Failed).await?;
    assert_eq!(yard.answer(KEY).await?.version, "4");
    let full = deploy(yard, RestartKind::Full).await?;
    yard.must_be(&full, JobState::Succeeded).await?;
    let after = process(yard).await?;
    ensure!(after.main != before.main && after.socket != before.socket, "{before:?} {after:?}");
    assert_eq!(yard.answer(KEY).await?.version, "5");

    // A limit is in the unit; systemd gives it to a new process only.
    yard.edit(KEY, |spec| spec.environment = [("PAGE_SIZE".to_owned(), "25".to_owned())].into()).await?;
    assert_eq!(planned(yard).await?.0, RestartKind::Socket);
    yard.must_be(&apply(yard, RestartKind::Auto).await?, JobState::Succeeded).await?;
    assert_eq!(yard.ask(KEY, "/env/PAGE_SIZE").await?.1, "25");
    Ok(())
}

/// Pitfall P12: puma cannot boot the new code, and would try for ever.
async fn old_workers_serve_on_when_new_ones_do_not_boot(yard: &Yard, repository: &Repository) -> Result<()> {
    let before = yard.answer(KEY).await?;
    let (good, load) = (before.commit.clone(), yard.load(KEY));
    repository.commit(yard.host(), &Change::that_boots_once()).await?;
    let deployment = yard.deploy(KEY).await?;
    yard.must_be(&deployment, JobState::Failed).await?;
    let visits = load.end().await.context("new workers do not boot")?;
    assert_eq!(visits.versions, std::slice::from_ref(&before.version));
    assert_eq!(step(&deployment, "switch")?.state(), StepState::Undone);
    let restart = step(&deployment, "restart")?;
    ensure!(restart.state() == StepState::Failed && restart.detail.contains("serve on"), "{restart:?}");
    process(yard).await?;
    for _ in 0..10 {
        assert_eq!(yard.answer(KEY).await?, before);
    }
    repository.move_branch(yard.host(), "main", &good).await
}

async fn without_workers_the_socket_is_kept(yard: &Yard, repository: &Repository) -> Result<()> {
    yard.edit(KEY, |spec| spec.workers = 0).await?;
    yard.must_be(&apply(yard, RestartKind::Auto).await?, JobState::Succeeded).await?;
    let (before, load) = (process(yard).await?, yard.load(KEY));
    repository.commit(yard.host(), &Change::version("9")).await?;
    let refused = deploy(yard, RestartKind::Phased).await?;
    yard.must_be(&refused, JobState::Failed).await?;
    let deployment = yard.deploy_well(KEY).await?;
    load.end().await?;
    let detail = step(&deployment, "restart")?.detail;
    ensure!(detail.starts_with("socket-preserving"), "{detail}");
    let after = process(yard).await?;
    ensure!(after.main != before.main && after.socket == before.socket, "{before:?} {after:?}");
    assert_eq!(yard.answer(KEY).await?.version, "9");
    // One that was stopped is started.
    yard.host().run(&["systemctl", "stop", "puma-cigar.socket", "puma-cigar.service"]).await?;
    assert_eq!(planned(yard).await?.0, RestartKind::Full);
    yard.must_be(&apply(yard, RestartKind::Auto).await?, JobState::Succeeded).await?;
    process(yard).await.map(drop)
}
