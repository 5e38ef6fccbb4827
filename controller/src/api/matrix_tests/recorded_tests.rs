//! From a request to its one record: each operation of REST and each form of a page, by somebody who may, by somebody who
//! may not, and by somebody who has not confirmed who they are.

mod forms;
mod left;

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use axum::{Router, extract::ConnectInfo};
use hms_proto::{access, controller::v1::AppSettings};
use http::{HeaderName, Method, Response, header, request::Builder};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use self::{
    forms::FORMS,
    left::{FROM, Left, is_of_a_door, line, record, refused, told},
};
use super::{
    bodies::{Operation, operations},
    port::filled,
    *,
};
use crate::{
    api,
    apps::settings,
    counts,
    gate::audit_tests::{
        answers::{Answers, agent, place},
        connected,
    },
};

/// What changes nothing, and so has no record, and why.
const NO_RECORD: [(&str, &str); 5] = [
    ("POST   /api/auth/refresh", "a session goes on"),
    ("POST   /api/configs/nginx/test", "a look"),
    ("POST   /configs/{host}/{*path} do=test", "a look"),
    ("POST   /scripts/{name}/preview", "a look"),
    ("POST   /login/code", "there was no first step"),
];

/// Somebody at the HTTPS port.
struct Person<'a> {
    state: &'a State,
    router: Router,
    id: Uuid,
    name: &'static str,
    is_confirmed: bool,
}

impl<'a> Person<'a> {
    async fn new(
        state: &'a State,
        name: &'static str,
        role: Role,
        is_confirmed: bool,
    ) -> anyhow::Result<Self> {
        let id = db::users::add(&state.db, name, role, "x").await?.id;
        Ok(Self { router: api::router(state.clone()), state, id, name, is_confirmed })
    }

    /// Logs in, and is logged in once elsewhere.
    async fn log_in(&self, source: Source) -> anyhow::Result<(HeaderName, String)> {
        db::sessions::end_all(&self.state.db, self.id, None).await?;
        self.state.auth.entered_by_rest(self.id).await?;
        let login = match source {
            Source::Web => (header::COOKIE, self.state.auth.entered_by_web(self.id).await?),
            _ => {
                let token = self.state.auth.entered_by_rest(self.id).await?;
                (header::AUTHORIZATION, format!("Bearer {token}"))
            }
        };
        if !self.is_confirmed {
            let sql = "UPDATE sessions SET confirmed_at = now() - INTERVAL '1 hour' WHERE user_id = $1";
            sqlx::query(sql).bind(self.id).execute(&self.state.db).await?;
        }
        Ok(login)
    }

    async fn ask(&self, source: Source, request: Builder, body: String) -> anyhow::Result<Left> {
        let (name, login) = self.log_in(source).await?;
        let request = request
            .header(name, login)
            .header(header::HOST, "localhost")
            .header(header::ORIGIN, "https://localhost")
            .extension(ConnectInfo(SocketAddr::from((FROM, 40_000))));
        let (before, _) = db::audit_chain::head(&self.state.db).await?;
        let answer: Response<Body> = self
            .router
            .clone()
            .oneshot(request.body(Body::from(body))?)
            .await
            .unwrap_or_else(|never| match never {});
        let (status, headers) = (answer.status(), answer.headers().clone());
        // A page is made after what was asked for is done.
        answer.into_body().collect().await?;
        let rows = db::audit_chain::rows(&self.state.db, before + 1, 0, i64::MAX).await?;
        Ok(Left { status, headers, rows })
    }
}

/// An installation whose hosts answer everything, and three people.
struct Scene<'a> {
    admin: Person<'a>,
    viewer: Person<'a>,
    unconfirmed: Person<'a>,
    lines: Vec<String>,
    wrong: Vec<String>,
    cells: usize,
}

impl<'a> Scene<'a> {
    async fn new(world: &'a World) -> anyhow::Result<Self> {
        let state = &world.state;
        db::users::add(&state.db, "nobody", Role::Viewer, "x").await?;
        let name = HostName::try_from(world.own.host.as_str())?;
        let (listener, address) = place().await?;
        let move_it = "UPDATE hosts SET address = $2 WHERE name = $1";
        sqlx::query(move_it).bind(name.as_str()).bind(address.as_str()).execute(&state.db).await?;
        let host = db::hosts::get_by_name(&state.db, &name).await?.expect("it is there");
        agent(&state.core, &host, listener, &Arc::<Answers>::default()).await?;
        state.reload().await?;
        connected(&state.core, &name).await?;
        Ok(Self {
            admin: Person::new(state, "an-admin", Role::Admin, true).await?,
            viewer: Person::new(state, "a-viewer", Role::Viewer, true).await?,
            unconfirmed: Person::new(state, "unconfirmed", Role::Admin, false).await?,
            lines: Vec::new(),
            wrong: Vec::new(),
            cells: 0,
        })
    }

    /// One request by each of them: those who may not first.
    async fn go(&mut self, what: &str, source: Source, request: impl Fn() -> (Builder, String)) -> Test {
        let ask = async |person: &Person<'_>| {
            let (builder, body) = request();
            person.ask(source, builder, body).await
        };
        let low = ask(&self.viewer).await?;
        let late = ask(&self.unconfirmed).await?;
        let done = ask(&self.admin).await?;
        self.cells += 3;
        if NO_RECORD.iter().any(|(known, _)| *known == what) {
            let rows: Vec<_> = [&low, &late, &done].into_iter().flat_map(|left| told(&left.rows)).collect();
            // A look that is refused has a record, as every refusal.
            if rows.iter().any(|row| row.starts_with("outcome") && !row.contains("denied")) {
                self.wrong.push(format!("{what}: {rows:?}"));
            }
            self.lines.push(format!("{what:<60} -"));
            return Ok(());
        }
        let intent = match record(&done, &self.admin, source) {
            Ok(intent) => intent,
            Err(why) => {
                self.wrong.push(format!("{what} by an admin ({}): {why}", done.status));
                return Ok(());
            }
        };
        let rule = access::rule(&intent.method).filter(|_| !is_of_a_door(intent));
        let confirms = rule.is_some_and(|rule| rule.confirm);
        // Of those who may: who asks first, while everything is as it was for those who may not.
        let first = if confirms { &done } else { &late };
        let first = first.rows.first().map_or("", |row| row.params.as_str());
        let mut denied = Vec::new();
        for (left, person, may) in [
            (&low, &self.viewer, rule.is_none_or(|rule| rule.role == Role::Viewer)),
            (&late, &self.unconfirmed, !confirms),
        ] {
            match refused(left, person, (source, intent, may), &done, first) {
                Ok(true) => denied.push(person.name),
                Ok(false) => {}
                Err(why) => self.wrong.push(format!("{what} by {} ({}): {why}", person.name, left.status)),
            }
        }
        let line = line(what, &done, intent, &denied);
        self.lines.push(line);
        Ok(())
    }

    fn finish(self, least: usize, counted: &str) -> anyhow::Result<String> {
        anyhow::ensure!(self.wrong.is_empty(), "{} wrong:\n{}", self.wrong.len(), self.wrong.join("\n"));
        anyhow::ensure!(self.lines.len() >= least, "only {} requests with a record", self.lines.len());
        counts::tell(counted, self.cells, 0);
        Ok(self.lines.join("\n"))
    }
}

/// The body of an operation as somebody sends it who knows more than its form.
fn body_of(one: &Operation, own: &Place, app: Option<&AppSettings>) -> Option<Value> {
    Some(match (one.method.as_str(), one.pattern.as_str()) {
        ("PUT", "/api/apps/{app}/settings") => json!(app),
        ("PATCH", "/api/apps/{app}/settings") => json!({ "name": "Other" }),
        (_, "/api/auth/login") => json!({ "username": "an-admin", "password": "wrong" }),
        (_, "/api/configs/nginx/apply") => {
            json!({ "changes": [{ "path": "nginx.conf", "content": "events {}" }] })
        }
        (_, "/api/configs/nginx/{site}/restore") => json!({ "version_id": own.version }),
        _ => return one.body.clone(),
    })
}

/// Security case 114: from a route of REST to exactly one record.
#[sqlx::test(migrations = "../migrations")]
async fn each_operation_of_rest_that_changes_something_leaves_one_record(pool: PgPool) -> Test {
    let world = World::new(&pool).await?;
    let own = &world.own;
    let mut scene = Scene::new(&world).await?;
    let mut all: Vec<_> = operations(own).into_iter().filter(|one| one.method != Method::GET).collect();
    // What is taken away is there until then.
    all.sort_by_key(|one| (one.method == Method::DELETE, one.pattern.clone()));
    let number = all.len();
    for one in &all {
        let mut uri = filled(&one.pattern, own);
        if one.pattern.starts_with("/api/configs/") {
            uri += &format!("?host={}", own.host);
        }
        let app = db::apps::get(&pool, &own.app).await?.map(|app| settings::of(&app));
        let body = body_of(one, own, app.as_ref()).map(|body| body.to_string());
        let version = app.map(|app| app.version).unwrap_or_default();
        let request = || {
            let mut builder = Request::builder().method(&one.method).uri(&uri);
            if body.is_some() {
                builder = builder.header(header::CONTENT_TYPE, "application/json");
            }
            match one.pattern.as_str() {
                "/api/configs/nginx/{site}" => builder = builder.header(header::IF_NONE_MATCH, "*"),
                _ if one.method == Method::PUT => {
                    builder = builder.header(header::IF_MATCH, format!("\"{version}\""))
                }
                _ => {}
            }
            (builder, body.clone().unwrap_or_default())
        };
        scene.go(&format!("{:<6} {}", one.method.as_str(), one.pattern), Source::Rest, request).await?;
    }
    anyhow::ensure!(number > 50, "only {number} operations");
    let told =
        scene.finish(number, "audit: operations of REST × {done, refused, unconfirmed}, recorded once")?;
    insta::assert_snapshot!(told);
    Ok(())
}

/// Security case 114: from a form of a page to exactly one record.
#[sqlx::test(migrations = "../migrations")]
async fn each_form_of_a_page_leaves_one_record(pool: PgPool) -> Test {
    let world = World::new(&pool).await?;
    let own = &world.own;
    let mut scene = Scene::new(&world).await?;
    let mut known: BTreeMap<&str, usize> = BTreeMap::new();
    for (pattern, fields) in FORMS {
        *known.entry(pattern).or_default() += 1;
        let uri = filled(pattern, own);
        let fields = fields.replace("{host}", &own.host).replace("{app}", &own.app);
        let request = || {
            let builder =
                Request::post(&uri).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
            (builder, fields.clone())
        };
        let verb = fields.split('&').find(|field| field.starts_with("do=")).unwrap_or_default();
        scene.go(format!("POST   {pattern} {verb}").trim_end(), Source::Web, request).await?;
    }
    for (pattern, _) in super::super::pages::routes() {
        let asking = Request::options(filled(pattern, own)).header(header::HOST, "localhost");
        let answer = scene.admin.router.clone().oneshot(asking.body(Body::empty())?).await;
        let answer = answer.unwrap_or_else(|never| match never {});
        let verbs =
            answer.headers().get(header::ALLOW).and_then(|verbs| verbs.to_str().ok()).unwrap_or_default();
        anyhow::ensure!(
            verbs.contains("POST") == known.contains_key(pattern),
            "{pattern} takes {verbs}: which forms does it have?"
        );
    }
    let told =
        scene.finish(FORMS.len(), "audit: forms of pages × {done, refused, unconfirmed}, recorded once")?;
    insta::assert_snapshot!(told);
    Ok(())
}
