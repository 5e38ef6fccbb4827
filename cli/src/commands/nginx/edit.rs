//! `hmsctl nginx edit`: the round of editing, testing, looking at the difference, and applying.

use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use hms_proto::fault::{Fault, FaultKind};

use super::{
    change::{self, Edit, How},
    complete,
    path::ConfigPath,
    target::Target,
};
use crate::{
    dialog::{
        ask::{at_terminal, choose},
        diff,
        editor::{self, Draft},
    },
    failure::{Failure, Result, render},
};

#[derive(Debug, Args)]
pub(super) struct EditFile {
    /// The file, or the name of a site; it is made where there is none
    #[arg(value_name = "PATH", add = ArgValueCompleter::new(complete::paths))]
    path: ConfigPath,
    #[command(flatten)]
    how: How,
    /// Do not ask before it is applied
    #[arg(short, long)]
    yes: bool,
}

/// What the edited text started from.
struct Base {
    content: String,
    sha256: String,
}

/// How one round of editing ended.
enum Round {
    Applied,
    Again,
    /// Nothing was applied; the text is kept.
    Stopped(Result<()>),
}

impl EditFile {
    pub(super) async fn run(self, target: &Target<'_>) -> Result<()> {
        let open = AtomicBool::new(false);
        tokio::select! {
            ended = self.rounds(target, &open) => ended,
            // As a program that SIGINT ended; the text is kept, and dropping it says where.
            () = interrupted(&open) => Err(Failure::Reported(130)),
        }
    }

    async fn rounds(&self, target: &Target<'_>, open: &AtomicBool) -> Result<()> {
        let mut base = self.base(target).await?;
        let draft = Draft::create(target.session, &format!("{}.nginx", self.path.name()), &base.content)?;
        loop {
            editor::edit(draft.file(), open).await?;
            let text = draft.text()?;
            if text == base.content {
                draft.discard();
                target.session.out.note("nothing was changed");
                return Ok(());
            }
            match self.round(target, &mut base, &draft, text).await? {
                Round::Again => {}
                Round::Stopped(ended) => return ended,
                Round::Applied => {
                    draft.discard();
                    return Ok(());
                }
            }
        }
    }

    async fn base(&self, target: &Target<'_>) -> Result<Base> {
        Ok(match target.editable(&self.path).await? {
            Some(file) => Base { content: file.content, sha256: file.sha256 },
            None => {
                target.session.out.note(&format!("{} will be a new file", self.path));
                Base { content: String::new(), sha256: String::new() }
            }
        })
    }

    async fn round(
        &self,
        target: &Target<'_>,
        base: &mut Base,
        draft: &Draft<'_>,
        text: String,
    ) -> Result<Round> {
        let edits =
            vec![Edit::content(self.path.clone(), base.sha256.clone(), base.content.clone(), text.clone())];
        let tested = match change::test(target, &edits, &self.how.accept).await {
            Ok(tested) => tested,
            Err(failure) => {
                let failure = change::told(target, &edits, failure).await?;
                return self.after(target, base, draft, &text, failure).await;
            }
        };
        change::tell(target, &edits, &tested).await;
        if !tested.ok {
            return again_or(target, change::refused(&tested)).await;
        }
        let out = &target.session.out;
        out.say(diff::shown(&change::diffs(&edits), out.colour).trim_end());
        if self.how.dry_run {
            out.note(&format!("it would be applied on {}", target.label));
            return Ok(Round::Stopped(Ok(())));
        }
        let question = format!("Apply this on {}?", target.label);
        match if self.yes { "yes" } else { choose(&question, &["yes", "edit again", "no"], "yes").await? } {
            "yes" => {}
            "no" => {
                out.note("nothing was applied");
                return Ok(Round::Stopped(Ok(())));
            }
            _ => return Ok(Round::Again),
        }
        match change::apply(target, &self.how, &edits).await {
            Ok(done) => {
                // From here on the text is on the host; what follows may fail without a loss.
                change::finish(target, &self.how, &edits, done).await?;
                Ok(Round::Applied)
            }
            Err(failure) => {
                let failure = change::told(target, &edits, failure).await?;
                self.after(target, base, draft, &text, failure).await
            }
        }
    }

    /// After a failure to test or to apply: where somebody else changed the file meanwhile, both changes can be brought together.
    async fn after(
        &self,
        target: &Target<'_>,
        base: &mut Base,
        draft: &Draft<'_>,
        text: &str,
        failure: Failure,
    ) -> Result<Round> {
        if !matches!(&failure, Failure::Fault(fault) if fault.kind() == FaultKind::Conflict) {
            return again_or(target, failure).await;
        }
        let Some(theirs) = target.editable(&self.path).await?.filter(|file| file.sha256 != base.sha256)
        else {
            return again_or(target, failure).await;
        };
        let failure = with_draft(failure, &self.path, draft);
        if !at_terminal() {
            return Ok(Round::Stopped(Err(failure)));
        }
        let failure = say(target, failure);
        if choose("Bring both changes together?", &["merge", "quit"], "quit").await? == "quit" {
            return Ok(Round::Stopped(Err(failure)));
        }
        match diffy::merge(&base.content, text, &theirs.content) {
            Ok(merged) => draft.replace(&merged)?,
            Err(marked) => {
                draft.replace(&marked)?;
                target.session.out.say("Both changed the same lines: look for <<<<<<< and >>>>>>>.");
            }
        }
        *base = Base { content: theirs.content, sha256: theirs.sha256 };
        Ok(Round::Again)
    }
}

/// Names the file with the text in the hint.
fn with_draft(failure: Failure, path: &ConfigPath, draft: &Draft<'_>) -> Failure {
    match failure {
        Failure::Fault(fault) => {
            let (path, file) = (path.brief(), draft.file().display());
            let hint = format!("hmsctl nginx diff {path} {file}, then hmsctl nginx put {path} {file}");
            Fault::hint(*fault, hint).into()
        }
        other => other,
    }
}

/// Says a failure now, so that a question can follow. What is left is its exit code.
fn say(target: &Target<'_>, failure: Failure) -> Failure {
    match failure {
        Failure::Fault(fault) => {
            target.session.out.say(&render(&fault));
            Failure::Reported(fault.row().exit)
        }
        other => other,
    }
}

/// Lets the person correct what failed. Where nobody is there, the failure ends the command.
async fn again_or(target: &Target<'_>, failure: Failure) -> Result<Round> {
    if !at_terminal() {
        return Ok(Round::Stopped(Err(failure)));
    }
    let failure = say(target, failure);
    match choose("What next?", &["edit again", "quit"], "quit").await? {
        "quit" => Ok(Round::Stopped(Err(failure))),
        _ => Ok(Round::Again),
    }
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
