//! Who a certificate belongs to. The one URI SAN of a certificate says it, and nothing else does (SPIFFE-ID, section 2).

mod tls;
mod trust;

use std::fmt;

use uuid::Uuid;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

pub use tls::{client_config, pinned_client_config, server_config};
pub use trust::{Credentials, Trust};

use crate::access::{Role, role_from_word, role_word};

/// The kind of party, each with an issuer of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The agent of a managed host.
    Agent,
    /// The controller.
    Controller,
    /// A person's terminal.
    Operator,
}

/// Who somebody is: `spiffe://<install>/agent/<uuid>`, `…/controller/<uuid>`, `…/operator/<uuid>/<role>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The installation: names of another one mean nothing here.
    pub install: Uuid,
    /// The kind of party.
    pub kind: Kind,
    /// Which one: of the host, the controller or the user.
    pub id: Uuid,
    /// The role of an operator. Others have none. Unspecified, as the word `none`: may do nothing by this certificate alone. That
    /// is what people get whose scope is not the whole installation; what they may do, the controller knows.
    pub role: Option<Role>,
}

/// Why a certificate identifies nobody.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Not an X.509 certificate.
    #[error("the certificate cannot be read")]
    Unreadable,
    /// None or several names where exactly one URI belongs.
    #[error("the certificate must have exactly one subject alternative name, a URI")]
    NotOneUri,
    /// The URI is not of our form.
    #[error("`{0}` is not an identity of HMS")]
    NotOurs(String),
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { install, kind, id, role } = self;
        match (kind, role) {
            (Kind::Agent, _) => write!(f, "spiffe://{install}/agent/{id}"),
            (Kind::Controller, _) => write!(f, "spiffe://{install}/controller/{id}"),
            (Kind::Operator, role) => {
                write!(f, "spiffe://{install}/operator/{id}/{}", role_word(role.unwrap_or_default()))
            }
        }
    }
}

impl TryFrom<&str> for Identity {
    type Error = IdentityError;

    fn try_from(uri: &str) -> Result<Self, IdentityError> {
        let refuse = || IdentityError::NotOurs(uri.chars().take(200).collect());
        let rest = uri.strip_prefix("spiffe://").ok_or_else(refuse)?;
        let parts: Vec<&str> = rest.split('/').collect();
        let (install, kind, id, role) = match parts.as_slice() {
            [install, "agent", id] => (install, Kind::Agent, id, None),
            [install, "controller", id] => (install, Kind::Controller, id, None),
            [install, "operator", id, "none"] => (install, Kind::Operator, id, Some(Role::Unspecified)),
            [install, "operator", id, role] => {
                (install, Kind::Operator, id, Some(role_from_word(role).ok_or_else(refuse)?))
            }
            _ => return Err(refuse()),
        };
        let uuid = |text: &str| Uuid::try_parse(text).map_err(|_| refuse());
        let identity = Self { install: uuid(install)?, kind, id: uuid(id)?, role };
        // One spelling only: upper case, braces or a urn prefix would be a second name for the same party.
        if identity.to_string() == uri { Ok(identity) } else { Err(refuse()) }
    }
}

impl Identity {
    /// Reads the identity of a certificate (DER). Says nothing about whether it is to be trusted.
    pub fn of_certificate(der: &[u8]) -> Result<Self, IdentityError> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|_| IdentityError::Unreadable)?;
        let names = certificate.subject_alternative_name().map_err(|_| IdentityError::NotOneUri)?;
        match names.map(|n| n.value.general_names.as_slice()) {
            Some([GeneralName::URI(uri)]) => Self::try_from(*uri),
            _ => Err(IdentityError::NotOneUri),
        }
    }
}

/// When a certificate (DER) begins and ends to be valid, in seconds since the epoch.
pub fn validity_of(der: &[u8]) -> Result<(i64, i64), IdentityError> {
    let (_, certificate) = X509Certificate::from_der(der).map_err(|_| IdentityError::Unreadable)?;
    let validity = certificate.validity();
    Ok((validity.not_before.timestamp(), validity.not_after.timestamp()))
}

/// The serial number of a certificate (DER), in lower-case hex.
pub fn serial_of(der: &[u8]) -> Result<String, IdentityError> {
    let (_, certificate) = X509Certificate::from_der(der).map_err(|_| IdentityError::Unreadable)?;
    Ok(certificate.raw_serial().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "6f2c1d0e-0000-4000-8000-000000000001";
    const B: &str = "6f2c1d0e-0000-4000-8000-000000000002";

    #[test]
    fn identities_are_read_as_they_are_written() {
        for text in [
            format!("spiffe://{A}/agent/{B}"),
            format!("spiffe://{A}/controller/{B}"),
            format!("spiffe://{A}/operator/{B}/admin"),
            format!("spiffe://{A}/operator/{B}/none"),
        ] {
            assert_eq!(Identity::try_from(text.as_str()).unwrap().to_string(), text);
        }
    }

    #[test]
    fn anything_else_identifies_nobody() {
        let bad = [
            String::new(),
            format!("https://{A}/agent/{B}"),
            format!("spiffe://{A}/agent"),
            format!("spiffe://{A}/agent/{B}/x"),
            format!("spiffe://{A}/operator/{B}"),
            format!("spiffe://{A}/operator/{B}/root"),
            format!("spiffe://{A}/Agent/{B}"),
            format!("spiffe://{}/agent/{B}", A.to_uppercase()),
            format!("spiffe://{A}/agent/{{{B}}}"),
            format!("spiffe://{A}//agent/{B}"),
            format!("spiffe://{A}/agent/{B}/"),
            format!("spiffe://{A}/agent/*"),
            format!("spiffe://{A}/agent/{B}?role=admin"),
        ];
        for text in bad {
            assert!(Identity::try_from(text.as_str()).is_err(), "{text}");
        }
        assert!(Identity::of_certificate(b"not a certificate").is_err());
    }
}
