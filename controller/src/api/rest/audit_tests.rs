//! The audit as a file, over REST.

use http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use sqlx::PgPool;
use tower::ServiceExt as _;
use uuid::Uuid;

use super::port::Port;
use crate::{
    auth::Source,
    db::audit::{Intent, intent, outcome},
    jobs::tests::controller,
};

type Test = anyhow::Result<()>;

async fn record(pool: &PgPool, actor: &str, target: &str) -> anyhow::Result<()> {
    let call = Intent {
        request_id: Uuid::now_v7(),
        actor: actor.into(),
        user_id: None,
        source: Source::Cli,
        address: None,
        method: "/hms.host.v1.UnitService/Restart".into(),
        host: "web1".into(),
        target: target.into(),
        params: serde_json::json!({}),
    };
    intent(pool, &call).await?;
    Ok(outcome(pool, call.request_id, "ok", "", 3).await?)
}

/// The kind of what was answered, and all of it.
async fn file(port: &Port, path: &str, accept: &str) -> anyhow::Result<(String, String)> {
    let request: Request<_> = port.request(Method::GET, path, &[("accept", accept)], None)?;
    let answer = port.router.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
    assert_eq!(answer.status(), StatusCode::OK);
    let kind = answer.headers()[header::CONTENT_TYPE].to_str()?.to_owned();
    let text = answer.into_body().collect().await?.to_bytes();
    Ok((kind, String::from_utf8(text.to_vec())?))
}

#[sqlx::test(migrations = "../migrations")]
async fn a_file_has_all_records_that_fit_and_no_others(pool: PgPool) -> Test {
    let port = Port::open(&pool, controller(&pool).await?).await?;
    for number in 0..120 {
        record(&pool, "bob", &format!("unit-{number}")).await?;
    }
    record(&pool, "eve", "other").await?;
    let (kind, lines) = file(&port, "/api/audit/records?actor=bob", "*/*").await?;
    let records: Result<Vec<serde_json::Value>, _> = lines.lines().map(serde_json::from_str).collect();
    let records = records?;
    assert_eq!((kind.as_str(), records.len()), ("application/x-ndjson", 120));
    assert_eq!((&records[0]["target"], &records[119]["target"]), (&"unit-119".into(), &"unit-0".into()));

    let (kind, table) = file(&port, "/api/audit/records?actor=bob", "text/csv").await?;
    assert!(kind.starts_with("text/csv"), "{kind}");
    let rows: Vec<&str> = table.split_terminator("\r\n").collect();
    assert!(rows[0].starts_with("seq,time,actor,") && rows[1].contains("\"unit-119\""), "{}", rows[1]);
    assert_eq!(rows.len(), 1 + 120);
    let (_, none) = file(&port, "/api/audit/records?actor=nobody", "text/csv").await?;
    assert_eq!(none.lines().count(), 1);
    Ok(())
}

/// Security case 26: a spreadsheet does what a cell says that begins like a formula.
#[sqlx::test(migrations = "../migrations")]
async fn a_hostile_target_is_only_text_in_the_table(pool: PgPool) -> Test {
    let port = Port::open(&pool, controller(&pool).await?).await?;
    record(&pool, "bob", "=HYPERLINK(\"https://evil.example\",\"ok\")\r\n9,forged").await?;
    let (_, table) = file(&port, "/api/audit/records?actor=bob", "text/csv").await?;
    let cell = "\"'=HYPERLINK(\"\"https://evil.example\"\",\"\"ok\"\")\r\n9,forged\"";
    assert!(table.contains(cell), "{table}");
    Ok(())
}
