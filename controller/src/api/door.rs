//! The door of the HTTPS port: a connection gets a place before it costs anything, gives it back when it closes, and keeps
//! it for sure once somebody on it has logged in.

use std::{
    io, mem,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    extract::Request as Asked,
    middleware::Next,
    response::Response,
};
use axum_server::accept::Accept;
use futures_util::{FutureExt as _, future::BoxFuture};
use hms_proto::transport::{Arrears, Connection, Places, Proof};
use http::{Extensions, Request};
use http_body::{Body as _, Frame, SizeHint};
use tokio::{
    net::TcpStream,
    time::{Sleep, sleep},
};
use tower::Service;

/// How long a request's body may take to come.
const PATIENCE: Duration = Duration::from_secs(30);

/// The largest piece of an answer that has to be taken at once.
const PIECE: usize = 16 * 1024;

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
            let proof = place.proof();
            let connection = Connection::new(stream, (), place);
            let service = Inside { inner: service, proof, arrears: connection.arrears() };
            Ok((connection, service))
        }
        .boxed()
    }
}

/// What answers on a connection. Each request carries the proof by which its caller is known, and where it is told what waits
/// of its answer.
#[derive(Debug, Clone)]
pub(crate) struct Inside<S> {
    inner: S,
    proof: Proof,
    arrears: Arrears,
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
        request.extensions_mut().insert(self.arrears.clone());
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

/// Watches whether the answer is taken.
pub(crate) async fn watch(request: Asked, next: Next) -> Response {
    let arrears = request.extensions().get::<Arrears>().cloned();
    let response = next.run(request).await;
    match arrears {
        Some(arrears) => response.map(|body| Body::new(Watched { body, arrears, rest: Bytes::new() })),
        None => response,
    }
}

/// A body in pieces that are watched until they are sent.
struct Watched {
    body: Body,
    arrears: Arrears,
    /// Of the frame that was read last.
    rest: Bytes,
}

impl Watched {
    fn piece(&mut self) -> Frame<Bytes> {
        let rest = match self.rest.len() > PIECE {
            true => self.rest.split_off(PIECE),
            false => Bytes::new(),
        };
        Frame::data(self.arrears.watch(mem::replace(&mut self.rest, rest)))
    }
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                end => return Poll::Ready(end),
            }
        }
        Poll::Ready(Some(Ok(self.piece())))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (body, rest) = (self.body.size_hint(), u64::try_from(self.rest.len()).unwrap_or(u64::MAX));
        let mut hint = SizeHint::new();
        if let Some(upper) = body.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint.set_lower(body.lower().saturating_add(rest));
        hint
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn a_watched_body_has_the_same_bytes_in_pieces() {
        let bytes: Bytes = (0..=u8::MAX).cycle().take(2 * PIECE + 7).collect();
        let mut watched =
            Watched { body: bytes.clone().into(), arrears: Arrears::default(), rest: Bytes::new() };
        assert_eq!(watched.size_hint().exact(), Some(bytes.len() as u64));
        let mut sizes = Vec::new();
        let mut all = Vec::new();
        while let Some(frame) = watched.frame().await {
            let data = frame.unwrap().into_data().unwrap();
            all.extend_from_slice(&data);
            sizes.push(data.len());
            assert_eq!(watched.size_hint().exact(), Some((bytes.len() - all.len()) as u64));
        }
        assert_eq!((sizes, Bytes::from(all)), (vec![PIECE, PIECE, 7], bytes));
    }
}
