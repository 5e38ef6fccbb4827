//! The audit over gRPC.

use std::sync::Arc;

use futures_util::{Stream, stream::BoxStream};
use hms_proto::{
    controller::v1::{
        ChainRequest, ChainResponse, ExportAuditRequest, ExportAuditResponse, HeldHead, ListAuditRequest,
        ListAuditResponse, audit_service_server::AuditService,
    },
    fault::Fault,
};
use sqlx::PgPool;
use tonic::{Request, Response, Status};

use super::session::caller_of;
use crate::{db, state::Core};

const MOST: u32 = 500;
/// Rows in one message of an export: with all they may hold, it stays below 4 MiB.
const AT_ONCE: i64 = 50;

pub(super) struct Audit(pub(super) Arc<Core>);

#[tonic::async_trait]
impl AuditService for Audit {
    async fn list(&self, request: Request<ListAuditRequest>) -> Result<Response<ListAuditResponse>, Status> {
        let (user, scope) = (caller_of(&request)?.id, caller_of(&request)?.scope.clone());
        let mut filter = request.into_inner();
        filter.limit = match filter.limit {
            0 => 50,
            n if n <= MOST => n,
            n => return Err(Fault::invalid(format!("limit {n} is more than {MOST}")).into()),
        };
        if filter.before_seq < 0 {
            return Err(Fault::invalid("before_seq must not be negative").into());
        }
        let records = db::audit::list_for(&self.0.db, &filter, user, &scope).await.map_err(Fault::from)?;
        let full = records.len() == filter.limit as usize;
        let next_before_seq = records.last().filter(|_| full).map_or(0, |r| r.seq);
        Ok(Response::new(ListAuditResponse { records, next_before_seq }))
    }

    type ExportStream = BoxStream<'static, Result<ExportAuditResponse, Status>>;

    async fn export(
        &self,
        request: Request<ExportAuditRequest>,
    ) -> Result<Response<Self::ExportStream>, Status> {
        let ExportAuditRequest { from_seq, to_seq } = request.into_inner();
        if from_seq < 0 || to_seq < 0 {
            return Err(Fault::invalid("the numbers of rows begin with 1").into());
        }
        Ok(Response::new(Box::pin(exported(self.0.db.clone(), from_seq.max(1), to_seq))))
    }

    async fn chain(&self, request: Request<ChainRequest>) -> Result<Response<ChainResponse>, Status> {
        let seen = self.0.fleet.seen_by(caller_of(&request)?).hosts();
        let (seq, hash) = db::audit_chain::head(&self.0.db).await.map_err(Fault::from)?;
        let (verified_seq, broken) = self.0.audit.verified();
        let held = seen.into_iter().filter_map(|host| {
            let head = self.0.audit.held_by(host.row.id)?;
            let host = host.row.name.clone();
            Some(HeldHead { host, seq: head.seq, time_usec: head.time_usec, alarm: head.alarm })
        });
        let held = held.collect();
        Ok(Response::new(ChainResponse { seq, hash, verified_seq, broken, held }))
    }
}

fn exported(
    db: PgPool,
    mut from: i64,
    to: i64,
) -> impl Stream<Item = Result<ExportAuditResponse, Status>> + Send {
    async_stream::try_stream! {
        loop {
            let rows = db::audit_chain::rows(&db, from, to, AT_ONCE).await.map_err(Fault::from)?;
            let Some(last) = rows.last() else { return };
            from = last.seq + 1;
            yield ExportAuditResponse { rows };
        }
    }
}
