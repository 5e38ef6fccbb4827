//! Lists, pages, streams and exports of somebody with a part of the installation say nothing of the rest.

use std::{net::SocketAddr, time::Duration};

use axum::{Router, extract::ConnectInfo};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use hms_proto::access::{Audience, Reach, rules};
use http::{Method, StatusCode, header};
use tower::ServiceExt as _;

use super::*;
use crate::{
    api,
    auth::hash_of,
    counts,
    db::{
        sessions::{self, NewSession, Proof},
        tokens::{self, NewToken},
    },
    fleet::Change,
};

/// So many addresses are asked at the same time.
const AT_ONCE: usize = 8;

fn tells(body: &[u8], of: &str) -> bool {
    body.windows(of.len()).any(|part| part == of.as_bytes())
}

/// A request for something of a script's that is not about a host.
fn request(path: &str) -> &'static [u8] {
    // Field 1 of GetScriptRequest: the name.
    if path.ends_with("ScriptService/Get") { b"\x0a\x05hello" } else { b"" }
}

/// Security case 18.
#[sqlx::test(migrations = "../migrations")]
async fn lists_leave_out_what_is_beyond_the_scope(pool: PgPool) -> Test {
    let world = World::new(&pool).await?;
    let all = world.caller("all", Role::Admin, &[Limit::Everything]).await?;
    let by_host = world.caller("byhost", Role::Admin, &[world.host_scope()]).await?;
    let by_app = world.caller("byapp", Role::Admin, &[world.app_scope()]).await?;
    let (mut cells, mut telling) = (0, Vec::new());
    for (path, rule) in
        rules().filter(|(_, rule)| rule.audience == Audience::User && rule.reach != Reach::Named)
    {
        if rule.mutates {
            continue;
        }
        let (_, told) = world.call(&all, path, None, request(path)).await?;
        if tells(&told, FOREIGN) {
            telling.push(path);
        }
        for caller in [&by_host, &by_app] {
            let (code, told) = world.call(caller, path, None, request(path)).await?;
            anyhow::ensure!(!tells(&told, FOREIGN), "{path} tells {} of what is beyond", caller.name);
            anyhow::ensure!(!tells(&told, "web1"), "{path} tells {} of another host", caller.name);
            anyhow::ensure!(code != Code::PermissionDenied, "{path} is for everybody");
            cells += 1;
        }
        let (_, told) = world.call(&by_host, path, None, request(path)).await?;
        anyhow::ensure!(!telling.contains(&path) || tells(&told, "mine"), "{path} leaves out what is theirs");
    }
    anyhow::ensure!(telling.len() >= 7, "these tell who has everything of all: {telling:?}");
    counts::tell("scope matrix cells (lists)", cells, 0);
    Ok(())
}

/// The HTTPS port, and what somebody proves with who they are.
struct Browser {
    router: Router,
    credentials: (header::HeaderName, String),
}

impl Browser {
    async fn new(world: &World, caller: &Caller, limit: &Limit) -> anyhow::Result<Self> {
        let db = &world.state.db;
        db::users::edit(db, caller.id, caller.role, limit).await?;
        let secret = crate::auth::new_secret();
        let session = NewSession {
            user: caller.id,
            proof: Proof::Web(hash_of(&secret)),
            now: Utc::now(),
            expires: Utc::now() + TimeDelta::hours(1),
            address: String::new(),
            user_agent: "",
        };
        sessions::begin(db, &session).await?;
        let credentials = (header::COOKIE, format!("__Host-hms={secret}"));
        Ok(Self { router: api::router(world.state.clone()), credentials })
    }

    /// What is answered at once; of a stream, what comes within half a second.
    async fn get(&self, path: &str) -> anyhow::Result<(StatusCode, Vec<u8>)> {
        let from: SocketAddr = ([203, 0, 113, 7], 40_000).into();
        let request = Request::builder()
            .method(Method::GET)
            .uri(path)
            .header(header::HOST, "localhost")
            .header(&self.credentials.0, &self.credentials.1)
            .extension(ConnectInfo(from));
        let answer = self.router.clone().oneshot(request.body(Body::empty())?).await;
        let answer = answer.unwrap_or_else(|never| match never {});
        let (status, mut body, mut all) = (answer.status(), answer.into_body(), Vec::new());
        while let Ok(Some(frame)) = tokio::time::timeout(Duration::from_millis(500), body.frame()).await {
            all.extend(frame?.into_data().unwrap_or_default());
            if all.len() > 4 << 20 {
                break;
            }
        }
        Ok((status, all))
    }
}

/// Every page with what is at this place; ids of it wherever there are some.
fn paths(place: &Place, with_names: bool) -> Vec<String> {
    let id = |pattern: &str| match pattern {
        p if p.starts_with("/deployments") => place.deployment.to_string(),
        p if p.starts_with("/runs") => place.run.to_string(),
        p if p.starts_with("/jobs") => place.job.to_string(),
        p if p.starts_with("/schedules") => place.schedule.to_string(),
        p if p.starts_with("/config-versions") => place.version.to_string(),
        _ => "1".into(),
    };
    let names = |pattern: &str| {
        let name = if pattern.starts_with("/scripts") { "hello" } else { &place.host };
        let filled = pattern.replace("{key}", &place.app).replace("{host}", &place.host);
        filled.replace("{name}", name).replace("{*path}", "nginx.conf").replace("{verb}", "start")
    };
    let patterns = super::super::pages::routes().map(|(pattern, _)| pattern);
    let fitting =
        patterns.into_iter().filter(|p| !p.starts_with("/static") && (with_names || p.contains("{id}")));
    fitting.map(|pattern| names(pattern).replace("{id}", &id(pattern))).collect()
}

/// Security case 18: pages, and what their streams tell.
#[sqlx::test(migrations = "../migrations")]
async fn pages_and_streams_leave_out_what_is_beyond_the_scope(pool: PgPool) -> Test {
    let world = World::new(&pool).await?;
    let streams =
        ["dashboard", "hosts", "deploy", "account", "logs"].map(|view| format!("/events?view={view}"));
    let of_own = [
        format!("/events?view=configs&host={}", world.own.host),
        format!("/events?view=app&id={}", world.own.app),
        format!("/events?view=run&id={}", world.foreign.run),
        format!("/events?view=deployment&id={}", world.foreign.deployment),
    ];
    let mut all = paths(&world.own, true);
    all.extend(paths(&world.foreign, false));
    all.extend(streams);
    all.extend(of_own);
    // The stream of the dashboard tells what changes: something does, all the time.
    let fleet = world.state.clone();
    let changes = tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            fleet.fleet.tell(Change::Activity);
        }
    });
    let (mut cells, mut telling) = (0, 0);
    for (name, limit) in
        [("all", Limit::Everything), ("byhost", world.host_scope()), ("byapp", world.app_scope())]
    {
        let caller = world.caller(name, Role::Admin, std::slice::from_ref(&limit)).await?;
        let browser = Browser::new(&world, &caller, &limit).await?;
        // Most of the time goes by in waiting for streams that say nothing more.
        let asking = stream::iter(&all).map(async |path| anyhow::Ok((path, browser.get(path).await?)));
        let answers: Vec<_> = asking.buffer_unordered(AT_ONCE).try_collect().await?;
        for (path, (status, body)) in answers {
            // The hosts here are unreachable, and say so.
            anyhow::ensure!(!status.is_server_error() || status == 502 || status == 503, "{path}: {status}");
            if limit == Limit::Everything {
                telling += usize::from(tells(&body, FOREIGN));
            } else {
                cells += 1;
                let at = body.windows(FOREIGN.len()).position(|part| part == FOREIGN.as_bytes());
                let near =
                    at.map(|at| String::from_utf8_lossy(&body[at.saturating_sub(200)..at + 40]).into_owned());
                anyhow::ensure!(near.is_none(), "{path} tells {name} of what is beyond: {near:?}");
            }
        }
    }
    changes.abort();
    anyhow::ensure!(telling > 20, "only {telling} pages tell who has everything of all");
    counts::tell("scope matrix cells (pages and streams)", cells, 0);
    Ok(())
}

/// Every address of the REST interface that can be looked at, with what is at this place.
fn addresses(place: &Place, with_names: bool) -> Vec<String> {
    let (_, document) = super::super::rest::parts();
    let id = |pattern: &str| match pattern {
        p if p.contains("/deployments") => place.deployment.to_string(),
        p if p.contains("/runs") => place.run.to_string(),
        p if p.contains("/jobs") => place.job.to_string(),
        p if p.contains("/schedules") => place.schedule.to_string(),
        _ => place.version.to_string(),
    };
    let part = |pattern: &str, part: &str| match part {
        "{key}" => place.app.clone(),
        "{name}" if pattern.contains("/scripts") => "hello".into(),
        "{name}" | "{host}" => place.host.clone(),
        part if part.ends_with("id}") => id(pattern),
        part if part.starts_with('{') => "x".into(),
        part => part.to_owned(),
    };
    let looks =
        document.paths.paths.iter().filter(|(_, item)| item.get.is_some()).map(|(pattern, _)| pattern);
    let fitting = looks.filter(|pattern| with_names || pattern.contains("id}"));
    fitting.map(|p| p.split('/').map(|one| part(p, one)).collect::<Vec<_>>().join("/")).collect()
}

/// Security case 18: answers and exports of the REST interface, for a token without a limit of somebody who has one.
#[sqlx::test(migrations = "../migrations")]
async fn rest_leaves_out_what_is_beyond_the_scope(pool: PgPool) -> Test {
    let world = World::new(&pool).await?;
    let mut all = addresses(&world.own, true);
    all.extend(addresses(&world.foreign, false));
    let (mut cells, mut telling) = (0, 0);
    for (name, limit) in
        [("all", Limit::Everything), ("byhost", world.host_scope()), ("byapp", world.app_scope())]
    {
        let caller = world.caller(name, Role::Admin, std::slice::from_ref(&limit)).await?;
        let mut browser = Browser::new(&world, &caller, &limit).await?;
        let secret = format!("hmst_{}", crate::auth::new_secret());
        let token = NewToken {
            user: caller.id,
            name: "t",
            hash: hash_of(&secret),
            begins: &secret[..9],
            role: Role::Admin,
            limit: &Limit::Everything,
            now: Utc::now(),
            expires: Utc::now() + TimeDelta::hours(1),
        };
        tokens::add(&pool, &token).await?;
        browser.credentials = (header::AUTHORIZATION, format!("Bearer {secret}"));
        for path in &all {
            let (status, body) = browser.get(path).await?;
            anyhow::ensure!(status != StatusCode::UNAUTHORIZED, "{path}: the token does not count");
            if limit == Limit::Everything {
                telling += usize::from(tells(&body, FOREIGN));
            } else {
                cells += 1;
                anyhow::ensure!(!tells(&body, FOREIGN), "{path} tells {name} of what is beyond");
                anyhow::ensure!(!tells(&body, "web1"), "{path} tells {name} of another host");
            }
        }
    }
    anyhow::ensure!(telling > 10, "only {telling} answers tell who has everything of all");
    counts::tell("scope matrix cells (REST)", cells, 0);
    Ok(())
}
