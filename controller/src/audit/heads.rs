//! Heads of the chain for the agents: whoever writes the database anew cannot write what they have seen.

use std::sync::PoisonError;

use hms_proto::{
    fault::Fault,
    host::v1::{KeepHeadRequest, audit_service_client::AuditServiceClient},
};

use super::Held;
use crate::{
    db,
    fleet::{self, Host, as_controller, in_time},
    state::Core,
};

/// Gives an agent the newest head, unless it has it.
pub(super) async fn give(core: &Core, host: &Host) -> Result<(), Fault> {
    let (seq, hash) = db::audit_chain::head(&core.db).await?;
    let known = core.audit.held_by(host.row.id);
    if seq == 0 || known.is_some_and(|held| held.seq == seq) {
        return Ok(());
    }
    let mut client = AuditServiceClient::new(host.channel.clone());
    let answer = in_time(client.keep_head(as_controller(KeepHeadRequest { seq, hash }))).await;
    let alarm = answer.map_err(|status| Fault::from_status(&status))?.into_inner().alarm;
    if !alarm.is_empty() {
        tracing::error!(host = %host.row.name, alarm, "the audit contradicts what a host has seen of it");
    }
    let held = Held { seq, time_usec: fleet::now_usec(), alarm };
    core.audit.held.lock().unwrap_or_else(PoisonError::into_inner).insert(host.row.id, held);
    Ok(())
}
