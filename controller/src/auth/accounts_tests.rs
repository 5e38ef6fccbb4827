//! Accounts, second factors, invitations, tokens and confirmations against a real database.

use std::net::IpAddr;

use hms_proto::{
    Role,
    controller::v1::{
        CreateTokenRequest, EditUserRequest, InviteUserRequest, ResetUserRequest, Scope as PbScope,
    },
};

use super::{
    clock::Hand,
    totp::Secret,
    web::{Entered, Token},
    *,
};

type Test = Result<(), Box<dyn std::error::Error>>;

pub(super) const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
const AT: &str = "https://hms.example";

pub(super) fn password(text: &str) -> Password {
    Password::new(text.into())
}

pub(super) fn right() -> Password {
    password("a perfectly fine one")
}

/// An installation whose only account is the admin `ada`, and its clock.
pub(super) async fn installation(pool: &PgPool) -> (Auth, Hand) {
    let hand = Hand::default();
    let auth = Auth::with(pool, Arc::new(Sealer::new([7; 32])), hand.clock()).await.unwrap();
    let hash = auth.passwords.hash(&right()).await.unwrap();
    db::users::add(pool, "ada", Role::Admin, &hash).await.unwrap();
    (auth, hand)
}

pub(super) async fn browser(auth: &Auth, name: &str, with: &Password) -> Result<Entered, Fault> {
    auth.web_login(name, with, HOME, "Firefox").await
}

pub(super) async fn logged_in(auth: &Auth, name: &str, with: &Password) -> Caller {
    let Entered::Session(token) = browser(auth, name, with).await.unwrap() else {
        panic!("a code is asked for")
    };
    auth.web_session(&token, Some(HOME)).await.unwrap().unwrap()
}

/// The code that an authenticator with this secret shows.
pub(super) fn code_of(secret: &str, hand: &Hand) -> String {
    let bytes = data_encoding::BASE32_NOPAD.decode(secret.as_bytes()).unwrap();
    Secret::of_bytes(&bytes).code(hand.clock().now().timestamp().div_euclid(30))
}

fn everything() -> Option<PbScope> {
    Some(PbScope { all: true, ..PbScope::default() })
}

async fn invite(auth: &Auth, name: &str, role: &str) -> Result<hms_proto::controller::v1::Invitation, Fault> {
    let request = InviteUserRequest { username: name.into(), role: role.into(), scope: everything() };
    auth.invite(&request, AT).await
}

async fn accept(auth: &Auth, code: &str, chosen: &str) -> Result<String, Fault> {
    auth.accept_invitation(code, &password(chosen), Source::Web, HOME).await
}

#[sqlx::test(migrations = "../migrations")]
async fn an_invitation_is_good_once_for_a_day_and_for_a_good_password(pool: PgPool) -> Test {
    let (auth, hand) = installation(&pool).await;
    let invited = invite(&auth, "bob", "operator").await?;
    assert_eq!(invited.url, format!("{AT}/login/invitation#{}", invited.code));
    assert_eq!(invited.user.unwrap().state, "invited");
    assert!(browser(&auth, "bob", &password("")).await.is_err(), "there is no password yet");
    assert_eq!(accept(&auth, &invited.code, "too short").await.unwrap_err().kind(), FaultKind::Invalid);
    let wrong = accept(&auth, "x", "a perfectly fine one").await.unwrap_err();
    assert_eq!(accept(&auth, &invited.code, "a perfectly fine one").await?, "bob");
    assert_eq!(accept(&auth, &invited.code, "a perfectly fine two").await.unwrap_err(), wrong);
    assert_eq!(logged_in(&auth, "bob", &right()).await.role, Role::Operator);
    assert_eq!(auth.user("bob").await?.state, "active");

    let late = invite(&auth, "eve", "viewer").await?;
    hand.advance(TimeDelta::hours(25));
    assert_eq!(accept(&auth, &late.code, "a perfectly fine one").await.unwrap_err(), wrong);
    assert_eq!(invite(&auth, "eve", "viewer").await.unwrap_err().kind(), FaultKind::Conflict);
    for (name, role) in [("Eve", "viewer"), ("x\ny", "viewer"), ("mallory", "root"), ("mallory", "")] {
        assert_eq!(
            invite(&auth, name, role).await.unwrap_err().kind(),
            FaultKind::Invalid,
            "{name:?} {role}"
        );
    }
    let text = format!("{:?}", db::audit::recent(&pool, 99).await?);
    assert!(!text.contains(&invited.code) && !text.contains("fine one"), "{text}");
    Ok(())
}

#[sqlx::test(migrations = "../migrations")]
async fn a_reset_ends_the_old_password_and_all_sessions_at_once(pool: PgPool) -> Test {
    let (auth, _) = installation(&pool).await;
    let code = invite(&auth, "bob", "viewer").await?.code;
    accept(&auth, &code, "a perfectly fine one").await?;
    let bob = logged_in(&auth, "bob", &right()).await;
    let first = auth.reset(&ResetUserRequest { username: "bob".into(), totp: false }, AT).await?;
    assert!(!auth.holds(&bob).await? && browser(&auth, "bob", &right()).await.is_err());
    let second = auth.reset(&ResetUserRequest { username: "bob".into(), totp: false }, AT).await?;
    assert!(accept(&auth, &first.code, "a perfectly new one").await.is_err(), "a new code replaces it");
    accept(&auth, &second.code, "a perfectly new one").await?;
    assert_eq!(logged_in(&auth, "bob", &password("a perfectly new one")).await.name, "bob");
    Ok(())
}

/// Security case 17: no order of steps but the right one gives a session.
#[sqlx::test(migrations = "../migrations")]
async fn a_second_factor_is_asked_for_at_every_door_and_each_code_is_good_once(pool: PgPool) -> Test {
    let (auth, hand) = installation(&pool).await;
    let ada = logged_in(&auth, "ada", &right()).await;
    let begun = auth.begin_totp(&ada).await?;
    assert!(matches!(browser(&auth, "ada", &right()).await?, Entered::Session(_)), "it only waits so far");
    assert!(auth.enable_totp(&ada, "000000").await.is_err());
    let first = code_of(&begun.secret, &hand);
    let recovery = auth.enable_totp(&ada, &first).await?.codes;
    assert!(recovery.len() == 10 && auth.account(&ada).await?.totp);

    // The password alone is a step, and no session.
    let Entered::CodeNeeded(step) = browser(&auth, "ada", &right()).await? else {
        panic!("no code was asked for")
    };
    assert!(auth.web_session(&step, None).await?.is_none());
    let code = async |step: &Token, code: &str| {
        auth.web_code(step, code, HOME, "Firefox").await.and_then(|token| token.ok_or_else(not_logged_in))
    };
    assert!(code(&step, &first).await.is_err(), "it was used to set it up");
    hand.advance(TimeDelta::seconds(30));
    let next = code_of(&begun.secret, &hand);
    let token = code(&step, &next).await?;
    assert!(auth.web_session(&token, None).await?.is_some());
    assert!(code(&step, &recovery[0]).await.is_err(), "the step is used up");
    let rest = async |code: Option<&str>| auth.rest_login("ada", &right(), code, HOME, "").await.map(drop);
    assert_eq!(rest(None).await.unwrap_err().kind(), FaultKind::ProofNeeded);
    assert_eq!(
        rest(Some(&next)).await.unwrap_err().kind(),
        FaultKind::Unauthenticated,
        "used in the browser"
    );
    rest(Some(&recovery[1])).await?;
    assert!(rest(Some(&recovery[1])).await.is_err(), "each recovery code is good once");
    assert_eq!(auth.account(&ada).await?.recovery_codes_left, 9);

    // Of somebody else, of nobody, too late, and after too many.
    let Entered::CodeNeeded(step) = browser(&auth, "ada", &right()).await? else { panic!() };
    for _ in 0..5 {
        assert!(code(&step, "000000").await.is_err());
    }
    assert!(code(&step, &recovery[2]).await.is_err(), "five tries are all");
    hand.advance(TimeDelta::hours(1));
    let Entered::CodeNeeded(step) = browser(&auth, "ada", &right()).await? else { panic!() };
    hand.advance(TimeDelta::minutes(6));
    assert!(code(&step, &recovery[2]).await.is_err(), "the step has ended");
    Ok(())
}

#[sqlx::test(migrations = "../migrations")]
async fn a_short_password_needs_the_second_factor(pool: PgPool) -> Test {
    let (auth, hand) = installation(&pool).await;
    let ada = logged_in(&auth, "ada", &right()).await;
    let short = password("twelve chars");
    assert!(auth.change_password(&ada, &right(), &short).await.is_err());
    let begun = auth.begin_totp(&ada).await?;
    auth.enable_totp(&ada, &code_of(&begun.secret, &hand)).await?;
    assert!(auth.begin_totp(&ada).await.is_err(), "one that is on is not replaced unnoticed");
    assert_eq!(auth.change_password(&ada, &short, &short).await.unwrap_err().kind(), FaultKind::Denied);
    let other = auth
        .rest_login("ada", &right(), Some(&auth.new_recovery_codes(&ada).await?.codes[0]), HOME, "")
        .await?;
    auth.change_password(&ada, &right(), &short).await?;
    assert!(auth.bearer(&other.access, None).await.is_err(), "other sessions end");
    assert!(auth.holds(&ada).await?, "this one does not");
    assert_eq!(auth.disable_totp(&ada, &short).await.unwrap_err().kind(), FaultKind::Conflict);
    auth.change_password(&ada, &short, &right()).await?;
    auth.disable_totp(&ada, &right()).await?;
    assert!(!auth.account(&ada).await?.totp);
    assert!(matches!(browser(&auth, "ada", &right()).await?, Entered::Session(_)));
    Ok(())
}

#[sqlx::test(migrations = "../migrations")]
async fn a_confirmation_holds_five_minutes_and_wrong_ones_are_throttled(pool: PgPool) -> Test {
    let (auth, hand) = installation(&pool).await;
    let Entered::Session(token) = browser(&auth, "ada", &right()).await? else { panic!() };
    let ada = async || auth.web_session(&token, Some(HOME)).await.unwrap().unwrap();
    assert!(ada().await.confirmed.is_some(), "who logs in has just proved it");
    hand.advance(TimeDelta::minutes(5));
    assert!(ada().await.confirmed.is_none());
    assert_eq!(
        auth.confirm(&ada().await, Some(&password("x")), None).await.unwrap_err().kind(),
        FaultKind::Denied
    );
    assert_eq!(auth.confirm(&ada().await, None, None).await.unwrap_err().kind(), FaultKind::Invalid);
    auth.confirm(&ada().await, Some(&right()), None).await?;
    assert!(ada().await.confirmed.is_some());
    for _ in 0..20 {
        auth.confirm(&ada().await, Some(&password("x")), None).await.unwrap_err();
    }
    let refused = auth.confirm(&ada().await, Some(&right()), None).await.unwrap_err();
    assert_eq!(refused.kind(), FaultKind::Throttled, "as logins are");
    Ok(())
}

#[sqlx::test(migrations = "../migrations")]
async fn a_token_does_what_it_was_made_for_and_ends_with_its_owner(pool: PgPool) -> Test {
    let (auth, hand) = installation(&pool).await;
    let ada = logged_in(&auth, "ada", &right()).await;
    let ask =
        |role: &str, scope| CreateTokenRequest { name: "ci".into(), role: role.into(), scope, days: 30 };
    let cigar = Some(PbScope { apps: vec!["cigar".into()], ..PbScope::default() });
    let made = auth.create_token(&ada, &ask("operator", cigar)).await?;
    let secret = made.secret.as_str();
    let begins = made.token.clone().unwrap().begins;
    assert!(secret.starts_with(&begins) && begins.len() == 9 && secret.len() == 48);
    assert!(!format!("{made:?}").contains(secret));
    let machine = auth.bearer(secret, Some(HOME)).await?;
    assert_eq!((machine.name.as_str(), machine.role, machine.session), ("ada", Role::Operator, None));
    assert!(machine.scope.has_app("cigar", "a") && !machine.scope.has_app("tobacco", "a"));
    assert!(machine.confirmed.is_none() && auth.holds(&machine).await?);
    assert_eq!(auth.confirm(&machine, Some(&right()), None).await.unwrap_err().kind(), FaultKind::Denied);
    assert_eq!(auth.tokens_of(&ada).await?[0].last_address, HOME.to_string());

    // It is never more than its owner.
    invite(&auth, "boss", "admin")
        .await
        .map(|i| i.code)
        .map(async |code| accept(&auth, &code, "a perfectly fine one").await)?
        .await?;
    auth.edit(&EditUserRequest { username: "ada".into(), role: "viewer".into(), scope: None }).await?;
    assert_eq!(auth.bearer(secret, None).await?.role, Role::Viewer);
    assert!(!auth.holds(&machine).await?, "open streams of it end");
    auth.set_disabled("ada", true).await?;
    assert!(auth.bearer(secret, None).await.is_err());
    auth.set_disabled("ada", false).await?;
    assert!(auth.bearer(secret, None).await.is_ok());
    let id = made.token.unwrap().id;
    let boss = logged_in(&auth, "boss", &right()).await;
    assert_eq!(
        auth.revoke_token(&boss, &id, true).await.unwrap_err().kind(),
        FaultKind::NotFound,
        "not hers"
    );
    auth.revoke_token(&boss, &id, false).await?;
    assert!(auth.bearer(secret, None).await.is_err());

    let short =
        auth.create_token(&boss, &CreateTokenRequest { days: 1, ..ask("admin", everything()) }).await?.secret;
    hand.advance(TimeDelta::hours(25));
    assert!(auth.bearer(&short, None).await.is_err(), "it has ended");
    let bad = [
        ask("root", None),
        CreateTokenRequest { days: 367, ..ask("viewer", None) },
        CreateTokenRequest { name: " ".into(), ..ask("viewer", None) },
        CreateTokenRequest { name: "a\nb".into(), ..ask("viewer", None) },
        ask("viewer", Some(PbScope::default())),
    ];
    for bad in bad {
        assert_eq!(auth.create_token(&boss, &bad).await.unwrap_err().kind(), FaultKind::Invalid, "{bad:?}");
    }
    let viewer = Caller { role: Role::Viewer, ..boss };
    assert_eq!(
        auth.create_token(&viewer, &ask("operator", None)).await.unwrap_err().kind(),
        FaultKind::Denied
    );
    Ok(())
}

/// Whatever many admins do to each other at once, one is left who can undo it.
#[sqlx::test(migrations = "../migrations")]
async fn the_last_admin_of_everything_stays(pool: PgPool) -> Test {
    let (auth, _) = installation(&pool).await;
    let lower = |name: &str| EditUserRequest { username: name.into(), role: "viewer".into(), scope: None };
    let narrow = EditUserRequest {
        username: "ada".into(),
        role: String::new(),
        scope: Some(PbScope { hosts: vec!["a".into()], ..PbScope::default() }),
    };
    assert_eq!(auth.edit(&lower("ada")).await.err().unwrap().kind(), FaultKind::Conflict);
    assert_eq!(auth.edit(&narrow).await.err().unwrap().kind(), FaultKind::Conflict);
    assert_eq!(auth.set_disabled("ada", true).await.err().unwrap().kind(), FaultKind::Conflict);
    assert_eq!(auth.remove_user("ada").await.unwrap_err().kind(), FaultKind::Conflict);
    let reset = ResetUserRequest { username: "ada".into(), totp: true };
    assert_eq!(auth.reset(&reset, AT).await.unwrap_err().kind(), FaultKind::Conflict);

    let names = ["bob", "cyd", "dan", "eve"];
    for name in names {
        let hash = auth.passwords.hash(&right()).await?;
        db::users::add(&pool, name, Role::Admin, &hash).await?;
    }
    let all = ["ada", "bob", "cyd", "dan", "eve"];
    let ended = futures_util::future::join_all(all.iter().enumerate().map(async |(n, name)| match n % 3 {
        0 => auth.remove_user(name).await.is_ok(),
        1 => auth.set_disabled(name, true).await.is_ok(),
        _ => auth.edit(&lower(name)).await.is_ok(),
    }))
    .await;
    assert_eq!(ended.iter().filter(|done| **done).count(), all.len() - 1);
    let left = auth.users().await?;
    let in_charge = left.iter().filter(|user| user.role == "admin" && user.state == "active");
    assert_eq!(in_charge.count(), 1);
    Ok(())
}

/// Security case 9, as far as the controller goes.
#[sqlx::test(migrations = "../migrations")]
async fn what_is_taken_away_is_gone_with_the_next_look(pool: PgPool) -> Test {
    let (auth, _) = installation(&pool).await;
    let hash = auth.passwords.hash(&right()).await?;
    db::users::add(&pool, "bob", Role::Operator, &hash).await?;
    let bob = logged_in(&auth, "bob", &right()).await;
    assert!(auth.holds(&bob).await?);
    let edit = |role: &str, scope| EditUserRequest { username: "bob".into(), role: role.into(), scope };
    let edited = auth.edit(&edit("viewer", None)).await?;
    assert_eq!((edited.before.role.as_str(), edited.after.role.as_str()), ("operator", "viewer"));
    assert!(!auth.holds(&bob).await?, "a stream that was opened as operator");
    let bob = logged_in(&auth, "bob", &right()).await;
    assert_eq!(bob.role, Role::Viewer);
    auth.edit(&edit("operator", None)).await?;
    assert!(auth.holds(&bob).await?, "more than before is no reason to end it");
    let part = Some(PbScope { hosts: vec!["asterra".into()], ..PbScope::default() });
    auth.edit(&edit("", part)).await?;
    assert!(!auth.holds(&bob).await?);
    let bob = logged_in(&auth, "bob", &right()).await;
    assert!(bob.scope.has_host("asterra") && !bob.scope.has_host("borealis"));
    assert_eq!(auth.end_sessions("bob", "").await?, 3);
    assert!(!auth.holds(&bob).await? && auth.sessions_of("bob").await?.is_empty());
    auth.remove_user("bob").await?;
    assert_eq!(auth.user("bob").await.unwrap_err().kind(), FaultKind::NotFound);
    Ok(())
}
