//! REST: JSON over HTTPS with a bearer token. Its bodies are the JSON forms of the contract's messages.

mod account;
mod app_settings;
mod apps;
mod audit;
mod auth;
mod bearer;
mod configs;
mod deployments;
mod document;
mod exact;
mod health;
mod hosts;
mod jobs;
mod json;
mod links;
mod logs;
mod meter;
mod once;
mod problem;
mod query;
mod runs;
mod schedules;
mod scripts;
mod secrets;
mod shape;
mod users;

use axum::{
    Router,
    body::Bytes,
    http::header,
    middleware::{from_fn, from_fn_with_state},
    response::Response,
    routing::get,
};
use hms_proto::fault::Fault;
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::state::State;
use problem::Problem;
pub(super) use shape::as_problem;

#[derive(OpenApi)]
#[openapi(
    info(title = "HMS", description = "Everything that one installation of HMS does. Get a token with `POST /api/auth/login`, or make one for a machine with `POST /api/tokens`."),
    tags((name = "auth", description = "Tokens"), (name = "account", description = "The caller's own account, sessions and tokens"), (name = "users", description = "Accounts of everybody"),
        (name = "hosts", description = "Managed hosts"), (name = "apps", description = "Rails apps"), (name = "deployments", description = "Work on apps"), (name = "secrets", description = "Secrets of apps"), (name = "logs", description = "Logs"),
        (name = "scripts", description = "Troubleshooting scripts"), (name = "runs", description = "What runs and ran"), (name = "schedules", description = "What runs by itself"),
        (name = "configs", description = "nginx configurations"), (name = "audit", description = "Who did what"), (name = "health", description = "How the installation is")),
)]
struct Document;

/// Routes under `/api`.
pub(super) fn router(state: &State) -> Router<State> {
    let (router, _) = parts();
    let document = document();
    let served = once::Served::new(&document);
    let once = once::Once::new(state, served.clone());
    // Anybody may have it: all get the same bytes.
    let document = Bytes::from(serde_json::to_vec(&document).expect("it is data"));
    let json = [(header::CONTENT_TYPE, "application/json")];
    router
        .route("/api/openapi.json", get(async move || (json, document)))
        .route("/api", axum::routing::any(nothing_here))
        .route("/api/{*anything}", axum::routing::any(nothing_here))
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn(shape::unless_known))
        .layer(from_fn_with_state(once, once::once))
        .layer(from_fn_with_state(meter::Meter::new(state, served), meter::measure))
}

/// The document that is served, also by the page that shows it.
pub(super) fn document() -> serde_json::Value {
    document::finished(&parts().1)
}

/// The routes, and the document that describes them.
pub(super) fn parts() -> (Router<State>, utoipa::openapi::OpenApi) {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(auth::login))
        .routes(routes!(auth::invitation))
        .routes(routes!(auth::refresh))
        .routes(routes!(auth::logout))
        .routes(routes!(account::get))
        .routes(routes!(account::whoami))
        .routes(routes!(account::confirm))
        .routes(routes!(account::password))
        .routes(routes!(account::begin_totp))
        .routes(routes!(account::enable_totp))
        .routes(routes!(account::disable_totp))
        .routes(routes!(account::recovery_codes))
        .routes(routes!(account::explain))
        .routes(routes!(account::sessions))
        .routes(routes!(account::end_session))
        .routes(routes!(account::tokens, account::create_token))
        .routes(routes!(account::revoke_token))
        .routes(routes!(users::list, users::invite))
        .routes(routes!(users::get, users::edit, users::remove))
        .routes(routes!(users::disable))
        .routes(routes!(users::enable))
        .routes(routes!(users::reset))
        .routes(routes!(users::sessions, users::end_sessions))
        .routes(routes!(users::end_session))
        .routes(routes!(users::tokens))
        .routes(routes!(users::all_tokens))
        .routes(routes!(users::revoke_token))
        .routes(routes!(hosts::list, hosts::add))
        .routes(routes!(hosts::get, hosts::remove))
        .routes(routes!(hosts::token))
        .routes(routes!(hosts::labels))
        .routes(routes!(audit::list))
        .routes(routes!(audit::records))
        .routes(routes!(audit::chain))
        .routes(routes!(audit::export))
        .routes(routes!(health::get))
        .routes(routes!(apps::list, app_settings::add))
        .routes(routes!(apps::get, app_settings::remove))
        .routes(routes!(app_settings::get, app_settings::put, app_settings::patch))
        .routes(routes!(app_settings::adopt))
        .routes(routes!(apps::start))
        .routes(routes!(apps::stop))
        .routes(routes!(apps::restart))
        .routes(routes!(deployments::deploy))
        .routes(routes!(deployments::apply))
        .routes(routes!(deployments::rollback))
        .routes(routes!(deployments::plan))
        .routes(routes!(deployments::releases))
        .routes(routes!(deployments::of_app))
        .routes(routes!(deployments::list))
        .routes(routes!(deployments::get))
        .routes(routes!(deployments::cancel))
        .routes(routes!(secrets::list, secrets::put))
        .routes(routes!(secrets::import))
        .routes(routes!(secrets::rotate))
        .routes(routes!(secrets::reveal))
        .routes(routes!(logs::of_app))
        .routes(routes!(logs::all))
        .routes(routes!(logs::nginx_access))
        .routes(routes!(logs::nginx_error))
        .routes(routes!(logs::histogram))
        .routes(routes!(scripts::list, scripts::sync))
        .routes(routes!(scripts::get))
        .routes(routes!(scripts::run))
        .routes(routes!(runs::list))
        .routes(routes!(runs::get))
        .routes(routes!(runs::cancel))
        .routes(routes!(runs::warnings))
        .routes(routes!(jobs::get))
        .routes(routes!(jobs::output))
        .routes(routes!(schedules::list, schedules::add))
        .routes(routes!(schedules::remove))
        .routes(routes!(schedules::pause))
        .routes(routes!(schedules::resume))
        .routes(routes!(configs::list))
        .routes(routes!(configs::get, configs::put))
        .routes(routes!(configs::versions))
        .routes(routes!(configs::version))
        .routes(routes!(configs::restore))
        .routes(routes!(configs::test))
        .routes(routes!(configs::apply))
        .routes(routes!(configs::confirm))
        .routes(routes!(configs::revert))
        .routes(routes!(configs::reload))
        .routes(routes!(configs::route))
        .routes(routes!(configs::drift))
        .routes(routes!(configs::adopt))
        .split_for_parts()
}

async fn nothing_here(uri: axum::http::Uri) -> Problem {
    Fault::not_found("resource", uri.path()).hint("`/api/openapi.json` lists what there is.").into()
}

async fn wrong_method(method: axum::http::Method) -> Response {
    let fault = Fault::invalid(format!("{method} is not for this resource"));
    problem::with_status(axum::http::StatusCode::METHOD_NOT_ALLOWED, fault.into())
}

#[cfg(test)]
#[path = "apps_tests.rs"]
mod apps_as_data;
#[cfg(test)]
#[path = "audit_tests.rs"]
mod audit_as_file;
#[cfg(test)]
#[path = "port_tests.rs"]
mod port;
#[cfg(test)]
#[path = "scripts_and_runs_tests.rs"]
mod scripts_and_runs;
#[cfg(test)]
#[path = "strict_tests.rs"]
mod strict;
#[cfg(test)]
#[path = "whole_tests.rs"]
mod whole;

#[cfg(test)]
mod tests {
    use super::*;

    /// The paths of the plan; a change of the interface shows here.
    #[test]
    fn the_interface_is_as_reviewed() {
        let document = document();
        assert_eq!(document["openapi"].as_str().map(|v| &v[..3]), Some("3.1"));
        let mut lines = Vec::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            lines.extend(item.as_object().unwrap().iter().map(|(verb, operation)| {
                let id = operation["operationId"].as_str().unwrap_or_default();
                format!("{:<7}{path} {id}", verb.to_uppercase())
            }));
        }
        lines.sort();
        insta::assert_snapshot!(lines.join("\n"));
    }
}
