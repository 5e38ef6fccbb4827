//! The audit service of a host.

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use hms_proto::{
    fault::Fault,
    host::v1::{
        CollectedRequest, CollectedResponse, HeadsRequest, HeadsResponse, KeepHeadRequest, KeepHeadResponse,
        SpoolRequest, SpoolResponse, audit_service_server::AuditService,
    },
};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{Spool, heads::Heads};

/// Calls in one answer.
const PAGE: usize = 100;

/// Heads of the chain, and the spool.
#[derive(Debug)]
pub(crate) struct AuditApi {
    heads: Arc<Mutex<Heads>>,
    spool: Arc<Spool>,
}

impl AuditApi {
    /// In the state folder, where the spool is already.
    pub(crate) fn open(state: &Path, spool: Arc<Spool>) -> io::Result<Self> {
        let heads = Heads::open(&state.join("audit"))?;
        Ok(Self { heads: Arc::new(Mutex::new(heads)), spool })
    }
}

fn broken(error: &io::Error) -> Fault {
    tracing::error!(%error, "cannot use the folder of the audit");
    crate::internal(format!("the folder of the audit cannot be used: {error}"))
}

#[tonic::async_trait]
impl AuditService for AuditApi {
    async fn keep_head(
        &self,
        request: Request<KeepHeadRequest>,
    ) -> Result<Response<KeepHeadResponse>, Status> {
        let KeepHeadRequest { seq, hash } = request.into_inner();
        let is_hash = hash.len() == 64 && hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if seq <= 0 || !is_hash {
            return Err(Fault::invalid("this is no head of a chain").into());
        }
        let heads = self.heads.clone();
        let keep = move || heads.lock().unwrap_or_else(PoisonError::into_inner).keep(seq, &hash);
        let kept = tokio::task::spawn_blocking(keep).await.map_err(io::Error::other).and_then(|kept| kept);
        let alarm = kept.map_err(|error| broken(&error))?;
        if !alarm.is_empty() {
            tracing::error!(seq, alarm, "the controller's audit contradicts what this host has seen of it");
        }
        Ok(Response::new(KeepHeadResponse { alarm }))
    }

    async fn heads(&self, request: Request<HeadsRequest>) -> Result<Response<HeadsResponse>, Status> {
        let limit = match request.into_inner().limit {
            0 => usize::MAX,
            limit => limit as usize,
        };
        let heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner).newest(limit);
        Ok(Response::new(HeadsResponse { heads }))
    }

    async fn spool(&self, _: Request<SpoolRequest>) -> Result<Response<SpoolResponse>, Status> {
        let (calls, more) = self.spool.ended(PAGE).await.map_err(|error| broken(&error))?;
        Ok(Response::new(SpoolResponse { calls, more }))
    }

    async fn collected(
        &self,
        request: Request<CollectedRequest>,
    ) -> Result<Response<CollectedResponse>, Status> {
        let ids = request.into_inner().ids;
        let ids: Result<_, _> = ids.iter().map(|id| Uuid::try_parse(id)).collect();
        let ids = ids.map_err(|_| Fault::invalid("the id of a call is a UUID"))?;
        self.spool.drop_calls(ids).await.map_err(|error| broken(&error))?;
        Ok(Response::new(CollectedResponse {}))
    }
}
