//! What is in a request and should not be: fields that nobody declared, and hostile values of those that are.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use super::{
    bodies::operations,
    port::{Asking, Client, addresses, filled, shared, trusting},
    *,
};
use crate::counts;

/// What somebody would add to get more than they are given.
const ADDED: [&str; 7] = ["zz", "is_admin", "owner", "user_id", "password_hash", "__proto__", "Role"];

/// Values at which parsers, queries and formats have broken.
const HOSTILE: [&str; 30] = [
    "",
    "0",
    "-1",
    "1.5",
    "1e400",
    "NaN",
    "2147483648",
    "4294967296",
    "9223372036854775808",
    "18446744073709551616",
    "-9223372036854775809",
    "99999999999999999999999999999999",
    "null",
    "true",
    "%00",
    "%0d%0aset-cookie:%20x=1",
    "%ff%fe",
    "%C0%AF",
    "%F0%9F%92%A9",
    "%E2%80%AE",
    "'%20OR%20'1'='1",
    "1;%20DROP%20TABLE%20users--",
    "%22%3E%3Cscript%3E",
    "..%2F..%2F..%2Fetc%2Fpasswd",
    "%7B%7B7*7%7D%7D",
    "$(id)",
    "%5B%5D",
    "9999-99-99T99:99:99Z",
    "-999999999%20years%20ago",
    "(a%2B)%2B%24",
];

/// Names of fields by which pages are asked for something.
const OF_PAGES: [&str; 34] = [
    "view", "id", "host", "app", "unit", "source", "since", "until", "grep", "text", "priority", "limit",
    "cursor", "before", "after", "from", "to", "actor", "result", "method", "q", "group", "next", "done",
    "joined", "kind", "release", "restart", "route", "template", "version", "script", "state", "batch",
];

pub(super) async fn text_of(answer: http::Response<Body>) -> anyhow::Result<String> {
    Ok(String::from_utf8_lossy(&answer.into_body().collect().await?.to_bytes()).into_owned())
}

/// Security case 19: each object of each body of REST, with a field more.
#[sqlx::test(migrations = "../migrations")]
async fn no_body_has_a_field_that_is_not_declared(pool: PgPool) -> Test {
    let world = World::new(&pool).await?;
    let mut client = Client::new(&world.state, Some(Role::Admin)).await?;
    let (mut bodies, mut cells, mut wrong) = (0, 0, Vec::new());
    for one in operations(&world.own) {
        let Some(body) = one.body else { continue };
        let asking = Asking::new(&one.method, filled(&one.pattern, &world.own));
        let told = text_of(client.ask(&asking.clone().saying(Some(body.clone()))).await?).await?;
        if told.contains("unknown field") || told.contains("missing field") || told.contains("does not fit") {
            wrong.push(format!("{} {}: the document's own body {body}: {told}", one.method, one.pattern));
        }
        bodies += 1;
        if !one.closed.iter().any(String::is_empty) {
            wrong.push(format!("{} {} takes whatever it is given", one.method, one.pattern));
        }
        for (at, name) in one.closed.iter().flat_map(|at| ADDED.map(|name| (at, name))) {
            let mut more = body.clone();
            let object = more.pointer_mut(at).and_then(Value::as_object_mut);
            object.ok_or_else(|| anyhow::anyhow!("no {at} in {body}"))?.insert(name.into(), json!("admin"));
            let answer = client.ask(&asking.clone().saying(Some(more))).await?;
            cells += 1;
            let (status, told) = (answer.status(), text_of(answer).await?);
            if status != StatusCode::BAD_REQUEST || !told.contains("unknown field") {
                wrong
                    .push(format!("{} {} with `{at}/{name}`: {status} {told:.200}", one.method, one.pattern));
            }
        }
    }
    anyhow::ensure!(wrong.is_empty(), "{wrong:#?}");
    anyhow::ensure!(bodies > 20 && cells > 150, "only {cells} fields in {bodies} bodies");
    counts::tell("undeclared fields of bodies", cells, wrong.len());
    Ok(())
}

/// Whether the answer is one that a hostile value may have: never that something broke.
fn is_sound(status: StatusCode) -> bool {
    // Hosts are unreachable here, and say so.
    !status.is_server_error() || [502, 503, 504].contains(&status.as_u16())
}

/// Security cases 20 and 23: each parameter of each query of REST, with each value.
#[sqlx::test(migrations = "../migrations")]
async fn no_value_of_a_query_breaks_rest(pool: PgPool) -> Test {
    let world = World::new(&pool).await?;
    let mut client = Client::new(&world.state, Some(Role::Admin)).await?;
    let (mut cells, mut wrong) = (0, Vec::new());
    for one in
        operations(&world.own).into_iter().filter(|one| one.method == Method::GET && !one.query.is_empty())
    {
        let path = filled(&one.pattern, &world.own);
        for (name, value) in one.query.iter().flat_map(|one| HOSTILE.map(|value| (&one.name, value))) {
            let status =
                client.ask(&Asking::new(&Method::GET, format!("{path}?{name}={value}"))).await?.status();
            cells += 1;
            if !is_sound(status) {
                wrong.push(format!("{path}?{name}={value}: {status}"));
            }
        }
        let doubled = format!("{path}?{0}=1&{0}=2", one.query[0].name);
        for odd in
            ["order=secret", "sort=password_hash;--", "fields=*", "filter[password]=x", "select=key_sealed"]
        {
            for uri in [format!("{path}?{odd}"), format!("{path}?{}=1&{odd}", one.query[0].name)] {
                let status = client.ask(&Asking::new(&Method::GET, &uri)).await?.status();
                cells += 1;
                if status != StatusCode::BAD_REQUEST {
                    wrong.push(format!("{uri}: {status}"));
                }
            }
        }
        let status = client.ask(&Asking::new(&Method::GET, &doubled)).await?.status();
        if !is_sound(status) {
            wrong.push(format!("{doubled}: {status}"));
        }
    }
    anyhow::ensure!(wrong.is_empty(), "{wrong:#?}");
    anyhow::ensure!(cells > 1_000, "only {cells} cells");
    counts::tell("hostile values of queries (REST)", cells, wrong.len());
    Ok(())
}

/// What a page is asked with each of these values in each field.
fn hostile(path: &str) -> Vec<Asking> {
    let ask = |query: String| Asking::new(&Method::GET, format!("{path}?{query}"));
    let all = HOSTILE.map(|value| ask(OF_PAGES.map(|name| format!("{name}={value}")).join("&")));
    let values = ["-1", "9223372036854775808", "%00", "%ff"];
    let single = OF_PAGES.iter().flat_map(|name| values.map(|value| ask(format!("{name}={value}"))));
    all.into_iter().chain(single).collect()
}

/// Asks, and says what broke.
async fn broken(client: &mut Client<'_>, all: &[Asking]) -> anyhow::Result<Vec<String>> {
    let mut broken = Vec::new();
    for asking in all {
        let answer = client.ask(asking).await?;
        let status = answer.status();
        let place = answer.headers().get(http::header::LOCATION).and_then(|place| place.to_str().ok());
        if !is_sound(status) || place.is_some_and(|to| !to.starts_with('/') || to.starts_with("//")) {
            broken.push(format!("{}: {status} {place:?}", asking.uri));
        }
    }
    Ok(broken)
}

/// Security cases 20, 23 and 24: each page, with each value in each field that some page has.
#[sqlx::test(migrations = "../migrations")]
async fn no_value_of_a_query_breaks_a_page(options: PgPoolOptions, database: PgConnectOptions) -> Test {
    let world = World::new(&trusting(options, database).await?).await?;
    let mut clients = Client::new(&world.state, Some(Role::Admin)).await?.at_once();
    let pages = addresses(&world.own).into_iter().filter(|(path, _)| !path.starts_with("/api/"));
    let pages = pages.filter(|(_, pattern)| !pattern.starts_with("/static"));
    let all: Vec<Asking> = pages.flat_map(|(path, _)| hostile(&path)).collect();
    let wrong = shared(&mut clients, &all, async |client, part| broken(client, part).await).await?.concat();
    anyhow::ensure!(wrong.is_empty(), "{wrong:#?}");
    anyhow::ensure!(all.len() > 5_000, "only {} cells", all.len());
    counts::tell("hostile values of queries (pages)", all.len(), wrong.len());
    Ok(())
}
