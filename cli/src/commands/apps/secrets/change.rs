//! Single secrets: set, taken away, made anew, shown.

use std::path::PathBuf;

use clap::Args;
use clap_complete::engine::{ArgValueCompleter, PathCompleter};
use hms_proto::{
    controller::v1::{RevealSecretRequest, RotateSecretRequest, SecretsChange, SetSecretsRequest},
    host::v1::Secret,
    names::AppKey,
};

use super::{GIT_KEY, OneSecret, fits, name, next};
use crate::{
    commands::apps::OneApp,
    complete,
    connect::{Connection, Pace},
    dialog::{proof::Proof, secret},
    failure::Result,
    output::{
        confirm,
        escape::{inline, visible},
        table::Look,
    },
    session::Session,
};

#[derive(Debug, Args)]
pub(super) struct SetSecret {
    #[command(flatten)]
    secret: OneSecret,
    /// Where its value is; `-` is stdin
    #[arg(long, value_name = "FILE", add = ArgValueCompleter::new(PathCompleter::file()))]
    file: Option<PathBuf>,
    /// The newline at the end is part of the value
    #[arg(long)]
    exact: bool,
}

#[derive(Debug, Args)]
pub(super) struct UnsetSecrets {
    #[command(flatten)]
    app: OneApp,
    /// Names of the secrets
    #[arg(value_name = "NAME", required = true, value_parser = name, add = ArgValueCompleter::new(complete::secrets))]
    names: Vec<String>,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

#[derive(Debug, Args)]
pub(super) struct RotateSecret {
    #[command(flatten)]
    secret: OneSecret,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

#[derive(Debug, Args)]
pub(super) struct RevealSecret {
    #[command(flatten)]
    secret: OneSecret,
    /// As it was at this version; by default the latest
    #[arg(long, value_name = "N", default_value_t, hide_default_value = true)]
    version: u32,
    #[command(flatten)]
    proof: Proof,
}

/// Asks the controller for a new version.
pub(in crate::commands::apps) async fn set(
    link: &Connection,
    request: SetSecretsRequest,
) -> Result<SecretsChange> {
    link.answer(Pace::Look, link.secrets(None, Pace::Look).set(request)).await
}

pub(super) async fn rotate(link: &Connection, key: &AppKey, name: &str) -> Result<SecretsChange> {
    let request = RotateSecretRequest { key: key.to_string(), name: name.to_owned() };
    link.answer(Pace::Look, link.secrets(None, Pace::Look).rotate(request)).await
}

impl SetSecret {
    pub(super) async fn run(self, session: &Session) -> Result<()> {
        let (key, name) = (&self.secret.app.key, &self.secret.name);
        // A key of OpenSSH without its last newline is none.
        let exact = self.exact || name == GIT_KEY;
        let value = secret::read(session, &format!("Value of {name}"), self.file.as_deref(), exact)?;
        fits(name, &value)?;
        let secrets = vec![Secret { name: name.clone(), value }];
        let request = SetSecretsRequest { key: key.to_string(), secrets, ..SetSecretsRequest::default() };
        done(session, key, &set(&session.controller()?, request).await?)
    }
}

impl UnsetSecrets {
    pub(super) async fn run(self, session: &Session) -> Result<()> {
        let key = &self.app.key;
        let question = format!("Take {} away from {key}?", self.names.join(", "));
        if !confirm(&question, self.yes, false)? {
            session.out.note("nothing was changed");
            return Ok(());
        }
        let request =
            SetSecretsRequest { key: key.to_string(), remove: self.names, ..SetSecretsRequest::default() };
        done(session, key, &set(&session.controller()?, request).await?)
    }
}

impl RotateSecret {
    pub(super) async fn run(self, session: &Session) -> Result<()> {
        let (key, name) = (&self.secret.app.key, &self.secret.name);
        if !confirm(&question(key, name), self.yes, false)? {
            session.out.note("nothing was changed");
            return Ok(());
        }
        done(session, key, &rotate(&session.controller()?, key, name).await?)
    }
}

/// What a new value breaks.
fn question(key: &AppKey, name: &str) -> String {
    let effect = match name {
        "SECRET_KEY_BASE" => {
            " All sessions of its users end, and what was encrypted with it cannot be read any more."
        }
        "API_TOKEN" => " Whoever uses it needs the new one.",
        GIT_KEY => " The code cannot be fetched until the git server has the new key.",
        _ => "",
    };
    format!("Make a new {name} for {key}?{effect}")
}

impl RevealSecret {
    pub(super) async fn run(self, session: &Session) -> Result<()> {
        let link = session.controller()?;
        let request = RevealSecretRequest {
            key: self.secret.app.key.to_string(),
            name: self.secret.name,
            version: self.version,
        };
        let secret = self.proof.with(session, &link, async || {
            link.answer(Pace::Act, link.secrets(None, Pace::Act).reveal(request.clone())).await
        });
        let secret = secret.await?;
        if session.out.data(&secret)? {
            return Ok(());
        }
        match session.out.is_tty() {
            true => session.out.line(&visible(&secret.value)),
            // To a file or a pipe byte by byte.
            false => session.out.write(&secret.value),
        }
    }
}

/// Says what became of it.
pub(super) fn done(session: &Session, key: &AppKey, change: &SecretsChange) -> Result<()> {
    if session.out.data(change)? {
        return Ok(());
    }
    if is_empty(change) {
        session.out.note("nothing was changed");
        return Ok(());
    }
    session.out.write(&told(change, session.out.colour))?;
    session.out.line(&format!("secrets of {key}: version {}", change.version))?;
    next(session, key);
    Ok(())
}

pub(super) fn is_empty(change: &SecretsChange) -> bool {
    change.added.is_empty() && change.changed.is_empty() && change.removed.is_empty()
}

/// `+ NAME`, `~ NAME`, `− NAME`, one a line.
pub(in crate::commands::apps) fn told(change: &SecretsChange, colour: bool) -> String {
    let kinds = [
        ("+", &change.added, Look::Good),
        ("~", &change.changed, Look::Busy),
        ("−", &change.removed, Look::Bad),
    ];
    let lines = kinds.iter().flat_map(|(sign, names, look)| {
        names.iter().map(move |name| look.paint(&format!("{sign} {}", inline(name)), colour) + "\n")
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_by_name() {
        let change = SecretsChange {
            version: 6,
            added: vec!["A".into()],
            changed: vec!["B".into(), "C\x1b[2J".into()],
            removed: vec!["D".into()],
            unchanged: vec!["E".into()],
        };
        assert_eq!(told(&change, false), "+ A\n~ B\n~ C\\x1b[2J\n− D\n");
        assert!(
            !is_empty(&change)
                && is_empty(&SecretsChange { unchanged: vec!["E".into()], ..SecretsChange::default() })
        );
    }

    #[test]
    fn whoever_makes_a_new_value_hears_what_it_breaks() {
        let key = AppKey::try_from("cigar").unwrap();
        assert!(question(&key, "SECRET_KEY_BASE").contains("sessions"));
        assert!(question(&key, GIT_KEY).contains("fetched"));
        assert_eq!(question(&key, "DATABASE_PASSWORD"), "Make a new DATABASE_PASSWORD for cigar?");
    }
}
