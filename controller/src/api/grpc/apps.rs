//! Apps over gRPC: rows of the database together with what the fleet sees of them.

use std::sync::Arc;

use hms_proto::{
    controller::v1::{
        AddAppRequest, App, AppState, GetAppRequest, ListAppsRequest, ListAppsResponse, RemoveAppRequest,
        RemoveAppResponse, app_service_server::AppService,
    },
    fault::{Fault, FaultKind},
    host::v1::Unit,
    names::{AppKey, HostName},
};
use tonic::{Request, Response, Status};

use crate::{
    db,
    fleet::{self, Fleet, LinkState, Picture},
    seal::Place,
    state::Core,
};

pub(super) struct Apps(pub(super) Arc<Core>);

#[tonic::async_trait]
impl AppService for Apps {
    async fn list(&self, _: Request<ListAppsRequest>) -> Result<Response<ListAppsResponse>, Status> {
        Ok(Response::new(ListAppsResponse { apps: list(&self.0.fleet) }))
    }

    async fn get(&self, request: Request<GetAppRequest>) -> Result<Response<App>, Status> {
        let key = AppKey::try_from(request.get_ref().key.as_str()).map_err(Fault::from)?;
        Ok(Response::new(find(&self.0.fleet, &key)?))
    }

    async fn add(&self, request: Request<AddAppRequest>) -> Result<Response<App>, Status> {
        let wanted = request.into_inner();
        let key = AppKey::try_from(wanted.key.as_str()).map_err(Fault::from)?;
        let host = HostName::try_from(wanted.host.as_str()).map_err(Fault::from)?;
        if self.0.fleet.host(host.as_str()).is_none() {
            return Err(Fault::not_found("host", host.as_str())
                .hint("`hmsctl host list` shows the hosts.")
                .into());
        }
        let app = new_app(&self.0, &key, &host, wanted)?;
        db::apps::add(&self.0.db, &app).await.map_err(|error| conflict(error, &key))?;
        self.0.reload().await?;
        Ok(Response::new(find(&self.0.fleet, &key)?))
    }

    async fn remove(
        &self,
        request: Request<RemoveAppRequest>,
    ) -> Result<Response<RemoveAppResponse>, Status> {
        let key = AppKey::try_from(request.get_ref().key.as_str()).map_err(Fault::from)?;
        if !db::apps::remove(&self.0.db, key.as_str()).await.map_err(Fault::from)? {
            return Err(Fault::not_found("app", key.as_str()).into());
        }
        self.0.reload().await?;
        Ok(Response::new(RemoveAppResponse {}))
    }
}

/// All apps, by key.
pub(crate) fn list(fleet: &Fleet) -> Vec<App> {
    fleet.apps().iter().map(|known| app(fleet, known)).collect()
}

/// One app.
pub(crate) fn find(fleet: &Fleet, key: &AppKey) -> Result<App, Fault> {
    let apps = fleet.apps();
    let known = apps.iter().find(|app| app.key == *key);
    known
        .map(|known| app(fleet, known))
        .ok_or_else(|| Fault::not_found("app", key.as_str()).hint("`hmsctl apps` shows the apps."))
}

/// The host an app runs on, for a call about it.
pub(crate) fn host_of(app: &App) -> Result<HostName, Fault> {
    HostName::try_from(app.host.as_str())
        .map_err(|_| Fault::new(FaultKind::NotFound, format!("{} has no host", app.key)))
}

/// The row of an app that runs already: what was not said gets a sensible value, its secrets are made here.
fn new_app(
    core: &Core,
    key: &AppKey,
    host: &HostName,
    wanted: AddAppRequest,
) -> Result<db::apps::NewApp, Fault> {
    let or = |given: String, other: &str| if given.is_empty() { other.to_owned() } else { given };
    let secret = |column| {
        let place = Place { table: "apps", column, row: key.as_str() };
        let random = hex::encode(rand::random::<[u8; 32]>());
        core.pki.sealer().seal(place, random.as_bytes()).map_err(|error| {
            tracing::error!(%error, "cannot seal a secret");
            Fault::new(FaultKind::Internal, "a secret cannot be sealed")
        })
    };
    let (database, user) =
        (format!("{}_production", key.as_str().replace('-', "_")), key.as_str().replace('-', "_"));
    Ok(db::apps::NewApp {
        app_key: key.to_string(),
        app_name: or(wanted.name, key.as_str()),
        subdomain: or(wanted.subdomain, key.as_str()),
        domain: or(wanted.domain, "localhost"),
        github_repo: wanted.git_url,
        document_root: format!("/srv/{key}/current/public"),
        database_name: database,
        database_username: user,
        database_password: secret("database_password")?,
        secret_key_base: secret("secret_key_base")?,
        api_token: secret("api_token")?,
        deployed_server: host.to_string(),
    })
}

fn conflict(error: db::Error, key: &AppKey) -> Fault {
    match error {
        db::Error::Conflict => Fault::new(FaultKind::Conflict, format!("there is an app `{key}` already")),
        other => other.into(),
    }
}

fn app(fleet: &Fleet, known: &fleet::App) -> App {
    let row = &known.row;
    let mut app = App {
        key: known.key.to_string(),
        name: row.app_name.clone(),
        host: known.host().to_owned(),
        domain: domain(&row.subdomain, &row.domain),
        unit_name: known.unit().to_string(),
        ..App::default()
    };
    if let Some(host) = fleet.host(known.host()) {
        host.look(|picture| see(&mut app, picture));
    }
    app
}

fn domain(subdomain: &str, domain: &str) -> String {
    if subdomain.is_empty() { domain.to_owned() } else { format!("{subdomain}.{domain}") }
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
