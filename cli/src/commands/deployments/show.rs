//! A deployment in full, with its steps.

use hms_proto::names::JobId;

use super::work::{Work, noun};
use crate::{
    attach::{step_sentence, widest_step},
    commands::jobs::took_cell,
    failure::Result,
    output::{
        measure::{full, now_usec, relative},
        state,
        table::{Cell, Look, Table},
    },
    session::Session,
};

pub(super) async fn run(session: &Session, id: &JobId) -> Result<()> {
    let link = session.link()?;
    let work = Work::find(session, &link, id).await?;
    match work.data(session)? {
        true => Ok(()),
        false => session.out.write(&text(&work, session.out.width, session.out.colour, now_usec())),
    }
}

fn text(work: &Work, width: Option<usize>, colour: bool, now: i64) -> String {
    let mut text = facts(work, now).render(width, colour);
    let steps = &work.job().steps;
    if !steps.is_empty() {
        text.push('\n');
    }
    for step in steps {
        text += &(step_sentence(step, widest_step(steps), colour) + "\n");
    }
    text
}

fn facts(work: &Work, now: i64) -> Table {
    let job = work.job();
    let mut table = Table::new(&["", ""]);
    let mut say = |what: &str, cell: Cell| table.row(vec![Cell::new(what, Look::Faint), cell]);
    say(noun(job.kind()), Cell::new(&job.id, Look::Strong));
    say("app", job.app.as_str().into());
    say("host", job.host.as_str().into());
    say("state", state::of_job(job.state()));
    if !job.reason.is_empty() {
        say("why", job.reason.as_str().into());
    }
    if let Some(deployment) = work.deployment() {
        let facts = [
            ("branch", deployment.branch.clone()),
            ("subject", deployment.subject.clone()),
            ("author", deployment.author.clone()),
            ("before", deployment.from_release.clone()),
            ("began by", format!("{} ({})", deployment.actor, deployment.source)),
        ];
        for (what, text) in facts.iter().filter(|(_, text)| !text.is_empty()) {
            say(what, text.into());
        }
        if deployment.secrets_version > 0 {
            say("secrets", format!("version {}", deployment.secrets_version).into());
        }
    } else {
        say("began by", job.actor.as_str().into());
    }
    for (what, text) in
        [("commit", &job.commit), ("release", &job.release)].iter().filter(|(_, text)| !text.is_empty())
    {
        say(what, text.into());
    }
    for (what, usec) in
        [("began", job.started_usec), ("ended", job.ended_usec)].into_iter().filter(|(_, usec)| *usec > 0)
    {
        say(what, format!("{} ({})", full(usec), relative(usec, now)).into());
    }
    if job.started_usec > 0 {
        say("took", took_cell(job.started_usec, job.ended_usec, now));
    }
    table
}

#[cfg(test)]
mod tests {
    use hms_proto::{
        controller::v1::Deployment,
        host::v1::{Job, JobKind, JobState, JobStep, StepState},
    };

    use super::*;

    #[test]
    fn a_deployment_in_full() {
        let step = |name: &str, state: StepState, ended_usec: i64, detail: &str| JobStep {
            name: name.into(),
            state: state.into(),
            started_usec: i64::from(ended_usec > 0) * 1_000_000,
            ended_usec,
            detail: detail.into(),
            output_offset: 0,
        };
        let job = Job {
            state: JobState::Failed.into(),
            reason: "health: the app answered 500".into(),
            commit: "1a2b3c4d".repeat(5),
            release: "20261125T101502-1a2b3c4".into(),
            steps: vec![
                step("prepare", StepState::Done, 1_420_000, ""),
                step("assets", StepState::Skipped, 0, ""),
                step("switch", StepState::Undone, 2_000_000, ""),
                step("health", StepState::Failed, 61_000_000, "it answered 500\x1b[2J"),
                step("site", StepState::Waiting, 0, ""),
            ],
            ..Job::default()
        };
        let work = Work::of(Deployment {
            id: "0193f0a2-5b7e-7c3a-9d41-2f6d1c0e8a55".into(),
            key: "cigar".into(),
            host: "asterra".into(),
            kind: JobKind::Deploy.into(),
            branch: "main".into(),
            subject: "Fix the login".into(),
            author: "Ada".into(),
            from_release: "20261124T101502-0a2b3c4".into(),
            secrets_version: 5,
            actor: "ada".into(),
            source: "cli".into(),
            job: Some(job),
            ..Deployment::default()
        });
        insta::assert_snapshot!(text(&work, None, false, 0));
    }
}
