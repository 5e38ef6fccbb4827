//! `/api/health`: how the parts of the installation are.

use axum::{Json, extract::State as Shared};
use hms_proto::controller::v1::{HostState, ListHostsRequest};
use serde::Serialize;
use utoipa::ToSchema;

use super::{bearer::Bearer, problem::Problem};
use crate::state::State;

/// How many hosts there are in each state, of those that the caller may see.
#[derive(Default, Serialize, ToSchema)]
pub(super) struct Hosts {
    /// Their agents have not joined yet.
    pending: u32,
    connected: u32,
    /// Their agents do not answer. Says nothing about the apps on them.
    unreachable: u32,
}

/// How the installation is.
#[derive(Serialize, ToSchema)]
pub(super) struct Health {
    /// Of the controller.
    version: &'static str,
    /// Whether PostgreSQL answers. Without it nothing can be changed.
    database: bool,
    hosts: Hosts,
}

/// How the installation is: its database, its hosts, and the version of its controller.
#[utoipa::path(get, path = "/api/health", tag = "health", security(("bearer" = [])), responses((status = 200, body = Health)))]
pub(super) async fn get(
    Shared(state): Shared<State>,
    Bearer(caller): Bearer,
) -> Result<Json<Health>, Problem> {
    let list = state.gate.fleet(&caller).list_hosts(ListHostsRequest {}).await;
    let mut hosts = Hosts::default();
    for host in list.map_err(Problem::of(&caller))?.into_inner().hosts {
        match host.state() {
            HostState::Connected => hosts.connected += 1,
            HostState::Unreachable => hosts.unreachable += 1,
            _ => hosts.pending += 1,
        }
    }
    let (version, database) = (env!("CARGO_PKG_VERSION"), state.is_database_up());
    Ok(Json(Health { version, database, hosts }))
}
