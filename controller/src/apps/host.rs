//! Looks at what a host has of an app. The controller looks for itself; what changes something goes through the gate.

use std::time::Duration;

use hms_proto::{
    controller::v1::PlanRequest,
    fault::{Fault, FaultKind},
    host::v1::{
        AppOnHost, AppPlan, GetAppRequest, JobKind, PlanAppRequest, RestartKind,
        app_service_client::AppServiceClient,
    },
    names::{AppKey, ReleaseId},
};
use tonic::transport::Channel;

use super::{find, request, secrets, settings};
use crate::{
    db::apps::App,
    fleet::{Host, LinkState, as_controller},
    state::Core,
};

/// A look takes no longer. A plan compares many files.
const LOOK: Duration = Duration::from_secs(20);

/// What the app's host has of it.
pub(crate) async fn releases(core: &Core, key: &AppKey) -> Result<AppOnHost, Fault> {
    let app = find(core, key).await?;
    get(&*of(core, &app)?, key.as_str()).await
}

/// What a host has of an app.
pub(crate) async fn get(host: &Host, key: &str) -> Result<AppOnHost, Fault> {
    let mut client = client(host)?;
    in_time(host, client.get(as_controller(GetAppRequest { key: key.into() }))).await
}

/// What work on an app would change.
pub(crate) async fn plan(core: &Core, asked: PlanRequest) -> Result<AppPlan, Fault> {
    let key = AppKey::try_from(asked.key.as_str())?;
    if !asked.release.is_empty() {
        ReleaseId::try_from(asked.release.as_str())?;
    }
    let app = find(core, &key).await?;
    let kind = match asked.kind() {
        JobKind::Script => JobKind::Apply,
        kind => kind,
    };
    ask_for_plan(core, &app, kind, asked.release, asked.restart).await
}

async fn ask_for_plan(
    core: &Core,
    app: &App,
    kind: JobKind,
    release: String,
    restart: i32,
) -> Result<AppPlan, Fault> {
    let host = of(core, app)?;
    let key = AppKey::try_from(app.app_key.as_str())?;
    let rollback = kind == JobKind::Rollback;
    let spec = if rollback { None } else { Some(settings::complete_spec(app)?) };
    let set = secrets::latest(core, &key).await?;
    let names = spec.as_ref().map(|spec| request::delivered(spec, &set).map(|s| s.name.clone()).collect());
    let request = PlanAppRequest {
        spec,
        kind: kind.into(),
        release,
        secrets_version: if rollback { 0 } else { set.version() },
        secret_names: names.unwrap_or_default(),
        restart,
        key: app.app_key.clone(),
    };
    let mut client = client(&host)?;
    in_time(&host, client.plan(as_controller(request))).await
}

/// The text of a file that somebody changed by hand on the host.
pub(super) async fn changed_file(core: &Core, app: &App, item: &str) -> Result<String, Fault> {
    let plan = ask_for_plan(core, app, JobKind::Apply, String::new(), RestartKind::Auto.into()).await?;
    let changed = plan.changes.into_iter().find(|change| change.item == item && !change.drift.is_empty());
    changed.map(|change| change.there).filter(|text| !text.is_empty()).ok_or_else(|| {
        Fault::new(FaultKind::Conflict, format!("nobody changed the {item} file of {} by hand", app.app_key))
            .hint("`hmsctl apps plan` shows what was changed by hand.")
    })
}

/// The host that an app is on.
pub(crate) fn of(core: &Core, app: &App) -> Result<std::sync::Arc<Host>, Fault> {
    let name = app.deployed_server.as_deref().unwrap_or_default();
    core.fleet.host(name).ok_or_else(|| {
        Fault::not_found("host", name).hint(format!("`hmsctl apps edit {}` names another one.", app.app_key))
    })
}

fn client(host: &Host) -> Result<AppServiceClient<Channel>, Fault> {
    let name = &host.row.name;
    let unreachable = |why: String| Err(Fault::new(FaultKind::Unreachable, why));
    match host.look(|picture| picture.link.clone()) {
        LinkState::Connected | LinkState::Connecting => Ok(AppServiceClient::new(host.channel.clone())),
        LinkState::Pending => unreachable(format!("the agent of {name} has not joined yet")),
        LinkState::Unreachable(why) => {
            host.retry_now();
            unreachable(format!("{name} cannot be reached: {why}"))
        }
    }
}

async fn in_time<T>(
    host: &Host,
    answer: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>,
) -> Result<T, Fault> {
    match tokio::time::timeout(LOOK, answer).await {
        Ok(answer) => answer.map(tonic::Response::into_inner).map_err(|status| Fault::from_status(&status)),
        Err(_) => {
            let said = format!("{} did not answer within {} s", host.row.name, LOOK.as_secs());
            Err(Fault::new(FaultKind::Unreachable, said))
        }
    }
}
