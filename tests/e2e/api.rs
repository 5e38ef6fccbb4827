//! The whole API against a real controller: a generated client that is type-checked and run, and a tester that makes up
//! requests from the document.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use hms_tests::command::last_lines;
use hms_tests::people::Rest;
use hms_tests::testbed::collect;
use hms_tests::world::World;
use hms_tests::{api, paths};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::process::Command;

/// So many requests are made up at random for each operation, besides those for each bound of each value.
const EXAMPLES: &str = "5";
/// So many walks along the links of the document.
const WALKS: &str = "200";
/// Each caller may make ten requests in a second; so many sessions share what the tester makes.
const SESSIONS: usize = 16;
const RATE: &str = "140/s";
/// Of the operations, those that the tester leaves out (tests/api/schemathesis.toml says why).
const LEFT_OUT: usize = 1;

async fn make_token(rest: &Rest, name: &str, role: &str) -> Result<Value> {
    let wanted = json!({ "name": name, "role": role, "days": 1 });
    rest.ask(Method::POST, "/api/tokens", Some(wanted)).await
}

async fn document(rest: &Rest) -> Result<Value> {
    rest.ask(Method::GET, "/api/openapi.json", None).await
}

/// What the tester may take away, and a script that it can run.
async fn add_spare_things(rest: &Rest) -> Result<()> {
    let host = json!({ "name": "spare-host", "address": "192.0.2.7" });
    rest.ask(Method::POST, "/api/hosts", Some(host)).await?;
    let spec = json!({ "git_url": "https://git.example/spare.git" });
    let app = json!({ "key": "spare", "host": "asterra", "spec": spec });
    rest.ask(Method::POST, "/api/apps", Some(app)).await?;
    let user = json!({ "username": "grace", "role": "viewer", "scope": { "all": true } });
    rest.ask(Method::POST, "/api/users", Some(user)).await?;
    let folder = paths::repository().join("remote_cli_tools/check_status");
    let manifest = fs::read_to_string(folder.join("manifest.toml"))?;
    let content = fs::read_to_string(folder.join("check_status.sh"))?;
    let script = json!({ "name": "check_status", "manifest": manifest, "content": content });
    rest.ask(Method::PUT, "/api/scripts", Some(json!({ "scripts": [script] }))).await?;
    Ok(())
}

async fn must(mut command: Command, what: &str) -> Result<String> {
    command.kill_on_drop(true);
    let output = collect(command, b"").await?;
    let said = format!("{}\n{}", output.stdout, output.stderr);
    let kept = api::keep(what, &said)?;
    ensure!(output.success(), "{what} ({}):\n{}", kept.display(), last_lines(&said, 400));
    Ok(output.stdout)
}

#[tokio::test]
async fn a_generated_client_compiles_and_does_what_it_says() -> Result<()> {
    let world = World::single().await?;
    let rest = Rest::log_in(&world).await?;
    let token = make_token(&rest, "api tests", "admin").await?;
    let token = token["secret"].as_str().context("secret")?;
    let folder = tokio::task::spawn_blocking(api::client).await??;
    let generated = folder.join("generated");
    fs::create_dir_all(&generated)?;
    fs::write(generated.join("openapi.json"), document(&rest).await?.to_string())?;
    let node = |arguments: &[&str]| {
        let mut node = Command::new("node");
        node.current_dir(&folder).args(arguments);
        node.env("HMS_URL", world.url()).env("HMS_TOKEN", token).env("NODE_EXTRA_CA_CERTS", world.ca_file());
        node
    };
    // A value with a default may be left out of what is sent.
    let types = ["generated/openapi.json", "-o", "generated/hms.d.ts", "--default-non-nullable", "false"];
    must(node(&[&["node_modules/openapi-typescript/bin/cli.js"], &types[..]].concat()), "generating").await?;
    must(node(&["node_modules/typescript/bin/tsc", "-p", "."]), "the type check").await?;
    let told = must(node(&["generated/client.js"]), "the client").await?;
    let used = serde_json::from_str::<Value>(told.trim())?["used"].as_u64().context("used")?;
    ensure!(used >= 20, "only {used} calls");
    Ok(())
}

/// Security cases 19 to 23: what fits the document is taken, what does not is refused, nothing is answered that it does not
/// say, and nobody is answered who shows no token. What was made is there, and what was removed is gone.
#[tokio::test]
async fn made_up_requests_find_nothing_that_the_document_does_not_say() -> Result<()> {
    let world = World::single().await?;
    let rest = Rest::log_in(&world).await?;
    add_spare_things(&rest).await?;
    let mut document = document(&rest).await?;
    let mut operations = 0;
    for operation in document["paths"]
        .as_object_mut()
        .into_iter()
        .flatten()
        .flat_map(|(_, item)| item.as_object_mut())
        .flatten()
        .map(|(_, operation)| operation)
    {
        // A default would make every status one that the document names.
        operation["responses"].as_object_mut().context("responses")?.remove("default");
        operations += 1;
    }
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("openapi.json"), document.to_string())?;
    let told = must(tester(&world, &rest, folder.path(), &Part::Single).await?, "single requests").await?;
    ensure!(number(&told, "Selected:", "/")? == operations - LEFT_OUT, "operations were left out: {told}");
    ensure!(number(&told, "", " generated,")? > 3_000, "few requests: {told}");
    let told = must(tester(&world, &rest, folder.path(), &Part::Walks).await?, "walks").await?;
    // Which links are followed is left to chance: some of a few dozen lead into nothing but what must be kept.
    let (covered, links) = (number(&told, "API Links:", " covered")?, links(&document));
    ensure!(covered * 4 > links, "{covered} of {links} links were followed: {told}");
    // It worked on what is real, and that is still there.
    let there = rest.ask(Method::GET, "/api/apps/cigar", None).await?;
    ensure!(there["host"] == "asterra", "{there}");
    ensure!(rest.ask(Method::GET, "/api/hosts/asterra", None).await?["state"] == "connected");
    Ok(())
}

/// The number that the tester tells between these.
fn number(told: &str, before: &str, after: &str) -> Result<usize> {
    let line = told.lines().find_map(|line| line.trim().strip_prefix(before)?.split_once(after));
    line.and_then(|(number, _)| number.trim().parse().ok()).with_context(|| told.to_owned())
}

/// How many links the document has.
fn links(document: &Value) -> usize {
    let items = document["paths"].as_object().into_iter().flat_map(|paths| paths.values());
    let operations = items.filter_map(Value::as_object).flat_map(|item| item.values());
    let answers = operations.filter_map(|one| one["responses"].as_object()).flat_map(|all| all.values());
    answers.filter_map(|answer| answer["links"].as_object()).map(serde_json::Map::len).sum()
}

/// What the tester does.
enum Part {
    /// Requests for each operation, each by itself.
    Single,
    /// What an operation made is what the next one takes.
    Walks,
}

/// The tester, started in that folder, which has the document.
async fn tester(world: &World, rest: &Rest, folder: &std::path::Path, part: &Part) -> Result<Command> {
    let mut tokens = Vec::new();
    for _ in 0..SESSIONS {
        tokens.push(Rest::log_in(world).await?.token);
    }
    let sessions = Rest::log_in(world).await?.ask(Method::GET, "/api/sessions", None).await?;
    let mut all = sessions["sessions"].as_array().into_iter().flatten();
    let spare = all.find(|session| session["current"] == true).context("no session is the current one")?;
    let token = make_token(rest, "spare", "viewer").await?;
    let program = tokio::task::spawn_blocking(api::schemathesis).await??;
    let settings = paths::repository().join("tests/api");
    let mut tester = Command::new(program);
    tester.current_dir(folder).env("PYTHONPATH", &settings).env("PYTHONDONTWRITEBYTECODE", "1");
    let (own, phases, examples) = match part {
        Part::Single => (["hooks", "schemathesis.toml"], "examples,coverage,fuzzing", EXAMPLES),
        Part::Walks => (["stateful", "stateful.toml"], "stateful", WALKS),
    };
    tester.env("SCHEMATHESIS_HOOKS", own[0]).env("HMS_TOKENS", tokens.join(","));
    tester.env("HMS_SPARE_TOKEN", token["token"]["id"].as_str().context("id")?);
    tester.env("HMS_SPARE_SESSION", spare["id"].as_str().context("id")?);
    tester.arg("--config-file").arg(settings.join(own[1]));
    tester.args(["run", "openapi.json", "--url", &world.url()]).arg("--tls-verify").arg(world.ca_file());
    tester.args(["--checks", "all", "--phases", phases, "--continue-on-failure"]);
    // Another seed each time would make a failure of tomorrow out of a run of today; the variable lets it look further.
    let examples = std::env::var("HMS_API_EXAMPLES").unwrap_or_else(|_| examples.into());
    tester.args(["--seed", "7", "--max-examples", &examples, "--workers", "2", "--rate-limit", RATE]);
    // Of many new connections at a time, the controller turns some away.
    tester.args(["--request-retries", "3", "--request-timeout", "60", "--no-color"]);
    Ok(tester)
}
