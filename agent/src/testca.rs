//! A certificate authority for tests.

use hms_proto::{
    controller::v1::TrustBundle,
    identity::{Credentials, Identity as Party, Kind, Trust},
};
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::identity::{Identity, Membership};

/// An installation with its issuers.
pub(crate) struct TestCa {
    pub(crate) install: Uuid,
    issuers: [(Kind, String, Issuer<'static, KeyPair>); 3],
}

/// A certificate with its key, PEM.
pub(crate) struct Leaf {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl TestCa {
    pub(crate) fn new() -> Self {
        Self::of(Uuid::new_v4())
    }

    /// One that claims to be the authority of this installation.
    pub(crate) fn of(install: Uuid) -> Self {
        let issuer = |kind| {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::default();
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
            params.distinguished_name.push(rcgen::DnType::CommonName, format!("{kind:?}"));
            let pem = params.self_signed(&key).unwrap().pem();
            (kind, pem, Issuer::new(params, key))
        };
        Self { install, issuers: [Kind::Agent, Kind::Controller, Kind::Operator].map(issuer) }
    }

    pub(crate) fn bundle(&self) -> TrustBundle {
        let pem = |kind| self.issuers.iter().find(|i| i.0 == kind).unwrap().1.clone();
        TrustBundle {
            root: String::new(),
            agent_issuer: pem(Kind::Agent),
            controller_issuer: pem(Kind::Controller),
            operator_issuer: pem(Kind::Operator),
        }
    }

    pub(crate) fn trust(&self) -> Trust {
        Trust::new(self.install, &self.bundle()).unwrap()
    }

    /// `what`: as in the URI, such as `operator/<uuid>/admin`. Valid for so many seconds from now.
    pub(crate) fn leaf(&self, signed_by: Kind, what: &str, seconds: i64) -> Leaf {
        self.leaf_with(signed_by, what, seconds, |_| {})
    }

    pub(crate) fn leaf_with(
        &self,
        signed_by: Kind,
        what: &str,
        seconds: i64,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Leaf {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        let uri = format!("spiffe://{}/{what}", self.install);
        params.subject_alt_names = vec![SanType::URI(uri.as_str().try_into().unwrap())];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        params.not_before = OffsetDateTime::now_utc() - Duration::hours(1);
        params.not_after = OffsetDateTime::now_utc() + Duration::seconds(seconds);
        change(&mut params);
        let issuer = &self.issuers.iter().find(|i| i.0 == signed_by).unwrap().2;
        Leaf { certificate: params.signed_by(&key, issuer).unwrap().pem(), key: key.serialize_pem() }
    }

    pub(crate) fn agent_identity(&self) -> Identity {
        let leaf = self.leaf(Kind::Agent, &format!("agent/{}", Uuid::new_v4()), 3600);
        Identity {
            key: leaf.key,
            certificate: leaf.certificate,
            trust: self.bundle(),
            membership: Membership { host: "asterra".into(), controller_grpc: "127.0.0.1:9443".into() },
        }
    }
}

impl Leaf {
    /// As a caller shows it. `None` when it names nobody.
    pub(crate) fn credentials(&self) -> Option<Credentials> {
        Credentials::from_pem(&self.certificate, &self.key).ok()
    }

    /// As a caller shows it that names itself as it likes.
    pub(crate) fn credentials_as(&self, identity: Party) -> Credentials {
        use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
        Credentials {
            identity,
            certificate: CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap(),
            key: PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap(),
        }
    }
}
