//! Apps as data, secrets and deployments over REST, from the token to the answer.

use http::{Method, StatusCode, header};
use serde_json::{Value, json};
use sqlx::PgPool;

use super::port::{Answer, PASSWORD, Port};
use crate::jobs::tests::controller;

type Test = anyhow::Result<()>;

/// The port; the agent of web1 has joined once, and cannot be reached.
async fn open(pool: &PgPool) -> anyhow::Result<Port> {
    let state = controller(pool).await?;
    sqlx::query("UPDATE hosts SET joined_at = now() WHERE name = 'web1'").execute(pool).await?;
    state.reload().await?;
    Port::open(pool, state).await
}

impl Port {
    async fn add_cigar(&self) -> anyhow::Result<Answer> {
        let spec = json!({ "git_url": "https://git.example/cigar.git", "workers": 2, "gems": "system" });
        self.post("/api/apps", json!({ "key": "cigar", "host": "web1", "spec": spec })).await
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn an_app_is_added_read_changed_and_removed(pool: PgPool) -> Test {
    let port = open(&pool).await?;
    let added = port.add_cigar().await?;
    assert_eq!(
        (added.status, added.header(header::LOCATION)),
        (StatusCode::CREATED, "/api/apps/cigar/settings")
    );
    assert_eq!(
        (&added.body["spec"]["gems"], &added.body["spec"]["root"]),
        (&"system".into(), &"/srv/cigar".into())
    );
    let first = added.header(header::ETAG).to_owned();
    let path = "/api/apps/cigar/settings";
    let read = port.get(path).await?;
    assert_eq!((read.header(header::ETAG), &read.body), (first.as_str(), &added.body));

    let put = async |version: Option<&str>, body: &Value| {
        port.ask(Method::PUT, path, version.map(|v| ("if-match", v)).as_slice(), Some(body.clone())).await
    };
    let mut wanted = added.body.clone();
    wanted["name"] = "Cigars".into();
    assert_eq!(put(None, &wanted).await?.status, StatusCode::PRECONDITION_REQUIRED);
    let second = put(Some(&first), &wanted).await?;
    assert_eq!((second.status, &second.body["name"]), (StatusCode::OK, &"Cigars".into()));
    let late = put(Some(&first), &wanted).await?;
    assert_eq!(late.status, StatusCode::PRECONDITION_FAILED);
    assert_eq!(late.header(header::CONTENT_TYPE), "application/problem+json");

    let patch = async |version: Option<&str>, body: Value| {
        port.ask(Method::PATCH, path, version.map(|v| ("if-match", v)).as_slice(), Some(body)).await
    };
    let third =
        patch(None, json!({ "spec": { "workers": 0, "port": 3001 }, "domain": "example.org" })).await?;
    assert_eq!((&third.body["spec"]["workers"], &third.body["spec"]["port"]), (&0.into(), &3001.into()));
    assert_eq!((&third.body["name"], &third.body["spec"]["gems"]), (&"Cigars".into(), &"system".into()));
    assert_eq!(third.body["spec"]["server_names"], json!(["cigar.example.org"]));
    let stale = patch(Some(&first), json!({ "enabled": false })).await?;
    assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED);
    for bad in [
        json!({ "nmae": "x" }),
        json!({ "spec": { "gem": "x" } }),
        json!({ "spec": { "gems": "canary" } }),
        json!([]),
    ] {
        let refused = patch(None, bad.clone()).await?;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{bad}");
        assert!(!refused.body.to_string().contains("canary"), "{}", refused.body);
    }
    assert_eq!(patch(None, json!({ "key": "other" })).await?.status, StatusCode::BAD_REQUEST);

    assert_eq!(port.get("/api/apps/cigar").await?.body["secrets_version"], 1);
    assert_eq!(
        port.ask(Method::DELETE, "/api/apps/cigar?delete_data=true", &[], None).await?.status,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(port.ask(Method::DELETE, "/api/apps/cigar", &[], None).await?.status, StatusCode::NO_CONTENT);
    assert_eq!(port.get("/api/apps/cigar").await?.status, StatusCode::NOT_FOUND);
    assert_eq!(
        port.post("/api/apps", json!({ "key": "x", "host": "web1", "role": "admin" })).await?.status,
        StatusCode::BAD_REQUEST
    );
    Ok(())
}

#[sqlx::test(migrations = "../migrations")]
async fn a_deployment_begins_is_followed_and_canceled(pool: PgPool) -> Test {
    let port = open(&pool).await?;
    port.add_cigar().await?;
    // As the plan has it: without a body.
    let begun = port.ask(Method::POST, "/api/apps/cigar/deploy", &[], None).await?;
    let id = begun.body["id"].as_str().unwrap_or_default().to_owned();
    assert_eq!(begun.status, StatusCode::ACCEPTED);
    assert_eq!(begun.header(header::LOCATION), format!("/api/jobs/{id}"));
    assert_eq!((&begun.body["kind"], &begun.body["branch"]), (&"deploy".into(), &"main".into()));
    assert_eq!((&begun.body["job"]["state"], &begun.body["source"]), (&"queued".into(), &"rest".into()));
    let joined = port.post("/api/apps/cigar/deploy", json!({ "branch": "other" })).await?;
    assert_eq!((&joined.body["id"], &joined.body["joined"]), (&id.clone().into(), &true.into()));

    let job = port.get(begun.header(header::LOCATION)).await?;
    assert_eq!((&job.body["kind"], &job.body["app"]), (&"deploy".into(), &"cigar".into()));
    let output = port.get(&format!("/api/jobs/{id}/output")).await?;
    assert_eq!((&output.body["data"], &output.body["ended"]), (&"".into(), &false.into()));
    let list = port.get("/api/apps/cigar/deployments?limit=5").await?.body;
    assert_eq!((&list["deployments"][0]["id"], &list["next_cursor"]), (&id.clone().into(), &"".into()));
    assert_eq!(port.get("/api/deployments").await?.body["deployments"].as_array().map(Vec::len), Some(1));
    assert_eq!(port.get("/api/runs").await?.body["runs"], json!([]), "it is no run of a script");

    let canceled = port.ask(Method::POST, &format!("/api/deployments/{id}/cancel"), &[], None).await?;
    assert_eq!(canceled.body["job"]["state"], "canceled");
    let back = port.post("/api/apps/cigar/rollback", json!({ "release": "20261125T101502-1a2b3c4" })).await?;
    assert_eq!(
        (&back.body["kind"], &back.body["release"]),
        (&"rollback".into(), &"20261125T101502-1a2b3c4".into())
    );
    let removed = port.ask(Method::DELETE, "/api/apps/cigar?from_host=true", &[], None).await?;
    assert_eq!(removed.status, StatusCode::CONFLICT, "something works on it");
    Ok(())
}

#[sqlx::test(migrations = "../migrations")]
async fn what_does_not_fit_is_refused(pool: PgPool) -> Test {
    let port = open(&pool).await?;
    port.add_cigar().await?;
    for (path, body) in [
        ("/api/apps/cigar/deploy", json!({ "force": true })),
        ("/api/apps/cigar/deploy", json!({ "branch": "-x" })),
        ("/api/apps/cigar/deploy", json!({ "restart": "gently" })),
        ("/api/apps/cigar/deploy", json!(null)),
        ("/api/apps/cigar/rollback", json!({ "release": "../../etc" })),
        ("/api/apps/cigar/apply", json!({ "branch": "main" })),
        ("/api/apps/..%2Fx/deploy", json!({})),
        ("/api/apps/cigar/adopt", json!({ "item": "/etc/passwd" })),
    ] {
        let refused = port.post(path, body.clone()).await?;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{path} {body}");
    }
    assert_eq!(port.post("/api/apps/nothing/deploy", json!({})).await?.status, StatusCode::NOT_FOUND);
    assert_eq!(port.get("/api/deployments/x").await?.status, StatusCode::BAD_REQUEST);
    assert_eq!(port.get("/api/apps/cigar/plan?kind=x").await?.status, StatusCode::BAD_REQUEST);
    assert_eq!(
        port.get("/api/apps/cigar/plan?kind=rollback&restart=hot").await?.status,
        StatusCode::BAD_GATEWAY
    );
    assert_eq!(port.get("/api/apps/cigar/releases").await?.status, StatusCode::BAD_GATEWAY);
    Ok(())
}

/// Security case 78.
#[sqlx::test(migrations = "../migrations")]
async fn secrets_go_in_and_come_out_only_for_who_proved_it_just_now(pool: PgPool) -> Test {
    let port = open(&pool).await?;
    port.add_cigar().await?;
    let path = "/api/apps/cigar/secrets";
    let put = async |body: Value| port.ask(Method::PUT, path, &[], Some(body)).await;
    let set = put(json!({ "secrets": { "SMTP_PASSWORD": "canary-7f3", "A": "1" } })).await?;
    assert_eq!((&set.body["version"], &set.body["added"]), (&2.into(), &json!(["A", "SMTP_PASSWORD"])));
    let removed = put(json!({ "secrets": { "A": null } })).await?;
    assert_eq!((&removed.body["version"], &removed.body["removed"]), (&3.into(), &json!(["A"])));
    let would =
        port.post(&format!("{path}/import"), json!({ "text": "B=canary-2\n", "dry_run": true })).await?;
    assert_eq!((&would.body["version"], &would.body["added"]), (&3.into(), &json!(["B"])));
    let list = port.get(path).await?;
    assert_eq!((&list.body["version"], list.body["secrets"].as_array().map(Vec::len)), (&3.into(), Some(4)));
    assert!(!format!("{}{}{}", set.body, would.body, list.body).contains("canary"));
    let key = port.ask(Method::POST, &format!("{path}/git-private-key/rotate"), &[], None).await?;
    assert_eq!(key.body["added"], json!(["git-private-key"]));
    assert!(
        port.get(path).await?.body["git_public_key"].as_str().is_some_and(|k| k.starts_with("ssh-ed25519 "))
    );

    let reveal = async |which: Value| port.post(&format!("{path}/SMTP_PASSWORD/reveal"), which).await;
    let shown = reveal(json!({})).await?;
    assert_eq!(
        (&shown.body["value"], shown.header(header::CACHE_CONTROL)),
        (&"canary-7f3".into(), "no-store")
    );
    assert_eq!(reveal(json!({ "password": PASSWORD })).await?.status, StatusCode::BAD_REQUEST);
    sqlx::query("UPDATE sessions SET confirmed_at = now() - INTERVAL '1 hour'").execute(&pool).await?;
    assert_eq!(reveal(json!({})).await?.status, StatusCode::UNAUTHORIZED, "that was an hour ago");
    let bad = put(json!({ "secrets": { "LD_PRELOAD": "canary-3" } })).await?;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST);
    assert!(!bad.body.to_string().contains("canary"), "{}", bad.body);
    Ok(())
}
