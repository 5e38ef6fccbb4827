//! The door of the HTTPS port: a connection gets a place before it costs anything, gives it back when it closes, and keeps
//! it for sure once somebody on it has logged in.

use std::{
    io,
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
use hms_proto::transport::{Arrears, Burden, Connection, Places, Proof, Watched};
use http::{Extensions, Request, header};
use http_body::{Body as _, Frame, SizeHint};
use tokio::{
    net::TcpStream,
    time::{Sleep, sleep},
};
use tower::Service;

/// How long a request's body may take to come.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a request takes up beside its header: a stream, a task, a page that waits to be sent.
const REQUEST: usize = 8 * 1024;

/// What a piece of a body takes up beside its bytes.
const PIECE: usize = 64;

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

/// What answers on a connection. Each request carries the proof by which its caller is known, what it takes up, and where it is told
/// what waits of its answer.
#[derive(Debug, Clone)]
pub(crate) struct Inside<S> {
    inner: S,
    proof: Proof,
    arrears: Arrears,
}

impl<S: Service<Request<B>, Future: Send + 'static>, B> Service<Request<B>> for Inside<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let burden = Burden::new(self.proof.clone(), REQUEST + size_of_head(&request));
        request.extensions_mut().insert(self.proof.clone());
        request.extensions_mut().insert(self.arrears.clone());
        request.extensions_mut().insert(burden.clone());
        let answering = self.inner.call(request);
        async move {
            let answer = answering.await;
            drop(burden);
            answer
        }
        .boxed()
    }
}

/// As HTTP/2 counts it.
fn size_of_head<B>(request: &Request<B>) -> usize {
    let header =
        |(name, value): (&http::HeaderName, &http::HeaderValue)| name.as_str().len() + value.len() + 32;
    let path = request.uri().path_and_query().map_or(0, |path| path.as_str().len());
    path + request.headers().iter().map(header).sum::<usize>()
}

/// The caller of this request has logged in: its connection is nobody's whose place could be needed.
pub(crate) fn is_known(extensions: &Extensions) {
    if let Some(proof) = extensions.get::<Proof>() {
        proof.prove();
    }
}

/// Gives the body of a request so much time, and counts it as taken up.
pub(crate) async fn hurry(request: Request<Body>) -> Request<Body> {
    let burden = request.extensions().get::<Burden>().cloned();
    request.map(|body| match body.is_end_stream() {
        true => body,
        false => Body::new(Hurried { body, burden, until: Box::pin(sleep(PATIENCE)) }),
    })
}

/// A body that is late from some time on, however steadily it trickles.
struct Hurried {
    body: Body,
    burden: Option<Burden>,
    until: Pin<Box<Sleep>>,
}

impl Hurried {
    /// The same bytes alone: as they came, one byte may hold all of what was read with it.
    fn count(&self, frame: Frame<Bytes>) -> Frame<Bytes> {
        frame.map_data(|data| {
            if let Some(burden) = &self.burden {
                burden.add(PIECE + data.len());
            }
            Bytes::copy_from_slice(&data)
        })
    }
}

impl http_body::Body for Hurried {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            return Poll::Ready(frame.map(|frame| frame.map(|frame| self.count(frame)).map_err(Into::into)));
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

/// Watches whether the answer is taken. Whoever follows something may read slowly: such streams say what they left out.
pub(crate) async fn watch(request: Asked, next: Next) -> Response {
    let arrears = request.extensions().get::<Arrears>().cloned();
    let burden = request.extensions().get::<Burden>().cloned();
    let response = next.run(request).await;
    let kind = response.headers().get(header::CONTENT_TYPE);
    let arrears = arrears.filter(|_| kind.is_none_or(|kind| kind != "text/event-stream"));
    response.map(|body| Body::new(Watched::new(body, arrears, burden)))
}

#[cfg(test)]
mod tests {
    use axum::{Router, middleware, routing::get};
    use futures_util::stream;
    use hms_proto::transport::{Limits, Place};
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;

    fn place(burden: usize) -> Place {
        let places = Places::new(Limits { burden, ..Limits::default() });
        places.take([127, 0, 0, 1].into()).unwrap()
    }

    fn has_lost(place: &mut Place) -> bool {
        place.lost().now_or_never().is_some()
    }

    /// Security case 98: what follows something may wait, and everything else not.
    #[tokio::test]
    async fn answers_are_watched_and_events_are_not() {
        let events = async || ([(header::CONTENT_TYPE, "text/event-stream")], "data: 1\n\n");
        let router = Router::new().route("/", get(async || "answer")).route("/events", get(events));
        for (path, is_watched) in [("/", true), ("/events", false)] {
            let arrears = Arrears::default();
            let request = Request::get(path).extension(arrears.clone()).body(Body::empty()).unwrap();
            let router = router.clone().layer(middleware::from_fn(watch));
            let mut answer = router.oneshot(request).await.unwrap().into_body();
            let _piece = answer.frame().await.unwrap().unwrap();
            assert_eq!(arrears.have_waited(Duration::ZERO), is_watched, "{path}");
        }
    }

    /// Security case 101.
    #[tokio::test]
    async fn a_body_counts_as_what_it_takes_up_and_holds_nothing_else() {
        let mut place = place(1000);
        let read = Bytes::from(vec![b'x'; 1 << 20]);
        let pieces: Vec<_> = (0..2).map(|_| Ok::<_, io::Error>(read.slice(7..407))).collect();
        let mut request = Request::new(Body::from_stream(stream::iter(pieces)));
        request.extensions_mut().insert(Burden::new(place.proof(), 100));
        let mut body = hurry(request).await.into_body();
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert!(
            first == read[7..407] && first.as_ptr() != read[7..].as_ptr(),
            "it holds what was read with it"
        );
        assert!(!has_lost(&mut place));
        let _second = body.frame().await.unwrap().unwrap();
        assert!(has_lost(&mut place), "a body may be as large as it likes");
    }

    /// Security case 101: a request counts until its answer is taken.
    #[tokio::test]
    async fn a_request_counts_from_its_header_to_the_end_of_its_answer() {
        let mut place = place(3 * REQUEST);
        let router = Router::new().route("/", get(async || "answer")).layer(middleware::from_fn(watch));
        let inside = Inside { inner: router, proof: place.proof(), arrears: Arrears::default() };
        let ask = async |header: usize| {
            let request = Request::get("/").header("x-long", vec![b'x'; header]).body(Body::empty());
            inside.clone().oneshot(request.unwrap()).await.unwrap().into_body()
        };
        for _ in 0..5 {
            ask(REQUEST).await.collect().await.unwrap();
        }
        assert!(!has_lost(&mut place), "what is over still counts");
        let _waits = ask(REQUEST).await;
        assert!(!has_lost(&mut place));
        let _waits_too = ask(REQUEST).await;
        assert!(has_lost(&mut place), "strangers may have as many requests as they like");
    }
}
