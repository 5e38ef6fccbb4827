//! Brings the scripts to the hosts: after each sync, and whenever a host connects.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hms_proto::{
    controller::v1::ScriptDelivery,
    fault::{Fault, FaultKind},
    host::v1::{
        InstallScriptsRequest, ListScriptsRequest, Script, ScriptFile,
        script_service_client::ScriptServiceClient,
    },
    names::HostName,
};
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::{
    auth::Caller,
    db,
    fleet::{Host, LinkState, as_controller},
    state::{Core, State},
};

/// How many hosts get scripts at a time: each delivery holds all scripts in memory.
const AT_A_TIME: usize = 8;
/// Changes of hosts within this time are looked at together.
const TOGETHER: Duration = Duration::from_millis(500);
/// A delivery that failed is tried again after this time.
const AGAIN: Duration = Duration::from_secs(60);
/// A look at what a host has takes no longer.
const LOOK: Duration = Duration::from_secs(10);

/// A set of scripts, by the hash of their manifests.
type Set = [u8; 32];

/// What is known of the hosts' scripts. Only a picture: each host says itself what it has.
#[derive(Debug, Default)]
pub(crate) struct Deliveries(Mutex<HashMap<Uuid, Arc<tokio::sync::Mutex<Known>>>>);

#[derive(Debug, Clone, Default)]
struct Known {
    /// What the host has.
    set: Option<Set>,
    /// Why it does not have what it should.
    reason: String,
}

impl Deliveries {
    fn of(&self, host: Uuid) -> Arc<tokio::sync::Mutex<Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(host).or_default().clone()
    }

    fn forget_others(&self, hosts: &[Arc<Host>]) {
        let ids: HashSet<Uuid> = hosts.iter().map(|h| h.row.id).collect();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|id, _| ids.contains(id));
    }
}

/// Makes sure that a host has the scripts of the installation. True when they were brought there now. Unless `look`,
/// what was seen there before is believed.
pub(super) async fn ensure(state: &State, host: &Host, look: bool) -> Result<bool, Fault> {
    let known = state.jobs.deliveries.of(host.row.id);
    // One at a time for each host.
    let mut known = known.lock().await;
    let Some(wanted) = db::scripts::wanted(&state.db).await? else { return Ok(false) };
    if !look && known.set == Some(hash(&wanted)) {
        return Ok(false);
    }
    let done = compare_and_install(state, host, wanted).await;
    *known = match &done {
        Ok((set, _)) => Known { set: Some(*set), reason: String::new() },
        Err(fault) => Known { set: None, reason: fault.message.clone() },
    };
    done.map(|(_, installed)| installed)
}

async fn compare_and_install(state: &State, host: &Host, wanted: Vec<Script>) -> Result<(Set, bool), Fault> {
    if list(host).await? == wanted {
        return Ok((hash(&wanted), false));
    }
    let files = db::scripts::files(&state.db).await?;
    let set = hash(&scripts_of(&files));
    let name = HostName::try_from(host.row.name.as_str())?;
    let mut client = state.gate.host_scripts(&Caller::system(), &name);
    let done = client.install(InstallScriptsRequest { scripts: files }).await;
    done.map_err(|status| Fault::from_status(&status))?;
    tracing::info!(host = %name, "delivered the scripts");
    Ok((set, true))
}

/// What a host has, by name.
async fn list(host: &Host) -> Result<Vec<Script>, Fault> {
    match host.look(|p| p.link.clone()) {
        LinkState::Connected | LinkState::Connecting => {}
        LinkState::Pending => {
            return Err(Fault::new(
                FaultKind::Unreachable,
                format!("the agent of {} has not joined yet", host.row.name),
            ));
        }
        LinkState::Unreachable(why) => {
            host.retry_now();
            return Err(Fault::new(
                FaultKind::Unreachable,
                format!("{} cannot be reached: {why}", host.row.name),
            ));
        }
    }
    let mut client = ScriptServiceClient::new(host.channel.clone());
    let answer = tokio::time::timeout(LOOK, client.list(as_controller(ListScriptsRequest {}))).await;
    let late = || Fault::new(FaultKind::Unreachable, format!("{} did not answer within 10 s", host.row.name));
    let answer = answer.map_err(|_| late())?.map_err(|status| Fault::from_status(&status))?;
    let mut scripts = answer.into_inner().scripts;
    scripts.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(scripts)
}

fn scripts_of(files: &[ScriptFile]) -> Vec<Script> {
    files.iter().filter_map(|file| file.script.clone()).collect()
}

fn hash(scripts: &[Script]) -> Set {
    // A message of the contract always has a JSON form.
    Sha256::digest(serde_json::to_vec(scripts).unwrap_or_default()).into()
}

/// Whether each host has the scripts of the installation, by host.
pub(crate) async fn statuses(core: &Core, caller: &Caller) -> Result<Vec<ScriptDelivery>, Fault> {
    let wanted = db::scripts::wanted(&core.db).await?.map(|scripts| hash(&scripts));
    Ok(core.fleet.seen_by(caller).hosts().iter().map(|host| status(core, host, wanted)).collect())
}

fn status(core: &Core, host: &Host, wanted: Option<Set>) -> ScriptDelivery {
    let known = core.jobs.deliveries.of(host.row.id);
    let (delivered, reason) = match known.try_lock() {
        Ok(known) if known.set.is_some() && known.set == wanted => (true, String::new()),
        Ok(known) if !known.reason.is_empty() => (false, known.reason.clone()),
        Ok(_) => (false, waits_for(host)),
        Err(_) => (false, "it is being delivered".into()),
    };
    ScriptDelivery { host: host.row.name.clone(), delivered, reason }
}

fn waits_for(host: &Host) -> String {
    match host.look(|p| p.link.clone()) {
        LinkState::Pending => "its agent has not joined yet".into(),
        LinkState::Unreachable(why) => format!("it cannot be reached: {why}"),
        LinkState::Connected | LinkState::Connecting => "it will be delivered in a moment".into(),
    }
}

/// Delivers for ever.
pub(super) async fn run(state: State) {
    let places = Arc::new(Semaphore::new(AT_A_TIME));
    let mut changes = state.fleet.changes();
    // Hosts that were looked at since they connected.
    let mut seen: HashMap<Uuid, i64> = HashMap::new();
    loop {
        let hosts = state.fleet.hosts();
        state.jobs.deliveries.forget_others(&hosts);
        for host in hosts.into_iter().filter(|host| host.is_connected()) {
            let since = host.look(|p| p.since_usec);
            if seen.insert(host.row.id, since) != Some(since) {
                tokio::spawn(deliver(state.clone(), host, places.clone()));
            }
        }
        tokio::time::sleep(TOGETHER).await;
        tokio::select! {
            // Lagging is a change, too.
            _ = changes.recv() => while changes.try_recv().is_ok() {},
            () = state.jobs.synced.notified() => seen.clear(),
            () = tokio::time::sleep(AGAIN) => {}
        }
    }
}

/// Delivers to one host, again and again while it is connected.
async fn deliver(state: State, host: Arc<Host>, places: Arc<Semaphore>) {
    loop {
        let place = places.acquire().await;
        let done = ensure(&state, &host, true).await;
        drop(place);
        let Err(fault) = done else { return };
        tracing::warn!(host = %host.row.name, reason = %fault.message, "cannot deliver the scripts");
        let again = state.stop.run_until_cancelled(tokio::time::sleep(AGAIN)).await;
        if again.is_none() || !host.is_connected() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::scripts::sample;

    #[test]
    fn a_set_is_told_from_another_by_any_difference() {
        let set = |files: &[ScriptFile]| hash(&scripts_of(files));
        let (a, b) = (sample("a"), sample("b"));
        assert_eq!(set(&[a.clone(), b.clone()]), set(&[a.clone(), b.clone()]));
        let mut changed = b.clone();
        changed.script.as_mut().unwrap().timeout_s += 1;
        let all = [set(&[]), set(std::slice::from_ref(&a)), set(&[a.clone(), b]), set(&[a, changed])];
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), 4);
    }
}
