//! Guessing at the port, through every face that takes a password (security case 13): what a request says of where it comes from
//! counts for nothing.

use std::net::{Ipv6Addr, SocketAddr};

use axum::{Router, body::Body, extract::ConnectInfo};
use hms_proto::{Role, controller::v1::LoginRequest};
use http::{Request, StatusCode, header};
use prost::Message as _;
use tower::ServiceExt as _;

use super::{clock::Hand, *};
use crate::{
    api, counts,
    gate::Gate,
    jobs::tests::controller,
    state::{Core, State},
};

type Test = anyhow::Result<()>;

const GUESSES: u32 = 10_000;
const NAMES: [&str; 4] = ["ada", "ADA", "Ada", "aDa"];
/// Headers in which proxies say for whom they ask.
const CLAIMS: [&str; 8] = [
    "x-forwarded-for",
    "forwarded",
    "cf-connecting-ip",
    "x-real-ip",
    "true-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "via",
];

/// The HTTPS port of an installation with the user `ada`, whose clock stands in the hand.
struct Port {
    router: Router,
    hand: Hand,
    asked: u32,
}

impl Port {
    async fn open(pool: &PgPool) -> anyhow::Result<Self> {
        let hand = Hand::default();
        let state = controller(pool).await?;
        let auth = Auth::with(pool, state.pki.sealer().clone(), hand.clock()).await?;
        let hash = auth.passwords.hash(&Password::new("a perfectly fine one".into())).await?;
        db::users::add(pool, "ada", Role::Admin, &hash).await?;
        let core = Arc::new(Core {
            auth: Arc::new(auth),
            fleet: state.fleet.clone(),
            jobs: Default::default(),
            audit: Default::default(),
            nginx: Default::default(),
            db: pool.clone(),
            pki: state.pki.clone(),
            reach: state.reach.clone(),
            database_up: true.into(),
            stop: state.stop.clone(),
        });
        let gate = Gate::new(core.clone(), api::grpc::services(&core)?);
        Ok(Self { router: api::router(State { gate, core }), hand, asked: 0 })
    }

    /// Whether a guess got as far as the password; otherwise it was told to wait.
    async fn guess(&mut self, name: &str, password: &str, from: Ipv6Addr) -> anyhow::Result<bool> {
        self.asked += 1;
        let n = self.asked;
        let (path, kind, body) = match n % 3 {
            0 => ("/api/auth/login", "application/json", json(name, password)),
            1 => ("/login", "application/x-www-form-urlencoded", form(name, password)),
            _ => ("/hms.controller.v1.EnrollmentService/Login", "application/grpc", message(name, password)),
        };
        let mut request =
            Request::post(path).header(header::HOST, "localhost").header(header::CONTENT_TYPE, kind);
        for (at, claim) in CLAIMS.iter().enumerate() {
            request = request.header(*claim, claimed(n.wrapping_mul(31).wrapping_add(at as u32), n));
        }
        request = request.header("te", "trailers").extension(ConnectInfo(SocketAddr::from((from, 40_000))));
        let answer = self.router.clone().oneshot(request.body(Body::from(body))?).await;
        let answer = answer.unwrap_or_else(|never| match never {});
        let grpc = answer.headers().get("grpc-status").and_then(|code| code.to_str().ok());
        match (answer.status(), grpc) {
            (StatusCode::UNAUTHORIZED, None) | (StatusCode::OK, Some("16")) => Ok(true),
            (StatusCode::TOO_MANY_REQUESTS, None) | (StatusCode::OK, Some("8")) => Ok(false),
            odd => anyhow::bail!("{path} was answered with {odd:?}"),
        }
    }
}

fn json(name: &str, password: &str) -> Vec<u8> {
    serde_json::json!({ "username": name, "password": password }).to_string().into()
}

fn form(name: &str, password: &str) -> Vec<u8> {
    format!("username={name}&password={}", hms_web::text::encode(password)).into()
}

fn message(name: &str, password: &str) -> Vec<u8> {
    let login = LoginRequest { username: name.into(), password: password.into(), ..LoginRequest::default() };
    let login = login.encode_to_vec();
    [&[0][..], &(login.len() as u32).to_be_bytes(), &login].concat()
}

/// Another address each time, or what is none.
fn claimed(seed: u32, n: u32) -> String {
    let [a, b, c, d] = seed.to_be_bytes();
    match n % 7 {
        0 => format!("{a}.{b}.{c}.{d}, 127.0.0.1"),
        1 => format!("for=\"[2001:db8::{c:x}:{d:x}]\";proto=https"),
        2 => "127.0.0.1".into(),
        3 => "localhost, , ,".into(),
        4 => format!("::ffff:{a}.{b}.{c}.{d}"),
        5 => "a".repeat(300),
        _ => format!("{a}.{b}.{c}.{d}"),
    }
}

/// Another network each time: the first half of an address is the network's.
fn network(n: u32) -> Ipv6Addr {
    ((u128::from(n) << 64) | (0x2001_0db8 << 96) | 7).into()
}

/// Another host of one network each time.
fn neighbour(n: u32) -> Ipv6Addr {
    ((0x2001_0db8_u128 << 96) | u128::from(n)).into()
}

/// Security case 13: an account, from everywhere.
#[sqlx::test(migrations = "../migrations")]
async fn one_account_is_guessed_at_as_often_as_the_policy_says(pool: PgPool) -> Test {
    let mut port = Port::open(&pool).await?;
    let mut passed = 0;
    for n in 0..GUESSES {
        // An hour in all: the bucket of an account fills again by one each 30 s.
        port.hand.advance(TimeDelta::milliseconds(3_600_000 / i64::from(GUESSES)));
        let name = NAMES[n as usize / 7 % NAMES.len()];
        passed += usize::from(port.guess(name, &format!("guess number {n}"), network(n)).await?);
    }
    assert_eq!(passed, 10 + 119);
    counts::tell(
        "guesses at an account with rotating headers and networks, let through 129",
        GUESSES as usize,
        0,
    );
    Ok(())
}

/// Security case 13: one password for everybody, from the many addresses of one network.
#[sqlx::test(migrations = "../migrations")]
async fn one_network_guesses_as_often_as_the_policy_says(pool: PgPool) -> Test {
    let mut port = Port::open(&pool).await?;
    let mut passed = 0;
    for n in 0..GUESSES {
        let guessed = port.guess(&format!("user-{n}"), "correct horse battery", neighbour(n)).await?;
        passed += usize::from(guessed);
    }
    assert_eq!(passed, 20);
    assert!(port.guess("ada", "a perfectly wrong one", network(1)).await?, "another network is let through");
    counts::tell("guesses of a network with rotating headers and hosts, let through 20", GUESSES as usize, 0);
    Ok(())
}

/// Security case 13: everybody, from everywhere.
#[sqlx::test(migrations = "../migrations")]
async fn altogether_as_many_guesses_are_let_through_as_the_policy_says(pool: PgPool) -> Test {
    let mut port = Port::open(&pool).await?;
    let mut passed = 0;
    for n in 0..GUESSES {
        passed += usize::from(port.guess(&format!("user-{n}"), "correct horse battery", network(n)).await?);
    }
    assert_eq!(passed, 100);
    let right = port.guess("ada", "a perfectly fine one", network(GUESSES)).await?;
    assert!(!right, "who has the right password waits like the others");
    port.hand.advance(TimeDelta::seconds(60));
    assert!(
        port.guess("ada", "a perfectly wrong one", network(GUESSES)).await?,
        "a minute later there is room"
    );
    counts::tell("guesses at everybody from everywhere, let through 100", GUESSES as usize, 0);
    Ok(())
}
