//! The gate: the one place where a call is authorised, audited, given a deadline and sent, whichever face made it.
//!
//! Every call is a gRPC request of the contract. It comes from the mTLS port, or from a web or REST handler through
//! [`Gate::units`] and its siblings, and goes to a service of the controller or, undecoded, to the agent of a host.

#[cfg(test)]
pub(crate) mod audit_tests;
mod local;

use std::time::{Duration, Instant};

use axum::{Router, body::Body};
use bytes::Bytes;
use futures_util::Stream;
use hms_proto::{
    HOST_KEY, Role,
    access::{self, Audience, Reach as Bound, Rule},
    fault::{Fault, FaultKind},
    names::HostName,
};
use http::{Extensions, HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, Limited, StreamBody};
use tonic::{Code, Status};
use tower::ServiceExt as _;
use uuid::Uuid;

use self::local::Authorised;
use crate::{
    audit::{self, Changed},
    auth::Caller,
    db::{self, audit::Intent},
    fleet::Change,
    forward,
    nginx::Changing,
    reach::Reach,
    state::Core,
};

/// How long an action may take before its outcome is called unknown.
const ACTION: Duration = Duration::from_secs(120);
/// How long a look may take to begin to answer.
const LOOK: Duration = Duration::from_secs(30);
/// How often the session is looked at while a stream is open.
const LOOK_AGAIN: Duration = Duration::from_secs(3);
/// Between two attempts to write an outcome.
const RECORD_AGAIN: Duration = Duration::from_secs(1);
/// The largest request that changes something; gRPC's own default.
const LARGEST: usize = 4 << 20;
/// Services of gRPC itself, open to every caller that was let in.
const OPEN: [&str; 2] = ["/grpc.health.v1.Health/", "/grpc.reflection.v1.ServerReflection/"];

/// Lets calls through, or not.
#[derive(Clone)]
pub(crate) struct Gate {
    core: std::sync::Arc<Core>,
    services: Router,
    /// For what changes something: [`ACTION`].
    patience: Duration,
}

/// One call that was found to be allowed.
#[derive(Clone)]
struct Call {
    caller: Caller,
    path: String,
    host: Option<HostName>,
}

impl Gate {
    /// A gate before the controller's own services.
    pub(crate) fn new(core: std::sync::Arc<Core>, services: Router) -> Self {
        Self { core, services, patience: ACTION }
    }

    /// Handles a call. Its caller is in the request's extensions; without one it is refused.
    pub(crate) async fn pass(self, request: Request<Body>) -> Response<Body> {
        let (call, rule) = match read(&request) {
            Ok(read) => read,
            Err(fault) => return refuse(fault),
        };
        let Some(rule) = rule else { return self.look(call, None, request).await };
        if let Some(fault) = refusal(rule, &request, &call.caller) {
            let params = described(rule, request.into_body()).await;
            return refuse(self.deny(call, fault, params).await);
        }
        if !rule.mutates {
            return self.look(call, Some(rule), request).await;
        }
        // Runs to its end even when the caller goes away: what has begun must get its outcome.
        let work = tokio::spawn(async move { self.perform(call, rule, request).await });
        work.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a call broke off");
            refuse(Fault::new(FaultKind::Internal, "the call broke off inside the controller"))
        })
    }

    /// Refuses, and leaves a record of it.
    async fn deny(&self, call: Call, fault: Fault, params: Option<serde_json::Value>) -> Fault {
        let call = Call { caller: call.caller.for_record(), ..call };
        if let Err(error) = db::audit::intent(&self.core.db, &self.intent(&call, params)).await {
            tracing::error!(%error, caller = %call.caller.name, method = %call.path, "refused a call, and cannot record it");
        } else {
            self.close(&call, Instant::now(), "denied", &fault.message, None).await;
        }
        fault
    }

    fn intent(&self, call: &Call, params: Option<serde_json::Value>) -> Intent {
        let params = params.unwrap_or_default();
        let named = || params.get("host").and_then(|host| host.as_str()).unwrap_or_default().to_owned();
        Intent {
            request_id: call.caller.request_id,
            actor: call.caller.name.clone(),
            user_id: Some(call.caller.id).filter(|id| !id.is_nil()),
            source: call.caller.source,
            address: call.caller.address,
            method: call.path.clone(),
            host: call.host.as_ref().map_or_else(named, ToString::to_string),
            target: audit::target(&params),
            params,
        }
    }

    /// Intent, act, outcome. Without a recorded intent nothing is done.
    async fn perform(self, call: Call, rule: &Rule, request: Request<Body>) -> Response<Body> {
        let begun = Instant::now();
        let (parts, body) = request.into_parts();
        let body = match whole(body).await {
            Ok(body) => body,
            Err(fault) => return refuse(fault),
        };
        let message = message_of(&body);
        let described = message.and_then(|message| Some((message, rule.describe_request(message)?)));
        let Some((message, params)) = described else { return refuse(not_a_message()) };
        if let Err(fault) = self.within_scope(&call, rule, &parts.extensions, message).await {
            return refuse(self.deny(call, fault, Some(params)).await);
        }
        let call = Call { caller: call.caller.for_record(), ..call };
        if let Err(fault) = audit::begin(&self.core.db, &self.intent(&call, Some(params))).await {
            return refuse(fault);
        }
        self.core.fleet.tell(Change::Activity);
        let configs = Changing::begin(&self.core, &call.path, call.host.as_ref()).await;
        let request = Request::from_parts(parts, Body::from(body.clone()));
        let answer = tokio::time::timeout(self.patience, self.dispatch(&call, request)).await;
        let answer =
            answer.unwrap_or_else(|_| Err(Fault::new(FaultKind::Unknown, "no answer came within 120 s")));
        let (response, fault, answer) = match answer {
            Ok(response) => finished(response).await,
            Err(fault) => (refuse(fault.clone()), Some(fault), Bytes::new()),
        };
        let (outcome, detail) = fault.as_ref().map_or(("ok", ""), |f| (f.row().outcome, f.message.as_str()));
        let on_host = || configs.as_ref()?.changed(message, message_of(&answer)?);
        let changed = response.extensions().get::<Changed>().cloned().or_else(on_host);
        self.close(&call, begun, outcome, detail, changed).await;
        if let Some(configs) = configs {
            configs.end(&call.caller, message, fault.as_ref()).await;
        }
        response
    }

    async fn close(
        &self,
        call: &Call,
        begun: Instant,
        outcome: &'static str,
        detail: &str,
        changed: Option<Changed>,
    ) {
        let took_ms = u32::try_from(begun.elapsed().as_millis()).unwrap_or(u32::MAX);
        tracing::info!(request_id = %call.caller.request_id, caller = %call.caller.name, source = call.caller.source.word(), method = %call.path,
            host = call.host.as_ref().map_or("", HostName::as_str), outcome, took_ms, "call");
        self.record(call.caller.request_id, outcome, detail.to_owned(), took_ms, changed).await;
        self.core.fleet.tell(Change::Activity);
    }

    /// Writes an outcome; later, when the database is away now. What is not written by the next start is closed as
    /// "unknown" then.
    async fn record(
        &self,
        id: Uuid,
        outcome: &'static str,
        detail: String,
        took_ms: u32,
        changed: Option<Changed>,
    ) {
        let db = self.core.db.clone();
        let write = move || {
            let (db, detail, changed) = (db.clone(), detail.clone(), changed.clone());
            async move { db::audit::outcome_with(&db, id, outcome, &detail, took_ms, changed.as_ref()).await }
        };
        let Err(error) = write().await else { return };
        tracing::error!(%error, request_id = %id, outcome, "cannot record an outcome, trying again");
        let core = self.core.clone();
        tokio::spawn(async move {
            while write().await.is_err() {
                tokio::time::sleep(RECORD_AGAIN).await;
            }
            core.fleet.tell(Change::Activity);
        });
    }

    /// Refuses what is beyond the scope of the caller.
    async fn within_scope(
        &self,
        call: &Call,
        rule: &Rule,
        extensions: &Extensions,
        message: &[u8],
    ) -> Result<(), Fault> {
        let bounded = rule.reach == Bound::Named && rule.audience == Audience::User;
        if !bounded || call.caller.scope.is_everything() || extensions.get::<Authorised>().is_some() {
            return Ok(());
        }
        let named = rule.named(message).ok_or_else(not_a_message)?;
        let reach = Reach { db: &self.core.db, fleet: &self.core.fleet, scope: &call.caller.scope };
        match &call.host {
            Some(host) => reach.host(host, &named).await,
            None => {
                reach.controller(&named).await?;
                reach.values(&call.path, message).await
            }
        }
    }

    /// The same for a look, whose request is read only where the caller has a part of the installation.
    async fn look_within_scope(
        &self,
        call: &Call,
        rule: Option<&Rule>,
        request: Request<Body>,
    ) -> Result<Request<Body>, Fault> {
        let Some(rule) = rule.filter(|_| !call.caller.scope.is_everything()) else { return Ok(request) };
        let (parts, body) = request.into_parts();
        let body = whole(body).await?;
        let message = message_of(&body).ok_or_else(not_a_message)?;
        if let Err(fault) = self.within_scope(call, rule, &parts.extensions, message).await {
            return Err(self.deny(call.clone(), fault, rule.describe_request(message)).await);
        }
        Ok(Request::from_parts(parts, Body::from(body)))
    }

    async fn look(self, call: Call, rule: Option<&Rule>, request: Request<Body>) -> Response<Body> {
        let request = match self.look_within_scope(&call, rule, request).await {
            Ok(request) => request,
            Err(fault) => return refuse(fault),
        };
        match tokio::time::timeout(LOOK, self.dispatch(&call, request)).await {
            // Services of gRPC itself have streams, too.
            Ok(Ok(response)) if rule.is_none_or(Rule::streams) => {
                response.map(|body| Body::new(StreamBody::new(self.while_logged_in(call.caller, body))))
            }
            Ok(Ok(response)) => response,
            Ok(Err(fault)) => refuse(fault),
            Err(_) => refuse(Fault::new(FaultKind::Unreachable, "no answer came within 30 s")),
        }
    }

    /// An open stream ends soon after its caller's session did.
    fn while_logged_in(
        self,
        caller: Caller,
        mut body: Body,
    ) -> impl Stream<Item = Result<Frame<Bytes>, axum::Error>> {
        async_stream::stream! {
            let mut look_again = tokio::time::interval(LOOK_AGAIN);
            look_again.reset();
            loop {
                tokio::select! {
                    frame = body.frame() => match frame {
                        Some(frame) => yield frame,
                        None => return,
                    },
                    // Without the database nobody can say whether it ended.
                    _ = look_again.tick() => if let Ok(false) = self.core.auth.holds(&caller).await {
                        yield Ok(Frame::trailers(ended_login()));
                        return;
                    },
                }
            }
        }
    }

    async fn dispatch(&self, call: &Call, mut request: Request<Body>) -> Result<Response<Body>, Fault> {
        let Some(host) = &call.host else {
            request.extensions_mut().insert(call.caller.clone());
            return Ok(self.services.clone().oneshot(request).await.unwrap_or_else(|never| match never {}));
        };
        let known = self.core.fleet.host(host.as_str());
        let host = known.ok_or_else(|| Fault::not_found("host", host.as_str()))?;
        forward::send(&host, &call.caller, request).await
    }
}

/// Why a caller may not make such a call, whatever it is about.
fn refusal(rule: &Rule, request: &Request<Body>, caller: &Caller) -> Option<Fault> {
    match () {
        () if !may(rule, request, caller.role) => Some(too_low(caller, rule)),
        () if rule.confirm && caller.confirmed.is_none() => Some(unconfirmed(caller)),
        () => None,
    }
}

fn may(rule: &Rule, request: &Request<Body>, role: Role) -> bool {
    match request.extensions().get::<Authorised>() {
        Some(Authorised) => rule.allows_controller(role),
        None => rule.allows(role),
    }
}

fn too_low(caller: &Caller, rule: &Rule) -> Fault {
    let (has, needed) = (access::role_word(caller.role), access::role_word(rule.role));
    Fault::new(FaultKind::Denied, format!("{} is {has}, and this needs {needed}", caller.name))
}

fn unconfirmed(caller: &Caller) -> Fault {
    match caller.session {
        Some(_) => Fault::new(FaultKind::ProofNeeded, "this needs a confirmation of who you are"),
        None => Fault::new(FaultKind::Denied, "this needs a person who confirms it, and a token is none"),
    }
}

fn not_a_message() -> Fault {
    Fault::invalid("the request is not a message of this method")
}

/// What a request asks for, and on whose behalf. No rule: a service of gRPC itself.
fn read(request: &Request<Body>) -> Result<(Call, Option<&'static Rule>), Fault> {
    let path = request.uri().path().to_owned();
    let caller = request.extensions().get::<Caller>().cloned();
    let caller = caller.ok_or_else(|| Fault::new(FaultKind::Unauthenticated, "nobody is logged in"))?;
    if OPEN.iter().any(|prefix| path.starts_with(prefix)) {
        return Ok((Call { caller, path, host: None }, None));
    }
    let rule = access::rule(&path).ok_or_else(|| Fault::not_found("method", &path))?;
    let host = host_of(request.headers(), &path)?;
    Ok((Call { caller, path, host }, Some(rule)))
}

/// The host that a call is meant for: exactly one for methods of a host, none for the controller's own.
fn host_of(headers: &HeaderMap, path: &str) -> Result<Option<HostName>, Fault> {
    if !path.starts_with("/hms.host.") {
        return Ok(None);
    }
    let mut named = headers.get_all(HOST_KEY).iter();
    let (Some(host), None) = (named.next(), named.next()) else {
        return Err(Fault::invalid("the call must name exactly one host (metadata `hms-host`)"));
    };
    let host = host.to_str().map_err(|_| Fault::invalid("the host's name is not ASCII"))?;
    Ok(Some(HostName::try_from(host)?))
}

/// A request's body, which is small.
async fn whole(body: Body) -> Result<Bytes, Fault> {
    let body = Limited::new(body, LARGEST).collect().await;
    Ok(body.map_err(|_| Fault::invalid("the request is larger than 4 MiB, or broke off"))?.to_bytes())
}

/// What a call asks for that is not let through, if that can be read.
async fn described(rule: &Rule, body: Body) -> Option<serde_json::Value> {
    let body = whole(body).await.ok()?;
    rule.describe_request(message_of(&body)?)
}

/// The one message of a unary request: five bytes of prefix, uncompressed (gRPC over HTTP/2, "Length-Prefixed-Message").
fn message_of(body: &Bytes) -> Option<&[u8]> {
    let (prefix, message) = body.split_at_checked(5)?;
    let length = u32::from_be_bytes(prefix[1..].try_into().ok()?);
    (prefix[0] == 0 && length as usize == message.len()).then_some(message)
}

/// Reads a unary response to its end, and gives it with its bytes: whether it is a fault stands in the trailers, or in the head when
/// there is no body.
async fn finished(response: Response<Body>) -> (Response<Body>, Option<Fault>, Bytes) {
    let (parts, body) = response.into_parts();
    let collected = match Limited::new(body, LARGEST).collect().await {
        Ok(collected) => collected,
        Err(error) => {
            let fault = Fault::new(FaultKind::Unknown, format!("the answer broke off: {error}"));
            return (refuse(fault.clone()), Some(fault), Bytes::new());
        }
    };
    let trailers = collected.trailers().cloned();
    let status = trailers
        .as_ref()
        .and_then(Status::from_header_map)
        .or_else(|| Status::from_header_map(&parts.headers));
    let fault = match status {
        Some(status) if status.code() == Code::Ok => None,
        Some(status) => Some(Fault::from_status(&status)),
        None => Some(Fault::new(FaultKind::Unknown, "the answer has no status")),
    };
    let bytes = collected.to_bytes();
    let data = http_body_util::Full::new(bytes.clone()).with_trailers(async move { trailers.map(Ok) });
    (Response::from_parts(parts, Body::new(data)), fault, bytes)
}

fn ended_login() -> HeaderMap {
    let mut trailers = HeaderMap::new();
    let fault = Fault::new(FaultKind::Unauthenticated, "your login has ended");
    let status = Status::from(fault.hint("Log in again; in a terminal with `hmsctl login`."));
    // Fails only for a message that is no header value, and this one is.
    status.add_header(&mut trailers).unwrap_or_else(|error| tracing::error!(%error, "cannot write a status"));
    trailers
}

fn refuse(fault: Fault) -> Response<Body> {
    Status::from(fault).into_http()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_to_a_host_names_exactly_one() {
        let headers = |names: &[&str]| {
            names
                .iter()
                .map(|n| (http::HeaderName::from_static(HOST_KEY), n.parse().unwrap()))
                .collect::<HeaderMap>()
        };
        let path = "/hms.host.v1.UnitService/List";
        assert_eq!(host_of(&headers(&["asterra"]), path).unwrap().unwrap().as_str(), "asterra");
        for bad in [&[][..], &["a", "b"], &["-x"], &["a/b"]] {
            assert!(host_of(&headers(bad), path).is_err(), "{bad:?}");
        }
        assert!(host_of(&headers(&["asterra"]), "/hms.controller.v1.AppService/List").unwrap().is_none());
    }

    #[test]
    fn a_unary_request_is_one_whole_message() {
        assert_eq!(message_of(&Bytes::from_static(b"\0\0\0\0\x02ab")), Some(&b"ab"[..]));
        for bad in
            [&b""[..], b"\0\0\0\0\x03ab", b"\x01\0\0\0\x02ab", b"\0\0\0\0\x02abc", b"\0\xff\xff\xff\xff"]
        {
            assert!(message_of(&Bytes::copy_from_slice(bad)).is_none(), "{bad:?}");
        }
    }
}
