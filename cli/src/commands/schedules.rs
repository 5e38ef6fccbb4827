//! `hmsctl schedules`: scripts that run by themselves.

use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCompleter;
use hms_proto::{
    controller::v1::{
        AddScheduleRequest, ListSchedulesRequest, PauseScheduleRequest, RemoveScheduleRequest, Schedule,
    },
    names::{JobId, ScriptName},
};

use super::scripts::{Aim, Given, one, target_words};
use crate::{
    complete,
    connect::Pace,
    failure::Result,
    output::{
        confirm,
        escape::inline,
        measure::{full, now_usec, relative},
        state,
        table::{Cell, Look, Table},
    },
    session::Session,
};

/// Run scripts at fixed times
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hmsctl schedules
  hmsctl schedules add check_disk_space --cron '*/15 * * * *' --all
  hmsctl schedules pause 0193f0a2-5b7e-7c3a-9d41-2f6d1c0e8a55")]
pub(crate) struct Schedules {
    #[command(subcommand)]
    verb: Option<SchedulesVerb>,
}

#[derive(Debug, Subcommand)]
enum SchedulesVerb {
    /// List schedules, with when they run next and how the last run ended
    #[command(after_help = "Example:\n  hmsctl schedules list -o yaml")]
    List,
    /// Have a script run at fixed times
    #[command(after_help = "Examples:
  hmsctl schedules add check_status --cron '*/5 * * * *' --label web
  hmsctl schedules add parse_logs --cron '0 6 * * 1-5' --param app=cigar --param since=1day

The five fields are minute, hour, day of the month, month and day of the week, in UTC.")]
    Add(AddSchedule),
    /// Let a schedule rest
    #[command(after_help = "Example:\n  hmsctl schedules pause 0193f0a2-5b7e-7c3a-9d41-2f6d1c0e8a55")]
    Pause(OneSchedule),
    /// Let a schedule that rests go on
    #[command(after_help = "Example:\n  hmsctl schedules resume 0193f0a2-5b7e-7c3a-9d41-2f6d1c0e8a55")]
    Resume(OneSchedule),
    /// Remove a schedule; its runs are kept
    #[command(after_help = "Example:\n  hmsctl schedules remove 0193f0a2-5b7e-7c3a-9d41-2f6d1c0e8a55 --yes")]
    Remove(RemoveSchedule),
}

#[derive(Debug, Args)]
struct AddSchedule {
    /// Name of the script
    #[arg(value_name = "SCRIPT", add = ArgValueCompleter::new(complete::scripts))]
    script: ScriptName,
    /// When: minute, hour, day of the month, month, day of the week, in UTC
    #[arg(long, value_name = "'M H D M W'")]
    cron: String,
    #[command(flatten)]
    given: Given,
    #[command(flatten)]
    aim: Aim,
    /// On so many hosts at a time [default: 10]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    batch: Option<u32>,
}

#[derive(Debug, Args)]
struct OneSchedule {
    /// Id of the schedule
    #[arg(value_name = "ID", add = ArgValueCompleter::new(complete::schedules))]
    id: JobId,
}

#[derive(Debug, Args)]
struct RemoveSchedule {
    #[command(flatten)]
    one: OneSchedule,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

impl Schedules {
    pub(crate) async fn run(self, session: &Session) -> Result<()> {
        match self.verb.unwrap_or(SchedulesVerb::List) {
            SchedulesVerb::List => list(session).await,
            SchedulesVerb::Add(add) => add.run(session).await,
            SchedulesVerb::Pause(one) => pause(session, &one.id, true).await,
            SchedulesVerb::Resume(one) => pause(session, &one.id, false).await,
            SchedulesVerb::Remove(remove) => remove.run(session).await,
        }
    }
}

async fn list(session: &Session) -> Result<()> {
    let link = session.controller()?;
    let request = ListSchedulesRequest {};
    let list = link.answer(Pace::Look, link.jobs(None, Pace::Look).list_schedules(request)).await?;
    if session.out.data(&list)? {
        return Ok(());
    }
    let empty =
        "Nothing runs by itself. Add a schedule: hmsctl schedules add SCRIPT --cron 'M H D M W' --all";
    session.out.table(&table(&list.schedules, now_usec()), empty)
}

fn table(schedules: &[Schedule], now: i64) -> Table {
    let mut table = Table::new(&["!ID", "SCRIPT", "ON", "WITH", "WHEN (UTC)", "NEXT", "LAST", ">MISSED"]);
    for schedule in schedules {
        let next = match (schedule.paused, schedule.next_usec.first()) {
            (true, _) => Cell::new("○ paused", Look::Faint),
            (false, Some(next)) => relative(*next, now).into(),
            (false, None) => Cell::new("–", Look::Faint),
        };
        let missed = match schedule.missed {
            0 => Cell::new("–", Look::Faint),
            n => Cell::new(&n.to_string(), Look::Bad),
        };
        let with = schedule.parameters.iter().map(|(name, value)| format!("{name}={value}"));
        table.row(vec![
            Cell::new(&schedule.id, Look::Faint),
            Cell::new(&schedule.script, Look::Strong),
            schedule.target.as_ref().map(target_words).unwrap_or_default().into(),
            with.collect::<Vec<_>>().join(" ").into(),
            match schedule.words.as_str() {
                "" => schedule.cron.as_str().into(),
                words => words.into(),
            },
            next,
            match schedule.last_usec {
                0 => Cell::new("never", Look::Faint),
                _ => state::of_job(schedule.last_state()).and(&relative(schedule.last_usec, now)),
            },
            missed,
        ]);
    }
    table
}

impl AddSchedule {
    async fn run(self, session: &Session) -> Result<()> {
        let link = session.controller()?;
        let script = one(&link, &self.script).await?;
        let parameters = self.given.values()?;
        let target = self.aim.target(session, &link, &script, &parameters).await?;
        let request = AddScheduleRequest {
            script: self.script.to_string(),
            target: Some(target),
            parameters,
            cron: self.cron,
            batch: self.batch.unwrap_or(0),
        };
        let added = link.answer(Pace::Look, link.jobs(None, Pace::Look).add_schedule(request)).await?;
        if session.out.data(&added)? {
            return Ok(());
        }
        session.out.line(&added.id)?;
        let when = if added.words.is_empty() { &added.cron } else { &added.words };
        let on = added.target.as_ref().map(target_words).unwrap_or_default();
        session.out.note(&format!("{} runs on {}: {}", inline(&added.script), inline(&on), inline(when)));
        let next = added.next_usec.iter().take(3).map(|usec| full(*usec)).collect::<Vec<_>>();
        session.out.note(&format!("next: {}", next.join(", ")));
        Ok(())
    }
}

async fn pause(session: &Session, id: &JobId, paused: bool) -> Result<()> {
    let link = session.controller()?;
    let request = PauseScheduleRequest { id: id.to_string(), paused };
    let done = link.answer(Pace::Look, link.jobs(None, Pace::Look).pause_schedule(request)).await?;
    if session.out.data(&done)? {
        return Ok(());
    }
    let script = inline(&done.script);
    session.out.line(&match (done.paused, done.next_usec.first()) {
        (true, _) => format!("paused {script}"),
        (false, Some(next)) => format!("resumed {script}: next {}", relative(*next, now_usec())),
        (false, None) => format!("resumed {script}"),
    })
}

impl RemoveSchedule {
    async fn run(self, session: &Session) -> Result<()> {
        let id = self.one.id;
        if !confirm(&format!("Remove the schedule {id}? Its runs are kept."), self.yes, true)? {
            session.out.note("nothing was removed");
            return Ok(());
        }
        let link = session.controller()?;
        let request = RemoveScheduleRequest { id: id.to_string() };
        let done = link.answer(Pace::Look, link.jobs(None, Pace::Look).remove_schedule(request)).await?;
        if session.out.data(&done)? {
            return Ok(());
        }
        session.out.line(&format!("removed {id}"))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use hms_proto::{controller::v1::Target, host::v1::JobState};

    use super::*;

    #[test]
    fn schedules_as_a_table() {
        let now = 1_764_010_000_000_000;
        let resting = Schedule {
            id: "0193f0a2-5b7e-7c3a-9d41-2f6d1c0e8a55".into(),
            script: "check_disk_space".into(),
            target: Some(Target { all: true, ..Target::default() }),
            parameters: BTreeMap::from([("warn".into(), "85".into())]),
            cron: "*/15 * * * *".into(),
            words: "every 15 minutes".into(),
            paused: true,
            ..Schedule::default()
        };
        let active = Schedule {
            paused: false,
            parameters: BTreeMap::new(),
            next_usec: vec![now + 600_000_000],
            last_usec: now - 300_000_000,
            last_state: JobState::Failed.into(),
            missed: 3,
            ..resting.clone()
        };
        insta::assert_snapshot!(table(&[resting, active], now).render(None, false));
    }
}
