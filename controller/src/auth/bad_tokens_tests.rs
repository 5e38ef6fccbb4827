//! Bad tokens, shown everywhere that a token is looked at (security cases 6, 7, 8 and 11): none is taken.

use std::net::SocketAddr;

use axum::{Router, body::Body, extract::ConnectInfo};
use hms_proto::Role;
use http::{HeaderName, HeaderValue, Request, StatusCode, header};
use tower::ServiceExt as _;

use super::{
    forge::{Bad, Forge},
    *,
};
use crate::{
    api, counts,
    db::{
        sessions::{self, NewSession, Proof},
        tokens::{self as machines, NewToken},
    },
    jobs::tests::controller,
    seal::Place,
    state::State,
};

type Test = anyhow::Result<()>;

/// The HTTPS port of an installation in which `ada` is logged in.
struct Port {
    state: State,
    router: Router,
    forge: Forge,
    asked: u32,
}

impl Port {
    async fn open(pool: &PgPool) -> anyhow::Result<Self> {
        let state = controller(pool).await?;
        let config = db::config::get(pool).await?;
        let install = config.install_id.to_string();
        let place = Place { table: "hms_config", column: "jwt_secret", row: &install };
        let pem = state.auth.sealer.open(place, config.jwt_secret.as_deref().unwrap_or_default())?;
        let user = db::users::add(pool, "ada", Role::Admin, "x").await?.id;
        let session = session(pool, user, Proof::Rest, TimeDelta::hours(1)).await?;
        let (pem, install) = (String::from_utf8(pem.to_vec())?, config.install_id);
        let forge = Forge { pem, install, user, session, now: Utc::now() };
        Ok(Self { router: api::router(state.clone()), state, forge, asked: 0 })
    }

    /// Asks for something that is for everybody who is logged in. Each time from another network, so that none asks too often.
    async fn get(&mut self, path: &str, name: HeaderName, value: &str) -> anyhow::Result<StatusCode> {
        let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) else {
            return Ok(StatusCode::UNAUTHORIZED);
        };
        self.send(Request::get(path).header(name, value), Body::empty()).await
    }

    async fn send(&mut self, request: http::request::Builder, body: Body) -> anyhow::Result<StatusCode> {
        self.asked += 1;
        let from = SocketAddr::from((self.asked.to_be_bytes(), 40_000));
        let request = request.header(header::HOST, "localhost").extension(ConnectInfo(from));
        let answer = self.router.clone().oneshot(request.body(body)?).await;
        Ok(answer.unwrap_or_else(|never| match never {}).status())
    }

    async fn bearer(&mut self, token: &str) -> anyhow::Result<StatusCode> {
        self.get("/api/account", header::AUTHORIZATION, &format!("Bearer {token}")).await
    }

    /// Everywhere else that something could be looked for.
    async fn elsewhere(&mut self, token: &str) -> anyhow::Result<Vec<StatusCode>> {
        let cookie = format!("__Host-hms={token}");
        let refresh = serde_json::json!({ "refresh_token": token }).to_string();
        let query =
            format!("/api/account?access_token={}", hms_web::text::encode(&token[..floor(token, 2000)]));
        let json = Request::post("/api/auth/refresh").header(header::CONTENT_TYPE, "application/json");
        Ok(vec![
            self.get("/settings", header::COOKIE, &cookie).await?,
            self.get("/api/account", header::COOKIE, &cookie).await?,
            self.get(&query, HeaderName::from_static("x-access-token"), token).await?,
            self.get("/api/account", header::AUTHORIZATION, &format!("Basic {token}")).await?,
            self.get(
                "/api/account",
                HeaderName::from_static("proxy-authorization"),
                &format!("Bearer {token}"),
            )
            .await?,
            self.send(json, refresh.into()).await?,
        ])
    }
}

/// The last place before `most` at which a text can be cut.
fn floor(text: &str, most: usize) -> usize {
    (0..=most.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default()
}

async fn session(pool: &PgPool, user: Uuid, proof: Proof, life: TimeDelta) -> anyhow::Result<Uuid> {
    let now = Utc::now();
    let expires = now + life;
    let begun = now.min(expires) - TimeDelta::seconds(1);
    let session = NewSession { user, proof, now: begun, expires, address: String::new(), user_agent: "" };
    Ok(sessions::begin(pool, &session).await?)
}

fn is_refused(status: StatusCode) -> bool {
    let refused = [StatusCode::UNAUTHORIZED, StatusCode::BAD_REQUEST, StatusCode::PAYLOAD_TOO_LARGE];
    refused.contains(&status) || status == StatusCode::SEE_OTHER
}

/// Security cases 6, 7 and 8.
#[sqlx::test(migrations = "../migrations")]
async fn no_spoiled_access_token_is_taken(pool: PgPool) -> Test {
    let mut port = Port::open(&pool).await?;
    let (good, now) = (port.forge.good(), port.forge.now);
    assert_eq!(port.bearer(&good).await?, StatusCode::OK, "the corpus is made from a good one");
    let corpus = port.forge.corpus();
    let mut accepted = Vec::new();
    let mut shown = 0;
    for (what, token) in &corpus {
        if port.state.auth.signer.read(token, now).is_some_and(|read| read.user == port.forge.user)
            && port.state.auth.bearer(token, None).await.is_ok()
        {
            accepted.push(format!("{what}: by the verifier"));
        }
        // A header's value has no space around it, so what is only the good one with some is the good one.
        if token.trim() != good {
            let status = port.bearer(token).await?;
            if status != StatusCode::UNAUTHORIZED {
                accepted.push(format!("{what}: as a bearer, {status}"));
            }
        }
        for (place, status) in port.elsewhere(token).await?.into_iter().enumerate() {
            if !is_refused(status) {
                accepted.push(format!("{what}: in place {place}, {status}"));
            }
        }
        shown += 8;
    }
    assert_eq!(port.bearer(&good).await?, StatusCode::OK, "and it is still good");
    for status in port.elsewhere(&good).await? {
        assert!(is_refused(status), "a good one counts nowhere but in its place: {status}");
    }
    assert!(accepted.is_empty(), "{accepted:#?}");
    assert!(corpus.len() >= 200, "only {} tokens", corpus.len());
    counts::tell("bad access tokens", corpus.len(), accepted.len());
    counts::tell("bad access tokens × places where they are shown", shown, accepted.len());
    Ok(())
}

/// Security cases 8 and 9: tokens that are signed as they should be, of sessions that do not hold.
#[sqlx::test(migrations = "../migrations")]
async fn no_access_token_outlives_its_session(pool: PgPool) -> Test {
    let mut port = Port::open(&pool).await?;
    let ada = port.forge.user;
    let hour = TimeDelta::hours(1);
    let eve = db::users::add(&pool, "eve", Role::Admin, "x").await?.id;
    let off = db::users::add(&pool, "off", Role::Admin, "x").await?.id;
    let gone = db::users::add(&pool, "gone", Role::Admin, "x").await?.id;
    let revoked = session(&pool, ada, Proof::Rest, hour).await?;
    let ended = session(&pool, ada, Proof::Rest, -hour).await?;
    let web = session(&pool, ada, Proof::Web(hash_of("x")), hour).await?;
    let terminal = session(&pool, ada, Proof::Cli("00".into()), hour).await?;
    let of_eve = session(&pool, eve, Proof::Rest, hour).await?;
    let of_off = session(&pool, off, Proof::Rest, hour).await?;
    let of_gone = session(&pool, gone, Proof::Rest, hour).await?;
    let mut claims = port.forge.claims();
    let mut token = |user: Uuid, session: Uuid| {
        (claims["sub"], claims["sid"]) = (serde_json::json!(user), serde_json::json!(session));
        port.forge.claiming(&claims)
    };
    let of_all = [
        ("a revoked session", token(ada, revoked)),
        ("a session that has ended", token(ada, ended)),
        ("a browser's session", token(ada, web)),
        ("a terminal's session", token(ada, terminal)),
        ("somebody else's session", token(ada, of_eve)),
        ("a session for somebody else", token(eve, port.forge.session)),
        ("somebody who is disabled", token(off, of_off)),
        ("somebody who is gone", token(gone, of_gone)),
        ("no session", token(ada, Uuid::now_v7())),
    ];
    let before = [(ada, revoked), (off, of_off), (gone, of_gone)].map(|(user, session)| token(user, session));
    for token in &before {
        assert_eq!(port.bearer(token).await?, StatusCode::OK, "good until something happens");
    }
    sessions::revoke(&pool, ada, revoked, Utc::now()).await?;
    db::users::set_disabled(&mut *pool.acquire().await?, "off", true).await?;
    db::users::remove(&pool, gone).await?;
    for (what, token) in &of_all {
        assert_eq!(port.bearer(token).await?, StatusCode::UNAUTHORIZED, "{what}");
    }
    counts::tell("bad access tokens", of_all.len(), 0);
    Ok(())
}

/// A token for machines of this user.
async fn machine(pool: &PgPool, user: Uuid, life: TimeDelta) -> anyhow::Result<(Uuid, String)> {
    let (secret, expires) = (format!("hmst_{}", new_secret()), Utc::now() + life);
    let new = NewToken {
        user,
        name: "ci",
        hash: hash_of(&secret),
        begins: &secret[..9],
        role: Role::Admin,
        limit: &Limit::Everything,
        now: expires - TimeDelta::days(1),
        expires,
    };
    Ok((machines::add(pool, &new).await?.id, secret))
}

fn spoiled(good: &str) -> Vec<Bad> {
    let (begin, secret) = good.split_at(5);
    let hash = hash_of(good);
    let mut bad = vec![
        secret.to_owned(),
        format!("HMST_{secret}"),
        format!("hmsT_{secret}"),
        format!("hmsr_{secret}"),
        format!("hmst-{secret}"),
        format!("hmst_{good}"),
        format!("{good}="),
        format!("{good}A"),
        format!("{good}\0"),
        format!("{begin} {secret}"),
        format!("{good}.{good}"),
        format!("{good},{good}"),
        good.to_uppercase(),
        good.to_lowercase(),
        good[..9].to_owned(),
        begin.to_owned(),
        format!("{begin}%"),
        format!("{begin}*"),
        format!("{begin}' OR '1'='1"),
        format!("{begin}{}", hex::encode(hash)),
        hex::encode(hash),
        format!("{begin}{}", new_secret()),
        format!("{begin}{}", "A".repeat(100_000)),
        format!("{begin}ключ"),
    ];
    bad.extend((0..good.len()).step_by(4).map(|end| good[..end].to_owned()));
    bad.extend((5..good.len()).step_by(3).map(|at| {
        let to = if good.as_bytes()[at] == b'A' { "B" } else { "A" };
        format!("{}{to}{}", &good[..at], &good[at + 1..])
    }));
    bad.into_iter().map(|token| (format!("{token:.60}"), token)).collect()
}

/// What is not the token, to the byte, is none; and what was one is none any more.
#[sqlx::test(migrations = "../migrations")]
async fn no_spoiled_token_of_a_machine_is_taken(pool: PgPool) -> Test {
    let mut port = Port::open(&pool).await?;
    let (ada, day) = (port.forge.user, TimeDelta::days(1));
    let off = db::users::add(&pool, "off", Role::Admin, "x").await?.id;
    let (_, good) = machine(&pool, ada, day).await?;
    let (revoked, of_before) = machine(&pool, ada, day).await?;
    let (_, of_off) = machine(&pool, off, day).await?;
    let (_, ended) = machine(&pool, ada, TimeDelta::seconds(-1)).await?;
    for token in [&good, &of_before, &of_off] {
        assert_eq!(port.bearer(token).await?, StatusCode::OK);
    }
    assert!(machines::revoke(&pool, Some(ada), revoked, Utc::now()).await?);
    db::users::set_disabled(&mut *pool.acquire().await?, "off", true).await?;
    let mut corpus = spoiled(&good);
    corpus.extend(
        [("revoked", of_before), ("of somebody disabled", of_off), ("ended", ended)]
            .map(|(what, t)| (what.into(), t)),
    );
    for (what, token) in &corpus {
        assert_eq!(port.bearer(token).await?, StatusCode::UNAUTHORIZED, "{what}");
        for status in port.elsewhere(token).await? {
            assert!(is_refused(status), "{what}: {status}");
        }
    }
    assert_eq!(port.bearer(&good).await?, StatusCode::OK, "and the good one is good");
    for status in port.elsewhere(&good).await? {
        assert!(is_refused(status), "a good one counts nowhere but in its place: {status}");
    }
    counts::tell("bad tokens of machines", corpus.len(), 0);
    Ok(())
}
