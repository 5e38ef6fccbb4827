//! Whom to trust: the issuers of the installation, one for each kind of party.

use std::sync::Arc;

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use uuid::Uuid;

use super::{Identity, Kind};
use crate::controller::v1::TrustBundle;

/// The issuers of one installation.
#[derive(Debug, Clone)]
pub struct Trust {
    /// The installation.
    pub install: Uuid,
    agent: Arc<RootCertStore>,
    controller: Arc<RootCertStore>,
    operator: Arc<RootCertStore>,
}

impl Trust {
    /// Reads the issuers from a bundle. The bundle must come from a place that is trusted already.
    pub fn new(install: Uuid, bundle: &TrustBundle) -> Result<Self, rustls::Error> {
        Ok(Self {
            install,
            agent: store_of(&bundle.agent_issuer)?,
            controller: store_of(&bundle.controller_issuer)?,
            operator: store_of(&bundle.operator_issuer)?,
        })
    }

    pub(super) fn issuer_of(&self, kind: Kind) -> &Arc<RootCertStore> {
        match kind {
            Kind::Agent => &self.agent,
            Kind::Controller => &self.controller,
            Kind::Operator => &self.operator,
        }
    }
}

fn store_of(pem: &str) -> Result<Arc<RootCertStore>, rustls::Error> {
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(unreadable)?;
    let mut store = RootCertStore::empty();
    store.add(der)?;
    Ok(Arc::new(store))
}

pub(super) fn unreadable(error: rustls::pki_types::pem::Error) -> rustls::Error {
    rustls::Error::General(format!("not PEM: {error}"))
}

/// A certificate with its key: what a party shows of itself.
#[derive(Debug)]
pub struct Credentials {
    /// Whom the certificate names.
    pub identity: Identity,
    /// The certificate, DER.
    pub certificate: CertificateDer<'static>,
    /// Its private key.
    pub key: PrivateKeyDer<'static>,
}

impl Credentials {
    /// Reads a certificate and its key from PEM.
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self, rustls::Error> {
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(unreadable)?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(unreadable)?;
        let identity =
            Identity::of_certificate(&certificate).map_err(|e| rustls::Error::General(e.to_string()))?;
        Ok(Self { identity, certificate, key })
    }
}
