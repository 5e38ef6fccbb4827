//! What the tests of the whole path share: raw calls, an agent's identity, waiting, counting.

use std::io::Write as _;

use anyhow::{Result, anyhow};
use hms_proto::fault::Fault;
use hms_proto::identity::{Credentials, Trust};
use hms_tests::people::Party;
use hms_tests::world::World;
use http_body_util::BodyExt as _;
use tonic::Status;
use tonic::transport::Channel;
use tower::{Service as _, ServiceExt as _};

/// The identity that the agent of a host has on its disk.
pub(crate) async fn agent(world: &World, host: &str) -> Result<Party> {
    let read =
        async |name: &str| world.host(host)?.read_file(format!("/var/lib/hms-agent/identity/{name}")).await;
    let credentials = Credentials::from_pem(&read("certificate.pem").await?, &read("key.pem").await?)?;
    let bundle = serde_json::from_str(&read("trust.json").await?)?;
    Ok(Party { trust: Trust::new(credentials.identity.install, &bundle)?, credentials })
}

/// Begins a call with an empty message.
pub(crate) async fn begin(
    channel: &Channel,
    path: &str,
    host: Option<&str>,
) -> Result<http::Response<tonic::body::Body>, Fault> {
    let mut request =
        http::Request::post(path).header("content-type", "application/grpc").header("te", "trailers");
    if let Some(host) = host {
        request = request.header(hms_proto::HOST_KEY, host);
    }
    let empty = http_body_util::Full::new(tonic::codegen::Bytes::from_static(&[0; 5]));
    let request = request.body(tonic::body::Body::new(empty.map_err(|never| match never {})));
    let request = request.map_err(|e| Fault::invalid(e.to_string()))?;
    let mut channel = channel.clone();
    let broken = |error: tonic::transport::Error| Fault::from_transport(&error);
    channel.ready().await.map_err(broken)?.call(request).await.map_err(broken)
}

/// Calls a method with an empty message, and says how it ended: `Ok` also when the message was refused as not valid,
/// because then the caller was let in.
pub(crate) async fn call(channel: &Channel, path: &str, host: Option<&str>) -> Result<(), Fault> {
    let response = begin(channel, path, host).await?;
    if let Some(status) = Status::from_header_map(response.headers()) {
        return ended(&status);
    }
    let mut body = response.into_body();
    // Whatever comes before a status, from a stream that never ends too, has let the caller in.
    match body
        .frame()
        .await
        .transpose()
        .map_err(|status| Fault::from_status(&status))?
        .map(http_body::Frame::into_trailers)
    {
        Some(Ok(trailers)) => Status::from_header_map(&trailers).map_or(Ok(()), |status| ended(&status)),
        Some(Err(_)) | None => Ok(()),
    }
}

fn ended(status: &Status) -> Result<(), Fault> {
    match status.code() {
        tonic::Code::Ok => Ok(()),
        _ => Err(Fault::from_status(status)),
    }
}

/// What systemd says of a unit.
pub(crate) async fn unit_property(world: &World, host: &str, unit: &str, property: &str) -> Result<String> {
    let output = world.host(host)?.run(&["systemctl", "show", unit, "--value", "-p", property]).await?;
    Ok(output.trim().to_owned())
}

/// Tries until it works; the last failure is the error when the time is over.
pub(crate) async fn eventually<T>(
    limit: std::time::Duration,
    mut attempt: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    let deadline = std::time::Instant::now() + limit;
    loop {
        match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) if std::time::Instant::now() > deadline => {
                return Err(error.context(anyhow!("not within {limit:?}")));
            }
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
        }
    }
}

/// What was tried, how often, how often it went wrong, and what else there is to say: a line in the file that `HMS_COUNTS` names, for `./dev bench security`.
pub(crate) fn tell(what: &str, tried: usize, bad: usize, note: &str) -> Result<()> {
    let Some(path) = std::env::var_os("HMS_COUNTS") else { return Ok(()) };
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path)?;
    Ok(writeln!(file, "{what}\t{tried}\t{bad}\t{note}")?)
}
