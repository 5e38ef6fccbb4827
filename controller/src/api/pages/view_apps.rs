//! From apps, deployments, releases and plans to what the pages show.

use hms_proto::{
    controller::v1::{App, AppSettings, Deployment, ListSecretsResponse, SecretInfo, SecretsChange},
    host::v1::{self, ChangeAction, JobKind, RestartKind, StepState as State},
};
use hms_web::parts::{
    AppPlan, DeployRow, DeploymentCard, DeploymentRow, DiffLine, LiveRelease, PlanChange, ReleaseRow,
    SecretChange, SecretList, SecretRow, Step, StepState, WorkKind,
};

use super::{
    view::{self, some},
    view_jobs,
};

pub(super) fn step(step: &v1::JobStep) -> Step {
    Step {
        name: step.name.clone(),
        state: match step.state() {
            State::Waiting => StepState::Waiting,
            State::Running => StepState::Running,
            State::Done => StepState::Done,
            State::Skipped => StepState::Skipped,
            State::Failed => StepState::Failed,
            State::Undone => StepState::Undone,
        },
        started_us: some(step.started_usec),
        ended_us: some(step.ended_usec),
        detail: step.detail.clone(),
        offset: step.output_offset,
    }
}

fn kind(kind: JobKind) -> WorkKind {
    match kind {
        JobKind::Rollback => WorkKind::Rollback,
        JobKind::Apply => WorkKind::Apply,
        JobKind::Remove => WorkKind::Remove,
        JobKind::Deploy | JobKind::Script => WorkKind::Deploy,
    }
}

pub(super) fn deployment_row(deployment: &Deployment) -> DeploymentRow {
    let job = deployment.job.clone().unwrap_or_default();
    DeploymentRow {
        id: deployment.id.clone(),
        app: deployment.key.clone(),
        kind: kind(deployment.kind()),
        state: view_jobs::job_state(job.state()),
        host: deployment.host.clone(),
        branch: deployment.branch.clone(),
        commit: job.commit.clone(),
        subject: deployment.subject.clone(),
        author: deployment.author.clone(),
        release: deployment.release.clone(),
        from_release: deployment.from_release.clone(),
        from_commit: deployment.from_commit.clone(),
        secrets_version: deployment.secrets_version,
        actor: deployment.actor.clone(),
        source: deployment.source.clone(),
        created_us: job.created_usec,
        started_us: some(job.started_usec),
        ended_us: some(job.ended_usec),
        reason: job.reason.clone(),
        steps: job.steps.iter().map(step).collect(),
    }
}

pub(super) fn card(deployment: &Deployment, tail: Vec<String>) -> DeploymentCard {
    let job = deployment.job.as_ref();
    DeploymentCard {
        row: deployment_row(deployment),
        tail,
        output_bytes: job.map_or(0, |job| job.output_bytes),
        truncated: job.is_some_and(|job| job.output_truncated),
        problem: String::new(),
    }
}

pub(super) fn live(deployment: &Deployment) -> LiveRelease {
    let job = deployment.job.clone().unwrap_or_default();
    LiveRelease {
        deployment: deployment.id.clone(),
        release: deployment.release.clone(),
        commit: job.commit,
        subject: deployment.subject.clone(),
        branch: deployment.branch.clone(),
        actor: deployment.actor.clone(),
        at_us: job.ended_usec,
        secrets_version: deployment.secrets_version,
    }
}

pub(super) fn deploy_row(app: &App, settings: &AppSettings, drifts: usize) -> DeployRow {
    let spec = settings.spec.clone().unwrap_or_default();
    let brought = app.live.as_ref().and_then(|live| live.job.as_ref()).map(|job| job.created_usec);
    DeployRow {
        key: app.key.clone(),
        host: app.host.clone(),
        domain: app.domain.clone(),
        state: view::app_state(app.state()),
        branch: if spec.git_url.is_empty() { String::new() } else { spec.branch },
        enabled: settings.enabled,
        live: app.live.as_ref().map(live),
        work: app.work.as_ref().map(deployment_row),
        secrets_version: app.secrets_version,
        unsettled_us: brought.filter(|at| settings.updated_usec > *at).map(|_| settings.updated_usec),
        drifts,
    }
}

pub(super) fn release_row(release: &v1::Release) -> ReleaseRow {
    ReleaseRow {
        id: release.id.clone(),
        commit: release.commit.clone(),
        branch: release.branch.clone(),
        subject: release.subject.clone(),
        author: release.author.clone(),
        created_us: release.created_usec,
        live_us: some(release.live_usec),
        deployment: release.job_id.clone(),
        actor: release.actor.clone(),
        secrets_version: release.secrets_version,
        healthy: release.healthy,
        live: release.live,
    }
}

pub(super) fn plan(plan: &v1::AppPlan) -> AppPlan {
    AppPlan {
        changes: plan.changes.iter().map(change).collect(),
        restart: restart_word(plan.restart()),
        restart_reason: plan.restart_reason.clone(),
        impact: plan.impact.clone(),
        refusals: plan.refusals.clone(),
        target: plan.target.as_ref().map(release_row),
        migrations: plan.migrations.clone(),
        destructive: plan.destructive_migrations.clone(),
    }
}

fn change(change: &v1::AppChange) -> PlanChange {
    PlanChange {
        item: change.item.clone(),
        subject: change.subject.clone(),
        action: match change.action() {
            ChangeAction::Create => "create",
            ChangeAction::Update => "update",
            ChangeAction::Remove => "remove",
            ChangeAction::None | ChangeAction::Unspecified => "",
        },
        diff: DiffLine::of(&change.diff),
        drift: DiffLine::of(&change.drift),
        detail: change.detail.clone(),
    }
}

fn restart_word(kind: RestartKind) -> &'static str {
    match kind {
        RestartKind::Auto => "",
        RestartKind::None => "none",
        RestartKind::Phased => "phased",
        RestartKind::Hot => "hot",
        RestartKind::Socket => "socket",
        RestartKind::Full => "full",
    }
}

/// What a form says of the kind of restart; anything else is left to the planner.
pub(super) fn restart_kind(word: &str) -> RestartKind {
    let all = [RestartKind::Phased, RestartKind::Hot, RestartKind::Socket, RestartKind::Full];
    all.into_iter().find(|kind| restart_word(*kind) == word).unwrap_or_default()
}

pub(super) fn secrets(key: &str, live: Option<u32>, list: ListSecretsResponse) -> SecretList {
    let row = |secret: SecretInfo| SecretRow {
        name: secret.name,
        version: secret.version,
        changed_us: secret.changed_usec,
        changed_by: secret.changed_by,
        length: secret.length,
    };
    SecretList {
        key: key.to_owned(),
        version: list.version,
        live_version: live,
        rows: list.secrets.into_iter().map(row).collect(),
        public_key: list.git_public_key,
        ..SecretList::default()
    }
}

pub(super) fn secret_change(change: SecretsChange) -> SecretChange {
    let SecretsChange { added, changed, removed, unchanged, .. } = change;
    SecretChange { added, changed, removed, unchanged }
}

/// The address of the app's site; empty when it has none.
pub(super) fn site_href(app: &App, settings: &AppSettings) -> String {
    let has_certificate = settings.spec.as_ref().is_some_and(|spec| !spec.cert_path.is_empty());
    match (app.domain.as_str(), has_certificate) {
        ("", _) => String::new(),
        (domain, true) => format!("https://{domain}/"),
        (domain, false) => format!("http://{domain}/"),
    }
}

/// More about an app: name and value.
pub(super) fn facts(app: &App, settings: &AppSettings) -> Vec<(&'static str, String)> {
    let spec = settings.spec.clone().unwrap_or_default();
    let threads = match (spec.threads_min, spec.threads_max) {
        (min, max) if min == max => format!("{max} threads"),
        (min, max) => format!("{min} to {max} threads"),
    };
    let process = match spec.workers {
        0 => format!("one process with {threads}"),
        1 => format!("1 worker with {threads}"),
        n => format!("{n} workers with {threads}"),
    };
    let mut facts = vec![("Unit", app.unit_name.clone()), ("Folder", spec.root)];
    if !spec.git_url.is_empty() {
        facts.extend([("Repository", spec.git_url), ("Branch", spec.branch)]);
    }
    facts.push(("Process", process));
    if !spec.database_name.is_empty() {
        facts.push(("Database", format!("{}, as {}", spec.database_name, spec.database_user)));
    }
    if settings.backup_enabled {
        facts.push(("Backups", settings.backup_schedule.clone()));
    }
    facts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_wait_until_a_deployment_began_after_they_were_changed() {
        let app = |created_usec| App {
            live: Some(Deployment {
                job: Some(v1::Job { created_usec, ..v1::Job::default() }),
                ..Deployment::default()
            }),
            ..App::default()
        };
        let settings = AppSettings { updated_usec: 50, ..AppSettings::default() };
        assert_eq!(deploy_row(&app(40), &settings, 0).unsettled_us, Some(50));
        assert_eq!(deploy_row(&app(60), &settings, 0).unsettled_us, None);
        assert_eq!(deploy_row(&App::default(), &settings, 0).unsettled_us, None, "nothing is live");
    }

    #[test]
    fn kinds_of_restart_are_read_back() {
        for (word, _) in hms_web::parts::restart_choices() {
            assert_eq!(restart_word(restart_kind(word)), word);
        }
        assert_eq!(restart_kind("none"), RestartKind::Auto, "whoever asks for none gets what is needed");
    }
}
