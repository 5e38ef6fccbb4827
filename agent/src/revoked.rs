//! Certificates of people that were revoked before their end. The controller tells the whole list; it is kept on the disk,
//! so that it also holds after a restart while the controller is away.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use hms_proto::{
    fault::{Fault, FaultKind},
    host::v1::{
        PutRevocationsRequest, PutRevocationsResponse, RevokedCertificate,
        revocation_service_server::RevocationService,
    },
    identity::Kind,
    transport::Peer,
};
use tokio::sync::{Mutex, watch};
use tonic::{Request, Response, Status};

use crate::{
    files::{read_if_there, replace},
    join::unix_now,
};

/// More are not taken, so that a list fits into a message.
const MOST: usize = 10_000;
/// A larger file is none of ours.
const FILE_MAX: u64 = 2 * 1024 * 1024;
/// Octets of a serial number (RFC 5280, 4.1.2.2), and a zero before them.
const SERIAL_MAX: usize = 21 * 2;

/// When each ends by itself, in microseconds since the epoch, by its serial.
type Serials = BTreeMap<String, i64>;

/// Whom to refuse.
#[derive(Debug)]
enum List {
    These(Serials),
    /// What was on the disk cannot be read: it may name anybody.
    Lost,
}

/// The list as it is now, and on the disk.
#[derive(Debug)]
pub(crate) struct Revoked {
    path: PathBuf,
    list: watch::Sender<List>,
    /// Lists are kept one after the other: the last one that came is the one on the disk.
    turn: Mutex<()>,
}

impl Revoked {
    /// Reads what was kept in the state folder. When that cannot be read, nobody may call directly until the controller has
    /// told the list anew.
    pub(crate) fn open(state: &Path) -> Self {
        let path = state.join("revoked.json");
        let list = read(&path).map_or_else(
            |error| {
                tracing::error!(%error, path = %path.display(), "cannot read who was revoked, refusing direct calls");
                List::Lost
            },
            List::These,
        );
        Self { path, list: watch::Sender::new(list), turn: Mutex::new(()) }
    }

    /// Refuses a caller whose certificate was revoked.
    pub(crate) fn check(&self, peer: &Peer) -> Result<(), Fault> {
        self.list.borrow().fault(peer).map_or(Ok(()), Err)
    }

    /// Waits until the caller's certificate is revoked, and says so.
    pub(crate) fn gone(&self, peer: &Peer) -> impl Future<Output = Fault> + Send + use<> {
        let (mut list, peer) = (self.list.subscribe(), peer.clone());
        async move {
            loop {
                if let Some(fault) = list.borrow_and_update().fault(&peer) {
                    return fault;
                }
                if list.changed().await.is_err() {
                    return Fault::new(FaultKind::Unreachable, "the agent is stopping");
                }
            }
        }
    }

    /// It holds at once, and is on the disk when this returns.
    async fn put(&self, serials: Serials) -> io::Result<()> {
        let _turn = self.turn.lock().await;
        let content = serde_json::to_vec(&serials)?;
        self.list.send_replace(List::These(serials));
        let path = self.path.clone();
        let keep = move || match std::fs::read(&path) {
            Ok(old) if old == content => Ok(()),
            _ => replace(&path, &content),
        };
        tokio::task::spawn_blocking(keep).await.map_err(io::Error::other)?
    }
}

impl List {
    fn fault(&self, peer: &Peer) -> Option<Fault> {
        match self {
            // Controllers are not people: what they tell must not shut them out.
            _ if peer.identity.kind != Kind::Operator => None,
            Self::These(serials) => serials.contains_key(&peer.certificate_serial).then(revoked),
            Self::Lost => Some(
                Fault::new(
                    FaultKind::Unavailable,
                    "this host does not know which certificates were revoked, and takes no direct calls",
                )
                .hint(
                    "It learns the list as soon as the controller reaches it; call through the controller.",
                ),
            ),
        }
    }
}

fn revoked() -> Fault {
    Fault::new(FaultKind::Unauthenticated, "the caller's certificate was revoked")
        .hint("Log in again: `hmsctl login`.")
}

fn read(path: &Path) -> io::Result<Serials> {
    let Some(content) = read_if_there(path, FILE_MAX)? else { return Ok(Serials::new()) };
    Ok(serde_json::from_slice(&content)?)
}

/// The list as it was sent, without those that have ended by themselves.
fn parse(certificates: Vec<RevokedCertificate>, now: i64) -> Result<Serials, Fault> {
    if certificates.len() > MOST {
        return Err(Fault::invalid(format!("a list has at most {MOST} certificates")));
    }
    let is_serial = |serial: &str| {
        (1..=SERIAL_MAX).contains(&serial.len())
            && serial.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    if !certificates.iter().all(|c| is_serial(&c.serial)) {
        return Err(Fault::invalid("the serial of a certificate is lower-case hex"));
    }
    let lasting = certificates.into_iter().filter(|c| c.ends_usec / 1_000_000 >= now);
    Ok(lasting.map(|c| (c.serial, c.ends_usec)).collect())
}

/// The service that takes the list.
#[derive(Debug)]
pub(crate) struct RevocationApi(pub(crate) Arc<Revoked>);

#[tonic::async_trait]
impl RevocationService for RevocationApi {
    async fn put(
        &self,
        request: Request<PutRevocationsRequest>,
    ) -> Result<Response<PutRevocationsResponse>, Status> {
        let serials = parse(request.into_inner().certificates, unix_now())?;
        let count = serials.len();
        self.0.put(serials).await.map_err(|error| {
            tracing::error!(%error, "cannot keep who was revoked");
            crate::internal(format!("the list holds, but it could not be written to the disk: {error}"))
        })?;
        tracing::debug!(count, "took the list of revoked certificates");
        Ok(Response::new(PutRevocationsResponse {}))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use hms_proto::{Role, identity::Identity};
    use uuid::Uuid;

    use super::*;

    fn peer(kind: Kind, serial: &str) -> Peer {
        Peer {
            identity: Identity { install: Uuid::nil(), kind, id: Uuid::nil(), role: Some(Role::Admin) },
            address: "10.0.0.1:1".parse().unwrap(),
            certificate_ends: i64::MAX,
            certificate_serial: serial.to_owned(),
        }
    }

    fn certificate(serial: &str, seconds: i64) -> RevokedCertificate {
        RevokedCertificate { serial: serial.to_owned(), ends_usec: seconds * 1_000_000 }
    }

    /// Security case 91: what was revoked stays so over a restart, and only for people.
    #[tokio::test]
    async fn the_list_is_kept_for_the_next_start() {
        let state = tempfile::tempdir().unwrap();
        let list = Revoked::open(state.path());
        list.check(&peer(Kind::Operator, "0a")).unwrap();
        list.put(parse(vec![certificate("0a", 100)], 50).unwrap()).await.unwrap();
        for list in [list, Revoked::open(state.path())] {
            let refused = list.check(&peer(Kind::Operator, "0a")).unwrap_err();
            assert_eq!(refused.kind(), FaultKind::Unauthenticated);
            list.check(&peer(Kind::Operator, "0b")).unwrap();
            list.check(&peer(Kind::Controller, "0a")).unwrap();
        }
        let mode = std::fs::metadata(state.path().join("revoked.json")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    /// Security case 91: without a list that can be read, nobody calls directly until there is one.
    #[tokio::test]
    async fn a_list_that_cannot_be_read_refuses_everybody_until_the_next_one() {
        let state = tempfile::tempdir().unwrap();
        for bytes in [&b""[..], b"{", b"[]", b"{\"0a\":1", b"{\"0a\":\"x\"}", b"\xff\xfe", b"null"] {
            std::fs::write(state.path().join("revoked.json"), bytes).unwrap();
            let list = Revoked::open(state.path());
            let refused = list.check(&peer(Kind::Operator, "0b")).unwrap_err();
            assert_eq!(refused.kind(), FaultKind::Unavailable, "{bytes:?}");
            list.check(&peer(Kind::Controller, "0b")).unwrap();
            list.put(Serials::new()).await.unwrap();
            list.check(&peer(Kind::Operator, "0b")).unwrap();
            Revoked::open(state.path()).check(&peer(Kind::Operator, "0b")).unwrap();
        }
    }

    #[test]
    fn a_list_is_bounded_and_holds_only_serials_that_still_matter() {
        for bad in ["", "0A", "0x1", "a b", "../x", "é", &"a".repeat(SERIAL_MAX + 1)] {
            assert!(parse(vec![certificate(bad, 100)], 0).is_err(), "{bad:?}");
        }
        assert!(parse(vec![certificate("a", 1); MOST + 1], 0).is_err());
        let kept = parse(vec![certificate("a", 49), certificate("b", 50), certificate("c", 51)], 50).unwrap();
        assert_eq!(kept.into_keys().collect::<Vec<_>>(), ["b", "c"]);
    }
}
