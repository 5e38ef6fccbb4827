//! Sends a call on to a host's agent: the bytes go through as they are, only the metadata that says who asks is ours.

use axum::body::Body;
use hms_proto::{
    ACTOR_KEY, HOST_KEY, REQUEST_ID_KEY, ROLE_KEY,
    access::role_word,
    fault::{Fault, FaultKind},
};
use http::{HeaderValue, Request, Response};
use tower::{Service as _, ServiceExt as _};

use crate::{
    auth::Caller,
    fleet::{Host, LinkState},
};

/// Sends the request, and gives the head of the response as soon as it is there.
pub(crate) async fn send(
    host: &Host,
    caller: &Caller,
    request: Request<Body>,
) -> Result<Response<Body>, Fault> {
    fail_fast(host)?;
    let (mut parts, body) = request.into_parts();
    // What a caller says about itself is worth nothing; what follows is what the controller knows.
    for key in [HOST_KEY, ACTOR_KEY, ROLE_KEY, REQUEST_ID_KEY] {
        parts.headers.remove(key);
    }
    let mut put = |key, value: &str| {
        let value = HeaderValue::from_str(value).expect("names, roles and ids are ASCII");
        parts.headers.insert(key, value);
    };
    put(ACTOR_KEY, &caller.name);
    put(ROLE_KEY, role_word(caller.role));
    put(REQUEST_ID_KEY, &caller.request_id.to_string());
    parts.extensions.clear();
    let request = Request::from_parts(parts, tonic::body::Body::new(body));
    let mut channel = host.channel.clone();
    let broken = |error: tonic::transport::Error| Fault::from_transport(&error);
    let response = channel.ready().await.map_err(broken)?.call(request).await.map_err(broken)?;
    Ok(response.map(Body::new))
}

/// A host that is known to be away is not waited for; its link is told to look again at once.
fn fail_fast(host: &Host) -> Result<(), Fault> {
    let name = &host.row.name;
    match host.look(|p| p.link.clone()) {
        LinkState::Connected | LinkState::Connecting => Ok(()),
        LinkState::Pending => {
            Err(Fault::new(FaultKind::Unreachable, format!("the agent of {name} has not joined yet")).hint(
                format!("Run `hms-agent join` on {name} with the token from `hmsctl host token {name}`."),
            ))
        }
        LinkState::Unreachable(reason) => {
            host.retry_now();
            Err(Fault::new(FaultKind::Unreachable, format!("{name} cannot be reached: {reason}")).hint(
                format!("Check that {name} is up and hms-agent runs on it. Apps on it may well be running."),
            ))
        }
    }
}
