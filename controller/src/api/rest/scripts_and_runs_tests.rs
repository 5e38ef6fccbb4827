//! Scripts and runs over REST, from the token to the output.

use http::{Method, StatusCode, header};
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use super::port::Port;
use crate::{
    db::{jobs, output, scripts},
    jobs::tests::controller,
};

type Test = anyhow::Result<()>;

/// The port, for an operator.
async fn open(pool: &PgPool) -> anyhow::Result<Port> {
    Port::open_as(pool, controller(pool).await?, hms_proto::Role::Operator).await
}

#[sqlx::test(migrations = "../migrations")]
async fn a_script_is_found_run_watched_and_canceled(pool: PgPool) -> Test {
    let port = open(&pool).await?;
    let list = port.get("/api/scripts").await?.body;
    assert_eq!(
        (&list["scripts"][1]["name"], &list["scripts"][1]["parameters"][0]["kind"]),
        (&"hello".into(), &"app".into())
    );
    let none = port.get("/api/scripts/nothing").await?;
    assert_eq!(
        (none.status, &none.body["type"]),
        (StatusCode::NOT_FOUND, &"urn:hms:problem:not_found".into())
    );

    let wanted = json!({ "target": { "hosts": ["web2", "web1"] }, "parameters": { "app": "cigar" } });
    let begun = port.post("/api/scripts/hello/run", wanted).await?;
    assert_eq!(begun.status, StatusCode::ACCEPTED);
    let place = begun.header(header::LOCATION);
    let run = port.get(place).await?.body;
    assert_eq!(
        (&run["source"], &run["state"], &run["waiting"]),
        (&"rest".into(), &"queued".into(), &2.into())
    );
    let runs = port.get("/api/runs?script=hello&limit=1").await?.body;
    assert_eq!((&runs["runs"][0]["id"], &runs["next_cursor"]), (&run["id"], &"".into()));

    let job = run["jobs"][0]["id"].as_str().unwrap_or_default().to_owned();
    assert_eq!(port.get(&format!("/api/jobs/{job}")).await?.body["host"], "web1");
    let after = port.ask(Method::POST, &format!("{place}/cancel"), &[], None).await?.body;
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
        let answer = port.ask(method, path, &[], Some(body)).await?;
        let told = answer.body["hint"].is_string();
        anyhow::ensure!(answer.status == status && told, "{path}: {} {}", answer.status, answer.body);
    }
    Ok(())
}

#[sqlx::test(migrations = "../migrations")]
async fn output_is_read_part_by_part_or_downloaded_and_never_a_page(pool: PgPool) -> Test {
    let port = open(&pool).await?;
    let wanted = json!({ "target": { "hosts": ["web1"] } });
    let run = port.post("/api/scripts/hello/run", wanted).await?.body;
    let id: Uuid = run["jobs"][0]["id"].as_str().unwrap_or_default().parse()?;
    jobs::claim(&pool, &[id]).await?;
    let text = "<script>alert(1)</script> é\n";
    let (first, rest) = text.as_bytes().split_at(text.len() - 2);
    output::append(&pool, id, 0, first).await?;
    let path = format!("/api/jobs/{id}/output");
    let part = port.get(&path).await?.body;
    assert_eq!(part["data"], "<script>alert(1)</script> ", "a character is never cut in two");
    output::append(&pool, id, first.len() as u64, rest).await?;
    let part = port.get(&format!("{path}?offset={}", part["next_offset"])).await?.body;
    assert_eq!((&part["data"], &part["ended"]), (&"é\n".into(), &false.into()));
    let end = hms_proto::host::v1::Job { state: 4, ..Default::default() };
    jobs::end(&pool, id, &end).await?;
    let part = port.get(&format!("{path}?offset={}", part["next_offset"])).await?.body;
    assert_eq!((&part["data"], &part["ended"]), (&"".into(), &true.into()));

    let file = port.ask(Method::GET, &path, &[("accept", "text/plain")], None).await?;
    assert_eq!(file.header(header::CONTENT_TYPE), "text/plain; charset=utf-8");
    let name = format!("attachment; filename=\"job-{id}.txt\"");
    assert_eq!(file.header(header::CONTENT_DISPOSITION), name);
    assert_eq!(file.header(header::X_CONTENT_TYPE_OPTIONS), "nosniff");
    assert_eq!(file.bytes, text);
    assert_eq!(port.get(&format!("{path}?offset=-1")).await?.status, StatusCode::BAD_REQUEST);
    Ok(())
}

#[sqlx::test(migrations = "../migrations")]
async fn schedules_are_made_paused_and_removed(pool: PgPool) -> Test {
    let port = open(&pool).await?;
    let wanted = json!({ "script": "check", "target": { "hosts": ["web1"] }, "cron": "30 6 * * 1-5" });
    let made = port.post("/api/schedules", wanted).await?;
    assert_eq!(
        (made.status, &made.body["created_by"], &made.body["paused"]),
        (StatusCode::CREATED, &"ada".into(), &false.into())
    );
    let path = format!("/api/schedules/{}", made.body["id"].as_str().unwrap_or_default());
    let act = async |method, path: String| port.ask(method, &path, &[], None).await;
    assert_eq!(act(Method::POST, format!("{path}/pause")).await?.body["paused"], true);
    assert_eq!(act(Method::POST, format!("{path}/resume")).await?.body["paused"], false);
    assert_eq!(act(Method::DELETE, path.clone()).await?.status, StatusCode::NO_CONTENT);
    assert_eq!(act(Method::DELETE, path.clone()).await?.status, StatusCode::NOT_FOUND);
    assert_eq!(port.get("/api/schedules").await?.body["schedules"], json!([]));
    let bad = json!({ "script": "check", "target": { "all": true }, "cron": "@daily", "role": "admin" });
    assert_eq!(port.post("/api/schedules", bad).await?.status, StatusCode::BAD_REQUEST);
    scripts::put(&pool, &[]).await?;
    assert_eq!(port.get("/api/warnings").await?.body["warnings"], json!([]));
    Ok(())
}
