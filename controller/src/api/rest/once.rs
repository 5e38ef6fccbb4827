//! `Idempotency-Key`: a request that is sent again has no second effect (draft-ietf-httpapi-idempotency-key-header).
//!
//! The key is written down before the act, and the answer after it. If the controller dies in between, what became of the
//! act is not known, and that is what the second request is told: it never acts.

use std::{collections::HashSet, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{MatchedPath, Request, State as Shared},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::Utc;
use hms_proto::fault::{Fault, FaultKind};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{
    bearer::Known,
    json,
    problem::{self, Problem},
};
use crate::{
    auth::Caller,
    db::idempotency::{self, Asked, Before, Turn},
    seal::Place,
    state::State,
};

pub(super) const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that an answer is the one of before.
pub(super) const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
const LONGEST_KEY: usize = 255;
/// No body of a request is larger (`api::limit`).
const LARGEST: usize = 4 << 20;
/// Larger answers are not kept: the second request is told to look instead.
const LARGEST_KEPT: usize = 256 * 1024;
/// Between two attempts to keep an answer.
const KEEP_AGAIN: Duration = Duration::from_secs(1);
/// What of a request's head makes it another request.
const OF_REQUEST: [HeaderName; 4] =
    [header::CONTENT_TYPE, header::ACCEPT, header::IF_MATCH, header::IF_NONE_MATCH];
const OF_ANSWER: [HeaderName; 4] =
    [header::CONTENT_TYPE, header::LOCATION, header::ETAG, HeaderName::from_static("x-request-id")];

/// What is needed to know a request again.
#[derive(Clone)]
pub(super) struct Once {
    state: State,
    /// This process: of those before it, nothing is under way any more.
    instance: Uuid,
    served: Served,
}

/// The paths that there are, with the verbs that each has.
#[derive(Clone)]
pub(super) struct Served(Arc<HashSet<(String, String)>>);

impl Served {
    /// Those of this document.
    pub(super) fn new(document: &serde_json::Value) -> Self {
        let paths = document["paths"].as_object().into_iter().flatten();
        let verbs = paths.flat_map(|(path, item)| {
            let verbs = item.as_object().into_iter().flat_map(|item| item.keys());
            verbs.map(|verb| (path.clone(), verb.to_uppercase()))
        });
        Self(Arc::new(verbs.collect()))
    }

    /// Whether a handler is there for a request.
    pub(super) fn has(&self, request: &Request) -> bool {
        let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
        let verb = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
        path.is_some_and(|path| self.0.contains(&(path.into(), verb.as_str().into())))
    }
}

impl Once {
    /// For these routes. A verb that a path does not have is told so, whatever the key of the request was used for.
    pub(super) fn new(state: &State, served: Served) -> Self {
        Self { state: state.clone(), instance: Uuid::now_v7(), served }
    }
}

/// An answer as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

/// Lets a request with a key act once.
pub(super) async fn once(Shared(once): Shared<Once>, request: Request, next: Next) -> Response {
    // What asks for no token has no caller to whom a key could belong, and a secret that is shown is not kept a second time.
    let caller = match request.extensions().get::<Known>() {
        Some(Known(Ok(caller))) if takes_key(&request) && once.served.has(&request) => caller.clone(),
        _ => return next.run(request).await,
    };
    match act(once, &caller, request, next).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

fn takes_key(request: &Request) -> bool {
    let reveals = request.uri().path().ends_with("/reveal");
    !request.method().is_safe() && !reveals && request.headers().contains_key(KEY)
}

async fn act(once: Once, caller: &Caller, request: Request, next: Next) -> Result<Response, Problem> {
    let key = key_of(request.headers()).map_err(Problem::of(caller))?;
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, LARGEST).await.map_err(|_| json::too_large())?;
    let asked = Asked {
        owner: caller.token.or(caller.session).unwrap_or(caller.id),
        key,
        fingerprint: fingerprint(&parts, &body),
        request_id: caller.request_id,
        instance: once.instance,
    };
    let begun = idempotency::begin(&once.state.db, &asked, Utc::now()).await;
    match begun.map_err(Fault::from).map_err(Problem::of(caller))? {
        Turn::First => {}
        Turn::Again(before) => return again(&once, &asked, &before).map_err(Problem::of(caller)),
        Turn::Full => {
            let full = Fault::new(FaultKind::Throttled, "this caller has used too many keys within a day");
            return Err(Problem::of(caller)(Fault { retry_after_s: 3600, ..full }));
        }
    }
    let request = Request::from_parts(parts, Body::from(body));
    // Runs to its end even when the client goes away: what has begun must get its answer.
    let work = tokio::spawn(async move { keep(once, asked, next.run(request).await).await });
    work.await.unwrap_or_else(|error| {
        tracing::error!(%error, "a request broke off");
        Err(Fault::new(FaultKind::Internal, "the request broke off inside the controller").into())
    })
}

/// The key, with or without the quotes that the draft wants.
fn key_of(headers: &HeaderMap) -> Result<String, Fault> {
    let mut given = headers.get_all(KEY).iter();
    let one = given.next().filter(|_| given.next().is_none()).and_then(|value| value.to_str().ok());
    let key = one
        .map(str::trim)
        .map(|text| text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text));
    let fits = |key: &&str| {
        (1..=LONGEST_KEY).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic() && b != b'"')
    };
    key.filter(fits).map(ToOwned::to_owned).ok_or_else(|| {
        Fault::invalid("an Idempotency-Key has 1 to 255 visible characters, and is given once")
            .hint("Make a new UUID for each thing that is to be done.")
    })
}

fn fingerprint(parts: &Parts, body: &Bytes) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut add = |piece: &[u8]| {
        hash.update((piece.len() as u64).to_be_bytes());
        hash.update(piece);
    };
    add(parts.method.as_str().as_bytes());
    add(parts.uri.path_and_query().map_or("", |p| p.as_str()).as_bytes());
    for name in OF_REQUEST {
        add(parts.headers.get(name).map_or(&[][..], HeaderValue::as_bytes));
    }
    add(body);
    hash.finalize().into()
}

/// What somebody is told who asks again.
fn again(once: &Once, asked: &Asked, before: &Before) -> Result<Response, Fault> {
    if before.fingerprint != asked.fingerprint {
        let fault = Fault::invalid("this Idempotency-Key was used for another request");
        let problem = Problem::from(fault.hint("Use a new key for each thing that is to be done."));
        let problem = problem.about(asked.request_id);
        return Ok(problem::with_status(StatusCode::UNPROCESSABLE_ENTITY, problem));
    }
    match before.answer.as_deref() {
        Some("") => Ok(conflict(
            before,
            FaultKind::Conflict,
            "this was done before, and its answer was too large to be kept",
        )),
        Some(answer) => opened(once, asked, answer),
        None if before.instance == once.instance => {
            let mut response =
                conflict(before, FaultKind::Conflict, "the first request with this key is still under way");
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
            Ok(response)
        }
        None => Ok(conflict(
            before,
            FaultKind::Unknown,
            "the controller was stopped while it acted on the first request with this key: it may have happened",
        )),
    }
}

/// Names the first request: that is what the audit knows it by.
fn conflict(before: &Before, kind: FaultKind, why: &str) -> Response {
    let fault = Fault::new(kind, why);
    let fault = match kind {
        FaultKind::Unknown => fault.hint(format!(
            "Look in the audit for request {}, and at the state; then use a new key.",
            before.request_id
        )),
        _ => fault,
    };
    problem::with_status(StatusCode::CONFLICT, Problem::from(fault).about(before.request_id))
}

fn row(asked: &Asked) -> String {
    format!("{}/{}", asked.owner, asked.key)
}

fn place(row: &str) -> Place<'_> {
    Place { table: "idempotency_keys", column: "answer", row }
}

fn opened(once: &Once, asked: &Asked, answer: &str) -> Result<Response, Fault> {
    let broken = || Fault::new(FaultKind::Internal, "the answer of before cannot be read");
    let plain = once.state.pki.sealer().open(place(&row(asked)), answer).map_err(|error| {
        tracing::error!(%error, "cannot open an answer");
        broken()
    })?;
    let kept: Kept = serde_json::from_slice(&plain).map_err(|_| broken())?;
    let body = STANDARD.decode(&kept.body).map_err(|_| broken())?;
    let mut response = Response::builder().status(kept.status).header(REPLAYED, "true");
    for (name, value) in &kept.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(body)).map_err(|_| broken())
}

/// Where this is the answer, nothing was done: the same request may come again, when it is allowed or well-formed.
fn nothing_was_done(status: StatusCode) -> bool {
    matches!(status.as_u16(), 400 | 401 | 403 | 404 | 405 | 412 | 413 | 415 | 428 | 429 | 502 | 503)
}

async fn keep(once: Once, asked: Asked, answer: Response) -> Result<Response, Problem> {
    if nothing_was_done(answer.status()) {
        idempotency::forget(&once.state.db, &asked).await.map_err(Fault::from)?;
        return Ok(answer);
    }
    let (parts, body) = answer.into_parts();
    let body = to_bytes(body, usize::MAX)
        .await
        .map_err(|_| Fault::new(FaultKind::Internal, "the answer broke off inside the controller"))?;
    let text =
        |name: &HeaderName| Some((name.to_string(), parts.headers.get(name)?.to_str().ok()?.to_owned()));
    let kept = Kept {
        status: parts.status.as_u16(),
        headers: OF_ANSWER.iter().filter_map(text).collect(),
        body: STANDARD.encode(&body),
    };
    let sealed = match body.len() <= LARGEST_KEPT {
        true => serde_json::to_vec(&kept)
            .ok()
            .and_then(|plain| once.state.pki.sealer().seal(place(&row(&asked)), &plain).ok())
            .unwrap_or_default(),
        false => String::new(),
    };
    written(once, asked, sealed).await;
    Ok(Response::from_parts(parts, Body::from(body)))
}

/// Writes the answer down; later, when the database is away now. Until then the second request waits.
async fn written(once: Once, asked: Asked, sealed: String) {
    let Err(error) = idempotency::answered(&once.state.db, &asked, &sealed).await else { return };
    tracing::error!(%error, request_id = %asked.request_id, "cannot keep an answer, trying again");
    tokio::spawn(async move {
        while idempotency::answered(&once.state.db, &asked, &sealed).await.is_err() {
            tokio::time::sleep(KEEP_AGAIN).await;
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_short_visible_and_alone() {
        let key = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(KEY, HeaderValue::from_str(value).unwrap());
            }
            key_of(&headers)
        };
        assert_eq!(key(&["\"8e03978e\""]).unwrap(), "8e03978e");
        assert_eq!(key(&["8e03978e"]).unwrap(), "8e03978e");
        let long = "a".repeat(256);
        for bad in [&[""][..], &["\"\""], &["a b"], &["a\"b"], &["a\tb"], &[&long], &["a", "b"], &["é"]] {
            assert!(key(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn another_request_has_another_fingerprint() {
        let print = |method: &str, uri: &str, tag: &str, body: &'static str| {
            let request = Request::builder().method(method).uri(uri).header(header::IF_MATCH, tag);
            let (parts, ()) = request.body(()).unwrap().into_parts();
            fingerprint(&parts, &Bytes::from_static(body.as_bytes()))
        };
        let one = print("POST", "/api/hosts?a=1", "\"1\"", "{}");
        assert_eq!(one, print("POST", "/api/hosts?a=1", "\"1\"", "{}"));
        for other in [
            print("PUT", "/api/hosts?a=1", "\"1\"", "{}"),
            print("POST", "/api/hosts?a=2", "\"1\"", "{}"),
            print("POST", "/api/hosts?a=1", "\"2\"", "{}"),
            print("POST", "/api/hosts?a=1", "\"1\"", "{ }"),
            print("POST", "/api/hosts?a=1", "\"1\"{}", ""),
        ] {
            assert_ne!(one, other);
        }
    }
}
