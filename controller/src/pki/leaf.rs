//! Makes certificates: what stands in them is decided here, whoever asked.

use std::net::IpAddr;

use chrono::{DateTime, TimeDelta, Utc};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose as Eku, IsCa,
    Issuer, KeyPair, KeyUsagePurpose as Ku, PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType, SerialNumber,
};
use time::OffsetDateTime;

/// Clocks of hosts are wrong by some minutes; a certificate begins that much before it was made.
const SKEW: TimeDelta = TimeDelta::minutes(5);

/// What a certificate is for.
#[derive(Debug, Clone)]
pub(super) enum Purpose {
    /// Both ends of a call: agents and controllers.
    Party(String),
    /// Callers only: terminals.
    Caller(String),
    /// A web server with these names.
    Web(Vec<String>),
}

/// A certificate that was made.
#[derive(Debug, Clone)]
pub(crate) struct Issued {
    /// PEM.
    pub(crate) certificate: String,
    pub(super) der: rustls::pki_types::CertificateDer<'static>,
    /// Lower-case hex.
    pub(crate) serial: String,
    pub(crate) expires: DateTime<Utc>,
}

/// 16 random bytes, positive and of full length, so that its hex form is the one everybody prints.
fn random_serial() -> [u8; 16] {
    let mut serial: [u8; 16] = rand::random();
    serial[0] = serial[0] & 0x7f | 0x40;
    serial
}

fn base(
    now: DateTime<Utc>,
    expires: DateTime<Utc>,
    name: &str,
) -> Result<(CertificateParams, String), rcgen::Error> {
    let serial = random_serial();
    let mut params = CertificateParams::default();
    params.not_before = moment(now - SKEW)?;
    params.not_after = moment(expires)?;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    Ok((params, hex::encode(serial)))
}

fn moment(at: DateTime<Utc>) -> Result<OffsetDateTime, rcgen::Error> {
    OffsetDateTime::from_unix_timestamp(at.timestamp()).map_err(|_| rcgen::Error::Time)
}

/// Parameters of a root or an issuer.
pub(super) fn authority(
    name: &str,
    is_root: bool,
    now: DateTime<Utc>,
    expires: DateTime<Utc>,
) -> Result<CertificateParams, rcgen::Error> {
    let (mut params, _) = base(now, expires, name)?;
    params.is_ca =
        IsCa::Ca(if is_root { BasicConstraints::Constrained(1) } else { BasicConstraints::Constrained(0) });
    params.key_usages = vec![Ku::KeyCertSign, Ku::CrlSign];
    params.use_authority_key_identifier_extension = !is_root;
    Ok(params)
}

/// Signs a certificate for this key.
pub(super) fn issue(
    purpose: &Purpose,
    key: &impl PublicKeyData,
    issuer: &Issuer<'static, KeyPair>,
    now: DateTime<Utc>,
    expires: DateTime<Utc>,
) -> Result<Issued, rcgen::Error> {
    // Whole seconds, as certificates have them: what is told is what stands in it.
    let expires = DateTime::from_timestamp(expires.timestamp(), 0).unwrap_or(expires);
    let (mut params, serial) = base(now, expires, "hms")?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![Ku::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    let uri = |uri: &str| Ok::<_, rcgen::Error>(vec![SanType::URI(uri.try_into()?)]);
    (params.subject_alt_names, params.extended_key_usages) = match purpose {
        Purpose::Party(id) => (uri(id)?, vec![Eku::ServerAuth, Eku::ClientAuth]),
        Purpose::Caller(id) => (uri(id)?, vec![Eku::ClientAuth]),
        Purpose::Web(names) => {
            (names.iter().map(|n| web_name(n)).collect::<Result<_, _>>()?, vec![Eku::ServerAuth])
        }
    };
    let certificate = params.signed_by(key, issuer)?;
    Ok(Issued { certificate: certificate.pem(), der: certificate.der().clone(), serial, expires })
}

fn web_name(name: &str) -> Result<SanType, rcgen::Error> {
    Ok(match name.parse::<IpAddr>() {
        Ok(address) => SanType::IpAddress(address),
        Err(_) => SanType::DnsName(name.try_into()?),
    })
}

/// A new key of the kind that HMS makes for itself.
pub(super) fn new_key() -> Result<KeyPair, rcgen::Error> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
}
