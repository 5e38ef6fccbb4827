//! The accounts of everybody over gRPC.

use std::sync::Arc;

use hms_proto::controller::v1::{
    EditUserRequest, EndSessionsRequest, EndSessionsResponse, GetUserRequest, Invitation, InviteUserRequest,
    ListSessionsResponse, ListTokensResponse, ListUserTokensRequest, ListUsersRequest, ListUsersResponse,
    RemoveUserResponse, ResetUserRequest, RevokeTokenRequest, RevokeTokenResponse, User,
    user_service_server::UserService,
};
use tonic::{Request, Response, Status};

use super::session::caller_of;
use crate::{audit::Changed, auth::Edited, state::Core};

pub(super) struct Users(pub(super) Arc<Core>);

/// The account as it is now; the audit gets what it was, too.
fn told(Edited { before, after }: Edited) -> Response<User> {
    Changed::of(Some(&before), Some(&after)).tell(after)
}

#[tonic::async_trait]
impl UserService for Users {
    async fn list(&self, _: Request<ListUsersRequest>) -> Result<Response<ListUsersResponse>, Status> {
        Ok(Response::new(ListUsersResponse { users: self.0.auth.users().await? }))
    }

    async fn get(&self, request: Request<GetUserRequest>) -> Result<Response<User>, Status> {
        Ok(Response::new(self.0.auth.user(&request.get_ref().username).await?))
    }

    async fn invite(&self, request: Request<InviteUserRequest>) -> Result<Response<Invitation>, Status> {
        Ok(Response::new(self.0.auth.invite(request.get_ref(), &self.0.reach.origin()).await?))
    }

    async fn edit(&self, request: Request<EditUserRequest>) -> Result<Response<User>, Status> {
        Ok(told(self.0.auth.edit(request.get_ref()).await?))
    }

    async fn disable(&self, request: Request<GetUserRequest>) -> Result<Response<User>, Status> {
        Ok(told(self.0.auth.set_disabled(&request.get_ref().username, true).await?))
    }

    async fn enable(&self, request: Request<GetUserRequest>) -> Result<Response<User>, Status> {
        Ok(told(self.0.auth.set_disabled(&request.get_ref().username, false).await?))
    }

    async fn reset(&self, request: Request<ResetUserRequest>) -> Result<Response<Invitation>, Status> {
        Ok(Response::new(self.0.auth.reset(request.get_ref(), &self.0.reach.origin()).await?))
    }

    async fn remove(&self, request: Request<GetUserRequest>) -> Result<Response<RemoveUserResponse>, Status> {
        self.0.auth.remove_user(&request.get_ref().username).await?;
        Ok(Response::new(RemoveUserResponse {}))
    }

    async fn list_sessions(
        &self,
        request: Request<GetUserRequest>,
    ) -> Result<Response<ListSessionsResponse>, Status> {
        let sessions = self.0.auth.sessions_of(&request.get_ref().username).await?;
        Ok(Response::new(ListSessionsResponse { sessions }))
    }

    async fn end_sessions(
        &self,
        request: Request<EndSessionsRequest>,
    ) -> Result<Response<EndSessionsResponse>, Status> {
        let EndSessionsRequest { username, id } = request.get_ref();
        let ended = self.0.auth.end_sessions(username, id).await?;
        Ok(Response::new(EndSessionsResponse { ended }))
    }

    async fn list_tokens(
        &self,
        request: Request<ListUserTokensRequest>,
    ) -> Result<Response<ListTokensResponse>, Status> {
        let tokens = self.0.auth.tokens_of_user(&request.get_ref().username).await?;
        Ok(Response::new(ListTokensResponse { tokens }))
    }

    async fn revoke_token(
        &self,
        request: Request<RevokeTokenRequest>,
    ) -> Result<Response<RevokeTokenResponse>, Status> {
        self.0.auth.revoke_token(caller_of(&request)?, &request.get_ref().id, false).await?;
        Ok(Response::new(RevokeTokenResponse {}))
    }
}
