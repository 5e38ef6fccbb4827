//! Two things at once with one account: what is taken away stays away from those who were on their way already.

use hms_proto::{Role, controller::v1::ResetUserRequest};

use super::{
    accounts_tests::{HOME, browser, code_of, installation, logged_in, password, right},
    clock::Hand,
    web::{Entered, Token},
    *,
};
use crate::db::{
    sessions::{NewSession, Proof},
    users::User,
};

type Test = Result<(), Box<dyn std::error::Error>>;

/// The account `bob`, as a login reads it before it looks at the password.
async fn bob(auth: &Auth) -> Result<User, Box<dyn std::error::Error>> {
    let hash = auth.passwords.hash(&right()).await?;
    Ok(db::users::add(&auth.db, "bob", Role::Operator, &hash).await?)
}

fn reset() -> ResetUserRequest {
    ResetUserRequest { username: "bob".into(), totp: false }
}

/// Security case 9.
#[sqlx::test(migrations = "../migrations")]
async fn a_password_that_was_taken_away_lets_nobody_in_who_typed_it_before(pool: PgPool) -> Test {
    let (auth, _) = installation(&pool).await;
    let as_it_was = bob(&auth).await?;
    auth.held(&as_it_was).await?.rollback().await?;
    auth.set_disabled("bob", true).await?;
    assert!(auth.held(&as_it_was).await.is_err(), "locked");
    auth.set_disabled("bob", false).await?;
    auth.held(&as_it_was).await?.rollback().await?;
    auth.reset(&reset(), "").await?;
    assert!(auth.held(&as_it_was).await.is_err(), "reset");
    let new = auth.passwords.hash(&password("chosen by whoever knew the old one")).await?;
    assert!(!db::users::keep_password(&pool, &as_it_was, &new).await?, "nor does it choose the next one");
    assert!(db::users::get_by_name(&pool, "bob").await?.unwrap().password_hash.is_none());
    Ok(())
}

/// Security case 9.
#[sqlx::test(migrations = "../migrations")]
async fn a_session_that_began_while_the_password_was_taken_away_ends_with_it(pool: PgPool) -> Test {
    let (auth, _) = installation(&pool).await;
    let as_it_was = bob(&auth).await?;
    let mut held = auth.held(&as_it_was).await?;
    let begin = async {
        // Long enough for the reset to be through, if it did not wait.
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        let (secret, now) = (new_secret(), auth.clock.now());
        let proof = Proof::Web(hash_of(&secret));
        let (user, expires, address) = (as_it_was.id, now + ABSOLUTE, String::new());
        let new = NewSession { user, proof, now, expires, address, user_agent: "" };
        let id = db::sessions::begin(&mut *held, &new).await.unwrap();
        held.commit().await.unwrap();
        id
    };
    let reset = reset();
    let (id, reset) = tokio::join!(begin, auth.reset(&reset, ""));
    reset?;
    assert!(db::sessions::lives(&pool, id, auth.clock.now(), IDLE).await?.is_none());
    Ok(())
}

/// The admin `ada` with a second factor: its secret, and her recovery codes.
async fn with_factor(auth: &Auth, hand: &Hand) -> Result<(String, Vec<String>), Fault> {
    let ada = logged_in(auth, "ada", &right()).await;
    let secret = auth.begin_totp(&ada).await?.secret;
    let codes = auth.enable_totp(&ada, &code_of(&secret, hand)).await?.codes;
    hand.advance(TimeDelta::minutes(1));
    Ok((secret, codes))
}

async fn step_of(auth: &Auth) -> Token {
    match browser(auth, "ada", &right()).await {
        Ok(Entered::CodeNeeded(step)) => step,
        other => panic!("{other:?}"),
    }
}

/// Security case 17.
#[sqlx::test(migrations = "../migrations")]
async fn of_two_right_codes_at_once_one_gets_the_session(pool: PgPool) -> Test {
    let (auth, hand) = installation(&pool).await;
    let (_, codes) = with_factor(&auth, &hand).await?;
    for pair in codes.chunks(2) {
        let before = auth.sessions_of("ada").await?.len();
        let step = step_of(&auth).await;
        let code = |code| auth.web_code(&step, code, HOME, "");
        let (one, two) = tokio::join!(code(&pair[0]), code(&pair[1]));
        assert!(one?.is_some() != two?.is_some());
        assert_eq!(auth.sessions_of("ada").await?.len(), before + 1);
    }
    Ok(())
}

/// An attempt that was told to wait was not looked at, and so is none of the five that a login has.
#[sqlx::test(migrations = "../migrations")]
async fn who_has_to_wait_with_a_code_uses_up_no_attempt(pool: PgPool) -> Test {
    let (auth, hand) = installation(&pool).await;
    let (secret, _) = with_factor(&auth, &hand).await?;
    let step = step_of(&auth).await;
    for n in 0..20u8 {
        auth.web_login("ada", &password("guessed"), [203, 0, 113, n].into(), "").await.unwrap_err();
    }
    for _ in 0..8 {
        let told = auth.web_code(&step, &code_of(&secret, &hand), HOME, "").await.unwrap_err();
        assert_eq!(told.kind(), FaultKind::Throttled);
    }
    hand.advance(TimeDelta::seconds(62));
    assert!(auth.web_code(&step, &code_of(&secret, &hand), HOME, "").await?.is_some());
    Ok(())
}
