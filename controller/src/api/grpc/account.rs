//! A caller's own account over gRPC.

use std::sync::Arc;

use hms_proto::{
    controller::v1::{
        Account, BeginTotpRequest, BeginTotpResponse, ChangePasswordRequest, ChangePasswordResponse,
        ConfirmRequest, ConfirmResponse, DisableTotpRequest, EnableTotpRequest, ExplainRequest, Explanation,
        GetAccountRequest, NewRecoveryCodesRequest, RecoveryCodes, account_service_server::AccountService,
    },
    fault::Fault,
};
use tonic::{Request, Response, Status};

use super::session::caller_of;
use crate::{auth::Password, reach, state::Core};

pub(super) struct Accounts(pub(super) Arc<Core>);

#[tonic::async_trait]
impl AccountService for Accounts {
    async fn get(&self, request: Request<GetAccountRequest>) -> Result<Response<Account>, Status> {
        Ok(Response::new(self.0.auth.account(caller_of(&request)?).await?))
    }

    async fn confirm(&self, request: Request<ConfirmRequest>) -> Result<Response<ConfirmResponse>, Status> {
        let caller = caller_of(&request)?.clone();
        let ConfirmRequest { password, code } = request.into_inner();
        let password = (!password.is_empty()).then(|| Password::new(password));
        let code = Some(code.as_str()).filter(|code| !code.is_empty());
        let confirmed_usec = self.0.auth.confirm(&caller, password.as_ref(), code).await?;
        Ok(Response::new(ConfirmResponse { confirmed_usec }))
    }

    async fn change_password(
        &self,
        request: Request<ChangePasswordRequest>,
    ) -> Result<Response<ChangePasswordResponse>, Status> {
        let caller = caller_of(&request)?.clone();
        let ChangePasswordRequest { current, new } = request.into_inner();
        let (current, new) = (Password::new(current), Password::new(new));
        self.0.auth.change_password(&caller, &current, &new).await?;
        Ok(Response::new(ChangePasswordResponse {}))
    }

    async fn begin_totp(
        &self,
        request: Request<BeginTotpRequest>,
    ) -> Result<Response<BeginTotpResponse>, Status> {
        Ok(Response::new(self.0.auth.begin_totp(caller_of(&request)?).await?))
    }

    async fn enable_totp(
        &self,
        request: Request<EnableTotpRequest>,
    ) -> Result<Response<RecoveryCodes>, Status> {
        Ok(Response::new(self.0.auth.enable_totp(caller_of(&request)?, &request.get_ref().code).await?))
    }

    async fn disable_totp(&self, request: Request<DisableTotpRequest>) -> Result<Response<Account>, Status> {
        let caller = caller_of(&request)?.clone();
        let password = Password::new(request.into_inner().password);
        self.0.auth.disable_totp(&caller, &password).await?;
        Ok(Response::new(self.0.auth.account(&caller).await?))
    }

    async fn new_recovery_codes(
        &self,
        request: Request<NewRecoveryCodesRequest>,
    ) -> Result<Response<RecoveryCodes>, Status> {
        Ok(Response::new(self.0.auth.new_recovery_codes(caller_of(&request)?).await?))
    }

    async fn explain(&self, request: Request<ExplainRequest>) -> Result<Response<Explanation>, Status> {
        let explained: Result<_, Fault> =
            reach::explain(&self.0, caller_of(&request)?, request.get_ref()).await;
        Ok(Response::new(explained?))
    }
}
