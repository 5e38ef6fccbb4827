//! What was changed while something was written: deployments, restarts, configurations, scripts.

use hms_proto::{
    controller::v1::{AuditRecord, ListAuditRequest},
    search::Search,
};

use super::known;
use crate::{auth::Caller, state::State};

/// More would hide the lines between them.
const MOST: usize = 100;
/// What is looked at to find them.
const RECORDS: u32 = 500;
/// Services whose calls change how something runs.
const SERVICES: [&str; 9] = [
    "hms.host.v1.UnitService",
    "hms.host.v1.NginxService",
    "hms.controller.v1.NginxHistoryService",
    "hms.controller.v1.DeploymentService",
    "hms.controller.v1.AppService",
    "hms.controller.v1.SecretService",
    "hms.controller.v1.JobService",
    "hms.controller.v1.FleetService",
    "hms.controller.v1.ScriptService",
];

/// A change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) seq: i64,
    pub(crate) time_usec: i64,
    pub(crate) record: AuditRecord,
}

/// Changes on the hosts that a search is about, oldest first. Without the record there are none.
pub(crate) async fn marks(
    state: &State,
    caller: &Caller,
    search: &Search,
    since_usec: i64,
    until_usec: i64,
) -> Vec<Mark> {
    let request = ListAuditRequest { since_usec, until_usec, limit: RECORDS, ..ListAuditRequest::default() };
    let Ok(answer) = state.gate.audit(caller).list(request).await else { return Vec::new() };
    let known = known(state.fleet.seen_by(caller));
    let of_apps = known.apps.iter().filter(|(app, _)| search.apps.contains(app));
    let mut hosts: Vec<&str> = of_apps.map(|(_, host)| host.as_str()).collect();
    hosts.extend(search.hosts.iter().map(|host| host.as_str()));
    let records = answer.into_inner().records.into_iter();
    let mut marks: Vec<Mark> = records
        .filter(|record| changes(record) && is_about(record, search, &hosts))
        .take(MOST)
        .map(|record| Mark { seq: record.seq, time_usec: record.time_usec, record })
        .collect();
    marks.reverse();
    marks
}

fn changes(record: &AuditRecord) -> bool {
    let service = record.method.trim_start_matches('/').split('/').next().unwrap_or_default();
    // What was refused has changed nothing.
    SERVICES.contains(&service) && record.outcome != "denied"
}

fn is_about(record: &AuditRecord, search: &Search, hosts: &[&str]) -> bool {
    if hosts.is_empty() {
        return true;
    }
    let is_here = record.host.is_empty() || hosts.contains(&record.host.as_str());
    // A restart of another app is no news about this one; a change of nginx is.
    let another_app = record.target.starts_with("puma-")
        && !search.apps.is_empty()
        && !search.apps.iter().any(|app| record.target == format!("puma-{app}.service"));
    is_here && !another_app
}

#[cfg(test)]
mod tests {
    use hms_proto::names::{AppKey, HostName};

    use super::*;

    fn record(method: &str, host: &str, target: &str, outcome: &str) -> AuditRecord {
        AuditRecord {
            method: method.into(),
            host: host.into(),
            target: target.into(),
            outcome: outcome.into(),
            ..AuditRecord::default()
        }
    }

    #[test]
    fn changes_of_what_is_looked_at_are_marked() {
        let search = Search {
            apps: vec![AppKey::try_from("cigar").unwrap()],
            hosts: vec![HostName::try_from("asterra").unwrap()],
            ..Search::default()
        };
        let restart = "/hms.host.v1.UnitService/Restart";
        let marked = |record: &AuditRecord| changes(record) && is_about(record, &search, &["asterra"]);
        assert!(marked(&record(restart, "asterra", "puma-cigar.service", "ok")));
        assert!(marked(&record(restart, "asterra", "puma-cigar.service", "failed")));
        assert!(marked(&record("/hms.host.v1.NginxService/Apply", "asterra", "nginx.conf", "ok")));
        assert!(!marked(&record(restart, "asterra", "puma-tobacco.service", "ok")));
        assert!(!marked(&record(restart, "borealis", "puma-cigar.service", "ok")));
        assert!(!marked(&record(restart, "asterra", "puma-cigar.service", "denied")));
        assert!(!marked(&record("/hms.controller.v1.SessionService/Login", "", "admin", "ok")));
    }
}
