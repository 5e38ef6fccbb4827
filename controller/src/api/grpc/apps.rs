//! Apps over gRPC: rows of the database together with what the fleet sees of them.

use std::sync::Arc;

use hms_proto::{
    controller::v1::{
        AdoptAppFileRequest, App, AppSettings, AppState, GetAppRequest, ListAppsRequest, ListAppsResponse,
        RemoveAppRequest, RemoveAppResponse, app_service_server::AppService,
    },
    fault::{Fault, FaultKind},
    host::v1::{JobKind, Unit},
    names::{AppKey, HostName},
};
use tonic::{Request, Response, Status};

use super::session::caller_of;
use crate::{
    apps::{self, deploy, settings},
    audit::Changed,
    auth::Caller,
    db::{self, deployments::Wanted},
    fleet::{self, Fleet, LinkState, Picture},
    sight::Sight,
    state::Core,
};

pub(super) struct Apps(pub(super) Arc<Core>);

#[tonic::async_trait]
impl AppService for Apps {
    async fn list(&self, request: Request<ListAppsRequest>) -> Result<Response<ListAppsResponse>, Status> {
        let apps = list(self.0.fleet.seen_by(caller_of(&request)?));
        Ok(Response::new(ListAppsResponse { apps }))
    }

    async fn get(&self, request: Request<GetAppRequest>) -> Result<Response<App>, Status> {
        let seen = self.0.fleet.seen_by(caller_of(&request)?);
        Ok(Response::new(find(seen, &key(&request.get_ref().key)?)?))
    }

    async fn add(&self, request: Request<AppSettings>) -> Result<Response<AppSettings>, Status> {
        let by = caller_of(&request)?.name.clone();
        let added = settings::add(&self.0, request.into_inner(), &by).await?;
        Ok(changed(None, Some(&added)).tell(added))
    }

    async fn get_settings(&self, request: Request<GetAppRequest>) -> Result<Response<AppSettings>, Status> {
        let app = apps::find(&self.0, &key(&request.get_ref().key)?).await?;
        Ok(Response::new(settings::of(&app)))
    }

    async fn edit(&self, request: Request<AppSettings>) -> Result<Response<AppSettings>, Status> {
        let wanted = request.into_inner();
        let before = settings::of(&apps::find(&self.0, &key(&wanted.key)?).await?);
        let after = settings::edit(&self.0, wanted).await?;
        Ok(changed(Some(&before), Some(&after)).tell(after))
    }

    async fn adopt(&self, request: Request<AdoptAppFileRequest>) -> Result<Response<AppSettings>, Status> {
        let asked = request.get_ref();
        let key = key(&asked.key)?;
        let before = settings::of(&apps::find(&self.0, &key).await?);
        let after = settings::adopt(&self.0, &key, &asked.item).await?;
        Ok(changed(Some(&before), Some(&after)).tell(after))
    }

    async fn remove(
        &self,
        request: Request<RemoveAppRequest>,
    ) -> Result<Response<RemoveAppResponse>, Status> {
        let caller = caller_of(&request)?.clone();
        Ok(remove(&self.0, request.into_inner(), &caller).await?)
    }
}

/// For the audit.
fn changed(before: Option<&AppSettings>, after: Option<&AppSettings>) -> Changed {
    Changed::of(before.map(settings::told).as_ref(), after.map(settings::told).as_ref())
}

pub(super) fn key(text: &str) -> Result<AppKey, Fault> {
    Ok(AppKey::try_from(text)?)
}

async fn remove(
    core: &Core,
    asked: RemoveAppRequest,
    caller: &Caller,
) -> Result<Response<RemoveAppResponse>, Fault> {
    let key = key(&asked.key)?;
    let RemoveAppRequest { from_host, delete_data, .. } = asked;
    match (from_host, delete_data) {
        (true, _) => {
            let wanted = Wanted { delete_data, ..Wanted::default() };
            let asked = deploy::Asked { key: asked.key, id: String::new(), kind: JobKind::Remove, wanted };
            let begun = deploy::begin(core, asked, caller).await?;
            if begun.joined && begun.kind() != JobKind::Remove {
                return Err(Fault::new(FaultKind::Conflict, format!("{} works on {key}", begun.actor))
                    .hint(format!("Wait for deployment {} to end, or cancel it.", begun.id)));
            }
            // Until that has ended the app is there; then it is forgotten, with a record of its own.
            Ok(Response::new(RemoveAppResponse { deployment_id: begun.id }))
        }
        (false, true) => Err(Fault::invalid(
            "data is on the host: it is deleted only when the app is taken away from there",
        )),
        (false, false) => {
            let before = settings::of(&apps::find(core, &key).await?);
            forget(core, &key).await?;
            Ok(changed(Some(&before), None).tell(RemoveAppResponse::default()))
        }
    }
}

async fn forget(core: &Core, key: &AppKey) -> Result<(), Fault> {
    if let Some(work) = db::deployments::at_work(&core.db, key.as_str()).await? {
        return Err(Fault::new(FaultKind::Conflict, format!("{} works on {key}", work.job.actor))
            .hint(format!("Wait for deployment {} to end, or cancel it.", work.job.id)));
    }
    if !db::apps::remove(&core.db, key.as_str()).await? {
        return Err(apps::no_app(key));
    }
    core.reload().await
}

/// All apps that are seen, by key.
pub(crate) fn list(seen: Sight<'_>) -> Vec<App> {
    seen.apps().iter().map(|known| app(seen.fleet, known)).collect()
}

/// One app, if it is seen.
pub(crate) fn find(seen: Sight<'_>, key: &AppKey) -> Result<App, Fault> {
    Ok(app(seen.fleet, &*seen.app(key)?))
}

/// The host an app runs on, for a call about it.
pub(crate) fn host_of(app: &App) -> Result<HostName, Fault> {
    HostName::try_from(app.host.as_str())
        .map_err(|_| Fault::new(FaultKind::NotFound, format!("{} has no host", app.key)))
}

fn app(fleet: &Fleet, known: &fleet::App) -> App {
    let row = &known.row;
    let mut app = App {
        key: known.key.to_string(),
        name: row.app_name.clone(),
        host: known.host().to_owned(),
        domain: settings::full_name(&row.subdomain, &row.domain),
        unit_name: known.unit().to_string(),
        secrets_version: u32::try_from(row.secrets_version).unwrap_or_default(),
        ..App::default()
    };
    let fleet::Deployed { live, work } = fleet.deployed(&app.key);
    (app.live, app.work) = (live, work);
    if let Some(host) = fleet.host(known.host()) {
        host.look(|picture| see(&mut app, picture));
    }
    app
}

fn see(app: &mut App, picture: &Picture) {
    app.unit = picture.units.get(&app.unit_name).cloned();
    app.metrics = picture.unit_metrics(&app.unit_name).cloned();
    app.seen_usec = picture.seen_usec;
    app.set_state(match &picture.link {
        LinkState::Connected => state_of(app.unit.as_ref()),
        LinkState::Unreachable(_) => AppState::Unreachable,
        LinkState::Pending | LinkState::Connecting => AppState::Unspecified,
    });
}

fn state_of(unit: Option<&Unit>) -> AppState {
    let Some(unit) = unit.filter(|u| u.load_state != "not-found") else {
        return AppState::NotInstalled;
    };
    match unit.active_state.as_str() {
        "active" | "reloading" => AppState::Running,
        "activating" => AppState::Starting,
        "deactivating" => AppState::Stopping,
        "failed" => AppState::Failed,
        _ => AppState::Stopped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_told_apart() {
        let unit = |load: &str, active: &str| Unit {
            load_state: load.into(),
            active_state: active.into(),
            ..Unit::default()
        };
        assert_eq!(state_of(None), AppState::NotInstalled);
        assert_eq!(state_of(Some(&unit("not-found", "inactive"))), AppState::NotInstalled);
        assert_eq!(state_of(Some(&unit("loaded", "inactive"))), AppState::Stopped);
        assert_eq!(state_of(Some(&unit("loaded", "failed"))), AppState::Failed);
        assert_eq!(state_of(Some(&unit("loaded", "reloading"))), AppState::Running);
    }
}
