//! What would change on an app's host.

use clap::{Args, ValueEnum};
use clap_complete::engine::ArgValueCompleter;
use hms_proto::{
    controller::v1::PlanRequest,
    fault::Fault,
    host::v1::{AppChange, AppPlan, ChangeAction, JobKind, PlanAppRequest, RestartKind},
    names::ReleaseId,
};

use super::OneApp;
use crate::{
    complete,
    connect::{Connection, Pace},
    dialog::diff,
    failure::{CHANGES, Failure, Result},
    output::{
        escape::{inline, visible},
        table::{Cell, Look, Table},
    },
    session::Session,
};

#[derive(Debug, Args)]
pub(super) struct PlanApp {
    #[command(flatten)]
    app: OneApp,
    /// What would be done
    #[arg(long = "for", value_enum, default_value_t, value_name = "WORK")]
    work: Work,
    /// With --for rollback: the release to go back to
    #[arg(long, value_name = "RELEASE", add = ArgValueCompleter::new(complete::releases))]
    release: Option<ReleaseId>,
    /// The kind of restart that is wished for
    #[arg(long, value_enum, default_value_t, hide_default_value = true)]
    restart: Restart,
    /// End with 6 where something would change
    #[arg(long)]
    exit_code: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Work {
    #[default]
    Apply,
    Deploy,
    Rollback,
    Remove,
}

/// How an app is brought to new code and values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Restart {
    /// The mildest that does what is needed
    #[default]
    Auto,
    /// Not at all
    None,
    /// One worker after the other; keeps environment and gems
    Phased,
    /// puma executes itself again; keeps the environment
    Hot,
    /// Stopped and started while systemd holds the socket: requests wait, none is refused
    Socket,
    /// Service and socket are stopped and started
    Full,
}

impl From<Restart> for i32 {
    fn from(restart: Restart) -> Self {
        let kind = match restart {
            Restart::Auto => RestartKind::Auto,
            Restart::None => RestartKind::None,
            Restart::Phased => RestartKind::Phased,
            Restart::Hot => RestartKind::Hot,
            Restart::Socket => RestartKind::Socket,
            Restart::Full => RestartKind::Full,
        };
        kind.into()
    }
}

/// Asks the controller, which asks the host; or the host itself, which can plan with what it has.
pub(super) async fn ask(session: &Session, link: &Connection, request: PlanRequest) -> Result<AppPlan> {
    let _progress = session.out.progress(format!("asking what would change for {}", request.key));
    if !link.is_direct() {
        return link.answer(Pace::Act, link.deployments(None, Pace::Act).plan(request)).await;
    }
    if request.kind() != JobKind::Rollback {
        return Err(Fault::invalid("only the controller knows what an app should be like")
            .hint("leave out --direct; or plan --for rollback")
            .into());
    }
    let request = PlanAppRequest {
        key: request.key,
        kind: request.kind,
        release: request.release,
        restart: request.restart,
        ..PlanAppRequest::default()
    };
    link.answer(Pace::Act, link.host_apps(None, Pace::Act).plan(request)).await
}

impl PlanApp {
    pub(super) async fn run(self, session: &Session) -> Result<()> {
        let kind = match self.work {
            Work::Apply => JobKind::Apply,
            Work::Deploy => JobKind::Deploy,
            Work::Rollback => JobKind::Rollback,
            Work::Remove => JobKind::Remove,
        };
        if self.release.is_some() && kind != JobKind::Rollback {
            return Err(Fault::invalid("--release is for --for rollback").into());
        }
        let request = PlanRequest {
            key: self.app.key.to_string(),
            kind: kind.into(),
            release: self.release.map(|release| release.to_string()).unwrap_or_default(),
            restart: self.restart.into(),
        };
        let plan = ask(session, &session.link()?, request).await?;
        if !session.out.data(&plan)? {
            session.out.write(&rendered(&plan, session.out.width, session.out.colour))?;
        }
        match (plan.refusals.is_empty(), self.exit_code && changes(&plan)) {
            (false, _) => Err(Failure::Reported(1)),
            (true, true) => Err(Failure::Reported(CHANGES)),
            (true, false) => Ok(()),
        }
    }
}

/// Whether anything would be different afterwards.
pub(super) fn changes(plan: &AppPlan) -> bool {
    plan.changes.iter().any(is_change) || !matches!(plan.restart(), RestartKind::None | RestartKind::Auto)
}

fn is_change(change: &AppChange) -> bool {
    !matches!(change.action(), ChangeAction::None | ChangeAction::Unspecified) || !change.drift.is_empty()
}

/// A plan as people read it: what changes with its differences, the restart, and why it would be refused.
pub(super) fn rendered(plan: &AppPlan, width: Option<usize>, colour: bool) -> String {
    let table = overview(plan);
    let mut text = if table.is_empty() { String::new() } else { table.render(width, colour) };
    for change in plan.changes.iter().filter(|change| is_change(change)) {
        text += &details(change, colour);
    }
    text += &target(plan, colour);
    text += &restart(plan, colour);
    for refusal in &plan.refusals {
        text += &format!("{} {}\n", Look::Bad.paint("▲ would be refused:", colour), inline(refusal));
    }
    text
}

fn overview(plan: &AppPlan) -> Table {
    let mut table = Table::new(&["!", "ITEM", "ON THE HOST", "WHAT"]);
    for change in plan.changes.iter().filter(|change| is_change(change)) {
        let (sign, look) = sign(change);
        let mut what = change.detail.clone();
        if !change.drift.is_empty() {
            what = [what.as_str(), "changed by hand"]
                .into_iter()
                .filter(|t| !t.is_empty())
                .collect::<Vec<_>>()
                .join("; ");
        } else if what.is_empty() && !change.diff.is_empty() {
            what = diff::size(&change.diff);
        }
        table.row(vec![
            Cell::new(sign, look),
            Cell::new(&change.item, Look::Strong),
            change.subject.as_str().into(),
            what.into(),
        ]);
    }
    table
}

fn sign(change: &AppChange) -> (&'static str, Look) {
    match change.action() {
        ChangeAction::Create => ("+", Look::Good),
        ChangeAction::Update => ("~", Look::Busy),
        ChangeAction::Remove => ("−", Look::Bad),
        ChangeAction::None | ChangeAction::Unspecified => ("!", Look::Bad),
    }
}

fn details(change: &AppChange, colour: bool) -> String {
    let mut text = String::new();
    if !change.drift.is_empty() {
        let head = format!("{} was changed by hand:", inline(&change.subject));
        text += &format!("\n{}\n{}", Look::Bad.paint(&head, colour), diff::shown(&change.drift, colour));
    }
    if !change.diff.is_empty() {
        text += &format!("\n{}", diff::shown(&change.diff, colour));
    }
    text
}

fn target(plan: &AppPlan, colour: bool) -> String {
    let mut text = String::new();
    if let Some(release) = &plan.target {
        let subject =
            if release.subject.is_empty() { String::new() } else { format!(": {}", release.subject) };
        text +=
            &format!("\nback to {}{}\n", Look::Strong.paint(&inline(&release.id), colour), inline(&subject));
    }
    if !plan.migrations.is_empty() {
        let names: Vec<_> = plan.migrations.iter().map(|name| inline(name)).collect();
        text += &format!("the database keeps: {}\n", names.join(", "));
    }
    for name in &plan.destructive_migrations {
        let said = format!("{} may have destroyed what that release needs", inline(name));
        text += &format!("{}\n", Look::Bad.paint(&said, colour));
    }
    text
}

fn restart(plan: &AppPlan, colour: bool) -> String {
    let kind = match plan.restart() {
        RestartKind::None | RestartKind::Auto if !changes(plan) => return "nothing would change\n".into(),
        RestartKind::Auto => "as needed",
        RestartKind::None => "none",
        RestartKind::Phased => "phased",
        RestartKind::Hot => "hot",
        RestartKind::Socket => "socket",
        RestartKind::Full => "full",
    };
    let mut text = format!("\nrestart: {}", Look::Strong.paint(kind, colour));
    if !plan.restart_reason.is_empty() {
        text += &format!(" ({})", visible(&plan.restart_reason));
    }
    text.push('\n');
    if !plan.impact.is_empty() {
        text += &format!("impact:  {}\n", visible(&plan.impact));
    }
    text
}

#[cfg(test)]
mod tests {
    use hms_proto::host::v1::Release;

    use super::*;

    fn plan() -> AppPlan {
        let change = |item: &str, subject: &str, action: ChangeAction| AppChange {
            item: item.into(),
            subject: subject.into(),
            action: action.into(),
            ..AppChange::default()
        };
        AppPlan {
            key: "cigar".into(),
            changes: vec![
                AppChange {
                    diff: diff::unified("etc/systemd/system/puma-cigar.service", "a\nb\n", "a\nc\n"),
                    ..change("service", "/etc/systemd/system/puma-cigar.service", ChangeAction::Update)
                },
                change("socket", "/etc/systemd/system/puma-cigar.socket", ChangeAction::None),
                AppChange {
                    drift: diff::unified("etc/nginx/sites-available/cigar", "x\n", "y\x1b[2J\n"),
                    ..change("site", "/etc/nginx/sites-available/cigar", ChangeAction::None)
                },
                AppChange {
                    detail: "version 3 to version 5: +SMTP_PASSWORD, API_TOKEN".into(),
                    ..change("secrets", "secrets-5.cred", ChangeAction::Create)
                },
                change("database", "old", ChangeAction::Remove),
            ],
            restart: RestartKind::Socket.into(),
            restart_reason: "secrets changed".into(),
            impact: "requests wait for some seconds".into(),
            ..AppPlan::default()
        }
    }

    #[test]
    fn a_plan_says_what_changes_and_how_it_restarts() {
        insta::assert_snapshot!(rendered(&plan(), None, false));
        let painted = rendered(&plan(), Some(100), true);
        assert!(painted.contains("\x1b[32m+c\x1b[0m") && !painted.contains("\x1b[2J"), "{painted}");
    }

    #[test]
    fn a_rollback_says_what_the_database_keeps() {
        let plan = AppPlan {
            target: Some(Release {
                id: "20261125T101502-1a2b3c4".into(),
                subject: "Fix".into(),
                ..Release::default()
            }),
            migrations: vec!["20261126_add_x.rb".into(), "20261127_drop_y.rb".into()],
            destructive_migrations: vec!["20261127_drop_y.rb".into()],
            refusals: vec!["destructive migrations ran since".into()],
            restart: RestartKind::Phased.into(),
            ..AppPlan::default()
        };
        insta::assert_snapshot!(rendered(&plan, None, false));
    }

    #[test]
    fn nothing_to_do_is_said_in_a_line() {
        let mut none = plan();
        none.changes.retain(|change| change.item == "socket");
        none.restart = RestartKind::None.into();
        assert_eq!(rendered(&none, None, false).lines().last(), Some("nothing would change"));
        assert!(!changes(&none) && changes(&plan()));
    }
}
