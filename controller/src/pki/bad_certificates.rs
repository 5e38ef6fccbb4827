//! Certificates that must not get in, made for one party of an installation from the good one that it could have.

use hms_proto::identity::{Credentials, Identity, Kind};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose as Eku, IsCa,
    Issuer, KeyPair, KeyUsagePurpose as Ku, SanType, string::Ia5String,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// What somebody shows: a certificate, perhaps with those above it, and a key.
#[derive(Clone)]
pub(super) struct Shown {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: String,
}

/// A certificate with what is wrong with it.
pub(super) type Bad = (String, Shown);

/// For whom, and by whom.
pub(super) struct Corpus<'a> {
    pub(super) install: Uuid,
    pub(super) kind: Kind,
    pub(super) id: Uuid,
    pub(super) issuer: &'a Issuer<'static, KeyPair>,
    /// Issuers of the same installation for something else.
    pub(super) others: Vec<&'a Issuer<'static, KeyPair>>,
}

impl Shown {
    /// As a party of HMS has it.
    pub(super) fn credentials(&self) -> anyhow::Result<Credentials> {
        Ok(Credentials {
            identity: Identity::of_certificate(&self.chain[0])?,
            certificate: self.chain[0].clone(),
            key: PrivateKeyDer::from_pem_slice(self.key.as_bytes())?,
        })
    }
}

fn uri(text: &str) -> SanType {
    SanType::URI(Ia5String::try_from(text).unwrap())
}

fn ca(params: &mut CertificateParams) {
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![Ku::KeyCertSign, Ku::DigitalSignature];
}

/// An authority of one's own, that calls itself like this.
fn authority(name: &str) -> (CertificateDer<'static>, Issuer<'static, KeyPair>) {
    let (mut params, key) = (CertificateParams::default(), KeyPair::generate().unwrap());
    ca(&mut params);
    params.distinguished_name.push(DnType::CommonName, name);
    let certificate = params.self_signed(&key).unwrap().der().clone();
    (certificate, Issuer::new(params, key))
}

impl Corpus<'_> {
    fn name(&self) -> String {
        let role = match self.kind {
            Kind::Operator => Some(hms_proto::Role::Admin),
            _ => None,
        };
        Identity { install: self.install, kind: self.kind, id: self.id, role }.to_string()
    }

    fn params(&self) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![uri(&self.name())];
        params.extended_key_usages = vec![Eku::ClientAuth, Eku::ServerAuth];
        params.key_usages = vec![Ku::DigitalSignature];
        params.is_ca = IsCa::ExplicitNoCa;
        params.not_before = OffsetDateTime::now_utc() - Duration::hours(1);
        params.not_after = OffsetDateTime::now_utc() + Duration::hours(1);
        params.serial_number =
            Some(rand::random::<[u8; 16]>().map(|byte| byte & 0x7f | 0x40).to_vec().into());
        params
    }

    fn signed(&self, by: &Issuer<'static, KeyPair>, change: impl FnOnce(&mut CertificateParams)) -> Shown {
        let (mut params, key) = (self.params(), KeyPair::generate().unwrap());
        change(&mut params);
        let certificate = params.signed_by(&key, by).unwrap();
        Shown { chain: vec![certificate.der().clone()], key: key.serialize_pem() }
    }

    fn changed(&self, change: impl FnOnce(&mut CertificateParams)) -> Shown {
        self.signed(self.issuer, change)
    }

    pub(super) fn good(&self) -> Shown {
        self.changed(|_| {})
    }

    /// All of them.
    pub(super) fn bad(&self) -> Vec<Bad> {
        let parts =
            [self.by_others(), self.of_other_times(), self.for_other_uses(), self.names(), self.uris()];
        parts.into_iter().flatten().chain(self.bytes()).map(|(what, shown)| (what.into(), shown)).collect()
    }

    fn by_others(&self) -> Vec<(&'static str, Shown)> {
        let mut bad: Vec<(&str, Shown)> =
            self.others.iter().map(|other| ("another issuer of ours", self.signed(other, |_| {}))).collect();
        let kind = match self.kind {
            Kind::Agent => "HMS agent issuer",
            Kind::Controller => "HMS controller issuer",
            Kind::Operator => "HMS operator issuer",
        };
        let (root, foreign) = authority(kind);
        let mut with_root = self.signed(&foreign, |_| {});
        bad.push(("a foreign authority of the same name", with_root.clone()));
        with_root.chain.push(root);
        bad.push(("a foreign authority that comes along", with_root));
        let (root, foreign) = authority("Let's Encrypt");
        let mut public = self.signed(&foreign, |_| {});
        public.chain.push(root);
        bad.push(("a public authority", public));
        for what in ["signed by itself", "an authority signed by itself"] {
            let (mut params, key) = (self.params(), KeyPair::generate().unwrap());
            if what.starts_with("an authority") {
                ca(&mut params);
            }
            let own = params.self_signed(&key).unwrap().der().clone();
            bad.push((what, Shown { chain: vec![own], key: key.serialize_pem() }));
        }
        let between = |what, change: fn(&mut CertificateParams)| (what, self.below(self.issuer, change));
        bad.push(between("signed with a certificate that may not sign", |_| {}));
        bad.push(between("an authority of one's own below the issuer", ca));
        bad.push(("below one of another issuer", self.below(self.others[0], ca)));
        bad
    }

    /// A certificate by somebody whose own is by the issuer, with that one in the chain.
    fn below(&self, issuer: &Issuer<'static, KeyPair>, change: fn(&mut CertificateParams)) -> Shown {
        let (mut params, key) = (self.params(), KeyPair::generate().unwrap());
        change(&mut params);
        let above = params.signed_by(&key, issuer).unwrap().der().clone();
        let mut shown = self.signed(&Issuer::new(params, key), |_| {});
        shown.chain.push(above);
        shown
    }

    fn of_other_times(&self) -> Vec<(&'static str, Shown)> {
        let at = |begins: Duration, ends: Duration| {
            let now = OffsetDateTime::now_utc();
            self.changed(|params| (params.not_before, params.not_after) = (now + begins, now + ends))
        };
        let (minute, hour, day) = (Duration::minutes(1), Duration::hours(1), Duration::days(1));
        vec![
            ("ended a minute ago", at(-hour, -minute)),
            ("ended a day ago", at(-day * 2, -day)),
            ("ended in another century", at(-day * 20_000, -day * 19_000)),
            ("begins in ten minutes", at(minute * 10, hour)),
            ("begins in a year", at(day * 365, day * 366)),
            ("ends before it begins", at(hour, -hour)),
        ]
    }

    fn for_other_uses(&self) -> Vec<(&'static str, Shown)> {
        let used = |uses: Vec<Eku>| self.changed(|params| params.extended_key_usages = uses);
        let mut bad = vec![
            ("for code", used(vec![Eku::CodeSigning])),
            ("for mail", used(vec![Eku::EmailProtection])),
            ("for time stamps", used(vec![Eku::TimeStamping])),
            ("for OCSP", used(vec![Eku::OcspSigning])),
            ("for anything", used(vec![Eku::Any])),
            ("for nothing in particular", used(Vec::new())),
            ("for something of one's own", used(vec![Eku::Other(vec![1, 3, 6, 1, 4, 1, 99999, 1])])),
            ("an authority", self.changed(ca)),
            (
                "an authority with use",
                self.changed(|params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0))),
            ),
        ];
        let unknown = |params: &mut CertificateParams| {
            let mut extension = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99999, 2], vec![5, 0]);
            extension.set_criticality(true);
            params.custom_extensions.push(extension);
        };
        bad.push(("with a critical extension that nobody knows", self.changed(unknown)));
        bad
    }

    fn names(&self) -> Vec<(&'static str, Shown)> {
        let name = self.name();
        let named = |names: Vec<SanType>| self.changed(|params| params.subject_alt_names = names);
        let dns = |text: &str| SanType::DnsName(Ia5String::try_from(text).unwrap());
        let own = || uri(&name);
        let another = Identity { install: self.install, kind: Kind::Controller, id: Uuid::nil(), role: None };
        let in_subject = |params: &mut CertificateParams| {
            params.subject_alt_names.clear();
            params.distinguished_name.push(DnType::CommonName, name.as_str());
        };
        vec![
            ("no name", named(Vec::new())),
            ("a name in the subject alone", self.changed(in_subject)),
            ("the name as a DNS name", named(vec![dns(&name)])),
            (
                "the name as a mail address",
                named(vec![SanType::Rfc822Name(Ia5String::try_from(name.as_str()).unwrap())]),
            ),
            ("an address", named(vec![SanType::IpAddress([127, 0, 0, 1].into())])),
            ("the name twice", named(vec![own(), own()])),
            ("two names", named(vec![own(), uri(&another.to_string())])),
            ("two names, the other first", named(vec![uri(&another.to_string()), own()])),
            ("a DNS name after it", named(vec![own(), dns("asterra")])),
            ("a DNS name before it", named(vec![dns("asterra"), own()])),
            ("an address besides", named(vec![own(), SanType::IpAddress([127, 0, 0, 1].into())])),
        ]
    }

    /// Other spellings of the name, and names of others.
    fn uris(&self) -> Vec<(&'static str, Shown)> {
        let (name, install, id) = (self.name(), self.install, self.id);
        let word = format!("{:?}", self.kind).to_lowercase();
        let end = name.rsplit_once(&id.to_string()).map_or("", |(_, end)| end);
        let other = Uuid::new_v4();
        let kind_first = name.replacen(&word, &word.to_uppercase(), 1);
        let spellings = [
            ("upper case", name.to_uppercase()),
            ("the scheme in upper case", name.replacen("spiffe", "SPIFFE", 1)),
            ("the kind in upper case", kind_first),
            ("the id in upper case", name.replace(&id.to_string(), &id.to_string().to_uppercase())),
            (
                "the installation in upper case",
                name.replace(&install.to_string(), &install.to_string().to_uppercase()),
            ),
            ("the id in braces", name.replace(&id.to_string(), &format!("{{{id}}}"))),
            ("the id as a URN", name.replace(&id.to_string(), &format!("urn:uuid:{id}"))),
            ("the id without hyphens", name.replace(&id.to_string(), &id.simple().to_string())),
            ("a slash at the end", format!("{name}/")),
            ("two slashes", name.replacen(&format!("/{word}"), &format!("//{word}"), 1)),
            ("a dot", name.replacen(&format!("/{word}"), &format!("/./{word}"), 1)),
            ("the way up", format!("spiffe://{install}/x/../{word}/{id}{end}")),
            ("the way up from another", format!("spiffe://{install}/{word}/{other}/../{id}{end}")),
            ("percent", name.replacen('/', "%2f", 3)),
            ("a letter as percent", name.replacen(&word[..1], &format!("%{:02x}", word.as_bytes()[0]), 1)),
            ("a zero byte at the end", format!("{name}\0")),
            ("a zero byte, and more", format!("{name}\0/x")),
            ("a space before", format!(" {name}")),
            ("a space after", format!("{name} ")),
            ("a line after", format!("{name}\nspiffe://x")),
            ("no id", format!("spiffe://{install}/{word}")),
            ("an empty id", format!("spiffe://{install}/{word}/{end}")),
            ("any id", format!("spiffe://{install}/{word}/*{end}")),
            ("an id that is none", format!("spiffe://{install}/{word}/ada{end}")),
            ("something after it", format!("{name}/x")),
            ("an unknown role", format!("spiffe://{install}/{word}/{id}/root")),
            ("a query", format!("{name}?role=admin")),
            ("a fragment", format!("{name}#admin")),
            ("another installation", format!("spiffe://{other}/{word}/{id}{end}")),
            ("no installation", format!("spiffe:///{word}/{id}{end}")),
            ("any installation", format!("spiffe://*/{word}/{id}{end}")),
            ("the installation as a user", format!("spiffe://{install}@{other}/{word}/{id}{end}")),
            ("a port", format!("spiffe://{install}:443/{word}/{id}{end}")),
            ("a domain below", format!("spiffe://{install}.example/{word}/{id}{end}")),
            ("HTTPS", name.replacen("spiffe", "https", 1)),
            ("no scheme", name.trim_start_matches("spiffe://").to_owned()),
            ("the scheme twice", format!("spiffe://{name}")),
            ("an unknown kind", format!("spiffe://{install}/root/{id}")),
            ("nothing", String::new()),
            ("much", format!("{name}/{}", "x".repeat(20_000))),
        ];
        let with = |spelling: String| self.changed(|params| params.subject_alt_names = vec![uri(&spelling)]);
        spellings
            .into_iter()
            .filter(|(_, spelling)| *spelling != name)
            .map(|(what, spelling)| (what, with(spelling)))
            .collect()
    }

    /// What is no whole certificate, or not with its key.
    fn bytes(&self) -> Vec<(&'static str, Shown)> {
        let good = self.good();
        let der = good.chain[0].to_vec();
        let with = |bytes: Vec<u8>| Shown { chain: vec![bytes.into()], key: good.key.clone() };
        let flipped = |at: usize| {
            let mut bytes = der.clone();
            bytes[at] ^= 1;
            with(bytes)
        };
        let key = KeyPair::generate().unwrap().serialize_pem();
        let upside_down = Shown {
            chain: vec![self.signed(self.others[0], |_| {}).chain.remove(0), der.clone().into()],
            key: good.key.clone(),
        };
        vec![
            ("with another key", Shown { key, ..good.clone() }),
            ("a bit of its signature", flipped(der.len() - 1)),
            ("a bit of its key", flipped(der.len() / 3)),
            ("a bit of its middle", flipped(der.len() / 2)),
            ("cut off", with(der[..der.len() - 1].to_vec())),
            ("with a byte more", with([&der[..], &[0]].concat())),
            ("half of it", with(der[..der.len() / 2].to_vec())),
            ("no bytes", with(Vec::new())),
            ("text", with(b"-----BEGIN CERTIFICATE-----".to_vec())),
            ("behind another one", upside_down),
        ]
    }
}
