//! Requests from other sites with somebody's login, to every route that changes something: refused, without effect, and in the audit.

use http::{HeaderName, Method, StatusCode, header};

use super::{
    bodies::operations,
    port::{Asking, Client, filled},
    *,
};
use crate::{counts, db::reach::fingerprint_but};

/// What a browser says of a request that another site made it send, and what it does not say.
const FROM: [(&str, &str, &str); 14] = [
    ("origin", "https://evil.example", "cross-site"),
    ("origin", "https://evil.example", ""),
    ("origin", "null", ""),
    ("origin", "null", "cross-site"),
    ("origin", "http://localhost", "cross-site"),
    ("origin", "https://localhost:444", ""),
    ("origin", "https://evil-localhost", ""),
    ("origin", "https://localhost.evil.example", ""),
    ("origin", "https://evil.localhost", "same-site"),
    ("origin", "https://localhost@evil.example", ""),
    ("origin", "", ""),
    ("referer", "https://localhost/hosts", "cross-site"),
    ("referer", "https://evil.example/localhost", ""),
    ("x-forwarded-host", "evil.example", "same-site"),
];

/// Security case 3.
#[sqlx::test(migrations = "../migrations")]
async fn what_another_site_sends_is_refused_everywhere(pool: PgPool) -> Test {
    let world = World::new(&pool).await?;
    let mut client = Client::new(&world.state, Some(Role::Admin)).await?;
    let mut routes: Vec<Asking> = Vec::new();
    for one in operations(&world.own).into_iter().filter(|one| one.method != Method::GET) {
        routes.push(Asking::new(&one.method, filled(&one.pattern, &world.own)).saying(one.body));
    }
    let reads = routes.len();
    for (pattern, _) in super::super::pages::routes() {
        let asking = Asking::new(&Method::POST, filled(pattern, &world.own));
        let allowed = client.ask(&Asking { method: Method::OPTIONS, ..asking.clone() }).await?;
        let allowed = allowed.headers().get(header::ALLOW).and_then(|verbs| verbs.to_str().ok());
        if allowed.is_some_and(|verbs| verbs.contains("POST")) {
            routes.push(asking);
        }
    }
    anyhow::ensure!(reads > 40 && routes.len() - reads > 25, "only {} routes", routes.len());
    let (before, denied) = (fingerprint_but(&pool, &["sessions"]).await?, world.denied().await?);
    let (mut cells, mut recorded, mut wrong) = (0, 0, Vec::new());
    for asking in &routes {
        for (name, value, site) in FROM {
            let mut asking = Asking { headers: Vec::new(), ..asking.clone() };
            let says_nothing = value.is_empty() || (name != "origin" && site.is_empty());
            // A program with a token says nothing of where it is: that is no browser, and no other site.
            let is_rest = asking.uri.starts_with("/api/");
            if says_nothing && is_rest {
                continue;
            }
            for (name, value) in [(name, value), ("sec-fetch-site", site)] {
                if !value.is_empty() {
                    asking = asking.with(HeaderName::from_static(name), value);
                }
            }
            if !is_rest {
                asking = asking.with(header::CONTENT_TYPE, "text/plain");
            }
            let status = client.ask(&asking).await?.status();
            cells += 1;
            // Before somebody is logged in there is no login that another site could use.
            let is_login = asking.uri.starts_with("/login");
            recorded += usize::from(!(is_login && says_nothing));
            let refused =
                status == StatusCode::FORBIDDEN || (is_login && says_nothing && status.is_client_error());
            if !refused {
                wrong.push(format!("{asking:?}: {status}"));
            }
        }
    }
    anyhow::ensure!(wrong.is_empty(), "{wrong:#?}");
    anyhow::ensure!(
        before == fingerprint_but(&pool, &["sessions"]).await?,
        "something refused has changed something"
    );
    let denied = world.denied().await? - denied;
    anyhow::ensure!(denied == recorded, "{denied} of {recorded} refusals are in the audit");
    counts::tell("requests from other sites × routes that change something", cells, wrong.len());
    Ok(())
}
