//! People and tokens as an administrator handles them at a terminal, and what each of them can then do.

use anyhow::{Context as _, Result, ensure};
use hms_tests::testbed::Output;
use hms_tests::world::{Hmsctl, World};
use reqwest::StatusCode;
use serde_json::{Value, json};

/// hmsctl, which must end with this code.
async fn ends(hmsctl: &Hmsctl, code: i32, arguments: &[&str]) -> Result<Output> {
    let said = hmsctl.exec(arguments).await?;
    ensure!(said.code == code, "{arguments:?} ended with {}:\n{}\n{}", said.code, said.stdout, said.stderr);
    Ok(said)
}

async fn data(hmsctl: &Hmsctl, arguments: &[&str]) -> Result<Value> {
    let said = ends(hmsctl, 0, &[arguments, &["-o", "json"]].concat()).await?;
    Ok(serde_json::from_str(&said.stdout)?)
}

fn text<'a>(value: &'a Value, pointer: &str) -> Result<&'a str> {
    value.pointer(pointer).and_then(Value::as_str).with_context(|| format!("no {pointer} in {value}"))
}

/// Chooses a password, as somebody does who was invited.
async fn accept(world: &World, code: &str, password: &str) -> Result<StatusCode> {
    let body = json!({ "code": code, "password": password });
    let answer = world.client()?.post(format!("{}/api/auth/invitation", world.url())).json(&body).send();
    Ok(answer.await?.status())
}

async fn apps_by_token(world: &World, token: &str) -> Result<(StatusCode, Value)> {
    let answer = world.client()?.get(format!("{}/api/apps", world.url())).bearer_auth(token).send().await?;
    Ok((answer.status(), answer.json().await?))
}

/// Who is invited for one app sees and does that, through every door, and nothing else.
#[tokio::test]
async fn who_is_invited_does_what_they_were_invited_for_until_they_are_locked_out() -> Result<()> {
    let world = World::pair().await?;
    let (admin, bob) = (world.admin(), world.hmsctl_of("bob"));
    let invited = data(&admin, &["users", "invite", "bob", "--role", "operator", "--app", "cigar"]).await?;
    let code = text(&invited, "/code")?;
    ensure!(
        text(&invited, "/url")?.ends_with(&format!("#{code}")),
        "the code is where servers do not see it"
    );
    let password = "seven small grey stones";
    ensure!(!accept(&world, "nothing", password).await?.is_success(), "a made-up code is taken");
    ensure!(!accept(&world, code, "short").await?.is_success(), "a short password is taken");
    ensure!(accept(&world, code, password).await?.is_success(), "the code is refused");
    ensure!(!accept(&world, code, "eight small grey stones").await?.is_success(), "the code is good twice");

    let file = world.folder().join("bob");
    std::fs::write(&file, password)?;
    bob.log_in(&world.url(), &world.ca_file(), "bob", &file).await?;
    ensure!(ends(&bob, 0, &["whoami"]).await?.stdout.starts_with("bob (operator, app cigar)"), "whoami");
    let listed = ends(&bob, 0, &["apps"]).await?.stdout;
    ensure!(listed.contains("cigar") && !listed.contains("tobacco"), "{listed}");
    ends(&bob, 0, &["apps", "restart", "cigar"]).await?;
    ends(&bob, 0, &["logs", "--app", "cigar", "-n", "5"]).await?;
    let agent = world.controller_host().address().to_string();
    for beyond in [
        &["apps", "restart", "tobacco"][..],
        &["logs", "--app", "tobacco"],
        &["units", "--host", "borealis"],
        &["units", "restart", "cron.service", "--host", "asterra"],
        &["users"],
        // Agents know of no scopes: this goes through the controller or not at all.
        &["--direct", &agent, "apps", "restart", "cigar"],
    ] {
        ends(&bob, 4, beyond).await?;
    }
    may(&bob).await?;
    tokens(&world, &bob, &file).await?;

    let own = world.password_file();
    let proof = ["--password-file", &*own.to_string_lossy()];
    ends(&admin, 0, &[&["users", "edit", "bob", "--role", "viewer"], &proof[..]].concat()).await?;
    // What the certificate says is not true any more.
    ends(&bob, 4, &["apps"]).await?;
    bob.log_in(&world.url(), &world.ca_file(), "bob", &file).await?;
    ends(&bob, 4, &["apps", "restart", "cigar"]).await?;
    ends(&bob, 0, &["apps"]).await?;
    ends(&admin, 0, &["users", "disable", "bob"]).await?;
    ends(&bob, 4, &["apps"]).await?;
    let listed = ends(&admin, 0, &["users"]).await?.stdout;
    ensure!(listed.lines().any(|line| line.contains("bob") && line.contains("disabled")), "{listed}");
    Ok(())
}

/// What is asked beforehand is what happens.
async fn may(bob: &Hmsctl) -> Result<()> {
    ends(bob, 0, &["auth", "can-i", "restart", "app/cigar"]).await?;
    ends(bob, 0, &["auth", "can-i", "logs", "app/cigar"]).await?;
    for (verb, target) in [
        ("restart", "app/tobacco"),
        ("restart", "unit/cron.service@asterra"),
        ("reveal", "app/cigar"),
        ("run", "host/asterra"),
    ] {
        let said = ends(bob, 4, &["auth", "can-i", verb, target]).await?;
        ensure!(said.stdout == "no\n", "{verb} {target}: {}", said.stdout);
    }
    ends(bob, 4, &["auth", "can-i", "invite"]).await?;
    let why = ends(bob, 0, &["auth", "why", "restart", "app/tobacco"]).await?.stdout;
    ensure!(why.starts_with("no ") && why.contains("tobacco"), "{why}");
    let unknown = ends(bob, 2, &["auth", "can-i", "explode"]).await?;
    ensure!(unknown.stderr.contains("restart"), "the verbs are named: {}", unknown.stderr);
    Ok(())
}

/// A token reaches no further than its owner, and is worth nothing once it is revoked.
async fn tokens(world: &World, bob: &Hmsctl, password_file: &std::path::Path) -> Result<()> {
    let made = data(bob, &["tokens", "create", "ci", "--role", "viewer"]).await?;
    let (id, secret) = (text(&made, "/token/id")?, text(&made, "/secret")?);
    let (status, apps) = apps_by_token(world, secret).await?;
    ensure!(status == StatusCode::OK && !apps.to_string().contains("tobacco"), "{status} {apps}");
    ends(bob, 4, &["tokens", "create", "more", "--role", "admin"]).await?;
    let listed = ends(bob, 0, &["tokens"]).await?.stdout;
    ensure!(listed.contains("ci") && !listed.contains(secret), "{listed}");

    // A login of some time ago is not enough any more.
    let earlier = "UPDATE sessions SET confirmed_at = now() - INTERVAL '1 hour'";
    world
        .controller_host()
        .run(&["runuser", "-u", "postgres", "--", "psql", "-qc", earlier, "hosting_production"])
        .await?;
    let refused = ends(bob, 2, &["tokens", "create", "again"]).await?;
    ensure!(refused.stderr.contains("--password-file"), "{}", refused.stderr);
    let file = password_file.to_string_lossy();
    ends(bob, 0, &["tokens", "create", "again", "--password-file", &file]).await?;

    ends(bob, 0, &["tokens", "revoke", id]).await?;
    ensure!(apps_by_token(world, secret).await?.0 == StatusCode::UNAUTHORIZED, "a revoked token is taken");
    Ok(())
}
