//! Every change that an operator can make on a host directly, as the contract has them: it is in the spool, or it is not made.

use std::{convert::Infallible, time::Duration};

use hms_proto::{
    Role,
    access::{self, Audience, Rule},
    identity::{Identity, Kind},
    transport::Peer,
};
use http::{Request, Response};
use http_body_util::Full;
use tokio_util::sync::CancellationToken;
use tonic::{Status, body::Body};
use tower::{Layer as _, Service as _};

use super::*;
use crate::{access::AccessLayer, revoked::Revoked};

/// How the services behind the layer answer.
#[derive(Debug, Clone, Copy, PartialEq)]
enum How {
    Well,
    Badly,
    Never,
}

/// A host whose services are one that keeps what it was asked for.
struct Host {
    layer: AccessLayer,
    spool: Arc<Spool>,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Host {
    fn new(state: &Path) -> Self {
        let spool = Arc::new(Spool::open(state).unwrap());
        let revoked = Arc::new(Revoked::open(state));
        let layer = AccessLayer::new(spool.clone(), revoked, CancellationToken::new());
        Self { layer, spool, seen: Arc::default() }
    }

    async fn call(&self, path: &str, role: Role, how: How) -> Option<Fault> {
        let seen = self.seen.clone();
        let inner = tower::service_fn(move |request: Request<Body>| {
            seen.lock().unwrap().push(request.uri().path().to_owned());
            async move {
                match how {
                    How::Well => Ok::<_, Infallible>(Response::new(Body::default())),
                    How::Badly => {
                        Ok(Status::from(Fault::new(FaultKind::Failed, "it went wrong")).into_http())
                    }
                    How::Never => std::future::pending().await,
                }
            }
        });
        let peer = Peer {
            identity: Identity {
                install: Uuid::nil(),
                kind: Kind::Operator,
                id: Uuid::from_u128(7),
                role: Some(role),
            },
            address: address(),
            certificate_ends: i64::MAX,
            certificate_serial: "0a".into(),
        };
        let body = Body::new(Full::from(&[0; 5][..]));
        let request = Request::post(path).extension(peer).body(body).unwrap();
        let answer = self.layer.layer(inner).call(request).await.unwrap_or_else(|never| match never {});
        Status::from_header_map(answer.headers()).map(|status| Fault::from_status(&status))
    }
}

fn address() -> SocketAddr {
    ([203, 0, 113, 7], 40_000).into()
}

/// Methods with which a person changes something on a host.
fn methods() -> Vec<(&'static str, &'static Rule)> {
    let ours = |(path, rule): &(&str, &Rule)| {
        path.starts_with("/hms.host.") && rule.mutates && rule.audience == Audience::User
    };
    let mut methods: Vec<_> = access::rules().filter(ours).collect();
    methods.sort_by_key(|(path, _)| *path);
    assert!(methods.len() > 10, "{}", methods.len());
    methods
}

/// What the controller will collect: method and outcome of each call.
async fn collected(spool: &Spool) -> Vec<(String, String)> {
    let (calls, more) = spool.ended(1_000).await.unwrap();
    assert!(!more);
    for call in &calls {
        assert!(call.identity.ends_with("0007/admin") || call.outcome == "denied", "{call:?}");
        assert_eq!((call.address.as_str(), call.params.as_str()), ("203.0.113.7:40000", "{}"));
        assert_eq!(call.message.is_empty(), call.outcome == "ok", "{call:?}");
    }
    calls.into_iter().map(|call| (call.method, call.outcome)).collect()
}

/// Security case 114, on a host.
#[tokio::test]
async fn every_direct_change_has_one_intent_and_one_outcome() {
    let state = tempfile::tempdir().unwrap();
    let host = Host::new(state.path());
    let mut expected = Vec::new();
    for (path, rule) in methods() {
        for (how, role, outcome) in [
            (How::Well, Role::Admin, "ok"),
            (How::Badly, Role::Admin, "failed"),
            (How::Well, Role::try_from(rule.role as i32 - 1).unwrap(), "denied"),
        ] {
            let fault = host.call(path, role, how).await;
            assert_eq!(fault.as_ref().map_or("ok", |f| f.row().outcome), outcome, "{path}: {fault:?}");
            expected.push((path.to_owned(), outcome.to_owned()));
        }
    }
    assert_eq!(collected(&host.spool).await, expected);
    assert_eq!(host.seen.lock().unwrap().len(), methods().len() * 2, "what was denied was not done");
}

/// Security case 114, on a host that stops before any of them has ended.
#[tokio::test]
async fn every_direct_change_that_a_crash_leaves_open_is_closed_as_unknown() {
    let state = tempfile::tempdir().unwrap();
    let folder = state.path().to_owned();
    // An agent of its own, whose tasks end wherever they are when its runtime is dropped.
    let crashed = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let host = Arc::new(Host::new(&folder));
            for (number, (path, _)) in methods().into_iter().enumerate() {
                let calling = host.clone();
                tokio::spawn(async move { calling.call(path, Role::Admin, How::Never).await });
                while host.seen.lock().unwrap().len() <= number {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            }
        });
        runtime.shutdown_background();
    });
    crashed.await.unwrap();
    let closed = collected(&Spool::open(state.path()).unwrap()).await;
    let mut expected: Vec<_> =
        methods().iter().map(|(path, _)| ((*path).to_owned(), "unknown".to_owned())).collect();
    let mut closed_sorted = closed;
    closed_sorted.sort();
    expected.sort();
    assert_eq!(closed_sorted, expected);
}

/// Security case 111, on a host: a spool that is full, a disk that is full, and a spool that cannot be written.
#[tokio::test]
async fn no_direct_change_is_made_that_cannot_be_recorded() {
    let state = tempfile::tempdir().unwrap();
    let host = Host::new(state.path());
    let path = state.path().join("audit/direct.jsonl");
    let full = File::create(state.path().join("full")).unwrap();
    full.set_len(SPOOL_MAX - RESERVE).unwrap();
    let disk = OpenOptions::new().append(true).open("/dev/full").unwrap();
    let mut tried = 0;
    for file in [full, disk, File::open(&path).unwrap()] {
        *host.spool.file.lock().unwrap() = file;
        for (path, rule) in methods() {
            let fault = host.call(path, Role::Admin, How::Well).await.unwrap();
            assert_eq!(fault.kind(), FaultKind::Unavailable, "{path}");
            assert!(fault.message.contains("cannot be recorded") && !fault.hint.is_empty(), "{fault:?}");
            // Nobody gets in because the refusal cannot be written down.
            let low = Role::try_from(rule.role as i32 - 1).unwrap();
            assert_eq!(host.call(path, low, How::Well).await.unwrap().kind(), FaultKind::Denied, "{path}");
            tried += 1;
        }
    }
    assert_eq!(tried, methods().len() * 3);
    assert_eq!(*host.seen.lock().unwrap(), Vec::<String>::new());
    *host.spool.file.lock().unwrap() = OpenOptions::new().append(true).open(&path).unwrap();
    assert!(host.call(methods()[0].0, Role::Admin, How::Well).await.is_none(), "with room again it is made");
    assert_eq!(collected(&host.spool).await.len(), 1);
}

/// Who may do nothing cannot take the room of those who may.
#[tokio::test]
async fn refusals_take_a_part_of_the_spool_and_no_more() {
    let state = tempfile::tempdir().unwrap();
    let host = Host::new(state.path());
    let file = || host.spool.file.lock().unwrap().metadata().unwrap().len();
    host.spool.file.lock().unwrap().set_len(REFUSED_MAX).unwrap();
    let (path, _) = methods()[0];
    host.call(path, Role::Unspecified, How::Well).await.unwrap();
    assert_eq!(file(), REFUSED_MAX);
    assert!(host.call(path, Role::Admin, How::Well).await.is_none());
    assert!(file() > REFUSED_MAX);
}
