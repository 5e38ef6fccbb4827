//! Looks at a host's tree and records what is new in it.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt as _;
use hms_proto::{
    controller::v1::NginxDrift,
    fault::{Fault, FaultKind},
    host::v1::{GetNginxRequest, ListNginxRequest, NginxTree, nginx_service_client::NginxServiceClient},
};
use tokio::sync::OwnedMutexGuard;
use tonic::transport::Channel;

use super::{
    Picture,
    judge::{self, Act, Found},
};
use crate::{
    db,
    fleet::{self, Change, LinkState, as_controller, in_time, now_usec},
    state::Core,
};

/// Between two looks at a host.
const AGAIN_USEC: i64 = 60_000_000;
/// The same while a change waits to be confirmed: the agent may put it back at any moment.
const AGAIN_SOON_USEC: i64 = 3_000_000;
/// How often it is asked whose turn it is.
const BEAT: Duration = Duration::from_millis(500);
/// How many hosts are looked at at once.
const AT_ONCE: usize = 8;
/// Contents held at once; what does not fit is recorded without its content.
const HELD_BYTES: usize = 32 << 20;

/// Looks at every host for ever.
pub(crate) async fn follow(core: Arc<Core>) {
    let mut beat = tokio::time::interval(BEAT);
    loop {
        beat.tick().await;
        let hosts = core.fleet.hosts();
        core.nginx.keep_only(&hosts.iter().map(|h| h.row.id).collect::<Vec<_>>());
        let due = hosts.into_iter().filter(|host| is_due(&core, host));
        futures_util::stream::iter(due)
            .for_each_concurrent(AT_ONCE, async |host| {
                if let Err(fault) = sync(&core, &host).await {
                    tracing::debug!(host = %host.row.name, reason = %fault, "cannot look at nginx");
                }
            })
            .await;
    }
}

fn is_due(core: &Core, host: &fleet::Host) -> bool {
    let (link, since) = host.look(|p| (p.link.clone(), p.since_usec));
    let picture = core.nginx.of(host.row.id);
    let age = now_usec() - picture.seen_usec;
    let again = if picture.tree.pending.is_some() { AGAIN_SOON_USEC } else { AGAIN_USEC };
    link == LinkState::Connected && (picture.seen_usec < since || age > again)
}

/// Looks at a host now, and records what is new.
pub(crate) async fn sync(core: &Core, host: &fleet::Host) -> Result<(), Fault> {
    let turn = core.nginx.turn(host.row.id).await;
    look(core, host, None, &turn).await
}

/// Draws the picture anew although the tree is the same: what HMS stands for is another.
pub(crate) async fn look_again(core: &Core, host: &fleet::Host) -> Result<(), Fault> {
    let turn = core.nginx.turn(host.row.id).await;
    look(core, host, Some(&Act::default()), &turn).await
}

/// The same for who has the turn already, after an act of theirs.
pub(super) async fn look(
    core: &Core,
    host: &fleet::Host,
    act: Option<&Act>,
    _turn: &OwnedMutexGuard<()>,
) -> Result<(), Fault> {
    let old = core.nginx.of(host.row.id);
    let picture = match draw(core, host, act, &old).await {
        Ok(picture) => picture,
        Err(fault) => Picture { fault: Some(fault), seen_usec: now_usec(), ..(*old).clone() },
    };
    let fault = picture.fault.clone();
    if core.nginx.put(host.row.id, picture) {
        core.fleet.tell(Change::Configs(host.row.id));
    }
    fault.map_or(Ok(()), Err)
}

async fn draw(core: &Core, host: &fleet::Host, act: Option<&Act>, old: &Picture) -> Result<Picture, Fault> {
    let mut client = NginxServiceClient::new(host.channel.clone());
    let asked = in_time(client.list(as_controller(ListNginxRequest {}))).await;
    let tree = asked.map_err(|status| Fault::from_status(&status))?.into_inner();
    let unchanged = act.is_none() && old.fault.is_none() && old.seen_usec > 0;
    let drifts = match unchanged && old.tree.sha256 == tree.sha256 && !tree.sha256.is_empty() {
        true => old.drifts.clone(),
        false => record(core, host, act, &tree, &mut client).await?,
    };
    Ok(Picture { tree, drifts, seen_usec: now_usec(), fault: None })
}

async fn record(
    core: &Core,
    host: &fleet::Host,
    act: Option<&Act>,
    tree: &NginxTree,
    client: &mut NginxServiceClient<Channel>,
) -> Result<Vec<NginxDrift>, Fault> {
    let latest = db::nginx::latest(&core.db, host.row.id).await?;
    let found = judge::found(&latest, tree);
    if !found.is_empty() {
        let own = own_act(core, host, tree).await?;
        let mut versions = Vec::with_capacity(found.len());
        let mut held = 0;
        for finding in &found {
            let explained = own
                .as_ref()
                .filter(|_| tree.last.as_ref().is_some_and(|last| judge::explains(last, finding)));
            let acts: Vec<&Act> = act.into_iter().chain(explained).collect();
            let mut version = judge::version(finding, &acts, latest.is_empty());
            version.content = content(client, finding, held).await?;
            held += version.content.as_ref().map_or(0, Vec::len);
            versions.push(version);
        }
        db::nginx::record(&core.db, host.row.id, &versions).await?;
    }
    let latest = db::nginx::latest(&core.db, host.row.id).await?;
    Ok(latest.iter().filter_map(|l| judge::drift(&host.row.name, l, tree)).collect())
}

/// What the agent did last, unless it is recorded already.
async fn own_act(core: &Core, host: &fleet::Host, tree: &NginxTree) -> Result<Option<Act>, Fault> {
    let Some(act) = tree.last.as_ref().and_then(Act::of_outcome) else { return Ok(None) };
    let told = db::nginx::has_apply(&core.db, host.row.id, &act.apply_id, act.reverts).await?;
    Ok((!told).then_some(act))
}

/// The content of a file that was found; none when it went meanwhile, cannot be read, or is another by now: the next
/// look finds that.
async fn content(
    client: &mut NginxServiceClient<Channel>,
    found: &Found<'_>,
    held: usize,
) -> Result<Option<Vec<u8>>, Fault> {
    let Some(file) = found.file else { return Ok(None) };
    if held + usize::try_from(file.size_bytes).unwrap_or(usize::MAX) > HELD_BYTES {
        return Ok(None);
    }
    let request = as_controller(GetNginxRequest { path: file.path.clone() });
    match in_time(client.get(request)).await.map(tonic::Response::into_inner) {
        Ok(got) if got.sha256 == file.sha256 && got.locked.is_empty() => Ok(Some(got.content.into_bytes())),
        Ok(_) => Ok(None),
        Err(status) => match Fault::from_status(&status) {
            fault if matches!(fault.kind(), FaultKind::NotFound | FaultKind::Invalid) => Ok(None),
            fault => Err(fault),
        },
    }
}
