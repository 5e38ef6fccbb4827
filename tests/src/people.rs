//! People, and how they get in: accounts, certificates, cookies and tokens.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use arc_swap::ArcSwap;
use hms_proto::controller::v1::{
    LoginRequest, LoginResponse, enrollment_service_client::EnrollmentServiceClient,
};
use hms_proto::host::v1::{log_service_client::LogServiceClient, unit_service_client::UnitServiceClient};
use hms_proto::identity::{Credentials, Kind, Trust, client_config, pinned_client_config};
use hms_proto::names::Address;
use hms_proto::transport::endpoint;
use rcgen::{CertificateParams, KeyPair};
use reqwest::{Client, Method, RequestBuilder, StatusCode, header};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use serde_json::{Value, json};
use tonic::Status;
use tonic::transport::Channel;

use crate::world::{ADMIN, World};

/// Makes an account, as an administrator would on the controller's host.
pub async fn add_user(world: &World, name: &str, role: &str) -> Result<String> {
    let password = uuid::Uuid::new_v4().simple().to_string();
    let argv = ["runuser", "-u", "hms", "--", "hms-controller", "user", "add", name, "--role", role];
    world.controller_host().run_with(&argv, password.as_bytes()).await?;
    Ok(password)
}

/// A certificate with its key, and whom it trusts.
pub struct Party {
    /// The certificate with its key.
    pub credentials: Credentials,
    /// The issuers of the installation.
    pub trust: Trust,
}

impl Party {
    /// A channel to a controller or an agent.
    pub fn channel(&self, address: &str, kind: Kind) -> Result<Channel> {
        let config = client_config(&self.trust, &self.credentials, kind, None)?;
        let address = address.trim_start_matches("https://");
        Ok(endpoint(&Address::try_from(address)?, Arc::new(ArcSwap::from_pointee(config))))
    }

    /// Units, through a controller.
    pub fn units(&self, controller: &str) -> Result<UnitServiceClient<Channel>> {
        Ok(UnitServiceClient::new(self.channel(controller, Kind::Controller)?))
    }

    /// Logs, through a controller.
    pub fn logs(&self, controller: &str) -> Result<LogServiceClient<Channel>> {
        Ok(LogServiceClient::new(self.channel(controller, Kind::Controller)?))
    }
}

/// Logs in as a terminal does.
pub async fn log_in(world: &World, username: &str, password: &str) -> Result<Party> {
    let key = KeyPair::generate()?;
    let (answer, key) = (request_login(world, username, password, &key).await?, key.serialize_pem());
    let identity = Credentials::from_pem(&answer.certificate, &key)?;
    let bundle = answer.trust.context("no trust bundle")?;
    Ok(Party { trust: Trust::new(identity.identity.install, &bundle)?, credentials: identity })
}

/// Logs in as the first account.
pub async fn log_in_as_admin(world: &World) -> Result<Party> {
    log_in(world, ADMIN, world.password()).await
}

/// Asks for an operator certificate.
pub async fn request_login(
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
    let request =
        LoginRequest { username: username.into(), password: password.into(), csr, ..Default::default() };
    Ok(EnrollmentServiceClient::new(channel).login(request).await?.into_inner())
}

/// A channel to the port where certificates are had.
pub fn enrolment(world: &World) -> Result<Channel> {
    let root = CertificateDer::from_pem_slice(&std::fs::read(world.ca_file())?)?;
    let config = pinned_client_config(move |der| der == root.as_ref())?;
    let address = world.url().replace("https://", "");
    Ok(endpoint(&Address::try_from(address.as_str())?, Arc::new(ArcSwap::from_pointee(config))))
}

/// Logs in as a browser does; the client keeps the cookie.
pub async fn log_in_to_web(world: &World, client: &Client) -> Result<()> {
    log_in_to_web_as(world, client, ADMIN, world.password()).await
}

/// The same as somebody else.
pub async fn log_in_to_web_as(world: &World, client: &Client, name: &str, password: &str) -> Result<()> {
    let form = [("username", name), ("password", password), ("next", "")];
    let answer = client
        .post(format!("{}/login", world.url()))
        .header(header::ORIGIN, world.url())
        .form(&form)
        .send()
        .await?;
    ensure!(answer.url().path() == "/", "the login led to {} with {}", answer.url(), answer.status());
    Ok(())
}

/// Gets an access token.
pub async fn log_in_to_rest(world: &World, client: &Client) -> Result<Value> {
    log_in_to_rest_as(world, client, ADMIN, world.password()).await
}

/// The same as somebody else.
pub async fn log_in_to_rest_as(world: &World, client: &Client, name: &str, password: &str) -> Result<Value> {
    let body = json!({ "username": name, "password": password });
    let answer = client.post(format!("{}/api/auth/login", world.url())).json(&body).send().await?;
    ensure!(answer.status() == StatusCode::OK, "{}", answer.text().await?);
    Ok(answer.json().await?)
}

/// Somebody who is logged in to REST, and where HMS is for them.
pub struct Rest {
    /// What requests are sent with.
    pub client: Client,
    /// `https://HOST:PORT`.
    pub url: String,
    /// An access token.
    pub token: String,
}

impl Rest {
    /// Logs in as the first account.
    pub async fn log_in(world: &World) -> Result<Self> {
        let client = world.client()?;
        let tokens = log_in_to_rest(world, &client).await?;
        let token = tokens["access_token"].as_str().context("access_token")?.to_owned();
        Ok(Self { client, url: world.url(), token })
    }

    /// A request to a path, by them.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url)).bearer_auth(&self.token)
    }

    /// The body of an answer that must be good; null when there is none.
    pub async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value> {
        let request = self.request(method, path);
        let request = body.into_iter().fold(request, |request, body| request.json(&body));
        let answer = request.send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "{path}: {status} {text}");
        if text.is_empty() { Ok(Value::Null) } else { Ok(serde_json::from_str(&text)?) }
    }
}
