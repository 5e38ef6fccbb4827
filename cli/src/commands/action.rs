//! Starting, stopping and the like: of one unit or of many, with the outcome of each.

use futures_util::{StreamExt as _, stream};
use hms_proto::{
    fault::Fault,
    host::v1::{Unit, UnitActionRequest, UnitActionResponse},
};
use serde::Serialize;

use crate::{
    connect::{Connection, Pace},
    failure::{Failure, Result, exit_of_many, render},
    output::{measure::took, table::Look},
    session::{Place, Session},
};

/// What is to be done to a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Start,
    Stop,
    Restart,
    Reload,
    Enable,
    Disable,
}

impl Verb {
    fn doing(self) -> &'static str {
        match self {
            Self::Start => "starting",
            Self::Stop => "stopping",
            Self::Restart => "restarting",
            Self::Reload => "reloading",
            Self::Enable => "enabling",
            Self::Disable => "disabling",
        }
    }

    fn done(self) -> &'static str {
        match self {
            Self::Start => "started",
            Self::Stop => "stopped",
            Self::Restart => "restarted",
            Self::Reload => "reloaded",
            Self::Enable => "enabled",
            Self::Disable => "disabled",
        }
    }
}

/// How many are acted upon at a time.
const AT_ONCE: usize = 8;

/// The outcome of one, as programs read it.
#[derive(Serialize)]
struct Outcome {
    name: String,
    host: String,
    /// ok, failed, denied, unreachable, unknown.
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<Unit>,
    took_ms: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<Fault>,
    #[serde(skip)]
    exit: u8,
}

#[derive(Serialize)]
struct Outcomes {
    results: Vec<Outcome>,
}

/// Does it to all of them, and reports each. What is `Err` already could not be found.
pub(crate) async fn run(
    session: &Session,
    link: &Connection,
    verb: Verb,
    targets: Vec<(String, Result<Place>)>,
) -> Result<()> {
    let names: Vec<&str> = targets.iter().map(|(name, _)| name.as_str()).collect();
    let progress = session.out.progress(format!("{} {}", verb.doing(), names.join(", ")));
    let several = targets.len() > 1;
    let mut work = stream::iter(targets)
        .map(|(name, place)| async move { one(link, verb, name, place).await })
        .buffered(AT_ONCE);
    let mut results = Vec::new();
    let mut alone = None;
    while let Some((outcome, failure)) = work.next().await {
        progress.aside(|| tell(session, verb, &outcome, failure.as_ref(), several))?;
        results.push(outcome);
        alone = failure;
    }
    drop(progress);
    let codes: Vec<u8> = results.iter().map(|r| r.exit).collect();
    session.out.data(&Outcomes { results })?;
    match (exit_of_many(&codes), alone) {
        (0, _) => Ok(()),
        (_, Some(failure)) if !several => Err(failure),
        (code, _) => Err(Failure::Reported(code)),
    }
}

/// Says how one of them ended. The failure of a single one is told by `main`.
fn tell(
    session: &Session,
    verb: Verb,
    outcome: &Outcome,
    failure: Option<&Failure>,
    several: bool,
) -> Result<()> {
    match failure {
        _ if session.out.is_data() => {}
        None => session.out.line(&sentence(verb, outcome, session.out.colour))?,
        Some(Failure::Fault(fault)) if several => {
            session.out.say(&format!("{}: {}", outcome.name, render(fault)));
        }
        Some(_) => {}
    }
    session.out.flush()
}

async fn one(
    link: &Connection,
    verb: Verb,
    name: String,
    place: Result<Place>,
) -> (Outcome, Option<Failure>) {
    let began = std::time::Instant::now();
    let host = place.as_ref().map(|p| p.label.clone()).unwrap_or_default();
    let answer = match place {
        Ok(place) => call(link, verb, &place).await,
        Err(failure) => Err(failure),
    };
    let waited = u32::try_from(began.elapsed().as_millis()).unwrap_or(u32::MAX);
    match answer {
        Ok(UnitActionResponse { unit, took_ms }) => {
            (Outcome { name, host, outcome: "ok", unit, took_ms, fault: None, exit: 0 }, None)
        }
        Err(failure) => {
            let fault = match &failure {
                Failure::Fault(fault) => Some((**fault).clone()),
                _ => None,
            };
            let outcome = fault.as_ref().map_or("failed", |f| f.row().outcome);
            let exit = failure.exit_code();
            (Outcome { name, host, outcome, unit: None, took_ms: waited, fault, exit }, Some(failure))
        }
    }
}

async fn call(link: &Connection, verb: Verb, place: &Place) -> Result<UnitActionResponse> {
    let mut units = link.units(place.host.as_ref(), Pace::Act);
    let request = UnitActionRequest { unit: place.unit.to_string() };
    let pace = Pace::Act;
    match verb {
        Verb::Start => link.answer(pace, units.start(request)).await,
        Verb::Stop => link.answer(pace, units.stop(request)).await,
        Verb::Restart => link.answer(pace, units.restart(request)).await,
        Verb::Reload => link.answer(pace, units.reload(request)).await,
        Verb::Enable => link.answer(pace, units.enable(request)).await,
        Verb::Disable => link.answer(pace, units.disable(request)).await,
    }
}

/// `restarted cigar on asterra in 1.4 s (pid 812)`.
fn sentence(verb: Verb, outcome: &Outcome, colour: bool) -> String {
    let done = Look::Good.paint(verb.done(), colour);
    let text = format!("{done} {} on {} in {}", outcome.name, outcome.host, took(outcome.took_ms));
    match outcome.unit.as_ref().map_or(0, |u| u.main_pid) {
        0 => text,
        pid => format!("{text} (pid {pid})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_is_one_sentence() {
        let mut outcome = Outcome {
            name: "cigar".into(),
            host: "asterra".into(),
            outcome: "ok",
            unit: Some(Unit { main_pid: 812, ..Unit::default() }),
            took_ms: 1_420,
            fault: None,
            exit: 0,
        };
        assert_eq!(sentence(Verb::Restart, &outcome, false), "restarted cigar on asterra in 1.4 s (pid 812)");
        outcome.unit = None;
        assert_eq!(sentence(Verb::Stop, &outcome, false), "stopped cigar on asterra in 1.4 s");
    }
}
