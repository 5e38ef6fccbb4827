//! Names and versions of secrets.

use clap::Args;
use hms_proto::{
    controller::v1::{App, ListSecretsRequest, ListSecretsResponse},
    names::AppKey,
};

use crate::{
    commands::apps::{OneApp, list},
    connect::{Connection, Pace},
    failure::Result,
    output::{
        measure::{now_usec, relative, size},
        table::{Cell, Look, Table},
    },
    session::Session,
};

#[derive(Debug, Args)]
pub(super) struct ListSecrets {
    #[command(flatten)]
    app: OneApp,
    /// As they were at this version; by default the latest
    #[arg(long, value_name = "N", default_value_t, hide_default_value = true)]
    version: u32,
}

/// Asks for the secrets of an app.
pub(super) async fn ask(link: &Connection, key: &AppKey, version: u32) -> Result<ListSecretsResponse> {
    let request = ListSecretsRequest { key: key.to_string(), version };
    link.answer(Pace::Look, link.secrets(None, Pace::Look).list(request)).await
}

impl ListSecrets {
    /// Those of an app as they are now.
    pub(super) fn latest(key: AppKey) -> Self {
        Self { app: OneApp { key }, version: 0 }
    }

    pub(super) async fn run(self, session: &Session) -> Result<()> {
        let key = &self.app.key;
        let link = session.controller()?;
        let secrets = ask(&link, key, self.version).await?;
        if session.out.data(&secrets)? {
            return Ok(());
        }
        let empty = format!("{key} has no secrets. Set one: hmsctl apps secrets set {key} NAME");
        session.out.table(&table(&secrets, now_usec()), &empty)?;
        let app = list::get(&link, key).await?;
        session.out.note(&head(&secrets, &app, self.version > 0));
        Ok(())
    }
}

fn table(secrets: &ListSecretsResponse, now: i64) -> Table {
    let mut table = Table::new(&["NAME", ">LENGTH", ">SINCE", "CHANGED", "BY"]);
    for secret in &secrets.secrets {
        table.row(vec![
            Cell::new(&secret.name, Look::Strong),
            size(u64::from(secret.length)).into(),
            format!("version {}", secret.version).into(),
            relative(secret.changed_usec, now).into(),
            secret.changed_by.as_str().into(),
        ]);
    }
    table
}

/// Which version it is, and whether the app has it.
fn head(secrets: &ListSecretsResponse, app: &App, asked: bool) -> String {
    let version = secrets.version;
    match app.live.as_ref().map(|live| live.secrets_version) {
        Some(live) if live != version && !asked => {
            format!("version {version}; {0} has version {live}: hmsctl apps apply {0}", app.key)
        }
        _ => format!("version {version}"),
    }
}

#[cfg(test)]
mod tests {
    use hms_proto::controller::v1::{Deployment, SecretInfo};

    use super::*;

    #[test]
    fn secrets_as_a_table_and_which_version_is_live() {
        let now = 1_764_010_000_000_000;
        let secret = |name: &str, length, version| SecretInfo {
            name: name.into(),
            version,
            changed_usec: now - 9_000_000_000,
            changed_by: "ada".into(),
            length,
        };
        let secrets = ListSecretsResponse {
            version: 5,
            secrets: vec![secret("API_TOKEN", 64, 1), secret("TLS_KEY", 3_272, 5)],
            git_public_key: String::new(),
        };
        let live = Deployment { secrets_version: 4, ..Deployment::default() };
        let app = App { key: "cigar".into(), live: Some(live), ..App::default() };
        insta::assert_snapshot!(table(&secrets, now).render(None, false) + &head(&secrets, &app, false));
        assert_eq!(head(&secrets, &app, true), "version 5");
    }
}
