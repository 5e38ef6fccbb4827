//! Logins, sessions and tokens against a real database.

use std::{net::IpAddr, time::Instant};

use hms_proto::{
    Role,
    identity::{Identity, Kind},
    transport::Peer,
};

use super::{clock::Hand, operator::operator_at, *};

type Test = Result<(), Box<dyn std::error::Error>>;

const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
const AWAY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 9));

fn right() -> Password {
    Password::new("a perfectly fine one".into())
}

fn wrong() -> Password {
    Password::new("a perfectly wrong one".into())
}

impl Auth {
    /// Logs a browser in that needs no second factor.
    async fn browser(
        &self,
        name: &str,
        password: &Password,
        from: IpAddr,
        agent: &str,
    ) -> Result<web::Token, Fault> {
        match self.web_login(name, password, from, agent).await? {
            web::Entered::Session(token) => Ok(token),
            web::Entered::CodeNeeded(_) => Err(Fault::new(FaultKind::ProofNeeded, "a code")),
        }
    }
}

/// An installation with one user, `ada`, whose clock stands in `hand`.
async fn installation(pool: &PgPool) -> (Auth, Hand) {
    let hand = Hand::default();
    let auth = Auth::with(pool, Arc::new(Sealer::new([7; 32])), hand.clock()).await.unwrap();
    let hash = auth.passwords.hash(&right()).await.unwrap();
    db::users::add(pool, "ada", Role::Admin, &hash).await.unwrap();
    (auth, hand)
}

/// Security case 12.
#[sqlx::test(migrations = "../migrations")]
async fn who_has_no_account_and_who_is_wrong_get_one_answer(pool: PgPool) -> Test {
    let (auth, _) = installation(&pool).await;
    let hash = auth.passwords.hash(&right()).await?;
    db::users::add(&pool, "off", Role::Admin, &hash).await?;
    db::users::set_disabled(&mut *pool.acquire().await?, "off", true).await?;
    let mut answers = Vec::new();
    for (name, password) in [
        ("ada", wrong()),
        ("nobody", right()),
        ("off", right()),
        ("off", wrong()),
        ("ADA", right()),
        ("", right()),
        ("ada\r\nhasroot=1", right()),
        ("ada\0", right()),
        ("' OR '1'='1", right()),
        ("ada", Password::new(String::new())),
    ] {
        answers.push(auth.browser(name, &password, HOME, "").await.unwrap_err());
    }
    assert!(answers.iter().all(|a| *a == answers[0]), "{answers:?}");
    assert_eq!(answers[0].kind(), FaultKind::Unauthenticated);
    assert!(auth.browser("ada", &right(), HOME, "").await.is_ok());
    let records = db::audit::recent(&pool, 99).await?;
    assert_eq!(records.len(), 11);
    let text = format!("{records:?}");
    assert!(!text.contains("hasroot") && !text.contains("perfectly") && !text.contains("nobody"), "{text}");
    assert!(records[0].outcome == "ok" && records[1..].iter().all(|r| r.outcome == "denied"));
    Ok(())
}

/// Security case 12: the time tells nothing either. Medians of runs in pairs, on a machine that may be busy with something
/// else: one quiet series shows it, and a difference in the code would be in each of them. With `HMS_LONG`, long series, 5 %.
#[sqlx::test(migrations = "../migrations")]
async fn an_unknown_user_takes_as_long_as_a_known_one(pool: PgPool) -> Test {
    let (auth, hand) = installation(&pool).await;
    let (runs, apart) = if std::env::var_os("HMS_LONG").is_some() { (2000, 0.05) } else { (40, 0.2) };
    let mut seen = Vec::new();
    for _ in 0..3 {
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..runs {
            // In an order that is tossed for: what else the machine does in a rhythm must not meet the same one each time.
            let first = usize::from(rand::random::<bool>());
            for at in [first, 1 - first] {
                hand.advance(TimeDelta::minutes(10));
                let begun = Instant::now();
                assert!(auth.browser(["ada", "eve"][at], &wrong(), HOME, "").await.is_err());
                times[at].push(begun.elapsed());
            }
        }
        let [known, unknown] = times.map(|mut times| {
            times.sort();
            times[times.len() / 2].as_secs_f64()
        });
        if (known - unknown).abs() / known < apart {
            let what =
                format!("logins of somebody and of nobody: medians more than {} % apart", apart * 100.0);
            crate::counts::tell(&what, 2 * runs, 0);
            return Ok(());
        }
        seen.push((known, unknown));
    }
    panic!("medians, known and unknown: {seen:?}");
}

/// Security case 13.
#[sqlx::test(migrations = "../migrations")]
async fn guesses_are_throttled_and_say_when_to_come_back(pool: PgPool) -> Test {
    let (auth, hand) = installation(&pool).await;
    let mut kinds = Vec::new();
    for n in 0..12u8 {
        let from = IpAddr::from([203, 0, 113, n]);
        kinds.push(auth.browser("ada", &wrong(), from, "").await.unwrap_err().kind());
    }
    assert_eq!(kinds[..10], [FaultKind::Unauthenticated; 10]);
    assert_eq!(kinds[10..], [FaultKind::Throttled; 2]);
    let refused = auth.browser("ada", &right(), AWAY, "").await.unwrap_err();
    assert_eq!(
        (refused.kind(), refused.retry_after_s),
        (FaultKind::Throttled, 31),
        "the right one waits like others"
    );
    hand.advance(TimeDelta::seconds(31));
    assert!(auth.browser("ada", &right(), AWAY, "").await.is_ok());
    Ok(())
}

/// Security case 5.
#[sqlx::test(migrations = "../migrations")]
async fn a_browser_is_logged_out_by_logout_idleness_and_time(pool: PgPool) -> Test {
    let (auth, hand) = installation(&pool).await;
    let login = async || auth.browser("ada", &right(), HOME, "Firefox").await.unwrap();
    let is_in = async |token: &web::Token| auth.web_session(token, Some(HOME)).await.unwrap().is_some();

    let token = login().await;
    let caller = auth.web_session(&token, Some(HOME)).await?.unwrap();
    assert_eq!((caller.name.as_str(), caller.role, caller.source), ("ada", Role::Admin, Source::Web));
    db::sessions::revoke(&pool, caller.id, caller.session.unwrap(), auth.clock.now()).await?;
    assert!(!is_in(&token).await && auth.web_peek(&token).await?.is_none());

    let token = login().await;
    for _ in 0..20 {
        hand.advance(TimeDelta::minutes(14));
        assert!(is_in(&token).await, "used often enough");
    }
    hand.advance(TimeDelta::minutes(14));
    assert!(auth.web_peek(&token).await?.is_some());
    hand.advance(TimeDelta::minutes(2));
    assert!(!is_in(&token).await, "a page that is only open is no use of it");

    let token = login().await;
    for _ in 0..71 {
        hand.advance(TimeDelta::minutes(10));
        assert!(is_in(&token).await);
    }
    hand.advance(TimeDelta::minutes(10));
    assert!(!is_in(&token).await, "12 hours");
    Ok(())
}

/// Security case 5.
#[sqlx::test(migrations = "../migrations")]
async fn each_login_has_a_token_of_its_own_and_none_is_in_the_database(pool: PgPool) -> Test {
    let (auth, _) = installation(&pool).await;
    let (one, two) =
        (auth.browser("ada", &right(), HOME, "").await?, auth.browser("ada", &right(), HOME, "").await?);
    let (one, two) = (web::cookie(&one), web::cookie(&two));
    assert_ne!(one, two);
    let rows: Vec<String> =
        sqlx::query_scalar("SELECT sessions::text FROM sessions").fetch_all(&pool).await?;
    let secret = &one["__Host-hms=".len()..][..43];
    assert!(rows.iter().all(|row| !row.contains(secret)));
    let made_up =
        http::HeaderMap::from_iter([(http::header::COOKIE, format!("__Host-hms={}", new_secret()).parse()?)]);
    assert!(auth.web_session(&web::token_of(&made_up).unwrap(), None).await?.is_none());
    Ok(())
}

/// Security case 9.
#[sqlx::test(migrations = "../migrations")]
async fn what_changes_about_a_user_holds_at_their_next_request(pool: PgPool) -> Test {
    let (auth, _) = installation(&pool).await;
    let web = auth.browser("ada", &right(), HOME, "").await?;
    let rest = auth.rest_login("ada", &right(), None, HOME, "").await?;
    db::users::set_role(&pool, "ada", Role::Viewer).await?;
    assert_eq!(auth.web_session(&web, None).await?.unwrap().role, Role::Viewer);
    assert_eq!(auth.bearer(&rest.access, None).await?.role, Role::Viewer);
    db::users::set_disabled(&mut *pool.acquire().await?, "ada", true).await?;
    db::users::set_disabled(&mut *pool.acquire().await?, "ada", false).await?;
    assert!(auth.web_session(&web, None).await?.is_none(), "sessions do not come back");
    assert!(auth.bearer(&rest.access, None).await.is_err());
    assert!(auth.rest_refresh(&rest.refresh, HOME, "").await.is_err());
    let web = auth.browser("ada", &right(), HOME, "").await?;
    let new = auth.passwords.hash(&Password::new("quite another fine one".into())).await?;
    db::users::set_password(&mut *pool.acquire().await?, "ada", Some(&new)).await?;
    assert!(auth.web_session(&web, None).await?.is_none());
    assert!(auth.browser("ada", &right(), HOME, "").await.is_err());
    Ok(())
}

#[sqlx::test(migrations = "../migrations")]
async fn sessions_are_listed_and_revoked_by_their_owner_only(pool: PgPool) -> Test {
    let (auth, _) = installation(&pool).await;
    db::users::add(&pool, "eve", Role::Admin, &auth.passwords.hash(&right()).await?).await?;
    let web = auth.browser("ada", &right(), HOME, "Firefox\u{7f}").await?;
    let rest = auth.rest_login("ada", &right(), None, AWAY, "curl").await?;
    let eve = auth.browser("eve", &right(), HOME, "").await?;
    let ada = auth.web_session(&web, None).await?.unwrap();
    let eve = auth.web_session(&eve, None).await?.unwrap();
    let listed = auth.sessions(&ada).await?;
    assert_eq!(listed.len(), 2);
    let (here, there) =
        (listed.iter().find(|s| s.current).unwrap(), listed.iter().find(|s| !s.current).unwrap());
    assert_eq!(
        (here.kind.as_str(), here.user_agent.as_str(), there.kind.as_str()),
        ("web", "Firefox", "rest")
    );
    assert_eq!(there.address, AWAY.to_string());
    assert_eq!(auth.ends(&ada).await?, here.expires_usec);
    assert_eq!(auth.revoke(&eve, &there.id).await.unwrap_err().kind(), FaultKind::NotFound);
    for unknown in ["", "x", "00000000-0000-0000-0000-000000000000", "\u{1b}[2J"] {
        let error = auth.revoke(&ada, unknown).await.unwrap_err();
        assert!(error.kind() == FaultKind::NotFound && !error.message.contains('\u{1b}'));
    }
    assert!(auth.bearer(&rest.access, None).await.is_ok());
    auth.revoke(&ada, &there.id).await?;
    assert!(auth.bearer(&rest.access, None).await.is_err());
    Ok(())
}

#[sqlx::test(migrations = "../migrations")]
async fn tokens_are_refreshed_for_twelve_hours_and_end_at_logout(pool: PgPool) -> Test {
    let (auth, hand) = installation(&pool).await;
    let mut tokens = auth.rest_login("ada", &right(), None, HOME, "curl").await?;
    let caller = auth.bearer(&tokens.access, Some(HOME)).await?;
    assert_eq!((caller.name.as_str(), caller.source), ("ada", Source::Rest));
    for _ in 0..71 {
        hand.advance(TimeDelta::minutes(10));
        assert!(auth.bearer(&tokens.access, None).await.is_err(), "its ten minutes are over");
        tokens = auth.rest_refresh(&tokens.refresh, HOME, "curl").await?;
        auth.bearer(&tokens.access, None).await?;
    }
    hand.advance(TimeDelta::minutes(10));
    assert!(auth.rest_refresh(&tokens.refresh, HOME, "curl").await.is_err());

    let tokens = auth.rest_login("ada", &right(), None, HOME, "curl").await?;
    let caller = auth.bearer(&tokens.access, None).await?;
    auth.revoke(&caller, &caller.session.unwrap().to_string()).await?;
    assert!(auth.bearer(&tokens.access, None).await.is_err());
    assert!(auth.rest_refresh(&tokens.refresh, HOME, "curl").await.is_err());
    for bad in [tokens.access.as_str(), "", "hmsr_", "x", &Signer::first_refresh()] {
        assert!(auth.rest_refresh(bad, HOME, "curl").await.is_err());
    }
    assert!(auth.bearer(&tokens.refresh, None).await.is_err(), "a refresh token is no access token");
    Ok(())
}

/// Security case 10.
#[sqlx::test(migrations = "../migrations")]
async fn a_refresh_token_used_again_by_somebody_else_ends_the_session(pool: PgPool) -> Test {
    let (auth, hand) = installation(&pool).await;
    let login = async || auth.rest_login("ada", &right(), None, HOME, "curl").await.unwrap();

    let first = login().await;
    let second = auth.rest_refresh(&first.refresh, HOME, "curl").await?;
    assert!(auth.rest_refresh(&first.refresh, AWAY, "curl").await.is_err());
    assert!(auth.bearer(&second.access, None).await.is_err(), "the thief and the owner are both out");
    assert!(auth.rest_refresh(&second.refresh, HOME, "curl").await.is_err());

    let first = login().await;
    let second = auth.rest_refresh(&first.refresh, HOME, "curl").await?;
    let again = auth.rest_refresh(&first.refresh, HOME, "curl").await?;
    assert_eq!(second.refresh, again.refresh, "the answer was lost: the same successor");
    let third = auth.rest_refresh(&again.refresh, HOME, "curl").await?;
    assert!(
        auth.rest_refresh(&first.refresh, HOME, "curl").await.is_err(),
        "the answer was not lost after all"
    );
    assert!(auth.rest_refresh(&third.refresh, HOME, "curl").await.is_err());

    let first = login().await;
    auth.rest_refresh(&first.refresh, HOME, "curl").await?;
    hand.advance(TimeDelta::seconds(31));
    assert!(auth.rest_refresh(&first.refresh, HOME, "curl").await.is_err(), "too late to have been lost");
    Ok(())
}

/// Security case 10.
#[sqlx::test(migrations = "../migrations")]
async fn of_a_thousand_refreshes_at_once_there_is_at_most_one_successor(pool: PgPool) -> Test {
    let (auth, _) = installation(&pool).await;
    for clients in [1, 10] {
        let first = auth.rest_login("ada", &right(), None, HOME, "curl").await?;
        let agents: Vec<String> = (0..clients).map(|n| format!("curl/{n}")).collect();
        let tries = (0..1000).map(|n| auth.rest_refresh(&first.refresh, HOME, &agents[n % clients]));
        let answers = futures_util::future::join_all(tries).await;
        let successors: std::collections::HashSet<_> = answers.iter().flatten().map(|t| &t.refresh).collect();
        assert_eq!(successors.len(), 1);
        let sql = "SELECT count(*) FROM refresh_tokens WHERE token_hash = $1 OR successor_hash IS NULL
            AND session_id = (SELECT session_id FROM refresh_tokens WHERE token_hash = $1)";
        let rows: i64 = sqlx::query_scalar(sql).bind(hash_of(&first.refresh)).fetch_one(&pool).await?;
        assert_eq!(rows, 2, "the first and its one successor");
        let unused =
            answers.iter().filter(|a| a.as_ref().is_err_and(|f| f.kind() != FaultKind::Unauthenticated));
        assert_eq!(unused.count(), 0, "no other error");
        if clients == 1 {
            assert!(answers.iter().all(Result::is_ok), "one client that asks often is no thief");
        }
    }
    Ok(())
}

/// Security cases 9 and 86.
#[sqlx::test(migrations = "../migrations")]
async fn a_terminal_is_let_in_by_certificate_session_and_user_together(pool: PgPool) -> Test {
    let (auth, _) = installation(&pool).await;
    let pki = Authority::open(&pool, Arc::new(Sealer::new([7; 32])), &[]).await?;
    let key = rcgen::KeyPair::generate()?;
    let csr = rcgen::CertificateParams::default().serialize_request(&key)?.pem()?;
    let login = async || auth.cli_login(&pki, ("ada", &right(), None), &csr, HOME, "hmsctl").await;
    assert!(
        auth.cli_login(&pki, ("ada", &right(), None), "no csr", HOME, "")
            .await
            .is_err_and(|f| f.kind() == FaultKind::Invalid)
    );
    let terminal = login().await?;
    assert_eq!(terminal.role, Role::Admin);
    let user = db::users::get_by_name(&pool, "ada").await?.unwrap();
    let peer = |serial: &str, id, role| Peer {
        identity: Identity { install: pki.install(), kind: Kind::Operator, id, role: Some(role) },
        address: "192.0.2.1:1".parse().unwrap(),
        certificate_ends: 0,
        certificate_serial: serial.into(),
    };
    let now = chrono::Utc::now();
    let ours = peer(&terminal.issued.serial, user.id, Role::Admin);
    let caller = operator_at(&pool, &ours, now).await?;
    assert_eq!((caller.name.as_str(), caller.role, caller.source), ("ada", Role::Admin, Source::Cli));
    assert!(operator_at(&pool, &ours, now + TimeDelta::hours(13)).await.is_err());
    assert!(operator_at(&pool, &peer("00", user.id, Role::Admin), now).await.is_err(), "no session");
    assert!(
        operator_at(&pool, &peer(&terminal.issued.serial, Uuid::new_v4(), Role::Admin), now).await.is_err()
    );
    let agent = Peer {
        identity: Identity { kind: Kind::Agent, role: None, ..ours.identity.clone() },
        ..ours.clone()
    };
    assert_eq!(operator_at(&pool, &agent, now).await.unwrap_err().kind(), FaultKind::Denied);

    let less = peer(&terminal.issued.serial, user.id, Role::Viewer);
    assert_eq!(operator_at(&pool, &less, now).await?.role, Role::Viewer, "the certificate's role is lower");
    db::users::edit(&pool, user.id, Role::Operator, &user.limit()).await?;
    assert_eq!(operator_at(&pool, &ours, now).await?.role, Role::Operator, "the user's role is lower");
    auth.revoke(&caller, &caller.session.unwrap().to_string()).await?;
    assert!(operator_at(&pool, &ours, now).await.is_err());
    let ours = peer(&login().await?.issued.serial, user.id, Role::Admin);
    assert!(operator_at(&pool, &ours, now).await.is_ok());
    db::users::set_role(&pool, "ada", Role::Operator).await?;
    assert!(operator_at(&pool, &ours, now).await.is_ok(), "a role that stays ends nothing");
    db::users::set_role(&pool, "ada", Role::Viewer).await?;
    assert!(operator_at(&pool, &ours, now).await.is_err(), "agents would believe the certificate");
    let ours = peer(&login().await?.issued.serial, user.id, Role::Admin);
    assert!(operator_at(&pool, &ours, now).await.is_ok());
    db::users::set_disabled(&mut *pool.acquire().await?, "ada", true).await?;
    assert!(operator_at(&pool, &ours, now).await.is_err());
    Ok(())
}

/// Security case 118: without its database nobody is let in.
#[sqlx::test(migrations = "../migrations")]
async fn without_the_database_nobody_is_let_in(pool: PgPool) -> Test {
    let (auth, _) = installation(&pool).await;
    let web = auth.browser("ada", &right(), HOME, "").await?;
    let rest = auth.rest_login("ada", &right(), None, HOME, "").await?;
    pool.close().await;
    let faults = [
        auth.web_session(&web, None).await.unwrap_err(),
        auth.bearer(&rest.access, None).await.unwrap_err(),
        auth.rest_refresh(&rest.refresh, HOME, "").await.map(|_| ()).unwrap_err(),
        auth.browser("ada", &right(), HOME, "").await.unwrap_err(),
    ];
    assert!(faults.iter().all(|f| f.kind() == FaultKind::Unavailable), "{faults:?}");
    Ok(())
}

#[sqlx::test(migrations = "../migrations")]
async fn a_join_token_is_read_as_it_was_written(pool: PgPool) -> Test {
    use hms_proto::names::{Address, HostName};
    let pki = Authority::open(&pool, Arc::new(Sealer::new([7; 32])), &[]).await?;
    let host = db::hosts::add(&pool, &HostName::try_from("asterra")?, &Address::try_from("a:1")?).await?;
    let token = JoinToken::issue(&pool, host.id, &pki).await?;
    let shown = JoinToken::read(&format!("{}\n", token.text), &pki)?;
    assert_eq!(shown.host, host.id);
    assert!(db::join_tokens::take(&pool, shown.host, &shown.hash, chrono::Utc::now()).await?);
    let parts: Vec<&str> = token.text.split('.').collect();
    for bad in [
        String::new(),
        "hms1...".into(),
        parts[..3].join("."),
        format!("hms2.{}", parts[1..].join(".")),
        format!("{}.x", token.text),
        format!("hms1.{}.{}.{}", parts[1], "short", parts[3]),
        format!("hms1.{}.{}.{}", parts[1], parts[2], "00".repeat(32)),
    ] {
        assert!(JoinToken::read(&bad, &pki).is_err(), "{bad}");
    }
    Ok(())
}
