//! Secrets of apps and hosts: values that are set, read from files, revealed, refused and deployed; what code is fetched with; what a
//! host joins with.

use anyhow::{Context as _, Result, ensure};
use hms_proto::host::v1::JobState;
use hms_tests::git_server::GitServer;
use hms_tests::repository::Repository;
use hms_tests::testbed::Host;
use hms_tests::yard::{settings, spec};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::Scene;
use super::tape::{Tells, Web, hmsctl};

pub(super) const APP: &str = "tobacco";
const HOST: &str = "asterra";

/// What the code of the app comes from.
pub(super) struct Source {
    url: String,
    token: String,
}

/// Makes the app, whose code is on `depot`; nothing is deployed.
pub(super) async fn add(scene: &mut Scene<'_>, depot: &Host) -> Result<Source> {
    let token = format!("c4n-{}", uuid::Uuid::new_v4().simple());
    scene.canaries.saw("token for the code", &token)?;
    let server = GitServer::start(depot, &token).await?;
    server.introduce(scene.yard.host()).await?;
    let repository = Repository::of_app(depot, APP, "tobacco").await?;
    let url = server.https(&repository);
    scene.yard.apps().add(settings(APP, HOST, spec(APP, "tobacco", &url))).await?;
    Ok(Source { url, token })
}

/// All that is done with it.
pub(super) async fn all(scene: &mut Scene<'_>, source: &Source) -> Result<()> {
    in_an_address(scene, &source.url).await?;
    over_rest(scene).await?;
    on_pages(scene).await?;
    at_a_terminal(scene).await?;
    made_by_hms(scene).await?;
    joining(scene).await?;
    deployed(scene, &source.token).await
}

/// Where many write their password.
async fn in_an_address(scene: &mut Scene<'_>, url: &str) -> Result<()> {
    let secret = scene.canaries.made("password in an address")?.replace(['/', ' ', '?'], "-");
    scene.canaries.saw("password in an address", &secret)?;
    let bad = url.replace("https://", &format!("https://git:{secret}@"));
    let change = json!({ "spec": { "git_url": bad } });
    let path = format!("/apps/{APP}/settings");
    let refused = scene.admin().rest(Method::PATCH, &path, Some(change), Tells::Nothing).await?;
    ensure!(refused.status.is_client_error(), "{}", refused.status);
    Ok(())
}

async fn over_rest(scene: &mut Scene<'_>) -> Result<()> {
    let value = scene.canaries.made("value set over REST")?;
    let path = format!("/apps/{APP}/secrets");
    let admin = scene.admin();
    let wanted = json!({ "secrets": { "OVER_REST": value } });
    admin.rest_once(Method::PUT, &path, Some(wanted), Tells::Nothing, Some("set")).await?.good()?;
    let refused = scene.canaries.made("value that was refused")?;
    for wanted in [
        json!({ "secrets": { "LD_PRELOAD": refused } }),
        json!({ "secrets": { "1A": refused } }),
        json!({ "secrets": { "A": [refused] } }),
        json!({ "secrets": refused }),
        json!({ "secrets": { "A": format!("{refused}\0") } }),
        json!(refused),
    ] {
        let answer = scene.admin().rest(Method::PUT, &path, Some(wanted), Tells::Nothing).await?;
        ensure!(answer.status.is_client_error(), "{}", answer.status);
    }
    let (good, bad) =
        (scene.canaries.made("value of a .env file")?, scene.canaries.made("line of a .env file")?);
    for (text, is_good) in [
        (format!("FROM_FILE='{good}'\n"), true),
        (format!("{bad}\n"), false),
        (format!("A='{bad}\n"), false),
        (format!("A=\"{bad}\" {bad}\n"), false),
        (format!("export {bad}={bad}\n"), false),
    ] {
        let wanted = json!({ "text": text });
        let path = format!("{path}/import");
        let answer = scene.admin().rest(Method::POST, &path, Some(wanted), Tells::Nothing).await?;
        ensure!(answer.status.is_success() == is_good, "{}", answer.status);
    }
    let path = format!("{path}/OVER_REST/reveal");
    let revealed = scene.admin().rest(Method::POST, &path, Some(json!({})), Tells::Secret).await?.good()?;
    ensure!(revealed.text("/value")? == value, "it is another value");
    Ok(())
}

async fn on_pages(scene: &mut Scene<'_>) -> Result<()> {
    let world = scene.world();
    let browser = Web::new(world, scene.tape, None)?;
    let form = [("username", hms_tests::world::ADMIN), ("password", world.password()), ("next", "")];
    browser.form("/login", &form, Tells::Secret).await?.good()?;
    let path = format!("/apps/{APP}/secrets");
    let value = scene.canaries.made("value set on a page")?;
    let wrong = scene.canaries.made("wrong password of a confirmation")?;
    let set = [("do", "set"), ("name", "ON_A_PAGE"), ("value", value.as_str())];
    browser.form(&path, &set, Tells::Nothing).await?.good()?;
    let refused = [("do", "set"), ("name", "LD_PRELOAD"), ("value", value.as_str())];
    browser.form(&path, &refused, Tells::Nothing).await?;
    let reveal = |password| [("do", "reveal"), ("name", "ON_A_PAGE"), ("password", password)];
    browser.form(&path, &reveal(wrong.as_str()), Tells::Nothing).await?;
    let shown = browser.form(&path, &reveal(scene.yard.world().password()), Tells::Secret).await?.good()?;
    ensure!(shown.body.contains(value.split('=').next().unwrap_or_default()), "it was not revealed");
    browser.page(&path).await?.good()?;
    Ok(())
}

async fn at_a_terminal(scene: &mut Scene<'_>) -> Result<()> {
    let (value, text) = (
        scene.canaries.made("value set at a terminal")?,
        scene.canaries.made("value of a file at a terminal")?,
    );
    let (file, env) =
        (scene.file("value", &value)?, scene.file("env", &format!("FROM_TERMINAL='{text}'\n"))?);
    let own = scene.world().password_file().to_string_lossy().into_owned();
    let admin = scene.world().admin();
    for (arguments, tells) in [
        (vec!["set", APP, "AT_A_TERMINAL", "--file", &file], Tells::Nothing),
        (vec!["import", APP, &env, "--yes"], Tells::Nothing),
        (vec!["list", APP], Tells::Nothing),
        (vec!["rotate", APP, "git-private-key", "--yes"], Tells::Nothing),
        (vec!["reveal", APP, "AT_A_TERMINAL", "--password-file", &own], Tells::Secret),
    ] {
        let said =
            hmsctl(scene.tape, &admin, &[&["apps", "secrets"], &arguments[..]].concat(), tells).await?;
        ensure!(said.success(), "{arguments:?}: {}", said.stderr);
    }
    let bad =
        hmsctl(scene.tape, &admin, &["apps", "secrets", "set", APP, "1A", "--file", &file], Tells::Nothing)
            .await?;
    ensure!(!bad.success(), "a bad name is taken");
    for file in [file, env] {
        std::fs::remove_file(file)?;
    }
    Ok(())
}

/// What nobody typed, but for whoever reveals it.
async fn made_by_hms(scene: &mut Scene<'_>) -> Result<()> {
    let names = ["SECRET_KEY_BASE", "API_TOKEN", "DATABASE_PASSWORD", "git-private-key"];
    for name in names {
        let path = format!("/apps/{APP}/secrets/{name}/reveal");
        let value = scene
            .admin()
            .rest(Method::POST, &path, Some(json!({})), Tells::Secret)
            .await?
            .good()?
            .text("/value")?;
        match name {
            "git-private-key" => scene.canaries.saw_key("key for the code", &value)?,
            _ => drop(scene.canaries.saw(&format!("{name} of an app"), &value)?),
        }
    }
    Ok(())
}

async fn joining(scene: &mut Scene<'_>) -> Result<()> {
    let said =
        hmsctl(scene.tape, &scene.world().admin(), &["host", "token", HOST, "-o", "json"], Tells::Secret)
            .await?;
    let said: Value = serde_json::from_str(&said.stdout).context("host token")?;
    let token = said["join_token"].as_str().context("join_token")?;
    let (host, root) = (token.split('.').nth(1), token.split('.').next_back());
    scene.canaries.saw("join token", token.split('.').nth(2).context("a secret")?)?;
    let made_up = uuid::Uuid::new_v4().simple().to_string();
    scene.canaries.saw("made-up join token", &made_up)?;
    let url = scene.world().url();
    for bad in [
        format!("hms1.{}.{made_up}.{}", host.unwrap_or_default(), root.unwrap_or_default()),
        format!("hms1.{made_up}"),
        made_up,
    ] {
        let argv = ["hms-agent", "join", "--controller", &url];
        let refused = scene.yard.host().exec_with(&argv, bad.as_bytes()).await?;
        ensure!(!refused.success(), "a made-up token is taken");
        scene
            .tape
            .keep("output of programs on the host", &format!("{}{}", refused.stdout, refused.stderr))?;
    }
    Ok(())
}

/// Once with a wrong token for the code, and once with the right one.
async fn deployed(scene: &mut Scene<'_>, token: &str) -> Result<()> {
    let wrong = format!("c4n-{}", uuid::Uuid::new_v4().simple());
    scene.canaries.saw("wrong token for the code", &wrong)?;
    for (token, end) in [(wrong.as_str(), JobState::Failed), (token, JobState::Succeeded)] {
        let wanted = json!({ "secrets": { "git-token": token } });
        let path = format!("/apps/{APP}/secrets");
        scene.admin().rest(Method::PUT, &path, Some(wanted), Tells::Nothing).await?.good()?;
        let deployment = scene.yard.deploy(APP).await?;
        scene.yard.must_be(&deployment, end).await?;
        scene.tape.keep("output of jobs", &scene.yard.output(&deployment.id).await?)?;
        scene.deployments.push(deployment.id);
    }
    let (status, value) = scene.yard.ask(APP, "/env/OVER_REST").await?;
    // The app itself has them.
    ensure!(status == StatusCode::OK && value.starts_with("c4n"), "{status}");
    Ok(())
}
