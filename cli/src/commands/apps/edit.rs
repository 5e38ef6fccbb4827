//! `hmsctl apps edit` in the person's editor: the round of editing, looking at the difference, and saving.

use std::sync::atomic::{AtomicBool, Ordering};

use hms_proto::{controller::v1::AppSettings, fault::FaultKind};

use super::{
    change::{difference, save, saved},
    list, text,
};
use crate::{
    connect::Connection,
    dialog::{
        ask::{at_terminal, choose},
        diff,
        editor::{self, Draft},
    },
    failure::{Failure, Result, render},
    session::Session,
};

/// How one round of editing ended.
enum Round {
    Saved(Box<AppSettings>),
    Again,
    Unchanged,
    /// Nothing was saved; the text is kept.
    Stopped(Result<()>),
}

pub(super) async fn run(session: &Session, link: &Connection, before: AppSettings, yes: bool) -> Result<()> {
    let open = AtomicBool::new(false);
    let editing = Editing { session, link, yes };
    tokio::select! {
        ended = editing.rounds(before, &open) => ended,
        // As a program that SIGINT ended; the text is kept, and dropping it says where.
        () = interrupted(&open) => Err(Failure::Reported(130)),
    }
}

struct Editing<'a> {
    session: &'a Session,
    link: &'a Connection,
    yes: bool,
}

impl Editing<'_> {
    async fn rounds(&self, mut base: AppSettings, open: &AtomicBool) -> Result<()> {
        let draft = Draft::create(self.session, &format!("{}.yaml", base.key), &text::editable(&base)?)?;
        loop {
            editor::edit(draft.file(), open).await?;
            let typed = draft.text()?;
            match self.round(&mut base, &draft, &typed).await? {
                Round::Again => {}
                Round::Stopped(ended) => return ended,
                Round::Unchanged => {
                    draft.discard();
                    self.session.out.note("nothing was changed");
                    return Ok(());
                }
                Round::Saved(settings) => {
                    draft.discard();
                    return saved(self.session, &settings);
                }
            }
        }
    }

    async fn round(&self, base: &mut AppSettings, draft: &Draft<'_>, typed: &str) -> Result<Round> {
        let after = match read(base, typed) {
            Ok(after) => after,
            Err(failure) => return self.again_or(failure).await,
        };
        let changes = difference(base, &after)?;
        let out = &self.session.out;
        if changes.is_empty() {
            return Ok(Round::Unchanged);
        }
        out.say(diff::shown(&changes, out.colour).trim_end());
        match if self.yes { "yes" } else { choose("Save this?", &["yes", "edit again", "no"], "yes").await? }
        {
            "yes" => {}
            "no" => {
                out.note("nothing was saved");
                return Ok(Round::Stopped(Ok(())));
            }
            _ => return Ok(Round::Again),
        }
        match save(self.link, after).await {
            Ok(settings) => Ok(Round::Saved(Box::new(settings))),
            Err(failure) => self.after(base, draft, typed, failure).await,
        }
    }

    /// After a failure to save: where somebody else changed the settings meanwhile, both changes can be brought together.
    async fn after(
        &self,
        base: &mut AppSettings,
        draft: &Draft<'_>,
        typed: &str,
        failure: Failure,
    ) -> Result<Round> {
        if !matches!(&failure, Failure::Fault(fault) if fault.kind() == FaultKind::Conflict) {
            return self.again_or(failure).await;
        }
        let theirs = list::settings(self.link, &base.key.parse()?).await?;
        if theirs.version == base.version || !at_terminal() {
            return self.again_or(failure).await;
        }
        let failure = self.say(failure);
        if choose("Bring both changes together?", &["merge", "quit"], "quit").await? == "quit" {
            return Ok(Round::Stopped(Err(failure)));
        }
        match diffy::merge(&text::editable(base)?, typed, &text::editable(&theirs)?) {
            Ok(merged) => draft.replace(&merged)?,
            Err(marked) => {
                draft.replace(&marked)?;
                self.session.out.say("Both changed the same lines: look for <<<<<<< and >>>>>>>.");
            }
        }
        *base = theirs;
        Ok(Round::Again)
    }

    /// Says a failure now, so that a question can follow. What is left is its exit code.
    fn say(&self, failure: Failure) -> Failure {
        match failure {
            Failure::Fault(fault) => {
                self.session.out.say(&render(&fault));
                Failure::Reported(fault.row().exit)
            }
            other => other,
        }
    }

    /// Lets the person correct what failed. Where nobody is there, the failure ends the command.
    async fn again_or(&self, failure: Failure) -> Result<Round> {
        if !at_terminal() {
            return Ok(Round::Stopped(Err(failure)));
        }
        let failure = self.say(failure);
        match choose("What next?", &["edit again", "quit"], "quit").await? {
            "quit" => Ok(Round::Stopped(Err(failure))),
            _ => Ok(Round::Again),
        }
    }
}

/// What was typed, as settings. A line that was taken out gets its default; what tells apps apart stays.
fn read(base: &AppSettings, typed: &str) -> Result<AppSettings> {
    let rest = AppSettings {
        key: base.key.clone(),
        host: base.host.clone(),
        name: base.name.clone(),
        subdomain: base.subdomain.clone(),
        domain: base.domain.clone(),
        version: base.version.clone(),
        ..text::defaults()
    };
    let mut given = text::parse(typed)?;
    if given.remove("key").is_some_and(|key| key.as_str() != Some(base.key.as_str())) {
        return Err(hms_proto::fault::Fault::invalid("the key of an app stays what it is").into());
    }
    let mut after = text::over(&rest, given)?;
    // The same settings, said in fewer lines, are no change.
    let spec = after.spec.get_or_insert_default();
    let known = base.spec.as_ref();
    let complete = hms_proto::app::complete(hms_proto::host::v1::AppSpec {
        key: base.key.clone(),
        server_names: known.map(|spec| spec.server_names.clone()).unwrap_or_default(),
        ..spec.clone()
    })?;
    *spec = complete;
    Ok(after)
}

/// Returns at Ctrl-C, unless the editor is open: then it is the editor's.
async fn interrupted(open: &AtomicBool) {
    loop {
        if tokio::signal::ctrl_c().await.is_err() {
            return std::future::pending().await;
        }
        if !open.load(Ordering::Relaxed) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use hms_proto::host::v1::AppSpec;

    use super::*;

    fn base() -> AppSettings {
        let spec = AppSpec { key: "cigar".into(), port: 3000, workers: 2, ..AppSpec::default() };
        AppSettings {
            key: "cigar".into(),
            host: "asterra".into(),
            version: "7".into(),
            spec: Some(hms_proto::app::complete(spec).unwrap()),
            ..text::defaults()
        }
    }

    #[test]
    fn a_line_that_is_taken_out_gets_its_default() {
        let typed: String = text::editable(&base())
            .unwrap()
            .lines()
            .filter(|l| !l.contains("port:"))
            .map(|l| format!("{l}\n"))
            .collect();
        let after = read(&base(), &typed).unwrap();
        let spec = after.spec.unwrap();
        assert_eq!(
            (spec.port, spec.workers, after.version.as_str(), after.host.as_str()),
            (0, 2, "7", "asterra")
        );
        let few = read(&base(), "spec: {workers: 2, port: 3000}").unwrap();
        assert_eq!(difference(&base(), &few).unwrap(), "");
    }

    #[test]
    fn what_cannot_be_is_said_before_it_is_sent() {
        for bad in [
            "key: tobacco",
            "spec: {workers: 65}",
            "spec: {branch: -x}",
            "spec: {git_url: 'ext::sh'}",
            "wrokers: 1",
            "a: [",
        ] {
            assert_eq!(read(&base(), bad).unwrap_err().exit_code(), 2, "{bad}");
        }
    }
}
