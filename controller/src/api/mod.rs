//! The faces of the controller: gRPC, REST and pages.

mod audit;
mod configs;
pub(crate) mod door;
mod elsewhere;
pub(crate) mod grpc;
mod pages;
mod rest;

use axum::{
    Router,
    body::Body,
    extract::{DefaultBodyLimit, Request, State as Shared},
    http::HeaderValue,
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::get,
};
use http::{HeaderName, StatusCode, header};
use http_body_util::Limited;
use tower::ServiceBuilder;
use tower_http::{catch_panic::CatchPanicLayer, csrf::CsrfLayer, set_header::SetResponseHeaderLayer};

use crate::state::State;

/// The largest form or JSON document.
const LARGEST: usize = 64 * 1024;
/// The same where configuration files travel: 1 MiB of text, percent-encoded where it is a form.
const LARGEST_CONFIG: usize = 4 << 20;

/// The HTTPS port: pages, REST, and the two gRPC methods by which certificates are had.
pub(crate) fn router(state: State) -> Router {
    let joining = grpc::joining(&state.core);
    Router::new()
        .merge(pages::router())
        .merge(rest::router(&state))
        .route("/livez", get(async || "ok"))
        .route("/readyz", get(ready))
        .fallback(async || pages::nothing_here())
        .method_not_allowed_fallback(async || StatusCode::METHOD_NOT_ALLOWED)
        .with_state(state.clone())
        // Ours are the only limits.
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn(limit))
        .layer(middleware::from_fn(unpacked))
        // A browser says where a request comes from; one from another site is refused before anything else is looked at.
        .layer(CsrfLayer::new())
        .layer(middleware::from_fn_with_state(state, elsewhere::record))
        .merge(joining)
        .layer(CatchPanicLayer::new())
        .layer(middleware::from_fn(rest::as_problem))
        .layer(middleware::from_fn(pages::as_page))
        .layer(headers())
}

/// Refuses a body that is too large: at once where its length is told, else when it is read so far.
async fn limit(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    // Files of apps, texts of `.env` files and scripts, too.
    let texts = ["/configs/", "/api/configs/", "/apps/", "/api/apps", "/api/scripts"];
    let most = if texts.iter().any(|begin| path.starts_with(begin)) { LARGEST_CONFIG } else { LARGEST };
    let told = request.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
    if told.is_some_and(|length: usize| length > most) {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    }
    next.run(request.map(|body| Body::new(Limited::new(body, most)))).await
}

/// Bodies are taken as they are: one that would have to be unpacked is refused, however large it would be then.
async fn unpacked(request: Request, next: Next) -> Response {
    let told = request.headers().get_all(header::CONTENT_ENCODING);
    if told.iter().any(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, [(header::ACCEPT_ENCODING, "identity")]).into_response();
    }
    next.run(request).await
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
        // The page of the editor has a stricter one of its own: with a nonce for its styles.
        .layer(SetResponseHeaderLayer::if_not_present(
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(hms_web::CSP),
        ))
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
mod matrix_tests;
#[cfg(test)]
mod tests;
