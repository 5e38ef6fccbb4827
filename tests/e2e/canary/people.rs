//! Secrets of people and machines: passwords, codes, cookies and tokens, right ones and wrong ones, through every face.

use anyhow::{Context as _, Result, ensure};
use hmac::{Hmac, KeyInit as _, Mac as _};
use hms_tests::world::{ADMIN, Hmsctl};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sha1::Sha1;

use super::Scene;
use super::tape::{Answer, Tells, Web, hmsctl};

const COOKIE: &str = "__Host-hms";
const STEP: &str = "__Host-hms-step";

/// The code that an authenticator shows now (RFC 6238).
fn code(secret: &str) -> Result<String> {
    let key = data_encoding::BASE32_NOPAD.decode(secret.as_bytes())?;
    let step = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs() / 30;
    let mut mac = Hmac::<Sha1>::new_from_slice(&key)?;
    mac.update(&step.to_be_bytes());
    let hash: [u8; 20] = mac.finalize().into_bytes().into();
    let at = usize::from(hash[19] & 15);
    let number = u32::from_be_bytes([hash[at] & 0x7f, hash[at + 1], hash[at + 2], hash[at + 3]]);
    Ok(format!("{:06}", number % 1_000_000))
}

/// Somebody with a password, and with a second factor later on.
pub(super) struct Person {
    pub(super) password: String,
    pub(super) recovery: Vec<String>,
}

/// All of it. What is returned is whoever has everything that a person can have.
pub(super) async fn all(scene: &mut Scene<'_>) -> Result<Person> {
    let mut maria = invited(scene).await?;
    wrong_logins(scene, &maria).await?;
    maria.password = another_password(scene, &maria).await?;
    second_factor(scene, &mut maria).await?;
    two_steps(scene, &maria).await?;
    machines(scene).await?;
    on_the_host(scene).await?;
    terminal(scene, &maria).await?;
    Ok(maria)
}

/// What an answer tells once, and to the same request once more.
async fn told_twice(scene: &Scene<'_>, path: &str, wanted: &Value, secret: &str) -> Result<String> {
    let key = path.trim_start_matches('/');
    let ask = async || {
        let admin = scene.admin();
        let answer =
            admin.rest_once(Method::POST, path, Some(wanted.clone()), Tells::Secret, Some(key)).await?;
        answer.good()?.text(secret)
    };
    let told = ask().await?;
    ensure!(ask().await? == told, "the answer of before comes again");
    Ok(told)
}

async fn invited(scene: &mut Scene<'_>) -> Result<Person> {
    let wanted = json!({ "username": "maria", "role": "admin", "scope": { "all": true } });
    let code = told_twice(scene, "/users", &wanted, "/code").await?;
    scene.canaries.saw("invitation code", &code)?;
    let nobody = scene.nobody()?;
    let accept = async |code: &str, password: &str| {
        let chosen = json!({ "code": code, "password": password });
        nobody.rest(Method::POST, "/auth/invitation", Some(chosen), Tells::Nothing).await
    };
    let (made_up, refused) = (scene.canaries.made("made-up invitation code")?, "short and 5ecret");
    ensure!(!accept(&made_up, refused).await?.status.is_success(), "a made-up code is taken");
    let form = [("code", made_up.as_str()), ("password", refused), ("again", "something else entirely")];
    // The page comes back with the code in its field.
    nobody.form("/login/invitation", &form, Tells::Secret).await?;
    let password = scene.canaries.made("password")?;
    accept(&code, &password).await?.good()?;
    Ok(Person { password, recovery: Vec::new() })
}

async fn log_in(web: &Web<'_>, name: &str, password: &str) -> Result<Answer> {
    let form = [("username", name), ("password", password), ("next", "/")];
    web.form("/login", &form, Tells::Secret).await
}

async fn wrong_logins(scene: &mut Scene<'_>, maria: &Person) -> Result<()> {
    let nobody = scene.nobody()?;
    let wrong = scene.canaries.made("wrong password")?;
    let as_name = scene.canaries.made("password typed as a user name")?;
    for (name, password) in [("maria", wrong.as_str()), (&as_name, &wrong), ("nobody", &maria.password)] {
        let form = [("username", name), ("password", password), ("next", "/")];
        // The page comes back with the name in its field.
        let tells = if name == as_name { Tells::Secret } else { Tells::Nothing };
        ensure!(nobody.form("/login", &form, tells).await?.status == StatusCode::UNAUTHORIZED);
        let body = json!({ "username": name, "password": password });
        let answer = nobody.rest(Method::POST, "/auth/login", Some(body), Tells::Nothing).await?;
        ensure!(answer.status == StatusCode::UNAUTHORIZED, "{}", answer.status);
    }
    // What does not fit is not repeated either.
    for body in [
        json!({ "username": "maria", "password": [wrong] }),
        json!({ "username": "maria", "password": { "is": wrong } }),
        json!({ "username": [as_name], "password": wrong }),
        json!({ "username": "maria", "password": wrong, "code": [wrong] }),
        json!(wrong),
    ] {
        let answer = nobody.rest(Method::POST, "/auth/login", Some(body), Tells::Nothing).await?;
        ensure!(answer.status.is_client_error(), "{}", answer.status);
    }
    let file = scene.file("wrong", &wrong)?;
    let (url, ca) = (scene.world().url(), scene.world().ca_file().to_string_lossy().into_owned());
    let login = ["login", &url, "--ca-file", &ca, "--username", "maria", "--password-file", &file];
    let refused = hmsctl(scene.tape, &scene.world().hmsctl_of("nobody"), &login, Tells::Nothing).await?;
    ensure!(!refused.success(), "a wrong password is taken");
    Ok(())
}

/// Changes the password on the page, and ends the session of the browser.
async fn another_password(scene: &mut Scene<'_>, maria: &Person) -> Result<String> {
    let browser = scene.nobody()?;
    let entered = log_in(&browser, "maria", &maria.password).await?.good()?;
    scene.canaries.saw("cookie of a session", &entered.cookie(COOKIE)?)?;
    let (wrong, new) = (scene.canaries.made("wrong current password")?, scene.canaries.made("new password")?);
    browser.form("/confirm", &[("password", wrong.as_str()), ("next", "/settings")], Tells::Nothing).await?;
    for (current, again) in [(&wrong, &new), (&maria.password, &wrong), (&maria.password, &new)] {
        let form = [("current", current.as_str()), ("new", &new), ("again", again)];
        browser.form("/settings/password", &form, Tells::Nothing).await?;
    }
    ensure!(!log_in(&scene.nobody()?, "maria", &new).await?.cookie(COOKIE)?.is_empty(), "it was not changed");
    browser.page("/settings").await?.good()?;
    browser.form("/logout", &[], Tells::Nothing).await?.good()?;
    Ok(new)
}

async fn second_factor(scene: &mut Scene<'_>, maria: &mut Person) -> Result<()> {
    let body = json!({ "username": "maria", "password": maria.password });
    let tokens =
        scene.nobody()?.rest(Method::POST, "/auth/login", Some(body), Tells::Secret).await?.good()?;
    let access = tokens.text("/access_token")?;
    let signature = access.rsplit('.').next().context("a signature")?;
    scene.canaries.saw("access token", signature)?;
    let refresh = scene.canaries.saw("refresh token", &tokens.text("/refresh_token")?)?;
    let refreshed = json!({ "refresh_token": refresh });
    let nobody = scene.nobody()?;
    let next = nobody.rest(Method::POST, "/auth/refresh", Some(refreshed), Tells::Secret).await?.good()?;
    scene.canaries.saw("next refresh token", &next.text("/refresh_token")?)?;

    let own = Web::new(scene.world(), scene.tape, Some(&access))?;
    let begun = own.rest(Method::POST, "/account/totp", None, Tells::Secret).await?.good()?;
    let secret = scene.canaries.saw("secret of the second factor", &begun.text("/secret")?)?;
    scene.canaries.saw_bytes(
        "secret of the second factor, in bytes",
        &data_encoding::BASE32_NOPAD.decode(secret.as_bytes())?,
    )?;
    let enable = async |code: &str, tells| {
        own.rest(Method::POST, "/account/totp/enable", Some(json!({ "code": code })), tells).await
    };
    ensure!(!enable(&secret, Tells::Nothing).await?.status.is_success(), "the secret is no code");
    let codes = enable(&code(&secret)?, Tells::Secret).await?.good()?;
    let codes: Value = serde_json::from_str(&codes.body)?;
    for code in codes["codes"].as_array().context("codes")?.iter().filter_map(Value::as_str) {
        maria.recovery.push(scene.canaries.saw("recovery code", code)?);
        // As it is typed, and as it is kept.
        scene.canaries.saw("recovery code without its dash", &code.replace('-', ""))?;
    }
    Ok(())
}

async fn two_steps(scene: &mut Scene<'_>, maria: &Person) -> Result<()> {
    let browser = scene.nobody()?;
    let step = log_in(&browser, "maria", &maria.password).await?.good()?;
    scene.canaries.saw("cookie of the first step", &step.cookie(STEP)?)?;
    let wrong = scene.canaries.saw("wrong recovery code", "c4nccccc-nqqqqqqq")?;
    browser.form("/login/code", &[("code", &*wrong), ("next", "")], Tells::Nothing).await?;
    let form = [("code", maria.recovery[0].as_str()), ("next", "")];
    let entered = browser.form("/login/code", &form, Tells::Secret).await?.good()?;
    scene.canaries.saw("cookie of a session", &entered.cookie(COOKIE)?)?;
    browser.page("/").await?.good()?;
    let nobody = scene.nobody()?;
    for (code, is_right) in [(&wrong, false), (&maria.recovery[0], false), (&maria.recovery[1], true)] {
        let body = json!({ "username": "maria", "password": maria.password, "code": code });
        let tells = if is_right { Tells::Secret } else { Tells::Nothing };
        let answer = nobody.rest(Method::POST, "/auth/login", Some(body), tells).await?;
        ensure!(answer.status.is_success() == is_right, "{}", answer.status);
    }
    Ok(())
}

async fn machines(scene: &mut Scene<'_>) -> Result<()> {
    let wanted = json!({ "name": "a machine", "role": "admin" });
    let token = told_twice(scene, "/tokens", &wanted, "/secret").await?;
    // What is shown of it to tell it from others is no part of what is looked for.
    scene.canaries.saw("API token", token.get(12..).context("a token")?)?;
    Web::new(scene.world(), scene.tape, Some(&token))?
        .rest(Method::GET, "/apps", None, Tells::Nothing)
        .await?
        .good()?;
    let made_up = scene.canaries.made("made-up token")?.replace(' ', "");
    for bad in [format!("hmst_{made_up}"), made_up.clone(), format!("a.{made_up}.b")] {
        scene.canaries.saw("made-up token", &bad)?;
        let machine = Web::new(scene.world(), scene.tape, Some(&bad))?;
        let refused = machine.rest(Method::GET, "/apps", None, Tells::Nothing).await?;
        ensure!(refused.status == StatusCode::UNAUTHORIZED, "{}", refused.status);
        let again = json!({ "refresh_token": bad });
        machine.rest(Method::POST, "/auth/refresh", Some(again), Tells::Nothing).await?;
    }
    let own = scene.world().password_file();
    let create = ["tokens", "create", "terminal", "-o", "json", "--password-file", &own.to_string_lossy()];
    let said = hmsctl(scene.tape, &scene.world().admin(), &create, Tells::Secret).await?;
    let said: Value = serde_json::from_str(&said.stdout).context("tokens create")?;
    let token = said["secret"].as_str().context("secret")?;
    scene.canaries.saw("API token made at a terminal", token.get(12..).context("a token")?)?;
    Ok(())
}

/// As root does it on the controller's host.
async fn on_the_host(scene: &mut Scene<'_>) -> Result<()> {
    let host = scene.world().controller_host();
    let as_hms = ["runuser", "-u", "hms", "--", "hms-controller", "user"];
    let code = host.run(&[&as_hms[..], &["invite", "jonas"]].concat()).await?;
    scene.canaries.saw("invitation code of the console", code.trim())?;
    let password = scene.canaries.made("password set on the host")?;
    host.run_with(&[&as_hms[..], &["password", "jonas"]].concat(), password.as_bytes()).await?;
    let admin = scene.admin();
    let reset =
        admin.rest(Method::POST, "/users/jonas/reset", Some(json!({})), Tells::Secret).await?.good()?;
    scene.canaries.saw("code of a reset", &reset.text("/code")?)?;
    scene.canaries.saw("password of the first account", scene.yard.world().password())?;
    let again = json!({ "username": ADMIN, "password": scene.world().password() });
    scene.nobody()?.rest(Method::POST, "/auth/login", Some(again), Tells::Secret).await?.good()?;
    Ok(())
}

/// A login with all there is at a terminal; what it keeps there is looked through later.
async fn terminal(scene: &mut Scene<'_>, maria: &Person) -> Result<()> {
    let (password, code) = (scene.file("maria", &maria.password)?, scene.file("code", &maria.recovery[2])?);
    let (url, ca) = (scene.world().url(), scene.world().ca_file().to_string_lossy().into_owned());
    let who = ["--username", "maria", "--password-file", &password, "--code-file", &code];
    let login = [&["login", &url, "--ca-file", &ca], &who[..]].concat();
    let of: Hmsctl = scene.world().hmsctl_of("maria");
    let entered = hmsctl(scene.tape, &of, &login, Tells::Nothing).await?;
    ensure!(entered.success(), "{}", entered.stderr);
    for file in [password, code] {
        std::fs::remove_file(file)?;
    }
    Ok(())
}
