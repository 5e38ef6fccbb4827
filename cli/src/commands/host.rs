//! `hmsctl host`: the managed hosts.

use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCompleter;
use hms_proto::{
    AGENT_PORT,
    controller::v1::{
        AddHostRequest, AddHostResponse, Host, HostState, NewJoinTokenRequest, RemoveHostRequest,
    },
    names::{Address, HostName},
};

use super::label::LabelHost;
use crate::{
    complete,
    connect::Pace,
    failure::Result,
    output::{
        confirm,
        measure::{now_usec, percent, relative, size},
        state,
        table::{Cell, Look, Table},
    },
    session::Session,
};

/// Add, list and remove managed hosts
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hmsctl host list
  hmsctl host add borealis --address 10.0.0.8
  hmsctl host label borealis +web -old")]
pub(crate) struct Hosts {
    #[command(subcommand)]
    verb: Option<HostsVerb>,
}

#[derive(Debug, Subcommand)]
enum HostsVerb {
    /// List hosts with their state
    #[command(after_help = "Example:\n  hmsctl host list -o yaml")]
    List,
    /// Add a host; prints the token that its agent joins with, once
    #[command(after_help = "Examples:
  hmsctl host add borealis --address 10.0.0.8
  hmsctl host add borealis --address 10.0.0.8 | ssh borealis hms-agent join --controller https://asterra:8443")]
    Add(AddHost),
    /// Print a new join token for a host that has not joined, or lost its identity
    #[command(after_help = "Example:\n  hmsctl host token borealis")]
    Token(OneHost),
    /// Give a host labels, or take some away; runs can be aimed at a label
    #[command(after_help = "Examples:
  hmsctl host label borealis +web -old
  hmsctl host label borealis --add env=production --remove env=test")]
    Label(LabelHost),
    /// Forget a host; nothing on it is changed
    #[command(after_help = "Example:\n  hmsctl host remove borealis --yes")]
    Remove(RemoveHost),
}

#[derive(Debug, Args)]
struct OneHost {
    /// Name of the host
    #[arg(value_name = "NAME", add = ArgValueCompleter::new(complete::hosts))]
    name: HostName,
}

#[derive(Debug, Args)]
struct AddHost {
    /// Name of the host, unique in the installation
    #[arg(value_name = "NAME")]
    name: HostName,
    /// Where the controller reaches its agent; the port is 9444 unless given
    #[arg(long, value_name = "ADDRESS[:PORT]", value_parser = agent_address)]
    address: Address,
}

fn agent_address(text: &str) -> Result<Address, hms_proto::names::NameError> {
    Address::with_default_port(text, AGENT_PORT)
}

#[derive(Debug, Args)]
struct RemoveHost {
    #[command(flatten)]
    host: OneHost,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

impl Hosts {
    pub(crate) async fn run(self, session: &Session) -> Result<()> {
        match self.verb.unwrap_or(HostsVerb::List) {
            HostsVerb::List => list(session).await,
            HostsVerb::Add(add) => {
                let link = session.controller()?;
                let request = AddHostRequest { name: add.name.to_string(), address: add.address.to_string() };
                let added = link.answer(Pace::Look, link.fleet(None, Pace::Look).add_host(request)).await?;
                // So that `--direct` knows it, should the controller go away.
                drop(session.hosts(&link).await);
                tell_token(session, &added)
            }
            HostsVerb::Token(one) => {
                let link = session.controller()?;
                let request = NewJoinTokenRequest { name: one.name.to_string() };
                let made =
                    link.answer(Pace::Look, link.fleet(None, Pace::Look).new_join_token(request)).await?;
                tell_token(session, &made)
            }
            HostsVerb::Label(label) => label.run(session).await,
            HostsVerb::Remove(remove) => remove.run(session).await,
        }
    }
}

#[cfg(test)]
impl Hosts {
    /// The labels to change, where that is the command.
    pub(super) fn label(self) -> Option<LabelHost> {
        match self.verb {
            Some(HostsVerb::Label(label)) => Some(label),
            _ => None,
        }
    }
}

/// The token alone on stdout, so that it can be piped; what to do with it on stderr.
fn tell_token(session: &Session, made: &AddHostResponse) -> Result<()> {
    if session.out.data(made)? {
        return Ok(());
    }
    session.out.line(&made.join_token)?;
    let name = made.host.as_ref().map_or("the host", |h| h.name.as_str());
    let url = session.context()?.entry.url;
    let ends = relative(made.expires_usec, now_usec());
    session.out.note(&format!("The token is good for one join and ends {ends}. On {name}, as root, run"));
    session.out.note(&format!("  hms-agent join --controller {url}"));
    session.out.note("and give it the token on stdin.");
    Ok(())
}

async fn list(session: &Session) -> Result<()> {
    let link = session.controller()?;
    let list = session.hosts(&link).await?;
    if session.out.data(&list)? {
        return Ok(());
    }
    let empty = "There are no hosts yet. Add one: hmsctl host add NAME --address ADDRESS";
    session.out.table(&table(&list.hosts, now_usec()), empty)
}

/// Hosts as a table.
pub(crate) fn table(hosts: &[Host], now: i64) -> Table {
    let heads =
        ["HOST", "!STATE", "SINCE", ">LOAD", ">CPU", ">MEMORY", ">DISK", "ADDRESS", "AGENT", "LABELS"];
    let labelled = hosts.iter().any(|host| !host.labels.is_empty());
    let columns = if labelled { heads.len() } else { heads.len() - 1 };
    let mut table = Table::new(&heads[..columns]);
    for host in hosts {
        let live = host.metrics.as_ref().filter(|_| host.state() == HostState::Connected);
        let dash = || Cell::new("–", Look::Faint);
        let agent = host.facts.as_ref().map_or("", |f| f.agent_version.as_str());
        let mut cells = vec![
            Cell::new(&host.name, Look::Strong),
            state::of_host(host.state()),
            relative(host.state_since_usec, now).into(),
            live.map_or_else(dash, |m| format!("{:.2}", m.load1).into()),
            live.map_or_else(dash, |m| percent(m.cpu).into()),
            live.map_or_else(dash, |m| used(m.memory_used_bytes, m.memory_total_bytes)),
            live.and_then(fullest_disk).unwrap_or_else(dash),
            host.address.as_str().into(),
            if agent.is_empty() { dash() } else { agent.into() },
            host.labels.join(" ").into(),
        ];
        cells.truncate(columns);
        table.row(cells);
    }
    table
}

/// The share in use of the file system that is the nearest to its end.
fn fullest_disk(metrics: &hms_proto::host::v1::Metrics) -> Option<Cell> {
    let disks = metrics.filesystems.iter().filter(|f| f.total_bytes > 0);
    let fullest = disks
        .max_by(|a, b| share(a.used_bytes, a.total_bytes).total_cmp(&share(b.used_bytes, b.total_bytes)));
    fullest.map(|f| used(f.used_bytes, f.total_bytes))
}

/// The share in use, 0 to 1.
pub(crate) fn share(used: u64, total: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
    if total == 0 { 0.0 } else { used as f64 / total as f64 }
}

fn used(used: u64, total: u64) -> Cell {
    let look = match share(used, total) {
        s if s >= 0.95 => Look::Bad,
        s if s >= 0.85 => Look::Busy,
        _ => Look::Plain,
    };
    Cell::new(&format!("{} of {}", percent(share(used, total)), size(total)), look)
}

impl RemoveHost {
    async fn run(self, session: &Session) -> Result<()> {
        let name = self.host.name;
        let question =
            format!("Forget the host {name}? Its agent can no longer be reached until it joins anew.");
        if !confirm(&question, self.yes, true)? {
            session.out.note("nothing was removed");
            return Ok(());
        }
        let link = session.controller()?;
        let request = RemoveHostRequest { name: name.to_string() };
        let done = link.answer(Pace::Look, link.fleet(None, Pace::Look).remove_host(request)).await?;
        if session.out.data(&done)? {
            return Ok(());
        }
        session.out.line(&format!("removed {name}"))
    }
}

#[cfg(test)]
mod tests {
    use hms_proto::host::v1::{Facts, Filesystem, Metrics};

    use super::*;

    #[test]
    fn hosts_as_a_table() {
        let disk = |used: u64| Filesystem {
            mount_point: "/".into(),
            total_bytes: 100 << 30,
            used_bytes: used << 30,
        };
        let host = |name: &str, state: HostState| Host {
            name: name.into(),
            address: "10.213.0.10:9444".into(),
            state: state as i32,
            state_since_usec: 1_000_000,
            labels: vec!["env=production".into(), "web".into()],
            facts: Some(Facts { agent_version: "0.1.0".into(), ..Facts::default() }),
            metrics: Some(Metrics {
                load1: 0.42,
                cpu: 0.07,
                memory_total_bytes: 8 << 30,
                memory_used_bytes: 3 << 30,
                filesystems: vec![disk(12), disk(96)],
                ..Metrics::default()
            }),
            ..Host::default()
        };
        let hosts = [
            host("asterra", HostState::Connected),
            host("borealis", HostState::Unreachable),
            host("caelum", HostState::Pending),
        ];
        insta::assert_snapshot!(table(&hosts, 7_201_000_000).render(None, false));
    }
}
