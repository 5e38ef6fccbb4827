//! `hmsctl audit`: who did what, and how it ended.

use chrono::Local;
use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCompleter;
use hms_proto::{
    controller::v1::{AuditRecord, ListAuditRequest, ListAuditResponse},
    names::{HostName, UserName},
    when,
};

use crate::{
    commands::pages,
    complete,
    connect::Pace,
    failure::Result,
    output::{
        measure::{now_usec, relative, took},
        state,
        table::{Cell, Look, Table},
    },
    session::Session,
};

mod chain;

/// Show who did what, newest first; verify that nothing of it was changed
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:
  hmsctl audit
  hmsctl audit --actor ada --since '2 days ago'
  hmsctl audit --host asterra --method Restart --outcome failed -n 20
  hmsctl audit --source direct --text puma-cigar
  hmsctl audit verify"
)]
pub(crate) struct Audit {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// Only what this user did
    #[arg(long, value_name = "USER")]
    actor: Option<UserName>,
    /// Only on this host
    #[arg(long, add = ArgValueCompleter::new(complete::hosts))]
    host: Option<HostName>,
    /// Only methods whose name contains this
    #[arg(long, default_value = "", hide_default_value = true)]
    method: String,
    /// Only with this outcome
    #[arg(long, value_parser = ["ok", "failed", "denied", "unreachable", "unknown", "running"])]
    outcome: Option<String>,
    /// Only what came this way
    #[arg(long, value_parser = ["web", "rest", "cli", "direct", "schedule", "agent", "system"])]
    source: Option<String>,
    /// Only records with this text: in target, parameters, address, request id, or why they failed
    #[arg(long, default_value = "", hide_default_value = true)]
    text: String,
    /// Only from this time on, such as `2 h ago` or `2026-11-24 10:00`
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only up to this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// At most so many
    #[arg(short = 'n', long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Compute every hash of the chain again, and compare it with what hosts have seen
    #[command(after_help = "Examples:
  hmsctl audit verify
  hmsctl audit verify --host borealis
  hmsctl audit verify --file audit.ndjson

Exit codes: 0 all is as it was recorded; 1 something was changed; 2 a host could not be asked.")]
    Verify(chain::Verify),
    /// Print the rows of the chain as they are stored, one JSON object a line
    #[command(after_help = "Examples:
  hmsctl audit export > audit.ndjson
  hmsctl audit export --from 1000 --to 2000")]
    Export(chain::Export),
}

impl Audit {
    pub(crate) async fn run(self, session: &Session) -> Result<()> {
        match self.verb {
            None => self.list(session).await,
            Some(Verb::Verify(verify)) => verify.run(session).await,
            Some(Verb::Export(export)) => export.run(session).await,
        }
    }

    async fn list(self, session: &Session) -> Result<()> {
        let when = |text: &Option<String>| match text {
            Some(text) => when::parse(text, &Local::now()),
            None => Ok(0),
        };
        let wanted = ListAuditRequest {
            actor: self.actor.as_ref().map(ToString::to_string).unwrap_or_default(),
            host: self.host.as_ref().map(ToString::to_string).unwrap_or_default(),
            method: self.method.clone(),
            outcome: self.outcome.clone().unwrap_or_default(),
            since_usec: when(&self.since)?,
            until_usec: when(&self.until)?,
            source: self.source.clone().unwrap_or_default(),
            text: self.text.clone(),
            ..ListAuditRequest::default()
        };
        let link = session.controller()?;
        let page = async |limit, before_seq| {
            let request = ListAuditRequest { limit, before_seq, ..wanted.clone() };
            let page = link.answer(Pace::Look, link.audit(None, Pace::Look).list(request)).await?;
            Ok((page.records, page.next_before_seq))
        };
        let (records, next_before_seq) = pages::up_to(self.limit, page).await?;
        let list = ListAuditResponse { records, next_before_seq };
        if session.out.data(&list)? {
            return Ok(());
        }
        session.out.table(&table(&list.records, now_usec()), "No such records.")
    }
}

/// Records as a table.
fn table(records: &[AuditRecord], now: i64) -> Table {
    let mut table = Table::new(&["WHEN", "WHO", "VIA", "WHAT", "TARGET", "HOST", "!OUTCOME", ">TOOK", "WHY"]);
    for record in records {
        // `/hms.host.v1.UnitService/Restart` is long, and the package says nothing to people.
        let method = record.method.rsplit_once('.').map_or(record.method.as_str(), |(_, last)| last);
        table.row(vec![
            Cell::new(&relative(record.time_usec, now), Look::Faint),
            Cell::new(&record.actor, Look::Strong),
            record.source.as_str().into(),
            method.replacen("Service/", " ", 1).into(),
            record.target.as_str().into(),
            record.host.as_str().into(),
            state::of_outcome(&record.outcome),
            if record.took_ms > 0 { took(record.took_ms).into() } else { Cell::new("–", Look::Faint) },
            record.detail.as_str().into(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_as_a_table() {
        let record = |outcome: &str, detail: &str| AuditRecord {
            time_usec: 1_000_000,
            actor: "ada".into(),
            source: "cli".into(),
            method: "/hms.host.v1.UnitService/Restart".into(),
            host: "asterra".into(),
            target: "puma-cigar.service".into(),
            outcome: outcome.into(),
            detail: detail.into(),
            took_ms: 1_420,
            ..AuditRecord::default()
        };
        let records =
            [record("ok", ""), record("failed", "puma-cigar.service failed\n\x1b[2J{\"forged\": 1}")];
        insta::assert_snapshot!(table(&records, 301_000_000).render(None, false));
    }
}
