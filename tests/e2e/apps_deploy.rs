//! Deployments of real Rails apps: from an empty host to a site, and again, and only once at a time.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hms_proto::controller::v1::{CancelRequest, DeployRequest, Deployment};
use hms_proto::fault::FaultKind;
use hms_proto::host::v1::{JobState, StepState};
use hms_tests::repository::{Change, Repository};
use hms_tests::yard::{Yard, new_id};
use reqwest::StatusCode;

use crate::support::eventually;

const SOON: Duration = Duration::from_secs(60);

/// A task that takes as long as a test needs, and says that it has begun.
const SLOW_TASK: &str = "task :linger do\n  puts \"lingering\"\n  $stdout.flush\n  sleep 600\nend\n";

fn deploy_of(key: &str) -> DeployRequest {
    DeployRequest { key: key.into(), ..DeployRequest::default() }
}

/// The state of each step, in words.
fn states(deployment: &Deployment) -> Vec<(String, StepState)> {
    let steps = deployment.job.iter().flat_map(|job| &job.steps);
    steps.map(|step| (step.name.clone(), step.state())).collect()
}

#[tokio::test]
async fn an_empty_host_serves_a_rails_app_after_one_deployment() -> Result<()> {
    let yard = Yard::new().await?;
    let host = yard.host();
    let repository = yard.add("cigar", "cigar", |_| {}).await?;
    ensure!(!host.exec(&["id", "app-cigar"]).await?.success(), "the host is not empty");

    let first = yard.deploy_well("cigar").await?;
    is_told_well(&yard, &first).await?;
    is_served(&yard).await?;
    is_set_up_well(&yard).await?;

    // The next version goes live without one visit that fails.
    let load = yard.load("cigar");
    let commit = repository.commit(host, &Change::version("2").by("Ada Lovelace")).await?;
    let second = yard.deploy_well("cigar").await?;
    let visits = load.end().await?;
    assert_eq!(visits.versions, ["1", "2"]);
    let job = second.job.as_ref().context("job")?;
    assert_eq!((job.commit.as_str(), second.subject.as_str()), (commit.as_str(), "Version 2"));
    assert_eq!((second.author.as_str(), second.actor.as_str()), ("Ada Lovelace", "admin"));
    assert_eq!(second.from_release, first.job.as_ref().context("job")?.release);
    let answer = yard.answer("cigar").await?;
    assert_eq!((answer.version.as_str(), answer.commit.as_str()), ("2", commit.as_str()));
    assert_eq!((&answer.release, answer.rows), (&job.release, 5));

    requests_join_and_one_is_canceled(&yard, &repository).await?;
    a_branch_is_resolved_once(&yard, &repository).await?;
    what_was_changed_by_hand_is_not_overwritten(&yard).await
}

/// Every step of a first deployment is told, in time order, and its output begins where it says.
async fn is_told_well(yard: &Yard, first: &Deployment) -> Result<()> {
    let job = first.job.as_ref().context("job")?;
    let names: Vec<_> = job.steps.iter().map(|step| step.name.as_str()).collect();
    let expected = [
        "prepare", "fetch", "checkout", "bundle", "assets", "release", "trial", "switch", "restart",
        "health", "site",
    ];
    assert_eq!(names[..11], expected);
    let mut last = job.started_usec;
    for step in job.steps.iter().filter(|step| step.state() == StepState::Done) {
        ensure!(step.started_usec >= last && step.ended_usec >= step.started_usec, "{step:?} after {last}");
        last = step.ended_usec;
    }
    let output = yard.output(&first.id).await?;
    let release = job.steps.iter().find(|step| step.name == "release").context("release")?;
    let rest = output.get(usize::try_from(release.output_offset)?..).context("the output is shorter")?;
    ensure!(rest.contains("CreateProducts: migrated"), "{rest}");
    ensure!(!output.contains("SECRET_KEY_BASE") && !output.contains('\u{fffd}'), "{output}");
    Ok(())
}

/// Pages come from the app and its database, files from nginx.
async fn is_served(yard: &Yard) -> Result<()> {
    let (status, page) = yard.ask("cigar", "/").await?;
    ensure!(
        status == StatusCode::OK && page.contains("Robusto") && page.contains("Version 1"),
        "{status} {page}"
    );
    let style =
        page.split('"').find(|word| word.starts_with("/assets/application-")).context("no style sheet")?;
    let (status, text) = yard.ask("cigar", style).await?;
    ensure!(status == StatusCode::OK && text.contains("max-width"), "{status} {text}");
    let (status, text) = yard.ask("cigar", "/robots.txt").await?;
    ensure!(status == StatusCode::OK && text.contains("Disallow"), "{status} {text}");
    let (status, text) = yard.ask("cigar", "/env/SECRET_KEY_BASE").await?;
    ensure!(status == StatusCode::OK && text.len() >= 64, "the app has no secret: {status} {text}");
    for hidden in ["/../config/database.yml", "/.git/config", "/config/database.yml"] {
        let (status, _) = yard.ask("cigar", hidden).await?;
        ensure!(status.is_client_error(), "{hidden}: {status}");
    }
    Ok(())
}

/// Security cases 64, 74 and 85: what is root's is root's, and what is secret nobody reads.
async fn is_set_up_well(yard: &Yard) -> Result<()> {
    let host = yard.host();
    let owners = "stat -c '%n %U %a' /srv/cigar /srv/cigar/releases /srv/cigar/shared /srv/cigar/shared/config/puma.rb \
        /etc/systemd/system/puma-cigar.service /etc/systemd/system/puma-cigar.socket /etc/nginx/sites-available/cigar";
    for line in host.run(&["sh", "-ec", owners]).await?.lines() {
        let (_, mode) = line.rsplit_once(' ').context("stat")?;
        ensure!(line.contains(" root ") && u32::from_str_radix(mode, 8)? & 0o022 == 0, "{line}");
    }
    let look = ["runuser", "-u", "app-cigar", "--", "ls", "/var/lib/hms-agent/apps"];
    ensure!(host.exec(&look).await?.stdout.is_empty(), "others see what the agent has");
    let unit = host
        .run(&[
            "systemctl",
            "show",
            "puma-cigar.service",
            "-p",
            "User,NoNewPrivileges,NRestarts,ProtectSystem",
        ])
        .await?;
    for wanted in ["User=app-cigar", "NoNewPrivileges=yes", "NRestarts=0", "ProtectSystem=strict"] {
        ensure!(unit.contains(wanted), "{unit}");
    }
    let swap = ["runuser", "-u", "app-cigar", "--", "ln", "-sfn", "/etc", "/srv/cigar/current"];
    ensure!(!host.exec(&swap).await?.success(), "the app's user swaps `current`");
    let left = host
        .run(&["sh", "-c", "systemctl list-units --all --no-legend 'hms-job-*'; find /srv/cigar -perm /6000"])
        .await?;
    ensure!(left.trim().is_empty(), "left behind: {left}");
    Ok(())
}

/// Security case 73: two people deploy, one work is done; and nothing of it is left when it is canceled.
async fn requests_join_and_one_is_canceled(yard: &Yard, repository: &Repository) -> Result<()> {
    let before = yard.answer("cigar").await?;
    repository.commit(yard.host(), &Change::version("3").file("lib/tasks/linger.rake", SLOW_TASK)).await?;
    yard.edit("cigar", |spec| spec.release_tasks = vec!["linger".into()]).await?;
    let id = new_id();
    let request = DeployRequest { id: id.clone(), ..deploy_of("cigar") };
    let (one, other, same) = tokio::join!(
        yard.begin(request.clone()),
        yard.begin(deploy_of("cigar")),
        yard.begin(request.clone())
    );
    let answers = [one?, other?, same?];
    ensure!(answers.iter().all(|answer| answer.id == answers[0].id), "{answers:?}");
    ensure!(answers.iter().any(|answer| answer.joined), "nobody joined: {answers:?}");
    let running = answers[0].id.clone();
    eventually(SOON, async || {
        ensure!(yard.output(&running).await?.contains("lingering"), "the task has not begun");
        Ok(())
    })
    .await?;
    assert_eq!(yard.on_host("cigar").await?.work.context("nobody works")?.id, running);
    yard.jobs().cancel(CancelRequest { id: running.clone() }).await?;
    let ended = yard.end(&running).await?;
    yard.must_be(&ended, JobState::Canceled).await?;
    ensure!(states(&ended).contains(&("release".into(), StepState::Failed)), "{:?}", states(&ended));
    let again = yard.begin(DeployRequest { id: running.clone(), ..deploy_of("cigar") }).await?;
    let state = again.job.context("job")?.state();
    ensure!(again.id == running && state == JobState::Canceled, "it began again: {state:?}");
    assert_eq!(yard.answer("cigar").await?, before);
    is_clean(yard, &[&before.release]).await?;
    yard.edit("cigar", |spec| spec.release_tasks = vec!["db:migrate".into()]).await
}

/// No process, and no release but those that were live.
async fn is_clean(yard: &Yard, live: &[&str]) -> Result<()> {
    let host = yard.host();
    let units = host.run(&["systemctl", "list-units", "--all", "--no-legend", "hms-job-*"]).await?;
    ensure!(units.trim().is_empty(), "{units}");
    let processes = host.exec(&["pgrep", "-u", "app-cigar", "-af", "rake|bundle exec"]).await?;
    ensure!(processes.stdout.trim().is_empty(), "{}", processes.stdout);
    let known: Vec<_> = yard.on_host("cigar").await?.releases.into_iter().map(|release| release.id).collect();
    ensure!(live.iter().all(|id| known.iter().any(|k| k == id)), "{known:?}");
    let folders = host.run(&["ls", "/srv/cigar/releases"]).await?;
    ensure!(folders.lines().all(|folder| known.iter().any(|k| k == folder)), "strange: {folders}");
    Ok(())
}

/// Security case 63: the branch moves while its commit is deployed.
async fn a_branch_is_resolved_once(yard: &Yard, repository: &Repository) -> Result<()> {
    let host = yard.host();
    let wanted = repository.commit(host, &Change::version("4")).await?;
    let begun = yard.begin(deploy_of("cigar")).await?;
    eventually(SOON, async || {
        let job = yard.get(&begun.id).await?.job.unwrap_or_default();
        ensure!(!job.commit.is_empty(), "no commit yet");
        Ok(())
    })
    .await?;
    let later = repository.commit(host, &Change::version("5")).await?;
    let ended = yard.end(&begun.id).await?;
    yard.must_be(&ended, JobState::Succeeded).await?;
    let answer = yard.answer("cigar").await?;
    assert_eq!((answer.version.as_str(), &answer.commit), ("4", &wanted));
    // One commit, by its whole id; but not one of another branch.
    let by_id = yard.begin(DeployRequest { commit: later.clone(), ..deploy_of("cigar") }).await?;
    yard.must_be(&yard.end(&by_id.id).await?, JobState::Succeeded).await?;
    assert_eq!(yard.answer("cigar").await?.commit, later);
    let elsewhere = repository.commit(host, &Change::version("6").on("side")).await?;
    let refused = yard.begin(DeployRequest { commit: elsewhere, ..deploy_of("cigar") }).await?;
    yard.must_be(&yard.end(&refused.id).await?, JobState::Failed).await?;
    for partial in [&later[..12], "HEAD", "main~1"] {
        let request = DeployRequest { commit: partial.into(), ..deploy_of("cigar") };
        let fault = yard.begin(request).await.err().context("taken for a commit")?;
        assert_eq!(fault.kind(), FaultKind::Invalid, "{partial}");
    }
    Ok(())
}

/// What somebody changed on the host stays, until it is said that it shall not.
async fn what_was_changed_by_hand_is_not_overwritten(yard: &Yard) -> Result<()> {
    let host = yard.host();
    let unit = "/etc/systemd/system/puma-cigar.service";
    let text = format!("{}\n# by hand\n", host.read_file(unit).await?);
    host.write_file(unit, &text).await?;
    let drift = yard.on_host("cigar").await?.drift;
    ensure!(
        drift.iter().any(|change| change.subject == unit && change.drift.contains("+# by hand")),
        "{drift:?}"
    );
    let refused = yard.deploy("cigar").await?;
    yard.must_be(&refused, JobState::Failed).await?;
    let reason = refused.job.context("job")?.reason;
    ensure!(reason.contains("prepare") && reason.contains(unit), "{reason}");
    assert_eq!(host.read_file(unit).await?, text);
    let reverting = yard.begin(DeployRequest { revert_drift: true, ..deploy_of("cigar") }).await?;
    yard.must_be(&yard.end(&reverting.id).await?, JobState::Succeeded).await?;
    ensure!(!host.read_file(unit).await?.contains("by hand"), "it is still there");
    ensure!(yard.on_host("cigar").await?.drift.is_empty(), "there is drift");
    Ok(())
}
