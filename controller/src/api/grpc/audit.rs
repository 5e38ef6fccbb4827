//! The audit over gRPC.

use std::sync::Arc;

use hms_proto::{
    controller::v1::{ListAuditRequest, ListAuditResponse, audit_service_server::AuditService},
    fault::Fault,
};
use tonic::{Request, Response, Status};

use crate::{db, state::Core};

const MOST: u32 = 500;

pub(super) struct Audit(pub(super) Arc<Core>);

#[tonic::async_trait]
impl AuditService for Audit {
    async fn list(&self, request: Request<ListAuditRequest>) -> Result<Response<ListAuditResponse>, Status> {
        let mut filter = request.into_inner();
        filter.limit = match filter.limit {
            0 => 50,
            n if n <= MOST => n,
            n => return Err(Fault::invalid(format!("limit {n} is more than {MOST}")).into()),
        };
        if filter.before_seq < 0 {
            return Err(Fault::invalid("before_seq must not be negative").into());
        }
        let records = db::audit::list(&self.0.db, &filter).await.map_err(Fault::from)?;
        let full = records.len() == filter.limit as usize;
        let next_before_seq = records.last().filter(|_| full).map_or(0, |r| r.seq);
        Ok(Response::new(ListAuditResponse { records, next_before_seq }))
    }
}
