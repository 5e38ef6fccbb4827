//! The spool of changes that operators made on this host directly, without the controller. Intent and outcome of each
//! are on the disk before the next step; without them, nothing is changed. The controller collects what has ended, and then
//! it is dropped here.

mod heads;
mod service;

pub(crate) use service::AuditApi;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, OpenOptions},
    io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _},
    net::SocketAddr,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use hms_proto::{
    access::role_word,
    fault::{Fault, FaultKind},
    host::v1::DirectCall,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::access::Caller;

/// When the spool is full, direct changes are refused until the controller has collected it.
const SPOOL_MAX: u64 = 16 * 1024 * 1024;
/// Of a longer request only its length is told: a hundred of them fit into a message.
const PARAMS_MAX: usize = 16 * 1024;
/// What was refused is written down no further than this: nobody who may do nothing can fill the spool for those who may.
const REFUSED_MAX: u64 = 4 * 1024 * 1024;
/// Of why a call failed.
const MESSAGE_MAX: usize = 500;
/// Kept free for outcomes of changes that have begun.
const RESERVE: u64 = 1024 * 1024;

/// One line of the spool.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Record {
    /// Written before the change.
    Intent {
        id: Uuid,
        time_usec: u64,
        request_id: String,
        actor: String,
        role: String,
        address: SocketAddr,
        method: String,
        request: serde_json::Value,
    },
    /// Written after it.
    Outcome { id: Uuid, time_usec: u64, outcome: String, message: String },
}

/// The spool, open for appending.
#[derive(Debug)]
pub(crate) struct Spool {
    file: Arc<Mutex<File>>,
    path: PathBuf,
}

/// An intent that was written, and wants its outcome.
#[derive(Debug)]
pub(crate) struct Intent(Uuid);

impl Spool {
    /// Opens the spool below the state folder. Intents whose outcome was lost in a crash get the outcome `unknown`.
    pub(crate) fn open(state: &Path) -> io::Result<Self> {
        let folder = state.join("audit");
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        let path = folder.join("direct.jsonl");
        let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&path)?;
        for id in dangling(&mut file)? {
            let outcome = outcome_of(id, "unknown", "the agent stopped before the outcome was known");
            append(&file, &lines(&[outcome])?)?;
        }
        Ok(Self { file: Arc::new(Mutex::new(file)), path })
    }

    /// Writes what is about to be done.
    pub(crate) async fn intent(
        &self,
        caller: &Caller,
        address: SocketAddr,
        method: &str,
        request: serde_json::Value,
    ) -> Result<Intent, Fault> {
        let (id, record) = intent_of(caller, address, method, request);
        let full = SPOOL_MAX - RESERVE;
        self.write(&[record], full).await.map_err(|error| {
            tracing::error!(%error, "cannot write the audit spool");
            Fault::new(
                FaultKind::Unavailable,
                format!("the change cannot be recorded, so it was not made: {error}"),
            )
            .hint("Free space below /var/lib/hms-agent, or act through the controller.")
        })?;
        Ok(Intent(id))
    }

    /// Writes what became of it.
    pub(crate) async fn outcome(&self, intent: Intent, fault: Option<&Fault>) {
        let (outcome, message) = fault.map_or(("ok", String::new()), |f| {
            (f.row().outcome, f.message.chars().take(MESSAGE_MAX).collect())
        });
        if let Err(error) = self.write(&[outcome_of(intent.0, outcome, &message)], SPOOL_MAX).await {
            tracing::error!(%error, id = %intent.0, outcome, "cannot write an outcome to the audit spool");
        }
    }

    /// Writes that a direct call was refused.
    pub(crate) async fn refused(
        &self,
        caller: &Caller,
        address: SocketAddr,
        call: (&str, serde_json::Value),
        fault: &Fault,
    ) {
        let (method, request) = call;
        let (id, intent) = intent_of(caller, address, method, request);
        let message = fault.message.chars().take(MESSAGE_MAX).collect::<String>();
        let records = [intent, outcome_of(id, "denied", &message)];
        if let Err(error) = self.write(&records, REFUSED_MAX).await {
            tracing::error!(%error, caller = caller.actor, method, "refused a call, and cannot record it");
        }
    }

    /// Calls that have ended, oldest first, and whether there are more than these.
    pub(crate) async fn ended(&self, most: usize) -> io::Result<(Vec<DirectCall>, bool)> {
        let (file, path) = (self.file.clone(), self.path.clone());
        let work = move || {
            let _turn = file.lock().unwrap_or_else(PoisonError::into_inner);
            let mut calls = ended(&path, most + 1)?;
            let more = calls.len() > most;
            calls.truncate(most);
            Ok((calls, more))
        };
        tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
    }

    /// Drops calls that somebody else keeps now.
    pub(crate) async fn drop_calls(&self, ids: BTreeSet<Uuid>) -> io::Result<()> {
        let (file, path) = (self.file.clone(), self.path.clone());
        let work = move || {
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            *file = without(&path, &ids)?;
            Ok(())
        };
        tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
    }

    /// Writes all of them, or none.
    async fn write(&self, records: &[Record], most: u64) -> io::Result<()> {
        let file = self.file.clone();
        let lines = lines(records)?;
        let work = move || {
            let file = file.lock().unwrap_or_else(PoisonError::into_inner);
            if file.metadata()?.len() >= most {
                return Err(io::Error::other("the audit spool is full"));
            }
            append(&file, &lines)
        };
        tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
    }
}

fn intent_of(
    caller: &Caller,
    address: SocketAddr,
    method: &str,
    request: serde_json::Value,
) -> (Uuid, Record) {
    let id = Uuid::now_v7();
    let record = Record::Intent {
        id,
        time_usec: now_usec(),
        request_id: caller.request_id.clone(),
        actor: caller.actor.clone(),
        role: role_word(caller.role).to_owned(),
        address,
        method: method.to_owned(),
        request,
    };
    (id, record)
}

fn outcome_of(id: Uuid, outcome: &str, message: &str) -> Record {
    Record::Outcome { id, time_usec: now_usec(), outcome: outcome.to_owned(), message: message.to_owned() }
}

fn lines(records: &[Record]) -> io::Result<Vec<u8>> {
    let mut lines = Vec::new();
    for record in records {
        serde_json::to_writer(&mut lines, record)?;
        lines.push(b'\n');
    }
    Ok(lines)
}

/// What a full disk cut short is taken back: the next line must not go on in it.
fn append(mut file: &File, lines: &[u8]) -> io::Result<()> {
    let whole = file.metadata()?.len();
    let written = file.write_all(lines).and_then(|()| file.sync_data());
    if written.is_err()
        && let Err(error) = file.set_len(whole)
    {
        tracing::error!(%error, "cannot take back half a line of the audit spool");
    }
    written
}

/// The intents without an outcome. A last line that a crash cut short is ended, so that the next one is whole.
fn dangling(file: &mut File) -> io::Result<Vec<Uuid>> {
    let mut open = BTreeMap::new();
    file.seek(SeekFrom::Start(0))?;
    let mut reader = BufReader::new(&mut *file).take(SPOOL_MAX * 2);
    let mut line = Vec::new();
    let mut torn = false;
    while reader.read_until(b'\n', &mut line)? > 0 {
        torn = !line.ends_with(b"\n");
        match serde_json::from_slice(&line) {
            Ok(Record::Intent { id, .. }) => drop(open.insert(id, ())),
            Ok(Record::Outcome { id, .. }) => drop(open.remove(&id)),
            Err(_) => {}
        }
        line.clear();
    }
    if torn {
        file.write_all(b"\n")?;
    }
    Ok(open.into_keys().collect())
}

/// Of the calls that have an outcome, the first ones.
fn ended(path: &Path, most: usize) -> io::Result<Vec<DirectCall>> {
    let mut open = BTreeMap::new();
    let mut calls = Vec::new();
    for line in BufReader::new(File::open(path)?).take(SPOOL_MAX * 2).split(b'\n') {
        match serde_json::from_slice(&line?) {
            Ok(intent @ Record::Intent { id, .. }) => drop(open.insert(id, intent)),
            Ok(Record::Outcome { id, time_usec, outcome, message }) => {
                let Some(intent) = open.remove(&id) else { continue };
                calls.extend(call(intent, time_usec, outcome, message));
                if calls.len() == most {
                    break;
                }
            }
            Err(_) => {}
        }
    }
    Ok(calls)
}

fn call(intent: Record, ended: u64, outcome: String, message: String) -> Option<DirectCall> {
    let Record::Intent { id, time_usec, request_id, actor, role, address, method, request } = intent else {
        return None;
    };
    let params = request.to_string();
    let params = match params.len() {
        length if length > PARAMS_MAX => serde_json::json!({ "left_out": length }).to_string(),
        _ => params,
    };
    Some(DirectCall {
        id: id.to_string(),
        began_usec: i64::try_from(time_usec).unwrap_or(i64::MAX),
        ended_usec: i64::try_from(ended).unwrap_or(i64::MAX),
        identity: actor,
        role,
        address: address.to_string(),
        method,
        params,
        outcome,
        message,
        request_id,
    })
}

/// Writes the spool anew without these calls, and opens it. Cut off in between, the old one stays.
fn without(path: &Path, ids: &BTreeSet<Uuid>) -> io::Result<File> {
    let new = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    for line in BufReader::new(File::open(path)?).take(SPOOL_MAX * 2).split(b'\n') {
        let mut line = line?;
        let id = match serde_json::from_slice(&line) {
            Ok(Record::Intent { id, .. } | Record::Outcome { id, .. }) => id,
            Err(_) => continue,
        };
        if !ids.contains(&id) {
            line.push(b'\n');
            file.write_all(&line)?;
        }
    }
    file.sync_all()?;
    fs::rename(&new, path)?;
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    OpenOptions::new().read(true).append(true).open(path)
}

fn now_usec() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod every_method_tests;

#[cfg(test)]
mod tests {
    use hms_proto::Role;

    use super::*;

    fn ada() -> Caller {
        Caller { actor: "ada".into(), role: Role::Operator, request_id: "r".into(), direct: true }
    }

    fn records(state: &Path) -> Vec<serde_json::Value> {
        let text = fs::read_to_string(state.join("audit/direct.jsonl")).unwrap();
        text.lines().filter_map(|l| serde_json::from_str(l).ok()).collect()
    }

    #[tokio::test]
    async fn an_intent_that_a_crash_left_open_is_closed_as_unknown() {
        let state = tempfile::tempdir().unwrap();
        let spool = Spool::open(state.path()).unwrap();
        let address = "10.0.0.1:5".parse().unwrap();
        let done = spool.intent(&ada(), address, "/m", serde_json::json!({"unit": "a\nb"})).await.unwrap();
        spool.outcome(done, None).await;
        spool.intent(&ada(), address, "/m", serde_json::Value::Null).await.unwrap();
        drop(spool);
        let mut file = OpenOptions::new().append(true).open(state.path().join("audit/direct.jsonl")).unwrap();
        file.write_all(b"{\"kind\":\"int").unwrap();
        Spool::open(state.path()).unwrap();
        let outcomes: Vec<_> =
            records(state.path()).iter().filter_map(|r| r.get("outcome").cloned()).collect();
        assert_eq!(outcomes, ["ok", "unknown"]);
        Spool::open(state.path()).unwrap();
        assert_eq!(records(state.path()).len(), 4);
    }

    #[tokio::test]
    async fn a_full_spool_refuses_the_change_and_still_takes_outcomes() {
        let state = tempfile::tempdir().unwrap();
        let spool = Spool::open(state.path()).unwrap();
        let address = "10.0.0.1:5".parse().unwrap();
        let begun = spool.intent(&ada(), address, "/m", serde_json::Value::Null).await.unwrap();
        spool.file.lock().unwrap().set_len(SPOOL_MAX - RESERVE).unwrap();
        let refused = spool.intent(&ada(), address, "/m", serde_json::Value::Null).await.unwrap_err();
        assert_eq!(refused.kind(), FaultKind::Unavailable);
        spool.outcome(begun, None).await;
        assert!(spool.file.lock().unwrap().metadata().unwrap().len() > SPOOL_MAX - RESERVE);
    }

    /// Security case 117: what is collected is dropped, what is under way stays, and the spool has room again.
    #[tokio::test]
    async fn calls_that_were_collected_are_dropped_and_others_stay() {
        let state = tempfile::tempdir().unwrap();
        let spool = Spool::open(state.path()).unwrap();
        let address = "10.0.0.1:5".parse().unwrap();
        let begin =
            async || spool.intent(&ada(), address, "/m", serde_json::json!({"unit": "a"})).await.unwrap();
        let (done, running, failed) = (begin().await, begin().await, begin().await);
        spool.outcome(done, None).await;
        spool.outcome(failed, Some(&Fault::new(FaultKind::Failed, "no"))).await;
        let (calls, more) = spool.ended(1).await.unwrap();
        assert_eq!((calls.len(), more, calls[0].outcome.as_str()), (1, true, "ok"));
        assert_eq!(calls[0].params, "{\"unit\":\"a\"}");
        spool.drop_calls([calls[0].id.parse().unwrap()].into()).await.unwrap();
        let (calls, more) = spool.ended(9).await.unwrap();
        assert_eq!((calls.len(), more, calls[0].message.as_str()), (1, false, "no"));
        spool.outcome(running, None).await;
        assert_eq!(spool.ended(9).await.unwrap().0.len(), 2, "it goes on in the new file");
    }
}
