//! Connections to a port, with or without TLS and HTTP/2, from addresses of the attacker's own.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use hms_proto::HOST_KEY;
use rustls::client::ResolvesClientCert;
use rustls::pki_types::ServerName;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, SignatureScheme};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf, split};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::frames::{
    ACK, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PREFACE, RST_STREAM, SETTINGS, WINDOW_UPDATE,
    frame, request, settings,
};
use super::scene::HOST;

/// What may be sent on a connection before the other side says more.
const WINDOW: usize = 65_535;
/// The largest payload that everybody has to accept.
const LARGEST: usize = 16 * 1024;

/// On a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A port, and how one gets in.
#[derive(Clone)]
pub(crate) struct Target {
    /// For messages and numbers.
    pub(crate) name: &'static str,
    /// The port.
    pub(crate) address: SocketAddr,
    /// The client's side of TLS: with a certificate where the port wants one.
    pub(crate) tls: Arc<ClientConfig>,
    /// A path that answers.
    pub(crate) path: &'static str,
    /// Where the attacker comes from.
    pub(crate) from: Ipv4Addr,
}

impl Target {
    /// The same port for somebody at another address.
    pub(crate) fn seen_from(&self, from: Ipv4Addr) -> Self {
        Self { from, ..self.clone() }
    }

    /// The same port for somebody who speaks TLS in another way.
    pub(crate) fn with(&self, tls: ClientConfig) -> Self {
        Self { tls: Arc::new(tls), ..self.clone() }
    }

    /// The same port for somebody who trusts the server, and has no certificate.
    pub(crate) fn without_certificate(&self) -> Self {
        let mut tls = (*self.tls).clone();
        tls.client_auth_cert_resolver = Arc::new(NoCertificate);
        self.with(tls)
    }

    /// A request that is answered with a body.
    pub(crate) fn question(&self, stream: u32) -> Vec<u8> {
        if self.name == "pages" {
            return frame(HEADERS, END_HEADERS | END_STREAM, stream, &request("GET", self.path, &[]));
        }
        let more = [("content-type", "application/grpc"), ("te", "trailers"), (HOST_KEY, HOST)];
        let head = frame(HEADERS, END_HEADERS, stream, &request("POST", self.path, &more));
        // A message of 14 bytes: its first field is a text of 12.
        let message = [&[0, 0, 0, 0, 14, 0x0a, 12], &b"dbus.service"[..]].concat();
        [head, frame(DATA, END_STREAM, stream, &message)].concat()
    }

    /// A connection that has said nothing yet.
    pub(crate) async fn tcp(&self) -> Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((self.from, 0).into())?;
        let connected = timeout(PATIENCE, socket.connect(self.address)).await?;
        connected.with_context(|| format!("cannot connect to {}", self.name))
    }

    /// A connection that has done the handshake.
    pub(crate) async fn tls(&self) -> Result<TlsStream<TcpStream>> {
        let (tcp, name) = (self.tcp().await?, ServerName::from(self.address.ip()));
        Ok(timeout(PATIENCE, TlsConnector::from(self.tls.clone()).connect(name, tcp)).await??)
    }

    /// A connection that speaks HTTP/2 and reads what comes.
    pub(crate) async fn http2(&self, setting: Option<(u16, u32)>) -> Result<Wire> {
        let (mut reading, mut writing) = split(self.tls().await?);
        writing.write_all(&[PREFACE, &settings(setting)].concat()).await?;
        let (writing, seen) = (Arc::new(Mutex::new(writing)), Arc::new(Seen::default()));
        let (answers, counts) = (writing.clone(), seen.clone());
        let reader =
            tokio::spawn(async move { while watch(&mut reading, &answers, &counts).await.is_ok() {} });
        Ok(Wire { writing, seen, reader, next: 1, sent: 0 })
    }
}

/// Nothing to show when a server asks for a certificate.
#[derive(Debug)]
struct NoCertificate;

impl ResolvesClientCert for NoCertificate {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

/// What came back on a connection.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Answers that have begun.
    pub(crate) answers: AtomicUsize,
    /// Streams that the other side ended.
    pub(crate) resets: AtomicUsize,
    /// Answers to PING.
    pongs: AtomicUsize,
    /// How much more may be sent in bodies than there was room for at first.
    room: AtomicUsize,
    /// 1 + the code with which the other side ended the connection.
    ended: AtomicU64,
}

/// An HTTP/2 connection.
pub(crate) struct Wire {
    writing: Arc<Mutex<WriteHalf<TlsStream<TcpStream>>>>,
    /// What came back.
    pub(crate) seen: Arc<Seen>,
    reader: JoinHandle<()>,
    next: u32,
    /// What was sent in bodies.
    sent: usize,
}

impl Wire {
    /// The number of a new stream.
    pub(crate) fn stream(&mut self) -> u32 {
        let stream = self.next;
        self.next += 2;
        stream
    }

    /// Sends bytes; false when nobody takes them any more.
    pub(crate) async fn send(&self, bytes: &[u8]) -> bool {
        let sending = async {
            let mut writing = self.writing.lock().await;
            writing.write_all(bytes).await?;
            writing.flush().await
        };
        !self.has_ended() && matches!(timeout(PATIENCE, sending).await, Ok(Ok(())))
    }

    /// Sends so many bytes of a body that does not end, as there is room for them; false when nobody takes them any more.
    pub(crate) async fn body(&mut self, stream: u32, bytes: usize) -> bool {
        let mut rest = bytes;
        while rest > 0 {
            let piece = rest.min(LARGEST);
            let has_room = async {
                while self.sent + piece > WINDOW + self.seen.room.load(Ordering::Relaxed) && !self.has_ended()
                {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            if timeout(PATIENCE, has_room).await.is_err() {
                return false;
            }
            if !self.send(&frame(DATA, 0, stream, &vec![b' '; piece])).await {
                return false;
            }
            (self.sent, rest) = (self.sent + piece, rest - piece);
        }
        true
    }

    /// Whether the other side has ended the connection.
    pub(crate) fn has_ended(&self) -> bool {
        self.reader.is_finished() || self.seen.ended.load(Ordering::Relaxed) > 0
    }

    /// Waits until it has; false when it answers a last question instead.
    pub(crate) async fn ends(&mut self) -> bool {
        let before = self.seen.pongs.load(Ordering::Relaxed);
        if !self.send(&frame(PING, 0, 0, &[7; 8])).await {
            return true;
        }
        let waiting = async {
            while self.seen.pongs.load(Ordering::Relaxed) == before && !self.has_ended() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, waiting).await.ok();
        self.has_ended()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// Reads one frame, and answers as a client has to.
async fn watch(
    reading: &mut ReadHalf<TlsStream<TcpStream>>,
    answers: &Mutex<WriteHalf<TlsStream<TcpStream>>>,
    seen: &Seen,
) -> Result<()> {
    let mut head = [0; 9];
    reading.read_exact(&mut head).await?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; usize::try_from(length)?];
    reading.read_exact(&mut payload).await?;
    match (head[3], head[4] & ACK) {
        (HEADERS, _) => drop(seen.answers.fetch_add(1, Ordering::Relaxed)),
        (RST_STREAM, _) => drop(seen.resets.fetch_add(1, Ordering::Relaxed)),
        (GOAWAY, _) => {
            let code = payload.get(4..8).and_then(|code| code.try_into().ok()).map_or(0, u32::from_be_bytes);
            seen.ended.store(1 + u64::from(code), Ordering::Relaxed);
        }
        (SETTINGS, 0) => answers.lock().await.write_all(&frame(SETTINGS, ACK, 0, &[])).await?,
        (WINDOW_UPDATE, _) if head[5..9] == [0; 4] => {
            let more = payload.as_slice().try_into().map_or(0, u32::from_be_bytes);
            seen.room.fetch_add(usize::try_from(more)?, Ordering::Relaxed);
        }
        (PING, ACK) => drop(seen.pongs.fetch_add(1, Ordering::Relaxed)),
        (PING, 0) => answers.lock().await.write_all(&frame(PING, ACK, 0, &payload)).await?,
        _ => {}
    }
    Ok(())
}
