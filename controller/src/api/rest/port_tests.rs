//! The HTTPS port as tests ask it: somebody's token, JSON out and in.

use std::net::SocketAddr;

use axum::{
    Router,
    body::{Body, Bytes},
    extract::ConnectInfo,
};
use hms_proto::Role;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use sqlx::PgPool;
use tower::ServiceExt as _;

use crate::{
    api,
    auth::{Password, Passwords},
    db,
    state::State,
};

pub(super) const PASSWORD: &str = "correct horse battery staple";

/// The port, and the token of `ada`.
pub(super) struct Port {
    pub(super) router: Router,
    pub(super) token: String,
}

/// What was answered; a body that is no JSON is null.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Value,
    pub(super) bytes: Bytes,
}

impl Answer {
    pub(super) fn header(&self, name: impl header::AsHeaderName) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

impl Port {
    /// Adds `ada`, an administrator, and logs her in.
    pub(super) async fn open(pool: &PgPool, state: State) -> anyhow::Result<Self> {
        Self::open_as(pool, state, Role::Admin).await
    }

    /// The same, with another role.
    pub(super) async fn open_as(pool: &PgPool, state: State, role: Role) -> anyhow::Result<Self> {
        let hash = Passwords::new().await?.hash(&Password::new(PASSWORD.into())).await?;
        db::users::add(pool, "ada", role, &hash).await?;
        let mut port = Self { router: api::router(state), token: String::new() };
        let login = json!({ "username": "ada", "password": PASSWORD });
        let tokens = port.ask(Method::POST, "/api/auth/login", &[], Some(login)).await?.body;
        port.token = tokens["access_token"].as_str().unwrap_or_default().into();
        Ok(port)
    }

    pub(super) fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> anyhow::Result<Request<Body>> {
        let from: SocketAddr = ([203, 0, 113, 7], 40_000).into();
        let mut request = Request::builder().method(method).uri(path).extension(ConnectInfo(from));
        request = request.header(header::HOST, "localhost");
        if !self.token.is_empty() {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", self.token));
        }
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Ok(request.body(body.map_or_else(Body::empty, |body| Body::from(body.to_string())))?)
    }

    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> anyhow::Result<Answer> {
        self.send(self.request(method, path, headers, body)?).await
    }

    pub(super) async fn send(&self, request: Request<Body>) -> anyhow::Result<Answer> {
        let answer = self.router.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
        let (status, headers) = (answer.status(), answer.headers().clone());
        let bytes = answer.into_body().collect().await?.to_bytes();
        Ok(Answer { status, headers, body: serde_json::from_slice(&bytes).unwrap_or_default(), bytes })
    }

    pub(super) async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        self.ask(Method::GET, path, &[], None).await
    }

    pub(super) async fn post(&self, path: &str, body: Value) -> anyhow::Result<Answer> {
        self.ask(Method::POST, path, &[], Some(body)).await
    }
}
