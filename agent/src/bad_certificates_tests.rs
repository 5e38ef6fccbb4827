//! Bad certificates at the agent's port, over real TLS (security cases 29, 86 to 88): for each kind of caller that may come in.

use hms_proto::identity::Kind;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose as Eku, IsCa, SanType,
    string::Ia5String,
};
use time::{Duration, OffsetDateTime};

use super::*;
use crate::testca::Leaf;

/// Changes what would be a good one.
type Change = Box<dyn FnOnce(&mut CertificateParams)>;

fn uri(text: &str) -> SanType {
    SanType::URI(Ia5String::try_from(text).unwrap())
}

fn named(names: Vec<SanType>) -> Change {
    Box::new(move |params| params.subject_alt_names = names)
}

fn used(uses: Vec<Eku>) -> Change {
    Box::new(move |params| params.extended_key_usages = uses)
}

fn valid(begins: Duration, ends: Duration) -> Change {
    let now = OffsetDateTime::now_utc();
    Box::new(move |params| (params.not_before, params.not_after) = (now + begins, now + ends))
}

fn authority(constraint: BasicConstraints) -> Change {
    Box::new(move |params| params.is_ca = IsCa::Ca(constraint))
}

/// All that is wrong with a certificate by the right issuer. `name` is the right one, `id` that of its party.
fn changes(name: &str, id: Uuid) -> Vec<(String, Change)> {
    let (hour, day) = (Duration::hours(1), Duration::days(1));
    let dns = |text: &str| SanType::DnsName(Ia5String::try_from(text).unwrap());
    let (own, subject) = (|| uri(name), name.to_owned());
    let in_subject = move |params: &mut CertificateParams| {
        params.subject_alt_names.clear();
        params.distinguished_name.push(DnType::CommonName, subject);
    };
    let all: Vec<(&str, Change)> = vec![
        ("ended", valid(-day, -Duration::minutes(1))),
        ("ended long ago", valid(-day * 9000, -day * 8000)),
        ("not begun", valid(Duration::minutes(10), hour)),
        ("not begun for a year", valid(day * 365, day * 366)),
        ("upside down", valid(hour, -hour)),
        ("for servers", used(vec![Eku::ServerAuth])),
        ("for anything", used(vec![Eku::Any])),
        ("for nothing in particular", used(Vec::new())),
        ("for code", used(vec![Eku::CodeSigning])),
        ("for mail", used(vec![Eku::EmailProtection])),
        ("for OCSP", used(vec![Eku::OcspSigning])),
        ("an authority", authority(BasicConstraints::Unconstrained)),
        ("a small authority", authority(BasicConstraints::Constrained(0))),
        ("no name", named(Vec::new())),
        ("a name in the subject alone", Box::new(in_subject)),
        ("the name twice", named(vec![own(), own()])),
        ("the name as DNS", named(vec![dns(name)])),
        ("DNS besides", named(vec![own(), dns("asterra")])),
        ("DNS before", named(vec![dns("asterra"), own()])),
        ("an address besides", named(vec![own(), SanType::IpAddress([127, 0, 0, 1].into())])),
        ("an address", named(vec![SanType::IpAddress([127, 0, 0, 1].into())])),
    ];
    let all = all.into_iter().map(|(what, change)| (what.to_owned(), change));
    all.chain(spellings(name, id).into_iter().map(|text| (format!("{text:.90}"), named(vec![uri(&text)]))))
        .collect()
}

/// What is like the name, and is not the name.
fn spellings(name: &str, id: Uuid) -> Vec<String> {
    let (id, other) = (id.to_string(), Uuid::new_v4().to_string());
    let install = name.split('/').nth(2).unwrap();
    let kind = name.split('/').nth(3).unwrap();
    let end = name.rsplit_once(&id).unwrap().1;
    let mut all = vec![
        name.to_uppercase(),
        name.replacen("spiffe", "SPIFFE", 1),
        name.replacen("spiffe", "https", 1),
        name.trim_start_matches("spiffe://").to_owned(),
        name.replacen(kind, &kind.to_uppercase(), 1),
        name.replace(&id, &id.to_uppercase()),
        name.replace(install, &install.to_uppercase()),
        name.replace(&id, &format!("{{{id}}}")),
        name.replace(&id, &format!("urn:uuid:{id}")),
        name.replace(&id, &id.replace('-', "")),
        name.replace(install, &other),
        name.replace(install, ""),
        name.replace(install, "*"),
        name.replace(install, &format!("{install}@{other}")),
        name.replace(install, &format!("{install}:443")),
        name.replace(install, &format!("{install}.example")),
        name.replacen('/', "%2f", 3),
        format!("spiffe://{install}/x/../{kind}/{id}{end}"),
        format!("spiffe://{install}/{kind}/{other}/../{id}{end}"),
        format!("spiffe://{install}/./{kind}/{id}{end}"),
        format!("spiffe://{install}//{kind}/{id}{end}"),
        format!("spiffe://{install}/{kind}"),
        format!("spiffe://{install}/{kind}/{end}"),
        format!("spiffe://{install}/{kind}/*{end}"),
        format!("spiffe://{install}/{kind}/root{end}"),
        format!("spiffe://{install}/{kind}/{id}/root"),
        format!("spiffe://{install}/{kind}/{id}/Admin"),
        format!("spiffe://{install}/root/{id}"),
        String::new(),
        format!("{name}/{}", "x".repeat(20_000)),
    ];
    all.extend(
        ["/", "/x", "\0", "\0/x", " ", "\n", "?role=admin", "#admin", "%00"]
            .map(|end| format!("{name}{end}")),
    );
    all.push(format!(" {name}"));
    all.retain(|text| text != name);
    all
}

fn corpus(ca: &TestCa, kind: Kind, what: &str, id: Uuid) -> Vec<(String, Leaf)> {
    let name = format!("spiffe://{}/{what}", ca.install);
    let changed = changes(&name, id).into_iter();
    let mut bad: Vec<(String, Leaf)> =
        changed.map(|(wrong, change)| (wrong, ca.leaf_with(kind, what, 60, change))).collect();
    for other in [Kind::Agent, Kind::Controller, Kind::Operator].into_iter().filter(|other| *other != kind) {
        bad.push((format!("signed as {other:?}"), ca.leaf(other, what, 60)));
    }
    bad.push(("a foreign authority".into(), TestCa::of(ca.install).leaf(kind, what, 60)));
    bad.push(("another installation".into(), TestCa::new().leaf(kind, what, 60)));
    bad.push(("an agent".into(), ca.leaf(Kind::Agent, &format!("agent/{id}"), 60)));
    bad
}

async fn lets_in(agent: &Agent, own: &Credentials) -> bool {
    let mut host = HostServiceClient::new(agent.channel(own));
    host.get_facts(facts_as(&[(ROLE_KEY, "viewer")])).await.is_ok()
}

#[tokio::test]
async fn no_bad_certificate_gets_in() {
    let agent = Agent::start().await;
    let (mut accepted, mut tried) = (Vec::new(), 0);
    for (kind, what) in [(Kind::Operator, "operator/{}/admin"), (Kind::Controller, "controller/{}")] {
        let id = Uuid::new_v4();
        let what = what.replace("{}", &id.to_string());
        let good = agent.ca.leaf(kind, &what, 60).credentials().unwrap();
        assert!(lets_in(&agent, &good).await, "the corpus is made from a good one");
        for (wrong, leaf) in corpus(&agent.ca, kind, &what, id) {
            tried += 1;
            if lets_in(&agent, &leaf.credentials_as(good.identity.clone())).await {
                accepted.push(format!("{kind:?}: {wrong}"));
            }
        }
    }
    assert!(accepted.is_empty(), "{accepted:#?}");
    assert!(tried >= 120, "only {tried}");
}
