//! From a request to a unit that runs: everything is checked again here, whoever sent it.

use std::path::Path;

use hms_proto::{
    fault::{Fault, FaultKind},
    host::v1::{Job, JobState, Script, StartJobRequest},
    names::{JobId, ScriptName},
    script::{self, Bound},
};

use super::{
    Jobs,
    manager::{boot_id, broken},
    record::{Entry, Record},
    unit, verdict,
};
use crate::{
    blocking,
    exec::{
        launch::{LAUNCH, Launch, Notes, SCRIPT},
        script::PATH,
    },
    now_usec,
    systemd::{
        Session,
        transient::{self, Properties},
    },
};

/// Most jobs at a time.
pub(super) const RUNNING_MOST: usize = 32;
const MEMORY_USUAL: u64 = 512 * 1024 * 1024;
/// Output must find room, and so must the end of each job.
const FREE_LEAST: u64 = 64 * 1024 * 1024;

/// A job that may start, as far as its script is concerned.
struct Checked {
    script: Script,
    content: Vec<u8>,
    bound: Bound,
    timeout_s: u32,
}

impl Jobs {
    /// Starts a job, unless it is known already.
    pub(crate) async fn start(&self, request: StartJobRequest, actor: &str) -> Result<Job, Fault> {
        let id = JobId::try_from(request.id.as_str())?;
        let name = ScriptName::try_from(request.script.as_str())?;
        let _turn = self.turn.lock().await;
        if let Some(known) = self.find(&id).await? {
            return Ok(known.job());
        }
        // Before anything is written: without systemd there is no job.
        let session = self.bus.session().await?;
        let (scripts, store) = (self.scripts.clone(), self.store.clone());
        let json = request.json;
        let checked = blocking(move || {
            let (script, content) = scripts.open(&name)?;
            room(store.free().map_err(broken)?)?;
            check(script, content, &request)
        })
        .await?;
        may_run(&checked.script, &self.running().await?)?;
        let record = self.record(&id, &checked, actor, json)?;
        let starting = self.starting(&id);
        self.write(&id, &record, &checked).await?;
        let plan = unit::Plan {
            id: &id,
            record: &record,
            script: &checked.script,
            store: &self.store,
            state: &self.state,
        };
        self.launch(&session, &id, unit::properties(&plan)).await?;
        drop(starting);
        self.get(&id).await
    }

    /// Starts the unit of a job that is written down. One that systemd does not take is forgotten again.
    pub(super) async fn launch(
        &self,
        session: &Session,
        id: &JobId,
        properties: Result<Properties, Fault>,
    ) -> Result<(), Fault> {
        let started = match properties {
            Ok(properties) => transient::start(session, &id.unit(), properties).await,
            Err(fault) => Err(fault),
        };
        match started {
            // It may run: only a look at it can tell.
            Err(fault) if fault.kind() == FaultKind::Unknown => Err(fault),
            Err(fault) => {
                let (store, id) = (self.store.clone(), id.clone());
                blocking(move || store.remove(&id).map_err(broken)).await?;
                Err(fault)
            }
            Ok(true) => Ok(()),
            Ok(false) => self.not_set_up(id).await,
        }
    }

    /// Writes down that a job could not start, if it did not.
    async fn not_set_up(&self, id: &JobId) -> Result<(), Fault> {
        let (store, id) = (self.store.clone(), id.clone());
        let write = move || match store.read(&id)? {
            Some(entry) if entry.notes == Notes::default() => {
                store.end(&id, &verdict::not_set_up(&entry, now_usec()))
            }
            _ => Ok(()),
        };
        blocking(move || write().map_err(broken)).await
    }

    fn record(&self, id: &JobId, checked: &Checked, actor: &str, json: bool) -> Result<Record, Fault> {
        let script = &checked.script;
        let job = Job {
            id: id.to_string(),
            state: JobState::Running.into(),
            script: script.name.clone(),
            script_sha256: script.sha256.clone(),
            parameters: checked.bound.values.clone().into_iter().collect(),
            json,
            host: self.host.clone(),
            actor: actor.to_owned(),
            created_usec: now_usec(),
            ..Job::default()
        };
        let memory_limit = match script.memory_limit_bytes {
            0 => MEMORY_USUAL,
            limit => limit,
        };
        let (mutates, timeout_s) = (script.mutates, checked.timeout_s);
        Ok(Record { job, boot_id: boot_id().map_err(broken)?, mutates, timeout_s, memory_limit })
    }

    async fn write(&self, id: &JobId, record: &Record, checked: &Checked) -> Result<(), Fault> {
        let launch = Launch {
            id: id.to_string(),
            host: self.host.clone(),
            script: checked.script.name.clone(),
            sha256: checked.script.sha256.clone(),
            arguments: checked.bound.arguments.clone(),
            environment: checked.bound.environment.clone(),
            output_limit: checked.script.output_limit_bytes,
        };
        let (store, id, record, content) =
            (self.store.clone(), id.clone(), record.clone(), checked.content.clone());
        let write = move || {
            let launch = serde_json::to_vec(&launch)?;
            store.create(&id, &record, &[(LAUNCH, &launch), (SCRIPT, &content)])
        };
        blocking(move || write().map_err(broken)).await
    }
}

/// Checks what was asked for against the script.
fn check(script: Script, content: Vec<u8>, request: &StartJobRequest) -> Result<Checked, Fault> {
    let name = &script.name;
    if !request.script_sha256.is_empty() && request.script_sha256 != script.sha256 {
        return Err(Fault::new(FaultKind::Conflict, format!("this host has another version of `{name}`"))
            .hint("Deliver it again: `hmsctl scripts sync`."));
    }
    let given = request.parameters.clone().into_iter().collect();
    let bound = script::bind(&script, &given, request.json)?;
    let timeout_s = match request.timeout_s {
        0 => script.timeout_s,
        asked if asked <= script.timeout_s => asked,
        asked => {
            let most = script.timeout_s;
            return Err(Fault::invalid(format!("`{name}` may run for {most} s at most, not {asked} s")));
        }
    };
    if let Some(missing) = script.tools.iter().find(|tool| !is_installed(tool)) {
        return Err(Fault::new(FaultKind::Failed, format!("`{missing}` is not installed on this host"))
            .hint(format!("`{name}` calls it: install the package that has it.")));
    }
    Ok(Checked { script, content, bound, timeout_s })
}

fn is_installed(tool: &str) -> bool {
    PATH.split(':').any(|folder| {
        let flags = rustix::fs::Access::EXEC_OK;
        let path = Path::new(folder).join(tool);
        path.is_file() && rustix::fs::access(&path, flags).is_ok()
    })
}

pub(super) fn room(free: u64) -> Result<(), Fault> {
    if free >= FREE_LEAST {
        return Ok(());
    }
    let message = format!("only {} MiB are free where jobs are kept on this host", free / 1024 / 1024);
    Err(Fault::new(FaultKind::Failed, message)
        .hint("Free space below /var/lib/hms-agent: 64 MiB are needed."))
}

/// Whether one more job may run.
pub(super) fn not_too_many(running: &[Entry]) -> Result<(), Fault> {
    if running.len() < RUNNING_MOST {
        return Ok(());
    }
    let fault = Fault::new(FaultKind::Throttled, format!("{RUNNING_MOST} jobs run on this host already"));
    Err(Fault { retry_after_s: 5, ..fault })
}

/// Whether it may run beside those that do.
fn may_run(script: &Script, running: &[Entry]) -> Result<(), Fault> {
    not_too_many(running)?;
    let other =
        running.iter().map(|entry| &entry.record).find(|r| script.mutates && r.job.script == script.name);
    match other.map(|record| &record.job) {
        None => Ok(()),
        Some(job) => {
            let message = format!(
                "`{}` runs on this host already: job {}, started by {}",
                script.name, job.id, job.actor
            );
            Err(Fault::new(FaultKind::Conflict, message)
                .hint(format!("Wait for it to end, or end it: `hmsctl jobs cancel {}`.", job.id)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script() -> Script {
        Script { name: "x".into(), sha256: "aa".into(), timeout_s: 60, mutates: true, ..Script::default() }
    }

    fn running(name: &str) -> Entry {
        let job = Job { id: "7".into(), script: name.into(), actor: "ada".into(), ..Job::default() };
        Entry { record: Record { job, ..Record::default() }, ..Entry::default() }
    }

    #[test]
    fn a_script_that_changes_something_runs_once_at_a_time() {
        let fault = may_run(&script(), &[running("y"), running("x")]).unwrap_err();
        assert_eq!(fault.kind(), FaultKind::Conflict);
        assert_eq!(fault.message, "`x` runs on this host already: job 7, started by ada");
        assert!(may_run(&script(), &[running("y")]).is_ok());
        let harmless = Script { mutates: false, ..script() };
        assert!(may_run(&harmless, &[running("x")]).is_ok());
        let many: Vec<_> = (0..RUNNING_MOST).map(|_| running("y")).collect();
        assert_eq!(may_run(&harmless, &many).unwrap_err().kind(), FaultKind::Throttled);
        assert!(may_run(&harmless, &many[1..]).is_ok());
    }

    #[test]
    fn what_was_asked_for_must_fit_the_script() {
        let asked = |request: StartJobRequest| check(script(), Vec::new(), &request).map(|c| c.timeout_s);
        assert_eq!(asked(StartJobRequest::default()).unwrap(), 60);
        assert_eq!(asked(StartJobRequest { timeout_s: 5, ..Default::default() }).unwrap(), 5);
        assert!(asked(StartJobRequest { timeout_s: 61, ..Default::default() }).is_err());
        let other = asked(StartJobRequest { script_sha256: "bb".into(), ..Default::default() });
        assert_eq!(other.unwrap_err().kind(), FaultKind::Conflict);
        assert!(asked(StartJobRequest { script_sha256: "aa".into(), ..Default::default() }).is_ok());
    }

    #[test]
    fn a_missing_program_is_named() {
        let tools = |tool: &str| Script { tools: vec!["sh".into(), tool.into()], ..script() };
        assert!(check(tools("cat"), Vec::new(), &StartJobRequest::default()).is_ok());
        let fault = check(tools("no-such-tool"), Vec::new(), &StartJobRequest::default()).err().unwrap();
        assert_eq!(fault.message, "`no-such-tool` is not installed on this host");
    }

    #[test]
    fn a_full_disk_refuses_jobs() {
        assert!(room(FREE_LEAST).is_ok());
        assert!(room(FREE_LEAST - 1).unwrap_err().message.contains("63 MiB"));
    }
}
