//! The certificate authority of the installation, and the controller's own certificates.

mod csr;
mod issuers;
mod leaf;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use arc_swap::ArcSwap;
use chrono::{DateTime, TimeDelta, Utc};
use hms_proto::{
    Role,
    controller::v1::TrustBundle,
    fault::{Fault, FaultKind},
    identity::{Credentials, Identity, Kind, Trust, client_config, server_config},
    transport::ClientTls,
};
use rustls::{ClientConfig, ServerConfig, pki_types::PrivateKeyDer};
use sha2::{Digest as _, Sha256};
use sqlx::PgPool;
use uuid::Uuid;

pub(crate) use csr::CsrError;
pub(crate) use leaf::Issued;
use leaf::Purpose;

use crate::{db, seal::Sealer};

/// Of certificates of agents and of the controller. They are replaced at half of it.
const PARTY_LIFE: TimeDelta = TimeDelta::hours(24);
/// Of certificates for terminals, at most: a login lasts no longer.
const OPERATOR_LIFE: TimeDelta = TimeDelta::hours(12);
/// Of the web server's certificate. Longer, because a person may have told a browser to accept this very one.
const WEB_LIFE: TimeDelta = TimeDelta::days(90);

/// Why the authority cannot work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PkiError {
    #[error(transparent)]
    Database(#[from] db::Error),
    #[error(transparent)]
    Seal(#[from] crate::seal::SealError),
    #[error("a certificate cannot be made or read")]
    Certificate(#[from] rcgen::Error),
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
    #[error("`{0}` is neither a DNS name nor an IP address")]
    Name(String),
    #[error("the database has no {0} of the certificate authority")]
    Missing(&'static str),
    #[error(transparent)]
    Csr(#[from] CsrError),
}

impl From<PkiError> for Fault {
    fn from(error: PkiError) -> Self {
        match error {
            PkiError::Database(error) => error.into(),
            PkiError::Csr(error) => error.into(),
            error => {
                tracing::error!(error = &error as &dyn std::error::Error, "the certificate authority failed");
                Self::new(FaultKind::Internal, "something went wrong inside HMS")
            }
        }
    }
}

/// Signs certificates, and holds the controller's own.
pub(crate) struct Authority {
    install: Uuid,
    /// Of this process: another controller, or the next one here, is another party.
    controller: Uuid,
    issuers: issuers::Issuers,
    bundle: TrustBundle,
    trust: Trust,
    sealer: Arc<Sealer>,
    names: Vec<String>,
    own: ArcSwap<Own>,
    server: Arc<ArcSwap<ServerConfig>>,
    clients: Mutex<Vec<(Identity, Weak<ArcSwap<ClientConfig>>)>>,
}

/// The controller's own certificates.
struct Own {
    party: Credentials,
    party_begun: DateTime<Utc>,
    web: Arc<ServerConfig>,
    web_begun: DateTime<Utc>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("install", &self.install).finish_non_exhaustive()
    }
}

impl Authority {
    /// Reads the authority from the database, or makes it at the first start. `names` are those under which people
    /// and agents reach the web port.
    pub(crate) async fn open(pool: &PgPool, sealer: Arc<Sealer>, names: &[String]) -> Result<Self, PkiError> {
        let now = Utc::now();
        let install = db::config::get(pool).await?.install_id;
        let issuers = issuers::open(pool, &sealer, now).await?;
        let bundle = TrustBundle {
            root: issuers.root.clone(),
            agent_issuer: issuers.agent.certificate.clone(),
            controller_issuer: issuers.controller.certificate.clone(),
            operator_issuer: issuers.operator.certificate.clone(),
        };
        let trust = Trust::new(install, &bundle)?;
        let names = web_names(names)?;
        let controller = Uuid::new_v4();
        let identity = Identity { install, kind: Kind::Controller, id: controller, role: None };
        let party = party(&issuers, &identity, now)?;
        let server = Arc::new(ArcSwap::from_pointee(grpc_config(&trust, &party)?));
        let web = web_config(&issuers, &names, now)?;
        let own = ArcSwap::from_pointee(Own { party, party_begun: now, web, web_begun: now });
        Ok(Self {
            install,
            controller,
            issuers,
            bundle,
            trust,
            sealer,
            names,
            own,
            server,
            clients: Mutex::default(),
        })
    }

    /// The installation.
    pub(crate) fn install(&self) -> Uuid {
        self.install
    }

    /// What seals secrets.
    pub(crate) fn sealer(&self) -> &Arc<Sealer> {
        &self.sealer
    }

    /// The public part.
    pub(crate) fn bundle(&self) -> TrustBundle {
        self.bundle.clone()
    }

    /// SHA-256 of the root, which tokens and people pin.
    pub(crate) fn root_hash(&self) -> [u8; 32] {
        Sha256::digest(&self.issuers.root_der).into()
    }

    /// A certificate for the agent of a host.
    pub(crate) fn issue_agent(&self, csr: &str, host: Uuid, now: DateTime<Utc>) -> Result<Issued, PkiError> {
        let key = csr::public_key(csr)?;
        let whom = Identity { install: self.install, kind: Kind::Agent, id: host, role: None };
        let purpose = Purpose::Party(whom.to_string());
        Ok(leaf::issue(&purpose, &key, &self.issuers.agent.issuer, now, now + PARTY_LIFE)?)
    }

    /// A certificate for a person's terminal.
    pub(crate) fn issue_operator(
        &self,
        csr: &str,
        user: Uuid,
        role: Role,
        now: DateTime<Utc>,
    ) -> Result<Issued, PkiError> {
        let key = csr::public_key(csr)?;
        let whom = Identity { install: self.install, kind: Kind::Operator, id: user, role: Some(role) };
        let purpose = Purpose::Caller(whom.to_string());
        Ok(leaf::issue(&purpose, &key, &self.issuers.operator.issuer, now, now + OPERATOR_LIFE)?)
    }

    /// TLS of the mTLS port: for terminals, and for agents that renew. Follows renewals.
    pub(crate) fn grpc_server(&self) -> Result<Arc<ArcSwap<ServerConfig>>, PkiError> {
        Ok(self.server.clone())
    }

    /// TLS of the web port, with the certificate that holds now.
    pub(crate) fn web_server(&self) -> Result<Arc<ServerConfig>, PkiError> {
        Ok(self.own.load().web.clone())
    }

    /// TLS towards one agent. Follows renewals.
    pub(crate) fn agent_client(&self, whom: Identity) -> Result<ClientTls, PkiError> {
        let config = client_config(&self.trust, &self.own.load().party, Kind::Agent, Some(whom.clone()))?;
        let tls = Arc::new(ArcSwap::from_pointee(config));
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.retain(|(_, client)| client.strong_count() > 0);
        clients.push((whom, Arc::downgrade(&tls)));
        Ok(tls)
    }

    /// How long until the controller's own certificates are to be replaced.
    pub(crate) fn renew_in(&self) -> Duration {
        let due = self.own.load().party_begun + PARTY_LIFE / 2;
        (due - Utc::now()).to_std().unwrap_or_default()
    }

    /// Replaces the controller's own certificates. Connections that are made from now on use the new ones.
    pub(crate) fn renew(&self) -> Result<(), PkiError> {
        self.renew_at(Utc::now())
    }

    fn renew_at(&self, now: DateTime<Utc>) -> Result<(), PkiError> {
        let old = self.own.load();
        let identity =
            Identity { install: self.install, kind: Kind::Controller, id: self.controller, role: None };
        let party = party(&self.issuers, &identity, now)?;
        let (web, web_begun) = match now - old.web_begun > WEB_LIFE / 2 {
            true => (web_config(&self.issuers, &self.names, now)?, now),
            false => (old.web.clone(), old.web_begun),
        };
        let server = Arc::new(grpc_config(&self.trust, &party)?);
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.retain(|(_, client)| client.strong_count() > 0);
        let mut configs = Vec::new();
        for (whom, client) in clients.iter() {
            configs.push((
                client.upgrade(),
                client_config(&self.trust, &party, Kind::Agent, Some(whom.clone()))?,
            ));
        }
        // Nothing can fail from here on: all change, or none did.
        self.server.store(server);
        for (client, config) in configs {
            if let Some(client) = client {
                client.store(Arc::new(config));
            }
        }
        self.own.store(Arc::new(Own { party, party_begun: now, web, web_begun }));
        Ok(())
    }
}

fn party(
    issuers: &issuers::Issuers,
    identity: &Identity,
    now: DateTime<Utc>,
) -> Result<Credentials, PkiError> {
    let key = leaf::new_key()?;
    let purpose = Purpose::Party(identity.to_string());
    let issued = leaf::issue(&purpose, &key, &issuers.controller.issuer, now, now + PARTY_LIFE)?;
    Ok(Credentials { identity: identity.clone(), certificate: issued.der, key: private(&key)? })
}

fn private(key: &rcgen::KeyPair) -> Result<PrivateKeyDer<'static>, PkiError> {
    PrivateKeyDer::try_from(key.serialize_der()).map_err(|e| rustls::Error::General(e.into()).into())
}

fn grpc_config(trust: &Trust, party: &Credentials) -> Result<ServerConfig, rustls::Error> {
    server_config(trust, party, &[Kind::Operator, Kind::Agent])
}

/// The chain goes up to the root, so that who knows only the root's hash finds it there.
fn web_config(
    issuers: &issuers::Issuers,
    names: &[String],
    now: DateTime<Utc>,
) -> Result<Arc<ServerConfig>, PkiError> {
    use rustls::pki_types::{CertificateDer, pem::PemObject as _};
    let key = leaf::new_key()?;
    let issued = leaf::issue(&Purpose::Web(names.to_vec()), &key, &issuers.web.issuer, now, now + WEB_LIFE)?;
    let issuer = CertificateDer::from_pem_slice(issuers.web.certificate.as_bytes())
        .map_err(|_| PkiError::Missing("web issuer"))?;
    let chain = vec![issued.der, issuer, issuers.root_der.clone()];
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, private(&key)?)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The names that were given, and those that the machine has for itself.
fn web_names(given: &[String]) -> Result<Vec<String>, PkiError> {
    let host = rustix::system::uname().nodename().to_string_lossy().to_ascii_lowercase();
    let own = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let mut names = BTreeSet::new();
    for name in given {
        let name = name.trim().to_ascii_lowercase();
        let fits = name.parse::<std::net::IpAddr>().is_ok()
            || hms_proto::names::HostName::try_from(name.as_str()).is_ok();
        if !fits {
            return Err(PkiError::Name(name));
        }
        names.insert(name);
    }
    names.extend(own);
    names.extend(hms_proto::names::HostName::try_from(host.as_str()).is_ok().then_some(host));
    Ok(names.into_iter().collect())
}

#[cfg(test)]
mod bad_certificates;
#[cfg(test)]
mod bad_certificates_tests;
#[cfg(test)]
mod tests;
