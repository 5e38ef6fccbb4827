//! Forgetting an app, and taking it away from its host.

use clap::Args;
use hms_proto::{
    controller::v1::{GetDeploymentRequest, PlanRequest, RemoveAppRequest},
    host::v1::JobKind,
};

use super::{OneApp, plan};
use crate::{
    attach::Interrupts,
    commands::deployments::{Work, follow},
    connect::{Connection, Pace},
    failure::Result,
    output::confirm,
    session::Session,
};

#[derive(Debug, Args)]
pub(super) struct RemoveApp {
    #[command(flatten)]
    app: OneApp,
    /// Also stop it, and take its units and its site away from the host
    #[arg(long)]
    from_host: bool,
    /// Also delete its releases, shared files and database
    #[arg(long, requires = "from_host")]
    delete_data: bool,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

impl RemoveApp {
    pub(super) async fn run(self, session: &Session) -> Result<()> {
        let key = &self.app.key;
        let link = session.controller()?;
        if self.from_host && !session.out.is_data() {
            let request =
                PlanRequest { key: key.to_string(), kind: JobKind::Remove.into(), ..PlanRequest::default() };
            let plan = plan::ask(session, &link, request).await?;
            session.out.say(plan::rendered(&plan, None, session.out.colour).trim_end());
        }
        let question = match (self.from_host, self.delete_data) {
            (_, true) => {
                format!("Take {key} away from its host, and DELETE its releases, shared files and database?")
            }
            (true, false) => {
                format!("Take {key} away from its host? Releases, shared files and database stay.")
            }
            (false, false) => format!("Forget the app {key}? Its host is left as it is."),
        };
        if !confirm(&question, self.yes, true)? {
            session.out.note("nothing was removed");
            return Ok(());
        }
        let request = RemoveAppRequest {
            key: key.to_string(),
            from_host: self.from_host,
            delete_data: self.delete_data,
        };
        let done = link.answer(Pace::Act, link.apps(None, Pace::Act).remove(request)).await?;
        if !done.deployment_id.is_empty() {
            return watch(session, &link, done.deployment_id).await;
        }
        if session.out.data(&done)? {
            return Ok(());
        }
        session.out.line(&format!("removed {key}"))
    }
}

async fn watch(session: &Session, link: &Connection, id: String) -> Result<()> {
    let interrupts = Interrupts::listen()?;
    let mut deployments = link.deployments(None, Pace::Look);
    let deployment = link.answer(Pace::Look, deployments.get(GetDeploymentRequest { id })).await?;
    follow(session, link, Work::of(deployment), false, interrupts).await
}
