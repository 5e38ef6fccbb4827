//! The whole API against a real controller: a generated client that is type-checked and run, and a tester that makes up
//! requests from the document.

use anyhow::{Context as _, Result, ensure};
use hms_tests::command::last_lines;
use hms_tests::people::log_in_to_rest;
use hms_tests::testbed::collect;
use hms_tests::world::World;
use hms_tests::{api, counts};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::process::Command;

/// So many requests are made up for each operation and each way of making them up; the long form is told by the variable.
const EXAMPLES: &str = "3";
/// Below the limit of requests that each caller has.
const RATE: &str = "540/m";

/// The document of a controller, and a token of its administrator for machines.
async fn opened(world: &World) -> Result<(Value, String)> {
    let client = world.client()?;
    let session = log_in_to_rest(world, &client).await?;
    let session = session["access_token"].as_str().context("access_token")?;
    let wanted = json!({ "name": "api tests", "role": "admin", "days": 1 });
    let address = format!("{}/api/tokens", world.url());
    let made = client.post(address).bearer_auth(session).json(&wanted).send().await?;
    ensure!(made.status() == StatusCode::CREATED, "a token was answered with {}", made.status());
    let token = made.json::<Value>().await?["secret"].as_str().context("secret")?.to_owned();
    let document = client.get(format!("{}/api/openapi.json", world.url())).send().await?.json().await?;
    Ok((document, token))
}

async fn must(mut command: Command, what: &str) -> Result<String> {
    command.kill_on_drop(true);
    let output = collect(command, b"").await?;
    let said = format!("{}\n{}", output.stdout, output.stderr);
    ensure!(output.success(), "{what}:\n{}", last_lines(&said, 80));
    Ok(output.stdout)
}

#[tokio::test]
async fn a_generated_client_compiles_and_does_what_it_says() -> Result<()> {
    let world = World::single().await?;
    let (document, token) = opened(&world).await?;
    let folder = tokio::task::spawn_blocking(api::client).await??;
    let generated = folder.join("generated");
    std::fs::create_dir_all(&generated)?;
    std::fs::write(generated.join("openapi.json"), document.to_string())?;
    let node = |arguments: &[&str]| {
        let mut node = Command::new("node");
        node.current_dir(&folder).args(arguments);
        node.env("HMS_URL", world.url()).env("HMS_TOKEN", &token).env("NODE_EXTRA_CA_CERTS", world.ca_file());
        node
    };
    let types = ["generated/openapi.json", "-o", "generated/hms.d.ts"];
    must(node(&[&["node_modules/openapi-typescript/bin/cli.js"], &types[..]].concat()), "generating").await?;
    must(node(&["node_modules/typescript/bin/tsc", "-p", "."]), "the type check").await?;
    let told = must(node(&["generated/client.js"]), "the client").await?;
    let used = serde_json::from_str::<Value>(told.trim())?["used"].as_u64().context("used")?;
    counts::tell("calls of the generated client", usize::try_from(used)?, 0);
    ensure!(used >= 20, "only {used} calls");
    Ok(())
}

/// Security cases 19 to 23: what fits the document is taken, what does not is refused, and nothing is answered that it does
/// not say.
#[tokio::test]
async fn made_up_requests_find_nothing_that_the_document_does_not_say() -> Result<()> {
    let world = World::single().await?;
    let (_, token) = opened(&world).await?;
    let program = tokio::task::spawn_blocking(api::schemathesis).await??;
    let examples = std::env::var("HMS_API_EXAMPLES").unwrap_or_else(|_| EXAMPLES.into());
    let mut tester = Command::new(program);
    tester.current_dir(hms_tests::paths::repository().join("tests/api"));
    tester.args(["--config-file", "schemathesis.toml", "run"]);
    tester.arg(format!("{}/api/openapi.json", world.url()));
    tester.arg("--header").arg(format!("Authorization: Bearer {token}"));
    tester.arg("--tls-verify").arg(world.ca_file());
    tester.args(["--checks", "all", "--phases", "examples,fuzzing", "--max-examples", &examples]);
    // Another seed each time would make a failure of tomorrow out of a run of today; the long form looks further.
    tester.args(["--rate-limit", RATE, "--seed", "7", "--continue-on-failure", "--no-color"]);
    let told = must(tester, "the tester").await?;
    let cases = told.lines().find(|line| line.contains("generated")).unwrap_or_default();
    let number = cases.split_whitespace().find_map(|word| word.parse().ok()).context("no count of cases")?;
    counts::tell("requests made up from the document", number, 0);
    Ok(())
}
