//! What the authority signs, and what it refuses to.

use hms_proto::identity::{pinned_client_config, validity_of};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose as Eku, IsCa, KeyPair,
    PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ECDSA_P521_SHA512, PKCS_ED25519, PKCS_RSA_SHA256,
    RsaKeySize, SanType,
};
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::*;

type Test = Result<(), Box<dyn std::error::Error>>;

async fn authority(pool: &PgPool) -> Authority {
    let sealer = Arc::new(Sealer::new([7; 32]));
    Authority::open(pool, sealer, &["asterra".into(), "10.213.0.10".into()]).await.unwrap()
}

fn csr(key: &KeyPair) -> String {
    CertificateParams::default().serialize_request(key).unwrap().pem().unwrap()
}

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

#[sqlx::test(migrations = "../migrations")]
async fn the_authority_is_made_once_and_its_keys_are_sealed(pool: PgPool) -> Test {
    let sealer = Arc::new(Sealer::new([7; 32]));
    let opens = (0..4).map(|_| Authority::open(&pool, sealer.clone(), &[]));
    let all = futures_util::future::try_join_all(opens).await?;
    assert!(all.iter().all(|a| a.root_hash() == all[0].root_hash() && a.bundle() == all[0].bundle()));
    let text: Vec<String> = sqlx::query_scalar("SELECT certificate || key_sealed FROM certificate_authority")
        .fetch_all(&pool)
        .await?;
    assert_eq!(text.len(), 5);
    assert!(text.iter().all(|t| t.contains("hms1:") && !t.contains("PRIVATE")));
    let other = Authority::open(&pool, Arc::new(Sealer::new([8; 32])), &[]).await.unwrap_err();
    assert!(other.to_string().contains("cannot be opened"), "{other}");
    assert_eq!(db::authority::root(&pool).await?.unwrap(), all[0].bundle().root);
    Ok(())
}

/// Security case 82: the key of one issuer does not open as that of another.
#[sqlx::test(migrations = "../migrations")]
async fn swapped_keys_do_not_open(pool: PgPool) -> Test {
    authority(&pool).await;
    let swap = "UPDATE certificate_authority a SET key_sealed = b.key_sealed FROM certificate_authority b
        WHERE (a.kind, b.kind) IN (('agent', 'operator'), ('operator', 'agent'))";
    sqlx::query(swap).execute(&pool).await?;
    assert!(Authority::open(&pool, Arc::new(Sealer::new([7; 32])), &[]).await.is_err());
    Ok(())
}

#[sqlx::test(migrations = "../migrations")]
async fn issuers_sign_leaves_only(pool: PgPool) -> Test {
    let authority = authority(&pool).await;
    let bundle = authority.bundle();
    for (pem, pathlen) in [
        (&bundle.root, 1),
        (&bundle.agent_issuer, 0),
        (&bundle.controller_issuer, 0),
        (&bundle.operator_issuer, 0),
    ] {
        let der = der(pem);
        let (_, parsed) = X509Certificate::from_der(&der)?;
        let basic = parsed.basic_constraints()?.unwrap();
        assert!(basic.critical && basic.value.ca);
        assert_eq!(basic.value.path_len_constraint, Some(pathlen));
        let usage = parsed.key_usage()?.unwrap().value;
        assert!(usage.key_cert_sign() && usage.crl_sign() && !usage.digital_signature());
        let years = (parsed.validity().not_after.timestamp() - Utc::now().timestamp()) / 31_557_600;
        assert_eq!(years, 9, "ten years from now, almost");
    }
    Ok(())
}

#[sqlx::test(migrations = "../migrations")]
async fn leaves_say_what_we_decided(pool: PgPool) -> Test {
    let authority = authority(&pool).await;
    let (host, user, now) = (Uuid::new_v4(), Uuid::new_v4(), Utc::now());
    for kind in [&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384, &PKCS_ED25519] {
        let key = KeyPair::generate_for(kind)?;
        let agent = authority.issue_agent(&csr(&key), host, now)?;
        let der = der(&agent.certificate);
        assert_eq!(
            Identity::of_certificate(&der)?.to_string(),
            format!("spiffe://{}/agent/{host}", authority.install())
        );
        let (begins, ends) = validity_of(&der)?;
        assert_eq!((now.timestamp() - begins, ends - now.timestamp()), (300, 24 * 3600));
        assert_eq!(agent.expires.timestamp(), ends);
        let (_, parsed) = X509Certificate::from_der(&der)?;
        let eku = parsed.extended_key_usage()?.unwrap().value;
        assert!(eku.client_auth && eku.server_auth);
        assert_eq!(parsed.raw_serial_as_string().replace(':', ""), agent.serial);
        assert_eq!(parsed.public_key().raw, rcgen::PublicKeyData::subject_public_key_info(&key));
    }
    let key = KeyPair::generate()?;
    let operator = authority.issue_operator(&csr(&key), user, Role::Operator, now)?;
    let der = der(&operator.certificate);
    let (_, parsed) = X509Certificate::from_der(&der)?;
    let eku = parsed.extended_key_usage()?.unwrap().value;
    assert!(eku.client_auth && !eku.server_auth);
    assert!(Identity::of_certificate(&der)?.to_string().ends_with(&format!("/operator/{user}/operator")));
    assert_eq!(validity_of(&der)?.1 - now.timestamp(), 12 * 3600);
    Ok(())
}

/// Security case 89.
#[sqlx::test(migrations = "../migrations")]
async fn a_hostile_request_gets_its_key_signed_and_nothing_else(pool: PgPool) -> Test {
    let authority = authority(&pool).await;
    let (host, key) = (Uuid::new_v4(), KeyPair::generate()?);
    let mut wish = CertificateParams::new(vec!["hosting.example.org".to_owned(), "10.0.0.1".to_owned()])?;
    let other = format!("spiffe://{}/controller/{}", authority.install(), Uuid::new_v4());
    wish.subject_alt_names.push(SanType::URI(other.try_into()?));
    wish.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    wish.extended_key_usages = vec![Eku::Any, Eku::CodeSigning];
    wish.distinguished_name.push(DnType::CommonName, "\u{1b}[2Jroot\r\nadmin");
    let issued = authority.issue_agent(&wish.serialize_request(&key)?.pem()?, host, Utc::now())?;
    let der = der(&issued.certificate);
    assert_eq!(Identity::of_certificate(&der)?.id, host);
    let (_, parsed) = X509Certificate::from_der(&der)?;
    assert_eq!(parsed.subject_alternative_name()?.unwrap().value.general_names.len(), 1);
    assert!(!parsed.is_ca());
    assert_eq!(parsed.subject().to_string(), "CN=hms");
    assert!(!parsed.extended_key_usage()?.unwrap().value.any);
    assert!(validity_of(&der)?.1 <= Utc::now().timestamp() + 24 * 3600);
    Ok(())
}

/// Security case 89.
#[sqlx::test(migrations = "../migrations")]
async fn keys_and_requests_of_other_kinds_are_refused(pool: PgPool) -> Test {
    let authority = authority(&pool).await;
    let refused = |pem: &str| match authority.issue_agent(pem, Uuid::nil(), Utc::now()) {
        Err(PkiError::Csr(error)) => error,
        other => panic!("{other:?}"),
    };
    let rsa = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?;
    assert_eq!(refused(&csr(&rsa)), CsrError::Key);
    assert_eq!(refused(&csr(&KeyPair::generate_for(&PKCS_ECDSA_P521_SHA512)?)), CsrError::Key);

    let key = KeyPair::generate()?;
    let good = csr(&key);
    let request = rustls::pki_types::CertificateSigningRequestDer::from_pem_slice(good.as_bytes())?;
    let pem = |der: &[u8]| {
        use base64::Engine as _;
        let text = base64::engine::general_purpose::STANDARD.encode(der);
        format!("-----BEGIN CERTIFICATE REQUEST-----\n{text}\n-----END CERTIFICATE REQUEST-----\n")
    };
    for at in 0..request.len() {
        let mut changed = request.to_vec();
        changed[at] ^= 1;
        // A bit outside of what is signed may be read past; the key must then be the very one that signed.
        if let Ok(issued) = authority.issue_agent(&pem(&changed), Uuid::nil(), Utc::now()) {
            let der = der(&issued.certificate);
            let (_, parsed) = X509Certificate::from_der(&der)?;
            assert_eq!(
                parsed.public_key().raw,
                rcgen::PublicKeyData::subject_public_key_info(&key),
                "byte {at}"
            );
        }
    }
    for cut in 0..request.len() {
        refused(&pem(&request[..cut]));
    }
    assert_eq!(refused(&pem(&[&request[..], b"more"].concat())), CsrError::Unreadable);
    assert_eq!(refused(&"x".repeat(20_000)), CsrError::Size);
    assert_eq!(refused(""), CsrError::Unreadable);
    assert_eq!(refused(&authority.bundle().root), CsrError::Unreadable);
    Ok(())
}

async fn handshake(server: Arc<ServerConfig>, client: ClientConfig, name: &str) -> std::io::Result<()> {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let accepting =
        tokio::spawn(async move { tokio_rustls::TlsAcceptor::from(server).accept(far).await.map(drop) });
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let connected = tokio_rustls::TlsConnector::from(Arc::new(client)).connect(name, near).await?;
    accepting.await.unwrap()?;
    drop(connected);
    Ok(())
}

#[sqlx::test(migrations = "../migrations")]
async fn the_web_port_is_trusted_by_who_knows_the_hash_of_the_root(pool: PgPool) -> Test {
    let authority = authority(&pool).await;
    let root = authority.root_hash();
    let pinned = move |hash: [u8; 32]| {
        pinned_client_config(move |der| Sha256::digest(der).as_slice() == hash).unwrap()
    };
    for name in ["asterra", "10.213.0.10", "localhost", "127.0.0.1"] {
        handshake(authority.web_server()?, pinned(root), name).await?;
    }
    assert!(handshake(authority.web_server()?, pinned(root), "elsewhere").await.is_err());
    assert!(handshake(authority.web_server()?, pinned([0; 32]), "asterra").await.is_err());
    assert!(matches!(web_names(&["*.example.org".into()]), Err(PkiError::Name(_))));
    Ok(())
}

/// Security case 86: each port lets in whom it is for.
#[sqlx::test(migrations = "../migrations")]
async fn certificates_open_the_ports_they_are_for(pool: PgPool) -> Test {
    let authority = authority(&pool).await;
    let key = KeyPair::generate()?;
    let (host, now) = (Uuid::new_v4(), Utc::now());
    let server = authority.grpc_server()?;
    let hello = async |certificate: &str| {
        let own = Credentials::from_pem(certificate, &key.serialize_pem()).unwrap();
        let client = client_config(&authority.trust, &own, Kind::Controller, None).unwrap();
        handshake(server.load_full(), client, "asterra").await
    };
    let agent = authority.issue_agent(&csr(&key), host, now)?;
    let operator = authority.issue_operator(&csr(&key), host, Role::Viewer, now)?;
    hello(&agent.certificate).await?;
    hello(&operator.certificate).await?;
    let old = authority.issue_operator(&csr(&key), host, Role::Viewer, now - TimeDelta::hours(13))?;
    assert!(hello(&old.certificate).await.is_err(), "expired");
    let early = authority.issue_operator(&csr(&key), host, Role::Viewer, now + TimeDelta::hours(1))?;
    assert!(hello(&early.certificate).await.is_err(), "not yet");
    let forged = Purpose::Caller(Identity::of_certificate(&der(&operator.certificate))?.to_string());
    let forged = leaf::issue(&forged, &key, &authority.issuers.agent.issuer, now, now + PARTY_LIFE)?;
    assert!(hello(&forged.certificate).await.is_err(), "an operator by the issuer of agents");
    Ok(())
}

#[sqlx::test(migrations = "../migrations")]
async fn renewal_reaches_connections_that_are_made_later(pool: PgPool) -> Test {
    let authority = authority(&pool).await;
    let host = Uuid::new_v4();
    let whom = Identity { install: authority.install(), kind: Kind::Agent, id: host, role: None };
    let client = authority.agent_client(whom)?;
    drop(authority.agent_client(Identity {
        install: authority.install(),
        kind: Kind::Agent,
        id: host,
        role: None,
    })?);
    let (server, before) = (authority.grpc_server()?, client.load_full());
    let (old_server, old_web) = (server.load_full(), authority.web_server()?);
    assert!(authority.renew_in() > Duration::from_secs(11 * 3600));
    authority.renew_at(Utc::now() + TimeDelta::hours(12))?;
    assert!(!Arc::ptr_eq(&before, &client.load_full()) && !Arc::ptr_eq(&old_server, &server.load_full()));
    assert!(Arc::ptr_eq(&old_web, &authority.web_server()?), "browsers may know this one");
    authority.renew_at(Utc::now() + TimeDelta::days(46))?;
    assert!(!Arc::ptr_eq(&old_web, &authority.web_server()?));
    assert_eq!(authority.clients.lock().unwrap().len(), 1);
    Ok(())
}
