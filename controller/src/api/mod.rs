//! The faces of the controller: gRPC, REST and pages.

pub(crate) mod door;
pub(crate) mod grpc;
mod pages;
mod rest;

use axum::{Router, extract::State as Shared, http::HeaderValue, routing::get};
use http::{HeaderName, StatusCode, header};
use tower::ServiceBuilder;
use tower_http::{
    catch_panic::CatchPanicLayer, csrf::CsrfLayer, limit::RequestBodyLimitLayer,
    set_header::SetResponseHeaderLayer,
};

use crate::state::State;

/// The largest form or JSON document.
const LARGEST: usize = 64 * 1024;

/// The HTTPS port: pages, REST, and the two gRPC methods by which certificates are had.
pub(crate) fn router(state: State) -> Router {
    let joining = grpc::joining(&state.core);
    Router::new()
        .merge(pages::router())
        .merge(rest::router())
        .route("/livez", get(async || "ok"))
        .route("/readyz", get(ready))
        .fallback(async || pages::nothing_here())
        .method_not_allowed_fallback(async || StatusCode::METHOD_NOT_ALLOWED)
        .with_state(state)
        .layer(RequestBodyLimitLayer::new(LARGEST))
        // A browser says where a request comes from; one from another site is refused before anything else is looked at.
        .layer(CsrfLayer::new())
        .merge(joining)
        .layer(headers())
        .layer(CatchPanicLayer::new())
}

/// Ready means that the database answers: without it nobody can log in and nothing can be changed.
async fn ready(Shared(state): Shared<State>) -> (StatusCode, &'static str) {
    match state.is_database_up() {
        true => (StatusCode::OK, "ready"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer"),
    }
}

type Set = SetResponseHeaderLayer<HeaderValue>;

/// On every response, errors included.
fn headers() -> impl tower::Layer<
    axum::routing::Route,
    Service: tower::Service<
        http::Request<axum::body::Body>,
        Response = axum::response::Response,
        Error = std::convert::Infallible,
        Future: Send,
    > + Clone
                 + Send
                 + Sync,
> + Clone {
    let set = |name: HeaderName, value: &'static str| -> Set {
        SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value))
    };
    ServiceBuilder::new()
        .layer(set(header::CONTENT_SECURITY_POLICY, hms_web::CSP))
        .layer(set(header::STRICT_TRANSPORT_SECURITY, "max-age=63072000"))
        .layer(set(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(set(header::X_FRAME_OPTIONS, "DENY"))
        .layer(set(header::REFERRER_POLICY, "same-origin"))
        .layer(SetResponseHeaderLayer::if_not_present(
            header::CACHE_CONTROL,
            HeaderValue::from_static("no-store"),
        ))
        .into_inner()
}

#[cfg(test)]
mod tests;
