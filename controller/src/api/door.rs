//! The door of the HTTPS port: a connection gets a place before it costs anything, and gives it back when it closes.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use axum_server::accept::Accept;
use futures_util::{FutureExt as _, future::BoxFuture};
use hms_proto::transport::{Place, Places};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// Lets connections in while there are places.
#[derive(Debug, Clone)]
pub(crate) struct Door<A> {
    inner: A,
    places: Places,
}

impl<A> Door<A> {
    /// A door before `inner`.
    pub(crate) fn new(inner: A, places: Places) -> Self {
        Self { inner, places }
    }
}

impl<A, S> Accept<TcpStream, S> for Door<A>
where
    A: Accept<TcpStream, S, Future: Send + 'static>,
{
    type Stream = Inside<A::Stream>;
    type Service = A::Service;
    type Future = BoxFuture<'static, io::Result<(Self::Stream, Self::Service)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let place = stream.peer_addr().ok().and_then(|peer| self.places.take(peer.ip()));
        let Some(place) = place else {
            return async { Err(io::Error::other("too many connections")) }.boxed();
        };
        let accepted = self.inner.accept(stream, service);
        async move {
            let (stream, service) = accepted.await?;
            Ok((Inside { stream, _place: place }, service))
        }
        .boxed()
    }
}

/// A connection with its place.
#[derive(Debug)]
pub(crate) struct Inside<S> {
    stream: S,
    _place: Place,
}

impl<S: AsyncRead + Unpin> AsyncRead for Inside<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Inside<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
