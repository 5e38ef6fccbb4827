//! Answers are watched until their peer has taken them.

use std::{
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use tower::{Layer, Service};

use super::{accept::Peer, arrears::Arrears, burden::Burden};
use crate::{access, identity::Kind};

/// The largest piece of an answer that has to be taken at once.
const PIECE: usize = 16 * 1024;

/// A body in pieces that are watched until they are sent.
#[derive(Debug)]
pub struct Watched<B> {
    body: B,
    arrears: Option<Arrears>,
    /// Of the request that it answers.
    _burden: Option<Burden>,
    /// Of the frame that was read last.
    rest: Bytes,
}

impl<B> Watched<B> {
    /// This body; where nobody watches it, as it is. The request counts until the answer is taken.
    pub fn new(body: B, arrears: Option<Arrears>, burden: Option<Burden>) -> Self {
        Self { body, arrears, _burden: burden, rest: Bytes::new() }
    }

    fn piece(&mut self, arrears: &Arrears) -> Frame<Bytes> {
        let rest = match self.rest.len() > PIECE {
            true => self.rest.split_off(PIECE),
            false => Bytes::new(),
        };
        Frame::data(arrears.watch(mem::replace(&mut self.rest, rest)))
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Watched<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let Some(arrears) = self.arrears.clone() else { return Pin::new(&mut self.body).poll_frame(cx) };
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                end => return Poll::Ready(end),
            }
        }
        Poll::Ready(Some(Ok(self.piece(&arrears))))
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

/// What each call of a connection is told of it.
#[derive(Debug, Clone)]
pub struct Met {
    pub(super) peer: Peer,
    pub(super) arrears: Arrears,
}

/// Tells calls who their peer is, and watches whether it takes the answers.
#[derive(Debug, Clone, Copy)]
pub struct Watching;

impl<S> Layer<S> for Watching {
    type Service = Watch<S>;

    fn layer(&self, inner: S) -> Watch<S> {
        Watch(inner)
    }
}

/// See [`Watching`].
#[derive(Debug, Clone)]
pub struct Watch<S>(S);

impl<S, B, R> Service<Request<B>> for Watch<S>
where
    S: Service<Request<B>, Response = Response<R>, Future: Send + 'static>,
{
    type Response = Response<Watched<R>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let met = request.extensions_mut().remove::<Met>();
        let arrears = met.and_then(|Met { peer, arrears }| {
            let is_watched = is_watched(peer.identity.kind, request.uri().path());
            request.extensions_mut().insert(peer);
            is_watched.then_some(arrears)
        });
        let answer = self.0.call(request);
        Box::pin(async move { Ok(answer.await?.map(|body| Watched::new(body, arrears, None))) })
    }
}

/// Who follows something may read slowly: such streams have bounds of their own, and say what they left out. And a controller carries
/// the calls of many on one connection, and watches them itself.
fn is_watched(peer: Kind, path: &str) -> bool {
    peer != Kind::Controller && access::rule(path).is_none_or(|rule| !rule.streams())
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, future::poll_fn, time::Duration};

    use uuid::Uuid;

    use super::*;
    use crate::identity::Identity;

    const UNARY: &str = "/hms.host.v1.UnitService/Get";
    const STREAM: &str = "/hms.host.v1.LogService/Follow";

    fn answer(bytes: &Bytes) -> tonic::body::Body {
        tonic::body::Body::new(http_body_util::Full::new(bytes.clone()))
    }

    async fn next<B: Body<Data = Bytes, Error: std::fmt::Debug> + Unpin>(body: &mut B) -> Option<Bytes> {
        let frame = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await?;
        Some(frame.unwrap().into_data().unwrap())
    }

    #[tokio::test]
    async fn a_watched_body_has_the_same_bytes_in_pieces() {
        let bytes: Bytes = (0..=u8::MAX).cycle().take(2 * PIECE + 7).collect();
        let mut watched = Watched::new(answer(&bytes), Some(Arrears::default()), None);
        assert_eq!(watched.size_hint().exact(), Some(bytes.len() as u64));
        let (mut sizes, mut all) = (Vec::new(), Vec::new());
        while let Some(data) = next(&mut watched).await {
            all.extend_from_slice(&data);
            sizes.push(data.len());
            assert_eq!(watched.size_hint().exact(), Some((bytes.len() - all.len()) as u64));
        }
        assert_eq!((sizes, Bytes::from(all)), (vec![PIECE, PIECE, 7], bytes));
    }

    /// What waits after an answer to this peer has begun, and whether the call was told who it is.
    async fn waits(kind: Kind, path: &str) -> bool {
        let peer = Peer {
            identity: Identity { install: Uuid::nil(), kind, id: Uuid::nil(), role: None },
            address: ([127, 0, 0, 1], 1).into(),
            certificate_ends: 0,
            certificate_serial: String::new(),
        };
        let arrears = Arrears::default();
        let mut service = Watching.layer(tower::service_fn(async |request: Request<()>| {
            assert!(request.extensions().get::<Peer>().is_some(), "nobody knows who calls");
            Ok::<_, Infallible>(Response::new(answer(&Bytes::from_static(b"answer"))))
        }));
        let mut request = Request::new(());
        *request.uri_mut() = path.parse().unwrap();
        request.extensions_mut().insert(Met { peer, arrears: arrears.clone() });
        let mut body = service.call(request).await.unwrap().into_body();
        let _piece = next(&mut body).await.unwrap();
        arrears.have_waited(Duration::ZERO)
    }

    /// Security case 98.
    #[tokio::test]
    async fn answers_are_watched_and_streams_and_a_controller_are_not() {
        assert!(waits(Kind::Operator, UNARY).await);
        assert!(waits(Kind::Agent, "/grpc.health.v1.Health/Check").await);
        assert!(!waits(Kind::Operator, STREAM).await);
        assert!(!waits(Kind::Controller, UNARY).await);
    }
}
