//! Takes what people did on hosts directly into the chain: each call once, whatever breaks in between.

use std::net::SocketAddr;

use hms_proto::{
    fault::Fault,
    host::v1::{
        CollectedRequest, DirectCall, SpoolRequest, SpoolResponse, audit_service_client::AuditServiceClient,
    },
    identity::Identity,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    auth::Source,
    db::{self, audit::Intent},
    fleet::{Change, Host, as_controller, in_time},
    state::Core,
};

/// Outcomes that the audit knows.
const OUTCOMES: [&str; 5] = ["ok", "failed", "denied", "unreachable", "unknown"];

/// Collects all that an agent has, and tells it what it need not keep any longer.
pub(super) async fn collect(core: &Core, host: &Host) -> Result<(), Fault> {
    let mut client = AuditServiceClient::new(host.channel.clone());
    loop {
        let answer = in_time(client.spool(as_controller(SpoolRequest {}))).await;
        let SpoolResponse { calls, more } = answer.map_err(|s| Fault::from_status(&s))?.into_inner();
        let mut ids = Vec::new();
        for call in calls {
            take(core, &host.row.name, &call).await?;
            ids.push(call.id);
        }
        if ids.is_empty() {
            return Ok(());
        }
        tracing::info!(host = %host.row.name, calls = ids.len(), "took over what was done there directly");
        core.fleet.tell(Change::Activity);
        let done = in_time(client.collected(as_controller(CollectedRequest { ids }))).await;
        done.map_err(|status| Fault::from_status(&status))?;
        if !more {
            return Ok(());
        }
    }
}

/// Asked for twice, a call is there once: its id is the request's.
async fn take(core: &Core, host: &str, call: &DirectCall) -> Result<(), Fault> {
    let request_id = Uuid::try_parse(&call.id)
        .map_err(|_| Fault::invalid(format!("{host} tells of a call without a proper id")))?;
    match db::audit::intent(&core.db, &intent(core, host, call, request_id).await?).await {
        Ok(_) | Err(db::Error::Conflict) => {}
        Err(error) => return Err(error.into()),
    }
    let outcome = OUTCOMES.into_iter().find(|word| *word == call.outcome).unwrap_or("unknown");
    let took_ms = (call.ended_usec - call.began_usec).max(0) / 1_000;
    let took_ms = u32::try_from(took_ms).unwrap_or(u32::MAX);
    Ok(db::audit::outcome(&core.db, request_id, outcome, &call.message, took_ms).await?)
}

async fn intent(core: &Core, host: &str, call: &DirectCall, request_id: Uuid) -> Result<Intent, Fault> {
    let user_id = Identity::try_from(call.identity.as_str()).ok().map(|identity| identity.id);
    let user = match user_id {
        Some(id) => db::users::get_by_id(&core.db, id).await?,
        None => None,
    };
    let request: Value = serde_json::from_str(&call.params).unwrap_or_default();
    Ok(Intent {
        request_id,
        actor: user.map_or_else(|| call.identity.clone(), |user| user.username),
        user_id,
        source: Source::Direct,
        address: call.address.parse().ok().map(|address: SocketAddr| address.ip()),
        method: call.method.clone(),
        host: host.to_owned(),
        target: super::target(&request),
        params: json!({
            "request": request,
            "role": call.role,
            "began_usec": call.began_usec,
            "ended_usec": call.ended_usec,
            "request_id": call.request_id,
        }),
    })
}
