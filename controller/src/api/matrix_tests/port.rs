//! The HTTPS port, and somebody who asks there: with a cookie and with a token, so that pages and REST know them alike.

use std::net::SocketAddr;

use axum::{Router, extract::ConnectInfo};
use futures_util::future::try_join_all;
use http::{HeaderName, Method, Request, Response, StatusCode, Uri, Version, header};
use serde_json::Value;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tower::ServiceExt as _;

use super::*;
use crate::api;

/// REST lets a caller make 100 requests at once: a login is used for fewer.
const PER_LOGIN: u32 = 80;

/// So many ask at the same time, each with logins that are this many apart.
const AT_ONCE: usize = 4;
const FAR: u32 = 10_000;

/// A pool that does not try each connection before it is used: the server is there.
pub(super) async fn trusting(options: PgPoolOptions, database: PgConnectOptions) -> anyhow::Result<PgPool> {
    Ok(options.test_before_acquire(false).connect_with(database).await?)
}

/// Has each client do this with its part, all at the same time.
pub(super) async fn shared<'a, T, R>(
    clients: &'a mut [Client<'_>],
    all: &'a [T],
    ask: impl AsyncFn(&mut Client<'_>, &'a [T]) -> anyhow::Result<R>,
) -> anyhow::Result<Vec<R>> {
    let parts = all.chunks(all.len().div_ceil(clients.len()));
    try_join_all(clients.iter_mut().zip(parts).map(|(client, part)| ask(client, part))).await
}

/// One request to be.
#[derive(Debug, Clone)]
pub(super) struct Asking {
    pub(super) method: Method,
    pub(super) uri: String,
    pub(super) headers: Vec<(HeaderName, String)>,
    pub(super) version: Version,
    pub(super) body: Option<Value>,
}

impl Asking {
    /// As a page or a program of this site asks.
    pub(super) fn new(method: &Method, uri: impl Into<String>) -> Self {
        Self {
            method: method.clone(),
            uri: uri.into(),
            headers: vec![(header::ORIGIN, "https://localhost".into())],
            version: Version::HTTP_11,
            body: None,
        }
    }

    pub(super) fn with(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn saying(self, body: Option<Value>) -> Self {
        Self { body, ..self }
    }
}

/// Somebody at the port, or nobody.
pub(super) struct Client<'a> {
    state: &'a State,
    router: Router,
    user: Option<Uuid>,
    logins: Vec<(HeaderName, String)>,
    asked: u32,
}

impl<'a> Client<'a> {
    /// A user with this role and the whole installation; without a role, nobody.
    pub(super) async fn new(state: &'a State, role: Option<Role>) -> anyhow::Result<Self> {
        let user = match role {
            Some(role) => {
                let name = hms_proto::access::role_word(role);
                Some(db::users::add(&state.db, &format!("a-{name}"), role, "x").await?.id)
            }
            None => None,
        };
        Ok(Self { router: api::router(state.clone()), state, user, logins: Vec::new(), asked: 0 })
    }

    /// The same at the same port, several times: with logins of their own, and from other networks. While one waits for the
    /// database, another is answered.
    pub(super) fn at_once(&self) -> [Self; AT_ONCE] {
        let asked = |n: usize| u32::try_from(n).unwrap_or_default() * FAR * PER_LOGIN;
        std::array::from_fn(|n| Self {
            router: self.router.clone(),
            logins: Vec::new(),
            asked: asked(n),
            ..*self
        })
    }

    /// Logs in anew: nothing is left of what happened to the login before.
    pub(super) async fn log_in(&mut self) -> anyhow::Result<()> {
        let Some(user) = self.user else { return Ok(()) };
        let cookie = self.state.auth.entered_by_web(user).await?;
        let token = self.state.auth.entered_by_rest(user).await?;
        self.logins = vec![(header::COOKIE, cookie), (header::AUTHORIZATION, format!("Bearer {token}"))];
        Ok(())
    }

    /// How it was answered, before anything of a body.
    pub(super) async fn ask(&mut self, asking: &Asking) -> anyhow::Result<Response<Body>> {
        if self.asked.is_multiple_of(PER_LOGIN) {
            self.log_in().await?;
        }
        self.asked += 1;
        // What is no address at all does not get through HTTP.
        let Ok(uri) = asking.uri.parse::<Uri>() else {
            return Ok(Response::builder().status(StatusCode::BAD_REQUEST).body(Body::empty())?);
        };
        let from = SocketAddr::from(((self.asked / 16 + 1).to_be_bytes(), 40_000));
        let body = asking.body.as_ref().map(ToString::to_string);
        let mut request = Request::builder()
            .method(&asking.method)
            .uri(uri)
            .version(asking.version)
            .header(header::HOST, "localhost")
            .extension(ConnectInfo(from));
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        for (name, value) in self.logins.iter().chain(&asking.headers) {
            request = request.header(name, value);
        }
        let request = request.body(body.map_or_else(Body::empty, Body::from))?;
        Ok(self.router.clone().oneshot(request).await.unwrap_or_else(|never| match never {}))
    }
}

/// Whether a caller was refused for what they are: they have to log in, or may not.
pub(super) fn is_refused(answer: &Response<Body>) -> bool {
    let place = answer.headers().get(header::LOCATION).and_then(|place| place.to_str().ok());
    let status = answer.status();
    status == StatusCode::UNAUTHORIZED
        || status == StatusCode::FORBIDDEN
        || place.is_some_and(|place| place.starts_with("/login"))
}

/// Whether something was done or shown.
pub(super) fn is_done(answer: &Response<Body>) -> bool {
    !is_refused(answer) && (answer.status().is_success() || answer.status().is_redirection())
}

/// Each address with its pattern; each names what is at this place, where that is possible.
pub(super) fn addresses(place: &Place) -> Vec<(String, String)> {
    let (_, document) = super::super::rest::parts();
    let own = ["/livez", "/readyz", "/api/openapi.json"].map(ToOwned::to_owned);
    let pages = super::super::pages::routes().into_iter().map(|(pattern, _)| pattern.to_owned());
    let all = pages.chain(document.paths.paths.into_keys()).chain(own);
    all.map(|pattern| (filled(&pattern, place), pattern)).collect()
}

/// An address of this pattern.
pub(super) fn filled(pattern: &str, place: &Place) -> String {
    let part = |part: &str| match part {
        "{key}" | "{app}" => place.app.clone(),
        "{name}" if pattern.contains("/secrets/") => "A_SECRET".into(),
        "{name}" if pattern.contains("/scripts") => "hello".into(),
        "{name}" if pattern.contains("/users") => "nobody".into(),
        "{name}" | "{host}" => place.host.clone(),
        "{script}" => "hello".into(),
        "{user}" => "nobody".into(),
        "{site}" => "mine".into(),
        "{verb}" => "start".into(),
        "{version}" => place.version.to_string(),
        "{*path}" if pattern.starts_with("/static") => "nothing.css".into(),
        "{*path}" => "nginx.conf".into(),
        "{id}" if pattern.contains("config-versions") => place.version.to_string(),
        "{id}" if pattern.contains("/deployments") => place.deployment.to_string(),
        "{id}" if pattern.contains("/runs") => place.run.to_string(),
        "{id}" if pattern.contains("/jobs") => place.job.to_string(),
        "{id}" if pattern.contains("/schedules") => place.schedule.to_string(),
        part if part.starts_with('{') => Uuid::from_u128(5).to_string(),
        part => part.to_owned(),
    };
    pattern.split('/').map(part).collect::<Vec<_>>().join("/")
}
