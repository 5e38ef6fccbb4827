//! `hmsctl facts`: what a host is.

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use hms_proto::{host::v1::GetFactsRequest, names::HostName};

use crate::{
    complete,
    connect::Pace,
    failure::Result,
    output::{
        measure::{full, now_usec, relative, size},
        table::{Cell, Look, Table},
    },
    session::Session,
};

/// Show what a host is: system, kernel, versions, size
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hmsctl facts --host asterra
  hmsctl --direct asterra facts   (with the controller down)")]
pub(crate) struct ShowFacts {
    /// The host
    #[arg(long, add = ArgValueCompleter::new(complete::hosts))]
    host: Option<HostName>,
}

impl ShowFacts {
    pub(crate) async fn run(self, session: &Session) -> Result<()> {
        let (host, _) = session.host(self.host.as_ref())?;
        let link = session.link()?;
        let mut client = link.facts(host.as_ref(), Pace::Look);
        let facts = link.answer(Pace::Look, client.get_facts(GetFactsRequest {})).await?;
        if session.out.data(&facts)? {
            return Ok(());
        }
        let mut table = Table::new(&["", ""]);
        let mut say = |what: &str, text: &str| table.row(vec![Cell::new(what, Look::Faint), text.into()]);
        say("name", &facts.hostname);
        say("system", &facts.os);
        say("kernel", &facts.kernel);
        say("systemd", &facts.systemd_version);
        say("agent", &facts.agent_version);
        say("machine id", &facts.machine_id);
        say("booted", &format!("{} ({})", full(facts.booted_usec), relative(facts.booted_usec, now_usec())));
        say("CPUs", &facts.cpus.to_string());
        say("memory", &size(facts.memory_bytes));
        session.out.table(&table, "")
    }
}
