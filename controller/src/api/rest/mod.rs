//! REST: JSON over HTTPS with a bearer token. Its bodies are the JSON forms of the contract's messages.

mod app_settings;
mod apps;
mod auth;
mod bearer;
mod configs;
mod deployments;
mod jobs;
mod json;
mod logs;
mod problem;
mod runs;
mod schedules;
mod scripts;
mod secrets;

use axum::{Json, Router, response::Response, routing::get};
use hms_proto::fault::Fault;
use utoipa::{
    Modify, OpenApi,
    openapi::security::{Http, HttpAuthScheme, SecurityScheme},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::state::State;
use problem::Problem;

#[derive(OpenApi)]
#[openapi(
    info(title = "HMS", description = "Apps, deployments, logs, scripts and runs of one installation. Get a token with `POST /api/auth/login`."),
    modifiers(&Bearer),
    tags((name = "auth", description = "Tokens"), (name = "apps", description = "Rails apps"), (name = "deployments", description = "Work on apps"), (name = "secrets", description = "Secrets of apps"), (name = "logs", description = "Logs"),
        (name = "scripts", description = "Troubleshooting scripts"), (name = "runs", description = "What runs and ran"), (name = "schedules", description = "What runs by itself"),
        (name = "configs", description = "nginx configurations")),
)]
struct Document;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme =
            SecurityScheme::Http(Http::builder().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build());
        document.components.get_or_insert_default().add_security_scheme("bearer", scheme);
    }
}

/// Routes under `/api`.
pub(super) fn router() -> Router<State> {
    let (router, document) = parts();
    let document = serde_json::to_value(&document).unwrap_or_default();
    router
        .route("/api/openapi.json", get(async move || Json(document)))
        .route("/api", axum::routing::any(nothing_here))
        .route("/api/{*anything}", axum::routing::any(nothing_here))
        .method_not_allowed_fallback(wrong_method)
}

/// The routes, and the document that describes them.
pub(super) fn parts() -> (Router<State>, utoipa::openapi::OpenApi) {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(auth::login))
        .routes(routes!(auth::invitation))
        .routes(routes!(auth::refresh))
        .routes(routes!(auth::logout))
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
        .routes(routes!(scripts::list))
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
#[path = "scripts_and_runs_tests.rs"]
mod scripts_and_runs;

#[cfg(test)]
mod tests {
    use super::*;

    /// The paths of the plan; a change of the interface shows here.
    #[test]
    fn the_interface_is_as_reviewed() {
        let (_, document) = parts();
        let document = serde_json::to_value(&document).unwrap();
        assert_eq!(document["openapi"].as_str().map(|v| &v[..3]), Some("3.1"));
        let mut lines = Vec::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            lines.extend(
                item.as_object().unwrap().keys().map(|verb| format!("{:<5}{path}", verb.to_uppercase())),
            );
        }
        lines.sort();
        insta::assert_snapshot!(lines.join("\n"));
    }
}
