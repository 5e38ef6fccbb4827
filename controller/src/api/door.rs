//! The door of the HTTPS port: a connection gets a place before it costs anything, gives it back when it closes, and keeps
//! it for sure once somebody on it has logged in.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::{Body, Bytes};
use axum_server::accept::Accept;
use futures_util::{FutureExt as _, future::BoxFuture};
use hms_proto::transport::{Connection, Places, Proof};
use http::{Extensions, Request};
use http_body::{Body as _, Frame, SizeHint};
use tokio::{
    net::TcpStream,
    time::{Sleep, sleep},
};
use tower::Service;

/// How long a request's body may take to come.
const PATIENCE: Duration = Duration::from_secs(30);

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
    type Stream = Connection<A::Stream>;
    type Service = Inside<A::Service>;
    type Future = BoxFuture<'static, io::Result<(Self::Stream, Self::Service)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let place = stream.peer_addr().ok().and_then(|peer| self.places.take(peer.ip()));
        let Some(mut place) = place else {
            return async { Err(io::Error::other("too many connections")) }.boxed();
        };
        let accepted = self.inner.accept(stream, service);
        async move {
            let (stream, service) = tokio::select! {
                accepted = accepted => accepted?,
                () = place.lost() => return Err(io::Error::other("its place was needed")),
            };
            let service = Inside { inner: service, proof: place.proof() };
            Ok((Connection::new(stream, (), place), service))
        }
        .boxed()
    }
}

/// What answers on a connection. Each request carries the proof by which its caller is known.
#[derive(Debug, Clone)]
pub(crate) struct Inside<S> {
    inner: S,
    proof: Proof,
}

impl<S: Service<Request<B>>, B> Service<Request<B>> for Inside<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        request.extensions_mut().insert(self.proof.clone());
        self.inner.call(request)
    }
}

/// The caller of this request has logged in: its connection is nobody's whose place could be needed.
pub(crate) fn is_known(extensions: &Extensions) {
    if let Some(proof) = extensions.get::<Proof>() {
        proof.prove();
    }
}

/// Gives the body of a request so much time.
pub(crate) async fn hurry(request: Request<Body>) -> Request<Body> {
    request.map(|body| match body.is_end_stream() {
        true => body,
        false => Body::new(Hurried { body, until: Box::pin(sleep(PATIENCE)) }),
    })
}

/// A body that is late from some time on, however steadily it trickles.
struct Hurried {
    body: Body,
    until: Pin<Box<Sleep>>,
}

impl http_body::Body for Hurried {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        ready!(self.until.as_mut().poll(cx));
        Poll::Ready(Some(Err("the request did not come in its time".into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
