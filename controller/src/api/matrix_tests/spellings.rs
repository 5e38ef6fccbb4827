//! Routes × verbs × spellings × callers: however a request is written, it gets nobody further than its plain form does.

use http::{HeaderName, Method, Version};

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use super::{
    port::{Asking, Client, addresses, is_done, shared, trusting},
    *,
};
use crate::{counts, db::reach::fingerprint_but};

/// All that HTTP has, and one that nobody has.
const VERBS: [&str; 9] = ["GET", "HEAD", "OPTIONS", "TRACE", "BREW", "POST", "PUT", "PATCH", "DELETE"];
/// Those that change nothing, whatever else a request says.
const LOOKS: usize = 5;

/// Other ways to write a request.
fn spellings(plain: &Asking) -> Vec<Asking> {
    let path = plain.uri.as_str();
    let at = |uri: String| Asking { uri, ..plain.clone() };
    let first = path.as_bytes().get(1).copied().unwrap_or(b'x');
    let last_slash = path.rfind('/').unwrap_or_default();
    let instead =
        |name: &'static str, value: &str| plain.clone().with(HeaderName::from_static(name), value.to_owned());
    let mut all = vec![
        at(format!("/{path}")),
        at(format!("/.{path}")),
        at(format!("/x/..{path}")),
        at(format!("/%2e{path}")),
        at(format!("{path}/")),
        at(format!("{path}%2f")),
        at(format!("{path};x=1")),
        at(format!("/%{first:02x}{}", path.get(2..).unwrap_or_default())),
        at(format!("{}%2f{}", &path[..last_slash], &path[last_slash + 1..])),
        at(path.to_uppercase()),
        at(format!("https://localhost{path}")),
        at(format!("{path}?_method=DELETE&access_token=x")),
        Asking { version: Version::HTTP_10, ..plain.clone() },
        instead("x-original-url", "/livez"),
        instead("x-forwarded-prefix", "/static"),
    ];
    for verb in ["GET", "POST", "DELETE"] {
        all.push(
            instead("x-http-method-override", verb).with(HeaderName::from_static("x-http-method"), verb),
        );
    }
    all
}

/// What sessions leave behind is not what a look changes.
const OF_SESSIONS: [&str; 3] = ["sessions", "users", "refresh_tokens"];

/// What came of some requests.
#[derive(Default)]
struct Found {
    cells: usize,
    /// How many plain ones got somewhere.
    done: usize,
    wrong: Vec<String>,
}

impl Found {
    fn add(&mut self, other: Self) {
        self.cells += other.cells;
        self.done += other.done;
        self.wrong.extend(other.wrong);
    }
}

/// Asks with this verb at each of these addresses, in each spelling.
async fn ask(client: &mut Client<'_>, verb: &Method, all: &[(String, String)]) -> anyhow::Result<Found> {
    let mut found = Found::default();
    for (path, pattern) in all {
        let plain = Asking::new(verb, path);
        let mut fresh = async |asking: &Asking| {
            let answer = client.ask(asking).await?;
            if !VERBS[..LOOKS].contains(&verb.as_str()) && is_done(&answer) {
                client.log_in().await?;
            }
            anyhow::Ok(answer)
        };
        let answer = fresh(&plain).await?;
        let plainly = is_done(&answer);
        found.done += usize::from(plainly);
        if ["TRACE", "BREW"].contains(&verb.as_str()) && answer.status() != 405 {
            found.wrong.push(format!("{verb} {path}: {}", answer.status()));
        }
        let spellings = spellings(&plain);
        found.cells += 1 + spellings.len();
        for asking in spellings {
            let answer = fresh(&asking).await?;
            if is_done(&answer) && !plainly {
                found.wrong.push(format!("{verb} {path} ({pattern}) as {asking:?}: {}", answer.status()));
            }
            if answer.status() == 500 {
                found.wrong.push(format!("{verb} {path} ({pattern}) as {asking:?}: 500"));
            }
        }
    }
    Ok(found)
}

async fn no_spelling_helps(pool: PgPool, role: Option<Role>) -> Test {
    let world = World::new(&pool).await?;
    let mut client = Client::new(&world.state, role).await?;
    let mut clients = client.at_once();
    let all = addresses(&world.own);
    let mut found = Found::default();
    let before = fingerprint_but(&pool, &OF_SESSIONS).await?;
    for verb in &VERBS[..LOOKS] {
        let verb = Method::from_bytes(verb.as_bytes())?;
        let asked = shared(&mut clients, &all, async |client, part| ask(client, &verb, part).await).await?;
        asked.into_iter().for_each(|part| found.add(part));
    }
    anyhow::ensure!(before == fingerprint_but(&pool, &OF_SESSIONS).await?, "a look changed something");
    // Else the page that ends all other sessions has hundreds to end.
    sqlx::query("DELETE FROM sessions").execute(&pool).await?;
    // What one of these does is felt by the next: they come one by one.
    for verb in &VERBS[LOOKS..] {
        found.add(ask(&mut client, &Method::from_bytes(verb.as_bytes())?, &all).await?);
    }
    let Found { cells, done, wrong } = found;
    anyhow::ensure!(wrong.is_empty(), "{wrong:#?}");
    anyhow::ensure!(done > if role.is_some() { 100 } else { 5 }, "only {done} plain requests got anywhere");
    anyhow::ensure!(cells > 15_000, "only {cells} cells");
    counts::tell("auth matrix cells (routes × verbs × spellings × callers)", cells, wrong.len());
    Ok(())
}

/// Security cases 1 and 2.
#[sqlx::test(migrations = "../migrations")]
async fn no_spelling_gets_nobody_in(options: PgPoolOptions, database: PgConnectOptions) -> Test {
    no_spelling_helps(trusting(options, database).await?, None).await
}

/// Security case 2.
#[sqlx::test(migrations = "../migrations")]
async fn no_spelling_gets_a_viewer_further(options: PgPoolOptions, database: PgConnectOptions) -> Test {
    no_spelling_helps(trusting(options, database).await?, Some(Role::Viewer)).await
}

/// Security case 2.
#[sqlx::test(migrations = "../migrations")]
async fn no_spelling_gets_an_operator_further(options: PgPoolOptions, database: PgConnectOptions) -> Test {
    no_spelling_helps(trusting(options, database).await?, Some(Role::Operator)).await
}

/// Security case 2.
#[sqlx::test(migrations = "../migrations")]
async fn no_spelling_gets_an_admin_further(options: PgPoolOptions, database: PgConnectOptions) -> Test {
    no_spelling_helps(trusting(options, database).await?, Some(Role::Admin)).await
}
