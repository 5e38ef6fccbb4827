//! Hosts over gRPC: rows of the database together with what the fleet sees of them.

use std::sync::Arc;

use hms_proto::{
    AGENT_PORT,
    controller::v1::{
        AddHostRequest, AddHostResponse, Host, HostState, LabelHostRequest, ListHostsRequest,
        ListHostsResponse, NewJoinTokenRequest, RemoveHostRequest, RemoveHostResponse,
        fleet_service_server::FleetService,
    },
    fault::{Fault, FaultKind},
    names::{Address, HostName, Label},
};
use serde_json::json;
use tonic::{Request, Response, Status};

use super::session::caller_of;
use crate::{
    audit::Changed,
    auth::JoinToken,
    db,
    fleet::{self, LinkState},
    state::Core,
};

/// Of one host.
const MOST_LABELS: usize = 32;

pub(super) struct Fleet(pub(super) Arc<Core>);

#[tonic::async_trait]
impl FleetService for Fleet {
    async fn add_host(&self, request: Request<AddHostRequest>) -> Result<Response<AddHostResponse>, Status> {
        let wanted = request.into_inner();
        let name = HostName::try_from(wanted.name.as_str()).map_err(Fault::from)?;
        let address = Address::with_default_port(&wanted.address, AGENT_PORT).map_err(Fault::from)?;
        let row =
            db::hosts::add(&self.0.db, &name, &address).await.map_err(|error| conflict(error, &name))?;
        self.0.reload().await?;
        Ok(Changed::of(None, Some(&told(&row))).tell(self.token_for(&row).await?))
    }

    async fn new_join_token(
        &self,
        request: Request<NewJoinTokenRequest>,
    ) -> Result<Response<AddHostResponse>, Status> {
        let name = HostName::try_from(request.get_ref().name.as_str()).map_err(Fault::from)?;
        let row = db::hosts::get_by_name(&self.0.db, &name).await.map_err(Fault::from)?;
        let row = row.ok_or_else(|| Fault::not_found("host", name.as_str()))?;
        Ok(Response::new(self.token_for(&row).await?))
    }

    async fn list_hosts(
        &self,
        request: Request<ListHostsRequest>,
    ) -> Result<Response<ListHostsResponse>, Status> {
        let seen = self.0.fleet.seen_by(caller_of(&request)?);
        let hosts = seen.hosts().iter().map(|h| host(h)).collect();
        Ok(Response::new(ListHostsResponse { hosts }))
    }

    async fn label_host(&self, request: Request<LabelHostRequest>) -> Result<Response<Host>, Status> {
        let wanted = request.into_inner();
        let name = HostName::try_from(wanted.name.as_str()).map_err(Fault::from)?;
        let (add, remove) = (labels(&wanted.add)?, labels(&wanted.remove)?);
        let before = self.0.fleet.host(name.as_str()).map(|host| host.latest());
        if before.as_ref().map_or(0, |host| host.labels.len()) + add.len() > MOST_LABELS {
            return Err(Fault::invalid(format!("{name} would have more than {MOST_LABELS} labels")).into());
        }
        let row = db::hosts::label(&self.0.db, &name, &add, &remove).await.map_err(Fault::from)?;
        let row = row.ok_or_else(|| Fault::not_found("host", name.as_str()))?;
        self.0.reload().await?;
        let known = self.0.fleet.host(&row.name);
        let changed = Changed::of(before.as_deref().map(told).as_ref(), Some(&told(&row)));
        Ok(changed.tell(known.as_deref().map(host).unwrap_or_else(|| unseen(&row))))
    }

    async fn remove_host(
        &self,
        request: Request<RemoveHostRequest>,
    ) -> Result<Response<RemoveHostResponse>, Status> {
        let name = HostName::try_from(request.get_ref().name.as_str()).map_err(Fault::from)?;
        let before = db::hosts::get_by_name(&self.0.db, &name).await.map_err(Fault::from)?;
        if !db::hosts::remove(&self.0.db, &name).await.map_err(Fault::from)? {
            return Err(Fault::not_found("host", name.as_str()).into());
        }
        self.0.reload().await?;
        Ok(Changed::of(before.as_ref().map(told).as_ref(), None).tell(RemoveHostResponse {}))
    }
}

impl Fleet {
    async fn token_for(&self, row: &db::hosts::Host) -> Result<AddHostResponse, Fault> {
        let token = JoinToken::issue(&self.0.db, row.id, &self.0.pki).await?;
        let known = self.0.fleet.host(&row.name);
        let host = known.as_deref().map(host).unwrap_or_else(|| unseen(row));
        Ok(AddHostResponse {
            host: Some(host),
            join_token: token.text,
            expires_usec: token.expires.timestamp_micros(),
        })
    }
}

/// A host for the audit.
pub(super) fn told(row: &db::hosts::Host) -> serde_json::Value {
    json!({
        "name": row.name,
        "address": row.address,
        "labels": row.labels,
        "joined": row.joined_at,
        "certificate": row.certificate_serial,
    })
}

fn labels(given: &[String]) -> Result<Vec<String>, Fault> {
    if given.len() > MOST_LABELS {
        return Err(Fault::invalid(format!("{} labels are too many: at most {MOST_LABELS}", given.len())));
    }
    given.iter().map(|text| Ok(Label::try_from(text.as_str())?.to_string())).collect()
}

fn unseen(row: &db::hosts::Host) -> Host {
    Host {
        id: row.id.to_string(),
        name: row.name.clone(),
        address: row.address.clone(),
        labels: row.labels.clone(),
        certificate_expires_usec: row.certificate_expires_at.map_or(0, |t| t.timestamp_micros()),
        ..Host::default()
    }
}

/// A host with its live state.
pub(crate) fn host(host: &fleet::Host) -> Host {
    host.look(|picture| {
        let (state, reason) = match &picture.link {
            LinkState::Pending => (HostState::Pending, ""),
            LinkState::Connecting => (HostState::Unspecified, ""),
            LinkState::Connected => (HostState::Connected, ""),
            LinkState::Unreachable(reason) => (HostState::Unreachable, reason.as_str()),
        };
        Host {
            state: state.into(),
            state_since_usec: picture.since_usec,
            state_reason: reason.into(),
            facts: picture.facts.clone(),
            metrics: picture.metrics.clone(),
            ..unseen(&host.latest())
        }
    })
}

fn conflict(error: db::Error, name: &HostName) -> Fault {
    match error {
        db::Error::Conflict => Fault::new(FaultKind::Conflict, format!("there is a host `{name}` already"))
            .hint("`hmsctl host token` makes a new token for it; `hmsctl host remove` forgets it."),
        other => other.into(),
    }
}
