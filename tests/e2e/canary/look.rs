//! Looks at everything that HMS shows: all pages, all of REST, what `hmsctl` lists, and what it answers to what is wrong.

use std::io::Write as _;

use anyhow::{Result, ensure};
use hms_tests::world::ADMIN;
use reqwest::Method;
use serde_json::json;
use tokio::task::JoinHandle;

use super::Scene;
use super::apps::APP;
use super::forms::{ENCODINGS, forms};
use super::tape::{Tape, Tells, hmsctl};

const PAGES: &[&str] = &[
    "/",
    "/login",
    "/logs",
    "/logs?source=journal",
    "/deploy",
    "/apps/new",
    "/apps/tobacco",
    "/apps/tobacco/settings",
    "/apps/tobacco/secrets",
    "/apps/tobacco/plan",
    "/configs",
    "/hosts",
    "/scripts",
    "/runs",
    "/schedules",
    "/audit",
    "/settings",
    "/settings/tokens/new",
    "/settings/users",
    "/settings/users/maria",
    "/settings/users/jonas",
    "/settings/invite",
    "/settings/api",
    "/confirm",
    "/livez",
    "/readyz",
    // What is not there.
    "/nothing",
    "/apps/nothing",
    "/runs/nothing",
    "/settings/users/nothing",
    "/logs?source=nothing:%00",
];

const REST: &[&str] = &[
    "/openapi.json",
    "/account",
    "/account/whoami",
    "/apps",
    "/apps/tobacco",
    "/apps/tobacco/deployments",
    "/apps/tobacco/plan",
    "/apps/tobacco/releases",
    "/apps/tobacco/secrets",
    "/apps/tobacco/settings",
    "/audit?limit=500",
    "/audit/chain",
    "/audit/export",
    "/configs/nginx?host=asterra",
    "/deployments",
    "/health",
    "/hosts",
    "/hosts/asterra",
    "/logs?host=asterra&source=journal&lines=2000&unit=hms-controller.service",
    "/logs?host=asterra&source=journal&lines=2000&unit=hms-agent.service",
    "/logs/tobacco",
    "/logs/nginx/access",
    "/runs",
    "/schedules",
    "/scripts",
    "/sessions",
    "/tokens",
    "/user-tokens",
    "/users",
    "/users/maria",
    "/users/maria/sessions",
    "/users/maria/tokens",
    "/warnings",
    "/nothing",
    "/apps/nothing",
    "/runs/nothing",
    "/audit?limit=nothing",
    "/jobs/nothing/output",
];

const HMSCTL: &[&[&str]] = &[
    &["status"],
    &["whoami"],
    &["apps"],
    &["apps", "show", APP],
    &["apps", "secrets", "list", APP],
    &["apps", "plan", APP],
    &["deployments"],
    &["host"],
    &["units", "--host", "asterra"],
    &["facts", "--host", "asterra"],
    &["users"],
    &["users", "tokens"],
    &["tokens"],
    &["sessions"],
    &["audit", "--limit", "500"],
    &["audit", "export"],
    &["logs", "--app", APP, "-n", "500"],
    &["apps", "show", "nothing"],
    &["apps", "export", APP],
];

/// Follows what moves on a page and what an app writes, for as long as the test runs.
pub(super) async fn follow(scene: &Scene<'_>) -> Result<Vec<JoinHandle<()>>> {
    let client = scene.world().client()?;
    hms_tests::people::log_in_to_web(scene.world(), &client).await?;
    let mut following = Vec::new();
    for path in
        ["/events?view=dashboard", "/events?view=deploy", "/events?view=app&id=tobacco", "/api/logs/tobacco"]
    {
        let request = client.get(format!("{}{path}", scene.world().url())).bearer_auth(&scene.access);
        let mut answer = request.header("accept", "text/event-stream").send().await?;
        ensure!(answer.status().is_success(), "{path}: {}", answer.status());
        let mut file = std::fs::File::create(scene.tape.file("live streams")?)?;
        following.push(tokio::spawn(async move {
            while let Ok(Some(chunk)) = answer.chunk().await {
                file.write_all(&chunk).expect("the tape can be written");
            }
        }));
    }
    Ok(following)
}

/// Names of tokens may be any text: each encoding of the control becomes one, and is on all faces from then on.
pub(super) async fn show_control(scene: &Scene<'_>, control: &str) -> Result<()> {
    let all = forms(control.as_bytes());
    for encoding in ENCODINGS {
        let form = all.iter().find(|(of, _)| *of == encoding).map_or("", |(_, text)| text);
        let wanted = json!({ "name": form, "role": "viewer" });
        scene.admin().rest(Method::POST, "/tokens", Some(wanted), Tells::Secret).await?.good()?;
        if encoding == "hex" {
            // Whoever is not logged in is sent to the login, with where they wanted to go.
            scene.nobody()?.page(&format!("/apps/{form}")).await?;
        }
    }
    Ok(())
}

pub(super) async fn at_everything(scene: &Scene<'_>) -> Result<()> {
    let browser = scene.nobody()?;
    let form = [("username", ADMIN), ("password", scene.world().password()), ("next", "/")];
    browser.form("/login", &form, Tells::Secret).await?.good()?;
    let deployments = scene.deployments.iter().map(|id| format!("/deployments/{id}"));
    for path in PAGES.iter().map(|path| (*path).to_owned()).chain(deployments) {
        let answer = browser.page(&path).await?;
        ensure!(!answer.status.is_server_error(), "{path}: {}", answer.status);
    }
    let admin = scene.admin();
    let works = scene.deployments.iter();
    let works = works
        .flat_map(|id| [format!("/deployments/{id}"), format!("/jobs/{id}"), format!("/jobs/{id}/output")]);
    for path in REST.iter().map(|path| (*path).to_owned()).chain(works) {
        let answer = admin.rest(Method::GET, &path, None, Tells::Nothing).await?;
        ensure!(!answer.status.is_server_error(), "{path}: {}: {}", answer.status, answer.body);
    }
    at_a_terminal(scene.tape, scene).await
}

async fn at_a_terminal(tape: &Tape, scene: &Scene<'_>) -> Result<()> {
    let admin = scene.world().admin();
    for arguments in HMSCTL {
        hmsctl(tape, &admin, arguments, Tells::Nothing).await?;
        hmsctl(tape, &admin, &[arguments, &["-o", "json"][..]].concat(), Tells::Nothing).await?;
    }
    Ok(())
}
