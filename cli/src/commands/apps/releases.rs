//! What a host has of an app.

use clap::Args;
use hms_proto::{
    controller::v1::ReleasesRequest,
    host::v1::{AppOnHost, GetAppRequest, Release},
    names::AppKey,
};

use super::OneApp;
use crate::{
    connect::{Connection, Pace},
    failure::Result,
    output::{
        escape::inline,
        measure::{now_usec, relative},
        table::{Cell, Look, Table},
    },
    session::Session,
};

#[derive(Debug, Args)]
pub(super) struct Releases {
    #[command(flatten)]
    app: OneApp,
}

/// Asks the host, through the controller or itself.
pub(crate) async fn on_host(link: &Connection, key: &AppKey) -> Result<AppOnHost> {
    let key = key.to_string();
    match link.is_direct() {
        true => link.answer(Pace::Look, link.host_apps(None, Pace::Look).get(GetAppRequest { key })).await,
        false => {
            let mut deployments = link.deployments(None, Pace::Look);
            link.answer(Pace::Look, deployments.releases(ReleasesRequest { key })).await
        }
    }
}

impl Releases {
    pub(super) async fn run(self, session: &Session) -> Result<()> {
        let app = on_host(&session.link()?, &self.app.key).await?;
        if session.out.data(&app)? {
            return Ok(());
        }
        let key = &self.app.key;
        let empty = match app.installed {
            true => format!("No releases of {key} yet. Make one: hmsctl apps deploy {key}"),
            false => format!("{key} is not on its host yet. Bring it there: hmsctl apps deploy {key}"),
        };
        session.out.table(&table(&app.releases, now_usec()), &empty)?;
        notes(&app).iter().for_each(|note| session.out.note(note));
        Ok(())
    }
}

fn table(releases: &[Release], now: i64) -> Table {
    let mut table =
        Table::new(&["!RELEASE", "!STATE", "BRANCH", "SUBJECT", "AUTHOR", ">SECRETS", "BUILT", "LIVE"]);
    for release in releases {
        let (state, look) = match (release.live, release.healthy) {
            (true, _) => ("● live", Look::Good),
            (false, true) => ("○ was live", Look::Plain),
            (false, false) => ("○ never well", Look::Faint),
        };
        table.row(vec![
            Cell::new(&release.id, Look::Strong),
            Cell::new(state, look),
            release.branch.as_str().into(),
            release.subject.as_str().into(),
            release.author.as_str().into(),
            release.secrets_version.to_string().into(),
            relative(release.created_usec, now).into(),
            relative(release.live_usec, now).into(),
        ]);
    }
    table
}

/// What is not as it should be.
fn notes(app: &AppOnHost) -> Vec<String> {
    let mut notes = Vec::new();
    let (running, delivered) = (app.running_secrets_version, app.delivered_secrets_version);
    if running != delivered && running > 0 {
        notes.push(format!(
            "it still runs with version {running} of its secrets; version {delivered} is there"
        ));
    }
    for drift in &app.drift {
        notes.push(format!(
            "{} was changed by hand: hmsctl apps plan {}",
            inline(&drift.subject),
            inline(&app.key)
        ));
    }
    if let Some(work) = &app.work {
        notes.push(format!("under way: hmsctl deployments follow {}", inline(&work.id)));
    }
    notes
}

#[cfg(test)]
mod tests {
    use hms_proto::host::v1::{AppChange, Job};

    use super::*;

    #[test]
    fn releases_as_a_table_and_what_is_not_as_it_should_be() {
        let now = 1_764_010_000_000_000;
        let release = |id: &str, live: bool, healthy: bool| Release {
            id: id.into(),
            branch: "main".into(),
            subject: "Fix the login\x1b[2J".into(),
            author: "Ada".into(),
            secrets_version: 5,
            created_usec: now - 7_200_000_000,
            live_usec: if healthy { now - 7_000_000_000 } else { 0 },
            healthy,
            live,
            ..Release::default()
        };
        let app = AppOnHost {
            key: "cigar".into(),
            installed: true,
            releases: vec![
                release("20261125T111502-2a2b3c4", false, false),
                release("20261125T101502-1a2b3c4", true, true),
                release("20261124T101502-0a2b3c4", false, true),
            ],
            running_secrets_version: 4,
            delivered_secrets_version: 5,
            work: Some(Job { id: "0193f0a2".into(), ..Job::default() }),
            drift: vec![AppChange { subject: "/etc/logrotate.d/hms-cigar".into(), ..AppChange::default() }],
        };
        insta::assert_snapshot!(table(&app.releases, now).render(None, false) + &notes(&app).join("\n"));
    }
}
