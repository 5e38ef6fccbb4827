//! Watching a run or a job to its end, and what is said of it then.

use hms_proto::{
    controller::v1::GetRunRequest,
    fault::{Fault, FaultKind},
    host::v1::{Job, JobState},
};

use super::{Thing, find};
use crate::{
    attach::{End, Interrupts, Target, Wish, attach},
    commands::scripts::jobs_command,
    connect::{Connection, Pace},
    failure::{DETACHED, Failure, Result, exit_of_many, render},
    output::{
        escape::inline,
        measure::{now_usec, size, took},
        state,
        table::{Cell, Look, Table},
    },
    session::Session,
};

/// Attaches to what runs; at its end, its outcome is that of the command.
pub(crate) async fn attach_to(
    session: &Session,
    link: &Connection,
    mut thing: Thing,
    wish: Wish,
    interrupts: Interrupts,
) -> Result<()> {
    if let (Thing::Job(job), Some(host)) = (&mut thing, &session.global.direct)
        && job.host.is_empty()
    {
        job.host.clone_from(host);
    }
    let run = match &thing {
        Thing::Run(run) => Some(run.id.as_str()),
        Thing::Job(_) => None,
    };
    let target = Target { link, jobs: thing.jobs(), run };
    match attach(session, target, wish, interrupts).await? {
        End::Detached => {
            session.out.say(&let_go(session, thing.id()));
            Err(Failure::Reported(DETACHED))
        }
        End::Ended(parts) => {
            if session.out.is_data() {
                tell_data(session, link, &thing, &parts).await?;
            }
            // An output that was asked for is there, however the job ended.
            finish(session, &thing, parts, wish.follow)
        }
    }
}

fn let_go(session: &Session, id: &str) -> String {
    let command = |verb| jobs_command(session, verb, id);
    format!("detached; it goes on\n  watch it: {}\n  end it:   {}", command("attach"), command("cancel"))
}

/// The run, or the job, as it ended.
async fn tell_data(session: &Session, link: &Connection, thing: &Thing, parts: &[Result<Job>]) -> Result<()> {
    match (thing, parts) {
        (Thing::Run(run), _) => {
            let request = GetRunRequest { id: run.id.clone() };
            session.out.data(&link.answer(Pace::Look, link.jobs(None, Pace::Look).get_run(request)).await?)?
        }
        (Thing::Job(_), [Ok(job)]) => session.out.data(job)?,
        (Thing::Job(_), _) => false,
    };
    Ok(())
}

/// Says how it ended: of one host in a sentence, of several in a table.
fn finish(session: &Session, thing: &Thing, parts: Vec<Result<Job>>, judged: bool) -> Result<()> {
    let look = jobs_command(session, "show", thing.id());
    let hosts: Vec<String> = thing.jobs().iter().map(|job| inline(&job.host).into_owned()).collect();
    let (mut codes, mut jobs, mut failures) = (Vec::new(), Vec::new(), Vec::new());
    for (part, host) in parts.into_iter().zip(&hosts) {
        let job = part.map(|job| Job { host: host.clone(), ..job });
        let failure = match &job {
            Err(_) => None,
            Ok(job) if judged => fault_of(thing.script(), job).map(|fault| fault.hint(look.clone()).into()),
            Ok(_) => None,
        };
        let failure = match job {
            Ok(job) => {
                jobs.push(job);
                failure
            }
            Err(failure) => Some(failure),
        };
        codes.push(failure.as_ref().map_or(0, Failure::exit_code));
        failures.extend(failure.map(|failure| (host, failure)));
    }
    if judged && !session.out.is_data() {
        session.out.summary(&summary(&jobs, hosts.len()));
    }
    match failures.pop() {
        None => Ok(()),
        Some((_, only)) if hosts.len() == 1 => Err(only),
        Some(last) => {
            for (host, failure) in failures.into_iter().chain([last]) {
                if let Failure::Fault(fault) = &failure {
                    let fault = Fault { hint: String::new(), ..(**fault).clone() };
                    let told = render(&fault);
                    session.out.say(&format!("{host}: {}", told.lines().next().unwrap_or_default()));
                }
            }
            session.out.note(&format!("hint: {look}"));
            Err(Failure::Reported(exit_of_many(&codes)))
        }
    }
}

fn summary(jobs: &[Job], hosts: usize) -> Table {
    let now = now_usec();
    match jobs {
        [job] if hosts == 1 => {
            let mut line = Table::new(&["", "", ""]);
            let on = format!("on {}", job.host);
            line.row(vec![
                state::of_job(job.state()),
                on.into(),
                took_cell(job.started_usec, job.ended_usec, now),
            ]);
            line
        }
        jobs => table(jobs, false, now),
    }
}

/// Jobs of one run, as a table.
pub(super) fn table(jobs: &[Job], ids: bool, now: i64) -> Table {
    let heads = ["HOST", "!STATE", ">EXIT", ">TOOK", ">OUTPUT", "!JOB", "WHY"];
    let heads: Vec<_> = heads.into_iter().filter(|head| ids || *head != "!JOB").collect();
    let mut table = Table::new(&heads);
    for job in jobs {
        let mut cells = vec![
            Cell::new(&job.host, Look::Strong),
            state::of_job(job.state()),
            exit_cell(job),
            took_cell(job.started_usec, job.ended_usec, now),
            size(job.output_bytes).into(),
        ];
        if ids {
            cells.push(Cell::new(&job.id, Look::Faint));
        }
        cells.push(job.reason.as_str().into());
        table.row(cells);
    }
    table
}

/// Whether it ended by itself, so that there is an exit status.
pub(super) fn has_exit(job: &Job) -> bool {
    let ran = matches!(
        job.state(),
        JobState::Succeeded | JobState::Failed | JobState::TimedOut | JobState::Canceled
    );
    ran && job.started_usec > 0 && job.ended_usec > 0 || job.exit_status != 0
}

pub(super) fn exit_cell(job: &Job) -> Cell {
    match (has_exit(job), job.killed_by_signal, job.exit_status) {
        (false, ..) => Cell::new("–", Look::Faint),
        (true, true, signal) => format!("signal {signal}").into(),
        (true, false, status) => status.to_string().into(),
    }
}

/// How long it took, or has taken so far.
pub(crate) fn took_cell(began: i64, ended: i64, now: i64) -> Cell {
    let until = if ended > 0 { ended } else { now };
    match (began, u32::try_from((until - began).max(0) / 1000)) {
        (1.., Ok(ms)) => took(ms).into(),
        _ => Cell::new("–", Look::Faint),
    }
}

/// What the outcome of a job is to the command that waited for it. A check that found something counts as failed:
/// whoever asks in a script wants to know.
pub(crate) fn fault_of(script: &str, job: &Job) -> Option<Fault> {
    let (script, host) = (inline(script), inline(&job.host));
    let why = |usual: String| if job.reason.is_empty() { usual } else { inline(&job.reason).into_owned() };
    let status = match job.killed_by_signal {
        true => format!("it was killed by signal {}", job.exit_status),
        false => format!("exit status {}", job.exit_status),
    };
    let failed = |what: String| Some(Fault::new(FaultKind::Failed, what));
    match job.state() {
        JobState::Succeeded if job.exit_status == 0 => None,
        JobState::Succeeded => failed(format!("{script} on {host}: {}", why(status))),
        JobState::Canceled => failed(format!("{script} on {host} was canceled")),
        JobState::TimedOut => failed(format!("{script} on {host} took too long and was ended")),
        JobState::Lost => failed(format!(
            "what became of {script} on {host} is not known: {}",
            why("its end was not recorded".into())
        )),
        JobState::Skipped => failed(format!(
            "{script} was not started on {host}: {}",
            why("others of the same run failed".into())
        )),
        JobState::Failed if job.result == "unreachable" => Some(Fault::new(
            FaultKind::Unreachable,
            format!("{script} was not started on {host}: {}", why("it cannot be reached".into())),
        )),
        JobState::Failed => failed(format!("{script} failed on {host}: {}", why(status))),
        JobState::Unknown | JobState::Unspecified | JobState::Queued | JobState::Running => Some(Fault::new(
            FaultKind::Unknown,
            format!("how {script} on {host} goes on is not known: {}", why("it cannot be reached".into())),
        )),
    }
}

/// A run or a job, seen again.
pub(super) async fn again(link: &Connection, thing: &Thing) -> Result<Thing> {
    find(link, &thing.id().parse()?).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_is_said_and_has_its_exit_code() {
        let job = |state: JobState, exit_status, reason: &str, result: &str| Job {
            host: "asterra".into(),
            state: state.into(),
            exit_status,
            reason: reason.into(),
            result: result.into(),
            ..Job::default()
        };
        let jobs = [
            job(JobState::Succeeded, 0, "", "success"),
            job(JobState::Succeeded, 2, "found 1 critical", "exit-code"),
            job(JobState::Failed, 3, "", "exit-code"),
            Job { killed_by_signal: true, ..job(JobState::Failed, 9, "", "signal") },
            job(JobState::Failed, 0, "`psql` is not installed on this host", ""),
            job(JobState::Failed, 0, "connection refused", "unreachable"),
            job(JobState::Canceled, 15, "", ""),
            job(JobState::TimedOut, 15, "", "timeout"),
            job(JobState::Lost, 0, "the host was restarted while it ran", ""),
            job(JobState::Skipped, 0, "", ""),
            job(JobState::Unknown, 0, "", ""),
        ];
        let lines = jobs.iter().map(|job| match fault_of("check", job) {
            None => "0 fine".to_owned(),
            Some(fault) => format!("{} {}", fault.row().exit, fault.message),
        });
        insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"));
    }
}
