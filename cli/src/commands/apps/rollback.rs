//! Going back to an earlier release, through the controller or, with `--direct`, by the host alone.

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use hms_proto::{
    controller::v1::{PlanRequest, RollbackRequest},
    fault::{Fault, FaultKind},
    host::v1::{AppPlan, JobKind, RollbackAppRequest},
    names::{JobId, ReleaseId},
};

use super::{OneApp, deploy::How, plan};
use crate::{
    commands::deployments::{Watch, Work, begin},
    complete,
    connect::{Connection, Pace},
    failure::Result,
    output::{confirm, escape::inline},
    session::Session,
};

#[derive(Debug, Args)]
pub(super) struct RollbackApp {
    #[command(flatten)]
    app: OneApp,
    /// The release; by default the last one before the live one that was live and well
    #[arg(value_name = "RELEASE", add = ArgValueCompleter::new(complete::releases))]
    release: Option<ReleaseId>,
    /// Also over migrations that may have destroyed what the release needs
    #[arg(long)]
    accept_destructive: bool,
    #[command(flatten)]
    how: How,
    #[command(flatten)]
    watch: Watch,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

impl RollbackApp {
    pub(super) async fn run(self, session: &Session) -> Result<()> {
        let link = session.link()?;
        let wanted = PlanRequest {
            key: self.app.key.to_string(),
            kind: JobKind::Rollback.into(),
            release: self.release.as_ref().map(ToString::to_string).unwrap_or_default(),
            restart: self.how.restart.into(),
        };
        let plan = plan::ask(session, &link, wanted).await?;
        if !session.out.is_data() {
            session.out.say(plan::rendered(&plan, None, session.out.colour).trim_end());
        }
        self.may(&plan)?;
        let to = plan.target.as_ref().map_or_else(String::new, |release| release.id.clone());
        let question = format!("Go back to {} with {}?", inline(&to), self.app.key);
        if !confirm(&question, self.yes, false)? {
            session.out.note("nothing was changed");
            return Ok(());
        }
        // What was looked at is what is meant.
        self.start(session, &link, to).await
    }

    /// Refuses here what the host would refuse, with what to do about it.
    fn may(&self, plan: &AppPlan) -> Result<()> {
        if !plan.destructive_migrations.is_empty() && !self.accept_destructive {
            let names: Vec<_> = plan.destructive_migrations.iter().map(|name| inline(name)).collect();
            let what = format!("migrations that may have destroyed data ran since: {}", names.join(", "));
            return Err(Fault::new(FaultKind::Conflict, what)
                .hint("Look at them; --accept-destructive goes back all the same. The database is left as it is.")
                .into());
        }
        let overruled = self.accept_destructive || self.how.revert_drift;
        match plan.refusals.is_empty() || overruled {
            true => Ok(()),
            false => Err(Fault::new(FaultKind::Failed, plan.refusals.join("; "))
                .hint(format!("hmsctl apps releases {}", self.app.key))
                .into()),
        }
    }

    async fn start(&self, session: &Session, link: &Connection, release: String) -> Result<()> {
        let id = JobId::new().to_string();
        let key = self.app.key.to_string();
        let (restart, revert_drift) = (self.how.restart.into(), self.how.revert_drift);
        let accept_destructive = self.accept_destructive;
        let direct = RollbackAppRequest {
            id: id.clone(),
            key: key.clone(),
            release: release.clone(),
            accept_destructive,
            restart,
            revert_drift,
        };
        let request =
            RollbackRequest { id: id.clone(), key, release, accept_destructive, restart, revert_drift };
        let pace = Pace::Act;
        let ask = async || match link.is_direct() {
            true => {
                let job = link.answer(pace, link.host_apps(None, pace).rollback(direct.clone())).await?;
                Ok(Work::of_job(session, job))
            }
            false => {
                let mut deployments = link.deployments(None, pace);
                link.answer(pace, deployments.rollback(request.clone())).await.map(Work::of)
            }
        };
        begin(session, link, &id, &self.watch, ask).await
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        asked: RollbackApp,
    }

    fn may(line: &str, plan: &AppPlan) -> bool {
        Line::try_parse_from(line.split(' ')).unwrap().asked.may(plan).is_ok()
    }

    #[test]
    fn destruction_has_to_be_accepted() {
        let refusals = vec!["destructive migrations ran since".into()];
        let plan = AppPlan { destructive_migrations: vec!["x.rb".into()], refusals, ..AppPlan::default() };
        assert!(!may("x cigar", &plan) && !may("x cigar --revert-drift", &plan));
        assert!(may("x cigar --accept-destructive", &plan));
        let other = AppPlan { refusals: vec!["there is no such release".into()], ..AppPlan::default() };
        assert!(!may("x cigar 20261125T101502-1a2b3c4", &other) && may("x cigar", &AppPlan::default()));
    }
}
