//! The history of nginx over gRPC.

use std::sync::Arc;

use hms_proto::{
    controller::v1::{
        AdoptRequest, DriftRequest, DriftResponse, GetVersionRequest, ListVersionsRequest,
        ListVersionsResponse, NginxDrift, NginxVersion, nginx_history_service_server::NginxHistoryService,
    },
    fault::{Fault, FaultKind},
    names::HostName,
};
use tonic::{Request, Response, Status};

use super::session::caller_of;
use crate::{auth::Caller, db, fleet, nginx, state::Core};

const MOST: u32 = 200;

pub(super) struct History(pub(super) Arc<Core>);

#[tonic::async_trait]
impl NginxHistoryService for History {
    async fn list(
        &self,
        request: Request<ListVersionsRequest>,
    ) -> Result<Response<ListVersionsResponse>, Status> {
        let asked = request.into_inner();
        let limit = match asked.limit {
            0 => 50,
            n if n <= MOST => n,
            n => return Err(Fault::invalid(format!("limit {n} is more than {MOST}")).into()),
        };
        let filter =
            db::nginx::Filter { host: &asked.host, path: &asked.path, before: asked.before_id, limit };
        let versions = db::nginx::list(&self.0.db, filter).await.map_err(Fault::from)?;
        let full = versions.len() == limit as usize;
        let next_before_id = versions.last().filter(|_| full).map_or(0, |v| v.id);
        Ok(Response::new(ListVersionsResponse { versions, next_before_id }))
    }

    async fn get(&self, request: Request<GetVersionRequest>) -> Result<Response<NginxVersion>, Status> {
        let id = request.get_ref().id;
        let whole = db::nginx::get(&self.0.db, id).await.map_err(Fault::from)?;
        let whole = whole.ok_or_else(|| Fault::not_found("version", &id.to_string()))?;
        let content = whole.content.unwrap_or_default();
        let path = whole.version.path.clone();
        let diff = compare(path, whole.before.unwrap_or_default(), content.clone()).await?;
        let content = String::from_utf8_lossy(&content).into_owned();
        Ok(Response::new(NginxVersion { content, diff, ..whole.version }))
    }

    async fn drift(&self, request: Request<DriftRequest>) -> Result<Response<DriftResponse>, Status> {
        let host = self.host(&request.get_ref().host)?;
        // A host that is away is told of as it was last seen.
        if let Err(fault) = nginx::sync(&self.0, &host).await {
            tracing::debug!(host = %host.row.name, reason = %fault, "drift as it was last seen");
        }
        Ok(Response::new(self.drifts(&host).await?))
    }

    async fn adopt(&self, request: Request<AdoptRequest>) -> Result<Response<DriftResponse>, Status> {
        let caller = caller_of(&request)?.clone();
        let asked = request.into_inner();
        let host = self.host(&asked.host)?;
        nginx::sync(&self.0, &host).await?;
        let drifts = self.0.nginx.of(host.row.id).drifts.clone();
        if let Some(unknown) = asked.paths.iter().find(|p| !drifts.iter().any(|d| d.path == **p)) {
            return Err(Fault::not_found("drift of", unknown)
                .hint("It is as HMS knows it by now, or it is another file.")
                .into());
        }
        let wanted = drifts.into_iter().filter(|d| asked.paths.is_empty() || asked.paths.contains(&d.path));
        let mut adopted = Vec::new();
        for drift in wanted {
            adopted.push(self.adopted(&host, drift, &caller, &asked.reason).await?);
        }
        db::nginx::record(&self.0.db, host.row.id, &adopted).await.map_err(Fault::from)?;
        nginx::look_again(&self.0, &host).await?;
        Ok(Response::new(self.drifts(&host).await?))
    }
}

impl History {
    fn host(&self, name: &str) -> Result<Arc<fleet::Host>, Fault> {
        let name = HostName::try_from(name)?;
        self.0.fleet.host(name.as_str()).ok_or_else(|| Fault::not_found("host", name.as_str()))
    }

    async fn drifts(&self, host: &fleet::Host) -> Result<DriftResponse, Fault> {
        let picture = self.0.nginx.of(host.row.id);
        let mut drifts = Vec::with_capacity(picture.drifts.len());
        for drift in &picture.drifts {
            let diff = compare(
                drift.path.clone(),
                self.content(&drift.known_sha256).await?,
                self.content(&drift.live_sha256).await?,
            )
            .await?;
            drifts.push(NginxDrift { diff, ..drift.clone() });
        }
        Ok(DriftResponse { drifts })
    }

    async fn content(&self, sha256: &str) -> Result<Vec<u8>, Fault> {
        match sha256.is_empty() {
            true => Ok(Vec::new()),
            false => Ok(db::nginx::content(&self.0.db, sha256).await?.unwrap_or_default()),
        }
    }

    async fn adopted(
        &self,
        host: &fleet::Host,
        drift: NginxDrift,
        caller: &Caller,
        reason: &str,
    ) -> Result<db::nginx::New, Fault> {
        let picture = self.0.nginx.of(host.row.id);
        let file = picture.tree.files.iter().find(|f| f.path == drift.path);
        Ok(db::nginx::New {
            event: "adopted",
            content: match drift.live_sha256.is_empty() {
                true => None,
                false => db::nginx::content(&self.0.db, &drift.live_sha256).await?,
            },
            enabled: file.is_some_and(|f| f.enabled),
            path: drift.path,
            sha256: drift.live_sha256,
            author: caller.name.clone(),
            reason: reason.to_owned(),
            request_id: caller.request_id.to_string(),
            apply_id: String::new(),
        })
    }
}

/// Comparing takes time in proportion to the texts and their differences: not on a thread that serves others.
async fn compare(path: String, before: Vec<u8>, after: Vec<u8>) -> Result<String, Fault> {
    tokio::task::spawn_blocking(move || nginx::diff(&path, &before, &after))
        .await
        .map_err(|_| Fault::new(FaultKind::Internal, "a comparison broke off"))
}
