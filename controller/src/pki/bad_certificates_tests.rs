//! Bad certificates at every port (security cases 29, 86 to 88): generated for each kind of party, and none gets in.

use std::net::SocketAddr;

use hms_proto::{
    controller::v1::{
        GetAccountRequest, RenewRequest, account_service_client::AccountServiceClient,
        enrollment_service_client::EnrollmentServiceClient,
    },
    names::{Address, HostName},
    transport::endpoint,
};
use rcgen::{CertificateParams, KeyPair};
use rustls::{
    client::ResolvesClientCert,
    pki_types::{PrivateKeyDer, ServerName, pem::PemObject as _},
    sign::{CertifiedKey, SingleCertAndKey},
};
use tokio::net::TcpListener;

use super::{
    bad_certificates::{Bad, Corpus, Shown},
    *,
};
use crate::{
    api, counts,
    db::sessions::{self, NewSession, Proof},
    jobs::tests::controller,
    state::State,
};

type Test = anyhow::Result<()>;

/// Shows no certificate.
#[derive(Debug)]
struct Nothing;

impl ResolvesClientCert for Nothing {
    fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

fn certified(shown: &Shown) -> Arc<SingleCertAndKey> {
    let key = PrivateKeyDer::from_pem_slice(shown.key.as_bytes()).unwrap();
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).unwrap();
    Arc::new(SingleCertAndKey::from(CertifiedKey::new(shown.chain.clone(), key)))
}

/// A client that checks its server as a party of HMS does, and shows whatever it likes.
fn client(authority: &Authority, server: Kind, shown: Option<&Shown>) -> ClientConfig {
    let own = authority.own.load();
    let mut config = client_config(&authority.trust, &own.party, server, None).unwrap();
    config.client_auth_cert_resolver = match shown {
        Some(shown) => certified(shown),
        None => Arc::new(Nothing),
    };
    config
}

/// The end of a handshake says whether both took each other's certificates.
async fn handshake(server: Arc<ServerConfig>, client: ClientConfig) -> std::io::Result<()> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let (near, far) = tokio::io::duplex(64 * 1024);
    let accepting = async move {
        let mut stream = tokio_rustls::TlsAcceptor::from(server).accept(far).await?;
        stream.write_all(b"x").await?;
        stream.flush().await?;
        Ok::<_, std::io::Error>(stream)
    };
    let connecting = async move {
        let name = ServerName::try_from("asterra").unwrap();
        let mut stream = tokio_rustls::TlsConnector::from(Arc::new(client)).connect(name, near).await?;
        stream.read_u8().await
    };
    let (accepted, connected) = tokio::join!(accepting, connecting);
    accepted?;
    connected.map(drop)
}

/// The controller's mTLS port, as it is served.
struct Port {
    state: State,
    address: SocketAddr,
}

impl Port {
    async fn open(pool: &PgPool) -> anyhow::Result<Self> {
        let state = controller(pool).await?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (gate, core) = (state.gate.clone(), state.core.clone());
        tokio::spawn(api::grpc::serve(gate, core, listener, std::future::pending()));
        Ok(Self { state, address })
    }

    /// Whether a call of a person's, or of an agent's, was answered.
    async fn lets_in(&self, shown: Option<&Shown>) -> anyhow::Result<bool> {
        let config = client(&self.state.pki, Kind::Controller, shown);
        let address = Address::try_from(self.address.to_string().as_str())?;
        let channel = endpoint(&address, Arc::new(ArcSwap::from_pointee(config)));
        let person = AccountServiceClient::new(channel.clone()).get(GetAccountRequest {}).await;
        let csr = CertificateParams::default().serialize_request(&KeyPair::generate()?)?.pem()?;
        let agent = EnrollmentServiceClient::new(channel).renew(RenewRequest { csr }).await;
        Ok(person.is_ok() || agent.is_ok())
    }

    /// A person with a session for this certificate: if the certificate were good, so would be the call.
    async fn log_in(&self, user: Uuid, shown: &Shown, life: TimeDelta) -> anyhow::Result<Uuid> {
        let serial = hms_proto::identity::serial_of(&shown.chain[0]).unwrap_or_default();
        let begun = Utc::now() - TimeDelta::days(1);
        let session = NewSession {
            user,
            proof: Proof::Cli(serial),
            now: begun,
            expires: Utc::now() + life,
            address: String::new(),
            user_agent: "",
        };
        Ok(sessions::begin(&self.state.db, &session).await?)
    }

    async fn host(&self, name: &str, shown: &Shown) -> anyhow::Result<Uuid> {
        let db = &self.state.db;
        let host = db::hosts::add(db, &HostName::try_from(name)?, &Address::try_from("127.0.0.1:1")?).await?;
        self.join(host.id, shown).await?;
        Ok(host.id)
    }

    /// Notes a certificate as that of a host.
    async fn join(&self, host: Uuid, shown: &Shown) -> Test {
        let serial = hms_proto::identity::serial_of(&shown.chain[0]).unwrap_or_default();
        db::hosts::joined(&self.state.db, host, &serial, Utc::now() + TimeDelta::hours(1)).await?;
        Ok(())
    }
}

/// A corpus for a party of this kind, with what the good one of it looks like.
fn corpus(authority: &Authority, kind: Kind, id: Uuid) -> (Shown, Vec<Bad>) {
    let issuers = &authority.issuers;
    let of = |kind| match kind {
        Kind::Agent => &issuers.agent,
        Kind::Controller => &issuers.controller,
        Kind::Operator => &issuers.operator,
    };
    let others = [Kind::Agent, Kind::Controller, Kind::Operator].into_iter().filter(|other| *other != kind);
    let others = others.map(of).chain([&issuers.web]).map(|signing| &signing.issuer).collect();
    let corpus = Corpus { install: authority.install, kind, id, issuer: &of(kind).issuer, others };
    (corpus.good(), corpus.bad())
}

/// Security cases 29, 86 and 87: the controller's port, over real TLS. Sessions and hosts are there for every one of them.
#[sqlx::test(migrations = "../migrations")]
async fn no_bad_certificate_gets_into_the_controllers_port(pool: PgPool) -> Test {
    let port = Port::open(&pool).await?;
    let user = db::users::add(&pool, "ada", Role::Admin, "x").await?.id;
    let (good, bad) = corpus(&port.state.pki, Kind::Operator, user);
    port.log_in(user, &good, TimeDelta::hours(1)).await?;
    assert!(port.lets_in(Some(&good)).await?, "the corpus is made from a good one");
    let mut accepted = Vec::new();
    for (what, shown) in &bad {
        // Two with one serial have one session.
        port.log_in(user, shown, TimeDelta::hours(1)).await.ok();
        if port.lets_in(Some(shown)).await? {
            accepted.push(format!("a person: {what}"));
        }
    }
    let host = Uuid::now_v7();
    let (first, _) = corpus(&port.state.pki, Kind::Agent, host);
    let host = port.host("asterra", &first).await?;
    let (good, worse) = corpus(&port.state.pki, Kind::Agent, host);
    for (what, shown) in &worse {
        port.join(host, shown).await?;
        if port.lets_in(Some(shown)).await? {
            accepted.push(format!("an agent: {what}"));
        }
    }
    port.join(host, &good).await?;
    assert!(port.lets_in(Some(&good)).await?, "the corpus is made from a good one");
    assert!(!port.lets_in(None).await?, "no certificate");
    let (controller, _) = corpus(&port.state.pki, Kind::Controller, user);
    assert!(!port.lets_in(Some(&controller)).await?, "a controller");
    assert!(accepted.is_empty(), "{accepted:#?}");
    assert!(bad.len() >= 60 && worse.len() >= 60, "only {} and {}", bad.len(), worse.len());
    counts::tell("bad certificates at the controller's port", bad.len() + worse.len() + 2, 0);
    Ok(())
}

/// Security cases 9 and 91: certificates that are good, of sessions and hosts that are not any more.
#[sqlx::test(migrations = "../migrations")]
async fn no_certificate_outlives_its_session_or_host(pool: PgPool) -> Test {
    let port = Port::open(&pool).await?;
    let hour = TimeDelta::hours(1);
    let mut users = Vec::new();
    for name in ["revoked", "disabled", "ended", "never", "eve"] {
        users.push(db::users::add(&pool, name, Role::Admin, "x").await?.id);
    }
    let shown: Vec<Shown> = users.iter().map(|id| corpus(&port.state.pki, Kind::Operator, *id).0).collect();
    let session = port.log_in(users[0], &shown[0], hour).await?;
    port.log_in(users[1], &shown[1], hour).await?;
    port.log_in(users[2], &shown[2], -hour).await?;
    // The session of one certificate, and the name of somebody else in it.
    port.log_in(users[0], &shown[4], hour).await?;
    for good in &shown[..2] {
        assert!(port.lets_in(Some(good)).await?, "good until something happens");
    }
    sessions::revoke(&pool, users[0], session, Utc::now()).await?;
    db::users::set_disabled(&mut *pool.acquire().await?, "disabled", true).await?;
    for (n, what) in
        ["revoked", "disabled", "ended", "without a session", "of somebody else"].iter().enumerate()
    {
        assert!(!port.lets_in(Some(&shown[n])).await?, "a person: {what}");
    }
    let nobody = corpus(&port.state.pki, Kind::Agent, Uuid::now_v7()).0;
    assert!(!port.lets_in(Some(&nobody)).await?, "an agent of no host");
    let (first, _) = corpus(&port.state.pki, Kind::Agent, Uuid::now_v7());
    let host = port.host("asterra", &first).await?;
    let agent = corpus(&port.state.pki, Kind::Agent, host).0;
    assert!(!port.lets_in(Some(&agent)).await?, "an agent's of before it joined anew");
    port.join(host, &agent).await?;
    assert!(port.lets_in(Some(&agent)).await?);
    db::hosts::remove(&pool, &HostName::try_from("asterra")?).await?;
    assert!(!port.lets_in(Some(&agent)).await?, "an agent of a host that was removed");
    counts::tell("certificates that were good once", 8, 0);
    Ok(())
}

/// Security cases 86 and 87: the TLS of an agent's port, and of both who call servers.
#[sqlx::test(migrations = "../migrations")]
async fn no_bad_certificate_passes_a_handshake_anywhere(pool: PgPool) -> Test {
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let authority = Authority::open(&pool, Arc::new(Sealer::new([7; 32])), &["asterra".into()]).await?;
    let id = Uuid::new_v4();
    let (agent, bad_agents) = corpus(&authority, Kind::Agent, id);
    let (controller, bad_controllers) = corpus(&authority, Kind::Controller, id);
    let (operator, bad_operators) = corpus(&authority, Kind::Operator, id);
    let own = agent.credentials()?;
    let agents_port = Arc::new(server_config(&authority.trust, &own, &[Kind::Controller, Kind::Operator])?);
    let (mut accepted, mut cells) = (Vec::new(), 0);
    for (good, bad) in [(&controller, &bad_controllers), (&operator, &bad_operators)] {
        handshake(agents_port.clone(), client(&authority, Kind::Agent, Some(good))).await?;
        for (what, shown) in bad {
            cells += 1;
            if handshake(agents_port.clone(), client(&authority, Kind::Agent, Some(shown))).await.is_ok() {
                accepted.push(format!("at an agent's port: {what}"));
            }
        }
    }
    for stranger in [None, Some(&agent)] {
        assert!(handshake(agents_port.clone(), client(&authority, Kind::Agent, stranger)).await.is_err());
    }
    // And the other way round: who calls looks at the server as hard.
    for (kind, good, bad) in
        [(Kind::Agent, &agent, &bad_agents), (Kind::Controller, &controller, &bad_controllers)]
    {
        let whom = good.credentials()?.identity;
        let party = authority.own.load();
        let caller = || client_config(&authority.trust, &party.party, kind, Some(whom.clone()));
        let server = |shown: &Shown| {
            let accept = [Kind::Controller, Kind::Operator, Kind::Agent];
            let mut config = server_config(&authority.trust, &own, &accept).unwrap();
            config.cert_resolver = certified(shown);
            Arc::new(config)
        };
        handshake(server(good), caller()?).await?;
        for (what, shown) in bad {
            cells += 1;
            if handshake(server(shown), caller()?).await.is_ok() {
                accepted.push(format!("by who calls a {kind:?}: {what}"));
            }
        }
        let (another, _) = corpus(&authority, kind, Uuid::new_v4());
        assert!(handshake(server(&another), caller()?).await.is_err(), "another {kind:?}");
    }
    assert!(accepted.is_empty(), "{accepted:#?}");
    counts::tell("bad certificates at an agent's port, and shown by servers", cells, accepted.len());
    Ok(())
}

/// The HTTPS port asks for no certificate: none counts there.
#[sqlx::test(migrations = "../migrations")]
async fn the_web_port_asks_for_no_certificate(pool: PgPool) -> Test {
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let authority = Authority::open(&pool, Arc::new(Sealer::new([7; 32])), &["asterra".into()]).await?;
    let (good, _) = corpus(&authority, Kind::Operator, Uuid::new_v4());
    let (near, far) = tokio::io::duplex(64 * 1024);
    let server = authority.web_server()?;
    let root = authority.root_hash();
    let mut client =
        hms_proto::identity::pinned_client_config(move |der| Sha256::digest(der).as_slice() == root)?;
    client.client_auth_cert_resolver = certified(&good);
    let connecting = tokio_rustls::TlsConnector::from(Arc::new(client));
    let name = ServerName::try_from("asterra")?;
    let (accepted, connected) =
        tokio::join!(tokio_rustls::TlsAcceptor::from(server).accept(far), connecting.connect(name, near));
    connected?;
    let stream = accepted?;
    assert!(stream.get_ref().1.peer_certificates().is_none(), "a certificate was asked for");
    Ok(())
}
