//! The pages: handlers that fill the structs of hms-web.

mod account;
mod api_docs;
mod app;
mod app_form;
mod app_plan;
mod app_secrets;
mod app_settings;
mod apps;
mod asked;
mod audit;
mod configs;
mod confirm;
mod dashboard;
mod deploy;
mod deploy_events;
mod deployments;
mod events;
mod hosts;
mod login;
mod logs;
mod people_form;
mod problem;
mod run_events;
mod runs;
mod schedules;
mod script_form;
mod scripts;
mod session;
mod settings;
mod users;
mod view;
mod view_apps;
mod view_jobs;
mod view_people;

use axum::{
    Router,
    extract::Path,
    http::{HeaderMap, header},
    middleware,
    response::{Html, IntoResponse, Response},
    routing::{MethodRouter, get, post},
};
use hms_web::{
    Frame, Template,
    frame::{PaletteEntry, Place},
};
use http::StatusCode;

use crate::{auth::Caller, fleet::now_usec, state::State};

pub(super) use problem::{Problem, as_page, nothing_here};
pub(super) use session::address_of;

/// Paths of the pages. Those that need nobody to be logged in are `/login` and `/static/`.
pub(super) fn routes() -> [(&'static str, MethodRouter<State>); 62] {
    [
        ("/", get(dashboard::show)),
        ("/events", get(events::stream)),
        ("/logs", get(logs::show)),
        ("/logs/rows", get(logs::rows)),
        ("/logs/line", get(logs::line)),
        ("/logs/histogram", get(logs::histogram)),
        ("/logs/download", get(logs::download)),
        ("/deploy", get(deploy::show)),
        ("/deployments/{id}", get(deployments::show)),
        ("/deployments/{id}/cancel", post(deployments::cancel)),
        ("/apps/new", get(app_settings::new).post(app_settings::add)),
        ("/apps/{key}", get(app::show)),
        ("/apps/{key}/settings", get(app_settings::show).post(app_settings::save)),
        ("/apps/{key}/secrets", get(app_secrets::show).post(app_secrets::act)),
        ("/apps/{key}/plan", get(app_plan::show)),
        ("/apps/{key}/deploy", post(app::deploy)),
        ("/apps/{key}/apply", post(app::apply)),
        ("/apps/{key}/rollback", get(app_plan::ask_rollback).post(app::roll_back)),
        ("/apps/{key}/adopt", post(app::adopt)),
        ("/apps/{key}/remove", get(app::ask_removal).post(app::remove)),
        ("/apps/{key}/{verb}", post(apps::act)),
        ("/configs", get(configs::show)),
        ("/configs/{host}", post(configs::act)),
        ("/configs/{host}/new", get(configs::new)),
        ("/configs/{host}/{*path}", get(configs::open).post(configs::change)),
        ("/config-versions/{id}", get(configs::version)),
        ("/hosts", get(hosts::show).post(hosts::add)),
        ("/hosts/{name}/token", post(hosts::token)),
        ("/hosts/{name}/remove", post(hosts::remove)),
        ("/hosts/{name}/labels", post(hosts::label)),
        ("/scripts", get(scripts::list)),
        ("/scripts/{name}", get(scripts::show)),
        ("/scripts/{name}/preview", post(scripts::preview)),
        ("/scripts/{name}/run", post(scripts::run)),
        ("/scripts/{name}/schedule", post(scripts::schedule)),
        ("/runs", get(runs::list)),
        ("/runs/{id}", get(runs::show)),
        ("/runs/{id}/cancel", post(runs::cancel)),
        ("/jobs/{id}/output", get(runs::download)),
        ("/schedules", get(schedules::list)),
        ("/schedules/{id}/pause", post(schedules::pause)),
        ("/schedules/{id}/remove", post(schedules::remove)),
        ("/audit", get(audit::show)),
        ("/audit/export.csv", get(audit::csv)),
        ("/audit/export.ndjson", get(audit::ndjson)),
        ("/settings", get(settings::show)),
        ("/settings/password", post(account::change_password)),
        ("/settings/totp", post(account::second_factor)),
        ("/settings/sessions/end-others", post(settings::end_others)),
        ("/settings/sessions/{id}/revoke", post(settings::revoke)),
        ("/settings/tokens/new", get(account::new_token).post(account::make_token)),
        ("/settings/tokens/{id}/revoke", post(account::revoke_token)),
        ("/settings/users", get(users::list)),
        ("/settings/users/{name}", get(users::show).post(users::act)),
        ("/settings/invite", get(users::new).post(users::invite)),
        ("/settings/api", get(api_docs::show)),
        ("/confirm", get(confirm::show).post(confirm::prove)),
        ("/login", get(login::show).post(login::enter)),
        ("/login/code", get(login::code_page).post(login::code)),
        ("/login/invitation", get(login::invitation).post(login::accept)),
        ("/logout", post(login::leave)),
        ("/static/{*path}", get(asset)),
    ]
}

/// The pages.
pub(super) fn router() -> Router<State> {
    let routes =
        routes().into_iter().fold(Router::new(), |router, (path, methods)| router.route(path, methods));
    routes.layer(middleware::from_fn(confirm::offer))
}

/// A page, whole.
pub(super) fn page(template: &impl Template) -> Response {
    Html(hms_web::events::html(template)).into_response()
}

/// Whether the form was sent by the page's script, which wants only what changed.
fn wants_fragment(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    accept.contains("fragment=1")
}

fn role(caller: &Caller) -> hms_web::Role {
    match caller.role {
        hms_proto::Role::Admin => hms_web::Role::Admin,
        hms_proto::Role::Operator => hms_web::Role::Operator,
        hms_proto::Role::Viewer | hms_proto::Role::Unspecified => hms_web::Role::Viewer,
    }
}

fn view(caller: &Caller) -> hms_web::View {
    hms_web::View { role: role(caller), now_us: now_usec() }
}

async fn frame(state: &State, caller: &Caller, place: Place, title: &str) -> Frame {
    let mut palette = PaletteEntry::places();
    if role(caller).administers() {
        palette.extend(PaletteEntry::admin_places());
    }
    let seen = state.fleet.seen_by(caller);
    for app in seen.apps() {
        palette.extend(PaletteEntry::app(app.key.as_str(), app.host(), role(caller)));
    }
    palette.extend(configs::palette(state, caller));
    palette.extend(seen.hosts().iter().map(|h| PaletteEntry::host(&h.row.name)));
    // Without the database the palette has what the fleet knows.
    let scripts = crate::db::scripts::list(&state.db).await.unwrap_or_default();
    palette.extend(scripts.iter().map(|script| PaletteEntry::script(&script.name, &script.title)));
    Frame {
        view: view(caller),
        place,
        title: title.into(),
        username: caller.name.clone(),
        palette,
        ..Frame::default()
    }
}

async fn asset(Path(path): Path<String>, headers: HeaderMap) -> Response {
    let Some(asset) = hms_web::assets::get(&path) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let accepts = |name| {
        headers.get(header::ACCEPT_ENCODING).and_then(|v| v.to_str().ok()).is_some_and(|v| v.contains(name))
    };
    let fixed = [
        (header::CONTENT_TYPE, asset.mime),
        (header::CACHE_CONTROL, hms_web::assets::CACHE_CONTROL),
        (header::VARY, "accept-encoding"),
    ];
    match asset.gzip {
        Some(gzip) if accepts("gzip") => (fixed, [(header::CONTENT_ENCODING, "gzip")], gzip).into_response(),
        _ => (fixed, asset.bytes).into_response(),
    }
}
