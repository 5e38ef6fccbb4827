//! Scripts and runs over REST, from the token to the output.

use std::net::SocketAddr;

use axum::{Router, body::Body, extract::ConnectInfo};
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use sqlx::PgPool;
use tower::ServiceExt as _;
use uuid::Uuid;

use crate::{
    api,
    auth::{Password, Passwords},
    db::{self, jobs, output, scripts},
    jobs::tests::controller,
};

type Test = anyhow::Result<()>;

/// The HTTPS port, and somebody's token for it.
struct Port {
    router: Router,
    token: String,
}

impl Port {
    async fn open(pool: &PgPool) -> anyhow::Result<Self> {
        let hash = Passwords::new().await?.hash(&Password::new("correct horse battery".into())).await?;
        db::users::add(pool, "ada", hms_proto::Role::Operator, &hash).await?;
        let mut port = Self { router: api::router(controller(pool).await?), token: String::new() };
        let login = json!({ "username": "ada", "password": "correct horse battery" });
        let (_, tokens) = port.json(Method::POST, "/api/auth/login", Some(login)).await?;
        port.token = tokens["access_token"].as_str().unwrap_or_default().into();
        Ok(port)
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        accept: &str,
        body: Option<Value>,
    ) -> anyhow::Result<Response<Body>> {
        let from: SocketAddr = ([203, 0, 113, 7], 40_000).into();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "localhost")
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .header(header::ACCEPT, accept)
            .header(header::CONTENT_TYPE, "application/json")
            .extension(ConnectInfo(from))
            .body(body.map_or_else(Body::empty, |body| Body::from(body.to_string())))?;
        Ok(self.router.clone().oneshot(request).await.unwrap_or_else(|never| match never {}))
    }

    async fn json(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<(StatusCode, Value)> {
        let answer = self.ask(method, path, "application/json", body).await?;
        let status = answer.status();
        let bytes = answer.into_body().collect().await?.to_bytes();
        Ok((status, serde_json::from_slice(&bytes).unwrap_or_default()))
    }

    async fn get(&self, path: &str) -> anyhow::Result<(StatusCode, Value)> {
        self.json(Method::GET, path, None).await
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_script_is_found_run_watched_and_canceled(pool: PgPool) -> Test {
    let port = Port::open(&pool).await?;
    let (_, list) = port.get("/api/scripts").await?;
    assert_eq!(
        (&list["scripts"][1]["name"], &list["scripts"][1]["parameters"][0]["kind"]),
        (&"hello".into(), &"app".into())
    );
    let (status, problem) = port.get("/api/scripts/nothing").await?;
    assert_eq!((status, &problem["type"]), (StatusCode::NOT_FOUND, &"urn:hms:problem:not_found".into()));

    let wanted = json!({ "target": { "hosts": ["web2", "web1"] }, "parameters": { "app": "cigar" } });
    let begun = port.ask(Method::POST, "/api/scripts/hello/run", "*/*", Some(wanted)).await?;
    assert_eq!(begun.status(), StatusCode::ACCEPTED);
    let place = begun.headers()[header::LOCATION].to_str()?.to_owned();
    let (_, run) = port.get(&place).await?;
    assert_eq!(
        (&run["source"], &run["state"], &run["waiting"]),
        (&"rest".into(), &"queued".into(), &2.into())
    );
    let (_, runs) = port.get("/api/runs?script=hello&limit=1").await?;
    assert_eq!((&runs["runs"][0]["id"], &runs["next_cursor"]), (&run["id"], &"".into()));

    let job = run["jobs"][0]["id"].as_str().unwrap_or_default().to_owned();
    assert_eq!(port.get(&format!("/api/jobs/{job}")).await?.1["host"], "web1");
    let (_, after) = port.json(Method::POST, &format!("{place}/cancel"), None).await?;
    assert_eq!(after["jobs"][0]["state"], "canceled");
    for (method, path, body, status) in [
        (
            Method::POST,
            "/api/scripts/nothing/run",
            json!({ "target": { "all": true } }),
            StatusCode::NOT_FOUND,
        ),
        (Method::POST, "/api/scripts/hello/run", json!({}), StatusCode::BAD_REQUEST),
        (Method::POST, "/api/scripts/hello/run", json!({ "role": "admin" }), StatusCode::BAD_REQUEST),
        (Method::GET, "/api/runs?state=happy", Value::Null, StatusCode::BAD_REQUEST),
        (Method::GET, "/api/runs?limit=201", Value::Null, StatusCode::BAD_REQUEST),
        (Method::GET, "/api/runs/x", Value::Null, StatusCode::BAD_REQUEST),
        (Method::GET, "/api/warnings?host=-x", Value::Null, StatusCode::BAD_REQUEST),
    ] {
        let (answered, problem) = port.json(method, path, Some(body)).await?;
        anyhow::ensure!(answered == status && problem["hint"].is_string(), "{path}: {answered} {problem}");
    }
    Ok(())
}

#[sqlx::test(migrations = "../migrations")]
async fn output_is_read_part_by_part_or_downloaded_and_never_a_page(pool: PgPool) -> Test {
    let port = Port::open(&pool).await?;
    let wanted = json!({ "target": { "hosts": ["web1"] } });
    let (_, run) = port.json(Method::POST, "/api/scripts/hello/run", Some(wanted)).await?;
    let id: Uuid = run["jobs"][0]["id"].as_str().unwrap_or_default().parse()?;
    jobs::claim(&pool, &[id]).await?;
    let text = "<script>alert(1)</script> é\n";
    let (first, rest) = text.as_bytes().split_at(text.len() - 2);
    output::append(&pool, id, 0, first).await?;
    let path = format!("/api/jobs/{id}/output");
    let (_, part) = port.get(&path).await?;
    assert_eq!(part["data"], "<script>alert(1)</script> ", "a character is never cut in two");
    output::append(&pool, id, first.len() as u64, rest).await?;
    let (_, part) = port.get(&format!("{path}?offset={}", part["next_offset"])).await?;
    assert_eq!((&part["data"], &part["ended"]), (&"é\n".into(), &false.into()));
    let end = hms_proto::host::v1::Job { state: 4, ..Default::default() };
    jobs::end(&pool, id, &end).await?;
    let (_, part) = port.get(&format!("{path}?offset={}", part["next_offset"])).await?;
    assert_eq!((&part["data"], &part["ended"]), (&"".into(), &true.into()));

    let file = port.ask(Method::GET, &path, "text/plain", None).await?;
    let head = file.headers();
    assert_eq!(head[header::CONTENT_TYPE], "text/plain; charset=utf-8");
    assert_eq!(head[header::CONTENT_DISPOSITION], format!("attachment; filename=\"job-{id}.txt\""));
    assert_eq!(head[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    assert_eq!(file.into_body().collect().await?.to_bytes(), text);
    assert_eq!(port.get(&format!("{path}?offset=-1")).await?.0, StatusCode::BAD_REQUEST);
    Ok(())
}

#[sqlx::test(migrations = "../migrations")]
async fn schedules_are_made_paused_and_removed(pool: PgPool) -> Test {
    let port = Port::open(&pool).await?;
    let wanted = json!({ "script": "check", "target": { "hosts": ["web1"] }, "cron": "30 6 * * 1-5" });
    let (status, made) = port.json(Method::POST, "/api/schedules", Some(wanted)).await?;
    assert_eq!(
        (status, &made["created_by"], &made["paused"]),
        (StatusCode::CREATED, &"ada".into(), &false.into())
    );
    let path = format!("/api/schedules/{}", made["id"].as_str().unwrap_or_default());
    assert_eq!(port.json(Method::POST, &format!("{path}/pause"), None).await?.1["paused"], true);
    assert_eq!(port.json(Method::POST, &format!("{path}/resume"), None).await?.1["paused"], false);
    assert_eq!(port.json(Method::DELETE, &path, None).await?.0, StatusCode::NO_CONTENT);
    assert_eq!(port.json(Method::DELETE, &path, None).await?.0, StatusCode::NOT_FOUND);
    assert_eq!(port.get("/api/schedules").await?.1["schedules"], json!([]));
    let bad = json!({ "script": "check", "target": { "all": true }, "cron": "@daily", "role": "admin" });
    assert_eq!(port.json(Method::POST, "/api/schedules", Some(bad)).await?.0, StatusCode::BAD_REQUEST);
    scripts::put(&pool, &[]).await?;
    assert_eq!(port.get("/api/warnings").await?.1["warnings"], json!([]));
    Ok(())
}
