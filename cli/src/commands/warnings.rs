//! `hmsctl warnings`: what checks found.

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use hms_proto::{
    controller::v1::{ListWarningsRequest, ListWarningsResponse, Warning},
    names::HostName,
};

use crate::{
    complete,
    connect::{Connection, Pace},
    failure::Result,
    output::{
        measure::{now_usec, relative},
        state,
        table::{Cell, Look, Table},
    },
    session::Session,
};

/// Show what checks found when they last ran, the worst first
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hmsctl warnings
  hmsctl warnings --host asterra -o json")]
pub(crate) struct Warnings {
    /// Only of this host
    #[arg(long, add = ArgValueCompleter::new(complete::hosts))]
    host: Option<HostName>,
}

impl Warnings {
    pub(crate) async fn run(self, session: &Session) -> Result<()> {
        let link = session.controller()?;
        let host = self.host.as_ref().map(ToString::to_string).unwrap_or_default();
        let list = ListWarningsResponse { warnings: all(&link, host).await? };
        if session.out.data(&list)? {
            return Ok(());
        }
        session.out.table(&table(&list.warnings, now_usec()), "No check found anything wrong.")
    }
}

/// All warnings, the worst first.
pub(crate) async fn all(link: &Connection, host: String) -> Result<Vec<Warning>> {
    let request = ListWarningsRequest { host };
    let list = link.answer(Pace::Look, link.jobs(None, Pace::Look).list_warnings(request)).await?;
    Ok(in_order(list.warnings))
}

fn in_order(mut warnings: Vec<Warning>) -> Vec<Warning> {
    warnings.sort_by(|a, b| {
        let key = |w: &Warning| (w.level != "critical", w.host.clone(), w.script.clone(), w.subject.clone());
        key(a).cmp(&key(b))
    });
    warnings
}

fn table(warnings: &[Warning], now: i64) -> Table {
    let mut table = Table::new(&["!LEVEL", "HOST", "ABOUT", "WHAT", "SINCE", "SEEN", "CHECK"]);
    for warning in warnings {
        table.row(vec![
            state::of_level(&warning.level),
            Cell::new(&warning.host, Look::Strong),
            warning.subject.as_str().into(),
            warning.message.as_str().into(),
            relative(warning.since_usec, now).into(),
            relative(warning.seen_usec, now).into(),
            Cell::new(&warning.script, Look::Faint),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_is_first() {
        let warning = |level: &str, host: &str, message: &str| Warning {
            host: host.into(),
            script: "check_disk_space".into(),
            level: level.into(),
            subject: "/".into(),
            message: message.into(),
            since_usec: 1_000_000,
            seen_usec: 7_141_000_000,
            ..Warning::default()
        };
        let warnings =
            [warning("warning", "asterra", "81 % full"), warning("critical", "borealis", "97 % full\x1b[2J")];
        let warnings = in_order(warnings.to_vec());
        insta::assert_snapshot!(table(&warnings, 7_201_000_000).render(None, false));
    }
}
