//! People, certificates and raw calls for the tests of the whole path.

use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};
use arc_swap::ArcSwap;
use hms_proto::controller::v1::{
    LoginRequest, LoginResponse, enrollment_service_client::EnrollmentServiceClient,
};
use hms_proto::fault::Fault;
use hms_proto::identity::{Credentials, Kind, Trust, client_config, pinned_client_config};
use hms_proto::names::Address;
use hms_proto::transport::endpoint;
use hms_tests::world::World;
use http_body_util::BodyExt as _;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use tonic::Status;
use tonic::transport::Channel;
use tower::{Service as _, ServiceExt as _};

/// Makes an account, as an administrator would on the controller's host.
pub(crate) async fn add_user(world: &World, name: &str, role: &str) -> Result<String> {
    let password = uuid::Uuid::new_v4().simple().to_string();
    let argv = ["runuser", "-u", "hms", "--", "hms-controller", "user", "add", name, "--role", role];
    world.controller_host().run_with(&argv, password.as_bytes()).await?;
    Ok(password)
}

/// A certificate with its key, and whom it trusts.
pub(crate) struct Party {
    pub(crate) credentials: Credentials,
    pub(crate) trust: Trust,
}

impl Party {
    /// A channel to a controller or an agent.
    pub(crate) fn channel(&self, address: &str, kind: Kind) -> Result<Channel> {
        let config = client_config(&self.trust, &self.credentials, kind, None)?;
        Ok(endpoint(&Address::try_from(address)?, Arc::new(ArcSwap::from_pointee(config))))
    }
}

/// Logs in as a terminal does.
pub(crate) async fn log_in(world: &World, username: &str, password: &str) -> Result<Party> {
    let key = KeyPair::generate()?;
    let (answer, key) = (request_login(world, username, password, &key).await?, key.serialize_pem());
    let identity = Credentials::from_pem(&answer.certificate, &key)?;
    let bundle = answer.trust.context("no trust bundle")?;
    Ok(Party { trust: Trust::new(identity.identity.install, &bundle)?, credentials: identity })
}

/// Asks for an operator certificate.
pub(crate) async fn request_login(
    world: &World,
    username: &str,
    password: &str,
    key: &KeyPair,
) -> Result<LoginResponse, Status> {
    let internal = |error: anyhow::Error| Status::internal(format!("{error:#}"));
    let csr = CertificateParams::default()
        .serialize_request(key)
        .and_then(|csr| csr.pem())
        .map_err(|e| internal(e.into()))?;
    let channel = enrolment(world).map_err(internal)?;
    let request = LoginRequest { username: username.into(), password: password.into(), csr };
    Ok(EnrollmentServiceClient::new(channel).login(request).await?.into_inner())
}

/// A channel to the port where certificates are had.
pub(crate) fn enrolment(world: &World) -> Result<Channel> {
    let root = CertificateDer::from_pem_slice(&std::fs::read(world.ca_file())?)?;
    let config = pinned_client_config(move |der| der == root.as_ref())?;
    let address = world.url().replace("https://", "");
    Ok(endpoint(&Address::try_from(address.as_str())?, Arc::new(ArcSwap::from_pointee(config))))
}

/// The identity that the agent of a host has on its disk.
pub(crate) async fn agent(world: &World, host: &str) -> Result<Party> {
    let read =
        async |name: &str| world.host(host)?.read_file(format!("/var/lib/hms-agent/identity/{name}")).await;
    let credentials = Credentials::from_pem(&read("certificate.pem").await?, &read("key.pem").await?)?;
    let bundle = serde_json::from_str(&read("trust.json").await?)?;
    Ok(Party { trust: Trust::new(credentials.identity.install, &bundle)?, credentials })
}

/// Calls a method with an empty message, and says how it ended: `Ok` also when the message was refused as not valid,
/// because then the caller was let in.
pub(crate) async fn call(channel: &Channel, path: &str, host: Option<&str>) -> Result<(), Fault> {
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
    let response = channel.ready().await.map_err(broken)?.call(request).await.map_err(broken)?;
    if let Some(status) = Status::from_header_map(response.headers()) {
        return ended(&status);
    }
    let mut body = response.into_body();
    // Streams that never end have let the caller in as soon as something came.
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|status| Fault::from_status(&status))?;
        match frame.into_trailers() {
            Ok(trailers) => {
                return Status::from_header_map(&trailers).map_or(Ok(()), |status| ended(&status));
            }
            Err(_data) => return Ok(()),
        }
    }
    Ok(())
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
