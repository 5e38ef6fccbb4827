//! Takes the public key, and nothing else, from a certificate signing request.

use rcgen::SubjectPublicKeyInfo;
use rustls::pki_types::{CertificateSigningRequestDer, pem::PemObject as _};
use x509_parser::{
    certification_request::X509CertificationRequest,
    oid_registry::{OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_SIG_ED25519, Oid},
    prelude::FromDer as _,
    x509::SubjectPublicKeyInfo as Spki,
};

/// Larger than any request with a key of an accepted kind.
const LARGEST: usize = 16 * 1024;

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CsrError {
    #[error("the certificate signing request is larger than 16 KiB")]
    Size,
    #[error("the certificate signing request cannot be read: it must be PKCS #10 in PEM")]
    Unreadable,
    #[error("the certificate signing request is not signed with its own key")]
    Signature,
    #[error("the key must be P-256, P-384 or Ed25519")]
    Key,
}

impl From<CsrError> for hms_proto::fault::Fault {
    fn from(error: CsrError) -> Self {
        Self::invalid(error.to_string())
    }
}

/// The public key of a request. Names, extensions and wishes in it are not looked at.
pub(super) fn public_key(pem: &str) -> Result<SubjectPublicKeyInfo, CsrError> {
    if pem.len() > LARGEST {
        return Err(CsrError::Size);
    }
    let der =
        CertificateSigningRequestDer::from_pem_slice(pem.as_bytes()).map_err(|_| CsrError::Unreadable)?;
    let (rest, request) = X509CertificationRequest::from_der(&der).map_err(|_| CsrError::Unreadable)?;
    if !rest.is_empty() {
        return Err(CsrError::Unreadable);
    }
    let key = &request.certification_request_info.subject_pki;
    if !is_accepted(key) {
        return Err(CsrError::Key);
    }
    // Proof of possession: the one thing of the request beside the key that counts.
    request.verify_signature().map_err(|_| CsrError::Signature)?;
    SubjectPublicKeyInfo::from_der(key.raw).map_err(|_| CsrError::Key)
}

fn is_accepted(key: &Spki<'_>) -> bool {
    let curve: Option<Oid<'_>> = key.algorithm.parameters.as_ref().and_then(|p| p.as_oid().ok());
    let point = key.subject_public_key.data.as_ref();
    // Uncompressed points (SEC 1, 2.3.3), the form that certificates have.
    let is_point = |bytes: usize| point.len() == 2 * bytes + 1 && point.first() == Some(&4);
    if key.algorithm.algorithm == OID_SIG_ED25519 {
        return key.algorithm.parameters.is_none() && point.len() == 32;
    }
    key.algorithm.algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY
        && curve
            .is_some_and(|c| (c == OID_EC_P256 && is_point(32)) || (c == OID_NIST_EC_P384 && is_point(48)))
}
