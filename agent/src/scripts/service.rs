//! ScriptService: check, store, answer.

use std::sync::Arc;

use hms_proto::host::v1::{
    InstallScriptsRequest, InstallScriptsResponse, ListScriptsRequest, ListScriptsResponse,
    script_service_server::ScriptService,
};
use tonic::{Request, Response, Status};

use super::Scripts;
use crate::blocking;

/// The service.
#[derive(Debug)]
pub(crate) struct ScriptsApi(pub(crate) Arc<Scripts>);

#[tonic::async_trait]
impl ScriptService for ScriptsApi {
    async fn list(&self, _: Request<ListScriptsRequest>) -> Result<Response<ListScriptsResponse>, Status> {
        let scripts = self.0.clone();
        let scripts = blocking(move || scripts.list()).await?;
        Ok(Response::new(ListScriptsResponse { scripts }))
    }

    async fn install(
        &self,
        request: Request<InstallScriptsRequest>,
    ) -> Result<Response<InstallScriptsResponse>, Status> {
        let (scripts, files) = (self.0.clone(), request.into_inner().scripts);
        let scripts = blocking(move || scripts.install(files)).await?;
        tracing::info!(count = scripts.len(), "scripts were delivered");
        Ok(Response::new(InstallScriptsResponse { scripts }))
    }
}
