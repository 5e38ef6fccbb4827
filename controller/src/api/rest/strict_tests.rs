//! What the document forbids is refused, and what it allows is told of: each of these was once otherwise.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::PgPool;

use super::port::Port;
use crate::jobs::tests::controller;

type Test = anyhow::Result<()>;

#[sqlx::test(migrations = "../migrations")]
async fn values_that_the_document_forbids_are_refused(pool: PgPool) -> Test {
    let port = Port::open(&pool, controller(&pool).await?).await?;
    let long = format!("/api/configs/nginx/{}/versions?host=web1", "a".repeat(513));
    for path in [
        "/api/audit?limit=0",
        "/api/audit?limit=501",
        "/api/audit?since_usec=-1",
        "/api/audit?until_usec=-1",
        "/api/audit?host=-x",
        "/api/audit/records?limit=501",
        "/api/runs?limit=0",
        "/api/runs?script=No",
        "/api/runs?host=-x",
        "/api/warnings?host=-x",
        "/api/deployments?limit=0",
        "/api/apps/cigar/deployments?limit=201",
        "/api/log-histogram?lines=5",
        &long,
    ] {
        let answer = port.ask(Method::GET, path, &[], None).await?;
        anyhow::ensure!(
            answer.status == StatusCode::BAD_REQUEST,
            "{path}: {} {}",
            answer.status,
            answer.body
        );
    }
    // A form sends what nobody filled in.
    for path in ["/api/audit?host=&actor=", "/api/runs?script=&host=", "/api/warnings?host="] {
        let answer = port.ask(Method::GET, path, &[], None).await?;
        anyhow::ensure!(answer.status == StatusCode::OK, "{path}: {} {}", answer.status, answer.body);
    }
    Ok(())
}

#[sqlx::test(migrations = "../migrations")]
async fn a_verb_that_is_not_there_is_told_so_also_with_a_key_that_was_used(pool: PgPool) -> Test {
    let port = Port::open(&pool, controller(&pool).await?).await?;
    let key = [("idempotency-key", "one")];
    let host = json!({ "name": "web9", "address": "192.0.2.7" });
    let added = port.ask(Method::POST, "/api/hosts", &key, Some(host)).await?;
    assert_eq!(added.status, StatusCode::CREATED, "{}", added.body);
    let wrong = port.ask(Method::PUT, "/api/hosts", &key, Some(json!({}))).await?;
    assert_eq!((wrong.status, wrong.header("allow")), (StatusCode::METHOD_NOT_ALLOWED, "GET,HEAD,POST"));
    let missing = port.ask(Method::POST, "/api/nothing", &key, Some(json!({}))).await?;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    let other = port.ask(Method::DELETE, "/api/hosts/web9", &key, None).await?;
    assert_eq!(other.status, StatusCode::UNPROCESSABLE_ENTITY, "a verb that is there has its one use");
    Ok(())
}

/// Whatever names a thing can name one that is not there.
#[test]
fn each_operation_that_names_something_says_that_it_may_be_missing() {
    let document = super::document();
    let mut silent = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (verb, operation) in item.as_object().unwrap() {
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let names = parameters.filter(|one| one["in"] != "header").count() > 0
                || operation.get("requestBody").is_some();
            let says = operation["responses"].get("404").is_some();
            if says != (names && !path.starts_with("/api/auth/")) {
                silent.push(format!("{verb} {path}"));
            }
        }
    }
    assert_eq!(silent, Vec::<String>::new());
}

/// RFC 7396: null takes a value away.
#[test]
fn a_patch_may_say_null_at_every_depth_and_the_settings_may_not() {
    let document = super::document();
    let schema = |name: &str| document["components"]["schemas"][name].clone();
    let may_be_null = |field: &Value| field["anyOf"][1]["type"] == "null";
    let patch = schema("AppSettingsPatch");
    assert!(patch["properties"].as_object().unwrap().values().all(may_be_null), "{patch}");
    assert_eq!(patch["additionalProperties"], false);
    let spec = schema("AppSpecPatch");
    assert!(may_be_null(&spec["properties"]["environment"]["anyOf"][0]["additionalProperties"]), "{spec}");
    assert!(!schema("AppSettings").to_string().contains("Patch"));
    let put = &document["paths"]["/api/apps/{app}/settings"]["put"]["requestBody"];
    assert!(put.to_string().ends_with("schemas/AppSettings\"}}},\"required\":true}"), "{put}");
}
