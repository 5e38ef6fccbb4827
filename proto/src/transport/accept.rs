//! The accept loop: every connection is bounded before it costs anything.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Server, server::Connected};
use tower::layer::util::{Identity as Nothing, Stack};

use super::{
    connection::Connection,
    places::{Limits, Place, Places},
    watch::{Met, Watching},
};
use crate::identity::{Identity, serial_of, validity_of};

/// Calls on one connection at a time.
pub(super) const STREAMS: u32 = 256;

/// Who is at the other end of a connection. A hardened server puts it into each request's extensions.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Whom its certificate names.
    pub identity: Identity,
    /// Where it connected from.
    pub address: SocketAddr,
    /// When its certificate ends, in seconds since the epoch.
    pub certificate_ends: i64,
    /// Serial number of its certificate, lower-case hex.
    pub certificate_serial: String,
}

/// A connection whose caller is known.
pub type Known = Connection<TlsStream<TcpStream>, Peer>;

/// Accepts connections until the receiver is dropped. Each handshake runs in its own task with the configuration
/// that holds at that moment, so a renewed certificate needs no restart.
pub fn accept(
    listener: TcpListener,
    config: Arc<ArcSwap<ServerConfig>>,
    limits: Limits,
) -> ReceiverStream<io::Result<Known>> {
    let (ready, receiver) = mpsc::channel(16);
    tokio::spawn(async move {
        let places = Places::new(limits);
        while !ready.is_closed() {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = ready.closed() => break,
            };
            match accepted {
                Ok((tcp, address)) => {
                    let Some(place) = places.take(address.ip()) else {
                        tracing::warn!(%address, "too many connections, closed one");
                        continue;
                    };
                    let (config, ready) = (config.load_full(), ready.clone());
                    tokio::spawn(async move {
                        match tokio::time::timeout(limits.handshake, handshake(tcp, address, config, place))
                            .await
                        {
                            Ok(Ok(connection)) => drop(ready.send(Ok(connection)).await),
                            Ok(Err(error)) => tracing::info!(%address, %error, "refused a connection"),
                            Err(_) => tracing::info!(%address, "handshake took too long"),
                        }
                    });
                }
                // Out of file descriptors, mostly: others have to close first.
                Err(error) => {
                    tracing::warn!(%error, "cannot accept");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    });
    ReceiverStream::new(receiver)
}

async fn handshake(
    tcp: TcpStream,
    address: SocketAddr,
    config: Arc<ServerConfig>,
    mut place: Place,
) -> io::Result<Known> {
    tcp.set_nodelay(true)?;
    let stream = tokio::select! {
        accepted = TlsAcceptor::from(config).accept(tcp) => accepted?,
        () = place.lost() => return Err(io::Error::other("its place was needed")),
    };
    let leaf = stream.get_ref().1.peer_certificates().and_then(|c| c.first());
    let leaf = leaf.ok_or_else(|| io::Error::other("no client certificate"))?;
    let peer = Peer {
        identity: Identity::of_certificate(leaf).map_err(io::Error::other)?,
        certificate_ends: validity_of(leaf).map_err(io::Error::other)?.1,
        certificate_serial: serial_of(leaf).map_err(io::Error::other)?,
        address,
    };
    place.prove();
    Ok(Connection::new(stream, peer, place))
}

/// A gRPC server with limits on all that a caller can make grow (HTTP/2 floods, header bombs, silent peers, answers that nobody
/// takes).
pub fn harden(server: Server) -> Server<Stack<Watching, Nothing>> {
    server
        .layer(Watching)
        .max_concurrent_streams(STREAMS)
        .http2_max_header_list_size(16 * 1024)
        .http2_max_pending_accept_reset_streams(Some(32))
        .http2_max_local_error_reset_streams(Some(64))
        .http2_keepalive_interval(Some(Duration::from_secs(10)))
        .http2_keepalive_timeout(Some(Duration::from_secs(10)))
        .max_frame_size(16 * 1024)
        // A certificate is checked at the handshake only: connections do not live much longer than that is fair.
        .max_connection_age(Duration::from_secs(3600))
        .max_connection_age_grace(Duration::from_secs(3600))
}

impl Connected for Known {
    type ConnectInfo = Met;

    fn connect_info(&self) -> Met {
        Met { peer: self.peer.clone(), arrears: self.arrears() }
    }
}
