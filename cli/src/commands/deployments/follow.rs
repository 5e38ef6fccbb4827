//! Beginning work on an app, watching it, and what is said of its end.

use clap::Args;
use hms_proto::host::v1::{Job, JobKind};

use super::work::{Work, command, noun};
use crate::{
    attach::{End, Interrupts, Stepwise, attach_stepwise},
    commands::{
        jobs::fault_of,
        scripts::{let_go_early, maybe_begun, surely},
    },
    connect::Connection,
    failure::{DETACHED, Failure, Result},
    output::{escape::inline, measure::took, table::Look},
    session::Session,
};

/// How work is watched that one begins.
#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// Begin it, print its id, and do not wait
    #[arg(long)]
    no_wait: bool,
    /// Control characters as they are: the output may then act on your terminal
    #[arg(long)]
    raw: bool,
}

/// Begins work under an id, so that it is begun once, and watches it unless that is not wanted.
pub(crate) async fn begin(
    session: &Session,
    link: &Connection,
    id: &str,
    watch: &Watch,
    ask: impl AsyncFnMut() -> Result<Work>,
) -> Result<()> {
    let mut interrupts = Interrupts::listen()?;
    let progress = session.out.progress("beginning".into());
    let look = command(session, "show", id);
    let work = tokio::select! {
        work = surely(ask) => work.map_err(|failure| maybe_begun(failure, &look))?,
        () = interrupts.asked() => return Err(let_go_early(session, &look)),
    };
    drop(progress);
    if let Some(deployment) = work.deployment().filter(|d| d.joined && d.id != id) {
        let (who, kind) = (inline(&deployment.actor), noun(work.job().kind()));
        session.out.note(&format!("-- a {kind} is under way already, begun by {who}; this is that one"));
    }
    if !watch.no_wait {
        return follow(session, link, work, watch.raw, interrupts).await;
    }
    if !work.data(session)? {
        session.out.line(work.id())?;
        session.out.note(&format!("watch it with: {}", command(session, "follow", work.id())));
    }
    Ok(())
}

/// Watches work to its end, which is that of the command.
pub(crate) async fn follow(
    session: &Session,
    link: &Connection,
    work: Work,
    raw: bool,
    interrupts: Interrupts,
) -> Result<()> {
    let show = !session.out.is_data();
    let target = Stepwise { link, job: work.job(), doing: work.doing(), raw, show };
    let mut ended = match attach_stepwise(session, target, interrupts).await? {
        End::Detached => {
            session.out.say(&let_go(session, work.id()));
            return Err(Failure::Reported(DETACHED));
        }
        End::Ended(ended) => ended,
    };
    let gone = || Err(Failure::local("its output ended without its end"));
    let work = work.with(ended.pop().unwrap_or_else(gone)?);
    work.data(session)?;
    let look = command(session, "show", work.id());
    match fault_of(&work.noun(), work.job()) {
        Some(fault) if fault.hint.is_empty() => Err(fault.hint(look).into()),
        Some(fault) => Err(fault.into()),
        None if session.out.is_data() => Ok(()),
        None => session.out.line(&sentence(&work, session.out.colour)),
    }
}

fn let_go(session: &Session, id: &str) -> String {
    let command = |verb| command(session, verb, id);
    format!("detached; it goes on\n  watch it: {}\n  end it:   {}", command("follow"), command("cancel"))
}

/// How it ended, when it ended well.
pub(super) fn sentence(work: &Work, colour: bool) -> String {
    let job = work.job();
    let (app, host, release) = (inline(&job.app), inline(&job.host), inline(&job.release));
    let done = |word: &str| Look::Good.paint(word, colour);
    let text = match job.kind() {
        JobKind::Deploy => format!("{} {app}: {release} is live on {host}", done("deployed")),
        JobKind::Rollback => format!("{}: {app} is at {release} on {host}", done("went back")),
        JobKind::Apply => format!("{} the settings of {app} on {host}", done("applied")),
        JobKind::Remove => format!("{} {app} from {host}", done("removed")),
        JobKind::Script => format!("{} on {host}", done("ran")),
    };
    match time(job) {
        Some(time) => format!("{text}, in {time}"),
        None => text,
    }
}

fn time(job: &Job) -> Option<String> {
    let usec = job.ended_usec.checked_sub(job.started_usec).filter(|_| job.started_usec > 0)?;
    u32::try_from(usec / 1000).ok().map(took)
}

#[cfg(test)]
mod tests {
    use hms_proto::controller::v1::Deployment;

    use super::*;

    #[test]
    fn each_good_end_is_a_sentence() {
        let kinds = [JobKind::Deploy, JobKind::Rollback, JobKind::Apply, JobKind::Remove];
        let lines = kinds.map(|kind| {
            let job = Job {
                release: "20261125T101502-1a2b3c4".into(),
                started_usec: 1_000_000,
                ended_usec: 73_000_000,
                ..Job::default()
            };
            let work = Work::of(Deployment {
                id: "0193f0a2".into(),
                key: "cigar".into(),
                host: "asterra\x1b[2J".into(),
                kind: kind.into(),
                job: Some(job),
                ..Deployment::default()
            });
            format!("{}\n{}\n{}", work.doing(), work.noun(), sentence(&work, false))
        });
        insta::assert_snapshot!(lines.join("\n"));
    }
}
