//! What was asked for becomes a run, or is refused with the reason. Asking and running share every check.

use std::{collections::BTreeMap, sync::Arc};

use hms_proto::{
    controller::v1::{AddScheduleRequest, RunRequest, Target},
    fault::{Fault, FaultKind},
    host::v1::Script,
    names::{HostName, Label, ScriptName},
    script::{self, Bound},
};
use prost::Message as _;
use uuid::Uuid;

use crate::{
    auth::Source,
    db::{self, runs::NewRun},
    fleet::{Fleet, Host, LinkState},
    state::Core,
};

/// On how many hosts at a time, unless somebody says otherwise.
pub(crate) const BATCH: u32 = 10;
/// The most hosts at a time.
const MOST_AT_A_TIME: u32 = 1000;
/// The most hosts that can be named.
const MOST_NAMED: usize = 1000;

/// A run that could begin.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) script: Script,
    pub(crate) bound: Bound,
    /// By name.
    pub(crate) hosts: Vec<Arc<Host>>,
    batch: u32,
}

/// Who asks, and how.
#[derive(Debug, Clone)]
pub(crate) struct Asker {
    pub(crate) actor: String,
    pub(crate) user_id: Uuid,
    pub(crate) source: Source,
    pub(crate) schedule_id: Option<Uuid>,
}

/// The script and the values of a call that is about running one.
pub(crate) fn values_of(path: &str, message: &[u8]) -> Option<(String, BTreeMap<String, String>)> {
    match path {
        "/hms.controller.v1.JobService/Run" | "/hms.controller.v1.JobService/Preview" => {
            let RunRequest { script, parameters, .. } = RunRequest::decode(message).ok()?;
            Some((script, parameters))
        }
        "/hms.controller.v1.JobService/AddSchedule" => {
            let AddScheduleRequest { script, parameters, .. } = AddScheduleRequest::decode(message).ok()?;
            Some((script, parameters))
        }
        _ => None,
    }
}

/// Checks everything about a request.
pub(crate) async fn resolve(core: &Core, request: &RunRequest) -> Result<Resolved, Fault> {
    let script = find_script(core, &request.script).await?;
    let bound = script::bind(&script, &request.parameters, request.json)?;
    if request.timeout_s > script.timeout_s {
        return Err(Fault::invalid(format!(
            "`{}` may take at most {} seconds, and {} were asked for",
            script.name, script.timeout_s, request.timeout_s
        )));
    }
    let batch = batch_of(request.batch)?;
    let target = request.target.as_ref().ok_or_else(no_target)?;
    let hosts = match target.failed_of.as_str() {
        "" => hosts_of(&core.fleet, target)?,
        run => failed_hosts(core, target, run).await?,
    };
    Ok(Resolved { script, bound, hosts, batch })
}

/// The script of this name.
pub(crate) async fn find_script(core: &Core, name: &str) -> Result<Script, Fault> {
    let name = ScriptName::try_from(name)?;
    let stored = db::scripts::get(&core.db, name.as_str()).await?;
    stored.map(|stored| stored.script().clone()).ok_or_else(|| no_script(name.as_str()))
}

pub(crate) fn no_script(name: &str) -> Fault {
    Fault::not_found("script", name).hint("`hmsctl scripts` shows the scripts.")
}

/// On how many hosts at a time.
pub(crate) fn batch_of(asked: u32) -> Result<u32, Fault> {
    match asked {
        0 => Ok(BATCH),
        n if n <= MOST_AT_A_TIME => Ok(n),
        n => Err(Fault::invalid(format!("{n} hosts at a time are too many: at most {MOST_AT_A_TIME}"))),
    }
}

impl Resolved {
    /// The run, ready to begin.
    pub(crate) fn into_run(self, request: RunRequest, id: Uuid, asker: Asker) -> NewRun {
        let reports = self.script.check && request.json && self.is_usual(asker.schedule_id.is_some());
        NewRun {
            id,
            script_sha256: self.script.sha256,
            parameters: request.parameters.into_iter().filter(|(_, value)| !value.is_empty()).collect(),
            json: request.json,
            mutates: self.script.mutates,
            is_check: self.script.check,
            reports,
            timeout_s: request.timeout_s,
            batch: self.batch,
            max_failures: request.max_failures,
            target: request.target.unwrap_or_default(),
            actor: asker.actor,
            user_id: asker.user_id,
            source: asker.source,
            schedule_id: asker.schedule_id,
            hosts: self.hosts.iter().map(|host| (host.row.id, host.row.name.clone())).collect(),
            script: self.script.name,
        }
    }

    /// Whether a check looks at what it always looks at. What it finds with a limit that somebody tries out does not
    /// belong on everybody's dashboard.
    fn is_usual(&self, scheduled: bool) -> bool {
        let usual = script::bind(&self.script, &BTreeMap::new(), false);
        scheduled || usual.is_ok_and(|usual| usual.values == self.bound.values)
    }
}

/// The hosts of a target that names them, their label, or all.
pub(crate) fn hosts_of(fleet: &Fleet, target: &Target) -> Result<Vec<Arc<Host>>, Fault> {
    check_target(target)?;
    // A host that has not joined is not managed yet; who names it will be told.
    let joined = || fleet.hosts().into_iter().filter(|h| h.look(|p| p.link != LinkState::Pending));
    if target.all {
        let all: Vec<_> = joined().collect();
        return some(all, || Fault::new(FaultKind::NotFound, "there is no host yet"));
    }
    if !target.label.is_empty() {
        let label = Label::try_from(target.label.as_str())?;
        let labelled = joined().filter(|h| h.latest().labels.iter().any(|l| l == label.as_str())).collect();
        let none = || {
            Fault::new(FaultKind::NotFound, format!("no host has the label `{label}`"))
                .hint("`hmsctl host list` shows the labels; `hmsctl host label` changes them.")
        };
        return some(labelled, none);
    }
    let mut hosts = BTreeMap::new();
    for name in &target.hosts {
        let name = HostName::try_from(name.as_str())?;
        let host = fleet.host(name.as_str()).ok_or_else(|| {
            Fault::not_found("host", name.as_str()).hint("`hmsctl host list` shows the hosts.")
        })?;
        hosts.insert(name.to_string(), host);
    }
    Ok(hosts.into_values().collect())
}

/// A target says in exactly one way which hosts it means.
pub(crate) fn check_target(target: &Target) -> Result<(), Fault> {
    let ways = [!target.hosts.is_empty(), !target.label.is_empty(), target.all, !target.failed_of.is_empty()];
    match ways.iter().filter(|way| **way).count() {
        0 => Err(no_target()),
        1 if target.hosts.len() > MOST_NAMED => {
            Err(Fault::invalid(format!("{} hosts are too many: at most {MOST_NAMED}", target.hosts.len())))
        }
        1 => Ok(()),
        _ => {
            Err(Fault::invalid("hosts, a label, all hosts, and the failed ones of a run exclude each other"))
        }
    }
}

fn no_target() -> Fault {
    Fault::invalid("it is not said on which hosts")
        .hint("Name hosts or a label, or say that you mean all hosts.")
}

fn some(hosts: Vec<Arc<Host>>, none: impl FnOnce() -> Fault) -> Result<Vec<Arc<Host>>, Fault> {
    if hosts.is_empty() { Err(none()) } else { Ok(hosts) }
}

/// The hosts on which a run did not succeed, as far as they are still there.
async fn failed_hosts(core: &Core, target: &Target, run: &str) -> Result<Vec<Arc<Host>>, Fault> {
    use hms_proto::host::v1::JobState::Succeeded;
    check_target(target)?;
    let id = Uuid::try_parse(run).map_err(|_| Fault::invalid("the id of a run is a UUID"))?;
    let jobs = db::jobs::of_run(&core.db, id).await?;
    if jobs.is_empty() {
        return Err(Fault::not_found("run", run));
    }
    let failed = jobs.iter().filter(|job| job.has_ended() && job.state() != Succeeded);
    let there = failed.filter_map(|job| core.fleet.host(&job.host).filter(|host| host.row.id == job.host_id));
    some(there.collect(), || {
        let why = if jobs.iter().all(db::jobs::Job::has_ended) {
            "on all hosts"
        } else {
            "so far, wherever it ended"
        };
        Fault::new(FaultKind::Conflict, format!("that run succeeded {why}"))
            .hint("There is nothing to run again.")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(hosts: &[&str], label: &str, all: bool, failed_of: &str) -> Target {
        Target {
            hosts: hosts.iter().map(|h| (*h).into()).collect(),
            label: label.into(),
            all,
            failed_of: failed_of.into(),
        }
    }

    #[test]
    fn a_target_is_meant_in_exactly_one_way() {
        for good in [target(&["a"], "", false, ""), target(&[], "web", false, ""), target(&[], "", true, "")]
        {
            assert!(check_target(&good).is_ok());
        }
        let many = vec!["a"; 1001];
        for bad in [
            target(&[], "", false, ""),
            target(&["a"], "", true, ""),
            target(&["a"], "web", false, ""),
            target(&[], "", true, "x"),
            target(&many, "", false, ""),
        ] {
            assert_eq!(check_target(&bad).unwrap_err().kind(), FaultKind::Invalid);
        }
    }

    #[test]
    fn batches_have_a_usual_size_and_a_limit() {
        assert_eq!((batch_of(0).unwrap(), batch_of(1).unwrap(), batch_of(1000).unwrap()), (10, 1, 1000));
        assert!(batch_of(1001).is_err());
    }

    #[test]
    fn only_what_a_check_always_looks_at_goes_to_the_dashboard() {
        let mut script = db::scripts::sample("check").script.unwrap();
        (script.check, script.json) = (true, true);
        script.parameters = vec![hms_proto::host::v1::Parameter {
            name: "limit".into(),
            kind: hms_proto::host::v1::ParameterKind::Int.into(),
            default: "90".into(),
            ..Default::default()
        }];
        let reports = |limit: Option<&str>, json, schedule_id| {
            let parameters: BTreeMap<_, _> = limit.map(|l| ("limit".into(), l.into())).into_iter().collect();
            let bound = script::bind(&script, &parameters, json).unwrap();
            let resolved = Resolved { script: script.clone(), bound, hosts: vec![], batch: 1 };
            let asker = Asker { actor: "ada".into(), user_id: Uuid::nil(), source: Source::Web, schedule_id };
            let request = RunRequest { parameters, json, ..RunRequest::default() };
            resolved.into_run(request, Uuid::now_v7(), asker).reports
        };
        assert!(reports(None, true, None) && reports(Some("90"), true, None));
        assert!(!reports(Some("1"), true, None), "a limit that is tried out");
        assert!(reports(Some("80"), true, Some(Uuid::now_v7())), "a limit that somebody decided on");
        assert!(!reports(None, false, None), "a report for people");
    }
}
