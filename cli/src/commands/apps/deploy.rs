//! Deployments, and bringing settings and secrets to the host.

use clap::Args;
use hms_proto::{
    controller::v1::{ApplyRequest, DeployRequest, PlanRequest},
    fault::{Fault, FaultKind},
    host::v1::JobKind,
    names::{BranchName, CommitId, JobId},
};

use super::{
    OneApp,
    plan::{self, Restart, changes},
};
use crate::{
    commands::deployments::{Watch, Work, begin},
    connect::Pace,
    failure::Result,
    output::confirm,
    session::Session,
};

#[derive(Debug, Args)]
pub(super) struct DeployApp {
    #[command(flatten)]
    app: OneApp,
    /// The branch; by default that of the app
    #[arg(long)]
    branch: Option<BranchName>,
    /// A commit, by its whole id; by default what the branch points at
    #[arg(long)]
    commit: Option<CommitId>,
    #[command(flatten)]
    how: How,
    #[command(flatten)]
    watch: Watch,
}

#[derive(Debug, Args)]
pub(super) struct ApplyApp {
    #[command(flatten)]
    app: OneApp,
    #[command(flatten)]
    how: How,
    #[command(flatten)]
    watch: Watch,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

/// How a change is brought to the host.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct How {
    /// How the app is restarted; a kind that would keep old code or values is refused
    #[arg(long, value_enum, default_value_t, hide_default_value = true, value_name = "KIND")]
    pub(super) restart: Restart,
    /// Put back what was changed by hand on the host; without it, such changes are a reason to refuse
    #[arg(long)]
    pub(super) revert_drift: bool,
}

impl DeployApp {
    pub(super) async fn run(self, session: &Session) -> Result<()> {
        let link = session.controller()?;
        let request = DeployRequest {
            key: self.app.key.to_string(),
            branch: self.branch.map(|branch| branch.to_string()).unwrap_or_default(),
            commit: self.commit.map(|commit| commit.to_string()).unwrap_or_default(),
            id: JobId::new().to_string(),
            restart: self.how.restart.into(),
            revert_drift: self.how.revert_drift,
        };
        let ask = async || {
            let mut deployments = link.deployments(None, Pace::Act);
            link.answer(Pace::Act, deployments.deploy(request.clone())).await.map(Work::of)
        };
        begin(session, &link, &request.id, &self.watch, ask).await
    }
}

impl ApplyApp {
    pub(super) async fn run(self, session: &Session) -> Result<()> {
        let link = session.controller()?;
        let key = self.app.key.to_string();
        let wanted = PlanRequest {
            key: key.clone(),
            kind: JobKind::Apply.into(),
            restart: self.how.restart.into(),
            ..PlanRequest::default()
        };
        let plan = plan::ask(session, &link, wanted).await?;
        let out = &session.out;
        if !out.is_data() {
            out.say(plan::rendered(&plan, None, out.colour).trim_end());
        }
        let drifted = plan.changes.iter().any(|change| !change.drift.is_empty());
        let overruled = self.how.revert_drift && drifted;
        if !(plan.refusals.is_empty() || overruled) {
            return Err(Fault::new(FaultKind::Failed, plan.refusals.join("; "))
                .hint(format!("hmsctl apps plan {key}"))
                .into());
        }
        if !changes(&plan) && self.how.restart == Restart::Auto && !out.is_data() {
            return Ok(());
        }
        if !confirm(&format!("Apply this to {key}?"), self.yes, false)? {
            out.note("nothing was applied");
            return Ok(());
        }
        let request = ApplyRequest {
            key,
            id: JobId::new().to_string(),
            restart: self.how.restart.into(),
            revert_drift: self.how.revert_drift,
        };
        let ask = async || {
            let mut deployments = link.deployments(None, Pace::Act);
            link.answer(Pace::Act, deployments.apply(request.clone())).await.map(Work::of)
        };
        begin(session, &link, &request.id, &self.watch, ask).await
    }
}
