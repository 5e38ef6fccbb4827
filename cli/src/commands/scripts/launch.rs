//! Beginning a run, and what one sees of it from then on.

use clap::Args;
use hms_proto::{
    controller::v1::{RunPreview, RunRequest},
    fault::{Fault, FaultKind},
};

use super::aim::target_words;
use crate::{
    again::pause,
    attach::{Interrupts, Wish},
    commands::jobs::{Thing, attach_to},
    connect::{Connection, Pace},
    failure::{DETACHED, Failure, Result},
    output::{
        confirm,
        escape::inline,
        table::{Cell, Look, Table},
    },
    session::Session,
};

/// How a run is begun and watched.
#[derive(Debug, Args)]
pub(crate) struct Manner {
    /// Begin it, print its id, and do not wait
    #[arg(short, long)]
    pub(super) detach: bool,
    /// Only say what would run, and where
    #[arg(long, conflicts_with = "detach")]
    pub(super) dry_run: bool,
    /// Control characters as they are: the output may then act on your terminal
    #[arg(long)]
    pub(super) raw: bool,
    /// Do not ask
    #[arg(short, long)]
    pub(super) yes: bool,
}

impl Manner {
    /// Asks before something is changed.
    pub(super) fn is_agreed(&self, session: &Session, script: &str, on: &str, mutates: bool) -> Result<bool> {
        let question = format!("{} changes something. Run it on {}?", inline(script), inline(on));
        let agreed = !mutates || confirm(&question, self.yes, false)?;
        if !agreed {
            session.out.note("nothing was run");
        }
        Ok(agreed)
    }
}

/// Asks the controller to begin a run, and stays attached to it unless that is not wanted.
pub(crate) async fn launch(
    session: &Session,
    link: &Connection,
    request: RunRequest,
    mutates: bool,
    manner: Manner,
) -> Result<()> {
    if manner.dry_run {
        let preview = link.answer(Pace::Look, link.jobs(None, Pace::Look).preview(request.clone())).await?;
        if session.out.data(&preview)? {
            return Ok(());
        }
        return session.out.write(&preview_text(&preview, session.out.width, session.out.colour));
    }
    let on = request.target.as_ref().map(target_words).unwrap_or_default();
    if !manner.is_agreed(session, &request.script, &on, mutates)? {
        return Ok(());
    }
    let mut interrupts = Interrupts::listen()?;
    let progress = session.out.progress(format!("starting {}", inline(&request.script)));
    let look = jobs_command(session, "show", &request.id);
    let begun =
        surely(async || link.answer(Pace::Act, link.jobs(None, Pace::Act).run(request.clone())).await);
    let run = tokio::select! {
        run = begun => run.map_err(|failure| maybe_begun(failure, &look))?,
        () = interrupts.asked() => return Err(let_go_early(session, &look)),
    };
    drop(progress);
    begun_as(session, link, Thing::Run(Box::new(run)), &manner, interrupts).await
}

/// What follows when it has begun.
pub(super) async fn begun_as(
    session: &Session,
    link: &Connection,
    thing: Thing,
    manner: &Manner,
    interrupts: Interrupts,
) -> Result<()> {
    if !manner.detach {
        let wish = Wish { follow: true, raw: manner.raw, show: !session.out.is_data() };
        return attach_to(session, link, thing, wish, interrupts).await;
    }
    let told = match &thing {
        Thing::Run(run) => session.out.data(run)?,
        Thing::Job(job) => session.out.data(job)?,
    };
    if !told {
        session.out.line(thing.id())?;
        session.out.note(&format!("watch it with: {}", jobs_command(session, "attach", thing.id())));
    }
    Ok(())
}

/// A command of `hmsctl jobs`, as one would type it.
pub(crate) fn jobs_command(session: &Session, verb: &str, id: &str) -> String {
    match &session.global.direct {
        Some(host) => format!("hmsctl --direct {} jobs {verb} {id}", inline(host)),
        None => format!("hmsctl jobs {verb} {id}"),
    }
}

/// The most attempts to find out whether something began.
const ATTEMPTS: u32 = 8;

/// Asks again when the answer was lost: the request has an id, so that it is begun once.
pub(crate) async fn surely<T>(mut ask: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    let mut lost = None;
    for attempt in 1.. {
        let failure = match ask().await {
            Ok(answer) => return Ok(answer),
            Err(failure) => failure,
        };
        match &failure {
            Failure::Fault(fault) if worth_asking_again(fault.kind(), lost.is_some()) => {
                // Of all failures, the one that left it open is what has to be told.
                if lost.is_none() || fault.kind() == FaultKind::Unknown {
                    lost = Some(failure);
                }
            }
            _ => return Err(failure),
        }
        if attempt == ATTEMPTS {
            break;
        }
        tokio::time::sleep(pause(attempt)).await;
    }
    Err(lost.unwrap_or_else(|| Failure::local("it was not tried")))
}

/// Whoever cannot be reached now, but took the request once, may be starting again.
fn worth_asking_again(kind: FaultKind, once_lost: bool) -> bool {
    match kind {
        FaultKind::Unknown => true,
        FaultKind::Unreachable | FaultKind::Unavailable => once_lost,
        _ => false,
    }
}

/// Says how to find out, where it is not known whether it began.
pub(crate) fn maybe_begun(failure: Failure, look: &str) -> Failure {
    match failure {
        Failure::Fault(fault) if fault.kind() == FaultKind::Unknown => {
            fault.hint(format!("it may have begun; see: {look}")).into()
        }
        other => other,
    }
}

/// Ctrl-C before the answer.
pub(crate) fn let_go_early(session: &Session, look: &str) -> Failure {
    session.out.say(&format!("detached; it may have begun: {look}"));
    Failure::Reported(DETACHED)
}

/// What would run.
pub(super) fn preview_text(preview: &RunPreview, width: Option<usize>, colour: bool) -> String {
    let mut table = Table::new(&["", ""]);
    let mut say = |what: &str, cell: Cell| table.row(vec![Cell::new(what, Look::Faint), cell]);
    say("on", preview.hosts.join(", ").into());
    if !preview.unreachable.is_empty() {
        say("not reached", Cell::new(&preview.unreachable.join(", "), Look::Bad));
    }
    let argv: Vec<String> = preview.argv.iter().map(|word| quoted(word)).collect();
    say("runs", Cell::new(&argv.join(" "), Look::Strong));
    for variable in &preview.environment {
        let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
        say("with", format!("{name}={}", quoted(value)).into());
    }
    table.render(width, colour)
}

/// A word as a shell would need it written. Nothing here reads it: it is for people.
fn quoted(word: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-=./:@%+,".contains(&b);
    match !word.is_empty() && word.bytes().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// Only the controller runs something on several hosts.
pub(super) fn not_direct(option: &str) -> Failure {
    Fault::invalid(format!("{option} is for runs on several hosts, which only the controller can do"))
        .hint(format!("leave out --direct or {option}"))
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preview_shows_each_word() {
        let preview = RunPreview {
            hosts: vec!["asterra".into(), "borealis".into()],
            argv: vec!["parse_logs".into(), "--app=cigar".into(), "--json".into()],
            environment: vec!["HMS_PARAM_PATTERN=it's (bad|\x1bworse)".into()],
            unreachable: vec!["borealis".into()],
        };
        insta::assert_snapshot!(preview_text(&preview, None, false));
    }

    #[test]
    fn only_what_may_have_begun_is_asked_for_again() {
        use FaultKind as K;
        assert!(worth_asking_again(K::Unknown, false));
        assert!(!worth_asking_again(K::Unreachable, false) && worth_asking_again(K::Unreachable, true));
        for kind in [K::Invalid, K::Denied, K::NotFound, K::Failed, K::Conflict] {
            assert!(!worth_asking_again(kind, true), "{kind:?}");
        }
    }

    #[tokio::test]
    async fn a_lost_answer_is_asked_for_once_more() {
        let mut asked = 0;
        let answer = surely(async || {
            asked += 1;
            match asked {
                1 => Err(Fault::new(FaultKind::Unknown, "lost").into()),
                _ => Ok(asked),
            }
        });
        assert_eq!(answer.await.unwrap(), 2);
        let refused = surely(async || Err::<(), _>(Fault::invalid("no").into())).await;
        assert_eq!(refused.unwrap_err().exit_code(), 2);
    }
}
