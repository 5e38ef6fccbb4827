//! Who may do what, decided before a call reaches any service. It reads the same table as the controller, and believes
//! nobody but the peer's certificate.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use hms_proto::{
    ACTOR_KEY, REQUEST_ID_KEY, ROLE_KEY, Role,
    access::{self, Audience, Rule, role_from_word, role_word},
    fault::{Fault, FaultKind},
    identity::{Identity, Kind},
    names::UserName,
    transport::Peer,
};
use http::{HeaderMap, Request, Response};
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt as _, Full, Limited};
use tokio_util::sync::CancellationToken;
use tonic::{Status, body::Body};
use tower::{Layer, Service};
use uuid::Uuid;

use crate::{audit::Spool, join::unix_now, revoked::Revoked};

/// Requests that change something are small; anything larger is not one. All but this:
const MUTATION_MAX: usize = 64 * 1024;
const INSTALL: &str = "/hms.host.v1.ScriptService/Install";
/// All scripts with their manifests. The server takes messages of 4 MiB at most.
const INSTALL_MAX: usize = 4 * 1024 * 1024;
/// A specification with files of its own, and all secrets of an app.
const START_APP: &str = "/hms.host.v1.AppService/Start";
const START_APP_MAX: usize = 4 * 1024 * 1024;
/// The longest list.
const REVOKE: &str = "/hms.host.v1.RevocationService/Put";
const REVOKE_MAX: usize = 1024 * 1024;
/// And those that bring configuration files.
const FILES_MAX: usize = crate::server::MESSAGE_MAX;
const WITH_FILES: &str = "/hms.host.v1.NginxService/Apply";

/// On whose behalf a call is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    /// User name, as the controller says; or the identity of an operator who called directly.
    pub(crate) actor: String,
    /// What they may do.
    pub(crate) role: Role,
    /// Ties together what is said about this call.
    pub(crate) request_id: String,
    /// Whether the call came without the controller in between.
    pub(crate) direct: bool,
}

/// The layer in front of all services.
#[derive(Debug, Clone)]
pub(crate) struct AccessLayer {
    spool: Arc<Spool>,
    revoked: Arc<Revoked>,
    shutdown: CancellationToken,
}

impl AccessLayer {
    /// Direct changes are written to `spool`; streams end when their caller is `revoked`, or `shutdown` is cancelled.
    pub(crate) fn new(spool: Arc<Spool>, revoked: Arc<Revoked>, shutdown: CancellationToken) -> Self {
        Self { spool, revoked, shutdown }
    }
}

impl<S> Layer<S> for AccessLayer {
    type Service = Access<S>;

    fn layer(&self, inner: S) -> Access<S> {
        Access { layer: self.clone(), inner }
    }
}

/// A service behind the layer.
#[derive(Debug, Clone)]
pub(crate) struct Access<S> {
    layer: AccessLayer,
    inner: S,
}

impl<S> Service<Request<Body>> for Access<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // The clone takes the place of the one that was polled ready.
        let clone = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, clone);
        Box::pin(self.layer.clone().handle(inner, request))
    }
}

impl AccessLayer {
    async fn handle<S>(self, inner: S, mut request: Request<Body>) -> Result<Response<Body>, Infallible>
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Send + 'static,
        S::Future: Send,
    {
        let began = Instant::now();
        let path = request.uri().path().to_owned();
        let peer = request.extensions().get::<Peer>().cloned();
        let known = peer.as_ref().map_or(Ok(()), |peer| self.revoked.check(peer));
        let decided = known.and_then(|()| decide(&path, peer.as_ref(), request.headers(), unix_now()));
        let (caller, rule, peer) = match (decided, peer) {
            (Ok((caller, rule)), Some(peer)) => (caller, rule, peer),
            (Err(fault), peer) => {
                let told = peer.as_ref().map(|p| format!("{} at {}", p.identity, p.address));
                tracing::warn!(path, peer = told, reason = fault.message, "refused a call");
                if let Some(peer) = peer {
                    self.refused(&peer, request, &fault).await;
                }
                return Ok(Status::from(fault).into_http());
            }
            (Ok(_), None) => return Ok(Status::from(nobody()).into_http()),
        };
        request.extensions_mut().insert(caller.clone());
        let mutates = rule.is_some_and(|r| r.mutates);
        let response = match rule {
            Some(rule) if mutates => self.change(inner, request, rule, &caller, &peer).await,
            _ => call(inner, request).await,
        };
        log(&caller, &path, &response, began);
        // Services of gRPC itself have streams, too.
        let streams = rule.is_none_or(Rule::streams);
        Ok(if streams { self.bound(response, &peer) } else { response })
    }

    /// Leaves a record of what a person may not do here; what comes by way of the controller is in its own audit.
    async fn refused(&self, peer: &Peer, request: Request<Body>, fault: &Fault) {
        let path = request.uri().path().to_owned();
        let rule = access::rule(&path).filter(|_| path.starts_with("/hms.host."));
        let caller = caller_of(&peer.identity, request.headers()).ok().filter(|caller| caller.direct);
        let (Some(rule), Some(caller)) = (rule, caller) else { return };
        let body = Limited::new(request.into_body(), MUTATION_MAX).collect().await;
        let told = body.ok().and_then(|body| describe(rule, &body.to_bytes())).unwrap_or_default();
        self.spool.refused(&caller, peer.address, (&path, told), fault).await;
    }

    /// Runs a change to its end, even when the caller goes away. Made directly, it is in the spool before it begins.
    async fn change<S>(
        &self,
        inner: S,
        request: Request<Body>,
        rule: &'static Rule,
        caller: &Caller,
        peer: &Peer,
    ) -> Response<Body>
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Send + 'static,
        S::Future: Send,
    {
        let path = request.uri().path().to_owned();
        let (head, body) = request.into_parts();
        let body = match Limited::new(body, most_bytes(&path)).collect().await {
            Ok(body) => body.to_bytes(),
            Err(_) => return Status::from(Fault::invalid("the request is too large")).into_http(),
        };
        let mut record = None;
        if caller.direct {
            let told = describe(rule, &body).unwrap_or_default();
            match self.spool.intent(caller, peer.address, &path, told).await {
                Ok(intent) => record = Some(intent),
                Err(fault) => return Status::from(fault).into_http(),
            }
        }
        let request = Request::from_parts(head, Body::new(Full::new(body)));
        let spool = self.spool.clone();
        let work = tokio::spawn(async move {
            let response = call(inner, request).await;
            if let Some(intent) = record {
                let fault = fault_of(&response);
                spool.outcome(intent, fault.as_ref()).await;
            }
            response
        });
        work.await
            .unwrap_or_else(|_| Status::from(crate::internal("the call failed inside the agent")).into_http())
    }

    /// A stream ends with its caller's certificate, when that is revoked, and when the agent stops.
    fn bound(&self, response: Response<Body>, peer: &Peer) -> Response<Body> {
        let left = u64::try_from(peer.certificate_ends - unix_now()).unwrap_or(0);
        let (shutdown, gone) = (self.shutdown.clone(), self.revoked.gone(peer));
        let end = async move {
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(left)) => expired(),
                fault = gone => fault,
                () = shutdown.cancelled_owned() => Fault::new(FaultKind::Unreachable, "the agent is stopping"),
            }
        };
        response.map(|inner| Body::new(Bounded { inner, end: Some(Box::pin(end)) }))
    }
}

/// What a request asks for. Five bytes of gRPC framing come before the message.
fn describe(rule: &Rule, body: &[u8]) -> Option<serde_json::Value> {
    rule.describe_request(body.get(5..)?)
}

fn most_bytes(path: &str) -> usize {
    match path {
        INSTALL => INSTALL_MAX,
        START_APP => START_APP_MAX,
        REVOKE => REVOKE_MAX,
        WITH_FILES => FILES_MAX,
        _ => MUTATION_MAX,
    }
}

async fn call<S>(mut inner: S, request: Request<Body>) -> Response<Body>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    match inner.call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

fn fault_of(response: &Response<Body>) -> Option<Fault> {
    // tonic answers an error with its headers; only a success has its status in the trailers.
    Status::from_header_map(response.headers())
        .filter(|s| s.code() != tonic::Code::Ok)
        .map(|s| Fault::from_status(&s))
}

fn log(caller: &Caller, path: &str, response: &Response<Body>, began: Instant) {
    let Caller { actor, role, request_id, direct } = caller;
    let (role, took_ms) = (role_word(*role), began.elapsed().as_millis());
    match fault_of(response) {
        None => tracing::info!(request_id, actor, role, direct, path, took_ms, "call"),
        Some(fault) => {
            tracing::info!(
                request_id,
                actor,
                role,
                direct,
                path,
                took_ms,
                fault = fault.message,
                "call failed"
            );
        }
    }
}

fn nobody() -> Fault {
    Fault::new(FaultKind::Unauthenticated, "the caller has no certificate")
}

fn expired() -> Fault {
    Fault::new(FaultKind::Unauthenticated, "the caller's certificate has ended")
        .hint("Connect again with a new certificate; `hmsctl login` gets one for a person.")
}

fn denied(why: impl Into<String>) -> Fault {
    Fault::new(FaultKind::Denied, why)
}

/// Who calls, and whether they may. `None` for the rule: health and reflection, which every viewer may use.
fn decide(
    path: &str,
    peer: Option<&Peer>,
    headers: &HeaderMap,
    now: i64,
) -> Result<(Caller, Option<&'static Rule>), Fault> {
    let peer = peer.ok_or_else(nobody)?;
    if peer.certificate_ends <= now {
        return Err(expired());
    }
    let caller = caller_of(&peer.identity, headers)?;
    if is_builtin(path) {
        return Ok((caller, None));
    }
    let rule = access::rule(path).filter(|_| path.starts_with("/hms.host."));
    let rule =
        rule.ok_or_else(|| Fault::not_found("method", path).hint("The agent may be older than you."))?;
    let may = match peer.identity.kind {
        Kind::Controller => rule.allows_controller(caller.role),
        _ => rule.allows(caller.role),
    };
    if !may && rule.audience != Audience::User && !matches!(peer.identity.kind, Kind::Controller) {
        return Err(denied("this method is not for users"));
    }
    if !may {
        let (needs, has) = (role_word(rule.role), role_word(caller.role));
        return Err(denied(format!("this needs the role {needs}; {} is {has}", caller.actor)));
    }
    Ok((caller, Some(rule)))
}

fn is_builtin(path: &str) -> bool {
    path.starts_with("/grpc.health.v1.Health/") || path.starts_with("/grpc.reflection.v1.ServerReflection/")
}

fn caller_of(identity: &Identity, headers: &HeaderMap) -> Result<Caller, Fault> {
    let own_id = || Uuid::now_v7().to_string();
    match identity.kind {
        Kind::Agent => Err(denied("an agent has no business here")),
        // What an operator says of itself in metadata is not even looked at.
        Kind::Operator => Ok(Caller {
            actor: identity.to_string(),
            role: identity.role.filter(|r| *r != Role::Unspecified).ok_or_else(nobody)?,
            request_id: own_id(),
            direct: true,
        }),
        Kind::Controller => {
            let role = single(headers, ROLE_KEY)?.and_then(role_from_word);
            let role = role.ok_or_else(|| denied(format!("the controller sent no valid {ROLE_KEY}")))?;
            let actor = match single(headers, ACTOR_KEY)? {
                Some(name) => UserName::try_from(name).map_err(|e| denied(e.to_string()))?.to_string(),
                None => "controller".to_owned(),
            };
            let request_id = single(headers, REQUEST_ID_KEY)?.filter(|id| is_request_id(id));
            Ok(Caller {
                actor,
                role,
                request_id: request_id.map_or_else(own_id, str::to_owned),
                direct: false,
            })
        }
    }
}

/// A header that is there at most once: of two, an attacker picks the one that counts.
fn single<'a>(headers: &'a HeaderMap, key: &str) -> Result<Option<&'a str>, Fault> {
    let mut values = headers.get_all(key).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| denied(format!("{key} is not text"))),
        (Some(_), Some(_)) => Err(denied(format!("{key} was sent more than once"))),
    }
}

fn is_request_id(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
}

type End = Pin<Box<dyn Future<Output = Fault> + Send>>;

/// A body that is cut off, with a status that says why, when `end` resolves.
struct Bounded {
    inner: Body,
    end: Option<End>,
}

impl http_body::Body for Bounded {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Some(end) = self.end.as_mut() else { return Poll::Ready(None) };
        if let Poll::Ready(fault) = end.as_mut().poll(cx) {
            self.end = None;
            self.inner = Body::empty();
            let mut trailers = HeaderMap::new();
            Status::from(fault).add_header(&mut trailers)?;
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
#[path = "access_tests.rs"]
mod tests;
