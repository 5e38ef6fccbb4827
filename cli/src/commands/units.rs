//! `hmsctl units`: the systemd units of a host.

use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCompleter;
use hms_proto::{
    host::v1::{GetUnitRequest, ListUnitsRequest, ListUnitsResponse, Unit},
    names::{HostName, UnitName},
};

use super::action::{self, Verb};
use crate::{
    complete,
    connect::Pace,
    failure::Result,
    output::{
        confirm,
        measure::{full, now_usec, relative, span},
        state,
        table::{Cell, Look, Table},
    },
    session::{Place, Session},
};

/// Show and control the systemd units of a host
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hmsctl units --host asterra
  hmsctl units list 'puma-*' --host asterra
  hmsctl units restart nginx.service --host asterra
  hmsctl --direct asterra units   (with the controller down)")]
pub(crate) struct Units {
    /// The host
    #[arg(long, global = true, add = ArgValueCompleter::new(complete::hosts))]
    host: Option<HostName>,
    #[command(subcommand)]
    verb: Option<UnitsVerb>,
}

#[derive(Debug, Subcommand)]
enum UnitsVerb {
    /// List loaded units
    #[command(after_help = "Examples:
  hmsctl units list --host asterra
  hmsctl units list 'puma-*' '*.timer' --host asterra")]
    List(Patterns),
    /// Show one unit
    #[command(after_help = "Example:\n  hmsctl units show nginx.service --host asterra")]
    Show(OneUnit),
    /// Start a unit
    #[command(after_help = "Example:\n  hmsctl units start nginx.service --host asterra")]
    Start(OneUnit),
    /// Stop a unit
    #[command(after_help = "Example:\n  hmsctl units stop nginx.service --host asterra --yes")]
    Stop(StopUnit),
    /// Restart a unit; one that is not running is started
    #[command(after_help = "Example:\n  hmsctl units restart nginx.service --host asterra")]
    Restart(OneUnit),
    /// Have a unit read its configuration again
    #[command(after_help = "Example:\n  hmsctl units reload nginx.service --host asterra")]
    Reload(OneUnit),
    /// Have a unit start at boot
    #[command(after_help = "Example:\n  hmsctl units enable nginx.service --host asterra")]
    Enable(OneUnit),
    /// Have a unit no longer start at boot
    #[command(after_help = "Example:\n  hmsctl units disable nginx.service --host asterra")]
    Disable(OneUnit),
}

#[derive(Debug, Default, Args)]
struct Patterns {
    /// Only units with such names; `*` and `?` stand for any text and any character
    #[arg(value_name = "PATTERN")]
    patterns: Vec<String>,
}

#[derive(Debug, Args)]
struct OneUnit {
    /// The unit, such as nginx.service
    #[arg(value_name = "UNIT", add = ArgValueCompleter::new(complete::units))]
    unit: UnitName,
}

#[derive(Debug, Args)]
struct StopUnit {
    #[command(flatten)]
    unit: OneUnit,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

impl Units {
    pub(crate) async fn run(self, session: &Session) -> Result<()> {
        let host = self.host.as_ref();
        let (verb, unit) = match self.verb.unwrap_or(UnitsVerb::List(Patterns::default())) {
            UnitsVerb::List(wanted) => return list(session, host, &wanted.patterns).await,
            UnitsVerb::Show(one) => return show(session, host, &one.unit).await,
            UnitsVerb::Stop(stop) => {
                if !confirm(&format!("Stop {}?", stop.unit.unit), stop.yes, false)? {
                    session.out.note("nothing was stopped");
                    return Ok(());
                }
                (Verb::Stop, stop.unit.unit)
            }
            UnitsVerb::Start(one) => (Verb::Start, one.unit),
            UnitsVerb::Restart(one) => (Verb::Restart, one.unit),
            UnitsVerb::Reload(one) => (Verb::Reload, one.unit),
            UnitsVerb::Enable(one) => (Verb::Enable, one.unit),
            UnitsVerb::Disable(one) => (Verb::Disable, one.unit),
        };
        let (host, label) = session.host(host)?;
        let link = session.link()?;
        let target = (unit.to_string(), Ok(Place { label, host, unit }));
        action::run(session, &link, verb, vec![target]).await
    }
}

async fn list(session: &Session, host: Option<&HostName>, patterns: &[String]) -> Result<()> {
    let (host, label) = session.host(host)?;
    let link = session.link()?;
    let mut units = link.units(host.as_ref(), Pace::Look);
    let ListUnitsResponse { mut units } =
        link.answer(Pace::Look, units.list(ListUnitsRequest::default())).await?;
    units.retain(|u| patterns.is_empty() || patterns.iter().any(|p| matches(p, &u.name)));
    units.sort_by(|a, b| (a.active_state != "failed", &a.name).cmp(&(b.active_state != "failed", &b.name)));
    let list = ListUnitsResponse { units };
    if session.out.data(&list)? {
        return Ok(());
    }
    session.out.table(&table(&list.units, now_usec()), &format!("No such units on {label}."))
}

fn table(units: &[Unit], now: i64) -> Table {
    let mut table = Table::new(&["UNIT", "!STATE", "SUB", ">FOR", ">PID", "DESCRIPTION"]);
    for unit in units {
        let lives = unit.active_state == "active" && unit.active_since_usec > 0;
        let dash = || Cell::new("–", Look::Faint);
        table.row(vec![
            Cell::new(&unit.name, Look::Strong),
            state::of_unit(unit),
            unit.sub_state.as_str().into(),
            if lives { span(now - unit.active_since_usec).into() } else { dash() },
            if unit.main_pid > 0 { unit.main_pid.to_string().into() } else { dash() },
            unit.description.as_str().into(),
        ]);
    }
    table
}

async fn show(session: &Session, host: Option<&HostName>, unit: &UnitName) -> Result<()> {
    let (host, _) = session.host(host)?;
    let link = session.link()?;
    let request = GetUnitRequest { unit: unit.to_string() };
    let unit = link.answer(Pace::Look, link.units(host.as_ref(), Pace::Look).get(request)).await?;
    if session.out.data(&unit)? {
        return Ok(());
    }
    session.out.write(&details(&unit, now_usec()).render(session.out.width, session.out.colour))
}

fn details(unit: &Unit, now: i64) -> Table {
    let mut table = Table::new(&["", ""]);
    let mut say = |what: &str, cell: Cell| table.row(vec![Cell::new(what, Look::Faint), cell]);
    say("name", Cell::new(&unit.name, Look::Strong));
    say("description", unit.description.as_str().into());
    say("loaded", unit.load_state.as_str().into());
    say("state", state::of_unit(unit));
    say("sub state", unit.sub_state.as_str().into());
    say("at boot", unit.unit_file_state.as_str().into());
    if unit.active_since_usec > 0 {
        let since = unit.active_since_usec;
        say("since", format!("{} ({})", full(since), relative(since, now)).into());
    }
    if unit.main_pid > 0 {
        say("pid", unit.main_pid.to_string().into());
    }
    if !unit.result.is_empty() {
        say("last result", unit.result.as_str().into());
    }
    match (unit.killed_by_signal, unit.exit_status) {
        (true, signal) => say("last exit", format!("killed by signal {signal}").into()),
        (false, 0) => {}
        (false, status) => say("last exit", format!("status {status}").into()),
    }
    say("restarts", unit.restarts.to_string().into());
    table
}

/// Whether a name fits a pattern with `*` and `?`. Goes back to the last `*` only, which is enough.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    let mut retry = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                retry = Some((p + 1, n));
                p += 1;
            }
            Some(c) if *c == '?' || *c == name[n] => (p, n) = (p + 1, n + 1),
            _ => match retry {
                Some((after, at)) => {
                    (p, n) = (after, at + 1);
                    retry = Some((after, at + 1));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, name, fits) in [
            ("puma-*", "puma-cigar.service", true),
            ("*.timer", "a.timer", true),
            ("*a*b*c", "xaybzbc", true),
            ("*a*b*c", "xaybzb", false),
            ("?.service", "a.service", true),
            ("a", "ab", false),
            ("", "a", false),
            ("**", "", true),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
        }
    }

    #[test]
    fn units_as_a_table() {
        let unit = |name: &str, active: &str, sub: &str| Unit {
            name: name.into(),
            description: "A high performance web server and a reverse proxy server".into(),
            active_state: active.into(),
            sub_state: sub.into(),
            active_since_usec: 1_000_000,
            main_pid: 7,
            ..Unit::default()
        };
        let units =
            [unit("nginx.service", "active", "running"), unit("puma-cigar.service", "failed", "failed")];
        insta::assert_snapshot!(table(&units, 301_000_000).render(Some(80), false));
    }
}
