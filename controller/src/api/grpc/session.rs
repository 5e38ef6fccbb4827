//! A caller's own sessions over gRPC.

use std::sync::Arc;

use hms_proto::{
    access::role_word,
    controller::v1::{
        ListSessionsRequest, ListSessionsResponse, RevokeSessionRequest, RevokeSessionResponse,
        WhoAmIRequest, WhoAmIResponse, session_service_server::SessionService,
    },
    fault::{Fault, FaultKind},
};
use tonic::{Request, Response, Status};

use crate::{auth::Caller, state::Core};

pub(super) struct Sessions(pub(super) Arc<Core>);

/// The gate puts it there.
pub(super) fn caller_of<T>(request: &Request<T>) -> Result<&Caller, Fault> {
    let caller = request.extensions().get::<Caller>();
    caller.ok_or_else(|| Fault::new(FaultKind::Unauthenticated, "nobody is logged in"))
}

#[tonic::async_trait]
impl SessionService for Sessions {
    async fn who_am_i(&self, request: Request<WhoAmIRequest>) -> Result<Response<WhoAmIResponse>, Status> {
        let caller = caller_of(&request)?;
        Ok(Response::new(WhoAmIResponse {
            username: caller.name.clone(),
            role: role_word(caller.role).into(),
            expires_usec: self.0.auth.ends(caller).await?,
            scope: Some(caller.scope.to_proto()),
            confirmed_usec: caller.confirmed.map_or(0, |until| until.timestamp_micros()),
        }))
    }

    async fn list(
        &self,
        request: Request<ListSessionsRequest>,
    ) -> Result<Response<ListSessionsResponse>, Status> {
        let sessions = self.0.auth.sessions(caller_of(&request)?).await?;
        Ok(Response::new(ListSessionsResponse { sessions }))
    }

    async fn revoke(
        &self,
        request: Request<RevokeSessionRequest>,
    ) -> Result<Response<RevokeSessionResponse>, Status> {
        self.0.auth.revoke(caller_of(&request)?, &request.get_ref().id).await?;
        Ok(Response::new(RevokeSessionResponse {}))
    }
}
