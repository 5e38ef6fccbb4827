//! The HTTPS port from outside: every route without credentials, every response's headers, forms from elsewhere.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::AtomicBool},
};

use axum::{Router, body::Body, extract::ConnectInfo};
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::{pages, rest};
use crate::{
    auth::{Auth, Password, Passwords},
    db,
    fleet::Fleet,
    gate::Gate,
    jobs::Jobs,
    pki::Authority,
    seal::Sealer,
    state::{Core, Reach, State},
};

type Test = anyhow::Result<()>;

/// Routes that anybody may ask, with what is below them. At most six, and reviewed.
const PUBLIC: [&str; 6] =
    ["/login", "/static/{*path}", "/livez", "/readyz", "/api/openapi.json", "/api/auth/"];

async fn port(pool: &PgPool) -> anyhow::Result<Router> {
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let pki = Arc::new(Authority::open(pool, Arc::new(Sealer::new([7; 32])), &["localhost".into()]).await?);
    let core = Arc::new(Core {
        auth: Arc::new(Auth::open(pool, &pki).await?),
        fleet: Fleet::new(pki.clone()),
        jobs: Jobs::default(),
        db: pool.clone(),
        pki,
        audit: Default::default(),
        nginx: Default::default(),
        reach: Reach { name: "localhost".into(), web_port: 8443, grpc_port: 9443 },
        database_up: AtomicBool::new(true),
        stop: CancellationToken::new(),
    });
    Ok(super::router(State { gate: Gate::new(core.clone(), super::grpc::services(&core)?), core }))
}

fn request(method: Method, path: &str) -> http::request::Builder {
    let from: SocketAddr = ([203, 0, 113, 7], 40_000).into();
    Request::builder().method(method).uri(path).header(header::HOST, "localhost").extension(ConnectInfo(from))
}

async fn ask(port: &Router, request: Request<Body>) -> Response<Body> {
    port.clone().oneshot(request).await.unwrap_or_else(|never| match never {})
}

fn all_paths() -> Vec<String> {
    let (_, document) = rest::parts();
    let rest = document.paths.paths.keys().cloned();
    let own = ["/livez", "/readyz", "/api/openapi.json"].map(str::to_owned);
    pages::routes().iter().map(|(path, _)| (*path).to_owned()).chain(rest).chain(own).collect()
}

/// A path that the pattern matches.
fn example(pattern: &str) -> String {
    let parts = pattern.split('/').map(|part| if part.starts_with('{') { "restart" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

fn is_let_in(response: &Response<Body>) -> bool {
    let status = response.status();
    let to_login = status.is_redirection()
        && response
            .headers()
            .get(header::LOCATION)
            .and_then(|l| l.to_str().ok())
            .is_some_and(|l| l.starts_with("/login"));
    let refused = [
        StatusCode::UNAUTHORIZED,
        StatusCode::FORBIDDEN,
        StatusCode::NOT_FOUND,
        StatusCode::METHOD_NOT_ALLOWED,
    ];
    !(to_login || refused.contains(&status) || status == StatusCode::BAD_REQUEST)
}

/// Security cases 1 and 2: routes × verbs × spellings.
#[sqlx::test(migrations = "../migrations")]
async fn without_credentials_only_the_public_routes_answer(pool: PgPool) -> Test {
    let port = port(&pool).await?;
    let verbs = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"];
    // Each comes from a network of its own, so that none has asked too much.
    let mut asked = 0u32;
    for pattern in all_paths() {
        let path = example(&pattern);
        let spellings = [
            path.clone(),
            format!("{path}/"),
            format!("/{path}"),
            format!("/.{path}"),
            format!("/x/..{path}"),
            format!("{path}%2e"),
            path.to_uppercase(),
            format!("{path}?access_token=x&token=x"),
        ];
        for spelling in &spellings {
            for verb in verbs {
                let method = Method::from_bytes(verb.as_bytes())?;
                let asking = request(method, spelling)
                    .header("x-http-method-override", "GET")
                    .header(header::ORIGIN, "https://localhost")
                    .extension(ConnectInfo(SocketAddr::from((u32::to_be_bytes(asked + 1), 40_000))));
                let Ok(asking) = asking.body(Body::empty()) else { continue };
                let answer = ask(&port, asking).await;
                asked += 1;
                let public = PUBLIC.iter().any(|p| pattern.starts_with(p));
                anyhow::ensure!(
                    public || !is_let_in(&answer),
                    "{verb} {spelling} ({pattern}) was answered with {}",
                    answer.status()
                );
                let plain = spelling == &path;
                anyhow::ensure!(
                    plain || public || !answer.status().is_success(),
                    "{verb} {spelling}: {}",
                    answer.status()
                );
            }
        }
    }
    anyhow::ensure!(asked > 1_000, "only {asked} requests were made");
    Ok(())
}

/// Security case 15: on every response, errors included.
#[sqlx::test(migrations = "../migrations")]
async fn every_response_has_the_headers(pool: PgPool) -> Test {
    let port = port(&pool).await?;
    for path in all_paths().iter().map(|p| example(p)).chain(["/nothing".into(), "/api/nothing".into()]) {
        let answer = ask(&port, request(Method::GET, &path).body(Body::empty())?).await;
        let header = |name: &str| {
            answer.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned()
        };
        let csp = header("content-security-policy");
        anyhow::ensure!(
            csp.contains("default-src 'none'") && csp.contains("frame-ancestors 'none'"),
            "{path}: {csp}"
        );
        anyhow::ensure!(!csp.contains("unsafe"), "{path}: {csp}");
        anyhow::ensure!(header("strict-transport-security").contains("max-age"), "{path}");
        anyhow::ensure!(header("x-content-type-options") == "nosniff", "{path}");
        anyhow::ensure!(!header("cache-control").is_empty(), "{path}");
    }
    Ok(())
}

async fn log_in(port: &Router, pool: &PgPool) -> anyhow::Result<String> {
    let password = "correct horse battery";
    let hash = Passwords::new().await?.hash(&Password::new(password.into())).await?;
    db::users::add(pool, "ada", hms_proto::Role::Admin, &hash).await?;
    let form = "username=ada&password=correct+horse+battery&next=%2F%2Fevil.example";
    let answer = ask(
        port,
        form_request("/login", form).header(header::ORIGIN, "https://localhost").body(form.into())?,
    )
    .await;
    anyhow::ensure!(answer.headers()[header::LOCATION] == "/", "led to {:?}", answer.headers());
    let cookie = answer.headers()[header::SET_COOKIE].to_str()?.to_owned();
    for part in ["__Host-", "Secure", "HttpOnly", "SameSite=", "Path=/"] {
        anyhow::ensure!(cookie.contains(part), "{cookie}");
    }
    anyhow::ensure!(!cookie.contains("Domain"), "{cookie}");
    Ok(cookie.split(';').next().unwrap_or_default().to_owned())
}

fn form_request(path: &str, form: &str) -> http::request::Builder {
    request(Method::POST, path)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(header::CONTENT_LENGTH, form.len())
}

/// One form may take several calls, as a new password takes its confirmation; each has a record of its own.
#[sqlx::test(migrations = "../migrations")]
async fn what_one_form_does_in_several_calls_has_a_record_of_each(pool: PgPool) -> Test {
    let port = port(&pool).await?;
    let cookie = log_in(&port, &pool).await?;
    let send = async |path: &str, form: &str, cookie: Option<&str>| -> anyhow::Result<Response<Body>> {
        let mut asking = form_request(path, form).header(header::ORIGIN, "https://localhost");
        if let Some(cookie) = cookie {
            asking = asking.header(header::COOKIE, cookie);
        }
        Ok(ask(&port, asking.body(form.to_owned().into())?).await)
    };
    for _ in 0..3 {
        send("/login", "username=ada&password=correct+horse+battery", None).await?;
    }
    send("/settings/sessions/end-others", "", Some(&cookie)).await?;
    let done = async |method: &str| -> anyhow::Result<usize> {
        let records = db::audit::recent(&pool, 100).await?;
        Ok(records.iter().filter(|r| r.method.ends_with(method) && r.outcome == "ok").count())
    };
    anyhow::ensure!(done("SessionService/Revoke").await? == 3, "not all other sessions ended");
    let form = "current=correct+horse+battery&new=another+rather+fine+one&again=another+rather+fine+one";
    let answer = send("/settings/password", form, Some(&cookie)).await?;
    let page = String::from_utf8(answer.into_body().collect().await?.to_bytes().to_vec())?;
    anyhow::ensure!(page.contains("The new password is set."), "{page}");
    anyhow::ensure!(done("AccountService/Confirm").await? == 1);
    anyhow::ensure!(done("AccountService/ChangePassword").await? == 1);
    Ok(())
}

/// Security case 3: a form that another site sends with somebody's cookie changes nothing.
#[sqlx::test(migrations = "../migrations")]
async fn forms_from_elsewhere_are_refused(pool: PgPool) -> Test {
    let port = port(&pool).await?;
    let cookie = log_in(&port, &pool).await?;
    let form = "name=web1&address=10.0.0.7";
    let foreign: [(&str, &str); 6] = [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("origin", "https://evil-localhost"),
        ("origin", "https://localhost.evil.example"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ];
    for (name, value) in foreign {
        let asking = form_request("/hosts", form)
            .header(header::COOKIE, &cookie)
            .header(name, value)
            .body(form.into())?;
        let answer = ask(&port, asking).await;
        anyhow::ensure!(
            answer.status() == StatusCode::FORBIDDEN,
            "{name}: {value} was answered with {}",
            answer.status()
        );
    }
    let silent =
        ask(&port, form_request("/hosts", form).header(header::COOKIE, &cookie).body(form.into())?).await;
    anyhow::ensure!(silent.status() == StatusCode::FORBIDDEN, "a form from nowhere: {}", silent.status());
    anyhow::ensure!(db::hosts::list(&pool).await?.is_empty(), "a host was added");

    let own = form_request("/hosts", form)
        .header(header::COOKIE, &cookie)
        .header(header::ORIGIN, "https://localhost");
    let answer = ask(&port, own.body(form.into())?).await;
    anyhow::ensure!(answer.status() == StatusCode::OK, "{}", answer.status());
    anyhow::ensure!(db::hosts::list(&pool).await?.len() == 1);
    Ok(())
}

/// A browser that opens what cannot be opened shows a page that says why and what next.
#[sqlx::test(migrations = "../migrations")]
async fn a_browser_gets_no_empty_page(pool: PgPool) -> Test {
    let port = port(&pool).await?;
    let cookie = log_in(&port, &pool).await?;
    let large = "x".repeat(100_000);
    for (method, path, origin, body, status, part) in [
        (Method::GET, "/logout", "https://localhost", "", 405, "use the button of the page"),
        (Method::POST, "/logout", "https://evil.example", "", 403, "Open HMS itself"),
        (Method::POST, "/login", "https://localhost", &large, 413, "send less at once"),
        (Method::POST, "/login", "https://localhost", "username=ada", 422, "mend what was typed"),
        (Method::GET, "/nothing", "https://localhost", "", 404, "from the dashboard"),
    ] {
        let asking = |accept| {
            let asking = request(method.clone(), path).header(header::ORIGIN, origin);
            let asking = asking.header(header::COOKIE, &cookie).header(header::ACCEPT, accept);
            asking
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(body.to_owned().into())
        };
        let answer = ask(&port, asking("text/html,application/xhtml+xml,*/*;q=0.8")?).await;
        let told = answer.status();
        let page = String::from_utf8(answer.into_body().collect().await?.to_bytes().to_vec())?;
        anyhow::ensure!(told == status && page.contains(part), "{method} {path}: {told}, {page}");
        let script = ask(&port, asking("text/html; fragment=1")?).await;
        anyhow::ensure!(script.status() == status, "{method} {path} of a script: {}", script.status());
    }
    Ok(())
}

/// Every page answers to somebody who is logged in, and shows what it is about.
#[sqlx::test(migrations = "../migrations")]
async fn pages_answer_to_who_is_logged_in(pool: PgPool) -> Test {
    let port = port(&pool).await?;
    let cookie = log_in(&port, &pool).await?;
    for (path, part) in [
        ("/", "No app yet"),
        ("/logs", "Logs"),
        ("/hosts", "Add a host"),
        ("/audit", "login"),
        ("/settings", "Settings"),
        ("/audit?since=2+parsecs", "is not a time"),
        ("/logs?source=app:nothing", "nothing"),
        ("/logs?source=%3Cscript%3E", "is no source of logs"),
    ] {
        let answer =
            ask(&port, request(Method::GET, path).header(header::COOKIE, &cookie).body(Body::empty())?).await;
        let status = answer.status();
        let body = String::from_utf8(answer.into_body().collect().await?.to_bytes().to_vec())?;
        anyhow::ensure!(
            status == StatusCode::OK && body.contains(part),
            "{path}: {status}, no {part:?} in {body}"
        );
        anyhow::ensure!(!body.contains("<script>"), "{path}");
    }
    let gone = ask(
        &port,
        request(Method::POST, "/logout")
            .header(header::COOKIE, &cookie)
            .header(header::ORIGIN, "https://localhost")
            .body(Body::empty())?,
    )
    .await;
    anyhow::ensure!(gone.status().is_redirection());
    let after =
        ask(&port, request(Method::GET, "/").header(header::COOKIE, &cookie).body(Body::empty())?).await;
    anyhow::ensure!(!is_let_in(&after), "the cookie still counts after the logout");
    Ok(())
}

/// Security cases 11 and 22, and the form of errors under `/api`.
#[sqlx::test(migrations = "../migrations")]
async fn rest_takes_bearer_tokens_and_well_formed_json_only(pool: PgPool) -> Test {
    let port = port(&pool).await?;
    let cookie = log_in(&port, &pool).await?;
    let with =
        |name: &str, value: &str| request(Method::GET, "/api/apps").header(name, value).body(Body::empty());
    for asking in [
        with("cookie", &cookie)?,
        with("authorization", "Basic YWRhOng=")?,
        with("authorization", "Bearer x")?,
        with("authorization", "Bearer")?,
    ] {
        let answer = ask(&port, asking).await;
        anyhow::ensure!(answer.status() == StatusCode::UNAUTHORIZED);
        is_problem(answer.headers())?;
    }
    let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    let long = format!("{{\"username\":\"{}\",\"password\":\"x\"}}", "a".repeat(100_000));
    for body in [
        "",
        "{",
        "null",
        "{\"username\":\"ada\"}",
        "{\"username\":\"ada\",\"password\":\"x\",\"role\":\"admin\"}",
        "{\"username\":1e400,\"password\":\"x\"}",
        &deep,
        &long,
    ] {
        let asking = request(Method::POST, "/api/auth/login")
            .header(header::CONTENT_TYPE, "application/json")
            .body(body.to_owned().into())?;
        let answer = ask(&port, asking).await;
        let status = answer.status();
        anyhow::ensure!(
            status == StatusCode::BAD_REQUEST || status == StatusCode::PAYLOAD_TOO_LARGE,
            "{:.40}: {status}",
            body
        );
    }
    let form = request(Method::POST, "/api/auth/login")
        .header(header::CONTENT_TYPE, "text/plain")
        .body(Body::from("{}"))?;
    anyhow::ensure!(ask(&port, form).await.status() == StatusCode::UNSUPPORTED_MEDIA_TYPE);
    for (method, path) in [(Method::GET, "/api/nothing"), (Method::DELETE, "/api/apps")] {
        is_problem(ask(&port, request(method, path).body(Body::empty())?).await.headers())?;
    }
    Ok(())
}

fn is_problem(headers: &HeaderMap) -> Test {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
    anyhow::ensure!(kind == Some("application/problem+json"), "{headers:?}");
    Ok(())
}
