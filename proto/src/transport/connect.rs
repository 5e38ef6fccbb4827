//! Connections to the other end of a gRPC call.

use std::{io, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::transport::{Channel, Endpoint};

use super::accept::STREAMS;
use crate::names::Address;

/// The client side of TLS. Each new connection takes what is in it then, so that a renewed certificate is used.
pub type ClientTls = Arc<ArcSwap<ClientConfig>>;

const CONNECT: Duration = Duration::from_secs(5);

/// How much of an answer comes before it is read.
const WINDOW: u32 = 128 * 1024;

/// A channel to this address. It connects at the first call, and again whenever the connection is lost; a peer that
/// went silent is given up after 15 s.
pub fn endpoint(address: &Address, tls: ClientTls) -> Channel {
    let address = address.clone();
    let connector = tower::service_fn(move |_: http::Uri| {
        let (address, config) = (address.clone(), tls.load_full());
        async move {
            let attempt = tokio::time::timeout(CONNECT, connect(&address, config)).await;
            attempt.unwrap_or_else(|_| Err(timed_out())).map_err(|cause| NotConnected { address, cause })
        }
    });
    // The real address is the connector's; tonic only needs a URI of the plain kind.
    Endpoint::from_static("http://hms")
        .user_agent(concat!("hms/", env!("CARGO_PKG_VERSION")))
        .expect("a version is a header value")
        .http2_keep_alive_interval(Duration::from_secs(10))
        .keep_alive_timeout(Duration::from_secs(5))
        .keep_alive_while_idle(true)
        .initial_stream_window_size(WINDOW)
        // Many calls share a connection: answers that nobody reads take nothing from those that somebody does.
        .initial_connection_window_size(WINDOW * STREAMS)
        .connect_with_connector_lazy(connector)
}

/// No connection could be made, so nothing of the call has reached the peer.
#[derive(Debug, thiserror::Error)]
#[error("cannot connect to {address}: {}", in_words(.cause))]
pub struct NotConnected {
    /// Where to.
    pub address: Address,
    /// Why not.
    pub cause: io::Error,
}

impl NotConnected {
    /// Looks for it among the causes of an error.
    pub fn behind<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Self> {
        std::iter::successors(Some(error), |e| e.source()).find_map(|e| e.downcast_ref())
    }
}

/// The error without the system's number for it, which says nothing more.
fn in_words(cause: &io::Error) -> String {
    let text = cause.to_string();
    let words = text.split(" (os error").next().unwrap_or(&text);
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

fn timed_out() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no connection within 5 s")
}

async fn connect(address: &Address, config: Arc<ClientConfig>) -> io::Result<TokioIo<TlsStream<TcpStream>>> {
    let tcp = TcpStream::connect(address.as_str()).await?;
    // Without it, small messages wait for the peer's delayed acknowledgement: 40 ms a call.
    tcp.set_nodelay(true)?;
    let name = ServerName::try_from(address.host().to_owned()).map_err(io::Error::other)?;
    let stream = TlsConnector::from(config).connect(name, tcp).await?;
    Ok(TokioIo::new(stream))
}
