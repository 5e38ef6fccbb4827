//! The catalogue of scripts over gRPC.

use std::sync::Arc;

use hms_proto::{
    controller::v1::{
        GetScriptRequest, GetScriptResponse, ListScriptsRequest, ListScriptsResponse, SyncScriptsRequest,
        SyncScriptsResponse, script_service_server::ScriptService,
    },
    fault::Fault,
    host::v1::{Script, ScriptFile},
    names::ScriptName,
    script,
};
use tonic::{Request, Response, Status};

use super::session::caller_of;
use crate::{
    auth::Caller,
    db::{self, scripts::Changes},
    jobs::{deliver, request::no_script, schedule},
    state::Core,
};

pub(super) struct Scripts(pub(super) Arc<Core>);

#[tonic::async_trait]
impl ScriptService for Scripts {
    async fn list(&self, _: Request<ListScriptsRequest>) -> Result<Response<ListScriptsResponse>, Status> {
        let scripts = db::scripts::list(&self.0.db).await.map_err(Fault::from)?;
        Ok(Response::new(ListScriptsResponse { scripts }))
    }

    async fn get(&self, request: Request<GetScriptRequest>) -> Result<Response<GetScriptResponse>, Status> {
        let caller = caller_of(&request)?.clone();
        let name = ScriptName::try_from(request.get_ref().name.as_str()).map_err(Fault::from)?;
        let stored = db::scripts::get(&self.0.db, name.as_str()).await.map_err(Fault::from)?;
        let stored = stored.ok_or_else(|| no_script(name.as_str()))?;
        Ok(Response::new(GetScriptResponse {
            script: Some(stored.script().clone()),
            content: String::from_utf8_lossy(&stored.content).into_owned(),
            synced_usec: stored.synced_at.timestamp_micros(),
            synced_by: stored.synced_by,
            deliveries: deliver::statuses(&self.0, &caller).await?,
        }))
    }

    async fn sync(
        &self,
        request: Request<SyncScriptsRequest>,
    ) -> Result<Response<SyncScriptsResponse>, Status> {
        let caller = caller_of(&request)?.clone();
        let SyncScriptsRequest { scripts: files, dry_run } = request.into_inner();
        script::check_all(&files)?;
        schedule::check_manifests(&manifests(&files))?;
        let changes = match dry_run {
            true => db::scripts::compare(&self.0.db, &files).await.map_err(Fault::from)?,
            false => replace(&self.0, &files, &caller).await?,
        };
        let Changes { added, changed, removed, unchanged } = changes;
        Ok(Response::new(SyncScriptsResponse { added, changed, removed, unchanged }))
    }
}

/// The scripts and their schedules change together, or nothing does.
async fn replace(core: &Core, files: &[ScriptFile], caller: &Caller) -> Result<Changes, Fault> {
    let mut tx = core.db.begin().await.map_err(db::Error::from)?;
    let before = db::scripts::list(&mut *tx).await?;
    let changes = db::scripts::replace(&mut tx, files, &caller.name).await?;
    schedule::follow_manifests(&mut tx, &before, &manifests(files), caller).await?;
    tx.commit().await.map_err(db::Error::from)?;
    core.jobs.scripts_changed();
    Ok(changes)
}

fn manifests(files: &[ScriptFile]) -> Vec<Script> {
    files.iter().filter_map(|file| file.script.clone()).collect()
}
