//! What holds for the whole of `/api`: the form of errors, limits, keys of requests, and that the document tells the truth.

use std::{sync::Arc, time::Duration};

use http::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::{PgPool, postgres::PgPoolOptions};
use tower::ServiceExt as _;
use uuid::Uuid;

use super::port::{Answer, PASSWORD, Port};
use crate::{api, counts, db, jobs::tests::controller};

type Test = anyhow::Result<()>;

impl Answer {
    fn is_problem(&self) -> bool {
        self.header("content-type") == "application/problem+json"
            && self.body["status"] == self.status.as_u16()
            && self.body["code"].is_string()
            && self.body["request_id"] == self.header("x-request-id")
    }
}

async fn open(pool: &PgPool) -> anyhow::Result<Port> {
    Port::open(pool, controller(pool).await?).await
}

impl Port {
    /// Another controller with the same database: this one after a restart.
    async fn restarted(&self, pool: &PgPool) -> anyhow::Result<Self> {
        sqlx::query("DELETE FROM hosts WHERE name IN ('web1', 'web2')").execute(pool).await?;
        Ok(Self { router: api::router(controller(pool).await?), token: self.token.clone() })
    }

    async fn add_host(&self, name: &str, key: &str) -> anyhow::Result<Answer> {
        let host = json!({ "name": name, "address": "192.0.2.7" });
        self.ask(Method::POST, "/api/hosts", &[("idempotency-key", key)], Some(host)).await
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn every_error_is_a_problem_whichever_part_finds_it(pool: PgPool) -> Test {
    let port = open(&pool).await?;
    let large = json!({ "name": "a".repeat(100_000), "address": "x" });
    let text = [("content-type", "text/plain")];
    let foreign = [("origin", "https://evil.example")];
    let packed = [("content-type", "application/json"), ("content-encoding", "gzip")];
    for (status, method, path, headers, body) in [
        (404, Method::GET, "/api/nothing", &[][..], None),
        (404, Method::GET, "/api/apps/tobacco", &[], None),
        (405, Method::DELETE, "/api/hosts", &[], None),
        (405, Method::TRACE, "/api/health", &[], None),
        (413, Method::POST, "/api/hosts", &[], Some(large)),
        (415, Method::POST, "/api/hosts", &text, None),
        // Security case 96.
        (415, Method::POST, "/api/hosts", &packed, None),
        (400, Method::POST, "/api/hosts", &[], Some(json!({ "name": "web9" }))),
        (400, Method::GET, "/api/audit?limit=x", &[], None),
        (400, Method::GET, "/api/audit?order=desc", &[], None),
        (400, Method::GET, "/api/hosts/-x", &[], None),
        (403, Method::POST, "/api/hosts", &foreign, None),
        (400, Method::POST, "/api/hosts", &[("idempotency-key", "")], Some(json!({}))),
    ] {
        let answer = port.ask(method.clone(), path, headers, body).await?;
        anyhow::ensure!(
            answer.status.as_u16() == status,
            "{method} {path}: {} {}",
            answer.status,
            answer.body
        );
        anyhow::ensure!(answer.is_problem(), "{method} {path}: {:?} {}", answer.headers, answer.body);
        anyhow::ensure!(status != 405 || !answer.header("allow").is_empty(), "{method} {path}: no Allow");
    }
    let head = port.ask(Method::HEAD, "/api/health", &[], None).await?;
    assert_eq!((head.status, head.body), (StatusCode::OK, Value::Null));
    Ok(())
}

/// RFC 9470: what asks for a confirmation says so to programs.
#[sqlx::test(migrations = "../migrations")]
async fn a_login_that_is_too_old_is_told_what_to_do(pool: PgPool) -> Test {
    let port = open(&pool).await?;
    sqlx::query("UPDATE sessions SET confirmed_at = now() - interval '1 hour'").execute(&pool).await?;
    let invite = || json!({ "username": "grace", "role": "viewer", "scope": { "all": true } });
    let key = [("idempotency-key", "invite-1")];
    let answer = port.ask(Method::POST, "/api/users", &key, Some(invite())).await?;
    assert_eq!((answer.status, &answer.body["code"]), (StatusCode::UNAUTHORIZED, &"proof_needed".into()));
    assert!(answer.header("www-authenticate").contains("insufficient_user_authentication"));
    let confirm = json!({ "password": PASSWORD });
    assert_eq!(
        port.ask(Method::POST, "/api/account/confirm", &[], Some(confirm)).await?.status,
        StatusCode::OK
    );
    // Nothing was done before: the same request, with its key, is done now.
    let answer = port.ask(Method::POST, "/api/users", &key, Some(invite())).await?;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
    Ok(())
}

#[sqlx::test(migrations = "../migrations")]
async fn what_is_known_is_not_sent_again_and_a_page_names_the_next(pool: PgPool) -> Test {
    let port = open(&pool).await?;
    let first = port.ask(Method::GET, "/api/apps", &[], None).await?;
    let known = [("if-none-match", first.header("etag"))];
    let again = port.ask(Method::GET, "/api/apps", &known, None).await?;
    assert_eq!((again.status, again.header("etag")), (StatusCode::NOT_MODIFIED, first.header("etag")));
    for name in ["a1", "a2", "a3"] {
        assert_eq!(port.add_host(name, name).await?.status, StatusCode::CREATED);
    }
    let page = port.ask(Method::GET, "/api/audit?limit=2", &[], None).await?;
    let next = page.header("link").trim_start_matches('<').split('>').next().unwrap_or_default().to_owned();
    assert!(page.header("link").ends_with("; rel=\"next\""), "{:?}", page.headers);
    let older = port.ask(Method::GET, &next, &[], None).await?;
    let seq = |answer: &Answer, at: usize| answer.body["records"][at]["seq"].as_i64();
    assert!(seq(&older, 0) < seq(&page, 1) && seq(&older, 0).is_some(), "{} {}", page.body, older.body);
    Ok(())
}

/// Security case 119.
#[sqlx::test(migrations = "../migrations")]
async fn a_request_that_is_sent_again_has_one_effect_and_one_answer(pool: PgPool) -> Test {
    let port = Arc::new(open(&pool).await?);
    let answers = futures_util::future::join_all((0..8).map(|_| port.add_host("web9", "\"one\""))).await;
    let mut done = 0;
    for answer in answers {
        let answer = answer?;
        done += usize::from(
            answer.status == StatusCode::CREATED && answer.header("idempotency-replayed").is_empty(),
        );
        let waits = answer.status == StatusCode::CONFLICT && answer.header("retry-after") == "2";
        anyhow::ensure!(answer.status == StatusCode::CREATED || waits, "{} {}", answer.status, answer.body);
    }
    assert_eq!(done, 1);
    let first = port.add_host("web9", "one").await?;
    assert_eq!((first.status, first.header("idempotency-replayed")), (StatusCode::CREATED, "true"));
    assert_eq!(first.header("location"), "/api/hosts/web9");
    let kept: String = sqlx::query_scalar("SELECT answer FROM idempotency_keys").fetch_one(&pool).await?;
    let token = first.body["join_token"].as_str().unwrap_or_default();
    assert!(kept.starts_with("hms1:") && !kept.contains(token) && !token.is_empty());

    let other = port.add_host("web8", "one").await?;
    assert_eq!(other.status, StatusCode::UNPROCESSABLE_ENTITY, "another request");
    let restarted = port.restarted(&pool).await?;
    assert_eq!(restarted.add_host("web9", "one").await?.body, first.body, "also after a restart");
    let login = json!({ "username": "ada", "password": PASSWORD });
    let mut somebody = Port { router: port.router.clone(), token: String::new() };
    let tokens = somebody.ask(Method::POST, "/api/auth/login", &[], Some(login)).await?.body;
    somebody.token = tokens["access_token"].as_str().unwrap_or_default().into();
    let conflict = somebody.add_host("web9", "one").await?;
    assert!(conflict.header("idempotency-replayed").is_empty(), "keys are each caller's own");
    assert_eq!(db::hosts::list(&pool).await?.iter().filter(|host| host.name == "web9").count(), 1);
    Ok(())
}

/// Security case 119: the controller dies after the act, and before the answer is kept.
#[sqlx::test(migrations = "../migrations")]
async fn after_a_crash_between_act_and_answer_nothing_is_done_twice(pool: PgPool) -> Test {
    // What it has open to the database dies with it.
    let own = PgPoolOptions::new().connect_with((*pool.connect_options()).clone()).await?;
    let port = open(&own).await?;
    let mut gate = pool.begin().await?;
    sqlx::query("LOCK TABLE hosts IN EXCLUSIVE MODE").execute(&mut *gate).await?;
    let dying = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let host = json!({ "name": "web9", "address": "192.0.2.7" });
    let headers = [("idempotency-key", "crash")];
    let request = port.request(Method::POST, "/api/hosts", &headers, Some(host))?;
    let router = port.router.clone();
    dying.spawn(async move { router.oneshot(request).await });
    let mut hold = pool.begin().await?;
    let row = "SELECT request_id FROM idempotency_keys WHERE key = 'crash' FOR UPDATE";
    let id: Uuid = until(async || Ok(sqlx::query_scalar(row).fetch_optional(&mut *hold).await?)).await?;
    // Written down, and not acted on: now it acts, and cannot write its answer down.
    gate.commit().await?;
    let there = "SELECT 1 FROM hosts WHERE name = 'web9'";
    until::<i32>(async || Ok(sqlx::query_scalar(there).fetch_optional(&pool).await?)).await?;
    dying.shutdown_background();
    hold.rollback().await?;

    let restarted = port.restarted(&pool).await?;
    let again = restarted.add_host("web9", "crash").await?;
    // Had the answer been written in the last moment, that is what would be told; acting again never is.
    let unknown = again.status == StatusCode::CONFLICT && again.body["code"] == "unknown";
    assert!(unknown || again.header("idempotency-replayed") == "true", "{} {}", again.status, again.body);
    assert!(!unknown || again.body["request_id"] == id.to_string());
    assert_eq!(db::hosts::list(&pool).await?.iter().filter(|host| host.name == "web9").count(), 1);
    Ok(())
}

async fn until<T>(mut look: impl AsyncFnMut() -> anyhow::Result<Option<T>>) -> anyhow::Result<T> {
    for _ in 0..6000 {
        if let Some(seen) = look().await? {
            return Ok(seen);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    anyhow::bail!("it did not come")
}

#[sqlx::test(migrations = "../migrations")]
async fn a_caller_is_told_what_is_left_and_when_it_is_too_much(pool: PgPool) -> Test {
    let port = open(&pool).await?;
    let first = port.ask(Method::GET, "/api/health", &[], None).await?;
    assert_eq!(first.header("ratelimit-policy"), "\"burst\";q=100;w=10");
    assert!(first.header("ratelimit").starts_with("\"burst\";r=99;t="), "{:?}", first.headers);
    // What asks for nothing of the database is faster than ten in a second on any machine.
    let mut refused = None;
    for _ in 0..20_000 {
        let answer = port.ask(Method::GET, "/api/nothing", &[], None).await?;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.ok_or_else(|| anyhow::anyhow!("20,000 requests were let through"))?;
    assert!(refused.is_problem() && !refused.header("retry-after").is_empty());
    assert_eq!(refused.body["code"], "throttled");
    let nobody = Port { router: port.router.clone(), token: String::new() };
    assert_eq!(nobody.ask(Method::GET, "/api/health", &[], None).await?.status, StatusCode::UNAUTHORIZED);
    Ok(())
}

/// Security case 95: a flood of requests that do nothing is counted for who makes it, without a look at the database.
#[sqlx::test(migrations = "../migrations")]
async fn what_nobody_serves_counts_for_its_caller_and_asks_nothing_of_the_database(pool: PgPool) -> Test {
    let port = open(&pool).await?;
    // Its network has asked too much already.
    let nobody = Port { router: port.router.clone(), token: String::new() };
    for _ in 0..20_000 {
        if nobody.get("/api/nothing").await?.status == StatusCode::TOO_MANY_REQUESTS {
            break;
        }
    }
    pool.close().await;
    for (method, path, status) in [
        (Method::GET, "/api/nothing", StatusCode::NOT_FOUND),
        (Method::DELETE, "/api/hosts", StatusCode::METHOD_NOT_ALLOWED),
        (Method::PATCH, "/api/nothing/more", StatusCode::NOT_FOUND),
    ] {
        let answer = port.ask(method, path, &[], None).await?;
        anyhow::ensure!(answer.status == status, "{path}: {} {}", answer.status, answer.body);
    }
    Ok(())
}

/// Each operation of the document is served, and each verb that is served is in the document.
#[sqlx::test(migrations = "../migrations")]
async fn the_document_and_the_router_say_the_same(pool: PgPool) -> Test {
    let port = open(&pool).await?;
    let document = super::document();
    let (mut operations, mut ids, mut wrong) = (0, Vec::new(), Vec::new());
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        let at = path.split('/').map(|part| if part.starts_with('{') { "x" } else { part });
        let at = at.collect::<Vec<_>>().join("/");
        let mut documented: Vec<String> = Vec::new();
        for (verb, operation) in item.as_object().into_iter().flatten() {
            operations += 1;
            documented.push(verb.to_uppercase());
            ids.push(operation["operationId"].as_str().unwrap_or_default().to_owned());
            wrong.extend(lacks(path, verb, operation));
        }
        // A verb that nobody has: `Allow` names those that there are.
        let bearer = Port { router: port.router.clone(), token: String::new() };
        let answer = bearer.ask(Method::from_bytes(b"BREW")?, &at, &[], None).await?;
        let mut served: Vec<String> =
            answer.header("allow").split(',').map(|verb| verb.trim().to_owned()).collect();
        served.retain(|verb| verb != "HEAD" && !verb.is_empty());
        served.sort();
        documented.sort();
        if served != documented {
            wrong.push(format!("{path}: served {served:?}, documented {documented:?}"));
        }
    }
    let all = ids.len();
    ids.sort();
    ids.dedup();
    counts::tell("operations of the REST API that the document has in full", operations, wrong.len());
    anyhow::ensure!(ids.len() == all, "two operations have one operationId");
    anyhow::ensure!(operations > 80, "only {operations} operations");
    anyhow::ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// What an operation of the document does not say.
fn lacks(path: &str, verb: &str, operation: &Value) -> Vec<String> {
    let mut lacks = Vec::new();
    let secured = operation["security"][0].get("bearer").is_some();
    let mut must = |holds: bool, what: &str| {
        if !holds {
            lacks.push(format!("{verb} {path}: {what}"));
        }
    };
    must(secured || path.starts_with("/api/auth/"), "no security");
    must(operation["responses"].get("default").is_some(), "no default answer");
    must(operation.get("parameters").is_none_or(Value::is_array), "parameters that are no list");
    must(operation["summary"].is_string() || operation["description"].is_string(), "no description");
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let schema = &parameter["schema"];
        let typed = ["type", "$ref", "enum", "oneOf"].iter().any(|key| schema.get(key).is_some());
        must(typed && parameter["description"].is_string(), &format!("parameter {}", parameter["name"]));
    }
    let answers = operation["responses"].as_object().into_iter().flatten();
    for (status, answer) in answers.filter(|(status, _)| status.starts_with('2')) {
        must(
            *status == "204" || *status == "202" || answer["content"].is_object(),
            "an answer without a schema",
        );
        must(answer["headers"].get("RateLimit").is_some(), "an answer without its headers");
    }
    lacks
}

/// What generators of clients stumble over first.
#[test]
fn each_reference_in_the_document_leads_somewhere() {
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str).map(ToOwned::to_owned));
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }
    let document = serde_json::to_value(super::document()).unwrap();
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 100);
    found.retain(|reference| document.pointer(reference.trim_start_matches('#')).is_none());
    found.sort();
    found.dedup();
    assert_eq!(found, Vec::<String>::new());
}
