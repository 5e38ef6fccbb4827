//! TLS configurations that accept exactly the parties they are made for. System roots are never consulted.

use std::sync::Arc;

use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore, ServerConfig,
    SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    client::{WebPkiServerVerifier, verify_server_cert_signed_by_trust_anchor},
    crypto::{
        CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature,
    },
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::{
        ParsedCertificate, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use x509_parser::prelude::{ExtendedKeyUsage, FromDer as _, X509Certificate};

use super::{Credentials, Identity, IdentityError, Kind, Trust};

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn algorithms() -> WebPkiSupportedAlgorithms {
    aws_lc_rs::default_provider().signature_verification_algorithms
}

fn refuse(why: impl std::error::Error + Send + Sync + 'static) -> Error {
    rustls::CertificateError::Other(OtherError(Arc::new(why))).into()
}

/// The certificate names somebody who is not wanted here.
#[derive(Debug, thiserror::Error)]
enum NotWanted {
    #[error("a {0:?} is not accepted here")]
    Kind(Kind),
    #[error("the certificate belongs to another installation")]
    Install,
    #[error("the certificate belongs to {0}, not to the party that was called")]
    Other(Identity),
    #[error("the certificate authority is not the one that was pinned")]
    Pin,
    #[error("the certificate is not made for this use")]
    Use,
}

/// What a certificate is for must be said in it: webpki takes one that says nothing for all uses, and for servers does not ask.
fn check_use(leaf: &[u8], is_meant: fn(&ExtendedKeyUsage<'_>) -> bool) -> Result<(), Error> {
    let (_, certificate) = X509Certificate::from_der(leaf).map_err(|_| refuse(IdentityError::Unreadable))?;
    let uses = certificate.extended_key_usage().map_err(|_| refuse(IdentityError::Unreadable))?;
    match uses.is_some_and(|uses| is_meant(uses.value)) {
        true => Ok(()),
        false => Err(refuse(NotWanted::Use)),
    }
}

/// A server for callers of these kinds. A caller without a certificate does not get past the handshake.
pub fn server_config(trust: &Trust, own: &Credentials, accept: &[Kind]) -> Result<ServerConfig, Error> {
    let verifier = CallerVerifier { trust: trust.clone(), accept: accept.to_vec() };
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_single_cert(vec![own.certificate.clone()], own.key.clone_key())?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    // A resumed session skips the check of the certificate, which may have ended meanwhile.
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// A client for a server of this kind, or for exactly one party where `whom` is given.
pub fn client_config(
    trust: &Trust,
    own: &Credentials,
    kind: Kind,
    whom: Option<Identity>,
) -> Result<ClientConfig, Error> {
    let verifier = ServerVerifier { trust: trust.clone(), kind, whom };
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_auth_cert(vec![own.certificate.clone()], own.key.clone_key())?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

/// A client that trusts one root, known by the SHA-256 of its DER: for the first contact, when nothing else is
/// known yet. The server has to send its chain up to and including that root.
pub fn pinned_client_config(
    is_pinned: impl Fn(&[u8]) -> bool + Send + Sync + 'static,
) -> Result<ClientConfig, Error> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(PinnedVerifier { is_pinned: Box::new(is_pinned) }))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

/// Accepts callers whose certificate is of an accepted kind and signed by that kind's issuer.
#[derive(Debug)]
struct CallerVerifier {
    trust: Trust,
    accept: Vec<Kind>,
}

impl ClientCertVerifier for CallerVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let identity = Identity::of_certificate(leaf).map_err(refuse)?;
        if identity.install != self.trust.install {
            return Err(refuse(NotWanted::Install));
        }
        if !self.accept.contains(&identity.kind) {
            return Err(refuse(NotWanted::Kind(identity.kind)));
        }
        check_use(leaf, |uses| uses.client_auth)?;
        let issuer = self.trust.issuer_of(identity.kind).clone();
        WebPkiClientVerifier::builder_with_provider(issuer, provider())
            .build()
            .map_err(|e| Error::General(e.to_string()))?
            // Issuers sign leaves alone: there is nothing between.
            .verify_client_cert(leaf, &[], now)
    }

    fn verify_tls12_signature(
        &self,
        m: &[u8],
        c: &CertificateDer<'_>,
        d: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(m, c, d, &algorithms())
    }

    fn verify_tls13_signature(
        &self,
        m: &[u8],
        c: &CertificateDer<'_>,
        d: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(m, c, d, &algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        algorithms().supported_schemes()
    }
}

/// Accepts a server by its identity; host names play no part.
#[derive(Debug)]
struct ServerVerifier {
    trust: Trust,
    kind: Kind,
    whom: Option<Identity>,
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let parsed = ParsedCertificate::try_from(leaf)?;
        verify_server_cert_signed_by_trust_anchor(
            &parsed,
            self.trust.issuer_of(self.kind),
            &[],
            now,
            algorithms().all,
        )?;
        check_use(leaf, |uses| uses.server_auth)?;
        let identity = Identity::of_certificate(leaf).map_err(refuse)?;
        if identity.install != self.trust.install {
            return Err(refuse(NotWanted::Install));
        }
        if identity.kind != self.kind {
            return Err(refuse(NotWanted::Kind(identity.kind)));
        }
        match &self.whom {
            Some(whom) if *whom != identity => Err(refuse(NotWanted::Other(identity))),
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        m: &[u8],
        c: &CertificateDer<'_>,
        d: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(m, c, d, &algorithms())
    }

    fn verify_tls13_signature(
        &self,
        m: &[u8],
        c: &CertificateDer<'_>,
        d: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(m, c, d, &algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        algorithms().supported_schemes()
    }
}

/// Whether a certificate (DER) is the pinned root.
type IsPinned = dyn Fn(&[u8]) -> bool + Send + Sync;

/// Accepts a server whose chain ends in the pinned root.
struct PinnedVerifier {
    is_pinned: Box<IsPinned>,
}

impl std::fmt::Debug for PinnedVerifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PinnedVerifier")
    }
}

impl ServerCertVerifier for PinnedVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let root = chain.iter().find(|c| (self.is_pinned)(c)).ok_or_else(|| refuse(NotWanted::Pin))?;
        let mut store = RootCertStore::empty();
        store.add(root.clone().into_owned())?;
        WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider())
            .build()
            .map_err(|e| Error::General(e.to_string()))?
            .verify_server_cert(leaf, chain, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        m: &[u8],
        c: &CertificateDer<'_>,
        d: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(m, c, d, &algorithms())
    }

    fn verify_tls13_signature(
        &self,
        m: &[u8],
        c: &CertificateDer<'_>,
        d: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(m, c, d, &algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        algorithms().supported_schemes()
    }
}
