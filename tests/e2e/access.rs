//! Who may call what: every method of the contract by every kind of caller, at the controller and at an agent.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hms_proto::access::{self, Audience, Role, role_from_word};
use hms_proto::fault::{Fault, FaultKind};
use hms_proto::identity::{Credentials, Identity, Kind};
use hms_tests::world::{ADMIN, World};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType};
use tokio::time::timeout;

use hms_tests::people::{Party, add_user, log_in};

use crate::support::{agent, call};

/// What a caller sees of a method: let in, refused by rule, or not even past the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    LetIn,
    Refused,
    ShutOut,
}

async fn seen(party: &Party, address: &str, kind: Kind, path: &str) -> Result<Seen> {
    let channel = party.channel(address, kind)?;
    // A stream that is open but silent has let the caller in.
    Ok(match timeout(Duration::from_secs(5), call(&channel, path, Some("asterra"))).await {
        Err(_) | Ok(Ok(())) => Seen::LetIn,
        Ok(Err(fault)) => match fault.kind() {
            FaultKind::Denied | FaultKind::Unauthenticated => Seen::Refused,
            FaultKind::NotFound if fault.message.contains("method") => Seen::Refused,
            FaultKind::Unreachable => Seen::ShutOut,
            FaultKind::Unknown if is_alert(&fault) => Seen::ShutOut,
            _ => Seen::LetIn,
        },
    })
}

/// In TLS 1.3 a refused client certificate shows only when the first answer is read.
fn is_alert(fault: &Fault) -> bool {
    fault.message.contains("transport error") || fault.message.contains("connection")
}

/// Security cases 29 and 86: the table of the contract is what callers meet, cell by cell.
#[tokio::test]
async fn every_method_lets_in_exactly_the_callers_of_its_rule() -> Result<()> {
    let world = World::single().await?;
    let mut people = vec![(Role::Admin, log_in(&world, ADMIN, world.password()).await?)];
    for name in ["operator", "viewer"] {
        let password = add_user(&world, name, name).await?;
        people.push((role_from_word(name).context("a role")?, log_in(&world, name, &password).await?));
    }
    let host = agent(&world, "asterra").await?;
    let stranger = foreign(&people[0].1)?;
    let to_agent = format!("{}:9444", world.controller_host().address());
    let mut cells = 0;
    let mut wrong = Vec::new();
    for (path, rule) in access::rules() {
        for (address, kind) in [(world.grpc(), Kind::Controller), (to_agent.clone(), Kind::Agent)] {
            let here = kind == Kind::Controller || path.starts_with("/hms.host.");
            let mut expect = Vec::new();
            for (role, person) in &people {
                let may = here && rule.audience == Audience::User && rule.allows(*role);
                expect.push((format!("{role:?}"), person, if may { Seen::LetIn } else { Seen::Refused }));
            }
            let renews = kind == Kind::Controller && rule.audience == Audience::Agent;
            let host_seen = match kind {
                Kind::Controller => {
                    if renews {
                        Seen::LetIn
                    } else {
                        Seen::Refused
                    }
                }
                // An agent does not even take the certificate of an agent.
                _ => Seen::ShutOut,
            };
            expect.push(("agent".into(), &host, host_seen));
            expect.push(("foreign admin".into(), &stranger, Seen::ShutOut));
            for (who, party, expected) in expect {
                let got = seen(party, &address, kind, path).await?;
                cells += 1;
                if got != expected {
                    wrong.push(format!("{path} by {who} at the {kind:?}: {got:?}, not {expected:?}"));
                }
            }
        }
    }
    ensure!(wrong.is_empty(), "{} of {cells} cells are wrong:\n{}", wrong.len(), wrong.join("\n"));
    ensure!(cells >= 28 * 2 * 5, "only {cells} cells were looked at");
    Ok(())
}

/// The same names, signed by somebody else: security cases 87 and 88.
fn foreign(like: &Party) -> Result<Party> {
    let ca_key = KeyPair::generate()?;
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = Issuer::new(ca, ca_key);
    let key = KeyPair::generate()?;
    let identity: &Identity = &like.credentials.identity;
    let mut leaf = CertificateParams::default();
    leaf.subject_alt_names = vec![SanType::URI(identity.to_string().try_into()?)];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let certificate = leaf.signed_by(&key, &issuer)?.pem();
    Ok(Party {
        credentials: Credentials::from_pem(&certificate, &key.serialize_pem())?,
        trust: like.trust.clone(),
    })
}

/// Health and reflection are for whoever was let in, and for nobody else.
#[tokio::test]
async fn an_unknown_method_is_refused_and_a_revoked_login_ends() -> Result<()> {
    let world = World::single().await?;
    let admin = log_in(&world, ADMIN, world.password()).await?;
    let channel = admin.channel(&world.grpc(), Kind::Controller)?;
    let unknown = call(&channel, "/hms.host.v1.UnitService/Kill", Some("asterra")).await;
    ensure!(unknown.as_ref().is_err_and(|f| f.kind() == FaultKind::NotFound), "{unknown:?}");
    call(&channel, "/grpc.health.v1.Health/Check", None).await?;
    call(&channel, "/hms.controller.v1.SessionService/WhoAmI", None).await?;

    let mut logs = admin.logs(&world.grpc())?;
    let mut request = tonic::Request::new(hms_proto::host::v1::LogQuery::default());
    request.metadata_mut().insert(hms_proto::HOST_KEY, "asterra".parse()?);
    let mut followed = logs.follow(request).await?.into_inner();

    let mine = world.hmsctl(&["sessions", "list", "-o", "json"]).await?.stdout;
    let mine: serde_json::Value = serde_json::from_str(&mine)?;
    for session in mine["sessions"].as_array().context("sessions")? {
        let current = session["current"].as_bool().unwrap_or_default();
        if !current {
            world.hmsctl(&["sessions", "revoke", session["id"].as_str().context("id")?]).await?;
        }
    }
    let ended = call(&channel, "/hms.controller.v1.SessionService/WhoAmI", None).await;
    ensure!(
        ended.as_ref().is_err_and(|f| f.kind() == FaultKind::Unauthenticated),
        "a revoked login was let in: {ended:?}"
    );
    // Security case 9: what is open already ends within five seconds.
    let cut = timeout(Duration::from_secs(5), async {
        loop {
            match followed.message().await {
                Ok(Some(_)) => {}
                other => break other,
            }
        }
    })
    .await
    .context("the stream is still open")?;
    let status = cut.err().context("the stream ended without a reason")?;
    ensure!(Fault::from_status(&status).kind() == FaultKind::Unauthenticated, "{status:?}");
    Ok(())
}
