//! Adding apps and changing their settings.

use std::path::PathBuf;

use clap::Args;
use clap_complete::engine::{ArgValueCompleter, PathCompleter};
use hms_proto::{
    app::OVERRIDABLE,
    controller::v1::{AdoptAppFileRequest, AppSettings, PlanRequest},
    fault::Fault,
    host::v1::JobKind,
    names::AppKey,
};

use super::{OneApp, edit, given::Given, list, plan, text};
use crate::{
    connect::{Connection, Pace},
    dialog::{diff, file::read_text},
    failure::Result,
    output::{confirm, escape::inline},
    session::Session,
};

#[derive(Debug, Args)]
pub(super) struct AddApp {
    /// Key of the app: lower-case letters, digits and dashes; by default that in the file
    #[arg(value_name = "KEY", required_unless_present = "file")]
    key: Option<AppKey>,
    /// Settings as YAML, as `show --settings` prints them; `-` is stdin. Options take the place of what it says
    #[arg(long, value_name = "FILE", add = ArgValueCompleter::new(PathCompleter::file()))]
    file: Option<PathBuf>,
    #[command(flatten)]
    given: Given,
}

#[derive(Debug, Args)]
pub(super) struct EditApp {
    #[command(flatten)]
    app: OneApp,
    /// Settings as YAML; what is not in it stays as it is. `-` is stdin. Options take the place of what it says
    #[arg(long, value_name = "FILE", add = ArgValueCompleter::new(PathCompleter::file()))]
    file: Option<PathBuf>,
    /// Only show what would change
    #[arg(long)]
    dry_run: bool,
    /// Do not ask before it is saved
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    given: Given,
}

#[derive(Debug, Args)]
pub(super) struct AdoptFile {
    #[command(flatten)]
    app: OneApp,
    /// The file
    #[arg(value_name = "ITEM", value_parser = OVERRIDABLE)]
    item: String,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

impl AddApp {
    pub(super) async fn run(self, session: &Session) -> Result<()> {
        let mut settings = AppSettings::default();
        if let Some(file) = &self.file {
            settings = text::over(&text::defaults(), text::parse(&read_text(session, file)?)?)?;
        }
        if let Some(key) = &self.key {
            if !settings.key.is_empty() && settings.key != key.as_str() {
                return Err(Fault::invalid(format!(
                    "the file is for {}, not for {key}",
                    inline(&settings.key)
                ))
                .into());
            }
            settings.key = key.to_string();
        }
        self.given.put(session, &mut settings)?;
        if settings.host.is_empty() {
            return Err(Fault::invalid("which host does it run on?").hint("add --host NAME").into());
        }
        let added = add(&session.controller()?, settings).await?;
        if session.out.data(&added)? {
            return Ok(());
        }
        session.out.line(&format!("added {} on {}", added.key, inline(&added.host)))?;
        session.out.note(&format!("next: hmsctl apps plan {0}, then hmsctl apps deploy {0}", added.key));
        Ok(())
    }
}

pub(super) async fn add(link: &Connection, settings: AppSettings) -> Result<AppSettings> {
    link.answer(Pace::Look, link.apps(None, Pace::Look).add(settings)).await
}

pub(super) async fn save(link: &Connection, settings: AppSettings) -> Result<AppSettings> {
    link.answer(Pace::Look, link.apps(None, Pace::Look).edit(settings)).await
}

impl EditApp {
    pub(super) async fn run(self, session: &Session) -> Result<()> {
        let link = session.controller()?;
        let before = list::settings(&link, &self.app.key).await?;
        if self.file.is_none() && self.given.is_empty() {
            return edit::run(session, &link, before, self.yes).await;
        }
        let mut after = before.clone();
        if let Some(file) = &self.file {
            after = text::over(&before, text::parse(&read_text(session, file)?)?)?;
        }
        if after.key != before.key {
            return Err(Fault::invalid(format!(
                "the file is for {}, not for {}",
                inline(&after.key),
                before.key
            ))
            .into());
        }
        self.given.put(session, &mut after)?;
        let changes = difference(&before, &after)?;
        if changes.is_empty() && !session.out.is_data() {
            session.out.note("nothing was changed");
            return Ok(());
        }
        if self.dry_run {
            return match session.out.data(&after)? {
                true => Ok(()),
                false => session.out.write(&diff::shown(&changes, session.out.colour)),
            };
        }
        saved(session, &save(&link, after).await?)
    }
}

/// The settings that differ, as a diff of their text.
pub(super) fn difference(before: &AppSettings, after: &AppSettings) -> Result<String> {
    Ok(diff::unified(&before.key, &text::whole(before)?, &text::whole(after)?))
}

pub(super) fn saved(session: &Session, settings: &AppSettings) -> Result<()> {
    if session.out.data(settings)? {
        return Ok(());
    }
    session.out.line(&format!("changed {}", settings.key))?;
    session.out.note(&format!(
        "it reaches {} with: hmsctl apps apply {}",
        inline(&settings.host),
        settings.key
    ));
    Ok(())
}

impl AdoptFile {
    pub(super) async fn run(self, session: &Session) -> Result<()> {
        let link = session.controller()?;
        let key = self.app.key.to_string();
        let request = PlanRequest { key: key.clone(), kind: JobKind::Apply.into(), ..PlanRequest::default() };
        let plan = plan::ask(session, &link, request).await?;
        let drift = plan.changes.iter().find(|change| change.item == self.item && !change.drift.is_empty());
        let Some(drift) = drift else {
            return Err(Fault::invalid(format!("{} of {key} was not changed by hand", self.item))
                .hint(format!("hmsctl apps plan {key}"))
                .into());
        };
        if !session.out.is_data() {
            session.out.say(diff::shown(&drift.drift, session.out.colour).trim_end());
        }
        if !confirm(&format!("Take this over as the text of {} from now on?", self.item), self.yes, false)? {
            session.out.note("nothing was changed");
            return Ok(());
        }
        let request = AdoptAppFileRequest { key, item: self.item.clone() };
        let settings = link.answer(Pace::Act, link.apps(None, Pace::Act).adopt(request)).await?;
        if session.out.data(&settings)? {
            return Ok(());
        }
        session.out.line(&format!("adopted {} of {}", self.item, settings.key))
    }
}
