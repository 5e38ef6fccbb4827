//! Joining: a one-time token is traded for a certificate. The key is made here and never leaves the host.

use std::{io::Read as _, path::Path, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use hms_proto::{
    controller::v1::{JoinRequest, enrollment_service_client::EnrollmentServiceClient},
    fault::{Fault, FaultKind},
    identity::pinned_client_config,
    names::Address,
    transport::endpoint,
};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::{
    identity::{self, Identity, Membership},
    internal,
};

/// Tokens are about 180 characters long.
const TOKEN_MAX: u64 = 4096;
const DEADLINE: Duration = Duration::from_secs(20);

/// What a join token says: `hms1.<host uuid>.<secret>.<SHA-256 of the root, hex>`.
struct Token {
    text: String,
    root_sha256: [u8; 32],
}

impl TryFrom<&str> for Token {
    type Error = Fault;

    fn try_from(text: &str) -> Result<Self, Fault> {
        let parts: Vec<&str> = text.split('.').collect();
        let [version, host, secret, root] = parts.as_slice() else { return Err(not_a_token()) };
        let mut root_sha256 = [0; 32];
        let fits = *version == "hms1"
            && Uuid::try_parse(host).is_ok()
            && !secret.is_empty()
            && secret.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
            && hex::decode_to_slice(root, &mut root_sha256).is_ok();
        // The token itself is a secret: it is not repeated in the error.
        if fits { Ok(Self { text: text.to_owned(), root_sha256 }) } else { Err(not_a_token()) }
    }
}

fn not_a_token() -> Fault {
    Fault::invalid("what was given is not a join token").hint(
        "Copy the whole line that `hmsctl host add` printed; it begins with `hms1.` and has four parts.",
    )
}

/// Joins this host, and returns its name.
pub(crate) async fn join(controller: &str, file: Option<&Path>, state: &Path) -> Result<String, Fault> {
    let address = address_of(controller)?;
    let token = Token::try_from(read_token(file)?.trim())?;
    let (key, csr) = new_key()?;
    let answer = call(&address, &token, csr).await.map_err(|fault| explain(fault, controller))?;
    let host = answer.host.clone();
    let identity = Identity {
        key,
        certificate: answer.certificate,
        trust: answer.trust.unwrap_or_default(),
        membership: Membership { host: answer.host, controller_grpc: answer.controller_grpc },
    };
    let own = identity.check()?;
    check_clock(own.valid)?;
    identity::store(state, &identity).map_err(|e| {
        internal(format!("cannot write the identity to {}: {e}", state.display())).hint("Run it as root.")
    })?;
    Ok(host)
}

/// A fresh P-256 key with a request for its certificate, both PEM.
pub(crate) fn new_key() -> Result<(String, String), Fault> {
    let failed = |e: rcgen::Error| internal(format!("cannot make a key: {e}"));
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
    let csr = CertificateParams::default().serialize_request(&key).and_then(|r| r.pem()).map_err(failed)?;
    Ok((key.serialize_pem(), csr))
}

fn address_of(url: &str) -> Result<Address, Fault> {
    let bad = || {
        Fault::invalid(format!("`{}` is not the address of a controller", url.escape_debug()))
            .hint("Write it as https://HOST:8443.")
    };
    let rest = url.strip_prefix("https://").ok_or_else(bad)?;
    Address::with_default_port(rest.trim_end_matches('/'), 8443).map_err(|_| bad())
}

fn read_token(file: Option<&Path>) -> Result<String, Fault> {
    let mut text = String::new();
    let read = match file {
        Some(path) => std::fs::File::open(path).and_then(|f| f.take(TOKEN_MAX).read_to_string(&mut text)),
        None => std::io::stdin().take(TOKEN_MAX).read_to_string(&mut text),
    };
    read.map_err(|e| Fault::invalid(format!("cannot read the token: {e}")))?;
    Ok(text)
}

async fn call(
    address: &Address,
    token: &Token,
    csr: String,
) -> Result<hms_proto::controller::v1::JoinResponse, Fault> {
    let pin = token.root_sha256;
    let tls = pinned_client_config(move |der| Sha256::digest(der)[..] == pin)
        .map_err(|e| internal(format!("cannot set up TLS: {e}")))?;
    let channel = endpoint(address, Arc::new(ArcSwap::from_pointee(tls)));
    let request = JoinRequest { token: token.text.clone(), csr };
    let mut client = EnrollmentServiceClient::new(channel);
    match tokio::time::timeout(DEADLINE, client.join(request)).await {
        Ok(Ok(answer)) => Ok(answer.into_inner()),
        Ok(Err(status)) => Err(Fault::from_status(&status)),
        Err(_) => Err(Fault::new(
            FaultKind::Unknown,
            format!("the controller did not answer within {} s", DEADLINE.as_secs()),
        )),
    }
}

/// Says what the bare words of TLS and the network mean for somebody who joins a host.
fn explain(fault: Fault, controller: &str) -> Fault {
    let said = fault.message.clone();
    if said.contains("was pinned") {
        return Fault::new(
            FaultKind::Denied,
            format!("{controller} does not belong to the installation that issued the token"),
        )
        .hint("Check the address. If it is right, ask for a new token: somebody may be in between.");
    }
    if said.contains("not valid yet")
        || said.contains("NotValidYet")
        || said.contains("xpired") && said.contains("certificate")
    {
        return Fault::new(FaultKind::Failed, format!("the clocks do not agree: {said}"))
            .hint("Compare `date -u` on this host and on the controller, and set the clock.");
    }
    match fault.kind() {
        FaultKind::Unreachable => {
            Fault::new(FaultKind::Unreachable, format!("cannot reach {controller}: {said}")).hint(
                "Check the address, that hms-controller runs there, and that no firewall is in between.",
            )
        }
        _ => fault,
    }
}

fn check_clock((begins, ends): (i64, i64)) -> Result<(), Fault> {
    let now = unix_now();
    if (begins..ends).contains(&now) {
        return Ok(());
    }
    let off = if now < begins { begins - now } else { now - ends };
    Err(Fault::new(
        FaultKind::Failed,
        format!("this host's clock is off: the new certificate is not valid by it ({off} s)"),
    )
    .hint("Set the clock, ask for a new token, and join again."))
}

/// Seconds since the epoch.
pub(crate) fn unix_now() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens() {
        let root = "ab".repeat(32);
        let host = Uuid::new_v4();
        assert!(Token::try_from(format!("hms1.{host}.s3-_cret.{root}").as_str()).is_ok());
        for bad in [
            String::new(),
            "hms1".into(),
            format!("hms2.{host}.s.{root}"),
            format!("hms1.{host}..{root}"),
            format!("hms1.x.s.{root}"),
            format!("hms1.{host}.s.{root}00"),
            format!("hms1.{host}.s.{root}.x"),
            format!("hms1.{host}.canary canary.{root}"),
        ] {
            let Err(fault) = Token::try_from(bad.as_str()) else { panic!("{bad}") };
            assert!(!format!("{fault} {}", fault.next()).contains("canary"));
        }
    }

    #[test]
    fn addresses_of_controllers() {
        assert_eq!(address_of("https://asterra:8443").unwrap().as_str(), "asterra:8443");
        assert_eq!(address_of("https://10.0.0.1/").unwrap().as_str(), "10.0.0.1:8443");
        for bad in ["http://asterra:8443", "asterra:8443", "https://", "https://a/b", "https://u@a:1"] {
            assert!(address_of(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_foreign_authority_and_a_wrong_clock_are_named() {
        let of = |m: &str| explain(Fault::new(FaultKind::Unreachable, m), "https://c:8443");
        assert!(of("x: the certificate authority is not the one that was pinned").message.contains("belong"));
        assert!(of("invalid peer certificate: certificate not valid yet").hint.contains("clock"));
        assert_eq!(of("connection refused").kind(), FaultKind::Unreachable);
    }
}
