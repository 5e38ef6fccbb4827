//! The gate's hook: a call that changes nginx of a host is told to the history with who made it and why.

use std::{sync::Arc, time::Duration};

use hms_proto::{
    fault::{Fault, FaultKind},
    host::v1::{ApplyNginxRequest, NginxChange, nginx_change::Action},
    names::HostName,
};
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use tokio::sync::OwnedMutexGuard;

use super::{Picture, changed::changed, judge::Act, sync};
use crate::{audit::Changed, auth::Caller, db, fleet, state::Core};

const SERVICE: &str = "/hms.host.v1.NginxService/";
/// The caller waits for the history no longer than this; the next look catches up.
const PATIENCE: Duration = Duration::from_secs(5);

/// A change under way. While it is, nobody else looks at the tree.
pub(crate) struct Changing {
    core: Arc<Core>,
    host: Arc<fleet::Host>,
    turn: OwnedMutexGuard<()>,
    verb: String,
    /// As it was last seen before.
    seen: Arc<Picture>,
}

impl Changing {
    /// None when the call is none of nginx's.
    pub(crate) async fn begin(core: &Arc<Core>, method: &str, host: Option<&HostName>) -> Option<Self> {
        let verb = method.strip_prefix(SERVICE)?.to_owned();
        let host = core.fleet.host(host?.as_str())?;
        let turn = core.nginx.turn(host.row.id).await;
        let seen = core.nginx.of(host.row.id);
        Some(Self { core: core.clone(), host, turn, verb, seen })
    }

    /// What it changed, for the audit. `message` is the request, `answer` the response.
    pub(crate) fn changed(&self, message: &[u8], answer: &[u8]) -> Option<Changed> {
        changed(&self.verb, &self.seen.tree, message, answer)
    }

    /// Records what became of it. `message` is the request.
    pub(crate) async fn end(self, caller: &Caller, message: &[u8], fault: Option<&Fault>) {
        match tokio::time::timeout(PATIENCE, self.record(caller, message, fault)).await {
            Ok(Ok(())) => {}
            Ok(Err(fault)) => {
                tracing::warn!(host = %self.host.row.name, reason = %fault, "the history of nginx will catch up later");
            }
            Err(_) => {
                tracing::warn!(host = %self.host.row.name, "the history of nginx will catch up later");
            }
        }
    }

    async fn record(&self, caller: &Caller, message: &[u8], fault: Option<&Fault>) -> Result<(), Fault> {
        let request = match self.verb.as_str() {
            "Apply" => ApplyNginxRequest::decode(message).unwrap_or_default(),
            _ => ApplyNginxRequest::default(),
        };
        if fault.is_some_and(|f| f.kind() == FaultKind::Failed) {
            let tried: Vec<_> = request.changes.iter().filter_map(|c| tried(c, caller, &request)).collect();
            db::nginx::record(&self.core.db, self.host.row.id, &tried).await?;
        }
        let act = fault.is_none().then(|| self.act(caller, request));
        sync::look(&self.core, &self.host, act.as_ref(), &self.turn).await
    }

    fn act(&self, caller: &Caller, request: ApplyNginxRequest) -> Act {
        let reverts = self.verb == "Revert";
        let pending = self.core.nginx.of(self.host.row.id).tree.pending.clone().unwrap_or_default();
        Act {
            actor: caller.name.clone(),
            reason: if reverts { "put back before it was confirmed".into() } else { request.reason },
            request_id: caller.request_id.to_string(),
            apply_id: if reverts { pending.id } else { request.id },
            paths: match reverts {
                true => pending.paths,
                false => request.changes.into_iter().map(|c| c.path).collect(),
            },
            reverts,
        }
    }
}

/// What nginx did not take: it was never live, and whoever wrote it may want it back.
fn tried(change: &NginxChange, caller: &Caller, request: &ApplyNginxRequest) -> Option<db::nginx::New> {
    let Some(Action::Content(content)) = &change.action else { return None };
    Some(db::nginx::New {
        path: change.path.clone(),
        event: "rolled-back",
        sha256: hex::encode(Sha256::digest(content.as_bytes())),
        content: Some(content.clone().into_bytes()),
        author: caller.name.clone(),
        reason: request.reason.clone(),
        request_id: caller.request_id.to_string(),
        apply_id: request.id.clone(),
        enabled: false,
    })
}
