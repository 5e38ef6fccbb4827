//! `hmsctl audit verify` and `hmsctl audit export`: the rows as they are stored. The hashes are computed here, so that
//! nobody has to believe the controller.

use std::{
    fs::File,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
};

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use hms_proto::{
    chain::{Broken, Kept, Verifier},
    controller::v1::{AuditRow, ExportAuditRequest, ListHostsRequest},
    fault::{Fault, FaultKind},
    host::v1::HeadsRequest,
    names::HostName,
};
use serde::Serialize;
use tonic::Streaming;

use crate::{
    complete,
    connect::{Connection, Pace},
    failure::{Failure, Result},
    output::as_json,
    session::Session,
};

/// Something was changed.
const CHANGED: u8 = 1;
/// Nothing was found, and not everybody could be asked.
const INCOMPLETE: u8 = 2;

#[derive(Debug, Args)]
pub(super) struct Export {
    /// The first row
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(i64).range(1..))]
    from: i64,
    /// The last row; without it, to the end
    #[arg(long, value_parser = clap::value_parser!(i64).range(1..))]
    to: Option<i64>,
}

impl Export {
    pub(super) async fn run(self, session: &Session) -> Result<()> {
        let link = session.controller()?;
        let mut rows = Rows::open(&link, self.from, self.to.unwrap_or(0)).await?;
        while let Some(row) = rows.next(&link).await? {
            session.out.line(&as_json(&row, false)?)?;
        }
        session.out.flush()
    }
}

#[derive(Debug, Args)]
pub(super) struct Verify {
    /// Compare with what this host has seen; may be repeated. Without it: all hosts, and none for a file
    #[arg(long, add = ArgValueCompleter::new(complete::hosts))]
    host: Vec<HostName>,
    /// Verify what `hmsctl audit export` wrote, instead of what the controller has
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// What was found.
#[derive(Debug, Default, PartialEq, Serialize)]
struct Report {
    rows: i64,
    last_seq: i64,
    last_hash: String,
    /// The first row that is wrong; 0: none.
    broken_seq: i64,
    broken: String,
    /// How many heads were compared.
    heads: usize,
    hosts: Vec<String>,
    /// What hosts have noticed themselves.
    alarms: Vec<String>,
    /// Hosts that could not be asked, and why.
    not_asked: Vec<String>,
}

impl Verify {
    pub(super) async fn run(self, session: &Session) -> Result<()> {
        let mut report = Report::default();
        // Heads first: rows that come meanwhile are beyond them, and not the other way round.
        let kept = match (&self.file, self.host.is_empty()) {
            (Some(_), true) => Vec::new(),
            _ => self.kept(session, &mut report).await?,
        };
        let (end, found) = match &self.file {
            Some(path) => verify_file(path, kept, &mut report)?,
            None => verify_live(session, kept, &mut report).await?,
        };
        (report.last_seq, report.last_hash) = (end.seq, end.hash);
        if let Err(Broken { seq, what }) = found {
            (report.broken_seq, report.broken) = (seq, what);
        }
        if !session.out.data(&report)? {
            session.out.write(&report.text())?;
            session.out.flush()?;
        }
        match report.exit_code() {
            0 => Ok(()),
            code => Err(Failure::Reported(code)),
        }
    }

    /// What the hosts have seen of the chain.
    async fn kept(&self, session: &Session, report: &mut Report) -> Result<Vec<Kept>> {
        let link = session.controller()?;
        let mut hosts = self.host.clone();
        if hosts.is_empty() {
            let known =
                link.answer(Pace::Look, link.fleet(None, Pace::Look).list_hosts(ListHostsRequest {})).await?;
            hosts =
                known.hosts.iter().filter_map(|host| HostName::try_from(host.name.as_str()).ok()).collect();
        }
        let mut kept = Vec::new();
        for host in hosts {
            let mut client = link.host_audit(Some(&host), Pace::Look);
            let asked = link.answer(Pace::Look, client.heads(HeadsRequest::default())).await;
            let heads = match asked {
                Ok(answer) => answer.heads,
                Err(Failure::Fault(fault)) => {
                    report.not_asked.push(format!("{host}: {}", fault.message));
                    continue;
                }
                Err(other) => return Err(other),
            };
            let alarms = heads.iter().filter(|head| !head.alarm.is_empty());
            report.alarms.extend(alarms.map(|head| format!("{host}: {}", head.alarm)));
            let sound = heads.into_iter().filter(|head| head.alarm.is_empty());
            kept.extend(sound.map(|head| Kept { by: host.to_string(), seq: head.seq, hash: head.hash }));
            report.hosts.push(host.to_string());
        }
        report.heads = kept.len();
        Ok(kept)
    }
}

type Found = (Verifier, Result<(), Broken>);

async fn verify_live(session: &Session, kept: Vec<Kept>, report: &mut Report) -> Result<Found> {
    let link = session.controller()?;
    let mut verifier = Verifier::default().with(kept);
    let mut rows = Rows::open(&link, 1, 0).await?;
    while let Some(row) = rows.next(&link).await? {
        report.rows += 1;
        if let Err(broken) = verifier.check(&row) {
            return Ok((verifier, Err(broken)));
        }
    }
    let end = verifier.end();
    Ok((verifier, end))
}

/// A file may begin anywhere, and end before what hosts have seen.
fn verify_file(path: &Path, kept: Vec<Kept>, report: &mut Report) -> Result<Found> {
    let told = |why: String| {
        Failure::from(Fault::new(FaultKind::Failed, format!("cannot read {}: {why}", path.display())))
    };
    let file = File::open(path).map_err(|error| told(error.to_string()))?;
    let mut verifier: Option<Verifier> = None;
    for (number, line) in BufReader::new(file).lines().enumerate() {
        let line = line.map_err(|error| told(error.to_string()))?;
        let row: AuditRow =
            serde_json::from_str(&line).map_err(|error| told(format!("line {}: {error}", number + 1)))?;
        let verifier = verifier.get_or_insert_with(|| match row.seq {
            1 => Verifier::default().with(kept.iter().cloned()),
            seq => Verifier::after(seq - 1, row.prev_hash.clone()).with(kept.iter().cloned()),
        });
        report.rows += 1;
        if let Err(broken) = verifier.check(&row) {
            return Ok((verifier.clone(), Err(broken)));
        }
    }
    Ok((verifier.unwrap_or_default(), Ok(())))
}

impl Report {
    fn exit_code(&self) -> u8 {
        match (self.broken.is_empty() && self.alarms.is_empty(), self.not_asked.is_empty()) {
            (false, _) => CHANGED,
            (true, false) => INCOMPLETE,
            (true, true) => 0,
        }
    }

    fn text(&self) -> String {
        let mut lines = Vec::new();
        match self.broken.as_str() {
            "" => lines.push(format!(
                "Verified {} rows, up to row {} ({}).",
                self.rows, self.last_seq, self.last_hash
            )),
            what => lines.push(format!("Row {} is wrong: {what}.", self.broken_seq)),
        }
        if !self.hosts.is_empty() {
            lines.push(format!("Compared with {} heads, kept on {}.", self.heads, self.hosts.join(", ")));
        }
        lines.extend(self.alarms.iter().map(|alarm| format!("Alarm of {alarm}.")));
        lines.extend(self.not_asked.iter().map(|why| format!("Could not ask {why}.")));
        lines.iter().map(|line| crate::output::escape::inline(line).into_owned() + "\n").collect()
    }
}

/// The rows of an export, one by one.
struct Rows {
    stream: Streaming<hms_proto::controller::v1::ExportAuditResponse>,
    page: std::vec::IntoIter<AuditRow>,
}

impl Rows {
    async fn open(link: &Connection, from_seq: i64, to_seq: i64) -> Result<Self> {
        let request = ExportAuditRequest { from_seq, to_seq };
        let stream = link.answer(Pace::Stream, link.audit(None, Pace::Stream).export(request)).await?;
        Ok(Self { stream, page: Vec::new().into_iter() })
    }

    async fn next(&mut self, link: &Connection) -> Result<Option<AuditRow>> {
        loop {
            if let Some(row) = self.page.next() {
                return Ok(Some(row));
            }
            match self.stream.message().await {
                Ok(Some(page)) => self.page = page.rows.into_iter(),
                Ok(None) => return Ok(None),
                Err(status) => return Err(link.explain(&status).into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use hms_proto::chain::{GENESIS, hash};

    use super::*;

    fn rows(length: i64) -> Vec<AuditRow> {
        let mut prev_hash = GENESIS.to_owned();
        let row = |seq| {
            let mut row =
                AuditRow { seq, actor: "ada\n{}".into(), prev_hash: prev_hash.clone(), ..Default::default() };
            row.hash = hash(&row);
            prev_hash.clone_from(&row.hash);
            row
        };
        (1..=length).map(row).collect()
    }

    fn of_file(rows: &[AuditRow]) -> (Report, Result<(), Broken>) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        rows.iter().for_each(|row| writeln!(file, "{}", as_json(row, false).unwrap()).unwrap());
        let mut report = Report::default();
        let (_, found) = verify_file(file.path(), vec![], &mut report).unwrap();
        (report, found)
    }

    /// Security cases 26 and 112.
    #[test]
    fn a_saved_export_is_verified_whole_or_in_part() {
        let rows = rows(6);
        let (report, found) = of_file(&rows);
        assert_eq!((report.rows, found), (6, Ok(())));
        assert_eq!(of_file(&rows[3..]).1, Ok(()));
        let mut changed = rows.clone();
        changed[4].actor = "eve".into();
        assert_eq!(of_file(&changed).1.unwrap_err().seq, 5);
        changed.remove(2);
        assert_eq!(of_file(&changed).1.unwrap_err().seq, 3);
    }

    #[test]
    fn exit_codes_say_what_was_found() {
        let found = |broken: &str, not_asked: &[&str]| Report {
            broken: broken.into(),
            not_asked: not_asked.iter().map(ToString::to_string).collect(),
            ..Report::default()
        };
        assert_eq!(found("", &[]).exit_code(), 0);
        assert_eq!(found("x", &["borealis: away"]).exit_code(), 1);
        assert_eq!(found("", &["borealis: away"]).exit_code(), 2);
    }
}
