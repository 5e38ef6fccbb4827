//! A caller's own API tokens over gRPC.

use std::sync::Arc;

use hms_proto::controller::v1::{
    CreateTokenRequest, CreateTokenResponse, ListTokensRequest, ListTokensResponse, RevokeTokenRequest,
    RevokeTokenResponse, token_service_server::TokenService,
};
use tonic::{Request, Response, Status};

use super::session::caller_of;
use crate::state::Core;

pub(super) struct Tokens(pub(super) Arc<Core>);

#[tonic::async_trait]
impl TokenService for Tokens {
    async fn list(
        &self,
        request: Request<ListTokensRequest>,
    ) -> Result<Response<ListTokensResponse>, Status> {
        let tokens = self.0.auth.tokens_of(caller_of(&request)?).await?;
        Ok(Response::new(ListTokensResponse { tokens }))
    }

    async fn create(
        &self,
        request: Request<CreateTokenRequest>,
    ) -> Result<Response<CreateTokenResponse>, Status> {
        Ok(Response::new(self.0.auth.create_token(caller_of(&request)?, request.get_ref()).await?))
    }

    async fn revoke(
        &self,
        request: Request<RevokeTokenRequest>,
    ) -> Result<Response<RevokeTokenResponse>, Status> {
        self.0.auth.revoke_token(caller_of(&request)?, &request.get_ref().id, true).await?;
        Ok(Response::new(RevokeTokenResponse {}))
    }
}
