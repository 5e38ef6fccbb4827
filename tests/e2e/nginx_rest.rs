//! nginx over REST, at last by way of an nginx that HMS itself stands behind.

use anyhow::{Context as _, Result, ensure};
use hms_tests::people::Rest;
use hms_tests::world::World;
use reqwest::{Client, Method, StatusCode, header};
use serde_json::{Value, json};

use crate::support::eventually;

async fn ask(
    rest: &Rest,
    method: Method,
    path: &str,
    condition: Option<(header::HeaderName, &str)>,
    body: Option<Value>,
) -> Result<(StatusCode, Value)> {
    let mut request = rest.request(method, &format!("/api/configs/nginx{path}"));
    if let Some((name, value)) = condition {
        request = request.header(name, value);
    }
    if let Some(body) = body {
        request = request.json(&body);
    }
    let answer = request.send().await?;
    let status = answer.status();
    Ok((status, answer.json().await?))
}

async fn put(
    rest: &Rest,
    site: &str,
    condition: (header::HeaderName, &str),
    content: &str,
) -> Result<(StatusCode, Value)> {
    let body = json!({ "content": content, "reason": "a test" });
    ask(rest, Method::PUT, &format!("/{site}"), Some(condition), Some(body)).await
}

fn front(address: &str, header: &str) -> String {
    format!(
        "server {{\n    listen 443 ssl;\n    server_name {address};\n    ssl_certificate /etc/ssl/certs/front.pem;\n    \
         ssl_certificate_key /etc/ssl/private/front.key;\n    location / {{\n        proxy_pass https://127.0.0.1:8443;\n        \
         proxy_set_header Host $host;\n        add_header x-front {header};\n    }}\n}}\n"
    )
}

/// Pitfall P24.
#[tokio::test]
async fn a_change_of_the_nginx_that_hms_stands_behind_does_not_lose_its_answer() -> Result<()> {
    let world = World::single().await?;
    let host = world.controller_host();
    let address = host.address().to_string();
    let subject = format!("/CN={address}");
    let make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", &subject];
    let files = ["-keyout", "/etc/ssl/private/front.key", "-out", "/etc/ssl/certs/front.pem"];
    host.run(&[&make[..], &files[..]].concat()).await?;
    let direct = Rest::log_in(&world).await?;

    // Without a condition nothing is written; a new file is none that is there.
    let none = (header::IF_NONE_MATCH, "*");
    let (status, said) = ask(&direct, Method::PUT, "/front", None, Some(json!({ "content": "" }))).await?;
    assert_eq!(status, StatusCode::PRECONDITION_REQUIRED, "{said}");
    let (status, said) = put(&direct, "front", none.clone(), "server { listen 443; lisTen }").await?;
    ensure!(
        status == StatusCode::UNPROCESSABLE_ENTITY && said.to_string().contains("front"),
        "{status} {said}"
    );
    let (status, said) = put(&direct, "front", none, &front(&address, "one")).await?;
    ensure!(status.is_success(), "{status} {said}");
    let (status, said) = ask(&direct, Method::POST, "/confirm", None, Some(json!({}))).await?;
    ensure!(status.is_success(), "{status} {said}");
    let enable = json!({ "changes": [{ "path": "sites-available/front", "enable": true }] });
    let (status, said) = ask(&direct, Method::POST, "/apply", None, Some(enable)).await?;
    ensure!(
        status.is_success() && said["tree"]["pending"].is_object(),
        "HMS's own site waits: {status} {said}"
    );
    let (status, said) = ask(&direct, Method::POST, "/confirm", None, Some(json!({}))).await?;
    ensure!(status.is_success(), "{status} {said}");

    // From here on through the nginx that is changed.
    let client = Client::builder().danger_accept_invalid_certs(true).build()?;
    let behind = Rest { client, url: format!("https://{address}"), token: direct.token.clone() };
    let (status, file) = eventually(std::time::Duration::from_secs(20), async || {
        ask(&behind, Method::GET, "/front", None, None).await
    })
    .await?;
    ensure!(status.is_success(), "{status} {file}");
    let tag = format!("\"{}\"", file["sha256"].as_str().context("sha256")?);
    let (status, said) = put(&behind, "front", (header::IF_MATCH, &tag), &front(&address, "two")).await?;
    ensure!(
        status.is_success() && said["steps"].as_array().is_some_and(|s| !s.is_empty()),
        "{status} {said}"
    );
    let (status, said) = ask(&behind, Method::POST, "/confirm", None, Some(json!({}))).await?;
    ensure!(status.is_success(), "{status} {said}");
    let answer = behind.client.get(format!("{}/login", behind.url)).send().await?;
    assert_eq!(answer.headers().get("x-front").context("x-front")?, "two");

    // The same condition again is one that somebody was faster than.
    let (status, said) = put(&behind, "front", (header::IF_MATCH, &tag), &front(&address, "three")).await?;
    assert_eq!(status, StatusCode::PRECONDITION_FAILED, "{said}");
    let (status, said) = ask(&behind, Method::POST, "/reload", None, Some(json!({}))).await?;
    ensure!(status.is_success(), "{status} {said}");
    let (_, versions) = ask(&behind, Method::GET, "/front/versions", None, None).await?;
    ensure!(versions["versions"].as_array().is_some_and(|v| v.len() >= 2), "{versions}");
    let (_, way) =
        ask(&behind, Method::GET, &format!("/route?url=https%3A%2F%2F{address}%2Flogin"), None, None).await?;
    ensure!(way["server"]["path"] == "sites-available/front", "{way}");
    Ok(())
}
