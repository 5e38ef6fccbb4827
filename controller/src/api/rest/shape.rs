//! What all answers under `/api` have in common: every error is a problem, a page names the next one, and what the client
//! has already is not sent again.

use axum::{
    Json,
    body::Body,
    extract::{OriginalUri, Request},
    middleware::Next,
    response::{IntoResponse, Response},
};
use hms_proto::fault::{Fault, FaultKind};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::problem::{self, Problem};

/// A part of a list, with what the next part is asked for with.
pub(super) struct Page<T> {
    pub(super) body: T,
    /// Empty: this is the last part.
    pub(super) next: String,
    pub(super) uri: Uri,
}

impl<T: Serialize> IntoResponse for Page<T> {
    fn into_response(self) -> Response {
        let mut response = Json(self.body).into_response();
        // RFC 8288.
        let link = format!("<{}>; rel=\"next\"", with_cursor(&self.uri, &self.next));
        if let (false, Ok(link)) = (self.next.is_empty(), HeaderValue::try_from(link)) {
            response.headers_mut().insert(header::LINK, link);
        }
        response
    }
}

/// The address of the next part: the same, but for the cursor.
fn with_cursor(uri: &Uri, cursor: &str) -> String {
    let kept = uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty() && *pair != "cursor" && !pair.starts_with("cursor="));
    let pairs: Vec<&str> = kept.collect();
    let cursor = format!("cursor={}", hms_web::text::encode(cursor));
    let query = pairs.into_iter().chain([cursor.as_str()]).collect::<Vec<_>>().join("&");
    format!("{}?{query}", uri.path())
}

/// The address that was asked for.
pub(super) type Asked = OriginalUri;

/// With a tag that is that of its content.
pub(super) fn tagged_by_content<T: Serialize>(value: &T) -> Response {
    let Ok(text) = serde_json::to_vec(value) else { return Json(value).into_response() };
    let tag = format!("\"{}\"", hex::encode(&Sha256::digest(&text)[..16]));
    ([(header::ETAG, tag), (header::CONTENT_TYPE, "application/json".into())], text).into_response()
}

/// Sends nothing where the client says that it has this very version (RFC 9110, section 13.1.2).
pub(super) async fn unless_known(request: Request, next: Next) -> Response {
    let looks = matches!(*request.method(), Method::GET | Method::HEAD);
    let known = request.headers().get(header::IF_NONE_MATCH).cloned().filter(|_| looks);
    let response = next.run(request).await;
    let tag = response.headers().get(header::ETAG);
    let same = match (known.as_ref().and_then(|k| k.to_str().ok()), tag.and_then(|t| t.to_str().ok())) {
        (Some(known), Some(tag)) => is_among(tag, known),
        _ => false,
    };
    match same && response.status() == StatusCode::OK {
        true => {
            let (mut parts, _) = response.into_parts();
            parts.status = StatusCode::NOT_MODIFIED;
            parts.headers.remove(header::CONTENT_TYPE);
            parts.headers.remove(header::CONTENT_LENGTH);
            Response::from_parts(parts, Body::empty())
        }
        false => response,
    }
}

/// Weakly compared: `W/` does not matter.
fn is_among(tag: &str, known: &str) -> bool {
    let plain = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    known.trim() == "*" || known.split(',').any(|one| plain(one) == plain(tag))
}

/// Makes a problem of an error that something before the handlers answered with.
pub(in crate::api) async fn as_problem(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let ours = path == "/api" || path.starts_with("/api/");
    let response = next.run(request).await;
    let status = response.status();
    let wrong = status.is_client_error() || status.is_server_error();
    if !ours || !wrong || is_problem(response.headers()) {
        return response;
    }
    let mut problem = problem::with_status(status, Problem::from(fault_of(status)));
    for name in [header::ACCEPT_ENCODING, header::ALLOW, header::RETRY_AFTER] {
        if let Some(value) = response.headers().get(&name) {
            problem.headers_mut().insert(name, value.clone());
        }
    }
    problem
}

fn is_problem(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/problem+json")
}

fn fault_of(status: StatusCode) -> Fault {
    match status {
        StatusCode::FORBIDDEN => Fault::new(FaultKind::Denied, "a browser sent this from another site"),
        StatusCode::NOT_FOUND => Fault::new(FaultKind::NotFound, "there is nothing here"),
        StatusCode::PAYLOAD_TOO_LARGE => Fault::invalid("the body is too large")
            .hint("A body has at most 64 KiB; files and settings 4 MiB."),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Fault::invalid("this kind of body is not read here")
            .hint("Send JSON, not compressed, with `Content-Type: application/json`."),
        status if status.is_client_error() => {
            Fault::invalid(status.canonical_reason().unwrap_or("the request is not valid").to_lowercase())
        }
        _ => Fault::new(FaultKind::Internal, "something went wrong inside HMS"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_asked_for_like_this_one() {
        for (uri, next) in [
            ("/api/runs", "/api/runs?cursor=a%26b"),
            ("/api/runs?cursor=old&limit=2", "/api/runs?limit=2&cursor=a%26b"),
            ("/api/runs?script=a%20b&cursor", "/api/runs?script=a%20b&cursor=a%26b"),
        ] {
            assert_eq!(with_cursor(&uri.parse().unwrap(), "a&b"), next);
        }
    }

    #[test]
    fn a_version_is_known_when_it_is_named() {
        assert!(is_among("\"a\"", "\"b\", W/\"a\"") && is_among("\"a\"", "*"));
        assert!(!is_among("\"a\"", "\"ab\"") && !is_among("\"a\"", ""));
    }
}
