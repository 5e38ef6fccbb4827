//! `hmsctl apps import`: what a file would change, and changing it.

use std::path::PathBuf;

use clap::Args;
use clap_complete::engine::{ArgValueCompleter, PathCompleter};
use hms_proto::{
    controller::v1::{AppSettings, SetSecretsRequest},
    fault::FaultKind,
    host::v1::Secret,
    names::AppKey,
};
use serde::Serialize;

use super::{Wanted, parse};
use crate::{
    commands::apps::{
        change::{add, difference, save},
        list,
        secrets::{set, told},
        text,
    },
    connect::Connection,
    dialog::{diff, file::read_text},
    failure::{Failure, Result, exit_of_many, render},
    output::{confirm, table::Look},
    session::Session,
};

#[derive(Debug, Args)]
pub(in crate::commands::apps) struct Import {
    /// The file; `-` is stdin
    #[arg(value_name = "FILE", add = ArgValueCompleter::new(PathCompleter::file()))]
    file: PathBuf,
    /// Only show what would change
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

/// What is to be done for one app.
struct Step {
    key: AppKey,
    settings: AppSettings,
    work: SettingsWork,
    /// Unified diff of the settings.
    diff: String,
    /// Names that are set by it, `+A` or `~A`; empty: none change.
    secrets: String,
    request: Option<SetSecretsRequest>,
    /// Names that the file tells of, and that the app has no value for.
    missing: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum SettingsWork {
    Add,
    Change,
    Nothing,
}

/// As programs read it.
#[derive(Serialize)]
struct Outcome<'a> {
    key: &'a str,
    settings: SettingsWork,
    secrets_changed: bool,
    missing_secrets: &'a [String],
    /// Why it was not done.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Import {
    pub(in crate::commands::apps) async fn run(self, session: &Session) -> Result<()> {
        let wanted = parse(&read_text(session, &self.file)?)?;
        let link = session.controller()?;
        let mut steps = Vec::new();
        for app in wanted {
            steps.push(look(&link, app).await?);
        }
        let text: String = steps.iter().map(|step| rendered(step, session.out.colour)).collect();
        if !session.out.is_data() {
            session.out.say(text.trim_end());
        }
        if self.dry_run || !steps.iter().any(Step::is_change) {
            return told_data(session, &steps, &vec![None; steps.len()]);
        }
        let names: Vec<&str> =
            steps.iter().filter(|step| step.is_change()).map(|step| step.key.as_str()).collect();
        if !confirm(&format!("Save this for {}?", names.join(", ")), self.yes, false)? {
            session.out.note("nothing was changed");
            return Ok(());
        }
        carry_out(session, &link, &steps).await
    }
}

impl Step {
    fn is_change(&self) -> bool {
        self.work != SettingsWork::Nothing || !self.secrets.is_empty()
    }
}

/// Compares with what is there.
async fn look(link: &Connection, wanted: Wanted) -> Result<Step> {
    let Wanted { key, settings, sealed, names } = wanted;
    let before = match list::settings(link, &key).await {
        Ok(before) => Some(before),
        Err(Failure::Fault(fault)) if fault.kind() == FaultKind::NotFound => None,
        Err(failure) => return Err(failure),
    };
    let base = before.clone().unwrap_or_else(text::defaults);
    let after = AppSettings { key: key.to_string(), ..text::over(&base, settings)? };
    let diff = match &before {
        Some(before) => difference(before, &after)?,
        None => String::new(),
    };
    let work = match (&before, diff.is_empty()) {
        (None, _) => SettingsWork::Add,
        (Some(_), false) => SettingsWork::Change,
        (Some(_), true) => SettingsWork::Nothing,
    };
    let sealed: Vec<Secret> = sealed.into_iter().map(|(name, value)| Secret { name, value }).collect();
    let request = (!sealed.is_empty()).then(|| SetSecretsRequest {
        key: key.to_string(),
        secrets: sealed,
        sealed: true,
        ..SetSecretsRequest::default()
    });
    let secrets = changed_secrets(link, before.is_some(), request.as_ref()).await?;
    let missing = missing(link, before.is_some(), &key, names).await?;
    Ok(Step { key, settings: after, work, diff, secrets, request, missing })
}

async fn changed_secrets(
    link: &Connection,
    is_there: bool,
    request: Option<&SetSecretsRequest>,
) -> Result<String> {
    match request {
        None => Ok(String::new()),
        Some(request) if is_there => {
            let change = set(link, SetSecretsRequest { dry_run: true, ..request.clone() }).await?;
            Ok(told(&change, false))
        }
        Some(request) => Ok(request.secrets.iter().map(|secret| format!("+ {}\n", secret.name)).collect()),
    }
}

/// Names without a value, which nobody but a person knows.
async fn missing(link: &Connection, is_there: bool, key: &AppKey, names: Vec<String>) -> Result<Vec<String>> {
    if names.is_empty() {
        return Ok(names);
    }
    let known = match is_there {
        true => super::secrets_of(link, key, super::SecretsAs::Names).await?,
        false => ["SECRET_KEY_BASE", "API_TOKEN", "DATABASE_PASSWORD"]
            .map(|n| (n.to_owned(), String::new()))
            .to_vec(),
    };
    Ok(names.into_iter().filter(|name| !known.iter().any(|(other, _)| other == name)).collect())
}

fn rendered(step: &Step, colour: bool) -> String {
    let (word, look) = match step.work {
        SettingsWork::Add => ("new", Look::Good),
        SettingsWork::Change => ("changes", Look::Busy),
        SettingsWork::Nothing if step.secrets.is_empty() => ("as it is", Look::Faint),
        SettingsWork::Nothing => ("secrets change", Look::Busy),
    };
    let mut text = format!("{}: {}\n", step.key, look.paint(word, colour));
    text += &diff::shown(&step.diff, colour);
    for line in step.secrets.lines() {
        text += &format!("  secret {}\n", diff::shown(line, false).trim_end());
    }
    if !step.missing.is_empty() {
        let names: Vec<String> = step.missing.iter().map(|name| name.escape_debug().to_string()).collect();
        text += &format!("  without a value: {}\n", names.join(", "));
    }
    text
}

async fn carry_out(session: &Session, link: &Connection, steps: &[Step]) -> Result<()> {
    let (mut codes, mut errors) = (Vec::new(), Vec::new());
    for step in steps {
        let done = one(link, step).await;
        codes.push(done.as_ref().err().map_or(0, Failure::exit_code));
        let error = match done {
            Ok(()) if step.is_change() => {
                if !session.out.is_data() {
                    session.out.line(&format!("saved {}", step.key))?;
                }
                None
            }
            Ok(()) => None,
            Err(Failure::Fault(fault)) => {
                session.out.say(&format!("{}: {}", step.key, render(&fault)));
                Some(fault.message.clone())
            }
            Err(failure) => return Err(failure),
        };
        errors.push(error);
    }
    told_data(session, steps, &errors)?;
    match exit_of_many(&codes) {
        0 => Ok(()),
        code => Err(Failure::Reported(code)),
    }
}

async fn one(link: &Connection, step: &Step) -> Result<()> {
    match step.work {
        SettingsWork::Add => drop(add(link, step.settings.clone()).await?),
        SettingsWork::Change => drop(save(link, step.settings.clone()).await?),
        SettingsWork::Nothing => {}
    }
    match &step.request {
        Some(request) if !step.secrets.is_empty() => set(link, request.clone()).await.map(drop),
        _ => Ok(()),
    }
}

fn told_data(session: &Session, steps: &[Step], errors: &[Option<String>]) -> Result<()> {
    let outcomes: Vec<Outcome<'_>> = steps
        .iter()
        .zip(errors)
        .map(|(step, error)| Outcome {
            key: step.key.as_str(),
            settings: step.work,
            secrets_changed: !step.secrets.is_empty(),
            missing_secrets: &step.missing,
            error: error.clone(),
        })
        .collect();
    session.out.data(&outcomes).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_change_is_shown_by_app() {
        let step = |key: &str, work, diff: &str, secrets: &str, missing: &[&str]| Step {
            key: AppKey::try_from(key).unwrap(),
            settings: AppSettings::default(),
            work,
            diff: diff.into(),
            secrets: secrets.into(),
            request: None,
            missing: missing.iter().map(|name| (*name).to_owned()).collect(),
        };
        let change = diff::unified("cigar", "a: 1\n", "a: 2\n");
        let steps = [
            step("cigar", SettingsWork::Change, &change, "~ A\n", &[]),
            step("tobacco", SettingsWork::Add, "", "+ A\n+ B\x1b[2J\n", &["SMTP_PASSWORD"]),
            step("pipe", SettingsWork::Nothing, "", "", &[]),
            step("snuff", SettingsWork::Nothing, "", "~ A\n", &[]),
        ];
        insta::assert_snapshot!(steps.iter().map(|step| rendered(step, false)).collect::<String>());
        assert_eq!(steps.map(|step| step.is_change()), [true, true, false, true]);
    }
}
