//! Every kind of caller against the real server, over real TLS.

#[path = "bad_certificates_tests.rs"]
mod bad_certificates;

use std::net::SocketAddr;

use arc_swap::ArcSwap;
use hms_proto::{
    host::v1::{
        GetFactsRequest, GetUnitRequest, PutRevocationsRequest, RevokedCertificate, UnitActionRequest,
        host_service_client::HostServiceClient, revocation_service_client::RevocationServiceClient,
        unit_service_client::UnitServiceClient,
    },
    identity::{Credentials, client_config, server_config},
    names::Address,
    transport::endpoint,
};
use tokio::net::TcpListener;
use tonic::{Code, Request as Call, transport::Channel};

use super::*;
use crate::testca::TestCa;

struct Agent {
    ca: TestCa,
    address: SocketAddr,
    state: tempfile::TempDir,
    shutdown: CancellationToken,
}

impl Agent {
    async fn start() -> Self {
        let ca = TestCa::new();
        let identity = ca.agent_identity();
        let own = identity.check().unwrap();
        let tls = server_config(&own.trust, &own.credentials, &[Kind::Controller, Kind::Operator]).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = tempfile::tempdir().unwrap();
        let spool = Arc::new(Spool::open(state.path()).unwrap());
        let shutdown = CancellationToken::new();
        let tls = Arc::new(ArcSwap::from_pointee(tls));
        let place = crate::server::Place {
            host: "asterra".into(),
            state: state.path().to_owned(),
            controller: "localhost".into(),
        };
        tokio::spawn(crate::server::serve(listener, tls, spool, place, shutdown.clone()));
        Self { ca, address, state, shutdown }
    }

    fn channel(&self, own: &Credentials) -> Channel {
        let tls = client_config(&self.ca.trust(), own, Kind::Agent, None).unwrap();
        let address = Address::try_from(self.address.to_string().as_str()).unwrap();
        endpoint(&address, Arc::new(ArcSwap::from_pointee(tls)))
    }

    fn operator(&self, role: &str) -> Channel {
        let what = format!("operator/{}/{role}", Uuid::new_v4());
        self.channel(&self.ca.leaf(Kind::Operator, &what, 60).credentials().unwrap())
    }

    fn controller(&self) -> Channel {
        let what = format!("controller/{}", Uuid::new_v4());
        self.channel(&self.ca.leaf(Kind::Controller, &what, 60).credentials().unwrap())
    }
}

async fn facts(channel: Channel) -> Result<(), Status> {
    HostServiceClient::new(channel).get_facts(GetFactsRequest {}).await.map(drop)
}

fn facts_as(metadata: &[(&'static str, &str)]) -> Call<GetFactsRequest> {
    let mut call = Call::new(GetFactsRequest {});
    for (key, value) in metadata {
        call.metadata_mut().append(*key, value.parse().unwrap());
    }
    call
}

/// `Start` of a name that is not one: what gets past the access layer is `InvalidArgument`.
async fn start(channel: Channel, metadata: &[(&'static str, &str)]) -> Code {
    let mut call = Call::new(UnitActionRequest { unit: "../x".into() });
    for (key, value) in metadata {
        call.metadata_mut().append(*key, value.parse().unwrap());
    }
    UnitServiceClient::new(channel).start(call).await.unwrap_err().code()
}

/// Security cases 29 and 86 to 88: who gets through the handshake.
#[tokio::test]
async fn only_controllers_and_operators_of_this_installation_get_in() {
    let agent = Agent::start().await;
    let id = Uuid::new_v4();
    let good = agent.ca.leaf(Kind::Operator, &format!("operator/{id}/viewer"), 60);
    facts(agent.channel(&good.credentials().unwrap())).await.unwrap();
    let identity = good.credentials().unwrap().identity;

    let foreign = TestCa::of(agent.ca.install);
    let mut bad = vec![
        ("an agent", agent.ca.leaf(Kind::Agent, &format!("agent/{id}"), 60)),
        ("expired", agent.ca.leaf(Kind::Operator, &format!("operator/{id}/admin"), -60)),
        ("a foreign authority", foreign.leaf(Kind::Operator, &format!("operator/{id}/admin"), 60)),
        ("an operator signed as an agent", agent.ca.leaf(Kind::Agent, &format!("operator/{id}/admin"), 60)),
        (
            "a controller signed as an operator",
            agent.ca.leaf(Kind::Operator, &format!("controller/{id}"), 60),
        ),
        (
            "an operator signed as a controller",
            agent.ca.leaf(Kind::Controller, &format!("operator/{id}/admin"), 60),
        ),
        ("no such role", agent.ca.leaf(Kind::Operator, &format!("operator/{id}/root"), 60)),
        ("upper case", agent.ca.leaf(Kind::Operator, &format!("Operator/{id}/admin"), 60)),
    ];
    let admin = format!("operator/{id}/admin");
    bad.push(("no name", agent.ca.leaf_with(Kind::Operator, &admin, 60, |p| p.subject_alt_names.clear())));
    bad.push((
        "two names",
        agent.ca.leaf_with(Kind::Operator, &admin, 60, |p| {
            let again = p.subject_alt_names[0].clone();
            p.subject_alt_names.push(again);
        }),
    ));
    bad.push((
        "a DNS name besides",
        agent.ca.leaf_with(Kind::Operator, &admin, 60, |p| {
            p.subject_alt_names.push(rcgen::SanType::DnsName("asterra".try_into().unwrap()));
        }),
    ));
    bad.push((
        "made for servers only",
        agent.ca.leaf_with(Kind::Operator, &admin, 60, |p| {
            p.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
        }),
    ));
    bad.push((
        "an authority itself",
        agent.ca.leaf_with(Kind::Operator, &admin, 60, |p| {
            p.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        }),
    ));
    let other = TestCa::new();
    bad.push(("another installation", other.leaf(Kind::Operator, &admin, 60)));
    for (what, leaf) in bad {
        let error = facts(agent.channel(&leaf.credentials_as(identity.clone()))).await;
        assert!(error.is_err(), "{what} got in");
    }
}

#[tokio::test]
async fn nobody_gets_in_without_a_certificate() {
    let agent = Agent::start().await;
    let mut config = hms_proto::identity::pinned_client_config(|_| true).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let address = Address::try_from(agent.address.to_string().as_str()).unwrap();
    assert!(facts(endpoint(&address, Arc::new(ArcSwap::from_pointee(config)))).await.is_err());
}

/// Security cases 29 and 30: roles are the certificate's, whatever the metadata says.
#[tokio::test]
async fn an_operator_has_the_role_of_its_certificate() {
    let agent = Agent::start().await;
    let claims =
        [(ROLE_KEY, "admin"), (ACTOR_KEY, "root"), ("x-user", "root"), ("authorization", "Bearer x")];
    assert_eq!(start(agent.operator("viewer"), &[]).await, Code::PermissionDenied);
    assert_eq!(start(agent.operator("viewer"), &claims).await, Code::PermissionDenied);
    assert_eq!(start(agent.operator("operator"), &[(ROLE_KEY, "viewer")]).await, Code::InvalidArgument);
    let mut units = UnitServiceClient::new(agent.operator("operator"));
    let enable = units.enable(UnitActionRequest { unit: "../x".into() }).await.unwrap_err();
    assert_eq!(enable.code(), Code::PermissionDenied);
    assert_eq!(start(agent.operator("admin"), &[]).await, Code::InvalidArgument);
}

#[tokio::test]
async fn a_controller_says_for_whom_it_calls() {
    let agent = Agent::start().await;
    let call = async |metadata: &[(&'static str, &str)]| {
        HostServiceClient::new(agent.controller()).get_facts(facts_as(metadata)).await.map(drop)
    };
    call(&[(ROLE_KEY, "viewer"), (ACTOR_KEY, "ada")]).await.unwrap();
    for bad in [
        &[][..],
        &[(ROLE_KEY, "root")],
        &[(ROLE_KEY, "none")],
        &[(ROLE_KEY, "viewer"), (ROLE_KEY, "admin")],
        &[(ROLE_KEY, "viewer"), (ACTOR_KEY, "Ada Lovelace\u{7f}")],
    ] {
        if bad.iter().any(|(_, v)| v.contains('\u{7f}')) {
            continue;
        }
        assert_eq!(call(bad).await.unwrap_err().code(), Code::PermissionDenied, "{bad:?}");
    }
    let controller = agent.controller();
    assert_eq!(start(controller.clone(), &[(ROLE_KEY, "viewer")]).await, Code::PermissionDenied);
    assert_eq!(start(controller, &[(ROLE_KEY, "operator")]).await, Code::InvalidArgument);
}

#[tokio::test]
async fn what_an_operator_does_directly_is_in_the_spool() {
    let agent = Agent::start().await;
    let spool = agent.state.path().join("audit/direct.jsonl");
    start(agent.controller(), &[(ROLE_KEY, "operator")]).await;
    facts(agent.operator("viewer")).await.unwrap();
    assert_eq!(std::fs::read_to_string(&spool).unwrap(), "");
    start(agent.operator("viewer"), &[]).await;
    start(agent.operator("operator"), &[]).await;
    let text = std::fs::read_to_string(&spool).unwrap();
    let lines: Vec<serde_json::Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines.len(), 4, "{text}");
    for (pair, outcome) in lines.chunks(2).zip(["denied", "failed"]) {
        assert_eq!(pair[0]["method"], "/hms.host.v1.UnitService/Start");
        assert_eq!(pair[0]["request"]["unit"], "../x");
        assert_eq!(pair[1]["outcome"], outcome);
        assert_eq!(pair[0]["id"], pair[1]["id"]);
    }
}

#[tokio::test]
async fn health_and_reflection_need_a_viewer() {
    use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
    let agent = Agent::start().await;
    let check = async |channel| HealthClient::new(channel).check(HealthCheckRequest::default()).await;
    check(agent.operator("viewer")).await.unwrap();
    assert_eq!(check(agent.controller()).await.unwrap_err().code(), Code::PermissionDenied);
}

#[tokio::test]
async fn a_stream_ends_with_the_certificate_and_with_the_agent() {
    let agent = Agent::start().await;
    let watch = async |seconds| {
        let what = format!("operator/{}/viewer", Uuid::new_v4());
        let own = agent.ca.leaf(Kind::Operator, &what, seconds).credentials().unwrap();
        let mut host = HostServiceClient::new(agent.channel(&own));
        host.watch_metrics(hms_proto::host::v1::WatchMetricsRequest::default()).await.unwrap().into_inner()
    };
    let mut short = watch(3).await;
    let ended = loop {
        if let Err(status) = short.message().await {
            break status;
        }
    };
    assert_eq!(ended.code(), Code::Unauthenticated, "{ended:?}");
    let mut long = watch(600).await;
    long.message().await.unwrap().unwrap();
    agent.shutdown.cancel();
    let ended = loop {
        if let Err(status) = long.message().await {
            break status;
        }
    };
    assert_eq!(ended.code(), Code::Unavailable, "{ended:?}");
}

/// Security case 91: whoever was revoked is cut off, on connections that are open and in streams; nobody else is.
#[tokio::test]
async fn a_revoked_certificate_is_refused_and_its_streams_end() {
    let agent = Agent::start().await;
    let leaf = || agent.ca.leaf(Kind::Operator, &format!("operator/{}/admin", Uuid::new_v4()), 600);
    let (bad, good) = (leaf().credentials().unwrap(), leaf().credentials().unwrap());
    let serial = hms_proto::identity::serial_of(&bad.certificate).unwrap();
    let (channel, other) = (agent.channel(&bad), agent.channel(&good));
    let watch = async |channel| {
        let watch = hms_proto::host::v1::WatchMetricsRequest::default();
        HostServiceClient::new(channel).watch_metrics(watch).await.unwrap().into_inner()
    };
    let (mut stream, mut others) = (watch(channel.clone()).await, watch(other.clone()).await);
    stream.message().await.unwrap().unwrap();
    let revoke = async |channel: Channel, metadata: &[(&'static str, &str)]| {
        let certificate = RevokedCertificate { serial: serial.clone(), ends_usec: i64::MAX };
        let mut call = Call::new(PutRevocationsRequest { certificates: vec![certificate] });
        for (key, value) in metadata {
            call.metadata_mut().append(*key, value.parse().unwrap());
        }
        RevocationServiceClient::new(channel).put(call).await.map(drop)
    };
    assert_eq!(revoke(other.clone(), &[]).await.unwrap_err().code(), Code::PermissionDenied);
    facts(channel.clone()).await.unwrap();
    revoke(agent.controller(), &[(ROLE_KEY, "admin"), (ACTOR_KEY, "controller")]).await.unwrap();
    assert_eq!(facts(channel).await.unwrap_err().code(), Code::Unauthenticated);
    assert_eq!(facts(agent.channel(&bad)).await.unwrap_err().code(), Code::Unauthenticated);
    let ended = loop {
        if let Err(status) = stream.message().await {
            break status;
        }
    };
    assert_eq!(ended.code(), Code::Unauthenticated, "{ended:?}");
    facts(other).await.unwrap();
    others.message().await.unwrap().unwrap();
}

#[test]
fn every_method_of_the_contract_is_decided_by_its_rule() {
    let peer = |kind, role| Peer {
        identity: Identity { install: Uuid::nil(), kind, id: Uuid::nil(), role },
        address: "10.0.0.1:1".parse().unwrap(),
        certificate_ends: 100,
        certificate_serial: String::new(),
    };
    let none = HeaderMap::new();
    for (path, rule) in access::rules() {
        let is_ours = path.starts_with("/hms.host.");
        assert!(decide(path, None, &none, 0).is_err());
        assert!(decide(path, Some(&peer(Kind::Agent, None)), &none, 0).is_err());
        assert!(decide(path, Some(&peer(Kind::Controller, None)), &none, 0).is_err());
        assert!(decide(path, Some(&peer(Kind::Operator, None)), &none, 0).is_err());
        for role in [Role::Viewer, Role::Operator, Role::Admin] {
            let operator = peer(Kind::Operator, Some(role));
            assert_eq!(
                decide(path, Some(&operator), &none, 0).is_ok(),
                is_ours && rule.allows(role),
                "{path}"
            );
            assert!(decide(path, Some(&operator), &none, 100).is_err(), "expired: {path}");
        }
    }
    let admin = peer(Kind::Operator, Some(Role::Admin));
    for path in ["", "/", "/hms.host.v1.UnitService/Kill", "/hms.host.v1.unitservice/List", "/x.Y/Z"] {
        assert!(decide(path, Some(&admin), &none, 0).is_err(), "{path}");
    }
}

#[tokio::test]
async fn an_unknown_method_is_refused() {
    let agent = Agent::start().await;
    let mut units = UnitServiceClient::new(agent.operator("viewer"));
    let bad = units.get(GetUnitRequest { unit: "-H".into() }).await.unwrap_err();
    assert_eq!(bad.code(), Code::InvalidArgument);
    let mut fleet = hms_proto::controller::v1::enrollment_service_client::EnrollmentServiceClient::new(
        agent.operator("admin"),
    );
    assert_eq!(
        fleet.renew(hms_proto::controller::v1::RenewRequest::default()).await.unwrap_err().code(),
        Code::NotFound
    );
}
