//! What answers in place of every service: on hosts over real TLS, and here. It keeps what it was asked for.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use arc_swap::ArcSwap;
use axum::extract::State as Shared;
use chrono::Utc;
use hms_proto::{
    REQUEST_ID_KEY,
    host::v1::{WatchUnitsResponse, watch_units_response::Event},
    identity::{Credentials, Kind, Trust, server_config},
    names::{Address, HostName},
    transport::{Limits, accept},
};
use http_body_util::Full;
use prost::Message as _;
use rcgen::{CertificateParams, KeyPair};
use tokio::net::TcpListener;
use tonic::transport::Server;

use super::*;

/// How a call that changes something is answered.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) enum How {
    #[default]
    Well,
    Badly,
    Never,
}

impl How {
    /// What the audit calls it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Well => "ok",
            Self::Badly => "failed",
            Self::Never => "unknown",
        }
    }
}

/// Answers, and the calls they were given to: the path, and the id of the request.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    pub(super) how: Mutex<How>,
    seen: Mutex<Vec<(String, String)>>,
}

impl Answers {
    pub(super) fn seen(&self) -> Vec<(String, String)> {
        self.seen.lock().unwrap().clone()
    }

    pub(super) fn has_seen(&self, request_id: Uuid) -> bool {
        self.seen.lock().unwrap().iter().any(|(_, id)| *id == request_id.to_string())
    }

    /// Notes a call that changes something, unless the controller makes it for itself.
    pub(super) fn note(&self, request: &Request<Body>) -> bool {
        let path = request.uri().path();
        let told = request.headers().get(REQUEST_ID_KEY).and_then(|id| id.to_str().ok()).map(str::to_owned);
        let here = request.extensions().get::<Caller>().map(|caller| caller.request_id.to_string());
        let id = here.or(told).unwrap_or_default();
        let counts = access::rule(path).is_some_and(|rule| rule.mutates) && id != "fleet";
        if counts {
            self.seen.lock().unwrap().push((path.to_owned(), id));
        }
        counts
    }
}

/// A service that answers every method.
pub(crate) fn services(answers: &Arc<Answers>) -> Router {
    Router::new().fallback(answer).with_state(answers.clone())
}

async fn answer(Shared(answers): Shared<Arc<Answers>>, request: Request<Body>) -> Response<Body> {
    let path = request.uri().path();
    let how = if answers.note(&request) { *answers.how.lock().unwrap() } else { How::Well };
    match how {
        How::Well if path.ends_with("UnitService/Watch") => {
            let synced = WatchUnitsResponse { event: Some(Event::Synced(true)) };
            lasting(Some(framed(&synced.encode_to_vec())))
        }
        How::Well if access::rule(path).is_some_and(Rule::streams) => lasting(None),
        How::Well => {
            let trailers = async { Some(Ok(HeaderMap::from_iter([ok()]))) };
            response(Body::new(Full::new(framed(&[])).with_trailers(trailers)))
        }
        How::Badly => refuse(Fault::new(FaultKind::Failed, "it went wrong")),
        How::Never => std::future::pending().await,
    }
}

fn ok() -> (http::HeaderName, http::HeaderValue) {
    (http::HeaderName::from_static("grpc-status"), http::HeaderValue::from_static("0"))
}

fn response(body: Body) -> Response<Body> {
    Response::builder().header("content-type", "application/grpc").body(body).unwrap()
}

/// A stream that does not end.
fn lasting(first: Option<Bytes>) -> Response<Body> {
    response(Body::new(StreamBody::new(async_stream::stream! {
        if let Some(first) = first {
            yield Ok::<_, Infallible>(Frame::data(first));
        }
        std::future::pending::<()>().await;
    })))
}

/// A message as gRPC frames it.
pub(super) fn framed(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0][..], &length, message].concat().into()
}

/// A host that joined, whose agent is this.
pub(super) async fn host(core: &Core, name: &str, answers: &Arc<Answers>) -> anyhow::Result<HostName> {
    let (listener, address) = place().await?;
    let name = HostName::try_from(name)?;
    let host = db::hosts::add(&core.db, &name, &address).await?;
    agent(core, &host, listener, answers).await?;
    Ok(name)
}

/// Where an agent is to be.
pub(crate) async fn place() -> anyhow::Result<(TcpListener, Address)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = Address::try_from(listener.local_addr()?.to_string().as_str())?;
    Ok((listener, address))
}

/// The agent of a host joins, and answers there.
pub(crate) async fn agent(
    core: &Core,
    host: &db::hosts::Host,
    listener: TcpListener,
    answers: &Arc<Answers>,
) -> anyhow::Result<()> {
    let key = KeyPair::generate()?;
    let csr = CertificateParams::default().serialize_request(&key)?.pem()?;
    let issued = core.pki.issue_agent(&csr, host.id, Utc::now())?;
    db::hosts::joined(&core.db, host.id, &issued.serial, issued.expires).await?;
    let trust = Trust::new(core.pki.install(), &core.pki.bundle())?;
    let own = Credentials::from_pem(&issued.certificate, &key.serialize_pem())?;
    let tls = Arc::new(ArcSwap::from_pointee(server_config(&trust, &own, &[Kind::Controller])?));
    let connections = accept(listener, tls, Limits::default());
    let server = Server::builder().add_routes(services(answers).into());
    tokio::spawn(server.serve_with_incoming(connections));
    Ok(())
}
